# SPDX-License-Identifier: Apache-2.0
"""The metadata suite accepts the memory driver, and catches every driver that lies."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Duplicate
from glancekit.core.model.events import Event
from glancekit.core.model.identity import EVERYBODY
from glancekit.core.model.image import Image, Location, Tombstone
from glancekit.core.model.listing import ImageQuery, Page
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.quota import ProjectUsage
from glancekit.testing.memory_metadata import MemoryMetadata, MemoryUnitOfWork
from glancekit.testing.metadata import MetadataConformance
from glancekit.testing.metadata_samples import ME

Lie = Callable[["LyingUnitOfWork"], None]


class TestMemoryMetadata(MetadataConformance):
    """The plainest driver keeps the contract."""

    outlives_the_process = False

    @pytest.fixture
    def driver(self) -> MemoryMetadata:
        return MemoryMetadata()


class LyingUnitOfWork(MemoryUnitOfWork):
    """A memory unit of work in which one thing is not true."""

    lie: Lie

    def __enter__(self) -> LyingUnitOfWork:
        super().__enter__()
        self.lie(self)
        return self

    @property
    def records(self) -> Any:
        """What a lie about the records themselves works on."""
        return self._state


class LyingMetadata(MemoryMetadata):
    """A driver whose units of work all lie alike."""

    def __init__(self, lie: Lie) -> None:
        super().__init__()
        self._lie = lie

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        work = LyingUnitOfWork(self, read_only=read_only)
        work.lie = self._lie
        return work


# -- the lies: each replaces one method of one unit of work --------------------------------------


def drops_events(work: LyingUnitOfWork) -> None:
    def append(event: Event) -> None: ...

    work.events.append = append


def commits_by_itself(work: LyingUnitOfWork) -> None:
    work.commit()
    work._driver.state = work.records


def forgets_to_commit(work: LyingUnitOfWork) -> None:
    def commit() -> None: ...

    work.commit = commit


def ignores_the_status(work: LyingUnitOfWork) -> None:
    save = work.images.save
    work.images.save = lambda image, *, expect_status: save(image, expect_status=set(ImageStatus))


def ignores_the_version(work: LyingUnitOfWork) -> None:
    save = work.images.save

    def overwrite(image: Image, *, expect_status: set[ImageStatus]) -> Image:
        current = work.images.get(image.id)
        return save(replace(image, version=current.version), expect_status=expect_status)

    work.images.save = overwrite


def gives_ids_out_again(work: LyingUnitOfWork) -> None:
    work.records.deleted.clear()


def shows_everything(work: LyingUnitOfWork) -> None:
    get = work.images.get
    work.images.get = lambda image_id, *, viewer=EVERYBODY: get(image_id)


def lists_communities(work: LyingUnitOfWork) -> None:
    find = work.images.find
    work.images.find = lambda query: find(replace(query, all_visibilities=True))


def asks_no_member(work: LyingUnitOfWork) -> None:
    find = work.images.find
    work.images.find = lambda query: find(replace(query, member_status=None))


def sees_hidden(work: LyingUnitOfWork) -> None:
    find = work.images.find
    work.images.find = lambda query: find(replace(query, os_hidden=None))


def loses_ties(work: LyingUnitOfWork) -> None:
    find = work.images.find

    def skip(query: ImageQuery) -> Page:
        page = find(query)
        if query.marker is None:
            return page
        column = query.sort[0].column
        last = getattr(work.images.get(query.marker, viewer=EVERYBODY), column)
        kept = tuple(image for image in page.images if getattr(image, column) != last)
        return Page(kept, page.is_full)

    work.images.find = skip


def loses_nulls(work: LyingUnitOfWork) -> None:
    find = work.images.find

    def skip(query: ImageQuery) -> Page:
        page = find(query)
        column = query.sort[0].column
        kept = tuple(image for image in page.images if getattr(image, column) is not None)
        return Page(kept, page.is_full and bool(kept))

    work.images.find = skip


def takes_any_marker(work: LyingUnitOfWork) -> None:
    find = work.images.find

    def first_page(query: ImageQuery) -> Page:
        known = query.marker in work.records.images
        return find(query if known else replace(query, marker=None))

    work.images.find = first_page


def folds_case(work: LyingUnitOfWork) -> None:
    find = work.images.find

    def fold(query: ImageQuery) -> Page:
        images = {
            key: replace(image, tags=frozenset(tag.lower() for tag in image.tags))
            for key, image in work.records.images.items()
        }
        work.records.images = images
        return find(replace(query, tags=frozenset(tag.lower() for tag in query.tags)))

    work.images.find = fold


def cuts_times(work: LyingUnitOfWork) -> None:
    add = work.images.add
    work.images.add = lambda image: add(
        replace(image, created_at=image.created_at.replace(microsecond=0))
    )


def cuts_long_values(work: LyingUnitOfWork) -> None:
    add = work.images.add
    work.images.add = lambda image: add(
        replace(image, properties={key: text[:255] for key, text in image.properties.items()})
    )


def reads_what_comes_later(work: LyingUnitOfWork) -> None:
    if work._read_only:
        work.images._state = _Newest(work._driver)


def writes_when_reading(work: LyingUnitOfWork) -> None:
    for repository in (work.images, work.locations, work.members, work.events, work.leases):
        repository._read_only = False


def takes_a_store_twice(work: LyingUnitOfWork) -> None:
    add = work.locations.add

    def add_anyway(location: Location) -> Location:
        try:
            return add(location)
        except Duplicate:
            return add(replace(location, store=f"{location.store} again"))

    work.locations.add = add_anyway


def buries_locations(work: LyingUnitOfWork) -> None:
    save = work.images.save

    def bury(image: Image, *, expect_status: set[ImageStatus]) -> Image:
        saved = save(image, expect_status=expect_status)
        if saved.status is ImageStatus.DELETED:
            work.records.locations.clear()
        return saved

    work.images.save = bury


def prunes_what_was_not_told(work: LyingUnitOfWork) -> None:
    def prune(before: datetime) -> int:
        old = [at for at, event in work.records.events.items() if event.at < before]
        for position in old:
            del work.records.events[position]
        return len(old)

    work.events.prune = prune


def forgets_the_last_position(work: LyingUnitOfWork) -> None:
    work.events.last_position = lambda: max(work.records.events, default=0)


def keeps_every_cursor(work: LyingUnitOfWork) -> None:
    def retain(listeners: Collection[str]) -> None: ...

    work.events.retain = retain


def turns_events_round(work: LyingUnitOfWork) -> None:
    after = work.events.after

    def backwards(position: int, *, limit: int) -> Sequence[Event]:
        return list(reversed(after(position, limit=limit)))

    work.events.after = backwards


def counts_what_others_see(work: LyingUnitOfWork) -> None:
    def usage(project_id: str) -> ProjectUsage:
        with MemoryUnitOfWork(work._driver, read_only=True) as others:
            return others.quotas.usage(project_id)

    work.quotas.usage = usage


def never_releases(work: LyingUnitOfWork) -> None:
    usage = work.quotas.usage

    def with_all(project_id: str) -> ProjectUsage:
        held = sum(work.records.reservations.values())
        return replace(usage(project_id), image_bytes=held)

    work.quotas.usage = with_all


def reserves_for_anybody(work: LyingUnitOfWork) -> None:
    work.quotas.reserve = work.records.reservations.__setitem__


def counts_rows_once(work: LyingUnitOfWork) -> None:
    usage = work.quotas.usage

    def of_images(project_id: str) -> ProjectUsage:
        mine = [image for image in work.records.images.values() if image.owner == project_id]
        return replace(usage(project_id), image_bytes=sum(image.size or 0 for image in mine))

    work.quotas.usage = of_images


def enters_nothing(work: LyingUnitOfWork) -> None:
    def note(before: object, at: datetime) -> None: ...

    work.ledger.note = note


def charges_what_is_written(work: LyingUnitOfWork) -> None:
    note = work.ledger.note

    def too_much(before: Any, at: datetime) -> None:
        rows = dict(work.records.locations)
        for number, row in rows.items():
            work.records.locations[number] = replace(row, status=LocationStatus.ACTIVE)
        note(before, at)
        work.records.locations.update(rows)

    work.ledger.note = too_much


def forgets_who_owned_it(work: LyingUnitOfWork) -> None:
    for account, state in list(work.records.accounts.items()):
        if account[0] != ME:
            work.records.accounts[ME, account[1]] = state
            del work.records.accounts[account]


def enters_late_changes_never(work: LyingUnitOfWork) -> None:
    note = work.ledger.note

    def later(before: Any, at: datetime) -> None:
        entered = [moment for _, moment in work.records.accounts.values()]
        note(before, max([at, *entered]))

    work.ledger.note = later


def settles_for_good(work: LyingUnitOfWork) -> None:
    settle = work.ledger.settle

    def and_commit(until: datetime, *, limit: int) -> int:
        done = settle(until, limit=limit)
        work._driver.state = work.records
        return done

    work.ledger.settle = and_commit


def adds_no_rest(work: LyingUnitOfWork) -> None:
    add = work.ledger.add
    work.ledger.add = lambda use: add(replace(use, rest=0))


def keeps_what_was_said(work: LyingUnitOfWork) -> None:
    def tell(node: str, image_ids: Collection[str], until: datetime) -> None:
        work.records.cached.update({(node, image_id): until for image_id in image_ids})

    work.caches.tell = tell


def lets_no_word_run_out(work: LyingUnitOfWork) -> None:
    nodes_with = work.caches.nodes_with
    long_ago = datetime.min.replace(tzinfo=UTC)
    work.caches.nodes_with = lambda image_id, *, at: nodes_with(image_id, at=long_ago)


def says_it_at_once(work: LyingUnitOfWork) -> None:
    def tell(node: str, image_ids: Collection[str], until: datetime) -> None:
        for image_id in image_ids:
            work._driver.state.cached[node, image_id] = until

    work.caches.tell = tell


def keeps_every_mark(work: LyingUnitOfWork) -> None:
    put = work.marks.put
    work.marks.put = lambda name, text: None if text is None else put(name, text)


def walks_past_hidden_ones(work: LyingUnitOfWork) -> None:
    walk = work.images.walk

    def past(*, limit: int, after: str | None = None) -> list[Image]:
        return [image for image in walk(limit=limit, after=after) if not image.os_hidden]

    work.images.walk = past


def buries_nothing(work: LyingUnitOfWork) -> None:
    def bury(tombstone: Tombstone) -> bool:
        return True

    work.images.bury = bury


def renames_a_parameter(work: LyingUnitOfWork) -> None:
    after = work.events.after
    work.events.after = lambda position, *, count: after(position, limit=count)


class _Newest:
    """The records as they are at each look."""

    def __init__(self, driver: MemoryMetadata) -> None:
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver.state, name)


suite = MetadataConformance()
by_name = partial(suite.test_m21_every_sort_with_nulls, column="name", descending=False)
by_time = partial(suite.test_m21_every_sort_with_nulls, column="created_at", descending=True)
plain_list = partial(suite.test_m12_who_may_list, visibility=None)

CAUGHT: list[tuple[Lie, Callable[..., None]]] = [
    (drops_events, suite.test_m30_events_come_back_in_order),
    (commits_by_itself, suite.test_m01_leaving_without_commit_rolls_back),
    (forgets_to_commit, suite.test_m02_commit_shows_all_of_it_at_once),
    (ignores_the_status, suite.test_m09_save_is_a_compare_and_set),
    (ignores_the_status, suite.test_m35_one_of_many_wins),
    (ignores_the_version, suite.test_m09_save_is_a_compare_and_set),
    (gives_ids_out_again, suite.test_m07_an_id_is_given_out_once),
    (shows_everything, suite.test_m11_who_may_get),
    (lists_communities, plain_list),
    (asks_no_member, plain_list),
    (asks_no_member, suite.test_m14_membership_moves_images_between_lists),
    (sees_hidden, suite.test_m15_hidden_images),
    (loses_ties, by_time),
    (loses_nulls, by_name),
    (takes_any_marker, suite.test_m24_markers),
    (folds_case, suite.test_m18_tags_and_properties_are_exact),
    (cuts_times, suite.test_m06_an_image_comes_back_as_it_was),
    (cuts_long_values, suite.test_m06_an_image_comes_back_as_it_was),
    (reads_what_comes_later, suite.test_m04_read_only_sees_one_state),
    (writes_when_reading, suite.test_m03_read_only_refuses_to_write),
    (takes_a_store_twice, suite.test_m26_locations),
    (buries_locations, suite.test_m10_a_deleted_image_is_gone),
    (buries_nothing, suite.test_m43_ids_of_elsewhere_stay_taken),
    (prunes_what_was_not_told, suite.test_m31_cursors_and_pruning),
    (forgets_the_last_position, suite.test_m31_cursors_and_pruning),
    (keeps_every_cursor, suite.test_m42_only_retained_listeners_hold_events_back),
    (turns_events_round, suite.test_m30_events_come_back_in_order),
    (counts_what_others_see, suite.test_m61_usage_follows_an_upload),
    (counts_what_others_see, suite.test_m67_no_thread_gets_past_a_limit),
    (never_releases, suite.test_m62_a_copy_that_is_given_up_returns_its_reservation),
    (reserves_for_anybody, suite.test_m63_reserving_is_for_the_holder),
    (counts_rows_once, partial(suite.test_m66_usage_is_what_the_records_say, seed=1)),
    (enters_nothing, suite.test_m71_what_is_kept_is_entered_to_the_byte),
    (charges_what_is_written, suite.test_m72_what_is_written_or_staged_or_nobodys_is_not_entered),
    (forgets_who_owned_it, suite.test_m73_owners_and_deletions_are_followed),
    (enters_late_changes_never, suite.test_m71_what_is_kept_is_entered_to_the_byte),
    (enters_late_changes_never, suite.test_m74_entries_do_not_depend_on_when_they_were_made),
    (settles_for_good, suite.test_m75_what_is_not_committed_is_not_entered),
    (adds_no_rest, suite.test_m76_entries_are_found_in_order_and_forgotten),
    (keeps_every_mark, suite.test_m77_marks_are_put_and_taken_away),
    (keeps_what_was_said, suite.test_m91_a_host_s_word_takes_the_place_of_its_last),
    (lets_no_word_run_out, suite.test_m92_a_host_s_word_runs_out),
    (says_it_at_once, suite.test_m93_what_hosts_say_is_written_like_all_else),
    (walks_past_hidden_ones, suite.test_m78_walking_visits_every_image_once),
    (renames_a_parameter, suite.test_m41_signatures_are_the_contract_s),
]


def test_each_promise_is_in_the_docs() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "contracts" / "metadata.rst"
    described = re.findall(r"^\*\*(MD?)(\d+)\*\* ", page.read_text(), flags=re.MULTILINE)
    tested = re.findall(r"test_(md?)(\d+)_", " ".join(dir(MetadataConformance)))
    assert sorted((kind.lower(), int(number)) for kind, number in described) == sorted(
        (kind, int(number)) for kind, number in tested
    )


@pytest.mark.parametrize(("lie", "test"), CAUGHT)
def test_a_lie_is_caught(lie: Lie, test: Callable[..., None]) -> None:
    test(driver=MemoryMetadata())
    with pytest.raises((Exception, pytest.fail.Exception)):
        test(driver=LyingMetadata(lie))
