# SPDX-License-Identifier: Apache-2.0
"""A store's image that is a plain file here is opened in time, whole, or not at all."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from glancekit.core.contracts.store import SupportsLocalFile
from glancekit.core.errors import (
    BlobNotFound,
    StoreDenied,
    StoreError,
    StoreFailed,
    StoreUnavailable,
)
from glancekit.core.model.image import Location
from glancekit.core.stores import Store
from glancekit.testing.memory_store import MemoryStore

PATIENCE = 30.0


class Local(MemoryStore, SupportsLocalFile):
    """Says that every image is one file."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="local")
        self._path = path

    def local_path(self, location: Location) -> Path | None:
        return self._path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "image"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store("local", Local(path), deadline=0.3)
    yield store
    store.close()


def whole(size: int | None = None) -> Location:
    return Location(url="memory://local/image", size=size)


def test_a_whole_file_is_opened(store: Store, path: Path) -> None:
    path.write_bytes(b"data")
    for size in (4, None):
        file = store.open_local(whole(size))
        assert file is not None
        with file:
            assert file.read() == b"data"
    with pytest.raises(StoreFailed, match="the file has 4 bytes, the image 5"):
        store.open_local(whole(5))


def test_a_file_that_goes_when_it_was_found_is_missing(store: Store) -> None:
    with pytest.raises(BlobNotFound) as missing:
        store.open_local(whole())
    assert missing.value.store == "local"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, StoreDenied),
        (errno.ESTALE, StoreUnavailable),
        (errno.EIO, StoreUnavailable),
        (errno.EMFILE, StoreFailed),
    ],
)
def test_what_the_system_says_has_its_meaning(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StoreError]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(kind) as refused:
        store.open_local(whole())
    assert type(refused.value) is kind


def test_one_that_hangs_in_being_opened_is_unavailable_and_closed_when_it_comes(
    store: Store, path: Path
) -> None:
    """A pipe is there at once, and cannot be opened until somebody writes: a disk may be so."""
    os.mkfifo(path)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"no answer within 0\.3 s"):
        store.open_local(whole())
    assert time.monotonic() - begun < PATIENCE
    writer = os.open(path, os.O_WRONLY)
    try:
        assert is_broken(writer), "who opened it too late holds it still"
    finally:
        os.close(writer)


def is_broken(writer: int) -> bool:
    """Say whether nobody has the other end of a pipe open, for as long as that may take."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            os.write(writer, b"x")
        except BrokenPipeError:
            return True
        time.sleep(0.01)
    return False
