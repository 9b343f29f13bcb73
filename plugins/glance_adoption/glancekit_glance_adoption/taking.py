# SPDX-License-Identifier: Apache-2.0
"""Another service's records become glancekit's, a batch in each transaction.

What is here already is never changed: taking over again, after a crash or another look at what the
other service has, adds what is missing and tells what differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from glancekit.plugin import (
    Contents,
    DefinitionKind,
    Duplicate,
    Image,
    ImageNotFound,
    MetadataDriver,
    MetadefNotFound,
    Task,
    UnitOfWork,
)
from glancekit_glance_adoption.findings import Findings, Reason
from glancekit_glance_adoption.progress import Tally
from glancekit_glance_adoption.reading import Buried, Found, GlanceRecords

Record = TypeVar("Record")


class Taking:
    """One pass over all records. ``added`` counts what is new, ``present`` what was there."""

    def __init__(
        self, metadata: MetadataDriver, findings: Findings, *, finish_deletes: bool, tally: Tally
    ) -> None:
        self._metadata = metadata
        self._findings = findings
        self._finish_deletes = finish_deletes
        self._tally = tally
        self.added: Counter[str] = Counter()
        self.present: Counter[str] = Counter()

    def run(self, records: GlanceRecords) -> None:
        """Take everything over.

        :raises MetadataError: when the metadata backend cannot be used; what was taken over by
            then is there, and stays.
        """
        for found in records.images():
            self._batch("images", found, self._image)
        for buried in records.buried():
            self._batch("deleted images", buried, self._bury)
        for tasks in records.tasks():
            self._batch("tasks", tasks, self._task)
        with self._metadata.unit_of_work() as work:
            for resource_type in records.resource_types():
                work.metadefs.know(resource_type)
            work.commit()
        for contents in records.namespaces():
            self._batch("namespaces", [contents], self._namespace)

    def _batch(
        self, kind: str, batch: list[Record], take: Callable[[UnitOfWork, Record], bool]
    ) -> None:
        with self._metadata.unit_of_work() as work:
            added = sum(take(work, record) for record in batch)
            work.commit()
        self.added[kind] += added
        self.present[kind] += len(batch) - added
        self._tally(kind, len(batch))

    # -- each kind; True when it was added

    def _image(self, work: UnitOfWork, found: Found) -> bool:
        try:
            work.images.add(found.image)
        except Duplicate:
            self._compare_image(work, found)
            return False
        for location in found.locations:
            work.locations.add(location)
        for member in found.members:
            work.members.add(member)
        return True

    def _compare_image(self, work: UnitOfWork, found: Found) -> None:
        try:
            stored = work.images.get(found.image.id)
        except ImageNotFound:
            self._findings.add(Reason.DELETED_HERE, found.image.id)
            return
        members = {(one.project_id, one.status) for one in work.members.of_image(stored.id)}
        wanted = {(one.project_id, one.status) for one in found.members}
        if _said_by(stored) != _said_by(found.image) or members != wanted:
            self._findings.add(Reason.DIFFERS, f"image {stored.id}")
        elif _places_of(stored.locations) != _places_of(found.locations):
            self._findings.add(Reason.DIFFERS, f"locations of image {stored.id}")

    def _bury(self, work: UnitOfWork, buried: Buried) -> bool:
        before = {one.store for one in work.locations.of_image(buried.tombstone.id)}
        try:
            is_news = work.images.bury(buried.tombstone)
        except Duplicate:
            self._findings.add(Reason.LIVES_HERE, buried.tombstone.id)
            return False
        if self._finish_deletes:
            for location in buried.waiting:
                if location.store not in before:
                    work.locations.add(location)
        return is_news

    def _task(self, work: UnitOfWork, task: Task) -> bool:
        try:
            work.tasks.add(task)
        except Duplicate:
            stored = work.tasks.get(task.id)
            if replace(stored, holder=None) != task:
                self._findings.add(Reason.DIFFERS, f"task {task.id}")
            return False
        return True

    def _namespace(self, work: UnitOfWork, contents: Contents) -> bool:
        name = contents.namespace.name
        try:
            work.metadefs.namespace(name)
        except MetadefNotFound:
            _keep_namespace(work, contents)
            return True
        if _stored_namespace(work, name) != _said_by_namespace(contents):
            self._findings.add(Reason.DIFFERS, f"namespace {name}")
        return False


def _said_by(image: Image) -> Image:
    """Return what an image says, to be compared."""
    return replace(image, version=0, locations=(), properties=dict(image.properties))


def _places_of(locations: Any) -> set[tuple[str, str]]:
    return {(one.store, one.url) for one in locations}


def _keep_namespace(work: UnitOfWork, contents: Contents) -> None:
    name = contents.namespace.name
    work.metadefs.add(contents.namespace)
    for association in contents.associations:
        work.metadefs.associate(name, association)
    for definition in contents.definitions:
        work.metadefs.define(name, definition)


def _stored_namespace(work: UnitOfWork, name: str) -> Any:
    definitions = tuple(
        definition
        for kind in DefinitionKind
        for definition in work.metadefs.definitions(name, kind)
    )
    associations = tuple(work.metadefs.associations([name]).get(name, ()))
    stored = replace(work.metadefs.namespace(name), enforced=False)
    return _said_by_namespace(
        Contents(namespace=stored, associations=associations, definitions=definitions)
    )


def _said_by_namespace(contents: Contents) -> Any:
    """Return what a namespace says, to be compared in whatever order it comes."""
    return (
        contents.namespace,
        {one.resource_type: one for one in contents.associations},
        {
            (one.kind, one.name): replace(one, content=dict(one.content))
            for one in contents.definitions
        },
    )
