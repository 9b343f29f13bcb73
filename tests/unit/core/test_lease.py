# SPDX-License-Identifier: Apache-2.0
"""Leases: a process's sign of life, and when it is taken for dead."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import Conflict, MetadataUnavailable
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


def hung(release: threading.Event) -> None:
    assert release.wait(60)


def failing() -> None:
    raise Conflict("it was changed meanwhile")


@pytest.mark.parametrize("chore", [hung, failing])
def test_a_chore_that_fails_or_hangs_costs_no_lease(
    metadata: MetadataDriver, chore: Callable[..., None]
) -> None:
    release, done = threading.Event(), threading.Event()
    lease = Lease(metadata, lifetime=timedelta(seconds=3), renewal=0.05)
    lease.start()
    lease.later(partial(hung, release) if chore is hung else failing)
    time.sleep(4)  # it would have run out
    assert alive(metadata) == {lease.holder}
    release.set()
    lease.later(done.set)
    assert done.wait(30)
    lease.stop()


def test_a_chore_waits_for_a_database_that_is_away(metadata: MetadataDriver) -> None:
    lease = Lease(metadata)
    times: list[int] = []

    def chore() -> None:
        times.append(1)
        if len(times) < 3:
            raise MetadataUnavailable("away")

    lease.later(chore)
    for _ in range(4):
        lease._do_chores()
    assert len(times) == 3


def test_every_lease_is_another(metadata: MetadataDriver) -> None:
    assert Lease(metadata).holder != Lease(metadata).holder


def test_who_is_gone_is_known_of_this_host_only(metadata: MetadataDriver) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert is_gone(f"{HOST}/{ended.pid}/abc")
    assert not is_gone(Lease(metadata).holder)
    assert not is_gone(f"another-host/{ended.pid}/abc")
    assert not is_gone("not a holder's name")
