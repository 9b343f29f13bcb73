# SPDX-License-Identifier: Apache-2.0
"""Quotas of the running service: two processes, many uploads at once, and some that die."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from glancekit_keystone_auth.testing import PASSWORD, RealKeystone

MIB = 1 << 20
LIMIT = 4 * MIB
PROJECT = "p1"

CONFIG = f"""
[DEFAULT]
user_storage_quota = {LIMIT}B
[auth]
driver = trusted
[quotas]
image_count_total = 60
"""
IDENTITY = {
    "X-Identity-Status": "Confirmed",
    "X-Project-Id": PROJECT,
    "X-User-Id": "u",
    "X-Roles": "member,reader",
}


@pytest.fixture
def service(make_service: Callable[..., Any]) -> Any:
    service = make_service(CONFIG)
    service.start()
    return service


def create(service: Any) -> str:
    body = {"disk_format": "raw", "container_format": "bare"}
    answer = requests.post(f"{service.url}/v2/images", json=body, headers=IDENTITY, timeout=60)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 40_000):
        yield data[start : start + 40_000]


def upload(service: Any, image_id: str, data: bytes, *, chunked: bool) -> int:
    body: Any = pieces(data) if chunked else data
    return int(service.upload(image_id, body, **IDENTITY).status_code)


def all_images(service: Any) -> list[dict[str, Any]]:
    answer = requests.get(f"{service.url}/v2/images?limit=1000", headers=IDENTITY, timeout=60)
    return list(answer.json()["images"])


def stored(service: Any) -> int:
    """Return how many bytes the project's images have."""
    return sum(image["size"] or 0 for image in all_images(service))


def usage(service: Any) -> dict[str, dict[str, int]]:
    answer = requests.get(f"{service.url}/v2/info/usage", headers=IDENTITY, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["usage"])


def glancekit(service: Any, *arguments: str) -> list[dict[str, Any]]:
    """Run a command on the service's data, as its operator would."""
    command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(service.config)]
    environment = {**os.environ, "OS_DEFAULT__DATA_DIR": str(service.data_dir)}
    found = subprocess.run(
        [*command, *arguments, "-f", "json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return list(json.loads(found.stdout))


def assert_usage_is_true(service: Any, bytes_used: int) -> None:
    """The sums that were kept are those of a count, to the byte."""
    (counted,) = glancekit(service, "quota", "recount")
    assert not counted["mended"], counted
    assert f"image_size_total={bytes_used}," in counted["true"]
    assert "image_count_uploading=0" in counted["true"]


def test_fifty_uploads_at_the_edge_never_exceed_it(service: Any) -> None:
    choose = random.Random(20)
    sizes = [choose.randrange(1, 200_000) for _ in range(50)]
    ids = [create(service) for _ in sizes]

    def attempt(number: int) -> tuple[int, int]:
        data = bytes(sizes[number])
        return sizes[number], upload(service, ids[number], data, chunked=number % 2 == 0)

    with ThreadPoolExecutor(50) as pool:
        outcomes = [pool.submit(attempt, number) for number in range(len(sizes))]
        while not all(outcome.done() for outcome in outcomes):
            assert stored(service) <= LIMIT
    done = [outcome.result() for outcome in outcomes]
    assert {status for _, status in done} == {204, 413}
    full = sum(size for size, status in done if status == 204)
    assert full == stored(service) <= LIMIT
    assert_usage_is_true(service, full)
    # No refused upload has kept anything: what is left of the limit can be used to the last byte.
    refused = [image for image in all_images(service) if image["status"] == "queued"]
    rest = LIMIT - full
    assert upload(service, refused[0]["id"], bytes(rest + 1), chunked=False) == 413
    assert upload(service, refused[0]["id"], bytes(rest + 1), chunked=True) == 413
    assert upload(service, refused[0]["id"], bytes(rest), chunked=True) == 204
    assert usage(service)["image_size_total"] == {"usage": 4, "limit": 4}
    assert upload(service, refused[1]["id"], b"x", chunked=False) == 413


def test_images_are_counted_exactly(service: Any) -> None:
    def attempt(_: int) -> int:
        body = {"name": "i"}
        url = f"{service.url}/v2/images"
        return requests.post(url, json=body, headers=IDENTITY, timeout=60).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(attempt, range(80)))
    assert (statuses.count(201), statuses.count(413)) == (60, 20)
    assert usage(service)["image_count_total"] == {"usage": 60, "limit": 60}


def begin(service: Any, image_id: str, framing: str, body: bytes) -> socket.socket:
    """Send the head of an upload and a part of its body, and keep the line open."""
    line = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    headers = "".join(f"{name}: {value}\r\n" for name, value in IDENTITY.items())
    head = (
        f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: localhost\r\n{headers}"
        f"Content-Type: application/octet-stream\r\n{framing}\r\n\r\n"
    )
    line.sendall(head.encode() + body)
    return line


def test_what_killed_uploads_had_reserved_comes_back(service: Any) -> None:
    half = LIMIT // 2
    part = bytes(MIB)
    known, chunked = create(service), create(service)
    lines = [
        begin(service, known, f"Content-Length: {half}", part),
        begin(service, chunked, "Transfer-Encoding: chunked", b"100000\r\n" + part + b"\r\n"),
    ]
    service.wait_for(lambda: usage(service)["image_count_uploading"]["usage"] == 2)
    service.wait_for(lambda: usage(service)["image_size_total"]["usage"] >= 3)
    third = create(service)
    assert upload(service, third, bytes(half), chunked=False) == 413
    for worker in workers_of(service.process.pid):
        os.kill(worker, signal.SIGKILL)
    for line in lines:
        line.close()
    service.wait_for(lambda: _is_free(service))
    assert_usage_is_true(service, 0)
    assert upload(service, third, bytes(LIMIT), chunked=True) == 204
    assert_usage_is_true(service, LIMIT)


def test_a_power_cut_returns_what_was_reserved(service: Any) -> None:
    image_id = create(service)
    line = begin(service, image_id, f"Content-Length: {LIMIT}", bytes(MIB))
    service.wait_for(lambda: usage(service)["image_size_total"]["usage"] == 4)
    service.kill()
    line.close()
    service.start()
    service.wait_for(lambda: _is_free(service))
    assert upload(service, image_id, bytes(LIMIT), chunked=False) == 204
    assert_usage_is_true(service, LIMIT)


def _is_free(service: Any) -> bool:
    try:
        found = usage(service)
    except requests.ConnectionError:
        return False
    return found["image_size_total"]["usage"] == found["image_count_uploading"]["usage"] == 0


def workers_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


KEYSTONE_LIMITS = """
[DEFAULT]
use_keystone_limits = true
user_storage_quota = 1B
[auth]
driver = trusted
[oslo_limit]
auth_url = {url}
username = glance
password = {password}
user_domain_id = default
system_scope = all
endpoint_id = {endpoint}
limit_cache_time = 0
http_connect_timeout = 2
"""


@pytest.fixture
def limited(keystone: RealKeystone) -> RealKeystone:
    """A Keystone in which each project may have one image, and one MiB for it."""
    keystone.make_endpoint("image", "http://127.0.0.1:9292")
    keystone.make_user("glance", "service", "reader")
    user, role = keystone.id_of("user", "glance"), keystone.id_of("role", "reader")
    keystone.call("PUT", f"/system/users/{user}/roles/{role}")
    (service,) = keystone.call("GET", "/services?type=image")["services"]
    registered = [
        {
            "service_id": service["id"],
            "region_id": "RegionOne",
            "resource_name": name,
            "default_limit": 1,
        }
        for name in ("image_size_total", "image_count_total", "image_count_uploading")
    ]
    keystone.call("POST", "/registered_limits", {"registered_limits": registered})
    return keystone


def test_limits_of_keystone(make_service: Callable[..., Any], limited: RealKeystone) -> None:
    keystone = limited
    endpoints = keystone.call("GET", "/endpoints")["endpoints"]
    endpoint = next(one["id"] for one in endpoints if one["url"].endswith(":9292"))
    config = KEYSTONE_LIMITS.format(url=keystone.url, password=PASSWORD, endpoint=endpoint)
    service = make_service(config)
    service.start()
    image_id = create(service)
    url, body = f"{service.url}/v2/images", {"disk_format": "raw", "container_format": "bare"}
    assert requests.post(url, json=body, headers=IDENTITY, timeout=60).status_code == 413
    assert upload(service, image_id, bytes(MIB + 1), chunked=False) == 413
    assert upload(service, image_id, bytes(MIB), chunked=True) == 204
    assert usage(service) == {
        "image_size_total": {"usage": 1, "limit": 1},
        "image_stage_total": {"usage": 0, "limit": 0},
        "image_count_total": {"usage": 1, "limit": 1},
        "image_count_uploading": {"usage": 0, "limit": 1},
    }
    keystone.stop()
    unknown = {**IDENTITY, "X-Project-Id": "p2"}
    refused = requests.post(url, json=body, headers=unknown, timeout=60)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    shown = requests.get(f"{url}/{image_id}", headers=IDENTITY, timeout=60)
    assert shown.json()["status"] == "active"
    deleted = requests.delete(f"{url}/{image_id}", headers=IDENTITY, timeout=60)
    assert deleted.status_code == 204
