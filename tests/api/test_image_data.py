# SPDX-License-Identifier: Apache-2.0
"""An image's bytes: upload, download, ranges."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable

import pytest

from glancekit.testing.client import Client

DATA = os.urandom(3_000_000)


# -- upload


def test_bytes_go_in_and_come_out(project: Client) -> None:
    image = project.create_active(DATA)
    assert image["status"] == "active"
    assert image["size"] == image["virtual_size"] == len(DATA)
    assert image["checksum"] == hashlib.md5(DATA).hexdigest()
    assert image["os_hash_algo"] == "sha512"
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert image["stores"] == "local"
    answer = project.download(image["id"])
    assert answer.status == 200
    assert answer.body == DATA
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-md5"] == image["checksum"]
    assert answer.headers["accept-ranges"] == "bytes"


def test_bytes_may_come_in_chunks(project: Client) -> None:
    image = project.create()
    chunks = (DATA[start : start + 70_000] for start in range(0, len(DATA), 70_000))
    assert project.upload(image["id"], chunks).status == 204
    assert project.download(image["id"]).body == DATA


def test_an_empty_image_is_an_image(project: Client) -> None:
    image = project.create_active(b"")
    assert (image["status"], image["size"]) == ("active", 0)
    answer = project.download(image["id"])
    assert (answer.status, answer.body) == (200, b"")


def test_other_content_types_are_415(project: Client) -> None:
    image = project.create()
    for content_type in ("application/json", "", "text/plain"):
        answer = project.upload(image["id"], b"x", Content_Type=content_type)
        assert answer.status == 415
    assert project.show(image["id"])["status"] == "queued"


def test_a_size_may_be_declared(project: Client) -> None:
    image = project.create()
    answer = project.upload(image["id"], iter([b"abc"]), x_openstack_image_size="3")
    assert answer.status == 204


@pytest.mark.parametrize("size", ["2", "4", "x", "-3", "3.0", "", "9" * 30])
def test_a_declared_size_has_to_be_right(project: Client, size: str) -> None:
    image = project.create()
    for body in (b"abc", iter([b"abc"])):
        answer = project.upload(image["id"], body, x_openstack_image_size=size)
        assert answer.status == 400
        shown = project.show(image["id"])
        assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert project.upload(image["id"], b"abc").status == 204


def test_formats_come_before_data(project: Client) -> None:
    image = project.create(container_format=None)
    assert project.upload(image["id"], b"x").status == 400


def test_data_come_once(project: Client) -> None:
    image = project.create_active(b"abc")
    assert project.upload(image["id"], b"xyz").status == 409
    assert project.download(image["id"]).body == b"abc"


def test_a_store_may_be_named(project: Client) -> None:
    image = project.create()
    assert project.upload(image["id"], b"x", x_image_meta_store="nope").status == 400
    assert project.upload(image["id"], b"x", x_image_meta_store="local").status == 204


def test_what_is_not_what_it_says_is_415(project: Client) -> None:
    image = project.create(disk_format="qcow2")
    answer = project.upload(image["id"], b"this is no qcow2 at all" * 1000)
    assert answer.status == 415
    shown = project.show(image["id"])
    assert (shown["status"], shown["checksum"]) == ("queued", None)
    assert "stores" not in shown
    assert project.download(image["id"]).status == 204


def test_data_for_an_image_that_is_not_there(project: Client, service: Client) -> None:
    assert project.upload(str(uuid.uuid4()), b"x").status == 404
    image = project.create()
    assert service.as_project("someone-else").upload(image["id"], b"x").status == 404


def test_a_body_that_ends_early_leaves_the_image_queued(build: Callable[..., Client]) -> None:
    client = build().as_project("p")
    image = client.create()
    answer = client.upload(image["id"], b"abc", Content_Length="10")
    assert answer.status == 400
    assert client.show(image["id"])["status"] == "queued"


def test_the_operators_limit_is_413(build: Callable[..., Client]) -> None:
    client = build(image_size_cap=10).as_project("p")
    image = client.create()
    for body in (b"x" * 11, iter([b"x" * 11])):
        assert client.upload(image["id"], body).status == 413
    assert client.show(image["id"])["status"] == "queued"
    assert client.upload(image["id"], b"x" * 10).status == 204


# -- download


def test_no_data_is_204(project: Client) -> None:
    answer = project.download(project.create()["id"])
    assert (answer.status, answer.body) == (204, b"")
    assert project.download(str(uuid.uuid4())).status == 404


def test_a_reader_does_not_download(project: Client, service: Client, admin: Client) -> None:
    image = admin.create_active(b"x", visibility="public")
    reader = service.as_project("p", roles="reader")
    assert reader.get(f"/v2/images/{image['id']}").status == 200
    assert reader.download(image["id"]).status == 403
    assert project.download(image["id"]).body == b"x"


@pytest.mark.parametrize(
    ("wanted", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=2999990-", 2_999_990, 3_000_000),
        ("bytes=-10", 2_999_990, 3_000_000),
        ("bytes=2999999-5000000", 2_999_999, 3_000_000),
        ("bytes=-5000000", 0, 3_000_000),
        ("bytes=0-", 0, 3_000_000),
        ("bytes=1000-2500000", 1000, 2_500_001),
    ],
)
def test_ranges(large: tuple[Client, str], wanted: str, first: int, end: int) -> None:
    client, image_id = large
    answer = client.download(image_id, range=wanted)
    assert answer.status == 206
    assert answer.body == DATA[first:end]
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(end - first)
    assert answer.headers["content-md5"] == hashlib.md5(DATA).hexdigest()


def test_the_legacy_range_header(large: tuple[Client, str]) -> None:
    client, image_id = large
    answer = client.download(image_id, content_range="bytes 5-9/*")
    assert (answer.status, answer.body) == (206, DATA[5:10])


@pytest.mark.parametrize("wanted", ["bytes=3000000-", "bytes=9-5", "x", "bytes=-0"])
def test_ranges_that_are_not_there(large: tuple[Client, str], wanted: str) -> None:
    client, image_id = large
    assert client.download(image_id, range=wanted).status == 416


def test_several_ranges_are_400(large: tuple[Client, str]) -> None:
    client, image_id = large
    assert client.download(image_id, range="bytes=0-1,5-6").status == 400


def test_a_range_of_nothing(project: Client) -> None:
    assert project.download(project.create()["id"], range="bytes=0-1").status == 204
    assert project.download(project.create_active(b"")["id"], range="bytes=0-1").status == 416


@pytest.fixture(scope="module")
def large(service: Client) -> tuple[Client, str]:
    client = service.as_project(uuid.uuid4().hex)
    return client, client.create_active(DATA)["id"]
