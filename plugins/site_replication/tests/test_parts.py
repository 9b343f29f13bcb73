# SPDX-License-Identifier: Apache-2.0
"""Large images to a glancekit: whatever breaks in an upload, at most a part is sent twice."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from glancekit_site_replication import sending
from glancekit_site_replication.running import Report
from glancekit_site_replication.site import Site
from glancekit_site_replication.testing import (
    MIB,
    Place,
    Trial,
    glancekit_site,
    run,
    words_of,
)

from glancekit.testing.wire import BreakingWire

Sync = Callable[..., Report]
States = Callable[[Report], dict[str, Any]]
SiteOf = Callable[[str, Place], Site]

PART = MIB // 2
HEADS = 64 << 10
"""More than all else that is asked in one run, and the heads of the parts."""


def port_of(place: Place) -> int:
    port = urlsplit(place.url).port
    assert port is not None
    return port


def failures(report: Report) -> list[str]:
    return [str(outcome.error) for outcome in report.outcomes if outcome.error]


@pytest.mark.parametrize("seed", range(4))
def test_no_byte_is_sent_twice_beyond_one_part_of_each_cut(
    north: Place, south: Place, sync: Sync, states: States, tag: str, seed: int
) -> None:
    chance = random.Random(seed)
    data = chance.randbytes(6 * MIB + 11)
    image_id = north.make(data, tags=[tag])
    cuts = [chance.randrange(1000, MIB) for _ in range(5)]
    with BreakingWire(port_of(south), cuts) as wire:
        target = Place(wire.url)
        reports = [sync(("north", north), ("south", target), part=PART)]
        while failures(reports[-1]) and len(reports) < 8:  # a cut may hit another request
            reports.append(sync(("north", north), ("south", target), part=PART))
    assert failures(reports[-1]) == []
    assert wire.broken == len(cuts)
    assert wire.sent <= len(data) + len(cuts) * PART + HEADS * len(reports)
    assert south.data(image_id) == data
    shown = south.show(image_id)
    assert shown["os_hash_value"] == north.show(image_id)["os_hash_value"]
    assert set(states(sync(("north", north), ("south", south))).values()) == {("same", "")}


@pytest.mark.timeout(300)
def test_killed_there_and_back_it_ends_equal(north: Place, south: Place, tmp_path: Path) -> None:
    trial = Trial(images=6, kills=3, seed=5, largest=6 * MIB, part=PART)
    names = ("north", "south")
    trial.fill(north, 4, 0)
    trial.fill(south, 2, 4)
    there = trial.bring(north, south, tmp_path / "spool", names, parallel=2).judge(trial)
    back = trial.bring(south, north, tmp_path / "spool", names[::-1], parallel=2).judge(trial)
    assert there["cut"] + back["cut"] > 0
    done = run(
        *("compare", north.url, south.url, *words_of(north, south), "--members"),
        *("--source-name", "north", "--target-name", "south"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for image_id in north.images():
        assert north.data(image_id) == south.data(image_id)


def test_a_run_goes_on_with_what_another_one_staged(
    north: Place, south: Place, sync: Sync, site_of: SiteOf, tag: str, tmp_path: Path
) -> None:
    data = os.urandom(3 * MIB)
    half, whole, imported = (north.make(data, tags=[tag]) for _ in range(3))
    for image_id, count in ((half, MIB), (whole, 3 * MIB), (imported, 3 * MIB)):
        begin(site_of, north, south, image_id, data[:count], tmp_path)
    site_of("south", south).import_staged(imported)
    with BreakingWire(port_of(south)) as wire:
        report = sync(("north", north), ("south", Place(wire.url)), part=PART)
    assert failures(report) == []
    assert wire.sent <= 2 * MIB + HEADS
    for image_id in (half, whole, imported):
        assert south.data(image_id) == data


def begin(
    site_of: SiteOf, north: Place, south: Place, image_id: str, data: bytes, folder: Path
) -> None:
    """Make a replica of which only some bytes have come."""
    record = north.show(image_id)
    site = site_of("south", south)
    mark = {"glancekit_replica_of": site_of("north", north).name}
    formats = {"disk_format": "raw", "container_format": "bare", "visibility": "private"}
    site.create({"id": image_id, **formats, **mark})
    path = folder / f"{image_id}.first"
    path.write_bytes(data)
    with path.open("rb") as file:
        size = (0, len(data), record["size"])
        assert site.stage(image_id, Body(file, len(data)), size, sending.version_of(record))


class Body:
    """Some bytes of a file, as they are sent."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self.len = size

    def read(self, size: int = -1) -> bytes:
        return bytes(self._file.read(self.len if size < 0 else size))


def test_other_data_on_their_way_are_left_alone(
    north: Place, south: Place, sync: Sync, site_of: SiteOf, tag: str, tmp_path: Path
) -> None:
    image_id = north.make(os.urandom(2 * MIB), tags=[tag])
    site = site_of("south", south)
    begin(site_of, north, south, image_id, b"x" * MIB, tmp_path)
    found = site.staged(image_id)
    assert found is not None
    record = {**north.show(image_id), "os_hash_value": "0" * 128}
    assert not sending.is_begun(site, record)
    with pytest.raises(sending.Clash, match="other data"):
        path = tmp_path / f"{image_id}.first"
        sending.send(site, record, path, part=PART, pace=sending.Pace(), told=lambda *_: None)
    assert site.staged(image_id) == found


def test_where_imports_change_data_it_is_sent_whole(
    north: Place, sync: Sync, tag: str, tmp_path: Path
) -> None:
    pytest.importorskip("glancekit_image_steps")
    config = (
        "[image_import_opts]\nimage_import_plugins = inject_image_metadata\n"
        "[inject_metadata_properties]\ninject = seen:yes\n"
    )
    data = os.urandom(2 * MIB)
    image_id = north.make(data, tags=[tag])
    with glancekit_site(tmp_path / "east", config) as east:
        assert failures(sync(("north", north), ("east", east), part=PART)) == []
        assert east.data(image_id) == data
        assert "seen" not in east.show(image_id)
