# SPDX-License-Identifier: Apache-2.0
"""The folder for data on their way in: a folder of its own for each image. Whose turn it is to
fill or empty it is the business of imports.

A folder knows which place it is, so that hosts which share it see that they do.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from glancekit.core.contracts.importing import Fetched
from glancekit.core.errors import InUse, StoreFailed, StoreFull
from glancekit.core.lease import HOST
from glancekit.core.model.image import Location
from glancekit.core.options import STAGING_STORE
from glancekit.core.stream import CHUNK_SIZE, ByteStream
from glancekit.core.transfer import Receipt

DATA = "data"
"""The file that came, whole."""

PARTIAL = "data.part"
"""The same while it comes."""

_IMAGE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
"""What a folder of ours is called; what else somebody keeps there is left alone."""

_RECEIPT = "receipt.json"
_PLACE = ".place"
_TASK = "task"
"""Names the import that fetched what is there; what was staged by a client has none."""

_MARK = "fetched.json"
"""How much of the partial data is there, of which content they are, and on which host they may
be in memory alone."""

_IN_MEMORY = "in-memory"
"""Names the host that has the data, or what came of them, maybe nowhere but in its memory."""

MARK_EVERY = 32 << 20
"""Bytes after which is written down what came, so that a fetch can go on there."""


class Staging:
    """The folder. Nothing is made before something is staged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> str:
        """Name this folder and this host: what an image's staged data are bound to."""
        return f"{self.place_id}@{socket.gethostname()}"

    @property
    def place_id(self) -> str:
        """Name this folder, the same on all hosts that share it."""
        path = self.folder / _PLACE
        try:
            return path.read_text()
        except FileNotFoundError:
            pass
        with _failing_as_store():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            own = self.folder / f"{_PLACE}.{uuid.uuid4().hex}"
            own.write_text(str(uuid.uuid4()))
            try:
                os.link(own, path)  # the first of several wins
            except FileExistsError:
                pass
            finally:
                own.unlink()
            return path.read_text()

    def of(self, image_id: str) -> Path:
        """Return an image's folder, which may not be there."""
        return self.folder / image_id

    def prepare(self, image_id: str) -> Path:
        """Return an image's folder, made where it was not there."""
        with _failing_as_store():
            folder = self.of(image_id)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return folder

    def keep_for(self, image_id: str, task_id: str) -> None:
        """Have a folder for what a task fetches; what is there and not of that task goes."""
        path = self.of(image_id) / _TASK
        with _failing_as_store():
            try:
                if path.read_text() == task_id:
                    return
            except FileNotFoundError:
                pass  # what is there was staged by a client, or nothing is
        self.remove(image_id)
        write_whole(self.prepare(image_id) / _TASK, task_id)

    def remove(self, image_id: str) -> None:
        """Remove an image's folder; harmless when it is gone."""
        with _failing_as_store(), suppress(FileNotFoundError):
            shutil.rmtree(self.of(image_id))

    def images(self) -> list[str]:
        """Return the ids of images that have a folder."""
        if not self.folder.is_dir():
            return []
        with _failing_as_store():
            return sorted(path.name for path in self.folder.iterdir() if _IMAGE.match(path.name))

    def keep_only(self, image_id: str, *names: str) -> None:
        """Remove what else is in an image's folder: files that steps have replaced."""
        with _failing_as_store():
            for path in self.of(image_id).iterdir():
                if path.name in (*names, _RECEIPT, _IN_MEMORY, _TASK):
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def write(
        self,
        image_id: str,
        source: ByteStream,
        *,
        version: str | None = None,
        is_durable: bool = True,
    ) -> Location:
        """Write all bytes of a source as an image's data, behind what came of them before.

        They are ``PARTIAL`` until ``publish``. Where the source has a ``version``, ``left`` finds
        them after a kill.

        :param is_durable: they are to outlast the host. What another file is made from at once
            need not: a disk takes longer to have them than the making does.
        """
        folder = self.prepare(image_id)
        with _failing_as_store(), (folder / PARTIAL).open("ab") as file:
            if not is_durable:
                write_whole(folder / _IN_MEMORY, HOST)
                sync_folder(folder)
            marked = file.tell()
            while chunk := source.read(CHUNK_SIZE):
                file.write(chunk)
                if file.tell() - marked >= MARK_EVERY:
                    marked = _mark(file, version, is_durable=is_durable)
            _mark(file, version, is_durable=is_durable)
            if is_durable:
                (folder / _IN_MEMORY).unlink(missing_ok=True)
        return Location(url="", store=STAGING_STORE, image_id=image_id)

    @contextmanager
    def alone(self, image_id: str) -> Iterator[None]:
        """Be the only one who writes into an image's folder, which is made; a kill ends that, too.

        :raises InUse: when somebody else is at it.
        """
        with _failing_as_store():
            folder = os.open(self.prepare(image_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(folder, image_id)
            yield
        finally:
            os.close(folder)

    def durable(self, image_id: str, version: str) -> int:
        """Return how many bytes of this version are durable; others do not count."""
        path = self.of(image_id) / PARTIAL
        with _failing_as_store():
            try:
                mark = json.loads((path.parent / _MARK).read_text())
                found = path.stat().st_size
            except FileNotFoundError:
                return 0
        size: int = mark["size"]
        is_it = mark["version"] == version and mark.get("host") is None
        return size if is_it and size <= found else 0

    def append(self, image_id: str, source: ByteStream, *, version: str, offset: int) -> Location:
        """Write all bytes of a source behind the first ``offset`` ones of this version.

        What has come is durable also when this raises. For whoever is ``alone`` there.
        """
        if not offset:
            with _failing_as_store():
                for name in (_MARK, _IN_MEMORY):  # before what they speak of
                    (self.of(image_id) / name).unlink(missing_ok=True)
            self.keep_only(image_id)
        with _failing_as_store(), (self.of(image_id) / PARTIAL).open("ab") as file:
            file.truncate(offset)
            file.seek(offset)
            marked = offset
            try:
                while chunk := source.read(CHUNK_SIZE):
                    file.write(chunk)
                    if file.tell() - marked >= MARK_EVERY:
                        marked = _mark(file, version, is_durable=True)
            finally:
                _mark(file, version, is_durable=True)
        return Location(url="", store=STAGING_STORE, image_id=image_id)

    def complete(self, image_id: str, size: int, receipt: Receipt | None = None) -> None:
        """Publish what came in parts, if all of it waits for that; harmless when it does not."""
        partial = self.of(image_id) / PARTIAL
        try:
            if partial.stat().st_size == size:
                self.publish(image_id, receipt)
        except (FileNotFoundError, StoreFailed):
            if partial.exists():  # else somebody else has published it, or all of it is gone
                raise

    def left(self, image_id: str) -> Fetched | None:
        """Return what a fetch that broke off has left, if that can be gone on with."""
        path = self.of(image_id) / PARTIAL
        with _failing_as_store():
            try:
                mark = json.loads((path.parent / _MARK).read_text())
                found = path.stat().st_size
            except FileNotFoundError:
                return None
            if found < mark["size"] or mark.get("host") not in (None, HOST):
                return None
            os.truncate(path, mark["size"])  # a power cut may have left anything behind that
        return Fetched(path=path, size=mark["size"], version=mark["version"])

    def is_certain(self, image_id: str) -> bool:
        """Say whether an image's data are what was written: no host lost them with its memory."""
        with _failing_as_store():
            try:
                return (self.of(image_id) / _IN_MEMORY).read_text() == HOST
            except FileNotFoundError:
                return True

    def settle(self, image_id: str) -> None:
        """Make an image's data durable, if they are not."""
        folder = self.of(image_id)
        with _failing_as_store():
            if not (folder / _IN_MEMORY).exists():
                return
            if (folder / DATA).exists():
                sync_file(folder / DATA)
                sync_folder(folder)
            (folder / _IN_MEMORY).unlink()

    def drop_left(self, image_id: str) -> None:
        """Forget what a fetch has left; first what it was, then the bytes."""
        with _failing_as_store():
            for name in (_MARK, PARTIAL):
                (self.of(image_id) / name).unlink(missing_ok=True)

    def publish(self, image_id: str, receipt: Receipt | None) -> Path:
        """Give the data their name, and keep what is known of them."""
        folder = self.of(image_id)
        with _failing_as_store():
            partial, data = folder / PARTIAL, folder / DATA
            (folder / _RECEIPT).unlink(missing_ok=True)
            if receipt is not None and receipt.hash_algo is not None:
                self.note(partial, receipt)
            partial.replace(data)
            if not (folder / _IN_MEMORY).exists():
                sync_folder(folder)
        return data

    def note(self, path: Path, receipt: Receipt) -> None:
        """Keep what is known of a file, until that is another one or was changed."""
        with _failing_as_store():
            known = _Known.of(path, receipt)
            write_whole(path.with_name(_RECEIPT), json.dumps(known.to_json()))

    def receipt_of(self, path: Path) -> Receipt | None:
        """Return what is known of a file, if it is still the one that this was known of."""
        try:
            known = _Known.from_json(json.loads((path.parent / _RECEIPT).read_text()))
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return known.receipt if known == _Known.of(path, known.receipt) else None


@dataclass(frozen=True, slots=True)
class _Known:
    """A receipt, and of which file it is."""

    inode: int
    modified: int
    receipt: Receipt

    @classmethod
    def of(cls, path: Path, receipt: Receipt) -> _Known:
        found = path.stat()
        return cls(found.st_ino, found.st_mtime_ns, receipt)

    def to_json(self) -> dict[str, object]:
        names = ("size", "checksum", "hash_algo", "hash_value")
        known = {name: getattr(self.receipt, name) for name in names}
        return {"inode": self.inode, "modified": self.modified, **known}

    @classmethod
    def from_json(cls, given: dict[str, object]) -> _Known:
        inode, modified = given.pop("inode"), given.pop("modified")
        receipt = Receipt(**given, detected_format=None, virtual_size=None)  # type: ignore[arg-type]
        return cls(inode, modified, receipt)  # type: ignore[arg-type]


def _lock(folder: int, image_id: str) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InUse(f"Somebody else is sending a part of image {image_id} now") from error
    except OSError as error:
        raise StoreFailed(str(error), store=STAGING_STORE, operation="staging") from error


def _mark(file: BinaryIO, version: str | None, *, is_durable: bool) -> int:
    """Write down how far a partial file is, and return it."""
    file.flush()
    if is_durable:
        os.fsync(file.fileno())
    size = file.tell()
    if version and size:
        mark = {"version": version, "size": size, "host": None if is_durable else HOST}
        path = Path(file.name).with_name(_MARK)
        write_whole(path, json.dumps(mark), is_durable=is_durable)
    return size


def write_whole(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Write a small file so that it is there whole, or as it was."""
    partial = path.with_name(f"{path.name}.new")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        if is_durable:
            os.fsync(file.fileno())
    partial.replace(path)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def _failing_as_store() -> Iterator[None]:
    """Let a disk's errors be those of a store."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(store=STAGING_STORE, operation="write") from error
        reason = f"{error.strerror}: {error.filename}"
        raise StoreFailed(reason, store=STAGING_STORE, operation="staging") from error
