# SPDX-License-Identifier: Apache-2.0
"""Clients that hold connections without asking anything do not keep others from being served."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

OTHERS = 40


@pytest.mark.parametrize(
    "beginning", [b"", b"GET /pid HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["silent", "slow header"]
)
def test_connections_without_a_request_take_no_thread(start, beginning):
    server = start(threads=8, reserved_threads=1, header_timeout=30)
    others = [server.connect() for _ in range(OTHERS)]
    for sock in others:
        sock.sendall(beginning)
    for _ in range(3):
        assert b" 200 OK" in server.get("/pid")
    # They are not forgotten: each is answered as soon as its request is complete.
    for sock in others:
        sock.sendall(b"\r\n\r\n" if beginning else b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
    for sock in others:
        assert b" 200 OK" in sock.recv(1000)
        sock.close()


def test_a_header_that_does_not_come_in_time_ends_the_connection(start):
    server = start(header_timeout=1)
    with server.connect() as sock:
        sock.sendall(b"GET /pid HTTP/1.1\r\n")
        assert sock.recv(1000) == b""


def test_a_header_without_end_ends_the_connection(start):
    server = start(header_timeout=1000)
    with server.connect() as sock:
        sock.sendall(b"GET /pid HTTP/1.1\r\nX-Long: " + b"x" * 60_000)
        with suppress(ConnectionResetError):
            assert sock.recv(1000) == b""


def test_a_connection_serves_request_after_request(start):
    server = start(keep_alive=30)
    with server.connect() as sock:
        for _ in range(3):
            sock.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not re.search(rb"\r\n\r\n\d+$", answer):
                answer += sock.recv(1000)
            assert b" 200 OK" in answer


def test_one_busy_connection_leaves_others_their_turn(start):
    """More in a row than one thread serves in one go."""
    server = start(threads=8, reserved_threads=7)
    request = b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect() as busy:
        for _ in range(100):
            busy.sendall(request)
            answer = b""
            while not re.search(rb"\r\n\r\n\d+$", answer):
                answer += busy.recv(1000)
        assert b" 200 OK" in server.get("/pid")


def test_requests_sent_ahead_are_all_answered(start):
    server = start()
    one = b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert server.ask(one + one + last).count(b" 200 OK") == 3


def test_a_request_sent_half_ahead_is_bounded_in_time(start):
    server = start(header_timeout=1, keep_alive=1)
    with server.connect() as sock:
        sock.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n\r\nGET /pid HTTP/1.1\r\nX-Slow: ")
        answered = b""
        while piece := sock.recv(1000):
            answered += piece
        assert answered.count(b" 200 OK") == 1
