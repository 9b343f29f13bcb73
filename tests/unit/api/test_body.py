# SPDX-License-Identifier: Apache-2.0
"""A body that is cut off is noticed, whatever the WSGI server makes of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from werkzeug.exceptions import BadRequest

from glancekit.api.body import DRAIN_LIMIT, RequestBody
from glancekit.core.errors import BodyCutShort


def body(data: bytes, **environ: Any) -> RequestBody:
    return RequestBody({"wsgi.input": io.BytesIO(data), **environ})


class Breaking(io.RawIOBase):
    """What a server's input does when a chunk is missing."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read(self, size: int = -1, /) -> bytes:
        if not self._pieces:
            raise ValueError("invalid chunk size")
        return self._pieces.pop(0)


def test_a_whole_body_is_read_and_no_byte_of_the_next_request() -> None:
    stream = body(b"abcdeNEXT", CONTENT_LENGTH="5")
    assert list(stream) == [b"abcde"]
    assert stream.read(10) == b""


def test_read_with_no_size_gives_the_rest() -> None:
    assert body(b"abcdeNEXT", CONTENT_LENGTH="5").read() == b"abcde"


def test_without_length_and_chunks_there_is_no_body() -> None:
    assert body(b"NEXT").read(10) == b""


def test_chunks_are_read_to_their_end() -> None:
    assert body(b"abc", HTTP_TRANSFER_ENCODING="chunked").read(10) == b"abc"


def test_a_body_that_stops_short_is_an_error() -> None:
    stream = body(b"abc", CONTENT_LENGTH="5")
    assert stream.read(10) == b"abc"
    with pytest.raises(BodyCutShort) as caught:
        stream.read(10)
    assert (caught.value.received, caught.value.expected) == (3, 5)


def test_a_servers_own_error_becomes_ours() -> None:
    stream = RequestBody({"wsgi.input": Breaking(b"ab"), "HTTP_TRANSFER_ENCODING": "chunked"})
    assert stream.read(10) == b"ab"
    with pytest.raises(BodyCutShort) as caught:
        stream.read(10)
    assert caught.value.received == 2
    assert isinstance(caught.value.__cause__, ValueError)
    stream.drain()  # and nothing more is asked of a broken connection


@pytest.mark.parametrize("text", ["-1", "x", "1.5", "\u0665"])
def test_a_length_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        body(b"", CONTENT_LENGTH=text)


def test_draining_is_bounded() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return bytes(size)

    source = Endless()
    RequestBody({"wsgi.input": source, "HTTP_TRANSFER_ENCODING": "chunked"}).drain()
    assert source.given <= DRAIN_LIMIT + (1 << 20)
