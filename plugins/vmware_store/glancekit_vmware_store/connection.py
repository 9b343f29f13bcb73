# SPDX-License-Identifier: Apache-2.0
"""Connections to the server that the operator trusts, for calls and for files alike.

pyVmomi's own check of a thumbprint is not made of every connection: once a certificate has failed
at its authority, it takes any.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
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

    def connect(self) -> None:
        """Connect, and look whom to.

        :raises ssl.SSLCertVerificationError: when it is not whom the operator trusts.
        """
        try:
            super().connect()
            if self._settings.thumbprint:
                self._require_thumbprint()
        except BaseException:
            self.close()
            raise

    def _require_thumbprint(self) -> None:
        shown: Any = self.sock.getpeercert(binary_form=True)
        found = hashlib.new(self._settings.digest, shown).hexdigest()
        if not hmac.compare_digest(found, self._settings.thumbprint):
            raise ssl.SSLCertVerificationError(
                f"the thumbprint of the server's certificate is {found}, not the one of "
                "vmware_server_thumbprint"
            )
