# SPDX-License-Identifier: Apache-2.0
"""From a URL to the answer at its end: judged, asked, redirected, and each redirect judged anew.

Reading the body is the business of ``reading``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urljoin

from glancekit.plugin import Destination, Unavailable, UriFilter, UriRefused
from glancekit_web_reading.answers import Answer, Version, read_answer, refusal
from glancekit_web_reading.connections import Connections, Response, let_go
from glancekit_web_reading.failures import Broken, Denied, Unreachable, Unusable

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_ANSWERS_TO_ALL = frozenset({408, 425, 429, 503})
"""What a server says that is asked too much or too early; GET would be told the same."""

NONE: Mapping[str, str] = MappingProxyType({})

_AS_IT_IS = {"User-Agent": "glancekit", "Accept-Encoding": "identity"}


class Fetcher:
    """Asks for what is behind URLs."""

    def __init__(self, connections: Connections, allowed: UriFilter, *, redirects: int) -> None:
        self._connections = connections
        self._allowed = allowed
        self._redirects = redirects

    def get(
        self,
        url: str,
        start: int = 0,
        end: int | None = None,
        *,
        of: Version | None = None,
        headers: Mapping[str, str] = NONE,
    ) -> Answer:
        """Ask for the bytes from ``start`` up to but not including ``end``.

        A server without ranges answers from the first byte on, as the answer says.

        :param of: the content that is wanted; of another one comes the whole.
        :param headers: for the server that the URL names, not for where it redirects to.
        :raises Broken: when the connection breaks before there is an answer.
        """
        asked = {}
        if start or end is not None:
            last = "" if end is None else max(start, end - 1)
            asked["Range"] = f"bytes={start}-{last}"
            if of is not None and of.condition is not None:
                asked["If-Range"] = of.condition
        response, first, destination = self._follow("GET", url, asked, own=headers)
        try:
            answer = read_answer(response, destination)
            if answer.start not in (0, start):
                raise Unusable(f"{destination.shown}: the server sent other bytes than asked")
        except BaseException:
            let_go(response)
            raise
        if _is_same_server(first, destination):
            return answer
        return replace(answer, elsewhere=destination.url)

    def size(self, url: str) -> int | None:
        """Return how many bytes are there, None when the server does not say.

        Servers that know GET alone, and URLs that are signed for it, answer to HEAD whatever they
        like: a refusal, that nothing is there, no bytes, nothing at all. Then GET counts.
        """
        told = self._told_by_head(url)
        if told:
            return told
        response, _, destination = self._follow("GET", url, {"Range": "bytes=0-0"})
        let_go(response)
        if response.status == 416:  # there is no first byte
            return 0
        return read_answer(response, destination).total

    def _told_by_head(self, url: str) -> int | None:
        try:
            response, _, destination = self._follow("HEAD", url, {})
        except Broken:
            return None
        let_go(response)
        if response.status in _ANSWERS_TO_ALL:
            raise refusal(response.status, destination)
        return read_answer(response, destination).total if response.status == 200 else None

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], *, own: Mapping[str, str] = NONE
    ) -> tuple[Response, Destination, Destination]:
        """Return an answer that is no redirect, whom the URL names and whom the answer is from."""
        first = destination = self._judge(url)
        for _ in range(self._redirects + 1):
            asked = {**headers, **_AS_IT_IS, **_who(first, destination)}
            if _is_same_server(first, destination):
                asked.update(own)
            asked["Host"] = destination.authority
            response = self._connections.ask(method, destination, asked)
            leads_to = _location(response, url)
            if leads_to is None:
                return response, first, destination
            let_go(response)
            url, destination = leads_to, self._judge(leads_to, sent_by=destination)
        raise Unusable(f"{first.shown}: more than {self._redirects} redirects")

    def _judge(self, url: str, *, sent_by: Destination | None = None) -> Destination:
        is_proxied = self._connections.is_proxied(url.partition(":")[0].lower())
        origin = "" if sent_by is None else f"{sent_by.shown} redirects: "
        try:
            return self._allowed.judge(url, is_resolved_elsewhere=is_proxied)
        except UriRefused as error:
            raise Denied(f"{origin}{error}") from error
        except Unavailable as error:
            raise Unreachable(f"{origin}{error}") from error


def _location(response: Response, url: str) -> str | None:
    """Return where an answer redirects to; None when it does not, or does not say where."""
    given = response.headers.get("Location")
    if response.status not in _REDIRECTS or not given:
        return None
    with suppress(UnicodeError):  # as bytes it came, which http.client took for Latin-1
        given = given.encode("latin-1").decode()
    try:
        return urljoin(url, given)
    except ValueError:
        return given  # no URL, as the filter will say


def _who(first: Destination, now: Destination) -> Mapping[str, str]:
    """Return the credentials of a URL. They are for the server that it names and no other."""
    known = now
    if now.username is None:
        known = first if _is_same_server(first, now) else now
    if known.username is None:
        return {}
    who = f"{known.username}:{known.password or ''}".encode()
    return {"Authorization": f"Basic {b64encode(who).decode()}"}


def _is_same_server(one: Destination, other: Destination) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
