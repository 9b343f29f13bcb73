# SPDX-License-Identifier: Apache-2.0
"""The server's web interface to its datastores: files go in and come out through it, whole or
from somewhere on. What becomes of a broken transfer is not its business."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from glancekit.plugin import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    GlancekitError,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from glancekit_vmware_store.connection import Connection
from glancekit_vmware_store.failures import translated
from glancekit_vmware_store.options import Settings
from glancekit_vmware_store.places import Place
from glancekit_vmware_store.vcenter import Session, VCenter

_BY_STATUS: Mapping[int, type[GlancekitError]] = {
    401: StoreUnavailable,  # the session has ended just now; with a new one it works
    403: StoreDenied,
    409: BlobExists,
    413: StoreFull,
    416: StoreFailed,  # the file is shorter than it was
    423: BlobInUse,
    507: StoreFull,
}
"""What is not here is StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to a read, and the connection that it comes by."""

    connection: Connection
    response: HTTPResponse
    length: int
    """Of the part that was asked for, in bytes."""
    total: int
    """Of the whole file."""
    version: str
    """When the file was last written, as the server says it."""

    def close(self) -> None:
        """Close the connection; what was not read is not fetched."""
        self.response.close()
        self.connection.close()


class Folder:
    """Requests to the web interface, with errors of ours. Each has a connection of its own."""

    def __init__(self, vcenter: VCenter, settings: Settings) -> None:
        self._vcenter = vcenter
        self._settings = settings

    def size(self, place: Place) -> int:
        """Return a file's length.

        :raises BlobNotFound: when there is none.
        """
        opened = self._fetch("HEAD", place, {})
        opened.close()
        return opened.length

    def has(self, place: Place) -> bool:
        """Say whether there is a file, in a datastore that is known to be there."""
        opened, session = self._answered("HEAD", place, {})
        opened.close()
        if opened.response.status not in (200, 404):
            raise self._not_given(place, opened.response, session)
        return opened.response.status == 200

    def get(self, place: Place, offset: int = 0, length: int | None = None) -> Opened:
        """Open a file, from ``offset`` on, to its end or for ``length`` bytes.

        :raises BlobNotFound: when there is none.
        """
        if not offset and length is None:
            return self._fetch("GET", place, {})
        last = "" if length is None else offset + length - 1
        return self._fetch("GET", place, {"Range": f"bytes={offset}-{last}"})

    def put(self, place: Place, chunks: Iterable[bytes], size: int | None) -> None:
        """Make a file of chunks. What they raise is passed on.

        On an error what has arrived may stay, and may still be arriving for a moment.
        """
        session = self._vcenter.session()
        connection = self._connect()
        try:
            connection.putrequest("PUT", place.target, skip_accept_encoding=True)
            connection.putheader("Cookie", session.cookie)
            connection.putheader("Content-Type", "application/octet-stream")
            if size is None:
                connection.putheader("Transfer-Encoding", "chunked")
            else:
                connection.putheader("Content-Length", str(size))
            answer = _answer_to(connection, _body(chunks, is_chunked=size is None))
            if answer.status not in (200, 201, 204):
                raise self._refused("writing", answer, session)
        finally:
            connection.close()

    # -- how

    def _fetch(self, method: str, place: Place, headers: Mapping[str, str]) -> Opened:
        opened, session = self._answered(method, place, headers)
        if opened.response.status in (200, 206):
            return _as_asked(opened, headers)
        opened.close()
        raise self._not_given(place, opened.response, session)

    def _answered(
        self, method: str, place: Place, headers: Mapping[str, str]
    ) -> tuple[Opened, Session]:
        """Ask about a file; once more where the session turns out to have ended."""
        session = self._vcenter.session()
        opened = self._ask(method, place, headers, session)
        if opened.response.status == 401:
            opened.close()
            self._vcenter.forget(session)
            session = self._vcenter.session()
            opened = self._ask(method, place, headers, session)
        return opened, session

    def _ask(
        self, method: str, place: Place, headers: Mapping[str, str], session: Session
    ) -> Opened:
        connection = self._connect()
        try:
            with translated("reading"):
                asked = {**headers, "Cookie": session.cookie}
                connection.request(method, place.target, headers=asked)
                return _opened(connection, connection.getresponse())
        except BaseException:
            connection.close()
            raise

    def _not_given(self, place: Place, answer: HTTPResponse, session: Session) -> GlancekitError:
        """Return what it means that a file was not given.

        :raises BlobUnavailable: when its datastore is away, or called otherwise by now.
        """
        if answer.status == 404 or answer.status >= 500:
            self._vcenter.room(place.datastore, anew=True)
        if answer.status == 404:
            return BlobNotFound()
        return self._refused("reading", answer, session)

    def _refused(self, deed: str, answer: HTTPResponse, session: Session) -> GlancekitError:
        """Return what an answer means; a session that is no good is not used again."""
        if answer.status == 401:
            self._vcenter.forget(session)
        kind = _BY_STATUS.get(answer.status, StoreUnavailable)
        if kind in (StoreDenied, StoreFailed, StoreUnavailable):
            return kind(f"{deed}: the server answered {answer.status} {answer.reason}")
        return kind()

    def _connect(self) -> Connection:
        connection = Connection(self._settings)
        with translated("connecting"):
            connection.connect()
        connection.sock.settimeout(self._settings.idle_timeout)
        return connection


def _answer_to(connection: Connection, body: Iterable[Iterable[bytes]]) -> HTTPResponse:
    """Send a body and return the answer; one that comes early, instead of the rest."""
    with translated("writing"):
        connection.endheaders()
    for parts in body:
        if not _is_sent(connection, parts):
            break
    with translated("writing"):
        return connection.getresponse()


def _is_sent(connection: Connection, parts: Iterable[bytes]) -> bool:
    """Send some bytes; False where the server wants no more, and may have said why."""
    try:
        for part in parts:
            connection.send(part)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        return False
    except (OSError, HTTPException):
        with translated("writing"):
            raise
    return True


def _body(chunks: Iterable[bytes], *, is_chunked: bool) -> Iterator[tuple[bytes, ...]]:
    """Return the pieces of a body, as HTTP wants them where its length is not known."""
    for chunk in chunks:
        yield (b"%x\r\n" % len(chunk), chunk, b"\r\n") if is_chunked else (chunk,)
    if is_chunked:
        yield (b"0\r\n\r\n",)


def _opened(connection: Connection, response: HTTPResponse) -> Opened:
    """Return an answer with what its head says."""
    length = int(response.getheader("Content-Length") or 0)
    part = response.getheader("Content-Range") or ""
    total = part.rpartition("/")[2]
    return Opened(
        connection,
        response,
        length,
        int(total) if total.isdigit() else length,
        response.getheader("Last-Modified") or "",
    )


def _as_asked(opened: Opened, headers: Mapping[str, str]) -> Opened:
    """Insist on a length, and on the part that was asked for, up to the end of the file."""
    answer, problem = opened.response, ""
    if answer.getheader("Content-Length") is None:
        problem = "the server does not say how long the file is"
    part = headers.get("Range", "").partition("-")[0].replace("=", " ")
    if part and not (answer.getheader("Content-Range") or "").startswith(f"{part}-"):
        problem = "the server sent another part of the file than was asked for"
    if problem:
        opened.close()
        raise StoreUnavailable(problem)
    return opened
