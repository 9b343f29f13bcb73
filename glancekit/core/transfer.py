# SPDX-License-Identifier: Apache-2.0
"""The only loop that moves an image's bytes into a store. Where they go is not its business.

A driver pulls. It is given a stream that hands on each byte once, and on the way counts it,
digests it, lets the format inspector and the observers see it, and holds it against what was
announced. The last byte (or, where no size was announced, the end) is shown to the driver only
after every check has passed, so that a driver cannot publish what was not verified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from glancekit.core.digesting import CHECKSUM_ALGORITHM, Digests, digesting
from glancekit.core.errors import (
    Invalid,
    LimitExceeded,
    SizeMismatch,
    StoreFailed,
)
from glancekit.core.formats import FormatInspection, Verdict
from glancekit.core.model.image import Location
from glancekit.core.stream import CHUNK_SIZE, ByteStream

GATHER = CHUNK_SIZE // 4
"""Smaller pieces are put together, so that no call is made for every 8 KiB of a socket."""


class Observer(Protocol):
    """Sees the bytes on their way. May raise, which ends the transfer."""

    def feed(self, chunk: bytes, /) -> object:
        """See the next bytes."""
        ...

    def finish(self) -> object:
        """Know that all bytes were seen; the driver has not been told yet."""
        ...


@dataclass(frozen=True, kw_only=True)
class TransferPlan:
    """What is known and demanded beforehand. Sizes in bytes, None when there is none.

    ``hash_algo`` is None where nobody will need the digests: the bytes are about to be replaced.
    ``before_end`` is called when all other checks have passed; it may raise, too.
    """

    declared_size: int | None
    size_cap: int | None
    hash_algo: str | None = "sha512"
    inspector: FormatInspection | None = None
    expected_checksum: str | None = None
    expected_hash: str | None = None
    before_end: Callable[[], None] | None = None
    observers: Sequence[Observer] = ()


@dataclass(frozen=True)
class Receipt:
    """What went over. ``checksum`` is the MD5 in hex, ``hash_value`` that of ``hash_algo``.

    The three are None together, where no digests were asked for.
    """

    size: int
    checksum: str | None
    hash_algo: str | None
    hash_value: str | None
    detected_format: str | None
    virtual_size: int | None


def run(
    source: ByteStream, plan: TransferPlan, write: Callable[[ByteStream], Location]
) -> tuple[Location, Receipt]:
    """Let ``write`` take the source's bytes, and return where they are and what they were.

    The source is not closed. When this raises after ``write`` has returned (a driver that hides an
    error, or did not take everything), it is the caller who must discard what was written.

    :raises SizeMismatch: when more or fewer bytes come than were declared.
    :raises LimitExceeded: when there are more than the cap, before they are read if that is known.
    :raises UnacceptableFormat: when the inspector refuses.
    :raises Invalid: when a digest is not the expected one.
    """
    _require_room(plan, plan.declared_size or 0)
    with digesting(_algorithms(plan)) as digests:
        measured = _Measured(source, plan, digests)
        try:
            location = write(measured)
        except BaseException as error:
            measured.raise_failure(because_of=error)
            raise
        measured.raise_failure()
        receipt = measured.receipt
    if receipt is None or measured.holds_some:
        raise StoreFailed("the driver did not read all of the data", operation="write")
    return replace(location, size=receipt.size), receipt


def _algorithms(plan: TransferPlan) -> Sequence[str]:
    return () if plan.hash_algo is None else (CHECKSUM_ALGORITHM, plan.hash_algo)


def _require_room(plan: TransferPlan, size: int) -> None:
    if plan.size_cap is not None and size > plan.size_cap:
        raise LimitExceeded(limit=plan.size_cap, asked=size, what="bytes of image data")


class _Measured(ByteStream):
    """The source as the driver sees it."""

    def __init__(self, source: ByteStream, plan: TransferPlan, digests: Digests) -> None:
        self.receipt: Receipt | None = None
        self._source = source
        self._plan = plan
        self._digests = digests
        self._observers: list[Callable[[bytes], object]] = [
            digests.feed,
            *(observer.feed for observer in plan.observers),
        ]
        self._inspector = plan.inspector
        self._received = 0
        self._rest = memoryview(b"")
        self._failure: BaseException | None = None
        self._break: Exception | None = None
        if plan.declared_size == 0:
            self._guarded(self._next)  # a driver told of nothing may well not read at all

    def read(self, size: int = -1, /) -> bytes:
        """Return what is next, at most ``size`` bytes; what this raised once it raises again."""
        if size < 0:
            return b"".join(self)
        if not self._rest:
            chunk = self._guarded(self._next)
            if len(chunk) <= size:
                return chunk
            self._rest = memoryview(chunk)
        taken, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return taken

    def close(self) -> None:
        """Do nothing: whoever opened the source closes it."""

    @property
    def holds_some(self) -> bool:
        """There are bytes that came and were not taken."""
        return bool(self._rest)

    def raise_failure(self, *, because_of: BaseException | None = None) -> None:
        """Raise what went wrong on this side, whatever the driver made of it."""
        if self._failure is not None and self._failure is not because_of:
            raise self._failure

    def _guarded(self, step: Callable[[], bytes]) -> bytes:
        if self._failure is not None:
            raise self._failure
        try:
            return step()
        except BaseException as error:
            self._failure = error
            raise

    def _next(self) -> bytes:
        if self.receipt is not None:
            return b""
        chunk = self._gather()
        if chunk:
            self._account(chunk)
        if not chunk or self._received == self._plan.declared_size:
            self._conclude(at_end=not chunk)
        return chunk

    def _gather(self) -> bytes:
        """Read about one chunk, put together from small pieces where the source gives such.

        What came before the source failed is handed on first: there are drivers that keep it.
        """
        chunk = self._from_source(CHUNK_SIZE)
        if not chunk or len(chunk) >= GATHER:
            return chunk
        pieces, length = [chunk], len(chunk)
        try:
            while length < GATHER and (chunk := self._from_source(CHUNK_SIZE)):
                pieces.append(chunk)
                length += len(chunk)
        except Exception as error:
            self._break = error
        return b"".join(pieces)

    def _from_source(self, size: int) -> bytes:
        if self._break is not None:
            raise self._break
        return self._source.read(size)

    def _account(self, chunk: bytes) -> None:
        self._received += len(chunk)
        declared = self._plan.declared_size
        if declared is not None and self._received > declared:
            raise SizeMismatch(expected=declared, received=self._received)
        _require_room(self._plan, self._received)
        for feed in self._observers:
            feed(chunk)
        if self._inspector is not None and self._inspector.wants_more:
            self._inspector.feed(chunk)

    def _conclude(self, *, at_end: bool) -> None:
        if not at_end and self._from_source(1):
            raise SizeMismatch(expected=self._plan.declared_size, received=self._received + 1)
        if self._plan.declared_size not in (None, self._received):
            raise SizeMismatch(expected=self._plan.declared_size, received=self._received)
        verdict = (
            Verdict(None, None)
            if self._inspector is None
            else self._inspector.finish(self._received)
        )
        found = self._digests.finish()
        algorithm = self._plan.hash_algo
        checksum, hash_value = found.get(CHECKSUM_ALGORITHM), found.get(algorithm or "")
        _require_digest(CHECKSUM_ALGORITHM, self._plan.expected_checksum, checksum)
        _require_digest(algorithm, self._plan.expected_hash, hash_value)
        for observer in self._plan.observers:
            observer.finish()
        if self._plan.before_end is not None:
            self._plan.before_end()
        self.receipt = Receipt(
            size=self._received,
            checksum=checksum,
            hash_algo=algorithm,
            hash_value=hash_value,
            detected_format=verdict.detected_format,
            virtual_size=verdict.virtual_size,
        )


def _require_digest(algorithm: str | None, expected: str | None, found: str | None) -> None:
    if expected is not None and expected.lower() != found:
        raise Invalid(
            f"The image data does not have the expected {algorithm} digest: "
            f"{expected} was expected, {found} was found",
            algorithm=algorithm,
            expected=expected,
            found=found,
        )
