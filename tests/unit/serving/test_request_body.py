# SPDX-License-Identifier: Apache-2.0
"""A request's body comes whole and alone, whatever the connection's pieces are."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.http.body import ChunkedReader
from gunicorn.http.parser import RequestParser

from glancekit.serving.request_body import StraightBody, straighten

HEAD = b"PUT /v2/images/1/file HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

Ends = tuple[socket.socket, RequestParser]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The client's end of a connection, and what the server reads requests with."""
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(0.2)
        yield client, RequestParser(Config(), server, ("127.0.0.1", 1))


def begin(ends: Ends, data: bytes) -> StraightBody:
    ends[0].sendall(data)
    request = next(ends[1])
    straighten(request)
    assert isinstance(request.body, StraightBody)
    return request.body


def test_what_came_with_the_header_comes_first(ends: Ends) -> None:
    body = begin(ends, HEAD % 10 + b"0123")
    assert body.read(3) == b"012"
    assert body.read(100) == b"3"
    ends[0].sendall(b"456789")
    assert body.read(100) == b"456789"
    assert body.read(100) == b""


def test_the_next_request_is_left_alone(ends: Ends) -> None:
    body = begin(ends, HEAD % 4 + b"0123" + NEXT)
    assert body.read(100) == b"0123"
    assert body.read(100) == b""
    request = next(ends[1])
    assert (request.method, request.uri) == ("GET", "/")


def test_what_nobody_read_is_passed_over(ends: Ends) -> None:
    begin(ends, HEAD % 4 + b"0123" + NEXT).read(1)
    assert next(ends[1]).method == "GET"


@pytest.mark.parametrize("size", [None, -1])
def test_all_of_it_at_once(ends: Ends, size: int | None) -> None:
    body = begin(ends, HEAD % 10 + b"0123456789" + NEXT)
    assert body.read(size) == b"0123456789"
    assert body.read(size) == b""


def test_lines_go_on_where_reading_ended(ends: Ends) -> None:
    body = begin(ends, HEAD % 11 + b"one\ntwo\nxyz")
    assert body.read(2) == b"on"
    assert body.readline() == b"e\n"
    assert body.read(3) == b"two"
    assert body.read() == b"\nxyz"


def test_a_client_that_goes_away_ends_it(ends: Ends) -> None:
    body = begin(ends, HEAD % 10 + b"0123")
    ends[0].close()
    assert body.read(100) == b"0123"
    assert body.read(100) == b""


def test_behind_a_break_no_request_is_looked_for(ends: Ends) -> None:
    body = begin(ends, HEAD % 10 + b"0123")
    body.read(100)
    with pytest.raises(TimeoutError):
        body.read(100)
    assert body.failed
    with pytest.raises(StopIteration):
        next(ends[1])


def test_chunks_are_gunicorn_s_business(ends: Ends) -> None:
    ends[0].sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    request = next(ends[1])
    straighten(request)
    assert type(request.body) is not StraightBody
    assert isinstance(request.body.reader, ChunkedReader)
