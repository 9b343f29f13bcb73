# SPDX-License-Identifier: Apache-2.0
"""Reading a dump into an empty backend as one transaction: at the end all is there, or nothing.

Nothing is merged: of two records of one id nobody could say which is right.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import Conflict, Invalid
from glancekit.core.model.identity import EVERYBODY
from glancekit.core.model.image import Image, Location, Member, Tombstone
from glancekit.core.model.listing import ImageQuery
from glancekit.core.model.metadef import (
    Association,
    Contents,
    Definition,
    Namespace,
    NamespaceQuery,
    ResourceType,
)
from glancekit.core.model.task import Task, TaskQuery
from glancekit.core.storage_use import StorageUse
from glancekit.services.backup.dumping import BATCH, Tally
from glancekit.services.backup.forms import END, FORMAT, HEADER, build, from_line
from glancekit.services.ledger import EARLIEST, LATEST
from glancekit.services.metadefs.namespaces import write


def load(metadata: MetadataDriver, lines: Iterable[bytes], tally: Tally) -> Mapping[str, int]:
    """Keep every record of a dump, and return how many there are of each kind.

    :raises Invalid: when it is no dump, is damaged, or ends early.
    :raises Conflict: when there is something in the backend already.
    """
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    rest = iter(lines)
    first = next(rest, b"")
    _require_readable(first)
    digest.update(first)
    with metadata.unit_of_work() as work:
        _require_empty(work)
        for line in rest:
            content = from_line(line)
            if END in content:
                _require_whole(content[END], counts, digest.hexdigest(), rest)
                work.commit()
                return counts
            digest.update(line)
            kind = _keep(work, content)
            counts[kind] += 1
            tally(kind)
            if sum(counts.values()) % BATCH == 0:
                # Sums that wait to be written need memory; asking for one writes them all.
                work.quotas.usage("")
    raise Invalid("The dump ends early, so nothing of it was kept; take another copy of it")


def _require_readable(line: bytes) -> None:
    try:
        header = from_line(line).get(HEADER)
    except Invalid:
        header = None
    if not isinstance(header, Mapping):
        raise Invalid("This is no dump of glancekit: its first line does not say so")
    found = header.get("format")
    if not isinstance(found, int) or not 1 <= found <= FORMAT:
        raise Invalid(
            f"The dump has format {found}, written by release {header.get('release')}; this "
            f"release reads format {FORMAT} and those before it"
        )


def _require_empty(work: UnitOfWork) -> None:
    anything = (
        work.images.find(
            ImageQuery(viewer=EVERYBODY, limit=1, all_visibilities=True, os_hidden=None)
        ).images
        or work.images.buried(limit=1)
        or work.tasks.find(TaskQuery(limit=1))
        or work.metadefs.find(NamespaceQuery(limit=1)).namespaces
        or work.metadefs.resource_types()
        or work.ledger.find(since=EARLIEST, until=LATEST, limit=1)
    )
    if anything:
        raise Conflict(
            "The database has records already. A dump is loaded into an empty one only: name "
            "another in [metadata], or move this one away"
        )


def _require_whole(
    end: Any, counts: Mapping[str, int], digest: str, rest: Iterable[bytes]
) -> None:
    said = end if isinstance(end, Mapping) else {}
    if said.get("sha256") != digest or said.get("records") != dict(counts):
        raise Invalid(
            "The dump is damaged: its digest is another than it says, so nothing of it was kept; "
            "take another copy of it"
        )
    if any(True for _ in rest):
        raise Invalid("The dump goes on behind its end, so nothing of it was kept")


def _keep(work: UnitOfWork, content: Mapping[str, Any]) -> str:
    """Keep one record, and return its kind."""
    for kind, record in content.items():
        if kind in _KEEP:
            try:
                _KEEP[kind](work, record)
            except (KeyError, TypeError) as error:
                raise Invalid(f"The dump has a damaged {kind.replace('_', ' ')}") from error
            return kind
    raise Invalid(f"The dump has records of a kind that is not known here: {', '.join(content)}")


def _keep_image(work: UnitOfWork, record: Any) -> None:
    image = build(Image, record["image"])
    work.images.add(image)
    for row in record["locations"]:
        _keep_location(work, image.id, row)
    for member in record["members"]:
        work.members.add(replace(build(Member, member), image_id=image.id))


def _keep_deleted(work: UnitOfWork, record: Any) -> None:
    tombstone = build(Tombstone, record["image"])
    work.images.bury(tombstone)
    for row in record["locations"]:
        _keep_location(work, tombstone.id, row)


def _keep_location(work: UnitOfWork, image_id: str, row: Any) -> None:
    work.locations.add(replace(build(Location, row), image_id=image_id, id=None))


def _keep_task(work: UnitOfWork, record: Any) -> None:
    work.tasks.add(build(Task, record))


def _keep_resource_type(work: UnitOfWork, record: Any) -> None:
    work.metadefs.know(build(ResourceType, record))


def _keep_namespace(work: UnitOfWork, record: Any) -> None:
    contents = Contents(
        namespace=build(Namespace, record["namespace"]),
        associations=tuple(build(Association, one) for one in record["associations"]),
        definitions=tuple(build(Definition, one) for one in record["definitions"]),
    )
    write(work, contents)


def _keep_use(work: UnitOfWork, record: Any) -> None:
    work.ledger.add(build(StorageUse, record))


_KEEP: Mapping[str, Callable[[UnitOfWork, Any], None]] = {
    "image": _keep_image,
    "deleted_image": _keep_deleted,
    "task": _keep_task,
    "resource_type": _keep_resource_type,
    "namespace": _keep_namespace,
    "storage_use": _keep_use,
}
