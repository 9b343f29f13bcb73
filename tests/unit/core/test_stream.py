# SPDX-License-Identifier: Apache-2.0
"""The two faces of a stream give each byte once."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from glancekit.core.stream import CHUNK_SIZE, ByteStream, FileStream, IteratorStream

DATA = bytes(range(256)) * 20


def of_file(data: bytes) -> ByteStream:
    return FileStream(io.BytesIO(data))


def of_chunks(data: bytes) -> ByteStream:
    pieces = [data[start : start + 100] for start in range(0, len(data), 100)]
    return IteratorStream(iter([b"", *pieces, b""]))


@pytest.mark.parametrize("make", [of_file, of_chunks])
@pytest.mark.parametrize("size", [1, 99, 100, 101, 10_000])
def test_reads_give_all_bytes_in_order(make, size: int) -> None:
    stream, got = make(DATA), []
    while chunk := stream.read(size):
        assert len(chunk) <= size
        got.append(chunk)
    assert b"".join(got) == DATA
    assert stream.read(size) == b""


@pytest.mark.parametrize("make", [of_file, of_chunks])
def test_both_faces_may_be_used_on_one_stream(make) -> None:
    stream = make(DATA)
    assert stream.read(7) + b"".join(stream) == DATA
    assert make(DATA).read() == DATA


@pytest.mark.parametrize("length", [0, 1, 300, len(DATA), len(DATA) + 1])
def test_a_file_can_be_cut_at_a_length(length: int) -> None:
    for read in (lambda s: s.read(), lambda s: b"".join(s), lambda s: s.read(CHUNK_SIZE)):
        assert read(FileStream(io.BytesIO(DATA), length=length)) == DATA[:length]


def test_leaving_the_block_closes_what_is_behind() -> None:
    file = io.BytesIO(DATA)
    with FileStream(file) as stream:
        stream.read(1)
    assert file.closed

    ended: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            yield DATA
        finally:
            ended.append(True)

    with IteratorStream(chunks()) as stream:
        stream.read(1)
    stream.close()
    assert ended == [True]


def test_an_iterator_that_cannot_be_closed_is_none_the_worse() -> None:
    IteratorStream(iter([DATA])).close()
