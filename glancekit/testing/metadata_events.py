# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about events; ``MetadataConformance`` has it in it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.model.events import Event
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.metadata_samples import MORNING, UNICODE


class EventConformance:
    """What every metadata driver promises about the outbox of events."""

    def test_m30_events_come_back_in_order(self, driver: MetadataDriver) -> None:
        """M30: whole, positions rising, behind a position, as many as asked for."""
        full = Event(
            type="image.create",
            subject="s",
            project_id="p",
            user_id="u",
            request_id="r",
            payload={"text": UNICODE, "deep": {"list": [1, 2.5, None, True]}},
            at=MORNING,
        )
        with driver.unit_of_work() as work:
            assert work.events.last_position() == 0
            for event in (full, Event(type="b", subject="2"), Event(type="c", subject="3")):
                work.events.append(event)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            found = list(work.events.after(0, limit=10))
            assert [event.type for event in found] == ["image.create", "b", "c"]
            positions = [event.position or 0 for event in found]
            assert positions == sorted(set(positions))
            assert positions[0] > 0
            assert found[0] == replace(full, position=positions[0])
            assert work.events.last_position() == positions[-1]
            assert list(work.events.after(positions[0], limit=1)) == [found[1]]
            assert list(work.events.after(positions[2], limit=1)) == []

    def test_m31_cursors_and_pruning(self, driver: MetadataDriver) -> None:
        """M31: what a known listener was not told stays; positions are never used again."""
        with driver.unit_of_work() as work:
            for day in range(4):
                at = MORNING + timedelta(days=day)
                work.events.append(Event(type=f"{day}", subject="s", at=at))
            work.commit()
        with driver.unit_of_work() as work:
            first, second, _, fourth = (
                event.position or 0 for event in work.events.after(0, limit=9)
            )
            assert work.events.cursor("slow") == 0
            work.events.advance("slow", second)
            work.events.advance("slow", first)
            work.events.advance("quick", fourth)
            assert (work.events.cursor("slow"), work.events.cursor("quick")) == (second, fourth)
            assert work.events.prune(MORNING + timedelta(days=1)) == 1
            assert work.events.prune(MORNING + timedelta(days=3, hours=1)) == 1
            work.events.advance("slow", fourth)
            assert work.events.prune(MORNING + timedelta(days=3)) == 1
            assert [event.type for event in work.events.after(0, limit=9)] == ["3"]
            assert work.events.prune(MORNING + timedelta(days=9)) == 1
            assert work.events.last_position() == fourth
            work.events.append(Event(type="next", subject="s"))
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            assert work.events.last_position() > fourth

    def test_m42_only_retained_listeners_hold_events_back(self, driver: MetadataDriver) -> None:
        """M42: the cursors of all others are forgotten."""
        with driver.unit_of_work() as work:
            for number in range(3):
                work.events.append(Event(type=f"{number}", subject="s", at=MORNING))
            last = work.events.last_position()
            work.events.advance("gone", 1)
            work.events.advance("here", last)
            work.commit()
        with driver.unit_of_work() as work:
            work.events.retain({"here", "new"})
            assert (work.events.cursor("gone"), work.events.cursor("here")) == (0, last)
            assert work.events.prune(MORNING + timedelta(days=1)) == 3
            work.events.retain(())
            assert work.events.cursor("here") == 0
            assert work.events.last_position() == last

    def test_m32_no_event_shows_behind_a_reader(self, driver: MetadataDriver) -> None:
        """M32: whoever reads on from the last position it saw misses no event of any writer."""
        writers, each = 6, 15
        seen: list[str] = []

        def write(writer: int) -> None:
            for number in range(each):
                with driver.unit_of_work() as work:
                    work.events.append(Event(type="x", subject=f"{writer}-{number}"))
                    work.commit()

        def read() -> None:
            position = 0
            while len(seen) < writers * each:
                with driver.unit_of_work(read_only=True) as work:
                    for event in work.events.after(position, limit=7):
                        seen.append(event.subject)
                        position = event.position or 0
                if stop.is_set() and not _is_more(driver, position):
                    return

        stop = threading.Event()
        reader = threading.Thread(target=read)
        reader.start()
        try:
            deeds.at_once(*(lambda writer=writer: write(writer) for writer in range(writers)))
        finally:
            stop.set()
            reader.join()
        assert len(set(seen)) == len(seen) == writers * each


def _is_more(driver: MetadataDriver, position: int) -> bool:
    with driver.unit_of_work(read_only=True) as work:
        return work.events.last_position() > position
