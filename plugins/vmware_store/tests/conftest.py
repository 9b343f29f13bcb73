# SPDX-License-Identifier: Apache-2.0
"""One simulated vCenter for all tests of this folder, and stores in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_vmware_store.driver import VmwareStore
from glancekit_vmware_store.testing import Simulator, missing

Build = Callable[..., VmwareStore]


@pytest.fixture(scope="session")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    wanted = missing()
    if wanted is not None:
        pytest.skip(wanted)
    with Simulator(tmp_path_factory.mktemp("vcenter")) as simulator:
        yield simulator


@pytest.fixture
def build(vcenter: Simulator) -> Iterator[Build]:
    """Build drivers with the given options; all are closed afterwards."""
    built: list[VmwareStore] = []

    def build(**chosen: object) -> VmwareStore:
        values = {option.dest: option.default for option in VmwareStore.options}
        given = SimpleNamespace(**values | vcenter.settings() | chosen)
        built.append(VmwareStore(given, name="vmware"))
        return built[-1]

    yield build
    for driver in built:
        driver.close()


@pytest.fixture
def files(vcenter: Simulator) -> Callable[[], list[Path]]:
    """Lists all files that there are in the datastores."""
    folder = vcenter.folder / "ds"
    return lambda: sorted(path for path in folder.rglob("*") if path.is_file())
