# SPDX-License-Identifier: Apache-2.0
"""The file that tokens are kept in: readers never wait, writers take turns.

A change is a new file that is made durable and then takes the old one's name, so that whoever
reads has the whole old or the whole new one, also after a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from glancekit.plugin import GlancekitError
from glancekit_token_auth.tokens import Record

VERSION = 1

Records = Mapping[str, Record]
"""Records by the ids of their tokens."""

_Stamp = tuple[int, int, int]

_FIELDS = frozenset(field.name for field in fields(Record))


class TokenFileUnusable(GlancekitError):
    """Facts: ``path``, ``reason``."""

    template = "The file of tokens {path} cannot be used: {reason}"


class TokenFile:
    """The tokens of one service, shared by all its processes and the command line."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._records: Records = {}
        self._stamp: _Stamp | None = None

    def records(self) -> Records:
        """Return what the file holds; it is read again whenever it is another. None holds nothing.

        :raises TokenFileUnusable: when it cannot be read, or not be trusted.
        """
        with self._lock:
            self._refresh()
            return self._records

    @contextmanager
    def change(self) -> Iterator[dict[str, Record]]:
        """Change the records; they are kept when the block ends without an error.

        :raises TokenFileUnusable: when the file cannot be read, trusted or written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._turn():
                records = dict(self._read()[0])
                yield records
                self._write(records)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    # -- how

    def _refresh(self) -> None:
        if self._stamp is not None and self._stamp == self._look():
            return
        self._stamp = None  # should reading fail, it is tried again the next time
        self._records, self._stamp = self._read()

    def _look(self) -> _Stamp | None:
        try:
            return _stamp(os.stat(self._path))
        except OSError:
            return None

    def _read(self) -> tuple[Records, _Stamp | None]:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_mode & 0o022:
                    raise self._unusable("others may write to it; run 'chmod 600' on it")
                return _parse(file.read()), _stamp(status)
        except FileNotFoundError:
            return {}, None
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise self._unusable(f"it is damaged ({error})") from error

    def _unusable(self, reason: str) -> TokenFileUnusable:
        return TokenFileUnusable(path=self._path, reason=reason)

    def _write(self, records: Records) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(handle, "wb") as file:  # mkstemp's mode is 0600
                file.write(_dump(records))
                file.flush()
                self._give_to_the_service(file.fileno())
                os.fsync(file.fileno())
            os.replace(name, self._path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        _sync_folder(self._path.parent)

    def _give_to_the_service(self, handle: int) -> None:
        """Let root's files belong to the folder's owner, as whom the service runs."""
        if os.geteuid() == 0:
            owner = os.stat(self._path.parent)
            os.fchown(handle, owner.st_uid, owner.st_gid)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other process changes the file. The lock goes with whoever holds it."""
        handle = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._give_to_the_service(handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _parse(data: bytes) -> Records:
    content = json.loads(data)
    if content["version"] != VERSION:
        raise ValueError(f"its version is {content['version']}, this release knows {VERSION}")
    records = [_record(token) for token in content["tokens"]]
    return {record.id: record for record in records}


def _record(token: dict[str, Any]) -> Record:
    known = {name: value for name, value in token.items() if name in _FIELDS}
    return Record(**{**known, "roles": tuple(known["roles"])})


def _dump(records: Records) -> bytes:
    content = {"version": VERSION, "tokens": [asdict(record) for record in records.values()]}
    return json.dumps(content, indent=1).encode() + b"\n"


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
