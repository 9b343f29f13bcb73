# SPDX-License-Identifier: Apache-2.0
"""Clients are sent to the store itself: the released ones, a real S3 server, and what each sees.

A proxy between them and the store writes down what it is asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

DATA = os.urandom(1 << 20)
TOKEN = "a-token-for-the-image-service-alone"
ASK = {"Prefer": "direct-transfer", "X-Auth-Token": TOKEN}

CONFIG = """
[DEFAULT]
enabled_backends = local:file, cloud:s3, disk:file
[glance_store]
default_backend = cloud
[cloud]
s3_store_host = {url}
s3_store_bucket = images
s3_store_access_key = key
s3_store_secret_key = a-secret-that-nobody-sees
s3_store_bucket_url_format = path
direct_transfer = {choice}
[disk]
weight = -1
direct_transfer = always
"""


def running(make: Callable[..., Any], s3: Any, choice: str) -> Any:
    service = make(CONFIG.format(url=s3.url, choice=choice))
    service.start()
    return service


@pytest.fixture(scope="module")
def asked(make_lasting_service: Callable[..., Any], s3: Any) -> Any:
    """A service that sends those to the store who ask for it."""
    return running(make_lasting_service, s3, "asked")


@pytest.fixture(scope="module")
def always(make_lasting_service: Callable[..., Any], s3: Any) -> Any:
    """A service that sends everybody to the s3."""
    return running(make_lasting_service, s3, "always")


def stored(service: Any, s3: Any, **headers: str) -> str:
    image_id: str = service.create()
    assert service.upload(image_id, DATA, **headers).status_code == 204
    s3.asked.clear()
    return image_id


def get(service: Any, image_id: str, **headers: str) -> requests.Response:
    url = f"{service.url}/v2/images/{image_id}/file"
    return requests.get(url, headers=headers, timeout=60, allow_redirects=False)


def test_who_asks_is_sent_and_needs_no_token(asked: Any, s3: Any) -> None:
    image_id = stored(asked, s3)
    answer = get(asked, image_id, **ASK)
    assert (answer.status_code, answer.content) == (307, b"")
    assert answer.headers["Location"].startswith(f"{s3.url}/images/{image_id}?")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Preference-Applied"] == "direct-transfer"
    assert "a-secret-that-nobody-sees" not in answer.headers["Location"]
    assert answer.headers["Location"] not in asked.log
    there = requests.get(answer.headers["Location"], timeout=60)
    assert (there.status_code, there.content) == (200, DATA)
    part = requests.get(answer.headers["Location"], headers={"Range": "bytes=9-99"}, timeout=60)
    assert (part.status_code, part.content) == (206, DATA[9:100])


def test_who_does_not_ask_is_served_here(asked: Any, s3: Any) -> None:
    image_id = stored(asked, s3)
    answer = get(asked, image_id, **{"X-Auth-Token": TOKEN})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert all(TOKEN not in headers.values() for headers in s3.reads(image_id))


def test_a_part_is_asked_for_as_ever(asked: Any, s3: Any) -> None:
    image_id = stored(asked, s3)
    assert get(asked, image_id, **ASK, Range="bytes=9-99").status_code == 307
    beyond = get(asked, image_id, **ASK, Range=f"bytes={len(DATA)}-")
    assert beyond.status_code == 416
    old = get(asked, image_id, **ASK, **{"Content-Range": "bytes 9-99/*"})
    assert (old.status_code, old.content) == (206, DATA[9:100])
    url = f"{asked.url}/v2/images/{image_id}/file"
    assert requests.head(url, headers=ASK, timeout=60).status_code == 405


def test_an_image_that_may_not_be_read_is_not_sent_for(asked: Any, s3: Any) -> None:
    image_id = stored(asked, s3)
    url = f"{asked.url}/v2/images/{image_id}"
    assert requests.post(f"{url}/actions/deactivate", timeout=60).status_code == 204
    administrators = get(asked, image_id, **ASK)
    assert (administrators.status_code, administrators.content) == (200, DATA)
    assert requests.delete(url, timeout=60).status_code == 204
    assert get(asked, image_id, **ASK).status_code == 404


def test_a_copy_that_is_gone_is_not_sent_to(asked: Any, s3: Any) -> None:
    image_id = stored(asked, s3)
    s3.client().delete_object(Bucket="images", Key=image_id)
    assert get(asked, image_id, **ASK).status_code == 404


def test_a_store_without_urls_serves_through_us(asked: Any, s3: Any) -> None:
    image_id = stored(asked, s3, **{"x-image-meta-store": "disk"})
    answer = get(asked, image_id, **ASK)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert s3.reads(image_id) == []


# -- the released clients

SDK = """
import openstack, sys
url, token, image_id, path = words
with openstack.connect(auth_type="admin_token", endpoint=url, token=token,
                       auth={"endpoint": url, "token": token}) as cloud:
    cloud.image.download_image(image_id, output=path)
"""


def commands(service: Any, image_id: str, path: Path) -> dict[str, tuple[str, ...]]:
    """Return how each client downloads an image, with a token."""
    url, versioned = service.url, f"{service.url}/v2"
    return {
        "glance": (
            *("glance", "--os-auth-token", TOKEN, "--os-image-url", url),
            *("image-download", "--file", str(path), image_id),
        ),
        "openstack": (
            *("openstack", "--os-auth-type", "admin_token", "--os-endpoint", versioned),
            *("--os-token", TOKEN, "image", "save", "--file", str(path), image_id),
        ),
        "openstacksdk": ("python", SDK, versioned, TOKEN, image_id, str(path)),
    }


CLIENTS = ("glance", "openstack", "openstacksdk")


@pytest.mark.parametrize("name", CLIENTS)
def test_released_clients_follow_and_show_the_store_their_token(
    programs: Any, always: Any, s3: Any, tmp_path: Path, name: str
) -> None:
    """Why ``always`` is the operator's decision and nobody's default."""
    image_id = stored(always, s3)
    path = tmp_path / "image"
    _, failed, _ = programs.run(*commands(always, image_id, path)[name])
    assert not failed
    assert path.read_bytes() == DATA
    (headers,) = s3.reads(image_id)
    assert headers.get("x-auth-token") == TOKEN


@pytest.mark.parametrize("way", ["a URL", "a cloud"])
def test_our_own_client_follows_and_keeps_its_token(
    always: Any, s3: Any, tmp_path: Path, way: str
) -> None:
    image_id = stored(always, s3)
    path = tmp_path / "image"
    command = [sys.executable, "-m", "glancekit.cli", "image"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    if way == "a URL":
        command += ["--url", always.url, "--token", TOKEN]
    else:
        kept |= {
            "OS_AUTH_TYPE": "admin_token",
            "OS_TOKEN": TOKEN,
            "OS_ENDPOINT": f"{always.url}/v2",
        }
    command += ["save", "--file", str(path), image_id]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == DATA
    (headers,) = s3.reads(image_id)
    assert TOKEN not in headers.values()


@pytest.mark.parametrize("name", CLIENTS)
def test_released_clients_notice_when_the_store_gives_other_bytes(
    programs: Any, always: Any, s3: Any, tmp_path: Path, name: str
) -> None:
    image_id = stored(always, s3)
    other = DATA[:-1] + bytes([DATA[-1] ^ 1])
    s3.client().put_object(Bucket="images", Key=image_id, Body=other)
    _, failed, _ = programs.run(*commands(always, image_id, tmp_path / "image")[name])
    assert failed
    assert len(s3.reads(image_id)) == 1


@pytest.mark.parametrize("name", CLIENTS)
def test_released_clients_are_served_here_where_only_those_who_ask_are_sent(
    programs: Any, asked: Any, s3: Any, tmp_path: Path, name: str
) -> None:
    image_id = stored(asked, s3)
    path = tmp_path / "image"
    _, failed, _ = programs.run(*commands(asked, image_id, path)[name])
    assert not failed
    assert path.read_bytes() == DATA
    assert all(TOKEN not in headers.values() for headers in s3.reads(image_id))


# -- another kind of store

SWIFT = """
[DEFAULT]
enabled_backends = objects:swift
[objects]
swift_store_auth_address = {auth_url}
swift_store_auth_version = 1
swift_store_user = {user}
swift_store_key = {key}
swift_store_container = images
swift_store_create_container_on_put = true
swift_store_large_object_size = 1
swift_store_large_object_chunk_size = 1
swift_store_temp_url_key = a-key-that-nobody-sees
direct_transfer = asked
"""


def test_a_swift_gives_all_segments_of_an_image_by_its_own_url(
    make_lasting_service: Callable[..., Any], swift: Any
) -> None:
    headers = {"X-Storage-User": "test:tester", "X-Storage-Pass": "testing"}
    login = requests.get(swift.auth_url, headers=headers, timeout=60)
    token = {"X-Auth-Token": login.headers["X-Auth-Token"]}
    key = {"X-Account-Meta-Temp-URL-Key": "a-key-that-nobody-sees"}
    account = login.headers["X-Storage-Url"]
    requests.post(account, headers={**token, **key}, timeout=60).raise_for_status()
    config = SWIFT.format(auth_url=swift.auth_url, user="test:tester", key="testing")
    service = make_lasting_service(config)
    service.start()
    image_id = service.create()
    large = DATA * 2 + b"and a last segment of odd length"
    assert service.upload(image_id, large).status_code == 204
    answer = get(service, image_id, **ASK)
    assert answer.status_code == 307, answer.text
    assert answer.headers["Location"].startswith(f"{account}/images/{image_id}?temp_url_sig=")
    assert "a-key-that-nobody-sees" not in answer.headers["Location"] + service.log
    there = requests.get(answer.headers["Location"], timeout=60)
    assert (there.status_code, there.content) == (200, large)
    part = {"Range": f"bytes={len(DATA) - 5}-{len(DATA) + 5}"}
    there = requests.get(answer.headers["Location"], headers=part, timeout=60)
    assert (there.status_code, there.content) == (206, large[len(DATA) - 5 : len(DATA) + 6])
