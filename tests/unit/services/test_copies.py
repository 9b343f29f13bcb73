# SPDX-License-Identifier: Apache-2.0
"""Which copy of an image is read: the order, what is passed over, and going on from another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from glancekit.core.breaker import Breaker
from glancekit.core.contracts.store import SupportsDirectUrl
from glancekit.core.errors import (
    BlobNotFound,
    Forbidden,
    Invalid,
    StoreDenied,
    StoreError,
    StoreFailed,
    StoreNotFound,
    StoreReadOnly,
    StoreUnavailable,
)
from glancekit.core.model.changes import ByteRange, NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus
from glancekit.core.stores import DirectTransfer, Store, Stores
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.services import data, health, images
from glancekit.services.access import Access
from glancekit.services.copies import Download, Redirect
from glancekit.services.world import World
from glancekit.testing.faults import BrokenStream, FaultyStore
from glancekit.testing.store import sample

DATA = sample(300_077)
NAMES = ("a", "b", "c")


class NoChoice:
    """An operator's rules: nobody says which store data is to come from."""

    changed = frozenset({"download_from_store"})

    def decide(self, name: str, credentials: object, target: object) -> bool:
        return False

    def knows(self, name: str) -> bool:
        return name in self.changed


def away() -> StoreUnavailable:
    """Each store has its own: an error is stamped with the store that it comes from."""
    return StoreUnavailable("no route to host")


class Breaking(FaultyStore):
    """Gives so many bytes of each stream, if ``breaks_at`` says so, and then none."""

    breaks_at: int | None = None
    told: int | None = len(DATA)

    def open(self, location: Location) -> ByteStream:
        return self._breaking(super().open(location))

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        return self._breaking(super().open_range(location, offset, length))

    def size(self, location: Location) -> int | None:
        super().size(location)
        return self.told

    def _breaking(self, source: ByteStream) -> ByteStream:
        if self.breaks_at is None:
            return source
        return BrokenStream(b"".join(source), at=self.breaks_at, error=away())


class Signing(Breaking, SupportsDirectUrl):
    """Has URLs for its data."""

    scheme = "https"

    def direct_url(self, location: Location, ttl: int) -> str:
        self._meet("direct_url")
        return f"{self.scheme}://objects.example/{location.url.rpartition('/')[2]}?for={ttl}"


@pytest.fixture
def drivers() -> Iterator[dict[str, Signing]]:
    drivers = {name: Signing(name=name) for name in NAMES}
    yield drivers
    for driver in drivers.values():
        driver.heal()


Mount = Callable[..., World]


@pytest.fixture
def mount(world: World, drivers: dict[str, Signing]) -> Mount:
    """Put the three stores into the world; ``a`` is the heaviest. Words for one are by its id."""

    def mount(**settings: dict[str, object]) -> World:
        stores = [
            Store(
                name,
                drivers[name],
                weight=10 - number,
                is_default=name == "a",
                breaker=Breaker(failures=1, pause=60),
                **settings.get(name, {}),
            )
            for number, name in enumerate(NAMES)
        ]
        return replace(world, stores=Stores(stores, "a"))

    return mount


def test_a_copy_whose_file_hangs_in_being_opened_costs_its_time_out(
    mount: Mount, drivers: dict[str, Signing], image: Image, member: Identity, tmp_path: Path
) -> None:
    """Not a thread of the server for good; the next copy is read."""
    os.mkfifo(tmp_path / "pipe")
    drivers["a"].local_path = lambda location: tmp_path / "pipe"  # type: ignore[method-assign]
    world = mount(a={"deadline": 0.3})
    assert read(data.download(world, member, image.id, None)) == DATA
    assert not world.stores.get("a").is_available, "its silence was heard"
    os.close(os.open(tmp_path / "pipe", os.O_WRONLY))


@pytest.fixture
def image(mount: Mount, drivers: dict[str, Signing], member: Identity) -> Image:
    """An active image with a copy in each store."""
    world = mount()
    queued = images.create(world, member, NewImage(disk_format="raw", container_format="bare"))
    source = IteratorStream(iter([DATA]))
    data.upload(world, member, queued.id, source, size=len(DATA), store="a")
    with world.metadata.unit_of_work() as work:
        for name in ("b", "c"):
            drivers[name].blobs[queued.id] = DATA
            url = f"memory://{name}/{queued.id}"
            work.locations.add(Location(url=url, store=name, image_id=queued.id))
        work.commit()
        return work.images.get(queued.id)


def read(found: Download) -> bytes:
    assert found.stream is not None
    with found.stream as stream:
        return b"".join(stream)


def readers(drivers: dict[str, Signing]) -> list[str]:
    """Return the stores that were asked for bytes, and forget it."""
    asked = [name for name, driver in drivers.items() if {"open", "open_range"} & {*driver.calls}]
    for driver in drivers.values():
        driver.calls.clear()
    return asked


# -- the order


def test_the_heaviest_is_read(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    readers(drivers)
    assert read(data.download(mount(), member, image.id, None)) == DATA
    assert readers(drivers) == ["a"]


def test_what_is_being_drained_is_read_when_nothing_else_can_be(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    world = mount(a={"draining": True})
    readers(drivers)
    assert read(data.download(world, member, image.id, None)) == DATA
    assert readers(drivers) == ["b"]
    for name in ("b", "c"):
        drivers[name].fail("open", BlobNotFound())
    assert read(data.download(world, member, image.id, None)) == DATA
    assert readers(drivers) == ["a", "b", "c"]


def test_what_the_caller_would_have_first_is_read_first(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    world = mount(c={"draining": True})
    readers(drivers)
    for preferred, read_from in ((["c", "b"], "c"), (["b", "b", "c"], "b"), (["c"], "c")):
        found = data.download(world, member, image.id, ByteRange(0, 1), prefer=preferred)
        read(found)
        assert readers(drivers) == [read_from]
    drivers["c"].fail("open", BlobNotFound())
    assert read(data.download(world, member, image.id, None, prefer=["c"])) == DATA
    assert readers(drivers) == ["a", "c"]


def test_what_the_caller_would_have_must_be_a_store_and_allowed(
    mount: Mount, member: Identity, image: Image
) -> None:
    with pytest.raises(Invalid, match="no store 'z' here"):
        data.download(mount(), member, image.id, None, prefer=["a", "z"])
    world = replace(mount(), access=Access(NoChoice))
    with pytest.raises(Forbidden, match="download from store"):
        data.download(world, member, image.id, None, prefer=["a"])
    assert data.download(world, member, image.id, None).has_data


def test_what_does_not_answer_is_passed_over_without_asking(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    world = mount(b={"draining": True})
    drivers["a"].fail("local_path", away())
    assert read(data.download(world, member, image.id, None)) == DATA
    drivers["a"].calls.clear()
    assert read(data.download(world, member, image.id, None)) == DATA
    assert drivers["a"].calls == []
    (part,) = [part for part in health.check(world).parts if part.name == "store:a"]
    assert (part.ok, part.breaker) == (False, "open")
    assert "no route to host" in part.detail
    assert drivers["a"].calls == []


def test_where_nothing_answers_it_is_told_when_to_ask_again(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    world = mount()
    for name in ("a", "b"):
        drivers[name].fail("local_path", away())
    drivers["c"].fail("local_path", BlobNotFound())
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as refused:
            data.download(world, member, image.id, None)
    assert refused.value.retry_after >= 1


def test_a_store_that_is_gone_from_the_configuration_is_passed_over(
    mount: Mount, member: Identity, image: Image
) -> None:
    world = mount()
    left = replace(world, stores=Stores([world.stores.get("c")], "c"))
    assert read(data.download(left, member, image.id, None)) == DATA
    with world.metadata.unit_of_work() as work:
        for copy in image.locations[1:]:
            assert copy.id is not None
            work.locations.remove(copy.id)
        work.commit()
    with pytest.raises(StoreNotFound, match="no store 'a'"):
        data.download(left, member, image.id, None)


# -- nothing new is written


@pytest.mark.parametrize("chosen", [None, "a"])
def test_nothing_is_added_where_it_is_drained_or_away(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image, chosen: str | None
) -> None:
    queued = images.create(mount(), member, NewImage(disk_format="raw", container_format="bare"))
    world = mount(a={"draining": True})
    with pytest.raises(StoreReadOnly, match="being drained"):
        data.upload(world, member, queued.id, stream_of(b"x"), size=1, store=chosen)
    world = mount()
    drivers["a"].fail("size", away())
    with pytest.raises(StoreUnavailable):
        world.stores.get("a").size(image.locations[0])
    drivers["a"].calls.clear()
    with pytest.raises(StoreUnavailable) as refused:
        data.upload(world, member, queued.id, stream_of(b"x"), size=1, store=chosen)
    assert refused.value.retry_after >= 1
    assert drivers["a"].calls == []
    assert images.show(world, member, queued.id).status is ImageStatus.QUEUED
    with world.metadata.unit_of_work(read_only=True) as work:
        assert list(work.locations.of_image(queued.id)) == []


def stream_of(content: bytes) -> ByteStream:
    return IteratorStream(iter([content]))


# -- going on from another copy


@pytest.mark.parametrize("breaks_at", [0, 1, 100_000, len(DATA) - 1])
@pytest.mark.parametrize("wanted", [None, ByteRange(5, len(DATA) - 1)])
def test_a_copy_that_fails_midway_is_gone_on_from_the_next(
    mount: Mount,
    drivers: dict[str, Signing],
    member: Identity,
    image: Image,
    breaks_at: int,
    wanted: ByteRange | None,
) -> None:
    drivers["a"].breaks_at = breaks_at
    drivers["b"].breaks_at = 3
    found = data.download(mount(), member, image.id, wanted)
    assert read(found) == (DATA if wanted is None else DATA[5:])


def test_reading_in_one_go_goes_on_too(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    drivers["a"].breaks_at = 100
    stream = data.download(mount(), member, image.id, None).stream
    assert stream is not None
    assert stream.read(50) == DATA[:50]
    taken = bytearray(DATA[:50])
    while chunk := stream.read():
        taken += chunk
    assert taken == DATA


@pytest.mark.parametrize("told", [len(DATA) - 1, len(DATA) + 1, None])
def test_a_copy_that_is_not_known_to_be_as_long_is_not_gone_on_from(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image, told: int | None
) -> None:
    drivers["a"].breaks_at = 100_000
    drivers["b"].told = told
    drivers["b"].blobs[image.id] = b"\0" * len(DATA)
    assert read(data.download(mount(), member, image.id, None)) == DATA


def test_when_all_fail_the_download_ends_in_the_first_failure(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    for number, driver in enumerate(drivers.values()):
        driver.breaks_at = 10 + number
    stream = data.download(mount(), member, image.id, None).stream
    assert stream is not None
    taken = bytearray()
    with pytest.raises(StoreUnavailable), stream:
        while chunk := stream.read(7):
            taken += chunk
    assert taken == DATA[: len(taken)]
    assert len(taken) == 10 + 11 + 12


def test_a_copy_that_is_deleted_meanwhile_is_no_hindrance(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    drivers["a"].breaks_at = 10
    found = data.download(mount(), member, image.id, None)
    del drivers["b"].blobs[image.id]
    assert read(found) == DATA


# -- sent to the store itself

ASKED = {"direct_transfer": DirectTransfer.ASKED, "direct_transfer_ttl": 42}
ALWAYS = {"direct_transfer": DirectTransfer.ALWAYS, "direct_transfer_ttl": 42}


@pytest.mark.parametrize(
    ("settings", "redirect", "is_sent"),
    [
        ({}, Redirect.ASKED, False),
        (ASKED, Redirect.ASKED, True),
        (ASKED, Redirect.ACCEPTED, False),
        (ASKED, Redirect.NEVER, False),
        (ALWAYS, Redirect.ASKED, True),
        (ALWAYS, Redirect.ACCEPTED, True),
        (ALWAYS, Redirect.NEVER, False),
    ],
)
def test_who_is_sent_to_the_store(
    mount: Mount,
    member: Identity,
    image: Image,
    settings: dict[str, object],
    redirect: Redirect,
    is_sent: bool,
) -> None:
    for wanted in (None, ByteRange(1, 2)):
        found = data.download(mount(a=settings), member, image.id, wanted, redirect=redirect)
        assert found.has_data
        url = f"https://objects.example/{image.id}?for=42"
        assert found.elsewhere == (url if is_sent else None)
        assert (found.stream is None) is is_sent


def sent_to(world: World, caller: Identity, image: Image) -> str | None:
    return data.download(world, caller, image.id, None, redirect=Redirect.ASKED).elsewhere


def test_a_url_of_another_kind_is_for_no_client(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    drivers["a"].scheme = "rbd"
    assert sent_to(mount(a=ALWAYS), member, image) is None


def test_nobody_is_sent_to_a_deactivated_image(
    mount: Mount, admin: Identity, image: Image
) -> None:
    world = mount(a=ALWAYS)
    with world.metadata.unit_of_work() as work:
        off = replace(image, status=ImageStatus.DEACTIVATED)
        work.images.save(off, expect_status={ImageStatus.ACTIVE})
        work.commit()
    assert sent_to(world, admin, image) is None


@pytest.mark.parametrize("told", [None, 3])
def test_nobody_is_sent_to_a_copy_that_is_not_whole(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image, told: int | None
) -> None:
    drivers["a"].told = told
    found = data.download(mount(a=ALWAYS), member, image.id, None, redirect=Redirect.ASKED)
    assert found.elsewhere is None
    assert read(found) == DATA


def test_nobody_is_sent_to_a_copy_that_is_not_there(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    del drivers["a"].blobs[image.id]
    world = mount(a=ALWAYS, b=ALWAYS)
    drivers["b"].scheme = "http"
    assert sent_to(world, member, image) == f"http://objects.example/{image.id}?for=42"


def test_a_url_is_signed_after_the_store_was_asked(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image
) -> None:
    """By then a driver whose credentials have come to their end has others."""
    drivers["a"].calls.clear()
    assert sent_to(mount(a=ALWAYS), member, image) is not None
    assert drivers["a"].calls == ["size", "direct_url"]


@pytest.mark.parametrize("error", [StoreDenied("no key"), StoreFailed("odd")])
def test_a_store_that_cannot_sign_serves_through_us(
    mount: Mount, drivers: dict[str, Signing], member: Identity, image: Image, error: StoreError
) -> None:
    drivers["a"].fail("direct_url", error)
    found = data.download(mount(a=ALWAYS), member, image.id, None, redirect=Redirect.ASKED)
    assert read(found) == DATA
