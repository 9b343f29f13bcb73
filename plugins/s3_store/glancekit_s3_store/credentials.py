# SPDX-License-Identifier: Apache-2.0
"""Credentials that were replaced where they are kept. What requests they sign is not its business.

Those of a machine's role renew themselves. Temporary ones in ``~/.aws/credentials`` are written
anew by something outside, of which the SDK takes no notice: it reads that file once.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import boto3
from botocore.credentials import Credentials, RefreshableCredentials

from glancekit.plugin import StoreDenied

log = logging.getLogger(__name__)

_REFUSED = frozenset(
    {
        "ExpiredToken",
        "InvalidToken",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        # An answer to HEAD has no body, and so a number alone.
        "400",
        "403",
    }
)
"""What servers say of credentials that were good once."""

_UNDER_WAY = 60.0
"""Seconds for which an answer may be to a request that was signed before the renewal."""


def found_by(session: Any) -> Any:
    """Return the credentials that the usual chain finds.

    :raises StoreDenied: when it finds none. A client that is made without stays without, also when
        there are some by then; so none is made.
    """
    found = session.get_credentials()
    if found is None:
        raise StoreDenied(
            "there are no credentials: give s3_store_access_key and s3_store_secret_key, or have "
            "them in the environment, in ~/.aws or from a role of this machine"
        )
    return found


def renew_when_refused(credentials: Any, *clients: Any) -> None:
    """Have clients read their credentials anew when the server refuses them, and ask once more.

    Nothing changes for credentials that renew themselves, and where there are none.
    """
    renews_itself = isinstance(credentials, RefreshableCredentials)
    if isinstance(credentials, Credentials) and not renews_itself:
        kept = _Kept(credentials)  # one for all: what the one has renewed counts for the other
        for client in clients:
            client.meta.events.register_first("needs-retry.s3", kept.look)


class _Kept:
    """Credentials of a file or of the environment."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self._renewed: float | None = None

    def look(self, response: Any = None, attempts: int = 1, **more: Any) -> float | None:
        """Answer the SDK's question whether to repeat a request: seconds to wait, or None."""
        if response is None or attempts > 1:
            return None
        code = str(response[1].get("Error", {}).get("Code", ""))
        return 0.0 if code in _REFUSED and self._are_others_by_now() else None

    def _are_others_by_now(self) -> bool:
        with self._lock:
            if self._renew():
                self._renewed = time.monotonic()
                log.info("the credentials were replaced by those that are kept now")
            return self._renewed is not None and time.monotonic() < self._renewed + _UNDER_WAY

    def _renew(self) -> bool:
        found = boto3.session.Session().get_credentials()
        if found is None:
            return False
        new, old = found.get_frozen_credentials(), self._credentials.get_frozen_credentials()
        if new == old:
            return False
        # A request that is being signed in between is refused, and asked once more, too.
        self._credentials.access_key = new.access_key
        self._credentials.secret_key = new.secret_key
        self._credentials.token = new.token
        return True
