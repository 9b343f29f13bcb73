# SPDX-License-Identifier: Apache-2.0
"""Taking over: everything, again, after a crash, beside what is here already; and giving back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from glancekit_glance_adoption import schema
from glancekit_glance_adoption.database import GlanceDatabase
from glancekit_glance_adoption.encryption import is_plain
from glancekit_glance_adoption.findings import Findings, Reason
from glancekit_glance_adoption.progress import untold
from glancekit_glance_adoption.reading import GlanceRecords
from glancekit_glance_adoption.returning import Returning
from glancekit_glance_adoption.taking import Taking
from sqlalchemy import create_engine, insert, select

from glancekit.plugin import (
    DefinitionKind,
    Duplicate,
    GlancekitError,
    Image,
    ImageQuery,
    ImageStatus,
    Location,
    LocationStatus,
    MetadataUnavailable,
    Tombstone,
    UnitOfWork,
)
from glancekit.testing.memory_metadata import MemoryMetadata

KEY = "0123456789abcdef"
BATCH = 10
COUNT = BATCH * 2 + 5


class Flaky(MemoryMetadata):
    """A backend that goes away after so many units of work."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        if self.lives == 0:
            raise MetadataUnavailable("it is gone")
        self.lives -= 1
        return super().unit_of_work(read_only=read_only)


@pytest.fixture
def glance(writer: Any, times: Any) -> Any:
    """A Glance database with some of everything."""
    for number in range(COUNT):
        image_id = f"{number:05}"
        if number % 7 == 0:
            writer.image(image_id, status="deleted", deleted=True, deleted_at=times["created_at"])
            continue
        writer.image(image_id, size=number)
        writer.property(image_id, "a", str(number))
        writer.location(image_id, f"file:///srv/fast/{image_id}")
        writer.member(image_id, f"p{number % 3}")
    writer.image("waiting", status="pending_delete", deleted=True)
    writer.location("waiting", "http://a/1", status="pending_delete", deleted=True)
    for number in range(3):
        writer.task(f"t{number}")
    writer.add(schema.task_info, task_id="t1", input='{"a": 1}', result='{"b": []}', message="m")
    writer.add(schema.namespaces, namespace="n", owner="me", visibility="public", **times)
    writer.add(schema.resource_types, name="r", protected=True, **times)
    writer.add(schema.resource_types, name="alone", protected=False, **times)
    writer.add(schema.associations, namespace_id=1, resource_type_id=1, prefix="p_", **times)
    writer.add(
        schema.objects,
        namespace_id=1,
        name="o",
        required="a,b",
        json_schema='{"a": {"type": "string"}, "b": {"type": "integer"}}',
        **times,
    )
    writer.add(schema.properties, namespace_id=1, name="p", json_schema='{"x": 1}', **times)
    writer.add(schema.tags, namespace_id=1, name="t", **times)
    return writer


@contextmanager
def reading(url: str, places: Any) -> Iterator[GlanceRecords]:
    with GlanceDatabase(url).reading() as connection:
        yield GlanceRecords(
            connection, places, encryption_key=KEY, findings=Findings(), batch=BATCH
        )


@pytest.fixture
def take(places: Any) -> Any:
    """Take a database over into a backend; return what was counted and found."""

    def take(
        url: str, metadata: MemoryMetadata, *, finish_deletes: bool = False
    ) -> tuple[Taking, Findings]:
        findings = Findings()
        taking = Taking(metadata, findings, finish_deletes=finish_deletes, tally=untold)
        with reading(url, places) as records:
            taking.run(records)
        return taking, findings

    return take


def all_images(metadata: MemoryMetadata) -> tuple[Image, ...]:
    with metadata.unit_of_work(read_only=True) as work:
        query = ImageQuery(limit=COUNT, all_visibilities=True, os_hidden=None)
        return work.images.find(query).images


def everything(metadata: MemoryMetadata) -> Any:
    """Return all records, to be compared."""
    with metadata.unit_of_work(read_only=True) as work:
        images = [
            (replace(one, locations=()), [place.url for place in one.locations])
            for one in all_images(metadata)
        ]
        return (
            images,
            [work.members.of_image(one.id) for one, _ in images],
            work.images.buried(limit=COUNT),
            [work.tasks.get(f"t{number}") for number in range(3)],
            work.metadefs.resource_types(),
            work.metadefs.namespace("n"),
            work.metadefs.associations(["n"]),
            [work.metadefs.definitions("n", kind) for kind in DefinitionKind],
        )


class TestTaking:
    """Into an empty backend, and into one that has something."""

    def test_everything_is_taken_over(self, glance, take):
        metadata = MemoryMetadata()
        taking, findings = take(glance.url, metadata)
        deleted = len(range(0, COUNT, 7))
        assert taking.added == {
            "images": COUNT - deleted,
            "deleted images": deleted + 1,
            "tasks": 3,
            "namespaces": 1,
        }
        assert not findings.things
        with metadata.unit_of_work() as work:
            image = work.images.get("00001")
            assert (image.size, image.properties) == (1, {"a": "1"})
            assert [place.store for place in image.locations] == ["fast"]
            assert [one.project_id for one in work.members.of_image("00001")] == ["p1"]
            with pytest.raises(Duplicate):
                work.images.add(Image(id="00000", owner="me"))
            assert work.locations.of_image("waiting") == []
            assert work.tasks.get("t1").result == {"b": []}
            assert [one.name for one in work.metadefs.resource_types()] == ["alone", "r"]
            (found,) = work.metadefs.definitions("n", DefinitionKind.OBJECT)
            assert found.content["required"] == ["a", "b"]
            assert work.metadefs.namespace("n").created_at.isoformat().startswith("2024-05-06")

    def test_again_changes_nothing(self, glance, take):
        metadata = MemoryMetadata()
        take(glance.url, metadata)
        before = everything(metadata)
        taking, findings = take(glance.url, metadata)
        assert not +taking.added
        assert not findings.things
        assert everything(metadata) == before

    @pytest.mark.parametrize("lives", range(7))
    def test_cut_off_anywhere_it_ends_the_same(self, glance, take, lives):
        whole = MemoryMetadata()
        take(glance.url, whole)
        metadata = Flaky(lives)
        with pytest.raises(MetadataUnavailable):
            take(glance.url, metadata)
        metadata.lives = -1
        _, findings = take(glance.url, metadata)
        assert not findings.things
        assert everything(metadata) == everything(whole)

    def test_what_is_here_is_never_changed(self, glance, take):
        metadata = MemoryMetadata()
        take(glance.url, metadata)
        with metadata.unit_of_work() as work:
            changed = work.images.get("00001")
            work.images.save(replace(changed, name="here"), expect_status={changed.status})
            gone = work.images.get("00002")
            work.images.save(
                replace(gone, status=ImageStatus.DELETED), expect_status={gone.status}
            )
            moved = work.images.get("00003")
            work.locations.add(Location(url="http://b", store="web", image_id=moved.id))
            work.members.remove("00004", "p1")
            namespace = work.metadefs.namespace("n")
            work.metadefs.save("n", replace(namespace, description="here", enforced=True))
            work.commit()
        before = all_images(metadata)
        _, findings = take(glance.url, metadata)
        assert findings.things == {
            Reason.DIFFERS: [
                "image 00001",
                "locations of image 00003",
                "image 00004",
                "namespace n",
            ],
            Reason.DELETED_HERE: ["00002"],
        }
        assert all_images(metadata) == before

    def test_what_was_deleted_there_meanwhile_lives_on_here(self, writer, take):
        metadata = MemoryMetadata()
        with metadata.unit_of_work() as work:
            work.images.add(Image(id="i", owner="me"))
            work.commit()
        writer.image("i", status="deleted", deleted=True)
        _, findings = take(writer.url, metadata)
        assert findings.things == {Reason.LIVES_HERE: ["i"]}
        assert [one.id for one in all_images(metadata)] == ["i"]

    def test_data_that_wait_are_handed_over_when_asked_for(self, glance, take):
        metadata = MemoryMetadata()
        for _ in range(2):
            take(glance.url, metadata, finish_deletes=True)
        with metadata.unit_of_work(read_only=True) as work:
            (row,) = work.locations.with_status(LocationStatus.PENDING_DELETE, limit=9)
        assert (row.image_id, row.url, row.store) == ("waiting", "http://a/1", "web")


@pytest.fixture
def fresh(tmp_path: Any) -> str:
    """The URL of a Glance database that was just made."""
    url = f"sqlite:///{tmp_path / 'fresh.sqlite'}"
    engine = create_engine(url)
    schema.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(schema.alembic_version), {"version_num": "2024_1_contract01"})
    engine.dispose()
    return url


def give_back(metadata: MemoryMetadata, url: str, key: str | None = None) -> Findings:
    findings = Findings()
    with (
        metadata.unit_of_work(read_only=True) as work,
        GlanceDatabase(url).writing() as connection,
    ):
        Returning(connection, encryption_key=key, findings=findings, tally=untold).run(work)
    return findings


class TestReturning:
    """The way back."""

    @pytest.mark.parametrize("key", [None, KEY])
    def test_what_is_given_back_is_taken_over_the_same(self, glance, take, fresh, key):
        metadata, again = MemoryMetadata(), MemoryMetadata()
        take(glance.url, metadata, finish_deletes=True)
        assert not give_back(metadata, fresh, key).things
        _, findings = take(fresh, again, finish_deletes=True)
        assert not findings.things
        assert everything(again) == everything(metadata)
        with GlanceDatabase(fresh).reading() as connection:
            stored = connection.execute(select(schema.image_locations.c.value)).scalars().all()
            statuses = connection.execute(
                select(schema.images.c.status).where(schema.images.c.id == "waiting")
            ).scalars()
            assert [*statuses] == ["pending_delete"]
        assert stored
        assert all(is_plain(one) is (key is None) for one in stored)

    def test_only_into_a_fresh_database(self, glance, take, fresh):
        metadata = MemoryMetadata()
        take(glance.url, metadata)
        give_back(metadata, fresh)
        with pytest.raises(GlancekitError, match="just made"):
            give_back(metadata, fresh)

    def test_cut_off_there_is_nothing(self, fresh, monkeypatch):
        metadata = MemoryMetadata()
        with metadata.unit_of_work() as work:
            work.images.add(Image(id="i", owner="me"))
            work.images.bury(Tombstone(id="gone", owner="me"))
            work.commit()

        class Cut(Exception):
            """The end, in the middle."""

        def cut(kind: str, more: int) -> None:
            if kind == "deleted images":
                raise Cut

        with (
            pytest.raises(Cut),
            metadata.unit_of_work(read_only=True) as work,
            GlanceDatabase(fresh).writing() as connection,
        ):
            Returning(connection, encryption_key=None, findings=Findings(), tally=cut).run(work)
        give_back(metadata, fresh)

    def test_uploads_under_way(self, fresh, take):
        metadata, again = MemoryMetadata(), MemoryMetadata()
        with metadata.unit_of_work() as work:
            work.images.add(Image(id="i", owner="me", status=ImageStatus.SAVING))
            work.locations.add(
                Location(url="", store="s", image_id="i", status=LocationStatus.WRITING)
            )
            work.commit()
        assert give_back(metadata, fresh).things == {Reason.UPLOADING_HERE: ["i"]}
        take(fresh, again)
        (image,) = all_images(again)
        assert (image.status, image.locations) == (ImageStatus.QUEUED, ())

    def test_what_is_kept_of_a_location(self, fresh):
        metadata = MemoryMetadata()
        with metadata.unit_of_work() as work:
            work.images.add(Image(id="i", owner="me", status=ImageStatus.ACTIVE))
            place = Location(url="http://a", store="web", image_id="i", metadata={"x": 1})
            work.locations.add(place)
            work.commit()
        give_back(metadata, fresh)
        with GlanceDatabase(fresh).reading() as connection:
            (row,) = connection.execute(select(schema.image_locations))
        assert (row.value, row.status) == ("http://a", "active")
        assert json.loads(row.meta_data) == {"x": 1, "store": "web"}

    def test_secrets_of_locations_are_in_no_log(self, glance, take, fresh, caplog):
        glance.image("secret")
        glance.location("secret", "http://user:hidden-word@h/1")
        caplog.set_level(logging.INFO, logger="sqlalchemy.engine")
        metadata = MemoryMetadata()
        take(glance.url, metadata)
        give_back(metadata, fresh)
        assert "INSERT INTO image_locations" in caplog.text
        assert "hidden-word" not in caplog.text


@pytest.mark.parametrize("writing", [False, True])
@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_servers_are_asked_without_parameters_in_logs(kind: str, writing: bool) -> None:
    pytest.importorskip({"postgresql": "psycopg", "mysql": "pymysql"}[kind])
    assert GlanceDatabase(f"{kind}://me:word@host/glance")._engine(writing=writing).hide_parameters
