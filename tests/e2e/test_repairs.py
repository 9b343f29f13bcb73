# SPDX-License-Identifier: Apache-2.0
"""Copies in a real Swift and a real Ceph: one that rots or goes is found and made anew from the
other, and a store that is drained has none at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("glancekit_swift_store", reason="glancekit-swift-store is not installed")
pytest.importorskip("glancekit_rbd_store", reason="glancekit-rbd-store is not installed")

from glancekit_rbd_store.bindings import bindings
from glancekit_swift_store.testing import KEY, USER

pytestmark = pytest.mark.timeout(300)  # a Ceph, a Swift and services are started, slowly if busy

DATA = os.urandom(3_000_000)

CONFIG = """
[DEFAULT]
enabled_backends = objects:swift, ceph:rbd, local:file
[glance_store]
default_backend = {default}
[placement]
rules_file = {rules}
interval = 100000
[auditor]
enabled = false
[objects]
drain = {objects}
swift_store_auth_address = {auth}
swift_store_auth_version = 1
swift_store_user = {user}
swift_store_key = {key}
swift_store_container = {container}
swift_store_create_container_on_put = true
[ceph]
drain = {ceph}
rbd_store_ceph_conf = {conf}
rbd_store_user = glance
"""

RULES = """
- name: twice
  stores: [objects, ceph, local]
  copies: 2
"""


@dataclass
class Place:
    """A service whose images are in a Swift and in a Ceph, and a look at both from outside."""

    make: Callable[..., Any]
    swift: Any
    ceph: Any
    rules: Path
    container: str
    service: Any = None
    said: str = ""

    def start(self, *, draining: str = "", default: str = "objects") -> None:
        """Start the service, or start it again with a store that is drained."""
        data_dir = None
        if self.service is not None:
            self.service.stop()
            data_dir = self.service.data_dir
        config = CONFIG.format(
            default=default,
            rules=self.rules,
            objects=draining == "objects",
            ceph=draining == "ceph",
            auth=self.swift.auth_url,
            user=USER,
            key=KEY,
            container=self.container,
            conf=self.ceph.conf,
        )
        self.service = self.make(config, data_dir=data_dir)
        self.service.start()

    def command(self, *words: str) -> str:
        """Run a command beside the service."""
        command = [sys.executable, "-m", "glancekit.cli"]
        command += ["--config-file", str(self.service.config), *words]
        where = os.environ | {"OS_DEFAULT__DATA_DIR": str(self.service.data_dir)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=where)
        assert done.stdout and done.returncode in (0, 1), done.stderr
        self.said = done.stderr
        return done.stdout

    def audit(self, image_id: str) -> dict[str, tuple[str, bool]]:
        """Read all copies of an image; return for each store what was found, and if mended."""
        rows = json.loads(self.command("audit", "run", image_id, "-f", "json"))
        return {row["store"]: (row["finding"], row["repaired"]) for row in rows}

    def stores_of(self, image_id: str) -> set[str]:
        return {*self.service.show(image_id)["stores"].split(",")}

    def place_until(self, image_id: str, stores: set[str]) -> None:
        """Make the rules true until the image is in these stores."""

        def are_true() -> bool:
            self.command("periodic", "run", "placement")
            return self.stores_of(image_id) == stores

        self.service.wait_for(are_true)

    def stored_twice(self) -> str:
        """Make an image, whose second copy the rule makes."""
        image_id: str = self.service.create()
        assert self.service.upload(image_id, DATA).status_code == 204
        self.place_until(image_id, {"objects", "ceph"})
        return image_id

    # -- from outside

    def in_swift(self, method: str, image_id: str = "", data: bytes = b"") -> requests.Response:
        """Ask the Swift for an image's object, or for the container."""
        login = {"X-Auth-User": USER, "X-Auth-Key": KEY}
        given = requests.get(self.swift.auth_url, headers=login, timeout=30).headers
        url = f"{given['X-Storage-Url']}/{self.container}/{image_id}".rstrip("/")
        token = {"X-Auth-Token": given["X-Auth-Token"]}
        return requests.request(method, url, data=data, headers=token, timeout=60)

    def in_ceph(self, image_id: str) -> bytes | None:
        """Return what an image holds in the Ceph; None when it is not there."""
        rbd = bindings().rbd
        with self.ceph.client("glance").open_ioctx("images") as pool:
            if image_id not in rbd.RBD().list(pool):
                return None
            with rbd.Image(pool, image_id, read_only=True) as image:
                return bytes(image.read(0, image.size()))


@pytest.fixture(scope="module")
def place(
    make_lasting_service: Callable[..., Any],
    swift: Any,
    ceph: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    rules = tmp_path_factory.mktemp("rules") / "placement.yaml"
    rules.write_text(RULES)
    place = Place(make_lasting_service, swift, ceph, rules, f"images-{uuid.uuid4().hex}")
    place.start()
    yield place
    ceph.disconnect()


FLIPPED = DATA[:1000] + bytes([DATA[1000] ^ 1]) + DATA[1001:]


def flip_in_swift(place: Place, image_id: str) -> None:
    assert place.in_swift("PUT", image_id, FLIPPED).status_code == 201


def delete_in_swift(place: Place, image_id: str) -> None:
    assert place.in_swift("DELETE", image_id).status_code == 204


def flip_in_ceph(place: Place, image_id: str) -> None:
    """Change a byte below the snapshot, where no client of rbd would."""
    rbd = bindings().rbd
    with place.ceph.client("glance").open_ioctx("images") as pool:
        with rbd.Image(pool, image_id, read_only=True) as image:
            prefix = image.stat()["block_name_prefix"]
        pool.write(f"{prefix}.{0:016x}", FLIPPED[1000:1001], 1000)
    assert place.in_ceph(image_id) == FLIPPED


def delete_in_ceph(place: Place, image_id: str) -> None:
    rbd = bindings().rbd
    with place.ceph.client("glance").open_ioctx("images") as pool:
        with rbd.Image(pool, image_id) as image:
            image.unprotect_snap("snap")
            image.remove_snap("snap")
        rbd.RBD().remove(pool, image_id)


SPOIL = {
    "flip-objects": (flip_in_swift, "bad"),
    "delete-objects": (delete_in_swift, "missing"),
    "flip-ceph": (flip_in_ceph, "bad"),
    "delete-ceph": (delete_in_ceph, "missing"),
}


@pytest.mark.parametrize("deed", list(SPOIL))
def test_one_of_two_copies_is_found_and_made_anew(place: Place, deed: str) -> None:
    spoil, finding = SPOIL[deed]
    store = deed.partition("-")[2]
    other = {"objects": "ceph", "ceph": "objects"}[store]
    image_id = place.stored_twice()
    assert place.audit(image_id) == {"objects": ("good", False), "ceph": ("good", False)}
    spoil(place, image_id)
    first = place.audit(image_id)
    assert first == {other: ("good", False), store: ("good", True)}
    assert f"image {image_id}, store {store}: the copy was {finding}" in place.said
    assert place.audit(image_id) == {"objects": ("good", False), "ceph": ("good", False)}
    assert place.in_swift("GET", image_id).content == DATA
    assert place.in_ceph(image_id) == DATA
    assert place.service.download(image_id) == DATA
    assert place.service.show(image_id)["status"] == "active"
    url = f"{place.service.url}/v2/images/{image_id}"
    assert requests.delete(url, timeout=60).status_code == 204
    assert place.in_ceph(image_id) is None
    assert image_id not in place.in_swift("GET").text


@pytest.mark.parametrize("draining", ["objects", "ceph"])
def test_a_store_that_is_drained_has_no_copy_at_the_end(place: Place, draining: str) -> None:
    other = {"objects": "ceph", "ceph": "objects"}[draining]
    image_ids = [place.stored_twice() for _ in "ab"]
    place.start(draining=draining, default=other)
    try:
        for image_id in image_ids:
            place.place_until(image_id, {other, "local"})
            assert place.service.download(image_id) == DATA
            in_swift, in_ceph = place.in_swift("GET", image_id), place.in_ceph(image_id)
            assert (in_swift.status_code, in_ceph) == (
                (404, DATA) if draining == "objects" else (200, None)
            )
        for image_id in image_ids:
            url = f"{place.service.url}/v2/images/{image_id}"
            assert requests.delete(url, timeout=60).status_code == 204
    finally:
        place.start()
