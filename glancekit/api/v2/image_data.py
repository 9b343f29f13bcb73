# SPDX-License-Identifier: Apache-2.0
"""An image's bytes over HTTP, in and out. Where they lie is not its business, nor if they fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
        found = data.download(self._world, caller(), image_id, wanted, redirect=redirect)
        if found.elsewhere is not None:
            return _sent_to(found.elsewhere, was_asked=redirect is Redirect.ASKED)
        if not found.has_data:
            return empty_reply()
        response = Response(
            _bytes_of(found, request.environ),
            status=200 if wanted is None else 206,
            content_type=_OCTETS,
            direct_passthrough=True,
        )
        _describe(response, found, is_part=wanted is not None)
        return response


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
    preferences = (word.strip().lower() for word in headers.get("Prefer", "").split(","))
    return Redirect.ASKED if DIRECT in preferences else Redirect.ACCEPTED


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


def _bytes_of(found: Download, environ: dict[str, Any]) -> Iterable[bytes]:
    """Return what the server sends; it closes it, also when the client goes away."""
    if found.file is None:
        return _Chunks(cast(ByteStream, found.stream))
    found.file.seek(found.offset)
    is_whole = found.length == found.total
    piece = _Piece(found.file, found.length)
    wrapper = environ.get("wsgi.file_wrapper")
    # uwsgi sends a wrapped file from its first byte to its last, whatever its position.
    if wrapper is None or ("uwsgi.version" in environ and not is_whole):
        return _Chunks(piece)
    return cast(Iterable[bytes], wrapper(piece, CHUNK_SIZE))


class _Chunks:
    """A stream in the form that WSGI takes."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.close = stream.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)


class _Piece(FileStream):
    """A part of a file, beginning where it stands now.

    A server that knows ``sendfile`` takes the file by its number and as many bytes as
    Content-Length says (PEP 3333); to all others ``read`` shows no more than the part.
    """

    def __init__(self, file: BinaryIO, length: int | None) -> None:
        super().__init__(file, length=length)
        self.fileno = file.fileno
        self.seek = file.seek
        self.tell = file.tell
