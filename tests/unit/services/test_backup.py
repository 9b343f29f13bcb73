# SPDX-License-Identifier: Apache-2.0
"""Dumps: whole or refused, the same in every backend. Files and packing are the CLI's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from glancekit.core.errors import Conflict, Duplicate, Invalid
from glancekit.core.model.image import (
    Finding,
    Image,
    Location,
    Member,
    MemberStatus,
    Tombstone,
    Visibility,
    now,
)
from glancekit.core.model.listing import ImageQuery
from glancekit.core.model.metadef import (
    Association,
    Definition,
    DefinitionKind,
    Namespace,
    ResourceType,
)
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import Task, TaskStatus, TaskType
from glancekit.core.storage_use import StorageUse
from glancekit.services.backup.dumping import BATCH, dump
from glancekit.services.backup.loading import load
from glancekit.testing.memory_metadata import MemoryMetadata

MORNING = now() - timedelta(days=3)
TIMES = {"created_at": MORNING, "updated_at": MORNING + timedelta(microseconds=1)}


def untold(kind: str) -> None:
    """Tell nobody."""


def full() -> MemoryMetadata:
    """Return a backend with something of each kind."""
    metadata = MemoryMetadata()
    with metadata.unit_of_work() as work:
        for number, visibility in enumerate([*Visibility] * 2):
            image = Image(
                id=f"i{number}",
                owner="me" if number else None,
                status=ImageStatus.ACTIVE,
                visibility=visibility,
                name="Grüße 世界",
                size=5,
                os_hidden=number > 3,
                properties={"a": "1"},
                tags=frozenset({"y", "x"}),
                version=number,
                **TIMES,
            )
            work.images.add(image)
            for store, status in (("s", LocationStatus.ACTIVE), ("t", LocationStatus.WRITING)):
                place = Location(
                    url=f"file:///{number}",
                    store=store,
                    status=status,
                    audited_at=MORNING,
                    verified_at=MORNING,
                    finding=Finding.BAD,
                    reason="ü",
                )
                work.locations.add(
                    Location(**{**fields(place), "image_id": image.id, "metadata": {"m": [1]}})
                )
            member = Member(image_id=image.id, project_id="p", status=MemberStatus.REJECTED)
            work.members.add(member)
        work.images.bury(Tombstone(id="gone", owner="me", deleted_at=MORNING))
        waiting = Location(
            url="u", store="s", image_id="gone", status=LocationStatus.PENDING_DELETE
        )
        work.locations.add(waiting)
        task = Task(
            id="t",
            type=TaskType.IMPORT,
            status=TaskStatus.FAILURE,
            input={"a": [1]},
            expires_at=MORNING,
            **TIMES,
        )
        work.tasks.add(task)
        work.metadefs.add(Namespace(name="n", owner="me", enforced=True, **TIMES))
        work.metadefs.associate("n", Association(resource_type="r", prefix="p_", **TIMES))
        work.metadefs.know(ResourceType(name="never associated", **TIMES))
        for kind in DefinitionKind:
            definition = Definition(kind=kind, name="d", content={"type": "string"}, **TIMES)
            work.metadefs.define("n", definition)
        day = datetime(2024, 2, 29, tzinfo=UTC)
        for store in ("s", "t"):
            work.ledger.add(
                StorageUse(day=day, project_id="me", store=store, byte_hours=1 << 62, rest=9)
            )
        work.commit()
    return metadata


def fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def lines_of(metadata: MemoryMetadata) -> list[bytes]:
    lines: list[bytes] = []
    dump(metadata, lines.append, untold)
    return lines


def records_of(lines: list[bytes]) -> list[bytes]:
    """Return a dump's records but for what its images took lately, which they go on to do.

    The header has the time, too, and the end a digest.
    """
    use, long_ago = b'{"storage_use":{"day":"', b'{"storage_use":{"day":"2024'
    return [line for line in lines[1:-1] if line.startswith(long_ago) or use not in line]


def is_empty(metadata: MemoryMetadata) -> bool:
    with metadata.unit_of_work(read_only=True) as work:
        images = work.images.find(ImageQuery(all_visibilities=True, os_hidden=None)).images
        return not images and not work.images.buried(limit=1)


def test_everything_comes_back_as_it_was() -> None:
    lines = lines_of(full())
    other = MemoryMetadata()
    kinds: list[str] = []
    counts = load(other, lines, kinds.append)
    assert records_of(lines_of(other)) == records_of(lines)
    assert b"byte_hours" in records_of(lines)[-1]
    uses = counts["storage_use"]
    assert uses > 1
    assert counts == {
        "storage_use": uses,
        "image": 8,
        "deleted_image": 1,
        "task": 1,
        "resource_type": 2,
        "namespace": 1,
    }
    assert len(kinds) == 13 + uses
    with other.unit_of_work() as work:
        assert work.metadefs.namespace("n").enforced
        assert len(work.locations.found(Finding.BAD, limit=99)) == 16
        assert work.quotas.usage("me").images == 7
        with pytest.raises(Duplicate):
            work.images.add(Image(id="gone", owner="me"))


def test_it_is_as_of_one_moment() -> None:
    metadata = full()
    lines: list[bytes] = []

    def write(line: bytes) -> None:
        if len(lines) == 3:
            with metadata.unit_of_work() as work:
                work.images.add(Image(id="later", owner="me"))
                work.images.bury(Tombstone(id="buried later", owner="me"))
                work.commit()
        lines.append(line)

    dump(metadata, write, untold)
    assert not any(b"later" in line for line in lines)


def test_more_than_one_batch() -> None:
    metadata = MemoryMetadata()
    with metadata.unit_of_work() as work:
        for number in range(BATCH + 1):
            work.images.add(Image(id=f"{number}", owner="me", **TIMES))
            work.images.bury(Tombstone(id=f"gone {number}", owner="me"))
            work.tasks.add(Task(id=f"{number}", type=TaskType.IMPORT, **TIMES))
        work.commit()
    counts = load(MemoryMetadata(), lines_of(metadata), untold)
    assert counts == dict.fromkeys(("image", "deleted_image", "task"), BATCH + 1)


def test_only_an_empty_backend_is_loaded_into() -> None:
    lines = lines_of(full())
    used = MemoryMetadata()
    with used.unit_of_work() as work:
        work.images.bury(Tombstone(id="other", owner=None))
        work.commit()
    with pytest.raises(Conflict, match="empty one only"):
        load(used, lines, untold)
    load(MemoryMetadata(), lines, untold)


def drop_the_end(lines: Sequence[bytes]) -> list[bytes]:
    return list(lines[:-1])


def drop_a_record(lines: Sequence[bytes]) -> list[bytes]:
    return [*lines[:3], *lines[4:]]


def change_a_byte(lines: Sequence[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b'"size":5', b'"size":6'), *lines[3:]]


def go_on(lines: Sequence[bytes]) -> list[bytes]:
    return [*lines, lines[1]]


def cut_a_line(lines: Sequence[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2][:50]]


def drop_the_header(lines: Sequence[bytes]) -> list[bytes]:
    return list(lines[1:])


def take_nothing(lines: Sequence[bytes]) -> list[bytes]:
    return []


def a_later_format(lines: Sequence[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]]


def a_later_field(lines: Sequence[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"owner"', b'"held_by"'), *lines[2:]]


def a_later_status(lines: Sequence[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"active"', b'"frozen"', 1), *lines[2:]]


def a_later_kind(lines: Sequence[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'{"image"', b'{"picture"', 1), *lines[2:]]


def a_record_of_nothing(lines: Sequence[bytes]) -> list[bytes]:
    return [lines[0], orjson.dumps({"image": 5}), *lines[1:]]


@pytest.mark.parametrize(
    "damage",
    [
        drop_the_end,
        drop_a_record,
        change_a_byte,
        go_on,
        cut_a_line,
        drop_the_header,
        take_nothing,
        a_later_format,
        a_later_field,
        a_later_status,
        a_later_kind,
        a_record_of_nothing,
    ],
)
def test_what_is_damaged_leaves_nothing(
    damage: Callable[[Sequence[bytes]], list[bytes]],
) -> None:
    lines = lines_of(full())
    damaged = damage(lines)
    assert damaged != lines
    other = MemoryMetadata()
    with pytest.raises(Invalid):
        load(other, damaged, untold)
    assert is_empty(other)
