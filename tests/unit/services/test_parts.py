# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts that nobody goes on with, that are begun twice at a time, or end in a kill."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from glancekit.core.errors import Conflict, ImageGone, InUse, NotFound, OffsetMismatch
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.services import images, parts
from glancekit.services.parts import Part, Progress
from glancekit.services.recovery import clear_staging, explain, recover
from glancekit.services.staging import DATA, PARTIAL, Staging
from glancekit.services.world import Importing, World

BYTES = b"0123456789"


@pytest.fixture
def world(world: World) -> World:
    return replace(world, importing=Importing(methods={"glance-direct": None}))


def send(world: World, caller: Identity, image: Image, first: int, end: int) -> int:
    part = Part(first=first, last=end - 1, total=len(BYTES))
    return parts.stage_part(
        world, caller, image.id, IteratorStream(iter([BYTES[first:end]])), part
    )


def row_of(world: World, image: Image) -> Location | None:
    with world.metadata.unit_of_work(read_only=True) as work:
        return next(iter(work.locations.of_image(image.id)), None)


def status_of(world: World, image: Image) -> ImageStatus:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.images.get(image.id).status


def expire(world: World, image: Image) -> None:
    """Let the hours pass: the lease runs out."""
    row = row_of(world, image)
    assert row is not None
    assert row.holder is not None
    with world.metadata.unit_of_work() as work:
        work.leases.release(row.holder)
        work.commit()


def test_the_reaper_waits_for_the_next_part_and_not_for_ever(
    world: World, member: Identity, queued: Image
) -> None:
    send(world, member, queued, 0, 4)
    assert recover(world) == 0
    assert clear_staging(world) == 0
    (sentence,) = explain(world)
    assert "stays; parts/" in sentence
    expire(world, queued)
    assert recover(world) == 1
    assert status_of(world, queued) is ImageStatus.QUEUED
    assert row_of(world, queued) is None
    assert not Staging(world.staging).of(queued.id).exists()
    with pytest.raises(NotFound):
        parts.progress(world, member, queued.id)
    with pytest.raises(OffsetMismatch) as caught:
        send(world, member, queued, 4, 8)
    assert caught.value.offset == 0
    assert send(world, member, queued, 0, 4) == 4


def test_a_part_keeps_it_alive(world: World, member: Identity, queued: Image) -> None:
    send(world, member, queued, 0, 4)
    expire(world, queued)
    send(world, member, queued, 4, 6)
    assert recover(world) == 0


def test_a_deleted_image_s_parts_go(world: World, member: Identity, queued: Image) -> None:
    send(world, member, queued, 0, 4)
    images.delete(world, member, queued.id)
    assert recover(world) == 1
    assert not Staging(world.staging).of(queued.id).exists()


class Slow(ByteStream):
    """Gives some bytes, then waits until it is told to go on."""

    def __init__(self, first: bytes, rest: bytes) -> None:
        self._chunks = [first, rest]
        self.has_begun, self.goes_on = threading.Event(), threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        if len(self._chunks) == 1:
            self.has_begun.set()
            assert self.goes_on.wait(30)
        return self._chunks.pop(0) if self._chunks else b""

    def close(self) -> None:
        pass


def test_one_of_two_writers_is_refused(world: World, member: Identity, queued: Image) -> None:
    source = Slow(BYTES[:3], BYTES[3:6])
    came: list[Any] = []

    def go() -> None:
        part = Part(first=0, last=5, total=len(BYTES))
        came.append(parts.stage_part(world, member, queued.id, source, part))

    thread = threading.Thread(target=go)
    thread.start()
    assert source.has_begun.wait(30)
    with pytest.raises(InUse):
        send(world, member, queued, 0, 4)
    source.goes_on.set()
    thread.join(30)
    assert came == [6]
    assert send(world, member, queued, 6, 10) == 10
    assert (Staging(world.staging).of(queued.id) / DATA).read_bytes() == BYTES


def test_an_image_deleted_meanwhile(world: World, member: Identity, queued: Image) -> None:
    source = Slow(BYTES[:3], BYTES[3:])
    failed: list[BaseException] = []

    def go() -> None:
        try:
            part = Part(first=0, last=9, total=len(BYTES))
            parts.stage_part(world, member, queued.id, source, part)
        except ImageGone as error:
            failed.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    assert source.has_begun.wait(30)
    images.delete(world, member, queued.id)
    source.goes_on.set()
    thread.join(30)
    assert [type(error) for error in failed] == [ImageGone]


def test_bytes_behind_the_durable_ones_do_not_count(
    world: World, member: Identity, queued: Image
) -> None:
    send(world, member, queued, 0, 4)
    partial = Staging(world.staging).of(queued.id) / PARTIAL
    partial.write_bytes(BYTES[:4] + b"garbage that a power cut may leave")
    assert parts.progress(world, member, queued.id) == Progress(offset=4, size=10)
    send(world, member, queued, 4, 10)
    assert (partial.parent / DATA).read_bytes() == BYTES


def test_a_lost_file_begins_anew(world: World, member: Identity, queued: Image) -> None:
    send(world, member, queued, 0, 4)
    Staging(world.staging).remove(queued.id)
    assert parts.progress(world, member, queued.id).offset == 0
    with pytest.raises(OffsetMismatch):
        send(world, member, queued, 4, 10)
    assert send(world, member, queued, 0, 10) == 10


def test_another_host_s_parts_are_not_gone_on_with(
    world: World, member: Identity, queued: Image
) -> None:
    send(world, member, queued, 0, 4)
    place = Staging(world.staging).folder / ".place"
    place.write_text("another")
    with pytest.raises(Conflict, match="is on host"):
        send(world, member, queued, 4, 10)
    with pytest.raises(Conflict, match="is on host"):
        parts.progress(world, member, queued.id)
