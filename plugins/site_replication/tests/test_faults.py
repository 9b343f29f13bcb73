# SPDX-License-Identifier: Apache-2.0
"""Sources that lie, break off, know no ranges, or send us elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from glancekit_site_replication.testing import Place, run

DATA = bytes(range(256)) * 2000
TOKEN = "token-that-nobody-may-see"


@dataclass
class Liar:
    """A site with one image, which it does not give as it should."""

    behaviour: str = ""
    elsewhere: str = ""
    image_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    served: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://user:hunter3@127.0.0.1:{self.port}"

    @property
    def record(self) -> dict[str, Any]:
        data = DATA + b"more" if self.behaviour == "shorter" else DATA
        told = {"longer": DATA[:-9], "other": DATA[::-1]}.get(self.behaviour, data)
        return {
            "id": self.image_id,
            "name": self.behaviour,
            "status": "active",
            "visibility": "public",
            "disk_format": "raw",
            "container_format": "bare",
            "tags": [],
            "size": len(told),
            "os_hash_algo": "sha512",
            "os_hash_value": hashlib.sha512(told).hexdigest(),
            "checksum": hashlib.md5(told).hexdigest(),
            "updated_at": "2026-01-01T00:00:00Z",
        }

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = handler.path.partition("?")[0]
        self.served.append((handler.path, handler.headers.get("X-Auth-Token")))
        if path.endswith("/file"):
            self._data(handler)
            return
        hidden = "os_hidden=true" in handler.path
        listed = {"images": [] if hidden else [self.record]}
        known = {"/v2/images": listed, f"/v2/images/{self.image_id}": self.record}
        send(handler, 200 if path in known else 404, json.dumps(known.get(path)).encode())

    def _data(self, handler: BaseHTTPRequestHandler) -> None:
        if self.behaviour == "away":
            send(handler, 503, b'{"message": "not now"}')
            return
        if self.elsewhere:
            send(handler, 307, b"", Location=self.elsewhere)
            return
        if self.behaviour == "no ranges":
            send(handler, 200, DATA)
            return
        found = re.match(r"bytes=(\d+)-(\d+)", handler.headers["Range"])
        assert found
        first, last = int(found[1]), min(int(found[2]), len(DATA) - 1)
        if first >= len(DATA):
            send(handler, 416, b"")
            return
        last = len(DATA) - 1 if self.behaviour == "longer" else last
        part = DATA[first : last + 1]
        whole = "*" if self.behaviour == "longer" else len(DATA)
        place = f"bytes {first}-{last}/{whole}"
        if self.behaviour == "breaks":  # in the middle of each part, though it announces all
            send(handler, 206, part, upto=len(part) // 2 + 1, Content_Range=place)
            handler.close_connection = True
            return
        send(handler, 206, part, Content_Range=place)


def send(
    handler: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    *,
    upto: int | None = None,
    **headers: str,
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:upto])


@pytest.fixture
def liar() -> Iterator[Liar]:
    """A site that a test tells how to behave."""
    yield from liars(Liar())


@pytest.fixture
def store() -> Iterator[Liar]:
    """A store to which a site may send its clients."""
    yield from liars(Liar())


def liars(liar: Liar) -> Iterator[Liar]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            liar.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    liar.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield liar
    server.shutdown()
    server.server_close()


def sync(liar: Liar, there: Place, tmp_path: Any, *words: str) -> tuple[int, str]:
    """Return the exit code, and all that was said."""
    given = ("--part", "0.1", "--spool", tmp_path / "spool", *words)
    done = run("sync", liar.url, there.url, *given, GLANCEKIT_SOURCE_TOKEN=TOKEN)
    said = done.stdout + done.stderr
    assert TOKEN not in said
    assert "hunter3" not in said
    return done.returncode, said


@pytest.mark.parametrize("behaviour", ["longer", "other", "shorter"])
def test_what_is_not_as_recorded_is_refused(
    behaviour: str, liar: Liar, north: Place, tmp_path: Any
) -> None:
    liar.behaviour = behaviour
    code, said = sync(liar, north, tmp_path)
    assert code == 8, said
    assert "nothing of it is used" in said
    assert north.show(liar.image_id)["status"] == "queued"
    assert north.show(liar.image_id)["visibility"] == "private"


def test_an_id_that_would_be_a_path_is_none(liar: Liar, north: Place, tmp_path: Any) -> None:
    liar.image_id = "../../outside"
    code, said = sync(liar, north, tmp_path)
    assert code == 1, said
    assert "no record of an image" in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("behaviour", ["", "breaks", "no ranges"])
def test_a_source_that_is_only_difficult_is_coped_with(
    behaviour: str, liar: Liar, north: Place, tmp_path: Any
) -> None:
    liar.behaviour = behaviour
    code, said = sync(liar, north, tmp_path)
    assert code == 0, said
    assert north.data(liar.image_id) == DATA
    assert {token for _, token in liar.served} == {TOKEN}


def test_the_token_does_not_go_elsewhere(
    liar: Liar, store: Liar, north: Place, tmp_path: Any
) -> None:
    liar.elsewhere = f"http://127.0.0.1:{store.port}/v2/file"
    code, said = sync(liar, north, tmp_path)
    assert code == 0, said
    assert north.data(liar.image_id) == DATA
    assert {token for _, token in liar.served} == {TOKEN}
    assert {token for _, token in store.served} == {None}


def test_a_source_that_is_away_costs_nothing_but_time(
    liar: Liar, north: Place, tmp_path: Any
) -> None:
    liar.behaviour = "away"
    code, said = sync(liar, north, tmp_path)
    assert code == 7, said
    assert "not now" in said
    liar.behaviour = ""
    code, said = sync(liar, north, tmp_path)
    assert code == 0, said
    assert north.data(liar.image_id) == DATA


def test_nobody_there(north: Place, tmp_path: Any) -> None:
    done = run("compare", "http://127.0.0.1:9", north.url)
    assert done.returncode == 7
    assert "127.0.0.1:9 does not list images" in done.stderr
    assert run("compare", "ftp://x", north.url).returncode == 78
    assert run("size", north.url, "--filter", "x").returncode == 2
