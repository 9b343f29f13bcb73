# SPDX-License-Identifier: Apache-2.0
"""The suite for metadata drivers. A vendor's test is a subclass with a ``driver`` fixture.

Each test has a number, by which ``docs/reference/contracts/metadata.rst`` says what it asks. Data
goes in through the contract alone; nothing here knows what is behind it.
"""

from __future__ import annotations

import inspect
import itertools
import multiprocessing
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from glancekit.core.contracts import metadata as contract
from glancekit.core.contracts.caches import CacheRepository
from glancekit.core.contracts.ledger import LedgerRepository, MarkRepository
from glancekit.core.contracts.metadata import MetadataDriver, SupportsMigration
from glancekit.core.contracts.metadefs import MetadefRepository
from glancekit.core.contracts.periodic import PeriodicRepository
from glancekit.core.contracts.quotas import QuotaRepository
from glancekit.core.errors import (
    Conflict,
    Duplicate,
    ImageNotFound,
    MemberNotFound,
    MetadataError,
    StatusConflict,
)
from glancekit.core.model.events import Event
from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.image import (
    Finding,
    Image,
    Location,
    Member,
    MemberStatus,
    Tombstone,
    Visibility,
)
from glancekit.core.model.listing import (
    SORT_KEYS,
    Comparison,
    Condition,
    ImageQuery,
    SortKey,
)
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.metadata_caches import CacheConformance
from glancekit.testing.metadata_ledger import LedgerConformance
from glancekit.testing.metadata_periodic import PeriodicConformance
from glancekit.testing.metadata_quotas import QuotaConformance
from glancekit.testing.metadata_reports import MetadataReports
from glancekit.testing.metadata_samples import (
    ME,
    MORNING,
    OTHER,
    STRANGER,
    a_query,
    conditions_on,
    meets,
    rank,
    sample_images,
)
from glancekit.testing.metadata_tasks import TaskConformance
from glancekit.testing.metadefs import MetadefConformance

_UNICODE = "Grüße, 世界 🐧 \\ \" ' % _ \t\n é e\u0301"

Expected = dict[str, set[str]]


def an_image(**facts: Any) -> Image:
    """Return a new image of ``me`` that differs from others where a test says so only."""
    return Image(**{"id": str(uuid.uuid4()), "owner": ME, **facts})


class MetadataConformance(
    TaskConformance,
    MetadefConformance,
    QuotaConformance,
    LedgerConformance,
    PeriodicConformance,
    CacheConformance,
    MetadataReports,
):
    """What every metadata driver must do.

    The subclass gives a fixture ``driver``: a started driver over an empty database, closed again
    afterwards. Unless it sets ``outlives_the_process`` to False, it also gives a fixture
    ``reopen``: a function that starts and returns one more driver over the same data.
    """

    outlives_the_process = True
    """Records are still there for other processes and after a restart."""

    # -- the unit of work ---------------------------------------------------------------------

    def test_m01_leaving_without_commit_rolls_back(self, driver: MetadataDriver) -> None:
        """M1: nothing is kept of a unit of work that did not commit, left well or by an error."""
        image = an_image()
        with driver.unit_of_work() as work:
            _fill(work, image)
        with pytest.raises(ZeroDivisionError), driver.unit_of_work() as work:
            _fill(work, image)
            raise ZeroDivisionError
        with driver.unit_of_work() as work:
            with pytest.raises(ImageNotFound):
                work.images.get(image.id)
            assert list(work.locations.of_image(image.id)) == []
            assert list(work.members.of_image(image.id)) == []
            assert list(work.events.after(0, limit=10)) == []
            assert not work.leases.holders(alive_at=MORNING)
            assert work.images.find(ImageQuery()).images == ()

    def test_m02_commit_shows_all_of_it_at_once(self, driver: MetadataDriver) -> None:
        """M2: others see nothing before the commit and everything after it."""
        image = an_image()
        with driver.unit_of_work() as work:
            _fill(work, image)
            with driver.unit_of_work(read_only=True) as reader:
                assert reader.images.find(ImageQuery()).images == ()
            work.commit()
        with driver.unit_of_work(read_only=True) as reader:
            assert [found.id for found in reader.images.find(ImageQuery()).images] == [image.id]
            assert len(reader.locations.of_image(image.id)) == 1
            assert len(reader.members.of_image(image.id)) == 1
            assert len(reader.events.after(0, limit=10)) == 1
            assert reader.leases.holders(alive_at=MORNING) == {"holder"}

    def test_m03_read_only_refuses_to_write(self, driver: MetadataDriver) -> None:
        """M3: every writing method of a read-only unit of work raises, and nothing is written."""
        image = _kept(driver, an_image())
        member = Member(image_id=image.id, project_id=OTHER)
        place = Location(url="", image_id=image.id, store="s", id=1)
        attempts: list[Callable[[contract.UnitOfWork], object]] = [
            lambda work: work.images.add(an_image()),
            lambda work: work.images.save(image, expect_status={image.status}),
            lambda work: work.images.bury(Tombstone(id="x", owner=ME)),
            lambda work: work.locations.add(place),
            lambda work: work.locations.save(place, expect_status=place.status),
            lambda work: work.locations.remove(1),
            lambda work: work.members.add(member),
            lambda work: work.events.append(Event(type="x", subject="x")),
            lambda work: work.events.advance("listener", 1),
            lambda work: work.events.retain(()),
            lambda work: work.leases.renew("holder", MORNING),
            lambda work: work.leases.release("holder"),
            lambda work: work.leases.prune(MORNING),
        ]
        for attempt in attempts:
            with driver.unit_of_work(read_only=True) as work, pytest.raises(MetadataError):
                attempt(work)
        assert _get(driver, image.id) == image
        assert [found.id for found in _find(driver)] == [image.id]

    def test_m04_read_only_sees_one_state(self, driver: MetadataDriver) -> None:
        """M4: what others commit meanwhile does not show in a read-only unit of work."""
        image = _kept(driver, an_image(name="before"))
        with driver.unit_of_work(read_only=True) as reader:
            assert reader.images.get(image.id).name == "before"
            _save(driver, replace(image, name="after"))
            _kept(driver, an_image())
            assert reader.images.get(image.id).name == "before"
            assert len(reader.images.find(ImageQuery()).images) == 1
        assert _get(driver, image.id).name == "after"

    def test_m05_read_only_may_commit(self, driver: MetadataDriver) -> None:
        """M5: committing what wrote nothing is harmless, in both kinds of unit."""
        for read_only in (False, True):
            with driver.unit_of_work(read_only=read_only) as work:
                work.images.find(ImageQuery())
                work.commit()

    # -- images: one by one -------------------------------------------------------------------

    def test_m06_an_image_comes_back_as_it_was(self, driver: MetadataDriver) -> None:
        """M6: every attribute, with its type, to the microsecond and the last code point."""
        full = an_image(
            status=ImageStatus.ACTIVE,
            visibility=Visibility.COMMUNITY,
            name=_UNICODE,
            disk_format="qcow2",
            container_format="bare",
            size=(1 << 62) + 1,
            virtual_size=1 << 62,
            checksum="d" * 32,
            os_hash_algo="sha512",
            os_hash_value="e" * 128,
            min_disk=7,
            min_ram=(1 << 31) - 1,
            protected=True,
            os_hidden=True,
            created_at=MORNING,
            updated_at=MORNING + timedelta(microseconds=1),
            properties={_UNICODE: _UNICODE, "empty": "", "long": "ü" * (1 << 15)},
            tags=frozenset({_UNICODE, "a", "A", "a "}),
        )
        for image in (full, an_image(), an_image(owner=None)):
            assert _kept(driver, image) == image
            assert type(_get(driver, image.id).protected) is bool

    def test_m07_an_id_is_given_out_once(self, driver: MetadataDriver) -> None:
        """M7: ``Duplicate`` while an image has the id and for ever after; nothing is changed."""
        image = _kept(driver, an_image(name="first"))
        other = _kept(driver, an_image())
        with driver.unit_of_work() as work:
            with pytest.raises(Duplicate):
                work.images.add(an_image(id=image.id, name="second"))
            work.images.save(replace(other, name="meanwhile"), expect_status={other.status})
            work.commit()
        assert _get(driver, image.id) == image
        assert _get(driver, other.id).name == "meanwhile"
        assert len(_find(driver)) == 2
        _delete(driver, image)
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.images.add(an_image(id=image.id))

    def test_m08_save_replaces_and_tells_what_is_kept(self, driver: MetadataDriver) -> None:
        """M8: ``save`` returns what ``get`` returns then; version and updated_at rise."""
        image = _kept(driver, an_image(properties={"a": "1", "b": "2"}, tags=frozenset("xy")))
        with driver.unit_of_work() as work:
            work.locations.add(Location(url="u", store="s", image_id=image.id))
            wanted = replace(
                image,
                status=ImageStatus.ACTIVE,
                owner=OTHER,
                visibility=Visibility.PUBLIC,
                name="new",
                size=9,
                properties={"b": "3"},
                tags=frozenset("yz"),
            )
            saved = work.images.save(wanted, expect_status={image.status})
            assert work.images.get(image.id) == saved
            work.commit()
        assert _get(driver, image.id) == saved
        assert saved.updated_at > image.updated_at
        assert saved.version > image.version
        assert [place.size for place in saved.locations] == [9]
        alike = replace(saved, updated_at=image.updated_at, version=image.version, locations=())
        assert alike == wanted

    def test_m09_save_is_a_compare_and_set(self, driver: MetadataDriver) -> None:
        """M9: another status, another version and an image that is gone are told apart."""
        image = _kept(driver, an_image())
        with driver.unit_of_work() as work:
            with pytest.raises(StatusConflict) as told:
                work.images.save(image, expect_status={ImageStatus.ACTIVE, ImageStatus.SAVING})
            assert told.value.status == ImageStatus.QUEUED
            newer = work.images.save(image, expect_status={ImageStatus.QUEUED})
            with pytest.raises(Conflict) as lost:
                work.images.save(replace(image, name="x"), expect_status={ImageStatus.QUEUED})
            assert not isinstance(lost.value, StatusConflict)
            work.images.save(newer, expect_status={ImageStatus.ACTIVE, ImageStatus.QUEUED})
            with pytest.raises(ImageNotFound):
                work.images.save(an_image(), expect_status=set(ImageStatus))
            work.commit()
        assert _get(driver, image.id).name is None
        _delete(driver, _get(driver, image.id))
        with driver.unit_of_work() as work, pytest.raises(ImageNotFound):
            work.images.save(image, expect_status=set(ImageStatus))

    def test_m10_a_deleted_image_is_gone(self, driver: MetadataDriver) -> None:
        """M10: from ``get``, from every list, with its members; its location rows stay."""
        image = _kept(driver, an_image(name="n", properties={"a": "1"}, tags=frozenset("t")))
        with driver.unit_of_work() as work:
            work.locations.add(Location(url="u", store="s", image_id=image.id))
            work.members.add(Member(image_id=image.id, project_id=OTHER))
            work.commit()
        _delete(driver, _get(driver, image.id))
        with pytest.raises(ImageNotFound):
            _get(driver, image.id)
        queries: tuple[dict[str, Any], ...] = (
            {},
            {"tags": frozenset("t")},
            {"properties": {"a": "1"}},
            {"conditions": (Condition("name", Comparison.EQ, "n"),)},
            {"viewer": _viewer(OTHER), "member_status": None},
        )
        for query in queries:
            assert _find(driver, **query) == []
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.members.of_image(image.id)) == []
            (row,) = work.locations.of_image(image.id)
            assert (row.url, row.size) == ("u", None)

    def test_m43_ids_of_elsewhere_stay_taken(self, driver: MetadataDriver) -> None:
        """M43: a buried id is never given out; all that are buried come in pages, each once."""
        deleted = _kept(driver, an_image())
        living = _kept(driver, an_image())
        _delete(driver, deleted)
        old = [
            Tombstone(id=str(uuid.uuid4()), owner=owner, deleted_at=MORNING)
            for owner in (ME, OTHER, None)
        ]
        with driver.unit_of_work() as work:
            assert [work.images.bury(tombstone) for tombstone in old] == [True] * 3
            assert not work.images.bury(replace(old[0], deleted_at=MORNING + timedelta(1)))
            with pytest.raises(Duplicate):
                work.images.bury(Tombstone(id=living.id, owner=ME))
            work.commit()
        assert _get(driver, living.id) == living
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.images.add(an_image(id=old[1].id))
        found: list[Tombstone] = []
        with driver.unit_of_work(read_only=True) as work:
            while page := work.images.buried(limit=3, after=found[-1].id if found else None):
                found += page
        assert len(found) == 4
        assert {one.id: one for one in found}.keys() == {deleted.id, *(one.id for one in old)}
        for tombstone in old:
            assert tombstone in found

    # -- who sees what ------------------------------------------------------------------------

    def test_m11_who_may_get(self, driver: MetadataDriver) -> None:
        """M11: owner, member in any state, stranger, nobody and administrator, by visibility."""
        for visibility in Visibility:
            image = _kept(driver, an_image(visibility=visibility))
            for status in MemberStatus:
                _share(driver, image, f"{status}-member", status)
            members = {f"{status}-member" for status in MemberStatus}
            seeing = {ME, *(members if visibility is Visibility.SHARED else ())}
            if visibility in (Visibility.PUBLIC, Visibility.COMMUNITY):
                seeing |= {*members, STRANGER, None}
            for project in (ME, *members, STRANGER, None):
                assert _sees(driver, _viewer(project), image) == (project in seeing), project
            assert _sees(driver, _viewer(STRANGER, is_admin=True), image)
            assert _sees(driver, EVERYBODY, image)
        assert _sees(driver, _viewer(STRANGER), _kept(driver, an_image(owner=None)))

    @pytest.mark.parametrize("visibility", [None, *Visibility])
    def test_m12_who_may_list(self, driver: MetadataDriver, visibility: Visibility | None) -> None:
        """M12: the default view and each visibility, for each kind of viewer."""
        names = _one_of_each(driver)
        expected: Expected = {
            ME: {"mine-public", "mine-community", "mine-shared", "mine-private", "other-public"},
            "accepted": {"mine-public", "other-public", "mine-shared"},
            "pending": {"mine-public", "other-public"},
            STRANGER: {"mine-public", "other-public"},
            "admin": {name for name in names if name != "other-community"} - {"mine-community"},
            "admin-me": {name for name in names if name != "other-community"},
        }
        if visibility is not None:
            expected = {who: _of(seen, visibility) for who, seen in expected.items()}
            if visibility is Visibility.COMMUNITY:
                everybody_s = {"mine-community", "other-community"}
                expected = {who: everybody_s for who in expected}
        for who, seen in expected.items():
            found = _find(driver, viewer=_named_viewer(who), visibility=visibility)
            assert sorted(image.name or "" for image in found) == sorted(seen), who

    def test_m13_all_visibilities(self, driver: MetadataDriver) -> None:
        """M13: ``all_visibilities`` adds others' community images and nothing else."""
        names = _one_of_each(driver)
        expected: Expected = {
            ME: {name for name in names if name.startswith("mine")}
            | {"other-public", "other-community"},
            STRANGER: {name for name in names if name.endswith(("public", "community"))},
            "admin": set(names),
        }
        for who, seen in expected.items():
            found = _find(driver, viewer=_named_viewer(who), all_visibilities=True)
            assert sorted(image.name or "" for image in found) == sorted(seen), who

    def test_m14_membership_moves_images_between_lists(self, driver: MetadataDriver) -> None:
        """M14: by its status, its removal, and the image being shared, hidden and the like."""
        image = _kept(driver, an_image())

        def lists() -> tuple[int, ...]:
            (found,) = {
                tuple(
                    len(_find(driver, viewer=_viewer(OTHER), member_status=status, sort=sort))
                    for status in (*MemberStatus, None)
                )
                for sort in _WALKED
            }
            return found

        _share(driver, image, OTHER, MemberStatus.PENDING)
        assert lists() == (1, 0, 0, 1)
        with driver.unit_of_work() as work:
            member = work.members.get(image.id, OTHER)
            work.members.save(replace(member, status=MemberStatus.ACCEPTED))
            work.commit()
        assert lists() == (0, 1, 0, 1)
        private = _save(driver, replace(image, visibility=Visibility.PRIVATE))
        assert lists() == (0, 0, 0, 0)
        hidden = _save(driver, replace(private, visibility=Visibility.SHARED, os_hidden=True))
        assert lists() == (0, 0, 0, 0)
        assert len(_find(driver, viewer=_viewer(OTHER), os_hidden=True)) == 1
        assert len(_find(driver, viewer=_viewer(OTHER), os_hidden=None)) == 1
        _save(driver, replace(hidden, os_hidden=False))
        assert lists() == (0, 1, 0, 1)
        with driver.unit_of_work() as work:
            work.members.remove(image.id, OTHER)
            work.commit()
        assert lists() == (0, 0, 0, 0)

    def test_m15_hidden_images(self, driver: MetadataDriver) -> None:
        """M15: ``os_hidden`` False, True and None (both)."""
        shown = _kept(driver, an_image())
        hidden = _kept(driver, an_image(os_hidden=True))
        for viewer in (EVERYBODY, _viewer(ME)):
            by_query = {False: {shown.id}, True: {hidden.id}, None: {shown.id, hidden.id}}
            for os_hidden, expected in by_query.items():
                found = _find(driver, viewer=viewer, os_hidden=os_hidden)
                assert {image.id for image in found} == expected

    # -- filters ------------------------------------------------------------------------------

    def test_m16_every_comparison(self, driver: MetadataDriver) -> None:
        """M16: of texts, numbers, times and truth values, nulls among them; null meets none."""
        sample = sample_images(random.Random(16), 24)
        _keep_all(driver, sample)
        for condition in conditions_on(sample):
            expected = {image.id for image in sample if meets(image, condition)}
            found = _find(driver, conditions=(condition,), limit=1000)
            assert {image.id for image in found} == expected, condition

    def test_m17_numbers_beyond_every_column(self, driver: MetadataDriver) -> None:
        """M17: comparing with a number that no record can have is no error."""
        image = _kept(driver, an_image(size=5))
        huge = 1 << 80
        for comparison, value in ((Comparison.LT, huge), (Comparison.GT, -huge)):
            assert [
                found.id
                for found in _find(driver, conditions=(Condition("size", comparison, value),))
            ] == [image.id]
        assert _find(driver, conditions=(Condition("size", Comparison.GTE, huge),)) == []

    def test_m18_tags_and_properties_are_exact(self, driver: MetadataDriver) -> None:
        """M18: case, spaces, wildcards and code points count; several all have to hold."""
        words = ("a", "A", "a ", " a", "%", "_", _UNICODE, "é", "e\u0301", "x" * 70_000)
        for word in words:
            _kept(driver, an_image(name=word[:10], tags=frozenset({word, "all"})))
            _kept(driver, an_image(name=word[:10], properties={"p": word, word[:200]: "q"}))
        for word in words:
            for query in (
                {"tags": frozenset({word})},
                {"tags": frozenset({word, "all"})},
                {"properties": {"p": word}},
                {"properties": {"p": word, word[:200]: "q"}},
            ):
                (found,) = _find(driver, **query)
                assert found.name == word[:10], (word[:10], query)
        assert _find(driver, tags=frozenset({"a", "A"})) == []
        assert _find(driver, properties={"p": "all"}) == []

    def test_m19_save_moves_between_filtered_lists(self, driver: MetadataDriver) -> None:
        """M19: a changed name, tag, property, owner or visibility shows in filters at once."""
        image = _kept(driver, an_image(name="n", tags=frozenset("t"), properties={"p": "v"}))
        changed = _save(
            driver,
            replace(image, name="m", tags=frozenset("u"), properties={"p": "w"}, owner=OTHER),
        )
        for owner, name, tag, value, hit in ((ME, "n", "t", "v", 0), (OTHER, "m", "u", "w", 1)):
            for viewer in (EVERYBODY, _viewer(owner)):
                named = (Condition("name", Comparison.EQ, name),)
                assert len(_find(driver, viewer=viewer, conditions=named)) == hit
                assert len(_find(driver, viewer=viewer, tags=frozenset(tag))) == hit
                assert len(_find(driver, viewer=viewer, properties={"p": value})) == hit
        assert _find(driver) == [changed]
        assert _find(driver, viewer=_viewer(ME)) == []

    @pytest.mark.parametrize("seed", range(12))
    def test_m20_lists_equal_the_plain_reading(self, driver: MetadataDriver, seed: int) -> None:
        """M20: random records and queries, page by page, give what the memory driver gives."""
        choose = random.Random(seed)
        plain = MemoryMetadata()
        sample = sample_images(choose, 24)
        sample += sample_images(choose, 6, visibility=Visibility.COMMUNITY)
        for one in (driver, plain):
            _keep_all(one, sample)
            _share_some(one, sample, random.Random(seed))
        for _ in range(40):
            query = a_query(choose, sample)
            expected = [image.id for page in _pages(plain, query) for image in page]
            assert [image.id for page in _pages(driver, query) for image in page] == expected, (
                query
            )

    # -- order and pages ----------------------------------------------------------------------

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("column", SORT_KEYS)
    def test_m21_every_sort_with_nulls(
        self, driver: MetadataDriver, column: str, descending: bool
    ) -> None:
        """M21: nulls after every value ascending, ties by time and id; each image exactly once."""
        sample = sample_images(random.Random(21), 40)
        _keep_all(driver, sample)
        order = sorted(
            sample,
            key=lambda image: (*rank(getattr(image, column)), image.created_at, image.id),
            reverse=descending,
        )
        for limit in (1, 7, 39, 40, 41):
            query = ImageQuery(sort=(SortKey(column, descending),), limit=limit, os_hidden=None)
            pages = list(_pages(driver, query))
            assert [image.id for page in pages for image in page] == [one.id for one in order]
            assert all(len(page) == limit for page in pages[:-1])

    def test_m22_several_sort_keys(self, driver: MetadataDriver) -> None:
        """M22: each with its direction; the keys that make it total descend then."""
        sample = sample_images(random.Random(22), 40)
        _keep_all(driver, sample)
        for sort in (
            (SortKey("name", False), SortKey("size", True)),
            (SortKey("disk_format", True), SortKey("name", False)),
            (SortKey("status", False), SortKey("id", False)),
            (SortKey("created_at", True), SortKey("id", False)),
            (SortKey("created_at", False), SortKey("name", True)),
        ):
            order = sorted(sample, key=lambda image: image.id, reverse=True)
            order.sort(key=lambda image: image.created_at, reverse=True)
            for key in reversed(sort):
                order.sort(key=lambda one: rank(getattr(one, key.column)), reverse=key.descending)
            query = ImageQuery(sort=sort, limit=6, os_hidden=None)
            found = [image.id for page in _pages(driver, query) for image in page]
            assert found == [image.id for image in order], sort

    def test_m44_what_is_shared_is_sorted_by_what_it_has_now(self, driver: MetadataDriver) -> None:
        """M44: a member's pages, by name and by ``updated_at``, after every change of an image."""
        sample = sample_images(random.Random(44), 20, visibility=Visibility.SHARED)
        sample = [replace(image, owner=ME, os_hidden=False) for image in sample]
        _keep_all(driver, sample)
        for image in sample:
            _share(driver, image, OTHER, MemberStatus.ACCEPTED)
        for name, image in zip(("zz", None, "aa", "", "mm"), sample[::4], strict=True):
            _save(driver, replace(_get(driver, image.id), name=name))
        shown = [_get(driver, image.id) for image in sample]
        for sort in _WALKED:
            (key,) = sort
            order = sorted(
                shown,
                key=lambda one: (*rank(getattr(one, key.column)), one.created_at, one.id),
                reverse=key.descending,
            )
            query = ImageQuery(viewer=_viewer(OTHER), sort=sort, limit=3)
            found = [image for page in _pages(driver, query) for image in page]
            assert found == order, sort

    def test_m23_the_end_of_a_list(self, driver: MetadataDriver) -> None:
        """M23: ``is_full`` is False on the last page only, and a limit of 0 asks for nothing."""
        _keep_all(driver, sample_images(random.Random(23), 5))
        with driver.unit_of_work(read_only=True) as work:
            for limit, full in ((0, False), (4, True), (6, False)):
                page = work.images.find(ImageQuery(limit=limit, os_hidden=None))
                assert (len(page.images), page.is_full) == (min(limit, 5), full)

    def test_m24_markers(self, driver: MetadataDriver) -> None:
        """M24: one that never was, that is deleted, that the viewer cannot see: not found.

        One that the query itself leaves out still marks a place.
        """
        days = (MORNING + timedelta(days=day) for day in itertools.count())
        deleted, private, tagged, other = (
            _kept(driver, an_image(created_at=next(days))),
            _kept(driver, an_image(created_at=next(days), visibility=Visibility.PRIVATE)),
            _kept(driver, an_image(created_at=next(days), tags=frozenset("t"))),
            _kept(driver, an_image(created_at=next(days))),
        )
        _delete(driver, deleted)
        for marker, viewer in (
            (str(uuid.uuid4()), EVERYBODY),
            (deleted.id, EVERYBODY),
            (private.id, _viewer(STRANGER)),
        ):
            with pytest.raises(ImageNotFound):
                _find(driver, marker=marker, viewer=viewer)
        assert [image.id for image in _find(driver, marker=other.id, tags=frozenset("t"))] == [
            tagged.id
        ]

    @pytest.mark.parametrize("column", SORT_KEYS)
    def test_m25_pages_while_others_create_and_delete(
        self, driver: MetadataDriver, column: str
    ) -> None:
        """M25: what is there all the time is visited exactly once, under every sort."""
        staying = sample_images(random.Random(25), 60)
        _keep_all(driver, staying)
        over = threading.Event()

        def churn() -> None:
            choose = random.Random(column)
            while not over.is_set():
                image = _kept(driver, sample_images(choose, 1, tags=frozenset({"churn"}))[0])
                over.wait(0.001)
                _delete(driver, image)

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for descending in (False, True):
                seen = _walk_past_deletions(driver, (SortKey(column, descending),))
                assert sorted(seen) == sorted(image.id for image in staying)
        finally:
            over.set()
            thread.join()

    # -- locations ----------------------------------------------------------------------------

    def test_m26_locations(self, driver: MetadataDriver) -> None:
        """M26: round trip, one for each image and store in whatever state, removal, order."""
        image = _kept(driver, an_image(size=11))
        new = Location(
            url="",
            metadata={"text": _UNICODE, "deep": {"list": [1, None, True]}},
            store="s1",
            status=LocationStatus.WRITING,
            image_id=image.id,
            holder="host/1/a",
        )
        with driver.unit_of_work() as work:
            first = work.locations.add(new)
            assert first.id is not None
            with pytest.raises(Duplicate):
                work.locations.add(replace(new, status=LocationStatus.PENDING_DELETE))
            second = work.locations.add(replace(new, store="s2", holder=None))
            work.commit()
        with driver.unit_of_work() as work:
            expected = [replace(first, size=11), replace(second, size=11)]
            assert list(work.locations.of_image(image.id)) == expected
            assert work.images.get(image.id).locations == ()
            work.locations.remove(second.id or 0)
            work.locations.remove(second.id or 0)
            assert [row.id for row in work.locations.of_image(image.id)] == [first.id]
            again = work.locations.add(replace(new, store="s2"))
            assert again.id not in (first.id, second.id)

    def test_m27_a_location_is_saved_by_compare_and_set(self, driver: MetadataDriver) -> None:
        """M27: only from the expected status; active ones show in the image, in order."""
        image = _kept(driver, an_image(size=11))
        with driver.unit_of_work() as work:
            rows = [
                work.locations.add(
                    Location(url="", store=store, image_id=image.id, status=LocationStatus.WRITING)
                )
                for store in ("z", "a", "m")
            ]
            done = [
                replace(row, url=f"u-{row.store}", status=LocationStatus.ACTIVE, holder=None)
                for row in rows
            ]
            work.locations.save(done[1], expect_status=LocationStatus.WRITING)
            work.locations.save(done[0], expect_status=LocationStatus.WRITING)
            with pytest.raises(Conflict):
                work.locations.save(done[0], expect_status=LocationStatus.WRITING)
            work.locations.remove(rows[2].id or 0)
            with pytest.raises(Conflict):
                work.locations.save(done[2], expect_status=LocationStatus.WRITING)
            work.commit()
        expected = tuple(replace(row, size=11) for row in done[:2])
        assert _get(driver, image.id).locations == expected
        assert _find(driver)[0].locations == expected

    def test_m47_what_audits_found_of_a_copy(self, driver: MetadataDriver) -> None:
        """M47: noted by compare-and-set, kept by ``save``, gone with what was written anew."""
        image = _kept(driver, an_image(size=11))
        with driver.unit_of_work() as work:
            made = work.locations.add(Location(url="u", store="s", image_id=image.id))
            work.commit()
        assert made.audited_at is not None
        assert (made.verified_at, made.finding, made.reason) == (None, None, "")
        later = made.audited_at + timedelta(seconds=1)
        good = replace(made, audited_at=later, verified_at=later, finding=Finding.GOOD)
        bad = replace(
            good, audited_at=later + timedelta(days=1), finding=Finding.BAD, reason=_UNICODE
        )
        with driver.unit_of_work() as work:
            work.locations.note(good, since=made.audited_at)
            for changed in (good, replace(good, url="v"), replace(good, id=(made.id or 0) + 1)):
                with pytest.raises(Conflict):
                    work.locations.note(changed, since=made.audited_at)
            work.locations.note(bad, since=later)
            work.locations.save(replace(made, holder="h"), expect_status=LocationStatus.ACTIVE)
            work.commit()
        (kept,) = _get(driver, image.id).locations
        assert (kept.holder, kept.audited_at, kept.verified_at) == ("h", bad.audited_at, later)
        assert (kept.finding, kept.reason, kept.is_lost) == (Finding.BAD, _UNICODE, True)
        assert _find(driver)[0].is_damaged
        writing = LocationStatus.WRITING
        with driver.unit_of_work() as work:
            work.locations.save(replace(kept, status=writing), expect_status=LocationStatus.ACTIVE)
            with pytest.raises(Conflict):
                work.locations.note(bad, since=bad.audited_at)
            work.locations.save(made, expect_status=writing)
            work.commit()
        (anew,) = _get(driver, image.id).locations
        assert (anew.verified_at, anew.finding, anew.reason) == (None, None, "")
        assert anew.audited_at is not None
        assert anew.audited_at < later + timedelta(hours=1)

    def test_m48_copies_by_their_audits(self, driver: MetadataDriver) -> None:
        """M48: of a store those audited the longest ago; those of one finding, page by page."""
        image, other = _kept(driver, an_image()), _kept(driver, an_image())
        rows = {}
        with driver.unit_of_work() as work:
            for name, owner, store, days, finding in (
                ("new", image, "a", 3, Finding.GOOD),
                ("old", other, "a", 1, Finding.BAD),
                ("elsewhere", image, "b", 0, Finding.BAD),
                ("middle", an_image(), "a", 2, None),
            ):
                at = MORNING + timedelta(days=days)
                row = Location(url="u", store=store, image_id=owner.id, audited_at=at)
                rows[name] = work.locations.add(replace(row, finding=finding))
            going = LocationStatus.PENDING_DELETE
            gone = replace(rows["old"], id=None, image_id=an_image().id, status=going)
            rows["gone"] = work.locations.add(gone)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:

            def due(days: int, limit: int = 9) -> list[int | None]:
                before = MORNING + timedelta(days=days)
                return [row.id for row in work.locations.due("a", before=before, limit=limit)]

            names = ("old", "middle", "new")
            assert due(4) == [rows[name].id for name in names]
            assert due(3) == [rows[name].id for name in names[:2]]
            assert due(3, limit=1) == [rows["old"].id]
            assert due(1) == []
            bad = work.locations.found(Finding.BAD, limit=9)
            assert [row.id for row in bad] == [rows[n].id for n in ("old", "elsewhere", "gone")]
            behind = work.locations.found(Finding.BAD, limit=1, after=rows["old"].id or 0)
            assert [row.id for row in behind] == [rows["elsewhere"].id]
            assert list(work.locations.found(Finding.MISSING, limit=9)) == []

    def test_m49_copies_of_many_images_and_of_all(self, driver: MetadataDriver) -> None:
        """M49: by id, in whatever state, deleted images' too; those of no image asked for not."""
        images = [_kept(driver, an_image()) for _ in range(3)]
        with driver.unit_of_work() as work:
            ids = [
                work.locations.add(
                    Location(url="u", store=store, image_id=one.id, status=status)
                ).id
                for one, store, status in (
                    (images[1], "a", LocationStatus.ACTIVE),
                    (images[0], "a", LocationStatus.PENDING_DELETE),
                    (images[2], "a", LocationStatus.ACTIVE),
                    (images[1], "b", LocationStatus.WRITING),
                )
            ]
            work.commit()
        _delete(driver, _get(driver, images[0].id))
        with driver.unit_of_work(read_only=True) as work:

            def of(*wanted: str) -> list[int | None]:
                return [row.id for row in work.locations.of_images(wanted)]

            assert of(images[0].id, images[1].id) == [ids[0], ids[1], ids[3]]
            assert of(images[2].id, an_image().id) == [ids[2]]
            assert of() == []
            assert [row.id for row in work.locations.walk(limit=9)] == ids
            first, second = work.locations.walk(limit=2)
            assert [first.id, second.id] == ids[:2]
            behind = work.locations.walk(limit=9, after=second.id or 0)
            assert [row.id for row in behind] == ids[2:]
            assert behind[0].url == "u"
            assert list(work.locations.walk(limit=9, after=ids[-1] or 0)) == []

    def test_m28_locations_by_status(self, driver: MetadataDriver) -> None:
        """M28: oldest first, those of deleted images too, as many as asked for."""
        kept, gone = _kept(driver, an_image()), _kept(driver, an_image())
        with driver.unit_of_work() as work:
            ids = [
                work.locations.add(
                    Location(url="u", store=store, image_id=one.id, status=status)
                ).id
                for one, store, status in (
                    (gone, "a", LocationStatus.PENDING_DELETE),
                    (kept, "a", LocationStatus.ACTIVE),
                    (kept, "b", LocationStatus.PENDING_DELETE),
                )
            ]
            work.commit()
        _delete(driver, _get(driver, gone.id))
        with driver.unit_of_work(read_only=True) as work:
            waiting = work.locations.with_status(LocationStatus.PENDING_DELETE, limit=10)
            assert [row.id for row in waiting] == [ids[0], ids[2]]
            waiting = work.locations.with_status(LocationStatus.PENDING_DELETE, limit=1)
            assert [row.id for row in waiting] == [ids[0]]
            assert list(work.locations.with_status(LocationStatus.WRITING, limit=9)) == []

    # -- members ------------------------------------------------------------------------------

    def test_m29_members(self, driver: MetadataDriver) -> None:
        """M29: add, get, list, save, remove; each refusal by its name."""
        image = _kept(driver, an_image())
        first = Member(image_id=image.id, project_id=OTHER, created_at=MORNING, updated_at=MORNING)
        second = replace(first, project_id="a", created_at=MORNING + timedelta(seconds=1))
        with driver.unit_of_work() as work:
            work.members.add(second)
            work.members.add(first)
            with pytest.raises(Duplicate):
                work.members.add(replace(first, status=MemberStatus.ACCEPTED))
            with pytest.raises(ImageNotFound):
                work.members.add(replace(first, image_id=str(uuid.uuid4())))
            work.commit()
        with driver.unit_of_work() as work:
            assert work.members.get(image.id, OTHER) == first
            assert list(work.members.of_image(image.id)) == [first, second]
            saved = work.members.save(replace(first, status=MemberStatus.REJECTED))
            assert saved == work.members.get(image.id, OTHER)
            assert saved.status is MemberStatus.REJECTED
            assert (saved.created_at, saved.updated_at > MORNING) == (MORNING, True)
            work.members.remove(image.id, OTHER)
            for attempt in (
                lambda: work.members.get(image.id, OTHER),
                lambda: work.members.save(first),
                lambda: work.members.remove(image.id, OTHER),
            ):
                with pytest.raises(MemberNotFound):
                    attempt()
            work.members.add(first)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.members.of_image(image.id)) == [first, second]

    # -- events -------------------------------------------------------------------------------

    def test_m30_events_come_back_in_order(self, driver: MetadataDriver) -> None:
        """M30: whole, positions rising, behind a position, as many as asked for."""
        full = Event(
            type="image.create",
            subject="s",
            project_id="p",
            user_id="u",
            request_id="r",
            payload={"text": _UNICODE, "deep": {"list": [1, 2.5, None, True]}},
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
            _at_once(*(lambda writer=writer: write(writer) for writer in range(writers)))
        finally:
            stop.set()
            reader.join()
        assert len(set(seen)) == len(seen) == writers * each

    # -- leases -------------------------------------------------------------------------------

    def test_m33_leases(self, driver: MetadataDriver) -> None:
        """M33: taken, prolonged, run out, given up, forgotten."""
        minute = timedelta(minutes=1)
        with driver.unit_of_work() as work:
            work.leases.renew("a", MORNING)
            work.leases.renew("b", MORNING + 2 * minute)
            work.leases.renew("a", MORNING + minute)
            assert work.leases.holders(alive_at=MORNING) == {"a", "b"}
            assert work.leases.holders(alive_at=MORNING + minute) == {"b"}
            assert work.leases.prune(MORNING + minute) == 0
            assert work.leases.prune(MORNING + 2 * minute) == 1
            assert work.leases.holders(alive_at=MORNING) == {"b"}
            work.leases.release("b")
            work.leases.release("b")
            assert work.leases.holders(alive_at=MORNING) == frozenset()

    # -- many at once -------------------------------------------------------------------------

    def test_m34_no_update_is_lost(self, driver: MetadataDriver) -> None:
        """M34: sixteen threads read, decide and write in one unit of work; none is refused."""
        image = _kept(driver, an_image(min_ram=0))
        threads, each = 16, 8

        def add() -> None:
            for _ in range(each):
                with driver.unit_of_work() as work:
                    read = work.images.get(image.id)
                    changed = replace(read, min_ram=read.min_ram + 1)
                    work.images.save(changed, expect_status={read.status})
                    work.commit()

        _at_once(*[add] * threads)
        assert _get(driver, image.id).min_ram == threads * each

    def test_m35_one_of_many_wins(self, driver: MetadataDriver) -> None:
        """M35: of threads that read first and save later, exactly one gets through."""
        image = _kept(driver, an_image())
        outcomes: list[str] = []

        def claim() -> None:
            with driver.unit_of_work() as work:
                try:
                    saving = replace(image, status=ImageStatus.SAVING)
                    work.images.save(saving, expect_status={ImageStatus.QUEUED})
                    work.commit()
                except StatusConflict:
                    outcomes.append("late")
                else:
                    outcomes.append("won")

        _at_once(*[claim] * 8)
        assert sorted(outcomes) == ["late"] * 7 + ["won"]

    def test_m36_a_storm_of_all_kinds(self, driver: MetadataDriver) -> None:
        """M36: sixteen threads create, list, change and delete; nothing is refused or left."""

        def live(number: int) -> None:
            for _ in range(6):
                image = _kept(driver, an_image(owner=f"p{number}", tags=frozenset("t")))
                found = _find(driver, viewer=_viewer(f"p{number}"), tags=frozenset("t"))
                assert [one.id for one in found] == [image.id]
                _delete(driver, _save(driver, replace(image, name="changed")))

        _at_once(*(lambda number=number: live(number) for number in range(16)))
        assert _find(driver, os_hidden=None, all_visibilities=True) == []

    def test_m37_processes_work_at_once(self, driver: MetadataDriver) -> None:
        """M37: processes forked from this one count together with it and lose nothing."""
        self._needs_outliving()
        image = _kept(driver, an_image(min_ram=0))
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=_count_up, args=(driver, image.id)) for _ in range(3)]
        for process in processes:
            process.start()
        _count_up(driver, image.id)
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert _get(driver, image.id).min_ram == 4 * _TURNS

    # -- staying ------------------------------------------------------------------------------

    def test_m38_records_outlive_the_driver(
        self, driver: MetadataDriver, request: pytest.FixtureRequest
    ) -> None:
        """M38: another driver over the same data sees what was committed, and continues."""
        self._needs_outliving()
        reopen = request.getfixturevalue("reopen")
        image, gone = an_image(), _kept(driver, an_image())
        with driver.unit_of_work() as work:
            _fill(work, image)
            work.commit()
        _delete(driver, gone)
        expected = _get(driver, image.id)
        driver.close()
        again: MetadataDriver = reopen()
        assert _get(again, image.id) == expected
        with again.unit_of_work() as work:
            assert work.events.last_position() == 1
            assert work.leases.holders(alive_at=MORNING) == {"holder"}
            assert [member.project_id for member in work.members.of_image(image.id)] == [OTHER]
            with pytest.raises(Duplicate):
                work.images.add(gone)

    def test_m39_start_and_check(self, driver: MetadataDriver) -> None:
        """M39: starting again changes nothing; ``check`` returns."""
        image = _kept(driver, an_image())
        driver.start()
        driver.check()
        assert _get(driver, image.id) == image

    def test_m40_a_started_database_is_current(self, driver: MetadataDriver) -> None:
        """M40: ``version`` is ``head``; upgrading changes nothing, in several threads at once."""
        if not isinstance(driver, SupportsMigration):
            pytest.skip("this driver does not say that it SupportsMigration")
        image = _kept(driver, an_image())
        assert driver.version() == driver.head()
        _at_once(*[driver.upgrade] * 3)
        assert driver.version() == driver.head()
        assert _get(driver, image.id) == image

    def test_m41_signatures_are_the_contract_s(self, driver: MetadataDriver) -> None:
        """M41: every method takes the contract's parameters under their names."""
        _same_signatures(MetadataDriver, driver)
        with driver.unit_of_work(read_only=True) as work:
            _same_signatures(contract.UnitOfWork, work)
            _same_signatures(contract.ImageRepository, work.images)
            _same_signatures(contract.LocationRepository, work.locations)
            _same_signatures(contract.MemberRepository, work.members)
            _same_signatures(contract.TaskRepository, work.tasks)
            _same_signatures(contract.EventRepository, work.events)
            _same_signatures(contract.LeaseRepository, work.leases)
            _same_signatures(PeriodicRepository, work.periodic)
            _same_signatures(MetadefRepository, work.metadefs)
            _same_signatures(QuotaRepository, work.quotas)
            _same_signatures(LedgerRepository, work.ledger)
            _same_signatures(MarkRepository, work.marks)
            _same_signatures(CacheRepository, work.caches)

    def _needs_outliving(self) -> None:
        if not self.outlives_the_process:
            pytest.skip("this driver keeps its records in one process")


# -- small deeds ----------------------------------------------------------------------------------

_TURNS = 12


def _count_up(driver: MetadataDriver, image_id: str) -> None:
    for _ in range(_TURNS):
        with driver.unit_of_work() as work:
            image = work.images.get(image_id)
            counted = replace(image, min_ram=image.min_ram + 1)
            work.images.save(counted, expect_status={image.status})
            work.commit()


def _fill(work: contract.UnitOfWork, image: Image) -> None:
    work.images.add(image)
    work.locations.add(Location(url="u", store="s", image_id=image.id))
    work.members.add(Member(image_id=image.id, project_id=OTHER))
    work.events.append(Event(type="image.create", subject=image.id))
    work.leases.renew("holder", MORNING + timedelta(days=1))


def _kept(driver: MetadataDriver, image: Image) -> Image:
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.commit()
    return _get(driver, image.id)


_WALKED = [
    (SortKey(column, descending),)
    for column in ("created_at", "name", "updated_at")
    for descending in (False, True)
]
"""The orders in which clients usually ask for pages."""


def _keep_all(driver: MetadataDriver, images: Sequence[Image]) -> None:
    with driver.unit_of_work() as work:
        for image in images:
            work.images.add(image)
        work.commit()


def _get(driver: MetadataDriver, image_id: str) -> Image:
    with driver.unit_of_work(read_only=True) as work:
        return work.images.get(image_id)


def _save(driver: MetadataDriver, image: Image) -> Image:
    with driver.unit_of_work() as work:
        current = work.images.get(image.id)
        wanted = replace(image, version=current.version)
        saved = work.images.save(wanted, expect_status={current.status})
        work.commit()
        return saved


def _delete(driver: MetadataDriver, image: Image) -> None:
    _save(driver, replace(image, status=ImageStatus.DELETED))


def _find(driver: MetadataDriver, **query: Any) -> list[Image]:
    with driver.unit_of_work(read_only=True) as work:
        return list(work.images.find(ImageQuery(**query)).images)


def _pages(driver: MetadataDriver, query: ImageQuery) -> Iterator[tuple[Image, ...]]:
    while True:
        with driver.unit_of_work(read_only=True) as work:
            page = work.images.find(query)
        yield page.images
        if not page.is_full:
            return
        assert page.images, "a page that is full has images"
        query = replace(query, marker=page.images[-1].id)


def _walk_past_deletions(driver: MetadataDriver, sort: tuple[SortKey, ...]) -> list[str]:
    """Return the ids of what stays, page by page, each marker being one that stays.

    A page whose last image does not stay is asked for again with a smaller limit, as a client does
    whose marker was deleted.
    """
    seen: list[str] = []
    marker: str | None = None
    while True:
        found = _find(driver, sort=sort, limit=9, marker=marker, os_hidden=None)
        staying = [image.id for image in found if "churn" not in image.tags]
        seen += staying
        if len(found) < 9 or not staying:
            return seen
        marker = staying[-1]


def _share(driver: MetadataDriver, image: Image, project: str, status: MemberStatus) -> None:
    with driver.unit_of_work() as work:
        work.members.add(Member(image_id=image.id, project_id=project, status=status))
        work.commit()


def _sees(driver: MetadataDriver, viewer: Viewer, image: Image) -> bool:
    with driver.unit_of_work(read_only=True) as work:
        try:
            return work.images.get(image.id, viewer=viewer) == image
        except ImageNotFound:
            return False


def _is_more(driver: MetadataDriver, position: int) -> bool:
    with driver.unit_of_work(read_only=True) as work:
        return work.events.last_position() > position


def _viewer(project: str | None, *, is_admin: bool = False) -> Viewer:
    return Viewer(project_id=project, is_admin=is_admin)


def _named_viewer(who: str) -> Viewer:
    if who.startswith("admin"):
        return Viewer(project_id=who.partition("-")[2] or None, is_admin=True)
    return Viewer(project_id=who)


def _one_of_each(driver: MetadataDriver) -> list[str]:
    """Keep an image of each visibility for two owners; those of ``me`` have members."""
    names = []
    for owner, visibility in itertools.product(("mine", "other"), Visibility):
        project = ME if owner == "mine" else OTHER
        image = an_image(owner=project, visibility=visibility, name=f"{owner}-{visibility}")
        _kept(driver, image)
        names.append(image.name or "")
        if owner == "mine":
            _share(driver, image, "accepted", MemberStatus.ACCEPTED)
            _share(driver, image, "pending", MemberStatus.PENDING)
    return names


def _of(names: set[str], visibility: Visibility) -> set[str]:
    return {name for name in names if name.endswith(visibility)}


def _at_once(*deeds: Callable[[], object]) -> None:
    """Do all in threads of their own, begun together; raise what the first to fail raised."""
    barrier = threading.Barrier(len(deeds))

    def run(deed: Callable[[], object]) -> None:
        barrier.wait(30)
        deed()

    with ThreadPoolExecutor(len(deeds)) as threads:
        for running in [threads.submit(run, deed) for deed in deeds]:
            running.result()


def _share_some(driver: MetadataDriver, sample: Sequence[Image], choose: random.Random) -> None:
    with driver.unit_of_work() as work:
        for image in sample:
            if choose.random() < 0.5:
                status = choose.choice(list(MemberStatus))
                work.members.add(Member(image_id=image.id, project_id=ME, status=status))
        work.commit()


def _same_signatures(protocol: type, implementation: object) -> None:
    for name, promised in vars(protocol).items():
        if name.startswith("_") or not inspect.isfunction(promised):
            continue
        wanted = list(inspect.signature(promised).parameters.values())[1:]
        given = list(inspect.signature(getattr(implementation, name)).parameters.values())
        facts = [(one.name, one.kind, one.default) for one in given]
        assert facts == [(one.name, one.kind, one.default) for one in wanted], name
