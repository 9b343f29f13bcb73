# SPDX-License-Identifier: Apache-2.0
"""The driver ``file``: an image is the file ``<datadir>/<image_id>``, complete or not there.

A write goes to a file of its own under ``<datadir>/.writing``, is made durable, and only then
linked under its name, which fails where that is taken. Digests, limits and deadlines are the
core's business.

A directory that is empty or missing is one that is not there: its file system may not be mounted.
One that is in use has ``.writing`` in it, or images of upstream's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from glancekit.plugin import (
    Blob,
    BlobExists,
    BlobNotFound,
    BlobUnavailable,
    ByteStream,
    FileStream,
    Location,
    Remnant,
    StoreDenied,
    StoreDriver,
    StoreFull,
    StoreUnavailable,
    SupportsAdopt,
    SupportsBegin,
    SupportsDelete,
    SupportsDetails,
    SupportsHealth,
    SupportsListing,
    SupportsLocalFile,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsUsage,
    SupportsWrite,
    Usage,
    is_image_id,
    place_of_folder,
)
from glancekit_file_store.failures import translated
from glancekit_file_store.options import OPTIONS, DataDir, Settings, settings_of
from glancekit_file_store.partial import (
    WRITING,
    PartialFile,
    SharedFile,
    image_of,
    leftovers_of,
    partial_files,
    probe,
    sync_directory,
)


class FileStore(
    StoreDriver,
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsLocalFile,
    SupportsUsage,
    SupportsHealth,
    SupportsDetails,
    SupportsSweep,
    SupportsListing,
    SupportsPlaces,
    SupportsBegin,
    SupportsAdopt,
):
    """Images as plain files."""

    api_level: ClassVar[int] = 1
    options = OPTIONS
    schemes = ("file", "filesystem")

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings: Settings = settings_of(options)

    # -- reading

    def open(self, location: Location) -> ByteStream:
        """Open the file."""
        return _ImageFile(self._open(location))

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open the file and go to the offset."""
        file = self._open(location)
        file.seek(offset)
        return _ImageFile(file, length=length)

    def size(self, location: Location) -> int | None:
        """Return the file's length."""
        return self._stat(self._path(location)).st_size

    def local_path(self, location: Location) -> Path | None:
        """Return the file's path."""
        path = self._path(location)
        self._stat(path)
        return path

    # -- writing

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Write a file under another name, make it durable, give it its name."""
        self._require_unused(image_id)
        directory = self._choose(size)
        final = directory / image_id
        with PartialFile(directory, image_id, self._settings) as partial:
            while chunk := source.read(self._settings.chunk_size):
                partial.write(chunk)
            with self._of_image("publishing", final):
                partial.publish(final)
                self._require_alone(final)
        return Location(url=f"file://{final}")

    def adopt(self, path: Path, image_id: str) -> Location | None:
        """Give a file a second name in the directory, or share its blocks."""
        self._require_unused(image_id)
        directory = self._choose(0)
        final = directory / image_id
        with SharedFile(directory, image_id, self._settings) as shared:
            if not shared.take(path):
                return None
            with self._of_image("publishing", final):
                shared.publish(final)
                self._require_alone(final)
        return Location(url=f"file://{final}")

    def discard(self, image_id: str) -> None:
        """Remove the file and all partial ones of this image.

        What is in the directories that are there goes at once; where another is away, there may
        be more, and who asked has to ask again.
        """
        with translated("discarding"):
            for directory in self._there():
                found = leftovers_of(directory, image_id)
                for path in found:
                    path.unlink(missing_ok=True)
                for folder in {path.parent for path in found}:
                    sync_directory(folder)
        self._require_all()

    def delete(self, location: Location) -> None:
        """Remove the file, also after a crash."""
        path = self._path(location)
        with self._of_image("deleting", path):
            path.unlink()
            # Left empty it would be taken for one that is not there.
            self._furnish(path.parent)
            sync_directory(path.parent)

    def remnants(self, age: float) -> list[Remnant]:
        """Return the partial files that nobody has written to for so long."""
        with translated("looking for partial files"):
            return [
                Remnant(str(path), image_of(path))
                for directory in self._there()
                for path in partial_files(directory, age)
            ]

    def sweep(self, remnant: Remnant) -> None:
        """Remove a partial file."""
        path = Path(remnant.name)
        if path.parent.name != WRITING or path.parent.parent not in self._there():
            raise StoreDenied(f"{path} is no partial file of this store")
        with translated("sweeping"):
            path.unlink(missing_ok=True)
            sync_directory(path.parent)

    # -- what is there

    def contents(self) -> Iterator[Blob]:
        """Yield the plain files whose names are ids of images, those of directories that are there
        before it is told that others are not."""
        for directory in self._there():
            with translated("listing", of_directory=True), os.scandir(directory) as entries:
                for entry in entries:
                    if is_image_id(entry.name) and (found := _plain_file(entry)) is not None:
                        yield _blob(directory / entry.name, found)
        self._require_all()

    def blob(self, location: Location) -> Blob:
        """Look at the file."""
        path = self._path(location)
        if not is_image_id(path.name):
            raise BlobNotFound
        return _blob(path, self._stat(path))

    # -- questions

    def usage(self) -> Usage:
        """Add up the file systems that the directories are in."""
        total = free = 0
        seen: set[int] = set()
        with translated("asking for the room", of_directory=True):
            for directory in self._require_any():
                device = directory.stat().st_dev
                if device not in seen:
                    seen.add(device)
                    room = os.statvfs(directory)
                    total += room.f_blocks * room.f_frsize
                    free += max(0, room.f_bavail * room.f_frsize - self._settings.reserve)
        return Usage(total=total, free=free)

    def check(self) -> None:
        """Make a file in each directory and link it, as a write does.

        Where nothing is to be added, see that they are there: their medium may be read-only.
        """
        if not self._settings.read_only:
            for directory in self._require_any():
                with translated(f"checking {directory}", of_directory=True):
                    self._prepare(directory)
                    probe(directory)
        self._require_all()

    def details(self) -> dict[str, Any]:
        """Return the directories and how files are written, under upstream's names."""
        directories = [str(entry.path) for entry in self._settings.directories]
        return {
            "data_dir": directories[0] if len(directories) == 1 else directories,
            "chunk_size": self._settings.chunk_size,
            "thin_provisioning": self._settings.thin,
        }

    def places(self) -> list[str]:
        """Return the directories, whatever links lead to them."""
        return [place_of_folder(entry.path) for entry in self._settings.directories]

    def begin(self) -> None:
        """Make the directories that are not there."""
        for entry in self._settings.directories:
            with translated(f"making {entry.path}", of_directory=True):
                entry.path.mkdir(parents=True, exist_ok=True)
                self._furnish(entry.path)

    def close(self) -> None:
        """Do nothing: nothing is kept open between calls."""

    # -- where things are

    def _there(self) -> list[Path]:
        return [entry.path for entry in self._settings.directories if _is_there(entry.path)]

    def _require_any(self) -> list[Path]:
        if there := self._there():
            return there
        raise StoreUnavailable(_not_there(*(entry.path for entry in self._settings.directories)))

    def _require_all(self) -> None:
        there = self._require_any()
        away = [entry.path for entry in self._settings.directories if entry.path not in there]
        if away:
            raise self._absence(*away)

    def _absence(self, *directories: Path) -> StoreUnavailable:
        """Return what it means that directories are not there.

        While others are, the store is not unavailable: it would be passed over as a whole.
        """
        if self._there():
            return BlobUnavailable(_not_there(*directories))
        return StoreUnavailable(_not_there(*directories))

    @contextmanager
    def _of_image(self, deed: str, path: Path) -> Iterator[None]:
        """Translate errors; an image is not lost because its directory is not mounted."""
        try:
            with translated(deed):
                yield
        except BlobNotFound as error:
            # Looked at in this order: it may be mounted in this very moment.
            if _is_there(path.parent) and not os.path.lexists(path):
                raise
            raise self._absence(path.parent) from error

    def _path(self, location: Location) -> Path:
        """Return the path of a location, if it is that of an image in one of our directories."""
        scheme, _, rest = location.url.partition("://")
        path = Path(rest)
        if scheme not in self.schemes or not _may_name_an_image(path):
            raise StoreDenied("the location's URL is not one of a file in this store")
        with translated("looking up"):
            # The folder may be given by way of a link, as /var/lib/glance often is. The file
            # itself may not be one, see _open.
            folder = path.parent.resolve()
            for entry in self._settings.directories:
                if entry.path in (path.parent, folder) or entry.path.resolve() == folder:
                    return entry.path / path.name
        raise StoreDenied(f"{path.parent} is none of this store's directories")

    def _stat(self, path: Path) -> os.stat_result:
        with self._of_image("looking up", path):
            found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise StoreDenied(f"{path} is not a plain file")
        return found

    def _open(self, location: Location) -> Any:
        path = self._path(location)
        with self._of_image("opening", path):
            # Not through a link, and not waiting for the other side where it is a pipe.
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise StoreDenied(f"{path} is not a plain file")
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            return os.fdopen(file, "rb", buffering=0)
        except BaseException:
            os.close(file)
            raise

    def _require_unused(self, image_id: str) -> None:
        with translated("looking up"):
            if any(os.path.lexists(path / image_id) for path in self._there()):
                raise BlobExists

    def _require_alone(self, final: Path) -> None:
        """Step back when another writer of the same image chose another directory meanwhile.

        A name is taken within one directory only. Where both writers step back, both say so.
        """
        try:
            others = (path / final.name for path in self._there() if path != final.parent)
            if any(os.path.lexists(other) for other in others):
                raise BlobExists
        except BaseException:
            final.unlink()
            raise

    def _choose(self, size: int | None) -> Path:
        """Return the directory for a new image: highest priority with room, then the most room.

        One that is not there is passed over, as one that is full.
        """
        there = self._require_any()
        entries = [entry for entry in self._settings.directories if entry.path in there]
        ranked = sorted(entries, key=lambda entry: -entry.priority)
        for _, equals in groupby(ranked, key=lambda entry: entry.priority):
            room, path = max((self._room(entry), entry.path) for entry in equals)
            if room > (size or 0):
                return path
        raise StoreFull

    def _room(self, entry: DataDir) -> int:
        with translated(f"preparing {entry.path}", of_directory=True):
            self._prepare(entry.path)
            found = os.statvfs(entry.path)
        return found.f_bavail * found.f_frsize - self._settings.reserve

    def _prepare(self, directory: Path) -> None:
        """See that a directory that is there has all that a write needs. None is made here."""
        if (directory / WRITING).is_dir():
            return
        if not _is_there(directory):
            raise self._absence(directory)
        self._furnish(directory)

    def _furnish(self, directory: Path) -> None:
        writing = directory / WRITING
        if writing.is_dir():
            return
        writing.mkdir(mode=0o700, exist_ok=True)
        present = stat.S_IMODE(directory.stat().st_mode)
        wanted = present | (self._settings.mode & 0o044) >> 2  # who may read may pass through
        if wanted != present:
            directory.chmod(wanted)
        sync_directory(directory.parent)
        sync_directory(directory)


class _ImageFile(FileStream):
    """An image's file, whose errors are a store's: a mount may die while it is read."""

    def read(self, size: int = -1, /) -> bytes:
        """Return what the file gives."""
        with translated("reading"):
            return super().read(size)


def _is_there(directory: Path) -> bool:
    """Say whether anything is in a directory: an empty one may be a file system's mount point."""
    with translated(f"looking at {directory}", of_directory=True):
        if (directory / WRITING).is_dir():  # as quick as one look, however much else is in it
            return True
        try:
            with os.scandir(directory) as entries:
                return next(entries, None) is not None
        except (FileNotFoundError, NotADirectoryError):
            return False


def _not_there(*directories: Path) -> str:
    named = " and ".join(map(str, directories))
    return (
        f"{named} is not there or empty: is its file system mounted? "
        f"For a new one: mkdir -p {directories[0] / WRITING}"
    )


def _plain_file(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return what is known of a file; None for what is none, or is gone by now."""
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _blob(path: Path, found: os.stat_result) -> Blob:
    """Describe a file. It changes with its name, too: what was written long ago to become an image
    now is a new one."""
    came = datetime.fromtimestamp(max(found.st_mtime, found.st_ctime), UTC)
    return Blob(f"file://{path}", path.name, found.st_size, came)


def _may_name_an_image(path: Path) -> bool:
    return (
        path.is_absolute()
        and ".." not in path.parts
        and not path.name.startswith(".")
        and "\0" not in str(path)
    )
