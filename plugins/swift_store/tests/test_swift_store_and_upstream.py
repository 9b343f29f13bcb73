# SPDX-License-Identifier: Apache-2.0
"""Existing data is ours, and ours is upstream's: dynamic large objects, locations, containers."""

from __future__ import annotations

import io
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import pytest
from glancekit_swift_store.driver import SwiftStore

from glancekit.plugin import Caller, FileStream, Location, StoreDenied
from glancekit.testing.upstream_store import (
    UpstreamConformance,
    UpstreamError,
    UpstreamStore,
    missing,
)

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


def test_a_password_in_a_file_means_what_upstream_takes_it_for(
    build: Build, container: str, site: Any, file: Path, keystone: Any
) -> None:
    """Two percent signs are one; a single one, which upstream cannot read, is one, too."""
    user = keystone.make_user("percent", "service", "admin")
    keystone.call("PATCH", f"/users/{user}", {"user": {"password": "50%off"}})
    time.sleep(1.1)  # no token of the same second would count
    text = file.read_text().replace(":glance", ":percent")
    options = {"swift_store_config_file": str(file), "default_swift_reference": "ref1"}
    for written, is_read_by_upstream in (("50%%off", True), ("50%off", False)):
        file.write_text(re.sub("key = .*", f"key = {written}", text))
        build(container, **options).check()
        with (
            nullcontext() if is_read_by_upstream else pytest.raises(UpstreamError),
            UpstreamStore("swift", {**options, "swift_store_container": container}) as peer,
        ):
            peer.delete(peer.add(str(uuid.uuid4()), b"data"))


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


class TestInProjects(UpstreamConformance):
    """Each image in a container of its own in its owner's account, with the owner's token."""

    sizes: ClassVar[dict[str, int]] = {}

    @pytest.fixture
    def prefix(self) -> str:
        return f"owned-{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def upstream_of(
        self, site: Any, prefix: str, keystone: Any, caller_of: Callable[..., Caller]
    ) -> Iterator[Callable[..., UpstreamStore]]:
        """Start their store for a user."""
        started: list[UpstreamStore] = []

        def upstream_of(user: str, project: str) -> UpstreamStore:
            caller = caller_of(user, project)
            endpoint = site.swift.endpoint % {"project_id": caller.project_id}
            there = {"publicURL": endpoint, "region": "RegionOne"}
            context = {
                "auth_token": caller.token,
                "project_id": caller.project_id,
                "user_id": keystone.id_of("user", user),
                "service_catalog": [{"type": "object-store", "endpoints": [there]}],
            }
            sizes = {name: str(size) for name, size in self.sizes.items()}
            options = {**site.options, **sizes, "swift_store_multi_tenant": "true"}
            options |= {"swift_store_container": prefix}
            options |= {"swift_store_create_container_on_put": "true"}
            started.append(UpstreamStore("swift", options, context))
            return started[-1]

        yield upstream_of
        for each in started:
            each.close()

    @pytest.fixture
    def upstream(self, upstream_of: Callable[..., UpstreamStore]) -> UpstreamStore:
        return upstream_of("demo-member", "demo")

    @pytest.fixture
    def store(self, build: Build, prefix: str) -> SwiftStore:
        return build(prefix, swift_store_multi_tenant=True, **self.sizes)

    @pytest.fixture
    def driver(self, store: SwiftStore, caller_of: Callable[..., Caller]) -> SwiftStore:
        return store.acting_for(caller_of("demo-member", "demo"))

    @pytest.fixture(autouse=True)
    def nothing_is_left(
        self, prefix: str, account_of: Callable[[str, str], Any]
    ) -> Iterator[None]:
        yield
        names = account_of("demo-member", "demo").containers()
        assert not [name for name in names if name.startswith(prefix)]

    def test_readers_are_each_other_s(
        self,
        store: SwiftStore,
        driver: SwiftStore,
        upstream: UpstreamStore,
        upstream_of: Callable[..., UpstreamStore],
        caller_of: Callable[..., Caller],
        keystone: Any,
    ) -> None:
        """Who was let in by one reads by the other, with a token of their own."""
        member = keystone.make_project("other")
        theirs = upstream_of("other-member", "other")
        ours = store.acting_for(caller_of("other-member", "other"))
        image_ids = [str(uuid.uuid4()) for _ in "ab"]
        by_them = upstream.add(image_ids[0], self.data)
        by_us = self._write(driver, image_ids[1], len(self.data))
        with pytest.raises(StoreDenied):
            ours.open(Location(url=by_them))
        with pytest.raises(UpstreamError):
            theirs.read(by_us)
        for readers, public in (([member], False), ([], True)):
            upstream.grant(by_them, readers, public=public)
            driver.grant(Location(url=by_us, image_id=image_ids[1]), readers, public=public)
            with ours.open(Location(url=by_them)) as opened:
                assert opened.read() == self.data
            assert theirs.read(by_us) == self.data
        driver.delete(Location(url=by_them))
        upstream.delete(by_us)

    def test_the_service_reads_and_deletes_what_upstream_stored(
        self, store: SwiftStore, upstream: UpstreamStore
    ) -> None:
        """Without a caller, as the reaper does."""
        image_id = str(uuid.uuid4())
        there = Location(url=upstream.add(image_id, self.data), image_id=image_id)
        with store.open(there) as opened:
            assert opened.read() == self.data
        store.delete(there)
        with pytest.raises(UpstreamError):
            upstream.read(there.url)


class TestInProjectsInSegments(TestInProjects):
    """Of whole segments, as before."""

    data = bytes(range(256)) * 8000  # 2 MB
    sizes: ClassVar = {
        "swift_store_large_object_size": 1,
        "swift_store_large_object_chunk_size": 1,
    }


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
