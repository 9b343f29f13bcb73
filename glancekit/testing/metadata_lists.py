# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about lists; ``MetadataConformance`` has it in it."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import ImageNotFound
from glancekit.core.model.identity import EVERYBODY
from glancekit.core.model.image import Image, Member, MemberStatus, Visibility
from glancekit.core.model.listing import SORT_KEYS, Comparison, Condition, ImageQuery, SortKey
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.metadata_deeds import an_image, viewer_of
from glancekit.testing.metadata_samples import (
    ME,
    MORNING,
    OTHER,
    STRANGER,
    UNICODE,
    WALKED,
    a_query,
    conditions_on,
    meets,
    rank,
    sample_images,
)


class ListConformance:
    """What every metadata driver promises about lists of images."""

    def test_m16_every_comparison(self, driver: MetadataDriver) -> None:
        """M16: of texts, numbers, times and truth values, nulls among them; null meets none."""
        sample = sample_images(random.Random(16), 24)
        _keep_all(driver, sample)
        for condition in conditions_on(sample):
            expected = {image.id for image in sample if meets(image, condition)}
            found = deeds.find(driver, conditions=(condition,), limit=1000)
            assert {image.id for image in found} == expected, condition

    def test_m17_numbers_beyond_every_column(self, driver: MetadataDriver) -> None:
        """M17: comparing with a number that no record can have is no error."""
        image = deeds.keep(driver, an_image(size=5))
        huge = 1 << 80
        for comparison, value in ((Comparison.LT, huge), (Comparison.GT, -huge)):
            assert [
                found.id
                for found in deeds.find(driver, conditions=(Condition("size", comparison, value),))
            ] == [image.id]
        assert deeds.find(driver, conditions=(Condition("size", Comparison.GTE, huge),)) == []

    def test_m18_tags_and_properties_are_exact(self, driver: MetadataDriver) -> None:
        """M18: case, spaces, wildcards and code points count; several all have to hold."""
        words = ("a", "A", "a ", " a", "%", "_", UNICODE, "é", "e\u0301", "x" * 70_000)
        for word in words:
            deeds.keep(driver, an_image(name=word[:10], tags=frozenset({word, "all"})))
            deeds.keep(driver, an_image(name=word[:10], properties={"p": word, word[:200]: "q"}))
        for word in words:
            for query in (
                {"tags": frozenset({word})},
                {"tags": frozenset({word, "all"})},
                {"properties": {"p": word}},
                {"properties": {"p": word, word[:200]: "q"}},
            ):
                (found,) = deeds.find(driver, **query)
                assert found.name == word[:10], (word[:10], query)
        assert deeds.find(driver, tags=frozenset({"a", "A"})) == []
        assert deeds.find(driver, properties={"p": "all"}) == []

    def test_m19_save_moves_between_filtered_lists(self, driver: MetadataDriver) -> None:
        """M19: a changed name, tag, property, owner or visibility shows in filters at once."""
        image = deeds.keep(driver, an_image(name="n", tags=frozenset("t"), properties={"p": "v"}))
        changed = deeds.save(
            driver,
            replace(image, name="m", tags=frozenset("u"), properties={"p": "w"}, owner=OTHER),
        )
        for owner, name, tag, value, hit in ((ME, "n", "t", "v", 0), (OTHER, "m", "u", "w", 1)):
            for viewer in (EVERYBODY, viewer_of(owner)):
                named = (Condition("name", Comparison.EQ, name),)
                assert len(deeds.find(driver, viewer=viewer, conditions=named)) == hit
                assert len(deeds.find(driver, viewer=viewer, tags=frozenset(tag))) == hit
                assert len(deeds.find(driver, viewer=viewer, properties={"p": value})) == hit
        assert deeds.find(driver) == [changed]
        assert deeds.find(driver, viewer=viewer_of(ME)) == []

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
            deeds.share(driver, image, OTHER, MemberStatus.ACCEPTED)
        for name, image in zip(("zz", None, "aa", "", "mm"), sample[::4], strict=True):
            deeds.save(driver, replace(deeds.get(driver, image.id), name=name))
        shown = [deeds.get(driver, image.id) for image in sample]
        for sort in WALKED:
            (key,) = sort
            order = sorted(
                shown,
                key=lambda one: (*rank(getattr(one, key.column)), one.created_at, one.id),
                reverse=key.descending,
            )
            query = ImageQuery(viewer=viewer_of(OTHER), sort=sort, limit=3)
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
            deeds.keep(driver, an_image(created_at=next(days))),
            deeds.keep(driver, an_image(created_at=next(days), visibility=Visibility.PRIVATE)),
            deeds.keep(driver, an_image(created_at=next(days), tags=frozenset("t"))),
            deeds.keep(driver, an_image(created_at=next(days))),
        )
        deeds.delete(driver, deleted)
        for marker, viewer in (
            (str(uuid.uuid4()), EVERYBODY),
            (deleted.id, EVERYBODY),
            (private.id, viewer_of(STRANGER)),
        ):
            with pytest.raises(ImageNotFound):
                deeds.find(driver, marker=marker, viewer=viewer)
        behind = deeds.find(driver, marker=other.id, tags=frozenset("t"))
        assert [image.id for image in behind] == [tagged.id]

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
                image = deeds.keep(driver, sample_images(choose, 1, tags=frozenset({"churn"}))[0])
                over.wait(0.001)
                deeds.delete(driver, image)

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for descending in (False, True):
                seen = _walk_past_deletions(driver, (SortKey(column, descending),))
                assert sorted(seen) == sorted(image.id for image in staying)
        finally:
            over.set()
            thread.join()


def _keep_all(driver: MetadataDriver, images: Sequence[Image]) -> None:
    with driver.unit_of_work() as work:
        for image in images:
            work.images.add(image)
        work.commit()


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
        found = deeds.find(driver, sort=sort, limit=9, marker=marker, os_hidden=None)
        staying = [image.id for image in found if "churn" not in image.tags]
        seen += staying
        if len(found) < 9 or not staying:
            return seen
        marker = staying[-1]


def _share_some(driver: MetadataDriver, sample: Sequence[Image], choose: random.Random) -> None:
    with driver.unit_of_work() as work:
        for image in sample:
            if choose.random() < 0.5:
                status = choose.choice(list(MemberStatus))
                work.members.add(Member(image_id=image.id, project_id=ME, status=status))
        work.commit()
