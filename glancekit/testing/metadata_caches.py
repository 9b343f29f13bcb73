# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about caches; ``MetadataConformance`` has it in it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import MetadataError
from glancekit.testing.metadata_samples import MORNING

_MINUTE = timedelta(minutes=1)
_A, _B, _C = (f"0000000{number}-0000-4000-8000-000000000000" for number in range(3))
_ONE, _OTHER = "http://node1:9292", "node2.example"


class CacheConformance:
    """What every metadata driver promises about what hosts say of their caches."""

    def test_m91_a_host_s_word_takes_the_place_of_its_last(self, driver: MetadataDriver) -> None:
        """M91: what it does not say again is gone at once; others' words stay."""
        with driver.unit_of_work() as work:
            work.caches.tell(_ONE, {_A, _B}, MORNING)
            work.caches.tell(_OTHER, [_B], MORNING)
            work.commit()
        with driver.unit_of_work() as work:
            assert list(work.caches.nodes_with(_B, at=MORNING - _MINUTE)) == [_ONE, _OTHER]
            work.caches.tell(_ONE, [_A, _C], MORNING + _MINUTE)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            found = [work.caches.nodes_with(each, at=MORNING - _MINUTE) for each in (_A, _B, _C)]
            assert [list(nodes) for nodes in found] == [[_ONE], [_OTHER], [_ONE]]
            assert list(work.caches.nodes_with(_A, at=MORNING)) == [_ONE]
        with driver.unit_of_work() as work:
            work.caches.tell(_ONE, [], MORNING)
            assert list(work.caches.nodes_with(_A, at=MORNING - _MINUTE)) == []

    def test_m92_a_host_s_word_runs_out(self, driver: MetadataDriver) -> None:
        """M92: it holds until its time, not at it; pruning forgets what ran out before."""
        with driver.unit_of_work() as work:
            work.caches.tell(_ONE, [_A, _B], MORNING)
            work.caches.tell(_OTHER, [_A], MORNING + _MINUTE)
            assert list(work.caches.nodes_with(_A, at=MORNING)) == [_OTHER]
            assert list(work.caches.nodes_with(_A, at=MORNING + _MINUTE)) == []
            assert work.caches.prune(MORNING) == 0
            assert work.caches.prune(MORNING + _MINUTE) == 2
            assert list(work.caches.nodes_with(_A, at=MORNING - _MINUTE)) == [_OTHER]
            work.commit()

    def test_m93_what_hosts_say_is_written_like_all_else(self, driver: MetadataDriver) -> None:
        """M93: it rolls back with its unit of work, and one that only reads says nothing."""
        with driver.unit_of_work() as work:
            work.caches.tell(_ONE, [_A], MORNING)
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.caches.nodes_with(_A, at=MORNING - _MINUTE)) == []
        with pytest.raises(MetadataError), driver.unit_of_work(read_only=True) as work:
            work.caches.tell(_ONE, [_A], MORNING)
        with pytest.raises(MetadataError), driver.unit_of_work(read_only=True) as work:
            work.caches.prune(MORNING)
