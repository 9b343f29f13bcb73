# SPDX-License-Identifier: Apache-2.0
"""The requests of one connection, as gunicorn reads them. Answering them is not its business."""

from __future__ import annotations

from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser


class _Request(Request):  # type: ignore[misc]  # gunicorn has no types
    """A request whose peer is judged with the first one of its connection.

    gunicorn compares the peer's address with the proxies' networks for each request, which is a
    twentieth of a short one's time.
    """

    def _peer_is_trusted_proxy(self) -> bool:
        unreader = self.unreader  # one for all requests of the connection
        known: bool | None = getattr(unreader, "peer_is_trusted", None)
        if known is None:
            known = unreader.peer_is_trusted = bool(super()._peer_is_trusted_proxy())
        return known


class ConnectionRequests(RequestParser):  # type: ignore[misc]  # gunicorn has no types
    """Gives the requests of one connection, one after the other."""

    mesg_class = _Request
