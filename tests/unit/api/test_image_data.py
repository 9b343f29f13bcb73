# SPDX-License-Identifier: Apache-2.0
"""The bytes of a local file reach the client whole and cut right, whatever the server offers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO
from wsgiref.util import FileWrapper

import pytest
from flask import Flask

from glancekit.api.v2.image_data import _bytes_of, _redirect
from glancekit.core.model.image import Image
from glancekit.services.data import Download, Redirect

DATA = os.urandom(3_000_000)


@pytest.mark.parametrize(
    ("preferences", "said"),
    [
        ([], Redirect.ACCEPTED),
        (["direct-transfer"], Redirect.ASKED),
        (["Direct-Transfer"], Redirect.ASKED),
        (["return=minimal, direct-transfer"], Redirect.ASKED),
        (["return=minimal", "direct-transfer; wait=9"], Redirect.ASKED),
        (["direct-transfer=no"], Redirect.ACCEPTED),
        (["indirect-transfer"], Redirect.ACCEPTED),
    ],
)
def test_what_a_client_prefers(preferences: list[str], said: Redirect) -> None:
    """As RFC 7240 has it: any number of headers; parameters that nobody knows are ignored."""
    with Flask(__name__).test_request_context(headers=[("Prefer", p) for p in preferences]):
        assert _redirect() is said


class SendfileWrapper:
    """What a server with ``sendfile`` does: the file's number, its position, Content-Length."""

    def __init__(self, file: Any, block_size: int) -> None:
        self.file = file
        self.close = file.close

    def send(self, length: int) -> bytes:
        number = self.file.fileno()
        begin = os.lseek(number, 0, os.SEEK_CUR)
        self.file.seek(begin + length)  # as socket.sendfile does
        return os.pread(number, length, begin)


@pytest.fixture
def file(tmp_path: Path) -> BinaryIO:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path.open("rb", buffering=0)


def found(file: BinaryIO, offset: int, length: int) -> Download:
    image = Image(id="x", owner=None, size=len(DATA))
    return Download(image=image, offset=offset, length=length, total=len(DATA), file=file)


PARTS = [(0, len(DATA)), (0, 10), (100, 2_000_000), (2_999_999, 1)]
ENVIRONS: list[dict[str, Any]] = [
    {},
    {"wsgi.file_wrapper": FileWrapper},
    {"wsgi.file_wrapper": FileWrapper, "uwsgi.version": b"2"},
]


@pytest.mark.parametrize(("offset", "length"), PARTS)
@pytest.mark.parametrize("environ", ENVIRONS, ids=["bare", "wrapper", "uwsgi"])
def test_a_server_that_reads(
    file: BinaryIO, environ: dict[str, Any], offset: int, length: int
) -> None:
    told: list[int] = []
    chunks: Any = _bytes_of(found(file, offset, length), environ, told.append)
    assert b"".join(chunks) == DATA[offset : offset + length]
    chunks.close()
    assert file.closed
    assert told == [length]


@pytest.mark.parametrize(("offset", "length"), PARTS)
def test_a_server_that_sends_files(file: BinaryIO, offset: int, length: int) -> None:
    told: list[int] = []
    environ = {"wsgi.file_wrapper": SendfileWrapper}
    wrapper: Any = _bytes_of(found(file, offset, length), environ, told.append)
    assert isinstance(wrapper, SendfileWrapper)
    assert wrapper.send(length) == DATA[offset : offset + length]
    wrapper.close()
    assert file.closed
    assert told == [length]


def test_uwsgi_gets_no_file_for_a_part_since_it_would_send_it_whole(file: BinaryIO) -> None:
    environ = {"wsgi.file_wrapper": SendfileWrapper, "uwsgi.version": b"2"}
    ignored: list[int] = []
    whole: Iterable[bytes] = _bytes_of(found(file, 0, len(DATA)), environ, ignored.append)
    part: Iterable[bytes] = _bytes_of(found(file, 0, 10), environ, ignored.append)
    assert isinstance(whole, SendfileWrapper)
    assert not isinstance(part, SendfileWrapper)
    file.close()
