# SPDX-License-Identifier: Apache-2.0
"""Data of the upstream service's store library and of this store are each other's: the shared
tests, on one directory. What either does with its own data is not the business here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_file_store.driver import FileStore

from glancekit.testing.upstream_store import UpstreamConformance, UpstreamStore, missing


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a dir")


@pytest.fixture(scope="module")
def upstream(directory: Path) -> Iterator[UpstreamStore]:
    wanted = missing()
    if wanted is not None:
        pytest.skip(wanted)
    with UpstreamStore("file", {"filesystem_store_datadir": str(directory)}) as upstream:
        yield upstream


@pytest.fixture
def driver(directory: Path) -> FileStore:
    settings = {option.name: option.default for option in FileStore.options}
    settings["filesystem_store_datadir"] = str(directory)
    driver = FileStore(SimpleNamespace(**settings), name="file")
    driver.begin()
    return driver


class TestUpstream(UpstreamConformance):
    """One directory, two libraries."""
