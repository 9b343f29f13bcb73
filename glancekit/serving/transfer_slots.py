# SPDX-License-Identifier: Apache-2.0
"""Keeps long transfers from taking every thread. What is transferred is not its business."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LONG = 1 << 20
"""A body above this many bytes, or of unknown length, counts as a long transfer."""

RETRY_AFTER = 5


class TransferSlots:
    """A WSGI application around another, with at most ``limit`` long transfers at a time.

    A body is long by its length alone, in either direction, so it needs no list of routes. The
    slot is given back by :meth:`release`, which the worker calls when the response is out: a
    wrapper around the response would hide from it that a file can be sent with ``sendfile``.
    """

    def __init__(self, application: WSGIApplication, limit: int) -> None:
        self._application = application
        self._limit = limit
        self._free = threading.BoundedSemaphore(limit)
        self._mine = threading.local()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, or answer 503 when it is long and no slot is free."""
        if _sends_long_body(environ) and not self._take():
            return self._refuse(start_response)
        answers: list[tuple[Any, ...]] = []
        body = self._application(environ, _Later(answers))
        status, headers, *rest = answers[-1]
        if _is_long_answer(environ, status, headers) and not self._take():
            _close(body)
            return self._refuse(start_response)
        start_response(status, headers, *rest)
        return body

    def release(self) -> None:
        """Give back what the request of this thread took, if it took anything."""
        if getattr(self._mine, "taken", False):
            self._mine.taken = False
            self._free.release()

    def _take(self) -> bool:
        if getattr(self._mine, "taken", False):
            return True
        self._mine.taken = self._free.acquire(blocking=False)
        return bool(self._mine.taken)

    def _refuse(self, start_response: StartResponse) -> Iterable[bytes]:
        text = (
            f"This process serves {self._limit} transfers already, which is its limit; "
            f"try again in {RETRY_AFTER} seconds.\n"
        ).encode()
        start_response(
            "503 Service Unavailable",
            [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(text))),
                ("Retry-After", str(RETRY_AFTER)),
            ],
        )
        return [text]


class _Later:
    """A ``start_response`` that remembers the answer until it is known whether it may go out."""

    def __init__(self, answers: list[tuple[Any, ...]]) -> None:
        self._answers = answers

    def __call__(
        self, status: str, headers: list[tuple[str, str]], *rest: Any
    ) -> Callable[[bytes], object]:
        self._answers.append((status, headers, *rest))
        return self._write

    @staticmethod
    def _write(_data: bytes) -> object:
        raise TypeError("glancekit's server takes the body from the application's return value")


def _sends_long_body(environ: WSGIEnvironment) -> bool:
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return True
    return _number(environ.get("CONTENT_LENGTH")) > LONG


def _is_long_answer(environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]]) -> bool:
    if environ["REQUEST_METHOD"] == "HEAD" or status.startswith(("204", "304")):
        return False
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    return not lengths or _number(lengths[0]) > LONG


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
