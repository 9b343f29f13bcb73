# SPDX-License-Identifier: Apache-2.0
"""Images of another image service: a real Glance behind a gate, and such as lie."""

from __future__ import annotations

import hashlib
import json
import socket
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from glancekit_web_download.glance import GlanceDownload
from glancekit_web_reading.testing import BadServer, Behaviour, Request, bad_servers, head

from glancekit.plugin import (
    CHUNK_SIZE,
    Fetched,
    Identity,
    Invalid,
    SourceChanged,
    Unavailable,
)
from glancekit.testing import ImportMethodConformance
from glancekit.testing.importing import CALLER, new_image
from glancekit.testing.real_glance import ADMIN, RealGlance, find_environment, missing
from glancekit.testing.store import assert_same, sample

CONTENT = sample(2 * CHUNK_SIZE + 777)
OTHERS = Identity(user_id="u", project_id="p-others", roles=frozenset({"member"}))

Build = Callable[..., GlanceDownload]


@pytest.fixture
def build(options_of: Callable[..., Any]) -> Build:
    def build(endpoint: str, **given: Any) -> GlanceDownload:
        filtering = {"allowed_hosts": ["images.example.org"], "allowed_ports": [443]}
        options = options_of(GlanceDownload, filtering, endpoints={"north": endpoint}, **given)
        return GlanceDownload(options, name="glance-download")

    return build


def arguments_of(image_id: str, **more: str) -> Mapping[str, Any]:
    return {"glance_region": "north", "glance_image_id": image_id, **more}


# -- a real Glance


@pytest.fixture(scope="module")
def glance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGlance]:
    """A Glance as it is released."""
    environment = find_environment()
    if environment is None:
        pytest.skip(missing() or "")
    with RealGlance(environment, tmp_path_factory.mktemp("glance") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def gate(glance: RealGlance) -> Iterator[BadServer]:
    """Stands before it and lets everybody in as the operator, as Keystone would us."""

    def pass_on(request: Request, connection: socket.socket) -> None:
        asked = {**request.headers, **ADMIN, "connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in asked.items())
        with socket.create_connection(("127.0.0.1", glance.port)) as upstream:
            upstream.sendall(f"{request.line}\r\n{lines}\r\n".encode())
            while data := upstream.recv(1 << 16):
                connection.sendall(data)

    with bad_servers() as start:
        yield start(pass_on)


def call(glance: RealGlance, method: str, path: str, body: Any = None, **headers: str) -> Any:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(
        glance.url + path, data, {**ADMIN, "Content-Type": "application/json", **named}
    )
    request.method = method
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@pytest.fixture(scope="module")
def image_id(glance: RealGlance) -> str:
    """An image of the caller's project there."""
    record = {
        "name": "there",
        "disk_format": "raw",
        "container_format": "bare",
        "owner": CALLER.project_id,
        "visibility": "shared",
        "os_type": "linux",
        "hw_disk_bus": "scsi",
        "colour": "green",
    }
    made = call(glance, "POST", "/v2/images", record)["id"]
    path = f"/v2/images/{made}/file"
    call(glance, "PUT", path, CONTENT, Content_Type="application/octet-stream")
    return str(made)


class TestGlanceDownload(ImportMethodConformance):
    """Against the real one."""

    content = CONTENT
    bad_arguments = (
        {},
        {"glance_region": "north"},
        {"glance_image_id": str(uuid.uuid4())},
        {"glance_region": "north", "glance_image_id": "../tasks"},
        {"glance_region": "north", "glance_image_id": 7},
        {"glance_region": 7, "glance_image_id": str(uuid.uuid4())},
        arguments_of(str(uuid.uuid4()), glance_service_interface=["secret"]),
        arguments_of(str(uuid.uuid4()), uri="http://127.0.0.1/"),
    )

    @pytest.fixture
    def method(self, build: Build, gate: BadServer) -> GlanceDownload:
        return build(gate.url("").rstrip("/"))

    @pytest.fixture
    def arguments(self, image_id: str) -> Mapping[str, Any]:
        return arguments_of(image_id, glance_service_interface="internal")

    def test_formats_and_named_properties_come_with_it(
        self, method: GlanceDownload, arguments: Mapping[str, Any]
    ) -> None:
        mine = new_image(disk_format=None, container_format=None, properties={"mine": "kept"})
        image = method.describe(mine, arguments, caller=CALLER)
        assert (image.disk_format, image.container_format) == ("raw", "bare")
        assert image.properties == {"mine": "kept", "os_type": "linux", "hw_disk_bus": "scsi"}
        assert (image.id, image.owner, image.name) == (mine.id, mine.owner, mine.name)

    def test_who_may_not_have_it_there_cannot_import_it(
        self,
        method: GlanceDownload,
        arguments: Mapping[str, Any],
        glance: RealGlance,
        image_id: str,
    ) -> None:
        def may_have(caller: Identity) -> bool:
            try:
                method.describe(new_image(), arguments, caller=caller)
            except Invalid as error:
                assert "no such image" in str(error)
                return False
            return True

        nobody = replace(OTHERS, project_id=None)
        assert [may_have(who) for who in (CALLER, OTHERS, nobody)] == [True, False, False]
        assert may_have(replace(OTHERS, roles=frozenset({"admin"})))
        path = f"/v2/images/{image_id}/members"
        call(glance, "POST", path, {"member": OTHERS.project_id})
        assert may_have(OTHERS)
        call(glance, "DELETE", f"{path}/{OTHERS.project_id}")
        assert not may_have(OTHERS)

    def test_what_is_not_there_or_has_no_data_is_told(
        self, method: GlanceDownload, glance: RealGlance
    ) -> None:
        with pytest.raises(Invalid, match="no such image"):
            method.describe(new_image(), arguments_of(str(uuid.uuid4())), caller=CALLER)
        empty = call(glance, "POST", "/v2/images", {"visibility": "public"})["id"]
        with pytest.raises(Invalid, match="queued"):
            method.describe(new_image(), arguments_of(empty), caller=CALLER)


# -- services that lie

IMAGE_ID = str(uuid.uuid4())
RECORD = {
    "id": IMAGE_ID,
    "status": "active",
    "visibility": "public",
    "size": len(CONTENT),
    "os_hash_algo": "sha512",
    "os_hash_value": hashlib.sha512(CONTENT).hexdigest(),
}


class Service:
    """An image service of one image."""

    def __init__(self, data: bytes = CONTENT, **record: Any) -> None:
        self.data = data
        self.most = len(data)
        self.record = RECORD | record
        self.has_ranges = True

    def __call__(self, request: Request, connection: socket.socket) -> None:
        if not request.line.split()[1].endswith("/file"):
            body = json.dumps(self.record).encode()
            connection.sendall(head("200 OK", Content_Length=len(body)) + body)
        elif request.start and not self.has_ranges:
            connection.sendall(head("400 No", Content_Length=0))
        else:
            last = len(self.data) - 1
            headers: dict[str, object] = {"Content_Length": len(self.data) - request.start}
            if request.start:
                headers["Content_Range"] = f"bytes {request.start}-{last}/{len(self.data)}"
            status = "206 Part" if request.start else "200 OK"
            connection.sendall(head(status, **headers))
            connection.sendall(self.data[request.start : request.start + self.most])


@pytest.fixture
def misbehave() -> Iterator[Callable[[Behaviour], BadServer]]:
    with bad_servers() as start:
        yield start


def fetch(method: GlanceDownload, fetched: Fetched | None = None) -> bytes:
    arguments = arguments_of(IMAGE_ID)
    with method.open(new_image(), arguments, caller=CALLER, fetched=fetched) as stream:
        return b"".join(stream)


def test_a_fetch_goes_on_though_no_version_is_named(
    build: Build, misbehave: Callable[[Behaviour], BadServer]
) -> None:
    service = Service()
    service.most = 1_000_000
    server = misbehave(service)
    assert_same(fetch(build(server.url("").rstrip("/"))), CONTENT)
    assert [request.start for request in server.requests[2:]] == [1_000_000, 2_000_000]


def test_other_bytes_than_the_record_says_are_refused(
    build: Build, misbehave: Callable[[Behaviour], BadServer]
) -> None:
    server = misbehave(Service(sample(len(CONTENT), seed=1)))
    with pytest.raises(Invalid, match="sha512"):
        fetch(build(server.url("").rstrip("/")))


def test_a_service_without_ranges_is_asked_for_all_of_it(
    build: Build, misbehave: Callable[[Behaviour], BadServer], tmp_path: Path
) -> None:
    service = Service()
    service.has_ranges = False
    path = tmp_path / "fetched"
    path.write_bytes(CONTENT[:1000])
    version = f"sha512:{RECORD['os_hash_value']}"
    method = build(misbehave(service).url("").rstrip("/"))
    with pytest.raises(SourceChanged):
        fetch(method, Fetched(path=path, size=1000, version=version))
    with pytest.raises(SourceChanged):
        fetch(method, Fetched(path=path, size=1000, version="sha512:another"))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"not JSON", b"x" * (2 << 20)], ids=["none", "list", "text", "much"]
)
def test_what_is_no_image_service_is_told(
    build: Build, misbehave: Callable[[Behaviour], BadServer], body: bytes
) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Content_Length=len(body)) + body)

    with pytest.raises(Invalid):
        fetch(build(misbehave(behave).url("").rstrip("/")))


def test_it_leads_nowhere_else(build: Build, misbehave: Callable[[Behaviour], BadServer]) -> None:
    """The operator named that address; where it redirects to is judged like any URL."""
    elsewhere = misbehave(Service())

    def redirect(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("302 Found", Location=elsewhere.url(), Content_Length=0))

    with pytest.raises(Invalid, match="redirects"):
        fetch(build(misbehave(redirect).url("").rstrip("/")))
    assert not elsewhere.requests


def test_a_region_that_nobody_knows_is_the_caller_s_mistake(build: Build) -> None:
    method = build("http://127.0.0.1:1")
    arguments = {**arguments_of(IMAGE_ID), "glance_region": "south"}
    with pytest.raises(Invalid, match="south"):
        method.describe(new_image(), arguments, caller=CALLER)
    with pytest.raises(Unavailable):
        fetch(method)


def test_keystone_that_does_not_answer_is_waited_for(build: Build) -> None:
    method = build("http://127.0.0.1:1", auth_url="http://127.0.0.1:1/v3", username="glance")
    with pytest.raises(Unavailable, match="Keystone"):
        fetch(method)
