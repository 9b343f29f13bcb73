# SPDX-License-Identifier: Apache-2.0
"""The source of a write, when another store that does not answer is behind it. What a silence of
our own cluster leads to is not its business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from glancekit.plugin import ByteStream, StoreUnavailable


class _SourceFailed(Exception):
    """What the source raised is on its way out, past those who would take it for the cluster's."""


class _Apart(ByteStream):
    """A stream whose silence is no ``StoreUnavailable`` until ``set_apart`` is left."""

    def __init__(self, source: ByteStream) -> None:
        self._source = source
        self.failure: StoreUnavailable | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return what the source gives."""
        try:
            return self._source.read(size)
        except StoreUnavailable as error:
            self.failure = error
        raise _SourceFailed

    def close(self) -> None:
        """Close the source."""
        self._source.close()


@contextmanager
def set_apart(source: ByteStream) -> Iterator[ByteStream]:
    """Lend a source to what would take its ``StoreUnavailable`` for one of its own cluster.

    That is raised at the end of the block.
    """
    apart = _Apart(source)
    with suppress(_SourceFailed):
        yield apart
    if apart.failure is not None:
        raise apart.failure
