# SPDX-License-Identifier: Apache-2.0
"""Many clients on the embedded default: no 5xx, and no image lost from a list that changes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

CLIENTS = 16
ROUNDS = 8


def test_sixteen_clients_at_once_get_no_server_error(service: Any) -> None:
    def live(number: int) -> list[int]:
        seen: list[int] = []
        with requests.Session() as session:
            session.hooks["response"] = [lambda answer, **_: seen.append(answer.status_code)]
            for turn in range(ROUNDS):
                _one_life(session, service.url, f"{number}-{turn}")
        return seen

    with ThreadPoolExecutor(CLIENTS) as pool:
        codes = [code for seen in pool.map(live, range(CLIENTS)) for code in seen]
    assert len(codes) == CLIENTS * ROUNDS * 7
    assert [code for code in codes if code >= 400] == [], service.log
    assert service.files() == []


def test_a_rush_is_served_one_after_the_other(make_service: Any) -> None:
    service = make_service("[server]\nthreads = 24\nreserved_threads = 20\n")
    service.start()

    def create(number: int) -> list[int]:
        body = {"name": f"image {number}", "disk_format": "raw", "container_format": "bare"}
        with requests.Session() as session:
            posts = (
                session.post(f"{service.url}/v2/images", json=body, timeout=60) for _ in "123"
            )
            return [post.status_code for post in posts]

    with ThreadPoolExecutor(4 * CLIENTS) as pool:
        codes = [code for seen in pool.map(create, range(4 * CLIENTS)) for code in seen]
    assert codes == [201] * len(codes), service.log


def _one_life(session: requests.Session, url: str, name: str) -> None:
    data = os.urandom(200_000)
    body = {"name": name, "disk_format": "raw", "container_format": "bare", "tags": [name]}
    image = session.post(f"{url}/v2/images", json=body, timeout=60).json()
    path = f"{url}/v2/images/{image['id']}"
    octets = {"Content-Type": "application/octet-stream"}
    session.put(f"{path}/file", data=data, headers=octets, timeout=60)
    assert session.get(f"{path}/file", timeout=60).content == data
    patch = [{"op": "add", "path": "/colour", "value": "blue"}]
    media = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    assert session.patch(path, json=patch, headers=media, timeout=60).json()["colour"] == "blue"
    session.get(f"{url}/v2/images", params={"limit": 10}, timeout=60)
    found = session.get(f"{url}/v2/images", params={"tag": name}, timeout=60).json()["images"]
    assert [each["id"] for each in found] == [image["id"]]
    session.delete(path, timeout=60)


@pytest.mark.parametrize(
    "sort",
    [
        "name:asc",
        "name:desc",
        "size:asc",
        "size:desc",
        "disk_format:asc",
        "container_format:desc,name:asc",
        "status:asc",
        "updated_at:asc",
        "created_at:asc",
        "id:desc",
        "size:asc,disk_format:desc",
    ],
)
def test_paging_visits_every_image_once_while_others_come_and_go(service: Any, sort: str) -> None:
    steady = {_make(service, number) for number in range(40)}
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            mine = [_make(service, number) for number in range(4)]
            for image_id in mine:
                requests.delete(f"{service.url}/v2/images/{image_id}", timeout=30)

    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(churn) for _ in range(2)]
        try:
            seen = _page_through(service.url, sort)
        finally:
            stop.set()
        for other in others:
            other.result()
    kept = [image_id for image_id in seen if image_id in steady]
    assert len(kept) == len(set(kept)) == len(steady)


def _make(service: Any, number: int) -> str:
    """Make an image whose attributes are null in turn."""
    fields: dict[str, Any] = {"name": None if number % 3 == 0 else f"n{number % 5}"}
    if number % 4 == 0:
        fields["disk_format"] = None
    if number % 5 == 0:
        fields["container_format"] = None
    return str(service.create(**fields))


def _page_through(url: str, sort: str) -> list[str]:
    seen: list[str] = []
    following: str | None = f"/v2/images?limit=7&sort={sort}"
    while following:
        answer = requests.get(url + following, timeout=30)
        if answer.status_code == 400 and "marker" in following:  # the marker was just deleted
            return _page_through(url, sort)
        page = answer.json()
        seen += [image["id"] for image in page["images"]]
        following = page.get("next")
    return seen
