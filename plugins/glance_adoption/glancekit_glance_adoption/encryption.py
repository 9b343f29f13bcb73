# SPDX-License-Identifier: Apache-2.0
"""Locations that a Glance with ``metadata_encryption_key`` has encrypted, and how it does that.

AES in CBC mode under the key as it is; in front of the text stands the initial vector, behind it a
NUL and padding without NUL, and all of that is base64 for URLs.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from glancekit.plugin import GlancekitError

_BLOCK = 16


def require_key(key: str | None) -> None:
    """Insist on a key that the cipher can use, or on none.

    :raises GlancekitError: when it has another length.
    """
    if key and len(key.encode()) not in (16, 24, 32):
        raise GlancekitError(
            "metadata_encryption_key cannot be the key of this database: a key has 16, 24 or 32 "
            "bytes"
        )


def is_plain(stored: str) -> bool:
    """Say whether a location is readable as it is: some are, whatever key was configured."""
    return ":" in stored  # which base64 never has, and a URL always


def decrypt(stored: str, key: str) -> str | None:
    """Return what was encrypted, None when it was not with this key."""
    try:
        sealed = base64.urlsafe_b64decode(stored)
    except (binascii.Error, ValueError):
        return None
    if len(sealed) < 2 * _BLOCK or len(sealed) % _BLOCK:
        return None
    decryptor = Cipher(AES(key.encode()), CBC(sealed[:_BLOCK])).decryptor()
    padded = decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()
    plain, nul, _ = padded.rpartition(b"\0")
    try:
        url = plain.decode()
    except UnicodeDecodeError:
        return None
    return url if nul and is_plain(url) else None


def encrypt(url: str, key: str) -> str:
    """Return a location as a Glance with this key stores it."""
    plain = url.encode() + b"\0"
    padding = bytes(1 + secrets.randbelow(255) for _ in range(-len(plain) % _BLOCK))
    vector = secrets.token_bytes(_BLOCK)
    encryptor = Cipher(AES(key.encode()), CBC(vector)).encryptor()
    sealed = encryptor.update(plain + padding) + encryptor.finalize()
    return base64.urlsafe_b64encode(vector + sealed).decode()
