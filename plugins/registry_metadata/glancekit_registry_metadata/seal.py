# SPDX-License-Identifier: Apache-2.0
"""The shared key: each message of a connection carries a code that only its holders can make.

HMAC-SHA256 (RFC 2104) over the connection's own nonces, the message's number and direction, and
its bytes: what was recorded on one connection, or earlier on this one, is worth nothing. It keeps
messages from being forged, not from being read; that is TLS's business.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from glancekit.plugin import ConfigError

SHORTEST = 32
"""Characters of a key, at least: what ``openssl rand -hex 16`` prints."""


def nonce() -> str:
    """Return something that was never said before."""
    return secrets.token_hex(16)


def check_key(key: str) -> None:
    """Refuse a key that can be guessed.

    :raises ConfigError: when it is too short.
    """
    if len(key) < SHORTEST:
        raise ConfigError(
            f"The registry's shared key has {len(key)} characters; {SHORTEST} is the least. "
            "'openssl rand -hex 32' makes a good one"
        )


class Seal:
    """One connection's codes, of both directions. ``number`` counts its exchanges."""

    def __init__(self, key: str, *nonces: str) -> None:
        self._key = hashlib.sha256("|".join((key, *nonces)).encode()).digest()
        self._number = 0

    def request(self, message: bytes) -> str:
        """Return the code of the next request."""
        self._number += 1
        return self._code(b"request", message)

    def answer(self, message: bytes) -> str:
        """Return the code of the answer to it."""
        return self._code(b"answer", message)

    def _code(self, direction: bytes, message: bytes) -> str:
        head = b"%b %d " % (direction, self._number)
        return hmac.digest(self._key, head + message, "sha256").hex()


def same(one: str, other: str) -> bool:
    """Compare two codes in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
