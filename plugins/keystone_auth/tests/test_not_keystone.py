# SPDX-License-Identifier: Apache-2.0
"""What is decided without a Keystone, or by something in its place that behaves like none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from glancekit_keystone_auth import grants
from glancekit_keystone_auth.driver import KeystoneAuth

from glancekit.plugin import ConfigError, Credentials, Identity, Unauthenticated, Unavailable

Build = Callable[..., KeystoneAuth]

NOBODY = "http://127.0.0.1:9/v3"
"""Where nothing listens."""

GOOD = {
    "token": {
        "methods": ["password"],
        "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "project": {"id": "p", "name": "p", "domain": {"id": "default", "name": "Default"}},
        "roles": [{"id": "r", "name": "Reader"}],
    }
}


def ask(driver: KeystoneAuth, token: str) -> Identity:
    return driver.authenticate(Credentials({"x-auth-token": token}, "127.0.0.1"))


class Impostor(ThreadingHTTPServer):
    """Logs the service in, and answers questions about tokens as a test says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.status, self.kind, self.body = 200, "application/json", json.dumps(GOOD)
        self.questions = 0
        self.url = f"http://127.0.0.1:{self.server_port}/v3"

    def answer(self, status: int, body: Any, kind: str = "application/json") -> None:
        self.status, self.kind = status, kind
        self.body = body if isinstance(body, str) else json.dumps(body)


class _Answers(BaseHTTPRequestHandler):
    server: Impostor

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        endpoint = {"id": "e", "interface": "internal", "url": self.server.url}
        endpoint |= {"region": "R", "region_id": "R"}
        service = {"type": "identity", "id": "s", "name": "keystone", "endpoints": [endpoint]}
        token = {**GOOD["token"], "catalog": [service]}
        self._send(201, "application/json", json.dumps({"token": token}))

    def do_GET(self) -> None:
        if "/auth/tokens" in self.path:
            self.server.questions += 1
            self._send(self.server.status, self.server.kind, self.server.body)
        else:
            links = [{"rel": "self", "href": self.server.url}]
            version = {"id": "v3.14", "status": "stable", "links": links}
            self._send(200, "application/json", json.dumps({"version": version}))

    def _send(self, status: int, kind: str, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Subject-Token", "own")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    server = Impostor()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "token", ["x" * 8193, "tök", "two words", "line\nbreak", "end\n", "\x00", ""]
)
def test_what_cannot_be_a_token_is_refused_without_asking(build: Build, token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        ask(build(NOBODY), token)
    assert len(str(caught.value)) < 100


def test_a_certificate_that_is_gone_is_an_outage(build: Build, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    driver = build("https://127.0.0.1:9/v3", cafile=str(bundle))
    bundle.unlink()
    with pytest.raises(Unavailable):
        ask(driver, "token")


def test_a_token_that_could_be_one_is_asked_about(build: Build) -> None:
    with pytest.raises(Unavailable):
        ask(build(NOBODY, http_request_max_retries=0), "x" * 8192)


def test_the_challenge_names_keystone_as_callers_reach_it(build: Build) -> None:
    assert build(NOBODY).challenge() == f'Keystone uri="{NOBODY}"'
    driver = build(NOBODY, www_authenticate_uri="https://keystone.example:5000")
    assert driver.challenge() == 'Keystone uri="https://keystone.example:5000"'


def test_only_the_address_is_always_needed_and_what_is_secret_is_marked() -> None:
    options = KeystoneAuth.options
    assert [option.dest for option in options if option.required] == ["auth_url"]
    secret = {option.dest for option in options if option.secret}
    assert secret == {"password", "application_credential_secret"}
    names = [option.dest for option in options]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"auth_type": "magic"}, "magic"),
        ({"auth_type": "none"}, "none"),
        ({"auth_type": "v3applicationcredential"}, "application credential ID"),
        ({"cafile": "/no/such/file"}, "cafile"),
        ({"certfile": "/no/such/file", "keyfile": __file__}, "certfile"),
    ],
)
def test_credentials_that_cannot_work_stop_the_start(
    build: Build, chosen: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        build(NOBODY, **chosen)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, {"error": {"code": 500}}, "application/json"),
        (502, "<html>bad gateway</html>", "text/html"),
        (503, "", "text/plain"),
        (429, "", "text/plain"),
        (404, "<html>no such page</html>", "text/html"),
        (401, {"error": {"code": 401}}, "application/json"),
        (403, {"error": {"code": 403}}, "application/json"),
        (200, "not JSON", "application/json"),
        (200, [], "application/json"),
        (200, {"token": {}}, "application/json"),
        (200, {"token": {**GOOD["token"], "expires_at": "soon"}}, "application/json"),
        (200, {"token": {**GOOD["token"], "roles": [None]}}, "application/json"),
    ],
)
def test_an_answer_that_is_none_is_an_outage_and_is_not_remembered(
    impostor: Impostor, build: Build, status: int, body: Any, kind: str
) -> None:
    driver = build(impostor.url)
    impostor.answer(status, body, kind)
    with pytest.raises(Unavailable):
        ask(driver, "token")
    impostor.answer(200, GOOD)
    assert ask(driver, "token").roles == {"reader"}


def test_a_refusal_is_remembered_apart_from_what_is_granted(
    impostor: Impostor, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "REFUSALS", 20)
    driver = build(impostor.url)
    ask(driver, "good")
    impostor.answer(404, {"error": {"code": 404, "message": "no such token"}})
    for number in range(30):
        with pytest.raises(Unauthenticated):
            ask(driver, f"bad{number}")
    assert impostor.questions == 31
    with pytest.raises(Unauthenticated):
        ask(driver, "bad29")
    assert ask(driver, "good").project_id == "p"
    assert impostor.questions == 31
    with pytest.raises(Unauthenticated):
        ask(driver, "bad0")
    assert impostor.questions == 32


def test_the_oldest_of_too_many_tokens_is_forgotten(impostor: Impostor, build: Build) -> None:
    driver = build(impostor.url, token_cache_size=2)
    for token in ("a", "b", "a", "c", "a", "c"):
        ask(driver, token)
    assert impostor.questions == 3
    ask(driver, "b")
    assert impostor.questions == 4


def test_a_token_is_asked_about_once_by_however_many_threads(
    impostor: Impostor, build: Build
) -> None:
    driver = build(impostor.url)
    ask(driver, "warm")
    meet = threading.Barrier(16)

    def together(_number: int) -> Identity:
        meet.wait(10)
        return ask(driver, "token")

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(together, range(16)))
    assert {identity.user_id for identity in found} == {"u"}
    assert impostor.questions == 2
