# SPDX-License-Identifier: Apache-2.0
"""What the kit prints on request: nothing unless asked, then a table, and figures side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glancekit import testing
from glancekit.core.contracts.store import CAPABILITIES
from glancekit.plugin import SupportsDelete, SupportsWrite
from glancekit.testing.reports import REPORTS, Figure, beside, capability_table, rate

pytestmark = pytest.mark.timeout(450)  # kits run in processes of their own

KITS = [name for name in testing.__all__ if name.endswith("Conformance")]

OF_HONEST_ONES = {
    "auth": ("``loopback_only``", "refuse a caller"),
    "cache": ("``SupportsExpiry``", "order 1000 images"),
    "commands": ("``glancekit greet hello``", "--help"),
    "hooks": ("``after_commit``", "hear of 10 events"),
    "importing": ("``SupportsDescription``", "fetch"),
    "limits": ("``image_count_total``", "limits of a project"),
}
"""A row of the table, and a thing that is measured, for each kit with honest samples."""

A_VENDORS_TESTS = """
import pytest
from glancekit.plugin import *
from glancekit.testing import MemoryStore, StoreConformance

class TestAcme(StoreConformance):
    capabilities = {SupportsWrite, SupportsDelete, SupportsRange, SupportsUsage, SupportsHealth}

    @pytest.fixture
    def driver(self):
        return MemoryStore()
"""


def run_kit(folder: Path, wanted: str) -> str:
    (folder / "test_acme.py").write_text(A_VENDORS_TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "report"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, REPORTS: wanted},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_it_prints_what_was_asked_for(tmp_path: Path) -> None:
    printed = run_kit(tmp_path, "table,speed")
    assert "``SupportsWrite``      yes" in printed
    assert "``SupportsClone``      no" in printed
    assert printed.count("MiB/s") == 4, "read and write, each of this driver and the memory driver"
    assert printed.count("calls/s") == 6
    assert "2 passed" in printed


def test_it_prints_nothing_unasked(tmp_path: Path) -> None:
    printed = run_kit(tmp_path, "")
    assert "2 skipped" in printed
    assert "MiB/s" not in printed


@pytest.mark.parametrize("kit", KITS)
def test_every_kit_has_both_reports(kit: str) -> None:
    for report in ("table", "speed"):
        assert callable(getattr(getattr(testing, kit), f"test_report_{report}"))


@pytest.mark.parametrize("kit", OF_HONEST_ONES)
def test_the_other_kits_print_theirs(kit: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-k", "report and Honest", str(Path(__file__).with_name(f"test_{kit}_kit.py"))]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, REPORTS: "table,speed"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout
    row, figure = OF_HONEST_ONES[kit]
    assert any(line.startswith(row) for line in done.stdout.splitlines())
    measured = [line for line in done.stdout.splitlines() if line.startswith(figure)]
    assert measured
    assert all(line.count("/s") == 2 for line in measured), "this one, and another beside it"


def test_the_table_is_one_that_docutils_reads() -> None:
    from docutils.core import publish_doctree

    table = capability_table({SupportsWrite, SupportsDelete}, CAPABILITIES)
    tree = publish_doctree("\n".join(table), settings_overrides={"report_level": 1})
    rows = list(tree.findall(lambda node: node.tagname == "row"))
    assert len(rows) == 1 + len(CAPABILITIES)


def test_figures_stand_beside_each_other() -> None:
    lines = beside([Figure("read", 12.0, "MiB/s")], [Figure("read", 3456.0, "MiB/s")])
    assert [line.split() for line in lines] == [
        ["this", "driver", "memory", "driver"],
        ["read", "12", "MiB/s", "3,456", "MiB/s"],
    ]


def test_a_rate_is_of_calls_or_of_bytes() -> None:
    calls: list[int] = []
    assert rate("ask", lambda: calls.append(1)).unit == "calls/s"
    assert calls
    assert rate("read", lambda: None, size=1 << 20).unit == "MiB/s"
    with pytest.raises(ZeroDivisionError):
        rate("fail", lambda: 1 // 0)
