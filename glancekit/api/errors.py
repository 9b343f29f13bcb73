# SPDX-License-Identifier: Apache-2.0
"""From an error's class to a status, and to a body that a human and every client can read.

The one place that knows both. Whoever raises knows the fact, not the status.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from types import MappingProxyType

import orjson
from flask import Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from glancekit.core import errors as e

log = logging.getLogger(__name__)

UPLOAD_OFFSET = "Upload-Offset"
"""Header that tells how many bytes of an upload in parts are durable."""

RETRY_AFTER = 5
"""Seconds until it is worth asking again, where the error does not say."""


@dataclass(frozen=True, slots=True)
class Row:
    """What an error becomes. ``message`` stands in for its own, which is for the log only."""

    status: int
    message: str | None = None
    retry: bool = False


_BROKEN = "The image service cannot do this at present because of a fault in its own setup."

TABLE: Mapping[type[BaseException], Row] = MappingProxyType(
    {
        e.Invalid: Row(400),
        e.RangeUnsatisfiable: Row(416),
        e.UnacceptableFormat: Row(415),
        e.Unauthenticated: Row(401),
        e.Forbidden: Row(403),
        e.NotFound: Row(404),
        e.ImageGone: Row(410),
        e.Conflict: Row(409),
        e.LimitExceeded: Row(413),
        e.TooManyRequests: Row(429, retry=True),
        e.StoreError: Row(500, "The store that has to do this failed."),
        e.BlobNotFound: Row(404),
        e.BlobExists: Row(409),
        e.BlobInUse: Row(409),
        e.StoreFull: Row(413),
        e.StoreDenied: Row(
            503, "The store refuses the image service; its operator can mend that."
        ),
        e.StoreReadOnly: Row(410),
        e.StoreUnavailable: Row(503, "The store does not answer; try again later.", retry=True),
        e.CapabilityMissing: Row(400),
        e.StoreFailed: Row(500, "The store that has to do this failed."),
        e.MetadataError: Row(500, _BROKEN),
        e.MetadataUnavailable: Row(
            503, "The image service is too busy or lacks its database; try again.", retry=True
        ),
        e.SchemaMismatch: Row(503, _BROKEN),
        e.Unavailable: Row(503, retry=True),
        e.ConfigError: Row(500, _BROKEN),
        e.PluginError: Row(500, _BROKEN),
    }
)
"""Looked up along an error's classes, the most specific first; see docs/reference/errors.rst."""

_UNKNOWN = Row(500, "The image service has met an error that it did not expect.")


def row_for(kind: type[BaseException]) -> Row:
    """Return what a class of errors becomes."""
    return next((TABLE[parent] for parent in kind.__mro__ if parent in TABLE), _UNKNOWN)


def answer(error: Exception, *, request_id: str, challenge: Callable[[], str | None]) -> Response:
    """Return the answer to a request that ended in an error; a 401 asks for the challenge."""
    if isinstance(error, HTTPException) and error.code is not None:
        return _http_answer(error)
    row = row_for(type(error))
    if row.status >= 500:
        _log(error, row, request_id)
    message = row.message or str(error)
    if row.status == 500:
        message += f" Its operator finds it under the request id {request_id}."
    response = render(row.status, message)
    response.headers.update(_headers(error, row, challenge))
    return response


def _log(error: Exception, row: Row, request_id: str) -> None:
    if row.status == 500:
        log.error("request %s failed", request_id, exc_info=error)
    else:
        log.warning("request %s could not be served: %s", request_id, error)


def _headers(error: Exception, row: Row, challenge: Callable[[], str | None]) -> dict[str, str]:
    facts = error.facts if isinstance(error, e.GlancekitError) else {}
    headers: dict[str, str] = {}
    if row.retry:
        headers["Retry-After"] = str(facts.get("retry_after") or RETRY_AFTER)
    if row.status == 401 and (asked := challenge()):
        headers["WWW-Authenticate"] = asked
    if row.status == 416 and "size" in facts:
        headers["Content-Range"] = f"bytes */{facts['size']}"
    if isinstance(error, e.OffsetMismatch):
        headers[UPLOAD_OFFSET] = str(facts["offset"])
    return headers


def _http_answer(error: HTTPException) -> Response:
    """Answer for what this room itself found wrong, or the router."""
    status = error.code or 500
    response = render(status, error.description or HTTPStatus(status).description)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "allow"):
            response.headers[name] = value
    if isinstance(error, MethodNotAllowed) and error.valid_methods is not None:
        methods = sorted(set(error.valid_methods) - {"OPTIONS"})
        response.headers["Allow"] = ", ".join(methods)
    return response


def render(status: int, message: str) -> Response:
    """Return an error in the form that the client accepts: HTML unless it says otherwise."""
    title = f"{status} {HTTPStatus(status).phrase}"
    accepted = request.accept_mimetypes
    best = accepted.best_match(("text/html", "application/json")) if accepted else "text/html"
    if best == "application/json":
        content = {"message": message, "code": title, "title": HTTPStatus(status).phrase}
        return Response(orjson.dumps(content), status, content_type="application/json")
    if best == "text/html":
        return Response(_html(title, message), status, content_type="text/html; charset=UTF-8")
    text = f"{title}\n\n{message}\n"
    return Response(text, status, content_type="text/plain; charset=UTF-8")


def _html(title: str, message: str) -> str:
    """Lay it out line by line: the command line clients strip the tags and show the lines."""
    return (
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n"
        f"  <h1>{title}</h1>\n  {escape(message, quote=False)}<br /><br />\n </body>\n</html>\n"
    )
