# SPDX-License-Identifier: Apache-2.0
"""An image's bytes over HTTP, in and out. Where they lie is not its business, nor if they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, cast

from flask import Response, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from glancekit.api.auth import caller
from glancekit.api.body import RequestBody, request_body
from glancekit.api.ranges import content_range, wanted_range
from glancekit.api.replies import empty_reply
from glancekit.core.stream import CHUNK_SIZE, ByteStream, FileStream
from glancekit.services import data
from glancekit.services.copies import Download, Redirect
from glancekit.services.world import World

DIRECT = "direct-transfer"
"""What a client writes after ``Prefer:`` (RFC 7240) to be sent to the store itself.

It says with it that it will not show the store the headers that are for us alone, its token."""

Told = Callable[[int], None]
"""Is told how many bytes were sent."""

_AT_ONCE = 2 * CHUNK_SIZE
"""Bytes asked of a store at a time: as many as the largest pieces that one has, which would be
cut, and that is to copy them."""

_OCTETS = "application/octet-stream"
_MAX_DIGITS = 19


class ImageData:
    """``/v2/images/{id}/file``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def upload(self, image_id: str) -> Response:
        """Answer ``PUT``."""
        if request.mimetype != _OCTETS:
            raise UnsupportedMediaType(f"Image data is sent with Content-Type: {_OCTETS}.")
        body = request_body()
        data.upload(
            self._world,
            caller(),
            image_id,
            body,
            size=_declared_size(body),
            store=request.headers.get("x-image-meta-store") or None,
        )
        return empty_reply()

    def download(self, image_id: str) -> Response:
        """Answer ``GET``."""
        wanted = wanted_range(request.environ)
        redirect = _redirect()
        found = data.download(
            self._world, caller(), image_id, wanted, redirect=redirect, prefer=_preferred()
        )
        if found.elsewhere is not None:
            return _sent_to(found.elsewhere, was_asked=redirect is Redirect.ASKED)
        if not found.has_data:
            return empty_reply()
        response = Response(
            _bytes_of(found, request.environ, self._told(found)),
            status=200 if wanted is None else 206,
            content_type=_OCTETS,
            direct_passthrough=True,
        )
        _describe(response, found, is_part=wanted is not None)
        return response

    def _told(self, found: Download) -> Told:
        """Return what is to be told how many bytes were sent."""
        if not self._world.settings.tell_downloads:
            return _nobody
        who = caller()

        def told(sent: int) -> None:
            is_whole = found.length is None or sent >= found.length
            data.tell_sent(self._world, who, found.image, sent, is_whole=is_whole)

        return told


def _nobody(_sent: int) -> None:
    """Tell nobody."""


def _declared_size(body: RequestBody) -> int | None:
    text = request.headers.get("x-openstack-image-size")
    if text is None:
        return body.length
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_DIGITS:
        raise BadRequest(f"x-openstack-image-size is not a number of bytes: '{text[:40]}'.")
    return int(text)


def _redirect() -> Redirect:
    """Return what the client says of being sent to the store itself.

    One that asks for a part in the old clients' way would get all of it there.
    """
    headers = request.headers
    if "Content-Range" in headers and "Range" not in headers:
        return Redirect.NEVER
    words = headers.get("Prefer", "").split(",")
    preferences = (word.partition(";")[0].strip().lower() for word in words)
    return Redirect.ASKED if DIRECT in preferences else Redirect.ACCEPTED


def _preferred() -> list[str]:
    """Return the stores that the client would have the data from."""
    return [word.strip() for word in request.args.get("prefer", "").split(",") if word.strip()]


def _sent_to(url: str, *, was_asked: bool) -> Response:
    """Send the client to the store. Who has the URL has the bytes, so nobody is to keep it."""
    response = empty_reply(status=307)
    response.headers["Location"] = url
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Prefer"
    if was_asked:
        response.headers["Preference-Applied"] = DIRECT
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _describe(response: Response, found: Download, *, is_part: bool) -> None:
    headers = response.headers
    headers["Accept-Ranges"] = "bytes"
    if found.image.checksum:
        headers["Content-MD5"] = found.image.checksum
    if found.length is not None:
        headers["Content-Length"] = str(found.length)
    if is_part and found.length is not None and found.total is not None:
        headers["Content-Range"] = content_range(found.offset, found.length, found.total)


def _bytes_of(found: Download, environ: dict[str, Any], told: Told) -> Iterable[bytes]:
    """Return what the server sends; it closes it, also when the client goes away."""
    if found.file is None:
        return _Chunks(cast(ByteStream, found.stream), told)
    found.file.seek(found.offset)
    is_whole = found.length == found.total
    piece = _Piece(found.file, found.length)
    wrapper = environ.get("wsgi.file_wrapper")
    # uwsgi sends a wrapped file from its first byte to its last, whatever its position.
    if wrapper is None or ("uwsgi.version" in environ and not is_whole):
        return _Chunks(piece, told)
    piece.tell_at_close(told)
    return cast(Iterable[bytes], wrapper(piece, CHUNK_SIZE))


class _Chunks:
    """A stream in the form that WSGI takes."""

    def __init__(self, stream: ByteStream, told: Told) -> None:
        self._stream = stream
        self._told = told
        self._sent = 0

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._stream.read(_AT_ONCE):
            yield chunk
            self._sent += len(chunk)  # the server has come back for more

    def close(self) -> None:
        """Let go of the stream, and tell how far it came."""
        self._stream.close()
        self._told(self._sent)


class _Piece(FileStream):
    """A part of a file, beginning where it stands now.

    A server that knows ``sendfile`` takes the file by its number and as many bytes as
    Content-Length says (PEP 3333); to all others ``read`` shows no more than the part.
    """

    def __init__(self, file: BinaryIO, length: int | None) -> None:
        super().__init__(file, length=length)
        self.fileno = file.fileno
        self.tell = file.tell
        self._begin = self._reached = file.tell()
        self._told: Told = _nobody

    def read(self, size: int = -1, /) -> bytes:
        """Return what the file gives, within the part."""
        chunk = super().read(size)
        self._reached += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to where the server says that it has sent from; it may well go back at the end."""
        position = self._file.seek(offset, whence)
        self._reached = max(self._reached, position)
        return position

    def tell_at_close(self, told: Told) -> None:
        """Have somebody told how many bytes were sent."""
        self._told = told

    def close(self) -> None:
        """Let go of the file, and tell how far it came."""
        if self._file.closed:
            return
        sent = self._reached - self._begin
        super().close()
        self._told(sent)
