# SPDX-License-Identifier: Apache-2.0
"""Many namespaces at once, as an operator loads, unloads and exports them. Files: see the CLI."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import MetadefNotFound
from glancekit.core.model.metadef import (
    Association,
    Contents,
    Definition,
    Namespace,
    NamespaceQuery,
)
from glancekit.services.metadefs.namespaces import read, write
from glancekit.services.metadefs.notices import about_namespace

Item = TypeVar("Item", Association, Definition)


class Merge(StrEnum):
    """What becomes of a namespace that is there already."""

    SKIP = "skip"
    """It stays as it is."""
    PREFER_OLD = "prefer old"
    """What it lacks is added; what it has stays."""
    PREFER_NEW = "prefer new"
    """What is new replaces what is there of the same name; what is only there stays."""
    OVERWRITE = "overwrite"
    """It becomes what is loaded, and nothing else of it remains."""


class Outcome(StrEnum):
    """What became of a namespace that was loaded."""

    ADDED = "added"
    MERGED = "merged"
    OVERWRITTEN = "overwritten"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One namespace as it was loaded, with what became of it."""

    contents: Contents
    outcome: Outcome


def load(metadata: MetadataDriver, loads: Iterable[Contents], merge: Merge) -> list[Loaded]:
    """Keep all of these namespaces, or none when one of them cannot be kept.

    Whether a namespace is enforced stays as it is, also when it is overwritten.
    """
    with metadata.unit_of_work() as work:
        done = [Loaded(contents, _load(work, contents, merge)) for contents in loads]
        work.commit()
    return done


def unload(metadata: MetadataDriver, names: Collection[str] | None) -> list[str]:
    """Take these namespaces away, or all, protected ones too; return which were there."""
    with metadata.unit_of_work() as work:
        gone = [
            namespace
            for namespace in work.metadefs.find(_ALL).namespaces
            if names is None or namespace.name in names
        ]
        for namespace in gone:
            work.metadefs.remove(namespace.name)
            work.events.append(about_namespace(namespace, "delete", None))
        work.commit()
    return [namespace.name for namespace in gone]


def every(metadata: MetadataDriver) -> list[Contents]:
    """Return every namespace with all that is in it, by name."""
    with metadata.unit_of_work(read_only=True) as work:
        return [read(work, namespace) for namespace in work.metadefs.find(_ALL).namespaces]


_ALL = NamespaceQuery(sort_key="namespace", descending=False)


def _load(work: UnitOfWork, contents: Contents, merge: Merge) -> Outcome:
    name = contents.namespace.name
    try:
        stored = read(work, work.metadefs.namespace(name))
    except MetadefNotFound:
        write(work, contents)
        work.events.append(about_namespace(contents.namespace, "create", None))
        return Outcome.ADDED
    if merge is Merge.SKIP:
        return Outcome.SKIPPED
    wanted = _merged(stored, contents, merge)
    if _said_by(wanted) == _said_by(stored):
        return Outcome.UNCHANGED
    work.metadefs.remove(name)
    write(work, wanted)
    work.events.append(about_namespace(wanted.namespace, "update", None))
    return Outcome.OVERWRITTEN if merge is Merge.OVERWRITE else Outcome.MERGED


def _merged(old: Contents, new: Contents, merge: Merge) -> Contents:
    if merge is Merge.OVERWRITE:
        return replace(new, namespace=_in_place_of(old.namespace, new.namespace))
    first, second = (old, new) if merge is Merge.PREFER_OLD else (new, old)
    namespace = replace(
        first.namespace,
        display_name=first.namespace.display_name or second.namespace.display_name,
        description=first.namespace.description or second.namespace.description,
    )
    return Contents(
        namespace=_in_place_of(old.namespace, namespace),
        associations=_union(first.associations, second.associations),
        definitions=_union(first.definitions, second.definitions),
    )


def _in_place_of(old: Namespace, new: Namespace) -> Namespace:
    return replace(new, enforced=old.enforced, created_at=old.created_at)


def _union(first: tuple[Item, ...], second: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return all of the first, and those of the second whose names it has not."""
    known = {_key(item) for item in first}
    return first + tuple(item for item in second if _key(item) not in known)


def _key(item: Association | Definition) -> tuple[str, ...]:
    if isinstance(item, Association):
        return (item.resource_type,)
    return (item.kind, item.name)


def _said_by(contents: Contents) -> Any:
    """Return all that a namespace says, to be compared: no times, and no order."""
    namespace = contents.namespace
    return (
        replace(namespace, updated_at=namespace.created_at),
        {one.resource_type: (one.prefix, one.properties_target) for one in contents.associations},
        {_key(one): dict(one.content) for one in contents.definitions},
    )
