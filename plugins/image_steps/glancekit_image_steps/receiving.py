# SPDX-License-Identifier: Apache-2.0
"""The disk that a program writes to when it writes to us: a file, and the digests of its bytes.

It speaks the network block device protocol over one end of a socket pair
(https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md), as much of it as a program
needs that writes a disk once. Its bytes pass by here, so nobody reads the file again to digest it,
and the program needs no right to write any file. What it is that is written is not its business.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from glancekit.plugin import Digests, Unavailable, digesting
from glancekit_image_steps.writing import remove, room

_GREETING = b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 0b11)
"""Fixed newstyle negotiation, and no zeros behind it."""

_OPTION = struct.Struct(">8sII")
_OPTION_REPLY = struct.Struct(">QIII")
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_ABORT, _INFO, _GO = 2, 6, 7
_ACK, _INFORMATION, _UNSUPPORTED = 1, 3, 0x80000001
_ABOUT_EXPORT, _ABOUT_BLOCKS = 0, 3

_FLAGS = 0b101
"""There are flags, and it may be asked to flush."""

_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_WRITE, _DISCONNECT, _FLUSH = 1, 2, 3
_FINE, _INVALID, _NO_SPACE = 0, 22, 28

_LONGEST_OPTION = 4096
_LONGEST_WRITE = 2 << 20
"""Bytes; with what digests hold of them the memory that it takes."""

_SYNC_EVERY = 64 << 20
"""Bytes after which the kernel is made to write, while there is more to come."""


class Broken(Exception):
    """The program does not keep to the protocol, or went away."""


class Disk:
    """A new file of zeros of a given size, of which parts are written."""

    def __init__(self, path: Path, size: int, digests: Digests) -> None:
        self.path = path
        self.size = size
        self.failure: BaseException | None = None
        """What kept it from being written, of which a program knows no more than a number."""
        self.digests: Mapping[str, str] = {}
        """What all its bytes digest to, once it is complete; empty if they came in disorder."""
        self.is_done = False
        """The program said that it was the end."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        self._running = digests
        self._is_in_order = True
        self._digested = 0
        self._unsynced = 0
        os.ftruncate(self._file, size)

    def write(self, offset: int, data: bytearray) -> None:
        """Write bytes, which nobody changes any more.

        :raises OSError: when there is no room, for one.
        """
        view = memoryview(data)
        at = offset
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written
        self._digest(offset, data)
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_EVERY:
            os.fdatasync(self._file)
            self._unsynced = 0

    def complete(self, beat: Callable[[], object]) -> None:
        """Make it durable, and know its digests.

        :param beat: called every so often: a disk may end in zeros that take long to digest.
        """
        while self._is_in_order and self._digested < self.size:
            count = min(_SYNC_EVERY, self.size - self._digested)
            self._running.feed_zeros(count)
            self._digested += count
            beat()
        os.fsync(self._file)
        found = self._running.finish()
        self.digests = found if self._is_in_order else {}

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    def _digest(self, offset: int, data: bytearray) -> None:
        self._is_in_order = self._is_in_order and offset >= self._digested
        if self._is_in_order:
            self._running.feed_zeros(offset - self._digested)
            self._running.feed(data)
            self._digested = offset + len(data)


@contextmanager
def receiving(
    path: Path, size: int, algorithms: Iterable[str], beat: Callable[[], object]
) -> Iterator[tuple[Disk, int]]:
    """Offer a disk; give it, and the file descriptor that a program is to be started with.

    The disk is complete behind the ``with``. On any error there is no file.

    :param beat: called every so often once the program has ended; when it raises, that is passed
        on.
    :raises Unavailable: when there is no room for it.
    """
    try:
        with digesting(algorithms) as digests, room():
            disk = Disk(path, size, digests)
            try:
                with _served(disk) as theirs:
                    yield disk, theirs
                disk.complete(beat)
            finally:
                disk.close()
    except BaseException:
        remove(path)
        raise


@contextmanager
def _served(disk: Disk) -> Iterator[int]:
    """Serve a disk on a thread; what went wrong with it is raised rather than what came of it."""
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=_serve, args=(ours, disk), name="disk", daemon=True)
    with ours, theirs:
        thread.start()
        try:
            yield theirs.fileno()
        except Exception as error:
            if disk.failure is not None:
                raise disk.failure from error
            raise
        finally:
            theirs.close()
            ours.shutdown(socket.SHUT_RD)  # a program that is gone sends nothing more
            thread.join()
    if disk.failure is not None:
        raise disk.failure
    if not disk.is_done:
        raise Unavailable("the program that converts images went away without a word")


def _serve(line: socket.socket, disk: Disk) -> None:
    try:
        _negotiate(line, disk.size)
        while _answer(line, disk):
            pass
    except (OSError, Broken) as error:
        disk.failure = disk.failure or (error if isinstance(error, OSError) else None)
    finally:
        line.shutdown(socket.SHUT_RDWR)


def _negotiate(line: socket.socket, size: int) -> None:
    line.sendall(_GREETING)
    _receive(line, 4)  # its own flags, of which none changes anything here
    while True:
        _, option, length = _OPTION.unpack(_receive(line, _OPTION.size))
        if length > _LONGEST_OPTION:
            raise Broken("it has too much to say")
        _receive(line, length)
        if option == _ABORT:
            raise Broken("it does not want the disk")
        if option not in (_INFO, _GO):
            _tell(line, option, _UNSUPPORTED)
            continue
        _tell(line, option, _INFORMATION, struct.pack(">HQH", _ABOUT_EXPORT, size, _FLAGS))
        blocks = struct.pack(">HIII", _ABOUT_BLOCKS, 1, 64 << 10, _LONGEST_WRITE)
        _tell(line, option, _INFORMATION, blocks)
        _tell(line, option, _ACK)
        if option == _GO:
            return


def _tell(line: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    line.sendall(_OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data)) + data)


def _answer(line: socket.socket, disk: Disk) -> bool:
    """Do what is asked next; False when that was to end."""
    magic, _, kind, handle, offset, length = _REQUEST.unpack(_receive(line, _REQUEST.size))
    if magic != _REQUEST_MAGIC or (kind == _WRITE and length > _LONGEST_WRITE):
        raise Broken("that is no request")
    if kind == _DISCONNECT:
        disk.is_done = True
        return False
    code = _FINE if kind == _FLUSH else _INVALID
    if kind == _WRITE:
        data = _receive(line, length)
        code = _written(disk, offset, data) if offset + length <= disk.size else _INVALID
    line.sendall(_REPLY.pack(_REPLY_MAGIC, code, handle))
    return True


def _written(disk: Disk, offset: int, data: bytearray) -> int:
    try:
        disk.write(offset, data)
    except OSError as error:
        disk.failure = disk.failure or error
        return _NO_SPACE
    return _FINE


def _receive(line: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        came = line.recv_into(view)
        if came == 0:
            raise Broken("it went away")
        view = view[came:]
    return data
