# SPDX-License-Identifier: Apache-2.0
"""Where data is: registered, shown, changed by PATCH, and deleted from one store."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from glancekit.testing.client import Client

DATA = b"what a snapshot left in the store" * 100
SHA256 = hashlib.sha256(DATA).hexdigest()

Build = Callable[..., Client]


@dataclass
class Place:
    """A service with two stores, and how to put data into one behind its back."""

    client: Client
    folders: dict[str, Path]

    def put(self, store: str, data: bytes = DATA) -> str:
        """Return the URL of new data."""
        path = self.folders[store] / uuid.uuid4().hex
        path.write_bytes(data)
        return f"file://{path}"


@pytest.fixture
def place(build: Build, tmp_path: Path) -> Place:
    """A service with the stores ``one`` and ``two``."""
    return make_place(build, tmp_path)


def make_place(build: Build, tmp_path: Path, **options: Any) -> Place:
    folders = {name: tmp_path / name for name in ("one", "two")}
    for folder in folders.values():
        folder.mkdir()
    others = {(name, "filesystem_store_datadir"): str(path) for name, path in folders.items()}
    client = build(
        {**others, ("glance_store", "default_backend"): "one"},
        enabled_backends={name: "file" for name in folders},
        **options,
    )
    return Place(client, folders)


@pytest.fixture
def nova(place: Place) -> Client:
    """A service that acts for the project p."""
    return place.client.as_project("p", roles="member,reader,service")


@pytest.fixture
def boss(place: Place) -> Client:
    """An administrator."""
    return place.client.as_project("ops", roles="admin,member,reader")


def settled(client: Client, image_id: str) -> dict[str, Any]:
    """Wait for the end of the image's task."""
    deadline = time.monotonic() + 30
    while True:
        (task,) = client.get(f"/v2/images/{image_id}/tasks").json["tasks"]
        if task["status"] in ("success", "failure"):
            return dict(task)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_registered_without_a_digest(place: Place, nova: Client) -> None:
    image, url = nova.create(), place.put("two")
    locations = f"/v2/images/{image['id']}/locations"
    answer = nova.post(locations, {"url": url})
    assert (answer.status, answer.body) == (202, b"")
    assert "content-type" not in answer.headers
    task = settled(nova, image["id"])
    assert (task["type"], task["status"]) == ("location_import", "success")
    assert task["input"]["loc_url"] == url
    shown = nova.show(image["id"])
    assert (shown["status"], shown["size"], shown["stores"]) == ("active", len(DATA), "two")
    assert shown["checksum"] == hashlib.md5(DATA).hexdigest()
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert nova.download(image["id"]).body == DATA
    assert nova.get(locations).json == [{"url": url, "metadata": {"store": "two"}}]


def test_registered_with_a_digest(place: Place, nova: Client) -> None:
    for value, status in ((SHA256, "active"), ("0" * 64, "queued")):
        image, url = nova.create(), place.put("one")
        said = digest("sha256", value)
        answer = nova.post(
            f"/v2/images/{image['id']}/locations", {"url": url, "validation_data": said}
        )
        assert answer.status == 202
        settled(nova, image["id"])
        assert nova.show(image["id"])["status"] == status


def digest(algorithm: str, value: str) -> dict[str, str]:
    return {"os_hash_algo": algorithm, "os_hash_value": value}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"url": 7},
        {"url": ""},
        {"url": "file:///nowhere/at/all"},
        {"url": "swift+config://a/b/c"},
        {"url": "file:///x", "validation_data": {"os_hash_algo": "sha256"}},
        {"url": "file:///x", "validation_data": {"os_hash_value": "0" * 64}},
        {"url": "file:///x", "validation_data": digest("no", SHA256)},
        {
            "url": "file:///x",
            "validation_data": {"os_hash_algo": "sha512", "os_hash_value": SHA256},
        },
        {
            "url": "file:///x",
            "validation_data": {"os_hash_algo": "md5", "os_hash_value": "g" * 32},
        },
        {"url": "file:///x", "metadata": {}},
    ],
)
def test_what_cannot_be_registered(nova: Client, body: Any) -> None:
    image = nova.create()
    assert nova.post(f"/v2/images/{image['id']}/locations", body).status == 400


def test_who_may_register_and_see(place: Place, nova: Client, boss: Client) -> None:
    image, url = nova.create(), place.put("one")
    locations = f"/v2/images/{image['id']}/locations"
    member = place.client.as_project("p")
    for client in (member, boss):
        assert client.post(locations, {"url": url}).status == 403
        assert client.post(locations, {"url": "https://example.org/x"}).status == 403
    assert place.client.as_project("q").post(locations, {"url": url}).status == 404
    assert nova.post(locations, {"url": url}).status == 202
    assert nova.post(locations, {"url": url}).status == 409
    assert member.get(locations).status == 403
    assert boss.get(locations).status == 200
    (task,) = member.get(f"/v2/images/{image['id']}/tasks").json["tasks"]
    assert url not in str(task)
    wrong = nova.delete(locations)
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, POST")
    settled(nova, image["id"])


def test_deleted_from_one_store(place: Place, nova: Client, boss: Client, build: Build) -> None:
    image = nova.create_active(DATA)
    assert boss.delete(f"/v2/stores/two/{image['id']}").status == 404
    assert boss.delete(f"/v2/stores/one/{image['id']}").status == 403
    assert boss.delete(f"/v2/stores/three/{image['id']}").status == 409
    assert boss.delete(f"/v2/stores/one/{uuid.uuid4()}").status == 404
    assert nova.delete(f"/v2/stores/one/{image['id']}").status == 403
    assert boss.delete(f"/v2/stores/one/{nova.create()['id']}").status == 409


# -- by PATCH; there is no store of another kind here, and file URLs are refused, so this is about
# -- syntax and rights. What becomes of the copies is tested with memory stores, one room below.


def test_locations_by_patch_are_off(nova: Client) -> None:
    image = nova.create_active()
    for op, path in (("add", "/locations/-"), ("remove", "/locations/0"), ("add", "/locations")):
        operation = {"op": op, "path": path, "value": {"url": "x://y", "metadata": {}}}
        assert nova.patch(image["id"], [operation]).status == 403
    assert "locations" not in nova.show(image["id"])


def test_locations_by_patch(build: Build, tmp_path: Path) -> None:
    place = make_place(build, tmp_path, show_multiple_locations=True)
    client = place.client.as_project("p", roles="admin,member,reader")
    image = client.create_active(DATA)
    (location,) = client.show(image["id"])["locations"]
    assert location["metadata"] == {"store": "one"}

    def patch(op: str, path: str, value: Any = None) -> int:
        operation = {"op": op, "path": path, "value": value}
        return client.patch(image["id"], [operation]).status

    described = {**location, "metadata": {"store": "one", "rack": "7"}}
    assert patch("replace", "/locations", [described]) == 200
    assert client.show(image["id"])["locations"] == [described]
    assert patch("replace", "/locations", []) == 403
    assert patch("replace", "/locations", [{"url": "x://y", "metadata": {}}]) == 400
    assert patch("replace", "/locations/0", described) == 400
    assert patch("replace", "/locations", "x") == 400
    assert patch("add", "/locations", described) == 400
    assert patch("add", "/locations/x", described) == 400
    assert patch("add", "/locations/-", {"url": "x://y"}) == 400
    assert patch("add", "/locations/-", described) == 400
    assert patch("add", "/locations/-", {"url": place.put("two"), "metadata": {}}) == 400
    assert patch("remove", "/locations/1") == 400
    assert patch("remove", "/locations/-") == 400
    assert patch("remove", "/locations/0") == 403
    mixed = [
        {"op": "replace", "path": "/name", "value": "n"},
        {"op": "replace", "path": "/locations", "value": [location]},
    ]
    assert client.patch(image["id"], mixed).status == 400
    assert client.show(image["id"])["name"] is None
