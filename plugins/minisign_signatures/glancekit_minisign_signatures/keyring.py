# SPDX-License-Identifier: Apache-2.0
"""The operator's keyring: a folder of minisign's public keys, read anew for each image."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

from minisign import Error, PublicKey

from glancekit.plugin import ConfigError

log = logging.getLogger(__name__)

_ID = slice(2, 10)
"""Where a key's id is, in a key as in a signature: behind two bytes that name the algorithm."""


def find(folder: Path, key_id: bytes) -> PublicKey | None:
    """Return the key of an id, None when it is not on the ring.

    A file that is no key is passed over, with a line in the log: one of them must not cost all.

    :raises ConfigError: when the folder cannot be read.
    """
    try:
        paths = sorted(folder.glob("*.pub"))
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder")
    except OSError as error:
        raise ConfigError(f"[minisign_signatures] keyring cannot be read: {error}") from error
    for path in paths:
        try:
            key = PublicKey.from_file(path)
        except (Error, OSError, ValueError) as error:
            log.warning("%s is no public key of minisign's: %s", path, error)
            continue
        if base64.b64decode(key.to_base64())[_ID] == key_id:
            return key
    return None


def id_of(signature: str) -> bytes:
    """Return the id of the key that a signature says it was made with.

    :raises ValueError: when it is no signature.
    """
    lines = signature.splitlines()
    if len(lines) < 2:
        raise ValueError("it has no second line")
    return base64.b64decode(lines[1], validate=True)[_ID]


def shown(key_id: bytes) -> str:
    """Return an id as minisign shows it."""
    return key_id[::-1].hex().upper()
