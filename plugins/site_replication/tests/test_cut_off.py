# SPDX-License-Identifier: Apache-2.0
"""Killed at any moment and typed again it ends the same, and next to nothing moves twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from glancekit_site_replication.testing import MIB, Trial, there_and_back

from glancekit.testing import real_glance

pytestmark = [
    pytest.mark.timeout(300),  # each command is a process of its own
    pytest.mark.skipif(real_glance.missing() is not None, reason=str(real_glance.missing())),
]
for needed in ("glancekit_file_store", "glancekit_sqlite_metadata"):
    pytest.importorskip(needed, reason=f"what is configured here needs {needed}")


def test_killed_there_and_back_it_ends_equal(tmp_path: Path) -> None:
    trial = Trial(images=10, kills=2, seed=1, largest=2 * MIB)
    there, back = there_and_back(trial, tmp_path)
    assert (there["images"], back["images"]) == (6, 4)
    assert there["cut"] + back["cut"] > 0
