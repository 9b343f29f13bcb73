# SPDX-License-Identifier: Apache-2.0
"""Existing data is ours, and ours is upstream's: dynamic large objects, locations, containers."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from glancekit_swift_store.driver import SwiftStore

from glancekit.plugin import FileStream, Location
from glancekit.testing.upstream_store import UpstreamConformance, UpstreamStore, missing

Build = Callable[..., SwiftStore]


@pytest.fixture
def site(with_keystone: Any) -> Any:
    """Upstream's library speaks to Keystone only."""
    reason = missing("swift")
    if reason is not None:
        pytest.skip(reason)
    return with_keystone


@pytest.fixture
def file(site: Any, tmp_path: Path) -> Path:
    """The account in a file, for both."""
    path = tmp_path / "references.conf"
    path.write_text(
        "[ref1]\n"
        f"auth_address = {site.options['swift_store_auth_address']}\n"
        f"user = {site.options['swift_store_user']}\n"
        f"key = {site.options['swift_store_key']}\n"
        "project_domain_id = default\n"
        "user_domain_id = default\n"
        "auth_version = 3\n"
    )
    return path


class TestWithAFile(UpstreamConformance):
    @pytest.fixture
    def chosen(self, file: Path) -> dict[str, str]:
        return {"swift_store_config_file": str(file), "default_swift_reference": "ref1"}

    @pytest.fixture
    def driver(self, build: Build, container: str, chosen: dict[str, str]) -> SwiftStore:
        return build(container, **chosen)

    @pytest.fixture
    def upstream(
        self, container: str, chosen: dict[str, str], site: Any
    ) -> Iterator[UpstreamStore]:
        options = {**chosen, "swift_store_container": container}
        with UpstreamStore("swift", options) as peer:
            yield peer


class TestInSegments(TestWithAFile):
    """Ours are static, theirs are dynamic. Their library hangs where the size is known and the
    last segment is shorter, so the data is of whole segments."""

    data = bytes(range(256)) * 8000  # 2 MB

    @pytest.fixture
    def chosen(self, file: Path) -> dict[str, str]:
        return {
            "swift_store_config_file": str(file),
            "default_swift_reference": "ref1",
            "swift_store_large_object_size": "1",
            "swift_store_large_object_chunk_size": "1",
        }

    @pytest.fixture
    def driver(self, build: Build, container: str, chosen: dict[str, Any]) -> SwiftStore:
        sizes = {name: 1 for name in chosen if name.endswith("_size")}
        return build(container, **{**chosen, **sizes})


class TestWithoutAFile(TestWithAFile):
    @pytest.fixture
    def chosen(self, site: Any) -> dict[str, str]:
        return dict(site.options)

    def test_the_url_is_upstream_s(self, driver: Any, upstream: UpstreamStore) -> None:
        """It is the one that upstream writes with a file, and understands without one, too: the
        one that it writes without a file has the password in it."""
        image_id = str(uuid.uuid4())
        ours = self._write(driver, image_id, len(self.data))
        container = driver.details()["container"]
        assert ours == f"swift+config://ref1/{container}/{image_id}"
        assert upstream.read(ours) == self.data
        upstream.delete(ours)


@pytest.mark.parametrize("seed", [1, 3, 8, 9, 12, 13, 14, 32])
def test_containers_have_upstream_s_names(
    build: Build, site: Any, file: Path, outside: Any, seed: int
) -> None:
    image_id = str(uuid.uuid4())
    prefix = f"seeded-{image_id[:8]}"
    options = {
        "swift_store_config_file": str(file),
        "default_swift_reference": "ref1",
        "swift_store_container": prefix,
    }
    ours = build(
        prefix,
        swift_store_config_file=str(file),
        swift_store_multiple_containers_seed=seed,
        swift_store_create_container_on_put=True,
    )
    url = ours.write(image_id, FileStream(io.BytesIO(b"data")), 4).url
    ours.delete(Location(url=url))
    options["swift_store_multiple_containers_seed"] = str(seed)
    with UpstreamStore("swift", options) as peer:
        assert peer.add(image_id, b"data") == url
        peer.delete(url)
    for name in outside.containers():
        if name.startswith(prefix):
            outside.call("DELETE", f"/{name}")
