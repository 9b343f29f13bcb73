# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between a registry and its clients loses nothing and lets nobody in."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from glancekit_registry_metadata import wire
from glancekit_registry_metadata.driver import RegistryMetadata
from glancekit_registry_metadata.options import check_server
from glancekit_registry_metadata.seal import Seal
from glancekit_registry_metadata.testing import KEY, RunningRegistry, client, server_options

from glancekit.plugin import (
    ConfigError,
    Event,
    Image,
    ImageNotFound,
    ImageQuery,
    Invalid,
    MetadataDriver,
    MetadataError,
    MetadataUnavailable,
    SchemaMismatch,
)

OTHER_KEY = "f" * 32


def an_image() -> Image:
    return Image(id=str(uuid.uuid4()), owner="p")


def keep(driver: MetadataDriver, image: Image) -> None:
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.commit()


def has(driver: MetadataDriver, image: Image) -> bool:
    with driver.unit_of_work(read_only=True) as work, suppress(ImageNotFound):
        work.images.get(image.id)
        return True
    return False


# -- who is let in


class RawClient:
    """Speaks to a registry byte by byte, rightly or wrongly."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._http = http.client.HTTPConnection(host, int(port), timeout=10)
        self._http.auto_open = 0
        self._http.connect()
        self.seal: Seal | None = None

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self._http.request("POST", path, body, sent)
        response = self._http.getresponse()
        return response.status, response.read()

    def greet(self, key: str = KEY) -> None:
        status, body = self.post("/v1/hello", wire.dump({"nonce": "n"}))
        assert status == 200
        self.seal = Seal(key, "n", wire.load(body)["value"]["nonce"])

    def ask(self, message: Any, path: str = "/v1/work") -> tuple[int, Any]:
        assert self.seal is not None
        body = wire.dump(message)
        status, answer = self.post(path, body, X_Registry_Code=self.seal.request(body))
        return status, wire.load(answer)

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def raw(registry: RunningRegistry) -> Iterator[RawClient]:
    with closing(RawClient(registry.url)) as raw:
        yield raw


@pytest.mark.parametrize("key", [OTHER_KEY, None])
def test_without_the_key_nobody_is_served(registry: RunningRegistry, key: str | None) -> None:
    with closing(client(registry.url, shared_key=key)) as stranger:
        with pytest.raises(MetadataError):
            stranger.start()
        with pytest.raises(MetadataError):
            has(stranger, an_image())


def test_a_client_knows_a_registry_that_lacks_the_key(behind: MetadataDriver) -> None:
    with (
        RunningRegistry(behind, shared_key=OTHER_KEY) as false,
        closing(client(false.url)) as driver,
        pytest.raises(MetadataError, match="shared key"),
    ):
        driver.start()


def test_a_message_is_taken_once(raw: RawClient) -> None:
    raw.greet()
    assert raw.seal is not None
    body = wire.dump({})
    code = raw.seal.request(body)
    assert raw.post("/v1/check", body, X_Registry_Code=code)[0] == 200
    assert raw.post("/v1/check", body, X_Registry_Code=code)[0] == 401


def test_before_the_greeting_nothing_is_done(raw: RawClient) -> None:
    assert raw.post("/v1/check", wire.dump({}))[0] == 401


def test_a_message_with_another_code_ends_the_connection(raw: RawClient) -> None:
    raw.greet()
    assert raw.post("/v1/check", wire.dump({}), X_Registry_Code="0" * 64)[0] == 401
    with pytest.raises((OSError, http.client.HTTPException)):
        raw.post("/v1/check", wire.dump({}))


@pytest.mark.parametrize(
    "name", ["images.__class__", "commit", "images._work", "nothing.get", "images.get.x", ""]
)
def test_only_the_contract_can_be_called(raw: RawClient, name: str) -> None:
    raw.greet()
    message = {"begin": "write", "calls": [[name, [], {}]], "commit": None}
    status, answer = raw.ask(message)
    assert status == 200
    assert isinstance(wire.decode_error(answer["error"]), Invalid)


@pytest.mark.parametrize(
    "body", [b"", b"[", b'{"@value": ["object"]}', b'{"@name": ["Image", 1]}', b'{"a": 1, "b": 2}']
)
def test_what_is_no_message_is_refused(raw: RawClient, body: bytes) -> None:
    raw.greet()
    assert raw.seal is not None
    status, answer = raw.post("/v1/work", body, X_Registry_Code=raw.seal.request(body))
    assert status == 200
    assert "Invalid" in answer.decode()


def test_a_message_has_a_length_and_it_is_bounded(registry: RunningRegistry) -> None:
    for length in (b"", b"Content-Length: x\r\n", b"Content-Length: 99999999999\r\n"):
        host, port = registry.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"POST /v1/hello HTTP/1.1\r\nHost: r\r\n" + length + b"\r\n")
            assert connection.recv(100).split()[1] in (b"411", b"413")


def test_anybody_may_ask_whether_it_is_well(registry: RunningRegistry) -> None:
    host, port = registry.url.removeprefix("http://").split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request("GET", "/healthcheck")
        assert json.load(connection.getresponse()) == {"ok": True}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"shared_key": None}, "shared_key_file"),
        ({"shared_key": "short"}, "32"),
        ({"shared_key_file": "/nowhere"}, "only one"),
        ({"shared_key": None, "shared_key_file": "/nowhere"}, "cannot be read"),
        ({"bind_host": "0.0.0.0"}, "tls_client_ca"),
        ({"bind_host": "8.8.8.8"}, "tls_client_ca"),
        ({"bind_host": "localhost"}, "address"),
    ],
)
def test_a_registry_that_strangers_could_use_does_not_start(
    options: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(ConfigError, match=wanted):
        check_server(server_options(**options))


# -- certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a certificate of it for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1")
    openssl(*new, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    alternative = "subjectAltName=IP:127.0.0.1"
    signed = ("-x509", "-CA", "ca.pem", "-CAkey", "ca.key")
    subject = ("-subj", "/CN=one", "-addext", alternative)
    openssl(*new, *signed, *subject, "-keyout", "one.key", "-out", "one.pem")
    return folder


def test_certificates_do_without_a_key(behind: MetadataDriver, certificates: Path) -> None:
    ca, certificate, key = (str(certificates / name) for name in ("ca.pem", "one.pem", "one.key"))
    server = {"tls_cert": certificate, "tls_key": key, "tls_client_ca": ca, "shared_key": None}
    with RunningRegistry(behind, **server) as running:
        known = client(running.url, shared_key=None, tls_ca=ca, tls_cert=certificate, tls_key=key)
        with closing(known):
            known.start()
            keep(known, image := an_image())
            assert has(known, image)
        stranger = client(running.url, shared_key=None, tls_ca=ca)
        with closing(stranger), pytest.raises(MetadataUnavailable):
            stranger.start()
        distrusting = client(running.url, shared_key=None)
        with closing(distrusting), pytest.raises(MetadataUnavailable, match="certificate"):
            distrusting.start()


# -- connections that end


def test_a_client_that_goes_away_is_rolled_back(registry, connect) -> None:
    going, staying = connect(), connect()
    image = an_image()
    with going.unit_of_work() as work:
        work.images.add(image)
        work._channel._http.sock.shutdown(socket.SHUT_RDWR)
        keep(staying, an_image())  # waits for the other's turn to end
    assert not has(staying, image)


def test_a_client_that_is_silent_is_rolled_back(behind: MetadataDriver) -> None:
    image = an_image()
    with (
        RunningRegistry(behind, work_timeout=2.0) as running,
        closing(client(running.url)) as silent,
        closing(client(running.url)) as other,
    ):
        with silent.unit_of_work() as work:
            work.images.add(image)
            keep(other, an_image())
            with pytest.raises(MetadataUnavailable):
                work.commit()
        assert not has(other, image)


def test_a_registry_that_began_anew_is_used_again(behind: MetadataDriver) -> None:
    with RunningRegistry(behind) as first:
        port = first.server.server_address[1]
        driver = client(first.url)
        keep(driver, image := an_image())
    with closing(driver):
        with pytest.raises(MetadataUnavailable):
            has(driver, image)
        with RunningRegistry(behind, bind_port=port):
            assert has(driver, image)
            keep(driver, an_image())


def test_more_connections_than_may_be_wait(registry: RunningRegistry) -> None:
    with closing(client(registry.url, max_connections=1, timeout=2.0)) as driver:
        with driver.unit_of_work(read_only=True) as work:
            work.images.find(ImageQuery())
            with pytest.raises(MetadataUnavailable, match="max_connections"):
                has(driver, an_image())
        assert not has(driver, an_image())


class Lossy:
    """Passes connections on until a request with certain bytes comes; then it loses something."""

    def __init__(self, url: str, mark: bytes, *, answers: bool) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._to = (host, int(port))
        self._mark: bytes | None = mark
        self._loses_answers = answers
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # closed
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, socket.create_connection(self._to) as up, suppress(OSError):
            connection.settimeout(10)
            while request := self._whole(connection):
                loses = self._mark is not None and self._mark in request
                if loses and not self._loses_answers:
                    self._mark = None
                    return
                up.sendall(request)
                answer = self._whole(up)
                if loses:
                    self._mark = None
                    return
                connection.sendall(answer)

    def _whole(self, source: socket.socket) -> bytes:
        """Read one message: a head, and as many bytes as it says."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (chunk := source.recv(65536)):
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += source.recv(65536)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(60)


@pytest.fixture
def losing(registry: RunningRegistry) -> Iterator[Callable[..., Lossy]]:
    made: list[Lossy] = []

    def lose(mark: bytes, *, answers: bool) -> Lossy:
        made.append(Lossy(registry.url, mark, answers=answers))
        return made[-1]

    yield lose
    for proxy in made:
        proxy.close()


def commits(image: Image) -> bytes:
    """Bytes that only the message with this image and its commit has: its event's mark."""
    return f"event-of-{image.id}".encode()


def keep_marked(driver: MetadataDriver, image: Image) -> None:
    """Keep an image whose commit can be told from other messages: its event travels with it."""
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.events.append(Event(type="image.create", subject=commits(image).decode()))
        work.commit()


def test_a_commit_whose_answer_was_lost_is_found_to_be_kept(losing, connect) -> None:
    image = an_image()
    proxy = losing(commits(image), answers=True)
    with closing(client(proxy.url)) as driver:
        keep_marked(driver, image)
    direct = connect()
    assert has(direct, image)
    with direct.unit_of_work(read_only=True) as work:
        subjects = [event.subject for event in work.events.after(0, limit=10)]
    assert subjects == [commits(image).decode()]


def test_a_commit_that_did_not_arrive_is_found_not_to_be_kept(losing, connect) -> None:
    image = an_image()
    proxy = losing(commits(image), answers=False)
    with closing(client(proxy.url)) as driver:
        with pytest.raises(MetadataUnavailable, match="nothing was changed"):
            keep_marked(driver, image)
        assert not has(driver, image)
        keep(driver, image)
    assert has(connect(), image)


def test_a_lost_connection_before_the_commit_is_tried_again(losing, connect) -> None:
    image = an_image()
    proxy = losing(image.id.encode(), answers=True)
    with closing(client(proxy.url)) as driver:
        keep(driver, image)
    assert has(connect(), image)


def test_an_error_leaves_the_unit_of_work_as_the_contract_has_it(driver: RegistryMetadata) -> None:
    image = an_image()
    with driver.unit_of_work() as work:
        with pytest.raises(ImageNotFound) as missing:
            work.images.get(image.id)
        assert missing.value.image_id == image.id
        work.images.add(image)
        work.commit()
    assert has(driver, image)


# -- releases


def test_a_registry_of_another_release_is_refused(
    registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = wire.SHAPE
    monkeypatch.setattr("glancekit_registry_metadata.server.SHAPE", f"not {said}")
    driver = client(registry.url)
    with closing(driver), pytest.raises(SchemaMismatch, match="another release"):
        driver.start()


def test_every_value_of_the_contract_can_travel() -> None:
    image = replace(
        an_image(),
        properties={"@odd": "{}", "a": "ä"},
        tags=frozenset({"t"}),
        size=1 << 62,
    )
    assert wire.load(wire.dump(image)) == image
    for value in (1 << 80, -(1 << 80), (1, [2], {"x": None}), b"\0\xff", 1.5, True):
        assert wire.load(wire.dump(value)) == value
