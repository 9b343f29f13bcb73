# SPDX-License-Identifier: Apache-2.0
"""The store kit itself: an honest driver passes it, and every liar is caught by its test."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from glancekit.core.contracts.store import CAPABILITIES
from glancekit.plugin import (
    SupportsDelete,
    SupportsHealth,
    SupportsListing,
    SupportsRange,
    SupportsUsage,
    SupportsWrite,
)
from glancekit.testing import StoreConformance
from glancekit.testing.memory_store import MemoryStore
from glancekit.testing.store_liars import LIARS, AbleStore

pytestmark = pytest.mark.timeout(450)  # the whole kit runs once for each liar

LIARS_TESTS = """
import pytest
from glancekit.testing import StoreConformance
from glancekit.testing.store_liars import LIARS

class OfLiar(StoreConformance):
    @pytest.fixture
    def driver(self):
        driver = self.liar()
        yield driver
        driver._folder.cleanup()

    @pytest.fixture
    def leftovers(self, driver):
        return driver.leftovers

    @pytest.fixture
    def abandon(self, driver):
        return driver.abandon

    @pytest.fixture
    def stranger(self, driver):
        yield driver.befriend
        driver.forget_strangers()

    @pytest.fixture
    def unbegun(self):
        return self.liar.unbegun()

for liar in LIARS:
    name = "Test" + liar.__name__
    globals()[name] = type(name, (OfLiar,), {"liar": liar, "capabilities": liar.declares})
"""


class TestAbleStore(StoreConformance):
    capabilities = CAPABILITIES

    @pytest.fixture
    def driver(self) -> Iterator[AbleStore]:
        driver = AbleStore()
        yield driver
        driver.close()

    @pytest.fixture
    def leftovers(self, driver: AbleStore) -> Callable[[], list[str]]:
        return lambda: list(driver.blobs)

    @pytest.fixture
    def abandon(self, driver: AbleStore) -> Callable[[str], object]:
        return driver.abandon

    @pytest.fixture
    def stranger(self, driver: AbleStore) -> Iterator[Callable[[str], object]]:
        yield driver.befriend
        driver.forget_strangers()

    @pytest.fixture
    def unbegun(self) -> AbleStore:
        return AbleStore.unbegun()


class TestMemoryStore(StoreConformance):
    capabilities: ClassVar = {
        SupportsWrite,
        SupportsDelete,
        SupportsRange,
        SupportsUsage,
        SupportsHealth,
        SupportsListing,
    }

    @pytest.fixture
    def driver(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def stranger(self, driver: MemoryStore) -> Iterator[Callable[[str], object]]:
        yield lambda image_id: driver.blobs.update({f"{image_id}/1": b"a part of something"})
        for name in [name for name in driver.blobs if "/" in name]:
            del driver.blobs[name]

    @pytest.fixture
    def leftovers(self, driver: MemoryStore) -> Callable[[], list[str]]:
        return lambda: list(driver.blobs)


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Run the kit on all liars, in a process of its own; return the failed numbers of each."""
    folder = tmp_path_factory.mktemp("liars")
    (folder / "test_liars.py").write_text(LIARS_TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=no",
        "--junitxml=report.xml",
        "test_liars.py",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400)
    assert done.returncode == 1, done.stdout + done.stderr
    return _failures(folder / "report.xml")


def _failures(report: Path) -> dict[str, set[str]]:
    failed: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        numbers = failed.setdefault(case.attrib["classname"].rpartition(".Test")[2], set())
        if case.find("failure") is not None:
            numbers.add(case.attrib["name"][5:8])
        if case.find("error") is not None:
            numbers.add("s13")  # the one promise that is looked at after a test
    return failed


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
def test_every_liar_is_caught_by_its_test(liar, caught: dict[str, set[str]]) -> None:
    assert liar.caught_by in caught.get(liar.__name__, set())


def test_every_test_has_a_liar_that_it_catches() -> None:
    assert _numbers() == {liar.caught_by for liar in LIARS}


def test_the_page_of_the_contract_has_every_number() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "contracts" / "store.rst"
    listed = set(re.findall(r"^\*\*S(\d+)\*\*", page.read_text(), re.MULTILINE))
    assert listed == {number[1:].lstrip("0") for number in _numbers()}


def test_every_capability_is_asked_for_by_a_test() -> None:
    source = Path(sys.modules[StoreConformance.__module__].__file__ or "").read_text()
    for capability in CAPABILITIES:
        assert f"self.needs({capability.__name__})" in source


def _numbers() -> set[str]:
    names = [name.removeprefix("test_") for name in dir(StoreConformance)]
    return {name[:3] for name in names if re.match(r"s\d\d_", name)}
