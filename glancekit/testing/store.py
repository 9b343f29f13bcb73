# SPDX-License-Identifier: Apache-2.0
"""What a store driver promises, as tests. A vendor inherits them and gives a driver::

    class TestAcme(StoreConformance):
        capabilities = {SupportsWrite, SupportsDelete}

        @pytest.fixture
        def driver(self):
            driver = AcmeStore(options, name="acme")
            yield driver
            driver.close()

The numbers are those of ``docs/reference/contracts/store.rst``.
"""

from __future__ import annotations

import inspect
import json
import random
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest

from glancekit.core.contracts.store import CAPABILITIES
from glancekit.plugin import (
    API_LEVEL,
    CHUNK_SIZE,
    BlobExists,
    BlobInUse,
    BlobNotFound,
    BodyCutShort,
    ByteStream,
    Caller,
    FileStream,
    GlancekitError,
    Location,
    Remnant,
    StoreDriver,
    StoreUnavailable,
    SupportsAcl,
    SupportsAdopt,
    SupportsBegin,
    SupportsCaller,
    SupportsClone,
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsListing,
    SupportsLocalFile,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsUsage,
    SupportsWrite,
)
from glancekit.testing.faults import BrokenStream, TrickleStream, WatchedStream
from glancekit.testing.store_reports import StoreReports

MULTI_CHUNK = 2 * CHUNK_SIZE + 12_345
"""Some chunks and a bit: finds what is right for one chunk only."""

PATIENCE = 60.0
"""Seconds after which a thread of a test counts as stuck."""

Put = Callable[[bytes], Location]


def sample(size: int, *, seed: int = 0) -> bytes:
    """Return bytes that are the same each time and like no other seed's."""
    return random.Random(seed).randbytes(size)


def assert_same(got: bytes, wanted: bytes) -> None:
    """Compare bytes; pytest's own explanation of a difference takes minutes for megabytes."""
    if got != wanted:
        pairs = enumerate(zip(got, wanted, strict=False))
        at = next((n for n, (a, b) in pairs if a != b), min(len(got), len(wanted)))
        pytest.fail(
            f"{len(got)} bytes came of {len(wanted)}; the first difference is at byte {at}"
        )


def new_id() -> str:
    """Return an image id as the service would."""
    return str(uuid.uuid4())


def stream(data: bytes) -> ByteStream:
    """Return a stream of data."""
    return FileStream(BytesIO(data))


class Blobs:
    """What a test put into the store, to be removed at its end."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._kept: list[Location] = []

    def write(
        self,
        source: ByteStream | bytes,
        *,
        size: int | None = None,
        image_id: str | None = None,
    ) -> Location:
        """Write as the core does, and remember it. Bytes come with their size declared."""
        if isinstance(source, bytes):
            size, source = len(source), stream(source)
        location: Location = self._driver.write(image_id or new_id(), source, size)
        return self.keep(location)

    def keep(self, location: Location) -> Location:
        """Remember a location, to be deleted at the end of the test."""
        self._kept.append(location)
        return location

    def read(self, location: Location) -> bytes:
        """Return all bytes at a location."""
        with self._driver.open(location) as opened:
            return b"".join(opened)

    def remove_all(self) -> None:
        """Delete what is still there."""
        for location in reversed(self._kept):  # clones go before what they are clones of
            try:
                self._driver.delete(location)
            except BlobNotFound:
                continue


class Gate:
    """Where writers wait for one another before each chunk, so that they really overlap.

    Not for long: a driver may let only one of them read at a time, or refuse others at once.
    """

    def __init__(self, writers: int) -> None:
        self._barrier = threading.Barrier(writers, timeout=2.0)

    def meet(self, given: int) -> None:
        """Wait for the others, for as long as that may make sense."""
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait()

    def open(self) -> None:
        """Let all pass from now on."""
        self._barrier.abort()


class StoreConformance(StoreReports):
    """The promises of ``glancekit.core.contracts.store``. Give ``driver`` and ``capabilities``."""

    capabilities: ClassVar[Collection[type]]
    """What the driver is meant to be able to do; S11 holds it against what it can."""

    # -- what a vendor gives

    @pytest.fixture
    def driver(self) -> Any:
        """A driver that is ready for use, its place empty. To be overridden."""
        pytest.fail("give your test class a fixture 'driver' that returns the driver to test")

    @pytest.fixture
    def put(self, driver: Any, blobs: Blobs) -> Put:
        """Brings bytes into the store. To be overridden for one that cannot be written to."""
        self.needs(SupportsWrite)
        return blobs.write

    @pytest.fixture
    def missing(self, driver: Any, blobs: Blobs) -> Location:
        """A location with nothing there. To be overridden for a store that cannot delete."""
        self.needs(SupportsWrite)
        self.needs(SupportsDelete)
        location = blobs.write(b"soon to be gone")
        driver.delete(location)
        return replace(location, size=15)

    @pytest.fixture
    def leftovers(self, driver: Any) -> Callable[[], Iterable[object]] | None:
        """A function that lists all that is in the place, temporary things included. Optional."""
        return None

    @pytest.fixture
    def abandon(self, driver: Any) -> Callable[[str], object]:
        """A function that leaves what a writer of the given image id leaves that is killed.

        To be given for a driver that declares SupportsSweep.
        """
        self.needs(SupportsSweep)
        pytest.fail("give your test class a fixture 'abandon' that leaves half an image")

    @pytest.fixture
    def stranger(self, driver: Any) -> Iterator[Callable[[str], object]]:
        """A function that puts into the place what no write has made, under names that begin with
        an image's id and others; the fixture removes it at the end.

        To be given for a driver that declares SupportsListing.
        """
        self.needs(SupportsListing)
        pytest.fail("give your test class a fixture 'stranger' that leaves what is no image")

    @pytest.fixture
    def twin(self, driver: Any) -> Any:
        """Another driver that is configured differently, and writes to the same place. Optional,
        for one that declares SupportsPlaces.
        """
        return None

    @pytest.fixture
    def unbegun(self, driver: Any) -> Any:
        """Another driver, whose place was not made yet.

        To be given for a driver that declares SupportsBegin.
        """
        self.needs(SupportsBegin)
        pytest.fail("give your test class a fixture 'unbegun': a driver whose place is not made")

    @pytest.fixture
    def caller(self) -> Caller:
        """Somebody in whose name the driver can be asked about images of their project.

        To be overridden for a medium that looks at tokens.
        """
        return Caller(owner="kit", project_id="kit", token="a token of the kit")

    # -- the kit's own

    @pytest.fixture
    def blobs(self, driver: Any) -> Blobs:
        """What the test puts into the store."""
        return Blobs(driver)

    @pytest.fixture(autouse=True)
    def s13_nothing_is_left_behind(
        self,
        driver: Any,
        blobs: Blobs,
        leftovers: Callable[[], Iterable[object]] | None,
    ) -> Iterator[None]:
        """S13, after every test: what was written was deleted, and nothing else remains."""
        yield
        if SupportsDelete in self.capabilities:
            blobs.remove_all()
            if leftovers is not None:
                assert list(leftovers()) == [], "S13: the test left this in the store"

    def needs(self, capability: type) -> None:
        """Skip the test when the driver does not declare a capability."""
        if capability not in self.capabilities:
            pytest.skip(f"the driver does not declare {capability.__name__}")

    # -- bytes in and out

    @pytest.mark.parametrize("size", [1, CHUNK_SIZE, MULTI_CHUNK])
    def test_s01_what_goes_in_comes_out(self, driver: Any, put: Put, size: int) -> None:
        data = sample(size)
        location = put(data)
        with driver.open(replace(location, size=size)) as opened:
            assert_same(b"".join(opened), data)

    def test_s02_no_bytes_at_all(self, driver: Any, put: Put) -> None:
        location = put(b"")
        with driver.open(replace(location, size=0)) as opened:
            assert opened.read(CHUNK_SIZE) == b""

    @pytest.mark.parametrize("size", [0, 1, MULTI_CHUNK])
    def test_s03_the_size_need_not_be_known(self, blobs: Blobs, size: int) -> None:
        self.needs(SupportsWrite)
        data = sample(size)
        location = blobs.write(stream(data), size=None)
        assert_same(blobs.read(location), data)

    @pytest.mark.parametrize("declared", [MULTI_CHUNK, None])
    def test_s04_a_source_that_is_found_short_leaves_nothing(
        self, driver: Any, blobs: Blobs, declared: int | None
    ) -> None:
        self.needs(SupportsWrite)
        error = BodyCutShort(received=MULTI_CHUNK - 1, expected=MULTI_CHUNK)
        broken = BrokenStream(sample(MULTI_CHUNK), at=MULTI_CHUNK - 1, error=error)
        self._assert_refused_and_gone(driver, blobs, broken, declared, error)

    @pytest.mark.parametrize("at", [0, 1, CHUNK_SIZE + 1])
    def test_s05_what_the_source_raises_is_passed_on(
        self, driver: Any, blobs: Blobs, at: int
    ) -> None:
        self.needs(SupportsWrite)
        error = RuntimeError("the source broke")
        broken = BrokenStream(sample(MULTI_CHUNK), at=at, error=error)
        self._assert_refused_and_gone(driver, blobs, broken, MULTI_CHUNK, error)

    def test_s06_what_is_deleted_is_gone(self, driver: Any, blobs: Blobs) -> None:
        self.needs(SupportsWrite)
        self.needs(SupportsDelete)
        other = sample(100, seed=1)
        location, kept = blobs.write(sample(100)), blobs.write(other)
        driver.delete(location)
        with pytest.raises(BlobNotFound):
            driver.open(location)
        with pytest.raises(BlobNotFound):
            driver.delete(location)
        assert_same(blobs.read(kept), other)

    def test_s07_a_missing_blob_is_told_as_such(self, driver: Any, missing: Location) -> None:
        calls: dict[type, Callable[[], object]] = {
            SupportsDelete: lambda: driver.delete(missing),
            SupportsRange: lambda: driver.open_range(missing, 0, 1),
            SupportsLocalFile: lambda: driver.local_path(missing),
        }
        asked = [call for capability, call in calls.items() if capability in self.capabilities]
        for call in (lambda: driver.open(missing), lambda: driver.size(missing), *asked):
            with pytest.raises(BlobNotFound):
                call()

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, 1),
            (0, MULTI_CHUNK),
            (1, MULTI_CHUNK - 1),
            (MULTI_CHUNK - 1, 1),
            (CHUNK_SIZE - 1, 2),
            (CHUNK_SIZE, CHUNK_SIZE),
            (17, CHUNK_SIZE + 1),
        ],
    )
    def test_s08_ranges_are_exact(self, driver: Any, put: Put, offset: int, length: int) -> None:
        self.needs(SupportsRange)
        data = sample(MULTI_CHUNK)
        location = replace(put(data), size=MULTI_CHUNK)
        with driver.open_range(location, offset, length) as opened:
            assert_same(b"".join(opened), data[offset : offset + length])

    # -- many at once

    def test_s09_readers_do_not_disturb_one_another(self, driver: Any, put: Put) -> None:
        data = sample(MULTI_CHUNK)
        location = replace(put(data), size=MULTI_CHUNK)
        with driver.open(location) as first, driver.open(location) as second:
            halves = first.read(1000), second.read(1000)
            assert_same(b"".join([halves[0], *first]), data)
            assert_same(b"".join([halves[1], *second]), data)

        def read() -> bytes:
            with driver.open(location) as opened:
                return b"".join(opened)

        for got in _together([read] * 8):
            assert_same(got, data)

    def test_s10_writers_of_different_images_do_not_disturb_one_another(
        self, blobs: Blobs
    ) -> None:
        self.needs(SupportsWrite)
        contents = [sample(CHUNK_SIZE + 1 + n, seed=n) for n in range(8)]
        gate = Gate(len(contents))

        def write(data: bytes) -> Location:
            return blobs.write(WatchedStream(stream(data), gate.meet), size=len(data))

        locations = _together([partial(write, data) for data in contents])
        for location, data in zip(locations, contents, strict=True):
            assert_same(blobs.read(location), data)

    def test_s14_of_several_writers_of_one_image_one_wins(self, blobs: Blobs) -> None:
        self.needs(SupportsWrite)
        image_id = new_id()
        contents = [sample(CHUNK_SIZE + 1 + n, seed=n) for n in range(4)]
        gate = Gate(len(contents))

        def write(data: bytes) -> Location | BlobExists:
            source = WatchedStream(stream(data), gate.meet)
            try:
                return blobs.write(source, size=len(data), image_id=image_id)
            except BlobExists as error:
                gate.open()  # the others need not wait for this one
                return error

        outcomes = _together([partial(write, data) for data in contents])
        won = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Location)]
        assert len(won) == 1, "exactly one writer may be told that it has written the image"
        assert_same(blobs.read(outcomes[won[0]]), contents[won[0]])

    def test_s15_a_name_that_is_taken_is_not_overwritten(self, blobs: Blobs) -> None:
        self.needs(SupportsWrite)
        image_id, data = new_id(), sample(1000)
        location = blobs.write(data, image_id=image_id)
        with pytest.raises(BlobExists):
            blobs.write(sample(2000, seed=1), image_id=image_id)
        assert_same(blobs.read(location), data)

    # -- what the driver says of itself

    def test_s11_declared_is_detected(self, driver: Any) -> None:
        assert isinstance(driver, StoreDriver)
        detected = {kind.__name__ for kind in CAPABILITIES if isinstance(driver, kind)}
        assert detected == {kind.__name__ for kind in self.capabilities}

    def test_s12_methods_take_what_the_core_gives(self, driver: Any) -> None:
        for contract in (StoreDriver, *self.capabilities):
            for name in sorted(contract.__abstractmethods__):  # type: ignore[attr-defined]
                wanted = _parameters(getattr(contract, name))[1:]  # without self
                assert _parameters(getattr(driver, name)) == wanted, f"{contract.__name__}.{name}"

    def test_s16_it_says_what_it_was_written_for(self, driver: Any) -> None:
        assert isinstance(driver.api_level, int)
        assert 1 <= driver.api_level <= API_LEVEL
        assert driver.schemes, "a driver names the URL schemes of its locations"
        names = [option.name for option in driver.options]
        assert len(names) == len(set(names))
        assert all(option.help for option in driver.options), "every option says what it is for"

    # -- locations

    def test_s17_the_size_is_told_or_unknown(self, driver: Any, put: Put) -> None:
        for size in (0, 1, CHUNK_SIZE + 1):
            assert driver.size(put(sample(size, seed=size))) in (size, None)

    def test_s18_a_location_is_a_url_of_a_known_scheme(self, driver: Any, put: Put) -> None:
        location = put(b"data")
        scheme, separator, rest = location.url.partition("://")
        assert separator
        assert rest
        assert scheme in driver.schemes

    def test_s19_url_and_metadata_are_enough_to_find_the_bytes(
        self, driver: Any, put: Put
    ) -> None:
        data = sample(1000)
        location = put(data)
        metadata = json.loads(json.dumps(dict(location.metadata)))
        found = Location(url=str(location.url), metadata=metadata, size=len(data))
        with driver.open(found) as opened:
            assert_same(b"".join(opened), data)

    # -- streams

    def test_s20_a_stream_gives_at_most_what_is_asked(self, driver: Any, put: Put) -> None:
        data = sample(CHUNK_SIZE + 10)
        with driver.open(replace(put(data), size=len(data))) as opened:
            asked = (1, 7, 1000)
            pieces = [opened.read(size) for size in asked]
            assert all(0 < len(piece) <= n for piece, n in zip(pieces, asked, strict=True))
            assert_same(b"".join(pieces) + b"".join(opened), data)
            assert opened.read(10) == opened.read(10) == b""

    def test_s21_a_closed_stream_gives_nothing(self, driver: Any, put: Put) -> None:
        opened = driver.open(replace(put(sample(1000)), size=1000))
        opened.read(10)
        opened.close()
        opened.close()
        try:
            assert opened.read(10) == b""
        except (ValueError, OSError, GlancekitError):
            return  # to refuse is as good

    def test_s22_short_reads_are_not_the_end(self, blobs: Blobs) -> None:
        self.needs(SupportsWrite)
        data = sample(100_000)
        location = blobs.write(TrickleStream(data, piece=999), size=len(data))
        assert_same(blobs.read(location), data)

    def test_s23_the_source_is_never_asked_for_all_at_once(self, blobs: Blobs) -> None:
        self.needs(SupportsWrite)
        asked: list[int] = []

        class Counting(TrickleStream):
            def read(self, size: int = -1, /) -> bytes:
                asked.append(size)
                return super().read(size)

        data = sample(MULTI_CHUNK)
        blobs.write(Counting(data, piece=CHUNK_SIZE), size=len(data))
        assert min(asked) > 0, "an image can be larger than memory; read it in pieces"

    # -- writes and their traces

    def test_s24_nothing_shows_before_it_is_complete(self, driver: Any, blobs: Blobs) -> None:
        self.needs(SupportsWrite)
        self.needs(SupportsDelete)
        image_id, data = new_id(), sample(MULTI_CHUNK)
        location = blobs.write(data, image_id=image_id)  # to learn where it will be
        driver.delete(location)

        def look(given: int) -> None:
            with pytest.raises(BlobNotFound):
                driver.open(location)

        again = blobs.write(WatchedStream(stream(data), look), size=None, image_id=image_id)
        assert_same(blobs.read(again), data)

    def test_s25_discard_removes_all_of_an_image(self, driver: Any, blobs: Blobs) -> None:
        self.needs(SupportsWrite)
        image_id, data = new_id(), sample(1000)
        kept = blobs.write(data)
        driver.discard(image_id)  # when there is nothing
        location = blobs.write(sample(500, seed=1), image_id=image_id)
        driver.discard(image_id)
        driver.discard(image_id)
        with pytest.raises(BlobNotFound):
            driver.open(location)
        assert_same(blobs.read(kept), data)

    # -- what only some can do

    def test_s26_usage_is_plausible(self, driver: Any) -> None:
        self.needs(SupportsUsage)
        usage = driver.usage()
        assert usage.total is None or usage.total >= 0
        assert usage.free is None or usage.free >= 0
        if usage.total is not None and usage.free is not None:
            assert usage.free <= usage.total

    def test_s33_details_are_json(self, driver: Any) -> None:
        self.needs(SupportsDetails)
        details = dict(driver.details())
        assert json.loads(json.dumps(details)) == details

    def test_s40_a_place_has_its_names(self, driver: Any, blobs: Blobs, twin: Any) -> None:
        self.needs(SupportsPlaces)
        places = set(driver.places())
        assert places, "an image lies somewhere"
        assert all(isinstance(name, str) and name for name in places)
        assert set(driver.places()) == places
        if twin is not None:
            self.needs(SupportsWrite)
            data = sample(1000)
            location = replace(blobs.write(data), size=len(data))
            assert_same(Blobs(twin).read(location), data)
            assert places & set(twin.places()), "it writes to the same, and has no name for it"

    def test_s41_only_begin_makes_the_place(self, unbegun: Any) -> None:
        self.needs(SupportsBegin)
        self.needs(SupportsWrite)
        self.needs(SupportsDelete)
        image_id, data = new_id(), sample(1000)
        calls: dict[type, Callable[[], object]] = {
            SupportsHealth: lambda: unbegun.check(),
            SupportsWrite: lambda: unbegun.write(new_id(), stream(data), len(data)),
        }
        asked = [call for capability, call in calls.items() if capability in self.capabilities]
        for call in asked * 2:  # the second time the first one might have made it
            with pytest.raises(StoreUnavailable):
                call()
        _together([unbegun.begin] * 4)
        blobs = Blobs(unbegun)
        location = blobs.write(data, image_id=image_id)
        unbegun.begin()
        assert_same(blobs.read(location), data)
        blobs.remove_all()
        unbegun.close()

    def test_s27_a_store_that_works_says_so(self, driver: Any) -> None:
        self.needs(SupportsHealth)
        driver.check()
        driver.check()

    def test_s28_a_local_path_is_a_file_with_exactly_the_bytes(
        self, driver: Any, put: Put
    ) -> None:
        self.needs(SupportsLocalFile)
        data = sample(MULTI_CHUNK)
        path = driver.local_path(replace(put(data), size=len(data)))
        if path is not None:
            assert_same(path.read_bytes(), data)

    def test_s29_a_direct_url_is_one(self, driver: Any, put: Put) -> None:
        self.needs(SupportsDirectUrl)
        assert "://" in driver.direct_url(put(sample(10)), 60)

    def test_s30_a_clone_is_an_image_of_its_own(self, driver: Any, blobs: Blobs) -> None:
        self.needs(SupportsClone)
        self.needs(SupportsDelete)
        data = sample(1000)
        first = blobs.write(data)
        second = blobs.keep(driver.clone(replace(first, size=len(data)), new_id()))
        assert second.url != first.url
        assert_same(blobs.read(second), data)
        try:
            driver.delete(first)
        except BlobInUse:
            assert_same(blobs.read(first), data)
        assert_same(blobs.read(second), data)

    def test_s31_readers_can_be_named_again_and_again(self, driver: Any, put: Put) -> None:
        self.needs(SupportsAcl)
        data = sample(10)
        location = put(data)
        for readers, public in (([], False), (["p1", "p2"], False), (["p1"], False), ([], True)):
            driver.grant(location, readers, public=public)
        with driver.open(replace(location, size=len(data))) as opened:
            assert_same(b"".join(opened), data)

    def test_s34_what_writers_left_is_found_and_swept(
        self, driver: Any, blobs: Blobs, abandon: Callable[[str], object]
    ) -> None:
        self.needs(SupportsSweep)
        self.needs(SupportsWrite)
        finished, data, halves = new_id(), sample(1000), {new_id(), new_id()}
        kept = blobs.write(data, image_id=finished)
        for half in halves:
            abandon(half)
        assert not halves & {found.image_id for found in _remnants(driver, 3600)}
        assert finished not in {found.image_id for found in _remnants(driver, 0)}
        swept = set()
        for remnant in _remnants(driver, 0):
            if remnant.image_id in halves:
                swept.add(remnant.image_id)
                for _ in range(2):  # the second time it is gone
                    driver.sweep(remnant)
        assert swept == halves, "what a killed writer left was not found"
        assert not halves & {found.image_id for found in _remnants(driver, 0)}
        assert_same(blobs.read(kept), data)

    def test_s37_finished_images_are_listed(self, driver: Any, blobs: Blobs) -> None:
        self.needs(SupportsListing)
        self.needs(SupportsWrite)
        data = {new_id(): sample(size, seed=size) for size in (1, 1000, MULTI_CHUNK)}
        written = {
            image_id: blobs.write(content, image_id=image_id) for image_id, content in data.items()
        }
        found = list(driver.contents())
        assert sorted(blob.url for blob in found) == sorted(one.url for one in written.values())
        lately = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
        for blob in found:
            assert written[blob.image_id].url == blob.url
            assert blob.image_id in blob.url
            location = Location(url=blob.url, image_id=blob.image_id)
            now = driver.blob(location)
            assert (now.url, now.image_id) == (blob.url, blob.image_id)
            assert now.modified_at is not None, "what is not dated cannot be told from a new one"
            for each in (blob, now):
                assert each.size in (len(data[blob.image_id]), None)
                assert each.modified_at is None or lately[0] < each.modified_at < lately[1]
            assert_same(blobs.read(location), data[blob.image_id])

    def test_s38_nothing_else_is_listed(
        self, driver: Any, blobs: Blobs, stranger: Callable[[str], object]
    ) -> None:
        self.needs(SupportsListing)
        self.needs(SupportsWrite)
        self.needs(SupportsDelete)
        deleted = blobs.write(sample(100))
        driver.delete(deleted)
        kept = blobs.write(sample(200))
        stranger(new_id())
        during: list[list[str]] = []

        def look(given: int) -> None:
            during.append([blob.url for blob in driver.contents()])

        data = sample(MULTI_CHUNK)
        made = blobs.write(WatchedStream(stream(data), look), size=len(data))
        assert during
        assert all(seen == [kept.url] for seen in during), "what is being written was listed"
        assert {blob.url for blob in driver.contents()} == {kept.url, made.url}
        with pytest.raises(BlobNotFound):
            driver.blob(deleted)

    def test_s39_listings_do_not_disturb_one_another(self, driver: Any, blobs: Blobs) -> None:
        self.needs(SupportsListing)
        self.needs(SupportsWrite)
        self.needs(SupportsDelete)
        locations = [blobs.write(sample(10, seed=n)) for n in range(3)]
        left, first, second = driver.contents(), driver.contents(), driver.contents()
        assert iter(first) is first, "a listing is made as it is asked for"
        next(left)
        left.close()  # a generator's: nothing is held after it
        pairs = list(zip(first, second, strict=True))
        for listed in zip(*pairs, strict=True):
            assert {blob.url for blob in listed} == {one.url for one in locations}
        going = driver.contents()
        seen = {next(going).url}
        gone = next(one for one in locations if one.url not in seen)
        driver.delete(gone)
        seen |= {blob.url for blob in going}
        assert seen >= {one.url for one in locations} - {gone.url}

    def test_s35_a_file_becomes_an_image(self, driver: Any, blobs: Blobs, tmp_path: Path) -> None:
        self.needs(SupportsAdopt)
        path, data, image_id = tmp_path / "staged", sample(3000), new_id()
        path.write_bytes(data)
        location = driver.adopt(path, image_id)
        if location is None:
            pytest.skip("files of the temporary folder cannot be adopted by this store")
        blobs.keep(location)
        assert_same(blobs.read(location), data)
        with pytest.raises(BlobExists):
            driver.adopt(path, image_id)
        path.unlink()
        assert_same(blobs.read(location), data)

    def test_s36_a_caller_finds_what_the_service_does(
        self, driver: Any, blobs: Blobs, caller: Caller
    ) -> None:
        self.needs(SupportsCaller)
        self.needs(SupportsWrite)
        acting = driver.acting_for(caller)
        assert [isinstance(acting, kind) for kind in CAPABILITIES] == [
            isinstance(driver, kind) for kind in CAPABILITIES
        ], "what acts for a caller has the capabilities of the driver"
        data, of_service, of_caller = sample(3000), new_id(), new_id()
        first = blobs.write(data, image_id=of_service)
        second = blobs.keep(acting.write(of_caller, stream(data), len(data)))
        for reader in (driver, acting):
            assert_same(Blobs(reader).read(replace(first, image_id=of_service)), data)
            assert_same(Blobs(reader).read(replace(second, image_id=of_caller)), data)
        shown = f"{caller!r} {acting!r} {first!r} {second!r}"
        assert caller.token is None or caller.token not in shown

    # -- the end

    def test_s32_closing_twice_is_harmless(self, driver: Any) -> None:
        driver.close()
        driver.close()

    def _assert_refused_and_gone(
        self,
        driver: Any,
        blobs: Blobs,
        broken: ByteStream,
        declared: int | None,
        error: BaseException,
    ) -> None:
        """The write raises the source's own error, and the name is free as if it never was."""
        image_id, data = new_id(), sample(777, seed=7)
        with pytest.raises(type(error)) as caught:
            blobs.write(broken, size=declared, image_id=image_id)
        assert caught.value is error
        location = blobs.write(data, image_id=image_id)
        assert_same(blobs.read(location), data)


def _parameters(function: Callable[..., object]) -> list[tuple[str, object]]:
    return [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]


def _remnants(driver: Any, age: float) -> Iterator[Remnant]:
    """Yield what a driver finds; that it is still looking is nothing to a test."""
    return (found for found in driver.remnants(age) if found is not None)


def _together(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """Run calls at once and return what they return, in their order; the first error is raised."""
    waiting = list(calls)
    with ThreadPoolExecutor(len(waiting)) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(call) for call in waiting]]
