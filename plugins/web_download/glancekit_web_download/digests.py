# SPDX-License-Identifier: Apache-2.0
"""What somebody says that bytes must digest to, and whether they do."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from glancekit.plugin import CHUNK_SIZE, Fetched, Invalid

ALGORITHMS = ("sha512", "sha384", "sha256", "blake2b", "sha1", "md5")
"""What images are published with."""


@dataclass(frozen=True, slots=True)
class Digest:
    """An algorithm, and the digest in lower-case hex."""

    algorithm: str
    value: str

    @classmethod
    def parsed(cls, text: object) -> Digest:
        """Read ``sha256:ab12...``.

        :raises Invalid: when it is none.
        """
        algorithm, _, value = text.partition(":") if isinstance(text, str) else ("", "", "")
        algorithm, value = algorithm.strip().lower(), value.strip().lower()
        is_hex = value.isascii() and value.isalnum() and not value.strip("0123456789abcdef")
        if algorithm not in ALGORITHMS or not is_hex or len(value) != _length(algorithm):
            raise Invalid(
                "checksum is no digest: write the algorithm, a colon and the digest in hex, for "
                f"example sha256:9f86d08...; algorithms are {', '.join(ALGORITHMS)}"
            )
        return cls(algorithm, value)


class Check:
    """A digest on its way."""

    def __init__(self, expected: Digest, fetched: Fetched | None) -> None:
        """Begin with what was fetched before."""
        self._expected = expected
        self._hash = hashlib.new(expected.algorithm, usedforsecurity=False)
        if fetched is not None:
            self._read(fetched)

    def feed(self, chunk: bytes) -> None:
        """See the next bytes."""
        self._hash.update(chunk)

    def finish(self, shown: str) -> None:
        """Know that these were all.

        :raises Invalid: when they are others than were expected.
        """
        found = self._hash.hexdigest()
        if not hmac.compare_digest(found, self._expected.value):
            raise Invalid(
                f"{shown}: it does not have the expected {self._expected.algorithm} digest: "
                f"{self._expected.value} was expected, {found} was found",
                algorithm=self._expected.algorithm,
                expected=self._expected.value,
                found=found,
            )

    def _read(self, fetched: Fetched) -> None:
        left = fetched.size
        with fetched.path.open("rb") as file:
            while left and (chunk := file.read(min(CHUNK_SIZE, left))):
                self._hash.update(chunk)
                left -= len(chunk)


def _length(algorithm: str) -> int:
    return 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
