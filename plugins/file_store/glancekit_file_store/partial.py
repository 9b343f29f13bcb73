# SPDX-License-Identifier: Apache-2.0
"""A file that is being written, and how it gets its name. In which directory is not its choice."""

from __future__ import annotations

import errno
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from glancekit_file_store.failures import translated
from glancekit_file_store.options import Settings

WRITING = ".writing"
"""The folder of partial files, in each directory. Finding a dead writer's file costs a look into
this folder, and not into one with a million images."""

_WRITE_BACK = 32 << 20
"""The kernel is told to begin with these many bytes; else all the work is left to the fsync."""

_HOLE = 64 << 10
"""The smallest hole: a whole number of any file system's blocks."""

_ZEROS = bytes(_HOLE)

_FICLONE = 0x40049409
"""Linux's request to share another file's blocks (linux/fs.h)."""

_OTHERWISE = (
    *(errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP),
    *(errno.ENOTTY, errno.EINVAL, errno.ENOSYS),
)
"""Another file system, or one that cannot."""
_PROBE = "probe"


class PartialFile:
    """A new file that nobody finds under its final name before ``publish``.

    Leaving the block without that leaves nothing.
    """

    def __init__(self, directory: Path, image_id: str, settings: Settings) -> None:
        self._path = directory / WRITING / f"{image_id}.{uuid.uuid4().hex}.part"
        self._settings = settings
        self._file = -1
        self._length = 0
        self._handed_over = 0

    def __enter__(self) -> Self:
        with translated("beginning to write", of_directory=True):
            self._file = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)
        with translated("cleaning up"):
            self._path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        with translated("writing"):
            if self._settings.thin:
                self._write_thinly(chunk)
            else:
                self._write_all(chunk)
            if self._length - self._handed_over >= _WRITE_BACK:
                self._require_reserve()
                self._begin_write_back()

    def publish(self, final: Path) -> None:
        """Make the file durable and give it its name.

        :raises FileExistsError: when the name is taken; what has it is left alone.
        """
        os.ftruncate(self._file, self._length)  # a hole at the end is no part of a file yet
        os.fchmod(self._file, self._settings.mode)
        os.fsync(self._file)
        os.link(self._path, final)  # unlike a rename, a link never takes another file's place
        try:
            self._path.unlink()
            sync_directory(final.parent)
            sync_directory(self._path.parent)
        except BaseException:
            final.unlink()
            raise

    def _write_all(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._length += len(chunk)

    def _write_thinly(self, chunk: bytes) -> None:
        """Write what is not zero, and pass over the rest."""
        for start in range(0, len(chunk), _HOLE):
            block = chunk[start : start + _HOLE]
            if block != _ZEROS[: len(block)]:
                self._write_all(block)
            else:
                self._length += len(block)
                os.lseek(self._file, self._length, os.SEEK_SET)

    def _require_reserve(self) -> None:
        """Notice in time that the room was misjudged: no size was given, or others write, too."""
        room = os.fstatvfs(self._file)
        if room.f_bavail * room.f_frsize < self._settings.reserve:
            raise OSError(errno.ENOSPC, "no room left above the reserve")

    def _begin_write_back(self) -> None:
        # DONTNEED makes Linux begin to write dirty pages back, and does not wait for it.
        length = self._length - self._handed_over
        os.posix_fadvise(self._file, self._handed_over, length, os.POSIX_FADV_DONTNEED)
        self._handed_over = self._length


class SharedFile(PartialFile):
    """A file that is somebody else's, too: the same one, or one with the same blocks."""

    def take(self, source: Path) -> bool:
        """Make it ours without copying; False where the file systems do not let us."""
        with translated("adopting"):
            return self._link(source) or self._clone(source)

    def _link(self, source: Path) -> bool:
        # One with several names may be another store's image, which must not be the same file.
        if source.stat().st_nlink != 1:
            return False
        # A partial file's name, too, so that it is found if we are killed here.
        image_id = self._path.name.partition(".")[0]
        linked = self._path.with_name(f"{image_id}.{uuid.uuid4().hex}.part")
        try:
            os.link(source, linked)
        except OSError as error:
            if error.errno in _OTHERWISE:
                return False
            raise
        with ExitStack() as failing:
            failing.callback(linked.unlink, missing_ok=True)
            file = os.open(linked, os.O_RDWR | os.O_CLOEXEC)
            failing.callback(os.close, file)
            linked.replace(self._path)
            failing.pop_all()
        # Ours before the other is closed: a number that is closed twice may be another thread's.
        self._file, emptied = file, self._file
        os.close(emptied)
        self._length = os.fstat(self._file).st_size
        return True

    def _clone(self, source: Path) -> bool:
        with source.open("rb") as file:
            try:
                fcntl.ioctl(self._file, _FICLONE, file.fileno())
            except OSError as error:
                if error.errno in _OTHERWISE:
                    return False
                raise
        self._length = os.fstat(self._file).st_size
        return True


def leftovers_of(directory: Path, image_id: str) -> list[Path]:
    """Return all files of an image in a directory, partial ones and the finished one."""
    final = directory / image_id
    partial = (directory / WRITING).glob(f"{image_id}.*.part")
    return [*partial, *([final] if os.path.lexists(final) else [])]


def partial_files(directory: Path, age: float) -> Iterator[Path]:
    """Yield what is being written in a directory, or was, and was not written to for so long."""
    until = time.time() - age
    for path in (directory / WRITING).glob("*.part*"):
        try:
            touched = path.lstat().st_mtime
        except FileNotFoundError:
            continue  # it was finished meanwhile
        if touched <= until:
            yield path


def image_of(partial: Path) -> str | None:
    """Return which image a partial file was to become, None for one of a check's."""
    image_id = partial.name.partition(".")[0]
    return None if image_id == _PROBE else image_id


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def probe(directory: Path) -> None:
    """Do with an empty file what a write does, but for its final name."""
    path = directory / WRITING / f"{_PROBE}.{uuid.uuid4().hex}.part"
    linked = path.with_suffix(".part-linked")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        os.link(path, linked)
        linked.unlink()
    finally:
        path.unlink()
