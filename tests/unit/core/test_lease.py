# SPDX-License-Identifier: Apache-2.0
"""Leases: a process's sign of life, and when it is taken for dead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.lease import HOST, LIFETIME, Lease, is_gone
from glancekit.core.model.image import now


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[MetadataDriver]:
    driver = load_metadata(load_config(overrides={("DEFAULT", "data_dir"): str(tmp_path)}))
    driver.start()
    yield driver
    driver.close()


def alive(metadata: MetadataDriver, *, ahead: timedelta = timedelta(0)) -> frozenset[str]:
    with metadata.unit_of_work(read_only=True) as work:
        return work.leases.holders(alive_at=now() + ahead)


def test_a_lease_shows_while_it_is_held(metadata: MetadataDriver) -> None:
    lease = Lease(metadata)
    lease.start()
    assert alive(metadata) == {lease.holder}
    assert alive(metadata, ahead=LIFETIME) == frozenset()
    lease.stop()
    assert alive(metadata) == frozenset()


def test_every_lease_is_another(metadata: MetadataDriver) -> None:
    assert Lease(metadata).holder != Lease(metadata).holder


def test_who_is_gone_is_known_of_this_host_only(metadata: MetadataDriver) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert is_gone(f"{HOST}/{ended.pid}/abc")
    assert not is_gone(Lease(metadata).holder)
    assert not is_gone(f"another-host/{ended.pid}/abc")
    assert not is_gone("not a holder's name")
