# SPDX-License-Identifier: Apache-2.0
"""Images in their owners' own accounts through the whole service, with a real Keystone and a real
Swift: whose account, who reads in Swift itself, imports, and no token that is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from glancekit_swift_store.testing import RealSwift, missing

pytest.importorskip("glancekit_keystone_auth", reason="glancekit-keystone-auth is not installed")

from glancekit_keystone_auth.testing import PASSWORD, RealKeystone

DATA = os.urandom(100_000)

CONFIG = """
[DEFAULT]
enabled_backends = objects:swift
enabled_import_methods = glance-direct
[glance_store]
default_backend = objects
[objects]
swift_store_multi_tenant = true
swift_store_auth_address = {url}
swift_store_user = service:glance
swift_store_key = {password}
[auth]
driver = keystone
auth_url = {url}
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
"""


@dataclass
class Place:
    """A running service between a Keystone and a Swift."""

    service: Any
    keystone: RealKeystone
    swift: RealSwift

    def ask(self, user: str, project: str, method: str, path: str, **more: Any) -> Any:
        """Ask the service as somebody."""
        token = self.keystone.token(user, project)
        headers = {"X-Auth-Token": token, **more.pop("headers", {})}
        answer = requests.request(
            method, f"{self.service.url}/v2{path}", headers=headers, timeout=60, **more
        )
        answer.raise_for_status()
        return answer

    def look(self, user: str, project: str, path: str, method: str = "GET") -> requests.Response:
        """Look into the account of the project demo, without the service."""
        url = self.swift.endpoint % {"project_id": self.keystone.make_project("demo")}
        token = self.keystone.token(user, project)
        headers = {"X-Auth-Token": token}
        return requests.request(method, f"{url}{path}", headers=headers, timeout=60)

    def create(self) -> str:
        """Make an image of the project demo."""
        fields = {"name": "i", "disk_format": "raw", "container_format": "bare"}
        made = self.ask("demo-member", "demo", "POST", "/images", json=fields)
        return str(made.json()["id"])

    def upload(self) -> str:
        """Make one with data."""
        image_id = self.create()
        self.send(image_id, "file")
        return image_id

    def send(self, image_id: str, where: str) -> None:
        """Send data to an image, or to its staging area."""
        kind = {"Content-Type": "application/octet-stream"}
        path = f"/images/{image_id}/{where}"
        self.ask("demo-member", "demo", "PUT", path, data=DATA, headers=kind)

    def containers(self) -> list[str]:
        """List the containers of the project demo."""
        return self.look("demo-member", "demo", "").text.split()


@pytest.fixture(scope="module")
def place(
    make_lasting_service: Callable[..., Any],
    keystone: RealKeystone,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    keystone.make_user("swift", "service", "service", "admin")
    keystone.make_user("other-member", "other", "member")
    keystone.call("POST", "/roles", {"role": {"name": "ResellerAdmin"}})
    keystone.make_user("glance", "service", "ResellerAdmin")
    with RealSwift(tmp_path_factory.mktemp("swift"), keystone=keystone.url) as swift:
        keystone.make_endpoint("object-store", swift.endpoint)
        service = make_lasting_service(CONFIG.format(url=keystone.url, password=PASSWORD))
        service.start()
        yield Place(service, keystone, swift)


def test_an_image_lives_in_its_owners_account(place: Place) -> None:
    image_id = place.upload()
    own = f"glance_{image_id}"
    assert place.containers() == [own]
    assert place.look("demo-member", "demo", f"/{own}/{image_id}").content == DATA
    got = place.ask("demo-member", "demo", "GET", f"/images/{image_id}/file")
    assert got.content == DATA
    place.ask("demo-member", "demo", "DELETE", f"/images/{image_id}")
    assert place.containers() == []


def test_who_may_read_here_may_read_there(place: Place) -> None:
    image_id = place.upload()
    there = f"/glance_{image_id}/{image_id}"
    stranger = ("other-member", "other")

    def status() -> int:
        return place.look(*stranger, there).status_code

    assert status() == 403
    other = {"member": place.keystone.make_project("other")}
    place.ask("demo-member", "demo", "POST", f"/images/{image_id}/members", json=other)
    assert status() == 200
    assert place.ask(*stranger, "GET", f"/images/{image_id}/file").content == DATA
    member = f"/images/{image_id}/members/{other['member']}"
    place.ask("demo-member", "demo", "DELETE", member)
    assert status() == 403
    patch = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    for visibility, expected in (("community", 200), ("private", 403)):
        changes = [{"op": "replace", "path": "/visibility", "value": visibility}]
        path = f"/images/{image_id}"
        place.ask("demo-member", "demo", "PATCH", path, json=changes, headers=patch)
        assert status() == expected
    place.ask("admin", "admin", "DELETE", f"/images/{image_id}")  # of another project
    assert place.containers() == []


def test_an_import_has_no_caller_and_writes_to_the_owners_account(place: Place) -> None:
    image_id = place.create()
    place.send(image_id, "stage")
    asked = {"method": {"name": "glance-direct"}}
    place.ask("demo-member", "demo", "POST", f"/images/{image_id}/import", json=asked)

    def shown() -> Any:
        return place.ask("demo-member", "demo", "GET", f"/images/{image_id}").json()

    place.service.wait_for(lambda: shown()["status"] == "active")
    own = f"glance_{image_id}"
    assert place.containers() == [own]
    assert place.look("demo-member", "demo", f"/{own}/{image_id}").content == DATA
    place.ask("demo-member", "demo", "DELETE", f"/images/{image_id}")
    assert place.containers() == []


def test_no_token_is_written_down(place: Place) -> None:
    token = place.keystone.token("demo-member", "demo")
    headers = {"X-Auth-Token": token, "Content-Type": "application/octet-stream"}
    image_id = place.create()
    url = f"{place.service.url}/v2/images/{image_id}"
    sent = requests.put(f"{url}/file", headers=headers, data=DATA, timeout=60)
    assert sent.status_code == 204
    assert requests.get(f"{url}/file", headers=headers, timeout=60).content == DATA
    assert requests.delete(url, headers=headers, timeout=60).status_code == 204
    place.service.stop()
    kept = [path for path in place.service.data_dir.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if token.encode() in path.read_bytes()]
    place.service.start()
