# SPDX-License-Identifier: Apache-2.0
"""Which versions of the API there are, and how a request says which it means.

All minor versions are the same code: none switches anything on or off.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from flask import Response, redirect, request

from glancekit.api.replies import json_reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WITH_CACHE = ("v2.18", "v2.16", "v2.14")
"""What upstream ties to its cache: listed and accepted where there is one."""

LISTED = (
    "v2.17", "v2.15", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8",
    "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0",
)  # fmt: skip
"""What the version document shows, the newest first, which is the current one."""

OWN_PATHS = frozenset({"versions", "healthcheck", "openapi.json", "docs", "metrics"})
"""First segments that belong to no version."""

_MEDIA_TYPE = re.compile(r"\s*application/vnd\.openstack\.images-(v2(?:\.\d+)?)\s*(?:[,;]|\Z)")


def listed(*, with_cache: bool) -> tuple[str, ...]:
    """Return the versions that there are, the newest first."""
    there = (*LISTED, *WITH_CACHE) if with_cache else LISTED
    return tuple(sorted(there, key=lambda name: -int(name.partition(".")[2])))


class VersionNegotiation:
    """WSGI in front of the application: every way to name a version becomes the path ``/v2/...``.

    What names none, or one that is not here, becomes ``/``, which answers with the versions.
    """

    def __init__(self, application: WSGIApplication, *, with_cache: bool = False) -> None:
        self._application = application
        self._accepted = frozenset({"v2", *listed(with_cache=with_cache)})

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith("/v2/"):
            environ["PATH_INFO"] = negotiate(path, environ.get("HTTP_ACCEPT", ""), self._accepted)
        return self._application(environ, start_response)


def negotiate(path: str, accept: str, accepted: Collection[str]) -> str:
    """Return the path that a request means, of a service that has these versions."""
    first, slash, rest = path.lstrip("/").partition("/")
    if first in OWN_PATHS:
        return path
    if first in accepted:
        return f"/v2{slash}{rest}"
    match = _MEDIA_TYPE.match(accept)
    if match and match[1] in accepted:
        return f"/v2/{path.lstrip('/')}"
    return "/"


class Versions:
    """The version documents."""

    def __init__(self, public_endpoint: str | None, *, with_cache: bool = False) -> None:
        self._public_endpoint = public_endpoint
        self._listed = listed(with_cache=with_cache)

    def choices(self) -> Response:
        """Answer a request that names no version."""
        return json_reply(self._document(), status=300)

    def listing(self) -> Response:
        """Answer a request for the versions themselves."""
        return json_reply(self._document())

    def to_slash(self) -> Any:
        """Send ``/v2`` to ``/v2/``, where nothing is: clients know it so."""
        return redirect(f"{self._base()}/v2/", code=302)

    def _base(self) -> str:
        return (self._public_endpoint or request.host_url + request.script_root[1:]).rstrip("/")

    def _document(self) -> dict[str, Any]:
        link = {"rel": "self", "href": f"{self._base()}/v2/"}
        return {
            "versions": [
                {
                    "id": version,
                    "status": "CURRENT" if version == self._listed[0] else "SUPPORTED",
                    "links": [link],
                }
                for version in self._listed
            ]
        }
