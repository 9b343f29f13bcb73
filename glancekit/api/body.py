# SPDX-License-Identifier: Apache-2.0
"""The body of a request: a stream that notices when it is cut off, or JSON of a bounded size.

What the bytes or the JSON mean is the resources' business.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import orjson
from flask import current_app, g, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from glancekit.core.errors import BodyCutShort
from glancekit.core.stream import ByteStream

log = logging.getLogger(__name__)

JSON_LIMIT = "GLANCEKIT_JSON_LIMIT"
"""Name in the application's configuration: bytes that a JSON body may have."""

DRAIN_LIMIT = 64 << 20
DRAIN_SECONDS = 5.0
"""How much of a refused upload is still read, and for how long.

A client that is still sending when the connection closes gets a reset in place of the answer.
What is longer is left to the server, which closes.
"""

_DRAIN_STEP = 16 << 10
"""Small, since the clock is looked at between two reads only, and a slow client makes one long."""


_MAX_DIGITS = 19
"""Of a number of bytes."""


class RequestBody(ByteStream):
    """The bytes that a client sends. It counts them, since WSGI servers differ at an early end.

    With a Content-Length they just stop short; with chunks they raise, each server its own error.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        self._input = environ["wsgi.input"]
        self.length = _length(environ)
        self.received = 0
        self._is_broken = False

    def read(self, size: int = -1, /) -> bytes:
        """Return what has come.

        :raises BodyCutShort: when the client went away before its body was whole.
        """
        if self.length is not None:
            left = self.length - self.received
            size = left if size < 0 else min(size, left)
            if size == 0:
                return b""
        chunk = self._take(size)
        self.received += len(chunk)
        if not chunk and self.length is not None:
            raise self._cut_short()
        return chunk

    def _take(self, size: int) -> bytes:
        try:
            chunk: bytes = self._input.read(size) if size >= 0 else self._input.read()
        except Exception as error:  # every WSGI server has its own class for a broken body
            raise self._cut_short() from error
        return chunk

    def _cut_short(self) -> BodyCutShort:
        self._is_broken = True
        return BodyCutShort(received=self.received, expected=self.length)

    def drain(self) -> None:
        """Read the rest and forget it, within bounds."""
        end = self.received + DRAIN_LIMIT
        deadline = time.monotonic() + DRAIN_SECONDS
        try:
            while not self._is_broken and self.received < end and time.monotonic() < deadline:
                if not self.read(_DRAIN_STEP):
                    return
        except BodyCutShort as error:
            log.debug("the rest of a refused body did not come: %s", error)

    def close(self) -> None:
        """Do nothing: the connection is the server's."""


def _length(environ: dict[str, Any]) -> int | None:
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return None
    text = environ.get("CONTENT_LENGTH") or "0"
    if not (text.isascii() and text.isdecimal()):
        raise BadRequest(f"Content-Length is not a number of bytes: {text}")
    return int(text)


def has_body(environ: dict[str, Any]) -> bool:
    """Say whether a request brings a body, be it of unknown length."""
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or bool(
        environ.get("HTTP_TRANSFER_ENCODING")
    )


def request_body() -> RequestBody:
    """Return the body of the current request, the same one each time."""
    if "body" not in g:
        g.body = RequestBody(request.environ)
    body: RequestBody = g.body
    return body


def declared_size(body: RequestBody) -> int | None:
    """Return how many bytes the client says that it sends, None when it does not say."""
    text = request.headers.get("x-openstack-image-size")
    if text is None:
        return body.length
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_DIGITS:
        raise BadRequest(f"x-openstack-image-size is not a number of bytes: '{text[:40]}'.")
    return int(text)


def json_body() -> Any:
    """Return what the current request's JSON body says."""
    raw = _read_limited(request_body())
    if not raw:
        raise BadRequest("A JSON body is expected with this request.")
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"Malformed JSON in the request body: {error}") from error
    if b"\\u0000" in raw and _has_nul(content):
        raise BadRequest("The request body has a NUL character in a string.")
    return content


def json_object() -> dict[str, Any]:
    """Return the object that the current request's JSON body is."""
    content = json_body()
    if not isinstance(content, dict):
        raise BadRequest("The request body must be a JSON object.")
    return content


def _read_limited(body: RequestBody) -> bytes:
    limit = current_app.config[JSON_LIMIT]
    if body.length is not None and body.length > limit:
        raise RequestEntityTooLarge(f"A JSON body may have {limit} bytes at most.")
    parts: list[bytes] = []
    while chunk := body.read(limit + 1):
        parts.append(chunk)
        if body.received > limit:
            raise RequestEntityTooLarge(f"A JSON body may have {limit} bytes at most.")
    return b"".join(parts)


def _has_nul(content: Any) -> bool:
    if isinstance(content, str):
        return "\0" in content
    if isinstance(content, dict):
        return any(_has_nul(key) or _has_nul(value) for key, value in content.items())
    if isinstance(content, list):
        return any(_has_nul(item) for item in content)
    return False
