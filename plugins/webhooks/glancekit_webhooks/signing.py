# SPDX-License-Identifier: Apache-2.0
"""Signatures as the Standard Webhooks specification has them: HMAC-SHA256 of id, time and body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from glancekit.plugin import ConfigError

_PREFIX = "whsec_"


def headers(secret: str | None, message_id: str, at: int, body: bytes) -> Mapping[str, str]:
    """Return what a message is sent with. ``at`` is the time in seconds, so that nobody can send
    an old message again later.
    """
    known = {"webhook-id": message_id, "webhook-timestamp": str(at)}
    if secret is not None:
        signed = b".".join((message_id.encode(), str(at).encode(), body))
        digest = hmac.new(key(secret), signed, hashlib.sha256).digest()
        known["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return known


def key(secret: str) -> bytes:
    """Return the bytes that a secret stands for.

    :raises ConfigError: when it says that it is base64 and is not.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ConfigError("[webhooks] secrets: what is behind whsec_ is no base64") from error
