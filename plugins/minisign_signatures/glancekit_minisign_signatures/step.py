# SPDX-License-Identifier: Apache-2.0
"""The step ``minisign_signature``: an image's bytes against the signature that came with it.

The signature is the property ``minisign_signature``; the keys are the operator's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

from minisign import Error, Signature

from glancekit.plugin import (
    CHUNK_SIZE,
    BoolOpt,
    ConfigError,
    ImportStep,
    Progress,
    SignatureInvalid,
    StagedImage,
    StrOpt,
)
from glancekit_minisign_signatures import keyring

log = logging.getLogger(__name__)

PROPERTY = "minisign_signature"


class MinisignVerification(ImportStep):
    """Refuse what none of the operator's keys has signed."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "minisign_signatures"
    options: ClassVar[Sequence[Any]] = (
        StrOpt(
            "keyring",
            help="Folder of minisign's public keys (*.pub) whose signatures count.",
        ),
        BoolOpt(
            "required",
            default=True,
            help="Refuse images without a signature.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._folder: str | None = options.keyring
        self._is_required: bool = options.required

    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether there is a signature, or has to be one."""
        return self._is_required or PROPERTY in staged.image.properties

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Read the image against its signature.

        :raises SignatureInvalid: when there is none, it is of other bytes, or of another's key.
        :raises ConfigError: when there is no keyring.
        """
        text = staged.image.properties.get(PROPERTY)
        if text is None:
            raise SignatureInvalid(
                f"the image has none; set its property {PROPERTY} to what is in the .minisig file"
            )
        signature, key_id = _read(text)
        key = keyring.find(self._keyring(), key_id)
        if key is None:
            raise SignatureInvalid(f"the key {keyring.shown(key_id)} is not one that counts here")
        total = staged.path.stat().st_size
        with staged.path.open("rb") as file:
            try:
                key.verify(_Watched(file, progress, total), signature)
            except Error as error:
                raise SignatureInvalid(f"it is not of this data: {error}") from error
        log.info("image %s is signed by %s", staged.image.id, keyring.shown(key_id))
        return staged

    def revert(self, staged: StagedImage) -> None:
        """Do nothing: nothing was made."""

    def _keyring(self) -> Path:
        if not self._folder:
            raise ConfigError(
                "[minisign_signatures] keyring is not set; name a folder of public keys"
            )
        return Path(self._folder)


class _Watched:
    """A file whose reader's progress is told, however small the pieces are in which it reads."""

    def __init__(self, file: IO[bytes], progress: Progress, total: int) -> None:
        self._file = file
        self._progress = progress
        self._total = total
        self._next = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return what is next."""
        data = self._file.read(size)
        if self._file.tell() >= self._next:
            self._next = self._file.tell() + CHUNK_SIZE
            self._progress(self._file.tell(), self._total)
        return data


def _read(text: str) -> tuple[Signature, bytes]:
    try:
        signature, key_id = Signature.from_bytes(text.encode()), keyring.id_of(text)
    except (Error, ValueError, IndexError) as error:
        raise SignatureInvalid(f"{PROPERTY} is no signature of minisign's: {error}") from error
    if not signature.is_prehashed():
        raise SignatureInvalid(
            "it was made by a minisign before 0.10, which takes all of an image into memory; sign "
            "the image again"
        )
    return signature, key_id
