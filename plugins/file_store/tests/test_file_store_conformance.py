# SPDX-License-Identifier: Apache-2.0
"""The file store keeps the promises of a store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from glancekit_file_store.driver import FileStore

from glancekit.plugin import (
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
)
from glancekit.testing import StoreConformance


def options(**given: object) -> SimpleNamespace:
    defaults = {option.name: option.default for option in FileStore.options}
    return SimpleNamespace(**defaults | given)


class TestFileStore(StoreConformance):
    capabilities: ClassVar = {
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
    }

    @pytest.fixture
    def settings(self, tmp_path: Path) -> SimpleNamespace:
        return options(filesystem_store_datadir=str(tmp_path / "images"))

    @pytest.fixture
    def driver(self, settings: SimpleNamespace) -> Iterator[FileStore]:
        driver = FileStore(settings, name="file")
        driver.begin()
        yield driver
        driver.close()

    @pytest.fixture
    def twin(self, tmp_path: Path) -> FileStore:
        """A store that comes to the directory by a link."""
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "images")
        return FileStore(options(filesystem_store_datadirs=[f"{link}:200"]), name="twin")

    @pytest.fixture
    def unbegun(self, tmp_path: Path) -> FileStore:
        settings = options(filesystem_store_datadir=str(tmp_path / "new" / "images"))
        return FileStore(settings, name="new")

    @pytest.fixture
    def leftovers(self, tmp_path: Path) -> Callable[[], list[Path]]:
        return lambda: [path for path in tmp_path.rglob("*") if not path.is_dir()]

    @pytest.fixture
    def abandon(self, driver: FileStore, tmp_path: Path) -> Callable[[str], object]:
        """Leave a file that nobody goes on with, in a folder of partial files."""

        def abandon(image_id: str) -> None:
            folder = next(tmp_path.rglob(".writing"))
            (folder / f"{image_id}.{uuid.uuid4().hex}.part").write_bytes(b"half")

        return abandon

    @pytest.fixture
    def stranger(self, driver: FileStore, tmp_path: Path) -> Iterator[Callable[[str], object]]:
        """Leave files, a link and a folder that have nothing to do with images."""
        left: list[Path] = []

        def leave(image_id: str) -> None:
            folder = next(tmp_path.rglob(".writing")).parent
            left.extend((folder / "README", folder / f"{image_id}.md5", folder / image_id))
            for path in left[:2]:
                path.write_bytes(b"somebody else's")
            left[2].symlink_to(left[0])
            (folder / str(uuid.uuid4())).mkdir()

        yield leave
        for path in left:
            path.unlink()


class TestThinFileStore(TestFileStore):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> SimpleNamespace:
        return options(
            filesystem_store_datadir=str(tmp_path / "images"), filesystem_thin_provisioning=True
        )


class TestFileStoreOfSeveralDirectories(TestFileStore):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> SimpleNamespace:
        directories = [f"{tmp_path}/a:1", f"{tmp_path}/b:2", f"{tmp_path}/c:2"]
        return options(filesystem_store_datadirs=directories)

    @pytest.fixture
    def twin(self, tmp_path: Path) -> FileStore:
        """A store in those of the directories that images go to."""
        directories = [f"{tmp_path}/c:1", f"{tmp_path}/b:1"]
        return FileStore(options(filesystem_store_datadirs=directories), name="twin")
