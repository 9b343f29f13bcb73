# SPDX-License-Identifier: Apache-2.0
"""The cache's routes, those of today and the older ones, on a service that has a cache."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glancekit.testing.client import Client

PATIENCE = 20.0
DATA = os.urandom(200_000)
CLEAR = "x-image-cache-clear-target"


@pytest.fixture
def admin(build: Callable[..., Client], tmp_path: Path) -> Client:
    client = build(
        image_cache_dir=str(tmp_path / "cache"), worker_self_reference_url="http://node1:9292"
    )
    return client.as_project("p", roles="admin,member,reader")


@pytest.fixture
def image(admin: Client) -> str:
    return new_image(admin)


def new_image(client: Client) -> str:
    image_id = str(client.create()["id"])
    assert client.upload(image_id, DATA).status == 204
    return image_id


def cached(client: Client) -> list[str]:
    answer = client.get("/v2/cache")
    assert answer.status == 200
    return [entry["image_id"] for entry in answer.json["cached_images"]]


def until(claim: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not claim():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def cache(client: Client, image_id: str) -> None:
    assert client.request("PUT", f"/v2/cache/{image_id}").status == 202
    until(lambda: image_id in cached(client))


def test_what_is_queued_is_fetched_and_then_served_from_the_cache(
    admin: Client, image: str
) -> None:
    before = time.time()
    cache(admin, image)
    until(lambda: admin.get("/v2/cache").json["queued_images"] == [])
    assert admin.get(f"/v2/images/{image}/file").body == DATA
    (entry,) = admin.get("/v2/cache").json["cached_images"]
    assert (entry["size"], entry["hits"]) == (len(DATA), 1)
    assert before - 5 < entry["last_modified"] <= entry["last_accessed"] < time.time() + 5
    part = admin.get(f"/v2/images/{image}/file", range="bytes=10-19")
    assert (part.status, part.body) == (206, DATA[10:20])
    figures = admin.get("/v2/cache/stats").json
    assert (figures["images"], figures["used"], figures["queued"]) == (1, len(DATA), 0)
    assert figures["counts"]["hits"] == 2
    assert figures["node"] == "http://node1:9292"


def test_what_cannot_be_cached_is_refused(admin: Client) -> None:
    waiting = admin.create()["id"]
    assert admin.request("PUT", f"/v2/cache/{waiting}").status == 400
    assert admin.request("PUT", f"/v2/cache/{uuid.uuid4()}").status == 404


def test_one_is_forgotten(admin: Client, image: str) -> None:
    cache(admin, image)
    assert admin.delete(f"/v2/cache/{image}").status == 204
    assert cached(admin) == []
    assert admin.delete(f"/v2/cache/{image}").status == 204
    assert admin.delete(f"/v2/cache/{uuid.uuid4()}").status == 404


@pytest.mark.parametrize(("target", "kept"), [(None, 0), ("", 0), ("cache", 0), ("queue", 1)])
def test_all_are_forgotten(admin: Client, image: str, target: str | None, kept: int) -> None:
    cache(admin, image)
    headers = {} if target is None else {CLEAR: target}
    assert admin.request("DELETE", "/v2/cache", headers=headers).status == 204
    assert len(cached(admin)) == kept
    assert admin.request("DELETE", "/v2/cache", headers={CLEAR: "both"}).status == 400


def test_a_deleted_image_is_not_cached_any_more(admin: Client, image: str) -> None:
    cache(admin, image)
    assert admin.delete(f"/v2/images/{image}").status == 204
    assert cached(admin) == []


def test_the_nodes_that_have_it(admin: Client, image: str) -> None:
    assert admin.get(f"/v2/cache/nodes/{image}").json == []
    cache(admin, image)
    assert admin.get(f"/v2/cache/nodes/{image}").json == ["http://node1:9292"]
    assert admin.get(f"/v2/cache/nodes/{uuid.uuid4()}").status == 404


def test_cleaning_and_pruning(admin: Client, image: str, tmp_path: Path) -> None:
    cache(admin, image)
    cleaned = admin.request("POST", "/v2/cache/clean")
    assert (cleaned.status, cleaned.body) == (200, b"")
    pruned = admin.request("POST", "/v2/cache/prune")
    assert pruned.json == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    assert cached(admin) == [image]


def test_the_older_paths(admin: Client, image: str) -> None:
    assert admin.get("/v2/queued_images").json == {"queued_images": []}
    asked = admin.request("PUT", f"/v2/queued_images/{image}")
    assert (asked.status, asked.json) == (200, None)
    until(lambda: admin.get("/v2/cached_images").json["cached_images"])
    (entry,) = admin.get("/v2/cached_images").json["cached_images"]
    assert entry["image_id"] == image
    gone = admin.delete(f"/v2/cached_images/{image}")
    assert (gone.status, gone.json) == (200, None)
    assert admin.delete("/v2/cached_images").json == {"num_deleted": 0}
    assert admin.delete(f"/v2/queued_images/{image}").status == 200
    assert admin.delete("/v2/queued_images").json == {"num_deleted": 0}


def test_versions_tell_of_the_cache(admin: Client) -> None:
    versions = admin.get("/versions").json["versions"]
    names = [one["id"] for one in versions]
    assert names[:5] == ["v2.18", "v2.17", "v2.16", "v2.15", "v2.14"]
    assert [one["id"] for one in versions if one["status"] == "CURRENT"] == ["v2.18"]
    assert admin.get("/v2.18/cache").status == 200


def test_a_cache_that_cannot_be_used_costs_the_cache_alone(
    build: Callable[..., Client], tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    for options in (
        {"image_cache_dir": str(in_the_way)},
        {"image_cache_dir": str(tmp_path / "c"), "image_cache_policy": "no-such"},
    ):
        client = build(**options).as_project("p", roles="admin,member,reader")
        image = new_image(client)
        assert client.get(f"/v2/images/{image}/file").body == DATA
        assert client.get("/v2/cache").status == 404
