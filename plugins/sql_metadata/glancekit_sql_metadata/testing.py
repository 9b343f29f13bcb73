# SPDX-License-Identifier: Apache-2.0
"""What every driver for a database server has to show besides the kit, on a real server.

A dialect plugin's test is a subclass with the fixtures ``server``, ``database``, ``build`` and
``driver``; see those of ``glancekit_postgresql_metadata``. No running service imports it.
"""

from __future__ import annotations

import multiprocessing
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.engine import make_url

from glancekit.plugin import (
    DAY,
    ConfigError,
    Conflict,
    Event,
    Image,
    ImageNotFound,
    ImageQuery,
    Invalid,
    Location,
    MetadataError,
    MetadataUnavailable,
    SchemaMismatch,
)
from glancekit.testing.wire import HERE, Line, Wire
from glancekit_sql_metadata import migrate, server_connections
from glancekit_sql_metadata.server import ServerMetadata
from glancekit_sql_metadata.tables import REVISION, image_lists, metadata

Build = Callable[..., ServerMetadata]


class Server(Protocol):
    """A real server, as the tests need it."""

    def start(self) -> None:
        """Start it again on its data."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def connections(self, name: str) -> list[int]:
        """Return the numbers of the connections to a database but for the asker's own."""
        ...

    def cut(self, number: int) -> None:
        """End a connection."""
        ...

    def limit_connections(self, database: str, count: int) -> str:
        """Return the URL of a database for a user of its own who may have so many."""
        ...

    def execute(self, statement: str, database: str) -> list[tuple[object, ...]]:
        """Do something with all rights."""
        ...


def an_image(**facts: Any) -> Image:
    """Return a new image."""
    return Image(**{"id": str(uuid.uuid4()), "owner": "me", **facts})


def add(driver: ServerMetadata, **facts: Any) -> Image:
    """Keep a new image with a copy and an event, in one transaction."""
    image = an_image(**facts)
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.locations.add(Location(url="u", store="s", image_id=image.id))
        work.events.append(Event(type="image.create", subject=image.id))
        work.commit()
    return image


def _name(driver: ServerMetadata, image: Image) -> str | None:
    with driver.unit_of_work(read_only=True) as work:
        return work.images.get(image.id).name


def ids(driver: ServerMetadata) -> set[str]:
    """Return the ids of all images."""
    with driver.unit_of_work(read_only=True) as work:
        query = ImageQuery(limit=100_000, all_visibilities=True)
        return {image.id for image in work.images.find(query).images}


def name_of(database: str) -> str:
    """Return the name of a database by its URL."""
    return make_url(database).database or ""


class ServerConformance:
    """What happens when servers, connections and locks are not as one would like them."""

    # -- the server goes away -----------------------------------------------------------------

    def test_a_server_killed_in_a_storm_loses_nothing_and_all_carry_on(
        self, server: Server, driver: ServerMetadata
    ) -> None:
        """No committed change is lost, none is kept in part, nobody has to start again."""
        committed: list[str] = []
        over = threading.Event()
        wrong: list[BaseException] = []

        def live() -> None:
            while not over.is_set():
                try:
                    committed.append(add(driver).id)
                except MetadataUnavailable:
                    continue
                except BaseException as error:
                    wrong.append(error)
                    raise

        threads = [threading.Thread(target=live) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                _wait_for_more(committed, 40)
                server.kill()
                time.sleep(0.3)
                server.start()
                _wait_for_more(committed, 40)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert ids(driver) >= set(committed)
        _assert_whole(driver)

    def test_connections_that_were_cut_while_nobody_used_them_are_not_noticed(
        self, server: Server, database: str, driver: ServerMetadata
    ) -> None:
        """A firewall, a restart: whoever comes next is served."""
        first = add(driver)
        name = name_of(database)
        for number in server.connections(name):
            server.cut(number)
        _wait(lambda: not server.connections(name))
        assert ids(driver) == {first.id}
        for number in server.connections(name):
            server.cut(number)
        second = add(driver)
        assert ids(driver) == {first.id, second.id}

    def test_a_server_that_comes_back_in_time_is_waited_for(
        self, server: Server, driver: ServerMetadata
    ) -> None:
        """A restart is a slow answer."""
        image = add(driver)
        server.kill()
        thread = threading.Timer(0.5, server.start)
        thread.start()
        try:
            assert ids(driver) == {image.id}
        finally:
            thread.join()

    def test_a_server_that_stays_away_is_told(self, server: Server, build: Build) -> None:
        """After ``patience``, and everything is well when it is back."""
        driver = build(patience=0.2)
        driver.start()
        image = add(driver)
        server.kill()
        try:
            with pytest.raises(MetadataUnavailable) as told:
                ids(driver)
            with pytest.raises(MetadataUnavailable):
                driver.check()
        finally:
            server.start()
        assert "secret" not in str(told.value)
        assert ids(driver) == {image.id}

    def test_a_connection_that_breaks_in_the_middle_ends_the_unit(
        self, server: Server, database: str, driver: ServerMetadata
    ) -> None:
        """Nothing is repeated in another transaction, nothing is kept."""
        image = add(driver)
        with driver.unit_of_work() as work:
            stored = work.images.get(image.id)
            work.images.save(replace(stored, name="half"), expect_status={stored.status})
            for number in server.connections(name_of(database)):
                server.cut(number)
            with pytest.raises(MetadataUnavailable):
                work.images.add(an_image())
            with pytest.raises(MetadataUnavailable):
                work.images.get(image.id)
            with pytest.raises(MetadataUnavailable):
                work.commit()
        with driver.unit_of_work(read_only=True) as work:
            assert work.images.get(image.id).name is None
        assert ids(driver) == {image.id}

    def test_a_connection_that_breaks_behind_the_commit_harms_nobody(
        self,
        server: Server,
        database: str,
        driver: ServerMetadata,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What was committed was committed, and no place in the pool is lost."""
        let_go = server_connections._let_go

        def cut_and_let_go(connection: Connection) -> None:
            for number in server.connections(name_of(database)):
                server.cut(number)
            let_go(connection)

        with monkeypatch.context() as patched:
            patched.setattr(server_connections, "_let_go", cut_and_let_go)
            image = add(driver)
        assert ids(driver) == {image.id}

    # -- the answer to a commit gets lost -----------------------------------------------------

    def test_a_commit_whose_answer_got_lost_has_happened(
        self, database: str, build: Build, driver: ServerMetadata
    ) -> None:
        """It is looked up, and the caller hears of nothing."""
        with _CuttingWire(database) as wire:
            through = build(connection=wire.database)
            through.start()
            wire.cut_at_commit(forward=True)
            image = add(through)
        assert ids(driver) == {image.id}
        _assert_whole(driver)

    def test_a_commit_that_got_lost_has_not_happened(
        self, database: str, build: Build, driver: ServerMetadata
    ) -> None:
        """It is looked up, and the caller is told that nothing was changed."""
        with _CuttingWire(database) as wire:
            through = build(connection=wire.database)
            through.start()
            wire.cut_at_commit(forward=False)
            with pytest.raises(MetadataUnavailable):
                add(through)
            assert ids(driver) == set()
            image = add(through)
        assert ids(driver) == {image.id}

    def test_a_commit_that_cannot_be_looked_up_is_told(
        self, database: str, build: Build, driver: ServerMetadata
    ) -> None:
        """An outcome that is not known is not made up."""
        with _CuttingWire(database) as wire:
            through = build(connection=wire.database, patience=0.2)
            through.start()
            wire.cut_at_commit(forward=True, forever=True)
            with pytest.raises(MetadataUnavailable, match="could not be found out"):
                add(through)
        assert len(ids(driver)) == 1

    # -- connections --------------------------------------------------------------------------

    def test_there_are_never_more_connections_than_configured(
        self, server: Server, database: str, build: Build
    ) -> None:
        """Threads wait for each other; one that waits too long is told."""
        driver = build(max_pool_size=2, max_overflow=1, pool_timeout=0.2)
        driver.start()
        inside, over = threading.Barrier(4), threading.Event()

        def hold() -> None:
            with driver.unit_of_work(read_only=True) as work:
                work.events.last_position()
                inside.wait(30)
                over.wait(30)

        threads = [threading.Thread(target=hold) for _ in range(3)]
        for thread in threads:
            thread.start()
        inside.wait(30)
        try:
            assert len(server.connections(name_of(database))) == 3
            with pytest.raises(MetadataUnavailable, match="max_pool_size"):
                ids(driver)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert ids(driver) == set()
        _wait(lambda: len(server.connections(name_of(database))) == 2)

    def test_a_server_without_connections_left_is_waited_for(
        self, server: Server, database: str, build: Build, driver: ServerMetadata
    ) -> None:
        """As long as ``patience`` says; then it is told."""
        url = server.limit_connections(database, 1)
        one, other = build(connection=url), build(connection=url, patience=0.2)
        with one.unit_of_work(read_only=True) as work:
            work.events.last_position()
            with pytest.raises(MetadataUnavailable):
                other.check()
            patient = build(connection=url, patience=20)
            waiting = threading.Thread(target=patient.check)
            waiting.start()
            time.sleep(0.2)
            assert waiting.is_alive()
        for number in server.connections(name_of(database)):
            server.cut(number)
        waiting.join()
        assert ids(driver) == set()

    def test_a_fork_opens_connections_of_its_own(
        self, server: Server, database: str, driver: ServerMetadata
    ) -> None:
        """Those of its parent are neither used nor closed."""
        image = add(driver)
        before = set(server.connections(name_of(database)))
        context = multiprocessing.get_context("fork")
        told, telling = context.Pipe(duplex=False)

        def look() -> None:
            seen = ids(driver)
            telling.send((seen, set(server.connections(name_of(database))) - before))
            driver.close()

        process = context.Process(target=look)
        process.start()
        seen, opened = told.recv()
        process.join(30)
        assert process.exitcode == 0
        assert seen == {image.id}
        assert opened
        assert ids(driver) == {image.id}
        assert before & set(server.connections(name_of(database)))

    # -- locks --------------------------------------------------------------------------------

    def test_a_deadlock_is_told_to_one_and_changes_nothing(self, driver: ServerMetadata) -> None:
        """The other one gets through."""
        images = [add(driver), add(driver)]
        meeting = threading.Barrier(2)
        outcomes: list[str] = []

        def change(order: list[Image], name: str) -> None:
            try:
                with driver.unit_of_work() as work:
                    for number, image in enumerate(order):
                        stored = work.images.get(image.id)
                        changed = replace(stored, name=name)
                        work.images.save(changed, expect_status={stored.status})
                        if number == 0:
                            meeting.wait(30)
                    work.commit()
            except MetadataUnavailable:
                outcomes.append("told")
            else:
                outcomes.append(name)

        threads = [
            threading.Thread(target=change, args=(images, "a")),
            threading.Thread(target=change, args=(images[::-1], "b")),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = set(outcomes) - {"told"}
        assert sorted(outcomes) == sorted([winner, "told"])
        with driver.unit_of_work(read_only=True) as work:
            assert [work.images.get(image.id).name for image in images] == [winner] * 2

    def test_whoever_waits_too_long_for_a_lock_is_told(
        self, driver: ServerMetadata, build: Build
    ) -> None:
        """And may ask again."""
        image = add(driver)
        hasty = build(lock_timeout=1)
        with driver.unit_of_work() as work:
            work.images.get(image.id)
            with (
                pytest.raises(MetadataUnavailable, match="busy"),
                hasty.unit_of_work() as other,
            ):
                other.images.get(image.id)
        with hasty.unit_of_work() as other:
            assert other.images.get(image.id).id == image.id

    def test_what_a_host_held_that_vanished_is_let_go_of(
        self, driver: ServerMetadata, build: Build, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says nothing any more in the middle of a transaction, and the server ends that."""
        image = add(driver)
        monkeypatch.setattr(f"{type(driver).__module__.rpartition('.')[0]}.dialect._KEPT_OPEN", 1)
        vanished, unit = build(), ExitStack()
        held = unit.enter_context(vanished.unit_of_work())
        held.images.get(image.id)
        with driver.unit_of_work() as work:  # which waits for lock_timeout seconds at most
            work.images.save(replace(image, name="changed"), expect_status={image.status})
            work.commit()
        with pytest.raises(MetadataError), unit:
            held.images.save(replace(image, name="lost"), expect_status={image.status})
            held.commit()
        assert _name(driver, image) == "changed"

    def test_an_id_is_not_given_out_while_its_image_is_being_deleted(
        self, driver: ServerMetadata
    ) -> None:
        """Whoever would add it waits, and is told."""
        image = add(driver)
        outcomes: list[str] = []

        def reuse() -> None:
            try:
                with driver.unit_of_work() as other:
                    other.images.add(an_image(id=image.id))
                    other.commit()
            except Conflict as error:
                outcomes.append(type(error).__name__)

        with driver.unit_of_work() as work:
            stored = work.images.get(image.id)
            deleted = replace(stored, status=type(stored.status)("deleted"))
            work.images.save(deleted, expect_status={stored.status})
            thread = threading.Thread(target=reuse)
            thread.start()
            time.sleep(0.3)
            work.commit()
        thread.join()
        assert outcomes == ["Duplicate"]
        with pytest.raises(ImageNotFound), driver.unit_of_work(read_only=True) as work:
            work.images.get(image.id)

    # -- what is configured -------------------------------------------------------------------

    def test_no_password_is_told(self, database: str, build: Build) -> None:
        """Neither a wrong one nor that of a URL that cannot be used."""
        url = make_url(database).set(password="hidden-word")
        with pytest.raises(MetadataUnavailable) as refused:
            build(connection=url.render_as_string(hide_password=False), patience=0).start()
        assert "hidden-word" not in str(refused.value)
        for wrong in (None, "", "hidden-word", "oracle://me:hidden-word@host/db", "http://["):
            with pytest.raises(ConfigError) as told:
                build(connection=wrong)
            assert "hidden-word" not in str(told.value)

    @pytest.mark.parametrize("facts", [{"name": "\ud800"}, {"min_ram": 1 << 70}])
    def test_what_no_database_can_keep_is_invalid(
        self, driver: ServerMetadata, facts: dict[str, Any]
    ) -> None:
        """It is told, and nothing is kept."""
        with pytest.raises(Invalid):
            add(driver, **facts)
        assert ids(driver) == set()

    # -- the schema ---------------------------------------------------------------------------

    def test_the_schema_is_made_once_by_processes_that_start_at_once(self, build: Build) -> None:
        """All of them then work."""
        driver = build()
        context = multiprocessing.get_context("fork")
        ready = context.Barrier(4)

        def start() -> None:
            ready.wait(30)
            driver.start()
            add(driver)

        processes = [context.Process(target=start) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 4
        assert len(ids(driver)) == 4

    @pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005", "0006", "0007"])
    def test_every_earlier_revision_is_upgraded_with_what_is_in_it(
        self, build: Build, revision: str
    ) -> None:
        """A start says what to run; two that run it do it once."""
        driver = build()
        with _connection(driver) as connection:
            _migrate_to(connection, revision)
            connection.execute(_OLD_IMAGE)
            connection.execute(_OLD_LOCATION)
        with pytest.raises(SchemaMismatch, match="glancekit db upgrade") as told:
            driver.start()
        assert (told.value.found, driver.version()) == (revision, revision)
        threads = [threading.Thread(target=driver.upgrade) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert driver.version() == driver.head() == REVISION
        driver.start()
        with driver.unit_of_work() as work:
            image = work.images.get("old")
            assert (image.name, image.locations[0].url) == ("ü", "u")
            # What was there before there were sums is counted.
            assert work.quotas.usage("me").image_bytes == (5 if revision < "0004" else 0)
            tomorrow = _now() + DAY
            assert [work.ledger.settle(tomorrow, limit=10) for _ in range(3)] == [1, 1, 0]
            entered = work.ledger.find(since=_now() - DAY, until=_now() + 2 * DAY, limit=10)
            assert sum(use.byte_hours for use in entered) in (5 * 24 - 1, 5 * 24)
            work.images.save(replace(image, name="new"), expect_status={image.status})
            work.commit()
        add(driver)

    def test_a_fresh_schema_is_what_the_migrations_make(
        self, server: Server, build: Build
    ) -> None:
        """Column by column, index by index."""
        driver = build()
        driver.start()
        with _connection(driver) as connection:
            fresh = _described(connection)
            metadata.drop_all(connection)
            connection.execute(text("DROP TABLE alembic_version"))
        driver.upgrade()
        with _connection(driver) as connection:
            assert _described(connection) == fresh

    def test_an_earlier_revision_can_be_gone_back_to(self, driver: ServerMetadata) -> None:
        """What it knew stays, and is there when the database comes up again."""
        image = add(driver)
        assert driver.statistics()["images"] == 1
        with pytest.raises(SchemaMismatch, match="cannot be brought back"):
            driver.downgrade(REVISION)
        assert driver.undone_by_downgrade("0003")[-1].startswith("0004: ")
        driver.downgrade("0003")
        assert driver.version() == "0003"
        assert "project_usage" not in driver.statistics()
        driver.upgrade()
        driver.start()
        _assert_whole(driver)
        assert ids(driver) == {image.id}

    def test_making_the_schema_goes_on_where_it_was_cut_off(self, build: Build) -> None:
        """Where it is one transaction, this never shows."""
        driver = build()
        driver.start()
        with _connection(driver) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
            connection.execute(text("DROP TABLE commits"))
        driver.start()
        add(driver)
        with _connection(driver) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
            connection.execute(text("DROP TABLE commits"))
        driver.upgrade()
        add(driver)
        assert len(ids(driver)) == 2

    def test_a_database_of_something_else_is_not_touched(self, build: Build) -> None:
        """It is told whose it is not."""
        driver = build()
        with _connection(driver) as connection:
            connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
        for attempt in (driver.start, driver.upgrade, driver.version):
            with pytest.raises(SchemaMismatch, match="not glancekit's"):
                attempt()
        with _connection(driver) as connection:
            assert inspect(connection).get_table_names() == ["theirs"]

    def test_a_newer_revision_is_told(self, driver: ServerMetadata, build: Build) -> None:
        """An older release leaves it alone."""
        with _connection(driver) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        again = build()
        for attempt in (again.start, again.version, again.upgrade):
            with pytest.raises(SchemaMismatch, match="newer release"):
                attempt()

    def test_tokens_of_commits_are_forgotten(
        self, driver: ServerMetadata, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After an hour nobody looks one up."""
        add(driver)
        add(driver)
        with _connection(driver) as connection:
            assert connection.execute(text("SELECT count(*) FROM commits")).scalar() == 2
            connection.execute(text("UPDATE commits SET at = 0"))
        monkeypatch.setattr("glancekit_sql_metadata.server_connections._PRUNED_EVERY", 2)
        add(driver)
        add(driver)
        with _connection(driver) as connection:
            assert connection.execute(text("SELECT count(*) FROM commits")).scalar() == 2
            connection.execute(text("UPDATE commits SET at = 0"))
        driver.start()
        with _connection(driver) as connection:
            assert connection.execute(text("SELECT count(*) FROM commits")).scalar() == 0

    def test_nothing_is_written_behind_a_commit(self, driver: ServerMetadata) -> None:
        """The unit of work is over."""
        with driver.unit_of_work() as work:
            work.commit()
            with pytest.raises(MetadataError):
                work.images.add(an_image())
            with pytest.raises(MetadataError):
                work.commit()


# -- how ------------------------------------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


def _wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _wait_for_more(committed: list[str], more: int) -> None:
    wanted = len(committed) + more
    _wait(lambda: len(committed) >= wanted)


def _assert_whole(driver: ServerMetadata) -> None:
    """Each image has its copy, its entries, its event, and counts once."""
    images = ids(driver)
    with driver.unit_of_work(read_only=True) as work:
        for image_id in images:
            assert len(work.images.get(image_id).locations) == 1
        told = {event.subject for event in work.events.after(0, limit=100_000)}
        assert told == images
        assert work.quotas.usage("me").images == len(images)
    with _connection(driver) as connection:
        entered = set(connection.execute(select(image_lists.c.image_id)).scalars())
        assert entered == images


@contextmanager
def _connection(driver: ServerMetadata) -> Iterator[Connection]:
    with driver._mine().outside_transaction() as connection:
        yield connection


def _migrate_to(connection: Connection, revision: str) -> None:
    from alembic import command

    command.upgrade(migrate.configuration(connection), revision)


def _described(connection: Connection) -> dict[str, Any]:
    look = inspect(connection)
    return {
        table: (
            [repr(sorted(column.items(), key=str)) for column in look.get_columns(table)],
            sorted(repr(sorted(index.items(), key=str)) for index in look.get_indexes(table)),
            sorted(repr(sorted(key.items())) for key in look.get_foreign_keys(table)),
            sorted(repr(sorted(key.items())) for key in look.get_unique_constraints(table)),
            look.get_pk_constraint(table),
        )
        for table in sorted(look.get_table_names())
    }


_OLD_IMAGE = text(
    "INSERT INTO images (id, owner, status, visibility, name, size, min_disk, min_ram, protected, "
    "os_hidden, created_at, updated_at, version, properties, tags) VALUES "
    "('old', 'me', 'active', 'shared', 'ü', 5, 0, 0, false, false, 1, 1, 0, '{}', '[]')"
)
_OLD_LOCATION = text(
    "INSERT INTO image_locations (image_id, store, url, metadata, status) "
    "VALUES ('old', 's', 'u', '{}', 'active')"
)


_COMMIT = re.compile(rb"COMMIT(?!TED)")


class _CuttingWire(Wire):
    """The way between a driver and its server, which is cut at a commit."""

    def __init__(self, database: str) -> None:
        target = make_url(database)
        self._cuts = False
        self._forwards = False
        self._forever = False
        super().__init__(target.port or 0, host=target.host or "")
        here = target.set(host=HERE, port=self.port)
        self.database = here.render_as_string(hide_password=False)

    def cut_at_commit(self, *, forward: bool, forever: bool = False) -> None:
        """Cut at the next commit, after or before the server hears of it; once, or all then."""
        self._forwards, self._forever, self._cuts = forward, forever, True

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        """See the base."""
        if not self._cuts or not _COMMIT.search(chunk):
            return chunk
        self._cuts = False
        if self._forever:
            self.refuse()
        line.client.shutdown(socket.SHUT_RDWR)
        if self._forwards:
            line.server.sendall(chunk)
            time.sleep(0.3)  # for the server to do it; its answer goes nowhere
        return None
