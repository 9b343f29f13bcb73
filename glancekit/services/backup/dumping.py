# SPDX-License-Identifier: Apache-2.0
"""Writing a dump while the service runs: all of it is as of one moment. Files are the CLI's."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from glancekit import __version__
from glancekit.core.contracts.metadata import MetadataDriver, SupportsMigration, UnitOfWork
from glancekit.core.drivers import API_LEVEL
from glancekit.core.model.image import Image, Location, Tombstone, now
from glancekit.core.model.listing import ImageQuery, SortKey
from glancekit.core.model.metadef import NamespaceQuery
from glancekit.core.model.task import TaskQuery
from glancekit.services import ledger
from glancekit.services.backup.forms import END, FORMAT, HEADER, to_line
from glancekit.services.metadefs.namespaces import read

BATCH = 200
"""Records that are asked for at a time."""

Tally = Callable[[str], None]
"""Is told the kind of each record when it is done."""


def dump(
    metadata: MetadataDriver, write: Callable[[bytes], Any], tally: Tally
) -> Mapping[str, int]:
    """Write every record, and return how many there are of each kind.

    :raises MetadataError: when the backend cannot be used; what was written by then is no dump.
    """
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()

    def put(content: Mapping[str, Any]) -> None:
        line = to_line(content)
        digest.update(line)
        write(line)

    ledger.settle(metadata)
    put({HEADER: _header(metadata)})
    with metadata.unit_of_work(read_only=True) as work:
        for kind, record in _records(work):
            put({kind: record})
            counts[kind] += 1
            tally(kind)
    write(to_line({END: {"records": counts, "sha256": digest.hexdigest()}}))
    return counts


def _header(metadata: MetadataDriver) -> Mapping[str, Any]:
    return {
        "format": FORMAT,
        "release": __version__,
        "api_level": API_LEVEL,
        "schema": metadata.head() if isinstance(metadata, SupportsMigration) else None,
        "at": now(),
    }


def _records(work: UnitOfWork) -> Iterator[tuple[str, Any]]:
    for image in _images(work):
        yield (
            "image",
            {
                "image": replace(image, locations=()),
                "locations": _locations(work, image.id),
                "members": work.members.of_image(image.id),
            },
        )
    for tombstone in _tombstones(work):
        yield (
            "deleted_image",
            {"image": tombstone, "locations": _locations(work, tombstone.id)},
        )
    last: str | None = None
    while tasks := work.tasks.find(
        TaskQuery(limit=BATCH, marker=last, sort_key="id", descending=False)
    ):
        yield from (("task", task) for task in tasks)
        last = tasks[-1].id
    for resource_type in work.metadefs.resource_types():
        yield "resource_type", resource_type
    for namespace in work.metadefs.find(_NAMESPACES).namespaces:
        yield "namespace", read(work, namespace)
    yield from (("storage_use", use) for use in ledger.entries(work, ledger.Span()))


def _locations(work: UnitOfWork, image_id: str) -> list[Location]:
    """Return an image's locations without their numbers, which another backend gives anew."""
    return [replace(row, id=None) for row in work.locations.of_image(image_id)]


_NAMESPACES = NamespaceQuery(sort_key="namespace", descending=False)


def _images(work: UnitOfWork) -> Iterator[Image]:
    query = ImageQuery(
        limit=BATCH,
        sort=(SortKey("created_at", descending=False),),
        all_visibilities=True,
        os_hidden=None,
    )
    while True:
        page = work.images.find(query)
        yield from page.images
        if not page.is_full:
            return
        query = replace(query, marker=page.images[-1].id)


def _tombstones(work: UnitOfWork) -> Iterator[Tombstone]:
    last: str | None = None
    while page := work.images.buried(limit=BATCH, after=last):
        yield from page
        last = page[-1].id
