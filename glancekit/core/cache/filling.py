# SPDX-License-Identifier: Apache-2.0
"""A file that is being filled: the thread that fills it, and those who read along.

Where the bytes come from, also for those whom the filler leaves in the lurch, is told to it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import BinaryIO

from glancekit.core.cache.folder import CacheFolder, Fill, has_ended
from glancekit.core.errors import GlancekitError, SizeMismatch
from glancekit.core.stream import CHUNK_SIZE, ByteStream

log = logging.getLogger(__name__)

LOOK_AFTER = 16 * CHUNK_SIZE
"""Bytes between looks at the disk's free room, and whether the file is still wanted."""

SHORTEST_WAIT, LONGEST_WAIT = 0.002, 0.1
"""Seconds between looks at a file that has not grown."""

PATIENCE = 60.0
"""Seconds without one more byte after which a reader goes to the store itself: longer than a
store has for an answer, so that its failure is known before."""


def fill(
    folder: CacheFolder,
    claimed: Fill,
    open_source: Callable[[], ByteStream],
    *,
    is_wanted: Callable[[], bool],
    is_stopping: Callable[[], bool],
) -> None:
    """Fetch an image's bytes into a claimed file, and make it an entry if they are the right ones.

    ``is_wanted`` is asked once all is there: whether the image is still what it was. Whatever
    happens, nothing is left half done; what went wrong is logged and counted.
    """
    outcome = "failed"
    try:
        with open_source() as source:
            is_right = _copy(folder, claimed, source, is_stopping)
        outcome = "invalid"
        if is_right:
            outcome = "failed"
            if is_wanted() and folder.publish(claimed):
                outcome = "filled"
    except (GlancekitError, OSError) as error:
        log.warning("image %s could not be cached: %s", claimed.content.image_id, error)
    finally:
        if outcome != "filled":
            folder.abandon(claimed)
        folder.count(outcome)
        claimed.file.close()


def _copy(
    folder: CacheFolder, claimed: Fill, source: ByteStream, is_stopping: Callable[[], bool]
) -> bool:
    """Write all of a source and return whether it was the content.

    :raises OSError: when there is no room any more, or the file is not wanted any more.
    :raises SizeMismatch: when there are fewer bytes, or more.
    """
    content, digest = claimed.content, claimed.content.new_digest()
    done, looked = 0, 0
    while chunk := source.read(CHUNK_SIZE):
        done += len(chunk)
        if done > content.size:
            break
        if is_stopping():
            raise OSError("the service is being stopped")
        if done - looked >= LOOK_AFTER:
            looked = done
            _look(folder, claimed)
        digest.update(chunk)
        _write(claimed.file, chunk)
    if done != content.size:
        raise SizeMismatch(expected=content.size, received=done)
    if digest.hexdigest() == content.digest:
        return True
    log.error(
        "what the store gave as image %s has not its digest, and is not cached", content.image_id
    )
    return False


def _look(folder: CacheFolder, claimed: Fill) -> None:
    folder.require_room()
    if not claimed.is_wanted:
        raise OSError("it was taken out of the cache meanwhile")


def _write(file: BinaryIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


class Following(ByteStream):
    """A part of a file that is being filled, as it comes in.

    When the filler fails, dies or gets stuck, the rest comes from ``open_rest``, which is given
    the offset and the number of bytes.
    """

    def __init__(
        self,
        file: BinaryIO,
        offset: int,
        length: int,
        open_rest: Callable[[int, int], ByteStream],
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._file = file
        self._offset = offset
        self._left = length
        self._open_rest = open_rest
        self._patience = patience
        self._rest: ByteStream | None = None

    def begin(self) -> None:
        """Wait for the first byte, so that what keeps it from coming is known before an answer.

        :raises StoreError: when the filler failed, and no store can give it either.
        """
        if self._left and not self._there(1):
            self._go_to_store()

    def read(self, size: int = -1, /) -> bytes:
        """Return what is there, at most so many bytes, and wait where there is nothing yet."""
        if size < 0:
            return b"".join(self)
        wanted = min(size, self._left)
        if not wanted:
            return b""
        chunk = b"" if self._rest else self._there(wanted)
        if not chunk:
            chunk = self._go_to_store().read(wanted)
        self._offset += len(chunk)
        self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Let go of the file, which is filled on; and of the store."""
        self._file.close()
        if self._rest is not None:
            self._rest.close()

    def _go_to_store(self) -> ByteStream:
        if self._rest is None:
            self._rest = self._open_rest(self._offset, self._left)
        return self._rest

    def _there(self, wanted: int) -> bytes:
        """Return the next bytes, none when there is nothing more to be expected."""
        end, wait = time.monotonic() + self._patience, SHORTEST_WAIT
        while True:
            # Asked before reading: what was written before the filler ended is still seen.
            ended = has_ended(self._file)
            if chunk := os.pread(self._file.fileno(), wanted, self._offset):
                return chunk
            if ended:
                return b""
            if time.monotonic() > end:
                log.warning("a fill of the cache is stuck at byte %d", self._offset)
                return b""
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
