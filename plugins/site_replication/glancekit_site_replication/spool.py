# SPDX-License-Identifier: Apache-2.0
"""An image's bytes on their way: fetched into a file in parts, held to their digest.

What came is kept when a run is cut off, and the next one goes on there: at most one part of a
transfer is fetched twice. Where the bytes go from here is not its business.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import requests

from glancekit_site_replication.failures import Busy, Damaged, ReplicationError, Unanswered
from glancekit_site_replication.pace import CHUNK, Pace, Told
from glancekit_site_replication.records import Record
from glancekit_site_replication.site import Site

if TYPE_CHECKING:
    from hashlib import _Hash

PART = 4 << 20
"""Bytes asked for at once. So much of a transfer that is cut off may have to come again."""

TRIES = 5
"""Attempts to go on with an image during which not a byte came."""

_LONGEST_PAUSE = 10.0
"""Seconds between two of them, at most."""

_ALGORITHMS = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})
"""Digests that a record may have; for what has another, the checksum counts."""

_OURS = re.compile(r"\.[0-9a-f]{16}(\.part)?\Z")
"""How files of a spool end."""

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """A folder for what is on its way. Runs that share it keep out of one another's images."""

    folder: Path
    part: int = PART
    pace: Pace
    told: Told

    def fetch(self, site: Site, record: Record) -> Path:
        """Return a file with all bytes of an image, verified and durable.

        :raises Unanswered: when they do not all come; the next time goes on from there.
        :raises Damaged: when they are not what the record says; they are not kept.
        :raises Busy: when another run fetches the same image into the same folder.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = self.folder / _name(record)
        partial = whole.with_name(f"{whole.name}.part")
        if whole.exists():
            return whole
        with partial.open("a+b") as file, _alone(file, record):
            if whole.exists():  # another run has just finished it
                partial.unlink(missing_ok=True)
                return whole
            _Arrival(self, site, record, file).take()
            os.fsync(file.fileno())
            partial.replace(whole)
        return whole

    def forget(self, image_id: str) -> None:
        """Remove what came of an image, unless another run is at it; harmless when nothing is."""
        for path in self.folder.glob(f"{image_id}.*"):
            if not _OURS.search(path.name):  # somebody may have dumped images into this folder
                continue
            gone = suppress(FileNotFoundError, Busy)
            with gone, path.open("rb") as file, _alone(file, {"id": image_id}):
                path.unlink()


class _Arrival:
    """One image that comes into one file."""

    def __init__(self, spool: Spool, site: Site, record: Record, file: BinaryIO) -> None:
        self._spool = spool
        self._site = site
        self._id = str(record["id"])
        self._file = file
        self._digest, self._expected = digest_of(record)
        self._size = _size(record)
        self._done = 0

    def take(self) -> None:
        """Write all that is missing behind what is there, and judge the whole."""
        self._reread()
        failures = 0
        while self._done < self._size:
            before = self._done
            try:
                self._next_part()
            except Unanswered:
                failures = 0 if self._done > before else failures + 1
                if failures == TRIES:
                    raise
                time.sleep(min(0.1 * 2**failures, _LONGEST_PAUSE) if failures else 0)
            except Damaged:
                self._discard()
                raise
        self._file.flush()
        if self._expected is not None and self._digest.hexdigest() != self._expected:
            self._discard()
            raise Damaged(
                f"what came of image {self._id} is not what its {self._digest.name} at "
                f"{self._site.name} says; nothing of it is used"
            )

    def _reread(self) -> None:
        """Take into the digest what an earlier run left."""
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            self._digest.update(chunk)
        self._done = self._file.tell()
        if self._done > self._size:
            self._discard()

    def _next_part(self) -> None:
        last = min(self._done + self._spool.part, self._size) - 1
        before = self._done
        with self._site.part(self._id, self._done, last) as answer:
            skip = self._place(answer)
            end = self._size if skip is not None else last + 1
            for chunk in _without(_chunks(answer), skip or 0):
                self._keep(chunk, end)
        if self._done == before:
            raise Unanswered(
                f"{self._site.name} gave nothing of image {self._id} from byte {before} on"
            )

    def _place(self, answer: requests.Response) -> int | None:
        """Return how many bytes come first that are here already; None when those asked for do.

        A service that knows no ranges gives all of them, at once.
        """
        if answer.status_code != 206:
            return self._done
        found = _RANGE.match(answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != self._done:
            raise ReplicationError(
                f"{self._site.name} gives other bytes of image {self._id} than it was asked for"
            )
        if found[3] not in ("*", str(self._size)):
            raise self._lie(f"{found[3]} bytes long")
        return None

    def _keep(self, chunk: bytes, end: int) -> None:
        if self._done + len(chunk) > end:
            raise self._lie("longer")
        self._file.write(chunk)
        self._digest.update(chunk)
        self._done += len(chunk)
        self._spool.told("received", len(chunk))
        self._spool.pace.wait(len(chunk))

    def _lie(self, what: str) -> Damaged:
        return Damaged(
            f"image {self._id} is {self._size} bytes long as {self._site.name} records it, and "
            f"{what} as it comes; nothing of it is used"
        )

    def _discard(self) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        self._digest = digest_of_name(self._digest.name)
        self._done = 0


def digest_of(record: Record) -> tuple[_Hash, str | None]:
    """Return what to compute, and what it should come to: None when the record does not say."""
    name, value = record.get("os_hash_algo"), record.get("os_hash_value")
    if value and name in _ALGORITHMS:
        return digest_of_name(str(name)), str(value)
    checksum = record.get("checksum")
    return digest_of_name("md5"), None if checksum is None else str(checksum)


def digest_of_name(name: str) -> _Hash:
    """Return a digest of nothing yet."""
    return hashlib.new(name, usedforsecurity=False)


def digest_of_file(name: str, path: Path) -> str:
    """Return the digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: digest_of_name(name)).hexdigest()


def _size(record: Record) -> int:
    size = record.get("size")
    if not isinstance(size, int) or size < 0:
        raise ReplicationError(f"nobody says how long image {record['id']} is")
    return size


def _name(record: Record) -> str:
    """Name a file after an image and its content, so that nothing goes on behind another's."""
    _, expected = digest_of(record)
    content = f"{expected} {_size(record)}".encode()
    return f"{record['id']}.{hashlib.sha256(content).hexdigest()[:16]}"


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """Yield what has come as soon as it has, so that a connection that breaks costs nothing."""
    while chunk := answer.raw.read1(CHUNK):
        yield chunk


def _without(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) > count:
            yield chunk[count:]
        count = max(0, count - len(chunk))


@contextmanager
def _alone(file: BinaryIO, record: Record) -> Iterator[None]:
    """Hold a file for this run; the kernel lets go of it when the process dies."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Busy(f"another run has hold of image {record['id']}") from error
    yield
