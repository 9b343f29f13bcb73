# SPDX-License-Identifier: Apache-2.0
"""Bytes through the real server: whole, cut off, slow, and beyond the limit."""

from __future__ import annotations

import hashlib
import json
import time

import pytest

HEAD = b"PUT /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


def test_a_body_comes_whole_and_in_large_pieces(start):
    server = start()
    data = (server.folder / "big").read_bytes()
    length = f"Content-Length: {len(data)}\r\n\r\n".encode()
    answer = server.ask(HEAD + length + data)
    count, largest, digest = json.loads(answer.split(b"\r\n\r\n")[1])
    assert (count, digest) == (len(data), hashlib.md5(data).hexdigest())
    assert largest == 1 << 20


def test_a_chunked_body_comes_whole(start):
    server = start()
    data = (server.folder / "big").read_bytes()[: 3 << 20]
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
    answer = server.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert json.loads(answer.split(b"\r\n\r\n")[1])[0] == len(data)


def test_the_client_is_told_to_go_on(start):
    server = start()
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"hello")
        assert b" 200 OK" in sock.recv(1000)


def test_a_body_that_is_cut_off_is_seen(start):
    """With a length it just ends, so whoever reads counts; chunked, reading raises."""
    server = start()
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000)
    server.wait_for("body ended after 500000\n")
    for rest in (b"7a120\r\n" + b"x" * 400_000, b"7a120\r\n" + b"x" * 500_000 + b"\r\n"):
        with server.connect() as sock:
            sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + rest)
    server.wait_for(r"(?s)(body raised \w+.*){2}")
    assert server.text().count("body ended") == 1


def test_a_client_that_stops_sending_is_given_up(start):
    server = start(idle_timeout=1)
    with server.connect() as sock:
        sock.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500)
        server.wait_for("body raised TimeoutError")
        while sock.recv(1000):
            pass


@pytest.mark.parametrize("path", ["/file", "/stream?48x1048576"])
def test_a_client_that_stops_reading_is_given_up(start, path):
    server = start(idle_timeout=1)
    with server.connect() as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sent = int(server.wait_for(r"-> 200, (\d+) bytes")[1])
        assert 0 < sent < 48 << 20
    assert "Traceback" not in server.text()


@pytest.mark.parametrize("path", ["/file", "/stream?6x8388608"])
def test_a_client_that_reads_slowly_is_served_to_the_end(start, path):
    """All in all it takes several times the idle time-out, but something always moves."""
    server = start(idle_timeout=2)
    received = 0
    with server.connect() as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        while piece := sock.recv(1 << 20):
            received += len(piece)
            time.sleep(0.06)
    assert received > 48 << 20


def test_a_slice_of_a_file_is_what_was_asked_for(start):
    server = start()
    data = (server.folder / "big").read_bytes()
    assert server.get("/file?1048000-70000").split(b"\r\n\r\n", 1)[1] == data[1048000:1118000]
    assert server.get("/file").split(b"\r\n\r\n", 1)[1] == data


def test_transfers_beyond_the_limit_are_told_to_come_back(start):
    server = start(threads=8, reserved_threads=6)
    request = b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n"
    held = [server.connect() for _ in range(2)]
    for sock in held:
        sock.sendall(request)
        assert b" 200 OK" in sock.recv(1000)
    for refused in (server.get("/file"), server.ask(HEAD + b"Content-Length: 2000000\r\n\r\n")):
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in refused
    assert b" 200 OK" in server.get("/pid")
    assert b" 206 " in server.get("/file?0-1000")
    for sock in held:
        sock.close()
    server.wait_for(r"(?s)(/file -> 200.*){2}")
    assert b" 200 OK" in server.get("/file")
