# SPDX-License-Identifier: Apache-2.0
"""Images that a web server has: registered by URL, served, deleted, and what may not be named."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glancekit.testing.client import Client

pytest.importorskip("glancekit_http_store", reason="pip install glancekit-http-store")

DATA = b"what a mirror has" * 1000

Build = Callable[..., Client]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running web server."""
    testing = pytest.importorskip("glancekit_web_reading.testing")
    if reason := testing.missing():
        pytest.skip(reason)
    with testing.Nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def file(nginx: Any) -> Iterator[Path]:
    """A file of it with DATA in it."""
    path = Path(nginx.root, uuid.uuid4().hex)
    path.write_bytes(DATA)
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def mirror(nginx: Any, file: Path) -> str:
    """The file's URL, with the credentials that the server insists on."""
    return str(nginx.url(f"locked/{file.name}", who="user:hunter2@"))


def service(build: Build, *, cache: Path | None = None, **filtering: Any) -> Client:
    options = {("import_filtering_opts", name): value for name, value in filtering.items()}
    return build(
        {**options, ("glance_store", "default_backend"): "local"},
        enabled_backends={"local": "file", "web": "http"},
        **({"image_cache_dir": str(cache)} if cache else {}),
    )


@pytest.fixture
def client(build: Build) -> Client:
    """A service that may fetch from this host."""
    return service(build, allowed_hosts=["127.0.0.1"], allowed_ports=[])


def register(client: Client, url: str, **said: Any) -> tuple[int, str]:
    """Return the status of a registration and the image's id."""
    image_id = client.create()["id"]
    answer = client.post(f"/v2/images/{image_id}/locations", {"url": url, **said})
    return answer.status, image_id


def settled(client: Client, image_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        (task,) = client.get(f"/v2/images/{image_id}/tasks").json["tasks"]
        if task["status"] in ("success", "failure"):
            return client.show(image_id)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_member_registers_what_the_web_has(client: Client, mirror: str) -> None:
    member = client.as_project("p")
    status, image_id = register(member, mirror)
    assert status == 202
    shown = settled(member, image_id)
    assert (shown["status"], shown["size"], shown["stores"]) == ("active", len(DATA), "web")
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert member.download(image_id).body == DATA
    part = member.download(image_id, range="bytes=5-9")
    assert (part.status, part.body) == (206, DATA[5:10])


@pytest.mark.parametrize(("data", "status"), [(DATA, "active"), (b"other", "queued")])
def test_a_digest_is_held_against_what_the_web_has(
    client: Client, mirror: str, data: bytes, status: str
) -> None:
    member = client.as_project("p")
    said = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(data).hexdigest()}
    code, image_id = register(member, mirror, validation_data=said)
    assert code == 202
    assert settled(member, image_id)["status"] == status


def test_it_is_served_from_the_cache_when_the_web_is_away(
    build: Build, mirror: str, file: Path, tmp_path: Path
) -> None:
    client = service(
        build, cache=tmp_path / "cache", allowed_hosts=["127.0.0.1"], allowed_ports=[]
    ).as_project("p", roles="admin,member,reader")
    _, image_id = register(client, mirror)
    settled(client, image_id)
    _, changed = register(client, mirror)
    settled(client, changed)
    assert client.download(image_id).body == DATA
    assert counts(client, "filled") == 1
    file.write_bytes(DATA[::-1])
    assert client.download(changed).body == DATA[::-1]
    assert counts(client, "invalid") == 1
    file.unlink()
    assert client.download(image_id).body == DATA
    part = client.download(image_id, range="bytes=5-9")
    assert (part.status, part.body) == (206, DATA[5:10])
    assert client.download(changed).status >= 400
    cached = client.get("/v2/cache").json["cached_images"]
    assert [(entry["image_id"], entry["hits"]) for entry in cached] == [(image_id, 2)]


def counts(client: Client, outcome: str) -> int:
    """Return how many fills ended so, once none goes on."""
    deadline = time.monotonic() + 30
    while True:
        figures = client.get("/v2/cache/stats").json
        ended = sum(figures["counts"][what] for what in ("filled", "failed", "invalid"))
        if ended == figures["counts"]["misses"]:
            return int(figures["counts"][outcome])
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_deleting_the_image_leaves_the_file_alone(client: Client, mirror: str) -> None:
    member = client.as_project("p")
    for _ in range(2):
        _, image_id = register(member, mirror)
        settled(member, image_id)
        assert member.delete(f"/v2/images/{image_id}").status == 204
        assert member.get(f"/v2/images/{image_id}").status == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1/image",
        "http://169.254.169.254/latest",
        "http://[::1]/image",
        "http://localhost/image",
        "https://127.0.0.1:1/image",
    ],
)
def test_what_may_not_be_named_is_a_bad_request(client: Client, url: str) -> None:
    assert register(client.as_project("p"), url)[0] == 400


def test_by_default_nothing_on_this_host_may_be_named(build: Build, mirror: str) -> None:
    member = service(build).as_project("p")
    image_id = member.create()["id"]
    answer = member.post(f"/v2/images/{image_id}/locations", {"url": mirror})
    assert answer.status == 400
    assert b"does not pass filtering" in answer.body
    assert b"hunter2" not in answer.body


def test_a_store_of_the_web_takes_no_uploads(client: Client) -> None:
    member = client.as_project("p")
    image_id = member.create()["id"]
    answer = member.upload(image_id, DATA, x_image_meta_store="web")
    assert answer.status == 410
    assert member.show(image_id)["status"] == "queued"
