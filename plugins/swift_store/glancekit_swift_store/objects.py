# SPDX-License-Identifier: Apache-2.0
"""Objects of one container: what is asked of them, written, and removed with all their segments.

How an image is cut into objects is the business of ``upload``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

import requests

from glancekit.plugin import BlobNotFound, StoreDenied, StoreFailed, StoreUnavailable
from glancekit_swift_store.account import Account, Body, Request

LISTED = 1000
"""Names in one page of a listing."""

_PATIENCE_FOR_A_SEGMENT = 0.25
"""Seconds that joining may take for each segment: the server asks for each of them, two at a time,
and is silent until it knows all."""

_PATIENCE_FOR_REMOVALS = 30.0
"""Seconds beyond the usual that the server may be silent while it removes segments: it says that
it is still at it every ten seconds, the first time after as many."""

_WRITE = "X-Object-Meta-Glancekit-Write"
"""The header that says which write an object is from."""

_KIND = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of an image, as the server has acknowledged it."""

    name: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the server knows of an object. ``manifest`` is where a dynamic one has its segments;
    how many bytes very many of them are the server does not say. ``at`` is when it came."""

    size: int | None
    at: datetime
    etag: str
    write: str
    is_static: bool
    manifest: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a container's listing: an object, when it came, and whether it is a static
    large one. How large a dynamic one is the listing does not say: ``size`` is 0."""

    name: str
    at: datetime
    is_static: bool
    size: int


class Container:
    """A container, which need not be there."""

    def __init__(self, account: Account, name: str, *, may_lack: bool) -> None:
        self._account = account
        self.name = name
        self._may_lack = may_lack

    @property
    def account_url(self) -> str:
        """The URL of the account that it is in."""
        return self._account.url

    # -- questions

    def find(self, name: str) -> Found:
        """Look for an object.

        :raises BlobNotFound: when there is none.
        """
        return _found(self._ask("looking for the object", "HEAD", name))

    def find_or_none(self, name: str) -> Found | None:
        """Look for an object that need not be there."""
        try:
            return self.find(name)
        except BlobNotFound:
            return None

    def is_there(self) -> bool:
        """Say whether the container is there."""
        deed = f"looking for the container {self.name}"
        asked = Request(deed, "HEAD", (self.name,))
        return not self._is_missed(self._account.ask(asked, {200, 204, 404}))

    def require(self, *, create: bool) -> None:
        """Insist on the container, or make it."""
        if self.is_there():
            return
        if not create:
            raise self._lacking()
        asked = Request(f"making the container {self.name}", "PUT", (self.name,))
        self._account.ask(asked, {201, 202})

    def drop(self) -> bool:
        """Remove the container; False when there is something in it."""
        asked = Request(f"removing the container {self.name}", "DELETE", (self.name,))
        answer = self._account.ask(asked, {204, 404, 409})
        return self._is_missed(answer) or answer.status_code != 409

    def let_in(self, readers: str, writers: str) -> None:
        """Say who may read and write besides the account's own users, as Swift writes it.

        :raises BlobNotFound: when there is no such container.
        """
        headers = {"X-Container-Read": readers, "X-Container-Write": writers}
        deed = f"saying who may read the container {self.name}"
        asked = Request(deed, "POST", (self.name,), headers=headers)
        if self._is_missed(self._account.ask(asked, {204, 404})):
            raise BlobNotFound

    def names(self, prefix: str) -> Iterator[str]:
        """List the objects whose names begin so; none when the container is not there."""
        return (entry.name for entry in self.entries(prefix))

    def needs(self, name: str, prefix: str) -> bool:
        """Say whether an object is there that is made of any of those whose names begin so."""
        found = self.find_or_none(name)
        if found is None:
            return False
        if not found.is_static:
            container, _, begin = unquote(found.manifest).lstrip("/").partition("/")
            is_here = bool(found.manifest) and container == self.name
            return is_here and (prefix.startswith(begin) or begin.startswith(prefix))
        asked = {"multipart-manifest": "get"}
        parts = self._ask("reading the list of segments", "GET", name, query=asked).json()
        return any(str(part["name"]).startswith(f"/{self.name}/{prefix}") for part in parts)

    def entries(self, prefix: str, *, delimiter: str = "") -> Iterator[Listed]:
        """List the objects whose names begin so, with what the listing says of them.

        With a delimiter only those that have none of it behind the prefix.
        """
        for page in self.pages(prefix, delimiter=delimiter):
            yield from page

    def pages(self, prefix: str, *, delimiter: str = "") -> Iterator[list[Listed]]:
        """Do the same, and yield what comes in one answer at a time.

        The last one is known by the empty one behind it: a page may be short for other reasons.
        """
        marker = ""
        while True:
            query = {"format": "json", "prefix": prefix, "limit": str(LISTED), "marker": marker}
            if delimiter:
                query["delimiter"] = delimiter
            deed = f"listing the container {self.name}"
            asked = Request(deed, "GET", (self.name,), query=query)
            answer = self._account.ask(asked, {200, 204, 404})
            if self._is_missed(answer):
                return
            page = answer.json() if answer.status_code == 200 else []
            if not page:
                return
            yield [_listed(entry) for entry in page if "name" in entry]
            marker = page[-1].get("name") or page[-1]["subdir"]

    # -- reading

    def get(self, name: str, headers: Mapping[str, str]) -> requests.Response:
        """Open an object; the caller closes the answer."""
        answer = self._ask(
            "opening", "GET", name, headers=headers, stream=True, wanted={200, 206, 409}
        )
        if answer.status_code == 409:
            answer.close()
            raise StoreFailed("a segment of the object is missing, or is not the one it was")
        return answer

    # -- writing

    def put(self, name: str, body: Body | bytes, write: str) -> str:
        """Make an object and return its ETag. ``write`` says which write it is from.

        :raises BlobExists: when there is one of this name.
        """
        headers = {**_KIND, _WRITE: write, "If-None-Match": "*"}
        answer = self._ask("sending", "PUT", name, headers=headers, body=body, wanted={201})
        return _etag(answer)

    def put_segment(self, name: str, body: Body) -> str:
        """Make a segment and return its ETag. What an earlier attempt has left is replaced."""
        answer = self._ask(
            "sending a segment", "PUT", name, headers=_KIND, body=body, wanted={201}
        )
        return _etag(answer)

    def put_manifest(self, name: str, segments: Sequence[Segment], write: str) -> None:
        """Make one object of segments. The server compares sizes and ETags.

        :raises BlobExists: when there is one of this name.
        """
        listed = [
            {"path": f"/{self.name}/{part.name}", "etag": part.etag, "size_bytes": part.size}
            for part in segments
        ]
        self._ask(
            "joining the segments",
            "PUT",
            name,
            query={"multipart-manifest": "put"},
            headers={**_KIND, _WRITE: write, "If-None-Match": "*"},
            body=json.dumps(listed).encode(),
            wanted={201},
            patience=_PATIENCE_FOR_A_SEGMENT * len(segments),
        )

    # -- removing

    def remove_one(self, name: str) -> bool:
        """Remove an object, without what it may be made of; say whether there was one."""
        asked = Request("removing", "DELETE", (self.name, name))
        return self._account.ask(asked, {200, 204, 404}).status_code != 404

    def remove(self, name: str) -> None:
        """Remove an object with all its segments.

        :raises BlobNotFound: when there is none.
        """
        found = self.find(name)
        if found.is_static:
            self._remove_static(name)
            return
        if found.manifest:
            self._remove_segments(name, unquote(found.manifest))
        # The last thing to go, so that what is interrupted can be begun again.
        if not self.remove_one(name):
            raise BlobNotFound

    def remove_beginning_with(self, prefix: str) -> None:
        """Remove all objects whose names begin so."""
        for name in list(self.names(prefix)):
            self.remove_one(name)

    def _remove_static(self, name: str) -> None:
        answer = self._ask(
            "removing with all segments",
            "DELETE",
            name,
            query={"multipart-manifest": "delete"},
            headers={"Accept": "application/json"},
            wanted={200},
            patience=_PATIENCE_FOR_REMOVALS,
        )
        # The answer has begun before anything was removed, so its status says nothing.
        told: dict[str, Any] = answer.json()
        failed: dict[str, str] = {unquote(path): why for path, why in told.get("Errors", [])}
        status = str(told.get("Response Status", ""))
        # A segment that is gone already is what an interrupted removal leaves.
        if told.get("Response Body") or not (failed or status.startswith(("200", "404"))):
            raise StoreUnavailable(f"removing with all segments: the server answered {status}")
        self._remove_each(name, failed)

    def _remove_each(self, name: str, failed: Mapping[str, str]) -> None:
        """Remove what the server could not remove along with an object, each by itself.

        It tries each once. Asked for by itself, each is tried as often as all requests are, and
        is refused with its own reason. The object goes last, as in every removal.
        """
        for path, reason in failed.items():
            if not reason[:3].isdigit():  # no status: what cannot be read may stand for more
                raise StoreUnavailable(f"removing with all segments: {path.lstrip('/')}: {reason}")
        own = f"{self.name}/{name}"
        for path in sorted((path.lstrip("/") for path in failed), key=lambda path: path == own):
            container, _, found = path.partition("/")
            Container(self._account, container, may_lack=True).remove_one(found)

    def _remove_segments(self, name: str, manifest: str) -> None:
        """Remove what a dynamic manifest stands for: every object whose name begins so."""
        container, _, prefix = manifest.lstrip("/").partition("/")
        if not prefix.startswith(name):
            raise StoreDenied(
                "the object's manifest stands for objects that do not have its name; they are "
                "not removed"
            )
        where = Container(self._account, container, may_lack=True)
        for segment in list(where.names(prefix)):
            if (container, segment) != (self.name, name):
                where.remove_one(segment)

    # -- how

    def _ask(
        self,
        deed: str,
        method: str,
        name: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        stream: bool = False,
        wanted: set[int] | None = None,
        patience: float = 0.0,
    ) -> requests.Response:
        asked = Request(
            deed,
            method,
            (self.name, name),
            query=query,
            headers=headers,
            body=body,
            stream=stream,
            patience=patience,
        )
        try:
            return self._account.ask(asked, wanted or {200, 204})
        except BlobNotFound as error:
            if method == "PUT":  # what is made needs nothing but its container
                self._account.require_answer()
            elif self._may_lack or self.is_there():
                raise  # otherwise: an image is not lost because the container's name is mistyped
            raise self._lacking() from error

    def _is_missed(self, answer: requests.Response) -> bool:
        """Say whether an answer means that there is no such container.

        A server whose accounts do not answer says the same of all containers.
        """
        if answer.status_code != 404:
            return False
        self._account.require_answer()
        return True

    def _lacking(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"there is no container {self.name}; make it, or set "
            "swift_store_create_container_on_put"
        )


def _listed(entry: Mapping[str, Any]) -> Listed:
    at = datetime.fromisoformat(entry["last_modified"]).replace(tzinfo=UTC)
    return Listed(str(entry["name"]), at, "slo_etag" in entry, int(entry["bytes"]))


def _found(answer: requests.Response) -> Found:
    headers = answer.headers
    return Found(
        size=_size(headers),
        at=parsedate_to_datetime(headers["Last-Modified"]),
        etag=_etag(answer),
        write=headers.get(_WRITE, ""),
        is_static=headers.get("X-Static-Large-Object", "").lower() == "true",
        manifest=headers.get("X-Object-Manifest", ""),
    )


def _size(headers: Mapping[str, str]) -> int | None:
    """Return how many bytes an object has. Of a dynamic large one of more segments than a listing
    has the server says nothing, or 0."""
    length = headers.get("Content-Length", "")
    is_told = length and (length != "0" or "X-Object-Manifest" not in headers)
    return int(length) if is_told else None


def _etag(answer: requests.Response) -> str:
    return answer.headers.get("Etag", "").strip('"')
