# SPDX-License-Identifier: Apache-2.0
"""Images in a real Swift through the whole service: what clients see of segments, signed URLs and
a server that goes away, and what they do not: who the service is there.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from glancekit_swift_store.testing import KEY, USER, RealSwift

MB = 1_024_000
DATA = os.urandom(3 * MB + 321)
"""Four segments, the last of which is not full."""

CONFIG = """
[DEFAULT]
enabled_backends = objects:swift
show_multiple_locations = true
show_image_direct_url = true
[glance_store]
default_backend = objects
[objects]
swift_store_auth_address = {auth}
swift_store_auth_version = 1
swift_store_user = {user}
swift_store_key = {key}
swift_store_container = {container}
swift_store_create_container_on_put = true
swift_store_large_object_size = 1
swift_store_large_object_chunk_size = 1
swift_store_temp_url_key = signed
swift_store_read_timeout = 2
direct_transfer = asked
"""

TRUSTED = "[auth]\ndriver = trusted\n"
NOVA = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "nova",
    "X-Project-Id": "demo",
    "X-Roles": "member,reader,service",
}


@dataclass
class Place:
    """A running service, its Swift, and the container between them."""

    service: Any
    swift: RealSwift
    container: str

    def ask(self, method: str, path: str = "", **headers: str) -> requests.Response:
        """Ask the Swift for something below the account."""
        login = requests.get(
            self.swift.auth_url, headers={"X-Auth-User": USER, "X-Auth-Key": KEY}, timeout=30
        )
        return requests.request(
            method,
            login.headers["X-Storage-Url"] + path,
            headers={"X-Auth-Token": login.headers["X-Auth-Token"], **headers},
            timeout=30,
        )

    def objects(self) -> list[str]:
        """List what is in the container."""
        return self.ask("GET", f"/{self.container}").text.split()


@pytest.fixture(scope="module")
def place(make_lasting_service: Callable[..., Any], swift: RealSwift) -> Place:
    container = f"images-{uuid.uuid4().hex}"
    config = CONFIG.format(auth=swift.auth_url, user=USER, key=KEY, container=container)
    service = make_lasting_service(config)
    service.start()
    return Place(service, swift, container)


def get(place: Place, image_id: str, **headers: str) -> requests.Response:
    url = f"{place.service.url}/v2/images/{image_id}/file"
    return requests.get(url, headers=headers, timeout=60, allow_redirects=False)


@pytest.mark.parametrize("size_known", [True, False])
def test_an_image_goes_there_and_back(place: Place, size_known: bool) -> None:
    service = place.service
    image_id = service.create()
    assert service.upload(image_id, DATA if size_known else iter([DATA])).status_code == 204
    shown = service.show(image_id)
    assert shown["status"] == "active"
    assert shown["size"] == len(DATA)
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert len(place.objects()) == 5
    assert service.download(image_id) == DATA
    part = get(place, image_id, Range=f"bytes={MB - 2}-{MB + 1}")
    assert part.status_code == 206
    assert part.content == DATA[MB - 2 : MB + 2]
    assert requests.delete(f"{service.url}/v2/images/{image_id}", timeout=60).status_code == 204
    assert place.objects() == []


def test_who_asks_is_sent_to_a_signed_url(place: Place) -> None:
    place.ask("POST", **{"X-Account-Meta-Temp-URL-Key": "signed"})
    image_id = place.service.create()
    assert place.service.upload(image_id, DATA).status_code == 204
    sent = get(place, image_id, Prefer="direct-transfer")
    assert sent.status_code in (302, 303, 307)
    assert sent.headers["Location"].startswith(place.swift.url)
    assert requests.get(sent.headers["Location"], timeout=60).content == DATA


def test_nobody_sees_who_the_service_is_there(place: Place) -> None:
    service = place.service
    image_id = service.create()
    assert service.upload(image_id, b"data").status_code == 204
    shown = requests.get(f"{service.url}/v2/images/{image_id}", timeout=30)
    assert shown.json()["direct_url"] == f"swift+config://ref1/{place.container}/{image_id}"
    stores = requests.get(f"{service.url}/v2/info/stores/detail", timeout=30)
    for text in (shown.text, stores.text, service.log):
        assert KEY not in text
        assert USER not in text
        assert "X-Auth-Token: AUTH" not in text


def test_a_server_that_goes_away_midway_leaves_the_image_queued(place: Place) -> None:
    """An upload fails as one that can be tried again, and then it works: on the same service."""
    service, swift = place.service, place.swift
    image_id = service.create()
    before = place.objects()

    def pieces() -> Iterator[bytes]:
        yield DATA[: 2 * MB]
        swift.stop()
        yield DATA[2 * MB :]

    answer = service.upload(image_id, pieces())
    assert answer.status_code == 503, answer.text
    assert service.status(image_id) == "queued"
    for text in (answer.text, service.log):
        assert KEY not in text
    swift.start()
    service.wait_for(lambda: service.upload(image_id, DATA).status_code == 204)
    assert service.download(image_id) == DATA
    segments = [name for name in place.objects() if name.startswith(image_id)]
    assert requests.delete(f"{service.url}/v2/images/{image_id}", timeout=60).status_code == 204
    service.wait_for(lambda: place.objects() == before, seconds=90)
    assert len(segments) >= 5


def test_a_download_from_a_server_that_is_gone_is_told_at_once(place: Place) -> None:
    service, swift = place.service, place.swift
    image_id = service.create()
    assert service.upload(image_id, DATA).status_code == 204
    swift.stop()
    assert get(place, image_id).status_code == 503
    swift.start()
    service.wait_for(lambda: get(place, image_id).content == DATA)


def test_an_old_location_is_read_and_its_password_is_not_shown(
    make_service: Callable[..., Any], swift: RealSwift, place: Place
) -> None:
    """As upstream wrote it, with another user's credentials than the service's own."""
    login = {"X-Auth-User": "admin:admin", "X-Auth-Key": "admin"}
    there = requests.get(swift.auth_url, headers=login, timeout=30).headers
    token = {"X-Auth-Token": there["X-Auth-Token"]}
    for path, data in (("/old", b""), ("/old/1", DATA)):
        answer = requests.put(there["X-Storage-Url"] + path, data, headers=token, timeout=30)
        assert answer.status_code in (201, 202)
    config = CONFIG.format(auth=swift.auth_url, user=USER, key=KEY, container=place.container)
    service = make_service(config + TRUSTED)
    service.start()
    host = swift.url.removeprefix("http://")

    def ask(method: str, path: str, **body: Any) -> requests.Response:
        return requests.request(
            method, service.url + path, json=body or None, headers=NOVA, timeout=60
        )

    image_id = ask("POST", "/v2/images", disk_format="raw", container_format="bare").json()["id"]
    path = f"/v2/images/{image_id}"
    url = f"swift+http://admin%3Aadmin:admin@{host}/auth/v1.0/old/1"
    assert ask("POST", f"{path}/locations", url=url).status_code == 202
    service.wait_for(lambda: ask("GET", path).json()["os_hash_value"] is not None)
    assert ask("GET", f"{path}/file").content == DATA
    shown = f"swift+http://{host}/auth/v1.0/old/1"
    assert ask("GET", path).json()["direct_url"] == shown
    (location,) = ask("GET", f"{path}/locations").json()
    assert location["url"] == shown
    for answer in (ask("GET", path), ask("GET", f"{path}/tasks")):
        assert answer.status_code == 200
        assert ":admin@" not in answer.text
    assert ":admin@" not in service.log
    wrong = url.replace(":admin@", ":hunter2@")
    other = ask("POST", "/v2/images", disk_format="raw", container_format="bare").json()["id"]
    refused = ask("POST", f"/v2/images/{other}/locations", url=wrong)
    assert refused.status_code == 400
    assert "hunter2" not in refused.text + service.log
