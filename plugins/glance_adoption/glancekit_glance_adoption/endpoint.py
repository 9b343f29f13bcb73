# SPDX-License-Identifier: Apache-2.0
"""An Images v2 endpoint as an administrator reads it, whichever service answers there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from glancekit.plugin import GlancekitError

PAGE = 200
"""Records asked for at a time."""

AT_ONCE = 8
"""Questions that are open at the same time, one connection each."""

_TIMEOUT = 60.0

_PATIENCE = Retry(
    total=4,
    connect=1,
    backoff_factor=0.5,
    status_forcelist=(500, 502, 503, 504),
    raise_on_status=False,
)
"""A Glance on SQLite answers 500 while somebody writes."""

ABSENT = frozenset({403, 404})
"""Answers that say that there is nothing for this caller, and not that something went wrong."""


class Endpoint:
    """One service. It may be asked from many threads."""

    def __init__(self, name: str, url: str, headers: Mapping[str, str]) -> None:
        """Keep where it is; nothing is asked yet.

        :raises GlancekitError: when the URL is none.
        """
        if urlsplit(url).scheme not in ("http", "https"):
            raise GlancekitError(
                f"{url!r} is not the address of a service: write http://host:9292"
            )
        self.name = name
        self._root = url.rstrip("/").removesuffix("/v2")
        self._session = requests.Session()
        self._session.headers.update(headers)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=AT_ONCE, max_retries=_PATIENCE))

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def ask(self, path: str) -> tuple[int, Any]:
        """Return the status of an answer, and its content where it is one of success.

        :raises GlancekitError: when the service does not answer, or not as asked.
        """
        try:
            answer = self._session.get(f"{self._root}{path}", timeout=_TIMEOUT)
            if answer.status_code == 200:
                return 200, answer.json()
        except requests.RequestException as error:
            raise GlancekitError(f"{self.name} does not answer: {error}") from error
        if answer.status_code in ABSENT:
            return answer.status_code, None
        raise GlancekitError(
            f"{self.name} answers {path} with {answer.status_code} {answer.reason}; the caller "
            "must be an administrator there"
        )

    def read(self, path: str) -> Any:
        """Return the content of an answer.

        :raises GlancekitError: when there is none.
        """
        status, content = self.ask(path)
        if status != 200:
            raise GlancekitError(
                f"{self.name} answers {path} with {status}; the caller must be an administrator "
                "there"
            )
        return content

    def images(self, *, hidden: bool) -> Iterator[dict[str, Any]]:
        """Yield every image, hidden ones or the others, in the order of ids."""
        query = f"visibility=all&os_hidden={str(hidden).lower()}&sort=id:asc&limit={PAGE}"
        yield from self._pages(f"/v2/images?{query}", "images")

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Yield a summary of every task, in the order of ids."""
        yield from self._pages(f"/v2/tasks?sort_key=id&sort_dir=asc&limit={PAGE}", "tasks")

    def namespaces(self) -> Iterator[dict[str, Any]]:
        """Yield every namespace alone, by name."""
        query = f"sort_key=namespace&sort_dir=asc&limit={PAGE}"
        yield from self._pages(f"/v2/metadefs/namespaces?{query}", "namespaces")

    def namespace(self, name: str) -> dict[str, Any] | None:
        """Return a namespace with all that is in it; None when the service does not show it."""
        content = self.ask(f"/v2/metadefs/namespaces/{quote(name, safe='')}")[1]
        return None if content is None else dict(content)

    def resource_types(self) -> list[dict[str, Any]]:
        """Return all types that metadata definitions are for."""
        return list(self.read("/v2/metadefs/resource_types")["resource_types"])

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        following: str | None = path
        while following:
            page = self.read(following)
            yield from page[key]
            following = page.get("next")
