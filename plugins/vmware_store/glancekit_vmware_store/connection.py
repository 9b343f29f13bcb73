# SPDX-License-Identifier: Apache-2.0
"""Connections to the server that the operator trusts, for calls and for files alike.

pyVmomi's own check of a thumbprint is not made of every connection: once a certificate has failed
at its authority, it takes any.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
from contextlib import suppress
from http.client import HTTPSConnection
from typing import Any

from glancekit_vmware_store.options import Settings

_BLOCK = 1 << 20


class Connection(HTTPSConnection):
    """One connection. Nothing has been said by it before the certificate is found right."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings.host,
            settings.port,
            timeout=settings.call_timeout,
            context=settings.trust,
            blocksize=_BLOCK,
        )
        self._settings = settings
        self._connected: socket.socket | None = None

    def connect(self) -> None:
        """Connect, and look whom to.

        :raises ssl.SSLCertVerificationError: when it is not whom the operator trusts.
        """
        try:
            super().connect()
            # It is kept: http.client forgets it where the answer is the connection's last.
            self._connected = self.sock
            if self._settings.thumbprint:
                self._require_thumbprint()
        except BaseException:
            self.close()
            raise

    def cut(self) -> None:
        """End it for whoever is sending or waiting; closing it remains to be done.

        Not by the TLS socket's own method: after that, another thread would send in the clear.
        """
        connected = self._connected
        if connected is not None:
            with suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _require_thumbprint(self) -> None:
        shown: Any = self.sock.getpeercert(binary_form=True)
        found = hashlib.new(self._settings.digest, shown).hexdigest()
        if not hmac.compare_digest(found, self._settings.thumbprint):
            raise ssl.SSLCertVerificationError(
                f"the thumbprint of the server's certificate is {found}, not the one of "
                "vmware_server_thumbprint"
            )
