# SPDX-License-Identifier: Apache-2.0
"""The cache's folder: which files are in it, who may add one, and what goes to make room.

::

    images/<id>.<digest>      whole and verified; nothing else is ever served as a hit
    incomplete/<id>.<digest>.<size>   being filled: its filler holds the lock of the file
    hits/<id>.<digest>        how often an entry was asked for; the file's time: when last
    verified/<id>.<digest>    the file's time: when the entry was last read again and was right
    queue/<id>                images to be fetched
    counts/<what>             what happened since the cache was made
    lock                      held while it is decided what comes and goes
    check                     written to find out whether that can be done

Files come into ``images`` by a rename of what is durable, and go by being unlinked: who reads one
meanwhile reads on. A process that dies leaves a file in ``incomplete`` whose lock is free.

Which bytes go into a file is the business of ``filling``.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from glancekit.core.cache.content import Content, image_of
from glancekit.core.cache.counting import count, counted, locked
from glancekit.core.contracts.cache import CacheEntry, CachePolicy
from glancekit.core.model.image import now

log = logging.getLogger(__name__)

COUNTS = (
    "hits", "misses", "followed", "passed", "filled", "failed", "invalid", "evicted",
)  # fmt: skip
"""What is counted: served from a whole file; fills begun; readers that joined one; downloads that
were not cached; fills that ended well, that did not, whose bytes were not the image's; entries
that had to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the cache may take: bytes in all, and bytes of the disk that must stay free."""

    size: int
    free: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """The right to fill a file, held by whoever has ``file`` open. ``follower`` reads along."""

    content: Content
    path: Path
    file: BinaryIO
    follower: BinaryIO

    @property
    def is_wanted(self) -> bool:
        """Nobody has taken the file away meanwhile."""
        return _is_at(self.file, self.path)


class CacheFolder:
    """The folder, with a lock for all decisions and the limits that they keep to."""

    def __init__(self, path: Path, limits: Limits, policy: CachePolicy) -> None:
        """Make what is not there yet.

        :param policy: is asked with the lock held; one that may fail or hang comes guarded.
        :raises OSError: when the folder cannot be used.
        """
        self.path = path
        self.limits = limits
        self._policy = policy
        self._images = path / "images"
        self._incomplete = path / "incomplete"
        self._hits = path / "hits"
        self._verified = path / "verified"
        self._queue = path / "queue"
        self._counts = path / "counts"
        self._lock = path / "lock"
        self._make_folders()

    @property
    def _folders(self) -> tuple[Path, ...]:
        kept = (self._images, self._hits, self._verified)
        return (*kept, self._incomplete, self._queue, self._counts)

    def _make_folders(self) -> None:
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    # -- on the way of a download

    def open_hit(self, content: Content) -> BinaryIO | None:
        """Open a whole image, and count it. One whose size does not fit is dropped."""
        file = self._open_whole(content)
        if file is not None:
            count(self._hits / content.name)
            self.count("hits")
        return file

    def open_growing(self, content: Content) -> BinaryIO | None:
        """Open a file that is being filled, to read along. What a dead filler left is not one."""
        file = _open(self._filling(content))
        if file is not None and has_ended(file):
            file.close()
            return None
        return file

    def claim(self, content: Content, *, may_evict: bool = True) -> BinaryIO | Fill | None:
        """Return the right to fill, or the file that somebody else fills, or has just filled.

        None when there is no room for it, and none can be made or ``may_evict`` is False.
        """
        with locked(self._lock):
            if (whole := self._open_whole(content)) is not None:
                return whole
            path = self._filling(content)
            if (growing := _open(path)) is not None:
                if not has_ended(growing):
                    return growing
                growing.close()
                path.unlink(missing_ok=True)
            if not self._make_room(content.size, may_evict=may_evict):
                return None
            return _begin(content, path)

    def check(self) -> None:
        """Return when files can be made in the folder, and the disk keeps what must stay free.

        What is in it is made again where somebody emptied it; the folder itself is not.

        :raises OSError: when the folder cannot be used; it says why.
        """
        if not self.path.is_dir():
            raise OSError(errno.ENOENT, "the folder is gone", str(self.path))
        self._make_folders()
        for folder in self._folders:
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise OSError(errno.EACCES, "the folder cannot be written to", str(folder))
        least = max(self.limits.free, 1)
        if (free := self._free()) < least:
            reason = f"the disk has {free} bytes free, and {least} are to stay free"
            raise OSError(errno.ENOSPC, reason, str(self.path))
        (self.path / "check").write_bytes(b"1")

    def require_room(self) -> None:
        """See that the disk still has what must stay free, whoever filled it.

        :raises OSError: when it has not.
        """
        if self._free() < self.limits.free:
            raise OSError("the disk has less room than what must stay free")

    def publish(self, fill: Fill) -> bool:
        """Make a filled and verified file an entry; False when it is not wanted any more."""
        os.fsync(fill.file.fileno())
        with locked(self._lock):
            if not fill.is_wanted:
                return False
            name = fill.content.name
            (self._verified / name).unlink(missing_ok=True)
            (self._hits / name).unlink(missing_ok=True)
            fill.path.rename(self._images / name)
            for folder in (self._images, self._incomplete):
                _sync(folder)
        return True

    def abandon(self, fill: Fill) -> None:
        """Remove what was filled so far, and let go of it."""
        with locked(self._lock):
            if fill.is_wanted:
                fill.path.unlink(missing_ok=True)

    # -- what is there

    def entries(self) -> list[CacheEntry]:
        """Return what is cached, in no order."""
        with locked(self._lock):
            return list(self._by_name().values())

    def names(self) -> list[str]:
        """Return the names of the cached files."""
        return [found.name for found in _scan(self._images)]

    def incomplete(self) -> list[str]:
        """Return the ids of the images that are being filled."""
        return [image_of(found.name) for found in _scan(self._incomplete)]

    def used(self) -> int:
        """Return the bytes that entries take, and those that fills will have taken."""
        with locked(self._lock):
            return self._used()

    def count(self, what: str, more: int = 1) -> None:
        """Count what happened, one of ``COUNTS``."""
        count(self._counts / what, more)

    def counts(self) -> dict[str, int]:
        """Return what happened since the cache was made."""
        return {what: counted(self._counts / what) for what in COUNTS}

    # -- what goes

    def drop(self, image_id: str) -> bool:
        """Forget an image, also one that is being filled; return whether there was one."""
        with locked(self._lock):
            names = [name for name in self.names() if image_of(name) == image_id]
            for name in names:
                self._remove(name)
            filling = [f for f in _scan(self._incomplete) if image_of(f.name) == image_id]
            for found in filling:
                Path(found.path).unlink(missing_ok=True)
        return bool(names or filling)

    def drop_name(self, name: str) -> None:
        """Forget one file."""
        with locked(self._lock):
            self._remove(name)

    def clear(self) -> int:
        """Forget all entries; return how many these were. What is being filled goes on."""
        with locked(self._lock):
            names = self.names()
            for name in names:
                self._remove(name)
        return len(names)

    def prune(self, expired: Sequence[CacheEntry] = ()) -> tuple[int, int]:
        """Have go what expired and what is beyond the limits; return files and bytes."""
        gone: list[CacheEntry] = []
        with locked(self._lock):
            by_name = self._by_name()
            wanted = set(expired)
            for name in [name for name, entry in by_name.items() if entry in wanted]:
                gone.append(by_name.pop(name))
                self._remove(name)
            gone += self._evict(self._excess(0), by_name)
        self.count("evicted", len(gone))
        return len(gone), sum(entry.size for entry in gone)

    def clear_stalled(self, stall_time: float) -> int:
        """Remove what dead fillers left, and what has not grown for so many seconds."""
        removed = 0
        with locked(self._lock):
            for found in list(_scan(self._incomplete)):
                path = Path(found.path)
                with path.open("rb", buffering=0) as file:
                    age = time.time() - os.fstat(file.fileno()).st_mtime
                    if age > stall_time or has_ended(file):
                        path.unlink(missing_ok=True)
                        removed += 1
            names = set(self.names())
            for folder in (self._hits, self._verified):
                for orphan in [found for found in _scan(folder) if found.name not in names]:
                    Path(orphan.path).unlink(missing_ok=True)
        return removed

    # -- verified again

    def unverified(self, since: datetime) -> list[str]:
        """Return the names of entries that were not read and found right since then."""
        with locked(self._lock):
            seen = {
                found.name: max(found.stat().st_mtime, _time_of(self._verified / found.name))
                for found in _scan(self._images)
            }
        return [name for name, when in seen.items() if when < since.timestamp()]

    def is_right(self, content: Content) -> bool:
        """Read an entry and hold it against its digest; one that is wrong is dropped."""
        file = _open(self._images / content.name)
        if file is None:
            return False
        digest = content.new_digest()
        with file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        if digest.hexdigest() != content.digest:
            log.error("the cached file of image %s has changed on disk", content.image_id)
            self.count("invalid")
            self.drop_name(content.name)
            return False
        (self._verified / content.name).touch()
        return True

    # -- the queue

    def enqueue(self, image_id: str) -> None:
        """Remember that an image is to be fetched."""
        (self._queue / image_id).touch()

    def queued(self) -> list[str]:
        """Return the ids of images that are to be fetched, the first first."""
        came: dict[str, int] = {}
        for found in _scan(self._queue):
            with suppress(FileNotFoundError):  # it was fetched meanwhile
                came[found.name] = found.stat().st_mtime_ns
        return sorted(came, key=lambda name: (came[name], name))

    def dequeue(self, image_id: str) -> bool:
        """Forget that an image is to be fetched; return whether it was."""
        try:
            (self._queue / image_id).unlink()
        except FileNotFoundError:
            return False
        return True

    # -- how

    def _filling(self, content: Content) -> Path:
        return self._incomplete / f"{content.name}.{content.size}"

    def _open_whole(self, content: Content) -> BinaryIO | None:
        path = self._images / content.name
        file = _open(path)
        if file is None or os.fstat(file.fileno()).st_size == content.size:
            return file
        log.error("the cached file of image %s is not whole, and is dropped", content.image_id)
        if _is_at(file, path):
            self._remove(content.name)
        self.count("invalid")
        file.close()
        return None

    def _by_name(self) -> dict[str, CacheEntry]:
        return {found.name: self._entry(found) for found in _scan(self._images)}

    def _entry(self, found: os.DirEntry[str]) -> CacheEntry:
        known = found.stat()
        asked = self._hits / found.name
        return CacheEntry(
            image_id=image_of(found.name),
            size=known.st_size,
            hits=counted(asked),
            cached_at=datetime.fromtimestamp(known.st_mtime, UTC),
            last_hit_at=datetime.fromtimestamp(max(known.st_mtime, _time_of(asked)), UTC),
        )

    def _remove(self, name: str) -> None:
        for folder in (self._images, self._hits, self._verified):
            (folder / name).unlink(missing_ok=True)

    def _used(self) -> int:
        whole = sum(found.stat().st_size for found in _scan(self._images))
        return whole + sum(_announced(found.name) for found in _scan(self._incomplete))

    def _free(self) -> int:
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def _excess(self, size: int) -> int:
        """Return how many bytes have to go for so many more to be within the limits."""
        to_come = sum(
            _announced(found.name) - found.stat().st_size for found in _scan(self._incomplete)
        )
        over = self._used() + size - self.limits.size
        return max(over, self.limits.free + to_come + size - self._free())

    def _make_room(self, size: int, *, may_evict: bool) -> bool:
        excess = self._excess(size)
        if excess <= 0 or not may_evict:
            return excess <= 0
        by_name = self._by_name()
        if size > self.limits.size or sum(e.size for e in by_name.values()) < excess:
            return False
        gone = self._evict(excess, by_name)
        self.count("evicted", len(gone))
        # What is still being read takes its room on the disk until that ends.
        return self._excess(size) <= 0

    def _evict(self, excess: int, by_name: dict[str, CacheEntry]) -> list[CacheEntry]:
        """Have entries go, in the policy's order, until so many bytes are free."""
        names = {entry: name for name, entry in by_name.items()}
        gone: list[CacheEntry] = []
        if excess <= 0:
            return gone
        for entry in self._policy.eviction_order(list(by_name.values()), now()):
            self._remove(names[entry])
            gone.append(entry)
            excess -= entry.size
            if excess <= 0:
                break
        return gone


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        yield from list(found)


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def _begin(content: Content, path: Path) -> Fill:
    file = path.open("xb", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        return Fill(content, path, file, path.open("rb", buffering=0))
    except BaseException:
        path.unlink(missing_ok=True)
        file.close()
        raise


def has_ended(file: BinaryIO) -> bool:
    """Say whether nobody fills a file any more: its filler has done, or died."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Say whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _announced(name: str) -> int:
    return int(name.rpartition(".")[2])


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
