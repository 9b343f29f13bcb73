# SPDX-License-Identifier: Apache-2.0
"""The suite's part about metadata definitions catches every driver that lies about them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Duplicate
from glancekit.core.model.identity import EVERYBODY
from glancekit.core.model.metadef import (
    Association,
    Definition,
    DefinitionKind,
    Namespace,
    NamespacePage,
    NamespaceQuery,
)
from glancekit.testing.memory_metadata import MemoryMetadata, MemoryUnitOfWork
from glancekit.testing.metadefs import MetadefConformance

Lie = Callable[[Any, Any], None]
"""Replaces a method of a repository; the records are what a worse lie works on."""


class LyingMetadata(MemoryMetadata):
    """A driver whose units of work all lie alike."""

    def __init__(self, lie: Lie) -> None:
        super().__init__()
        self._lie = lie

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        lie = self._lie

        class LyingUnitOfWork(MemoryUnitOfWork):
            def __enter__(self) -> LyingUnitOfWork:
                super().__enter__()
                lie(self.metadefs, self._state)
                return self

        return LyingUnitOfWork(self, read_only=read_only)


# -- the lies


def forgets_to_enforce(metadefs: Any, _: Any) -> None:
    add = metadefs.add
    metadefs.add = lambda namespace: add(replace(namespace, enforced=False))


def replaces_what_is_there(metadefs: Any, state: Any) -> None:
    def add(namespace: Namespace) -> None:
        state.namespaces[namespace.name] = namespace

    metadefs.add = add


def shows_private_ones(metadefs: Any, _: Any) -> None:
    find = metadefs.find
    metadefs.find = lambda query: find(replace(query, viewer=EVERYBODY))


def loses_ties(metadefs: Any, _: Any) -> None:
    find = metadefs.find

    def skip(query: NamespaceQuery) -> NamespacePage:
        page = find(query)
        if query.marker is None or query.sort_key == "namespace":
            return page
        last = getattr(metadefs.namespace(query.marker), query.sort_key)
        kept = [one for one in page.namespaces if getattr(one, query.sort_key) != last]
        return NamespacePage(tuple(kept), page.is_full)

    metadefs.find = skip


def takes_all_types_for_one(metadefs: Any, _: Any) -> None:
    find = metadefs.find
    metadefs.find = lambda query: find(
        replace(query, resource_types=frozenset(sorted(query.resource_types)[:1]))
    )


def leaves_things_behind(metadefs: Any, state: Any) -> None:
    def remove(name: str) -> None:
        del state.namespaces[name]

    metadefs.remove = remove


def loses_things_when_renamed(metadefs: Any, _: Any) -> None:
    save = metadefs.save

    def rename(name: str, namespace: Namespace) -> Namespace:
        for kind in DefinitionKind:
            metadefs.undefine(name, kind)
        return save(name, namespace)

    metadefs.save = rename


def mixes_up_kinds(metadefs: Any, _: Any) -> None:
    define = metadefs.define
    metadefs.define = lambda namespace, definition: define(
        namespace, replace(definition, kind=DefinitionKind.TAG)
    )


def clears_everything(metadefs: Any, _: Any) -> None:
    undefine = metadefs.undefine

    def clear(namespace: str, kind: DefinitionKind, name: str | None = None) -> int:
        for other in DefinitionKind if name is None else ():
            if other is not kind:
                undefine(namespace, other)
        return int(undefine(namespace, kind, name))

    metadefs.undefine = clear


def turns_numbers_into_texts(metadefs: Any, _: Any) -> None:
    define = metadefs.define

    def write(namespace: str, definition: Definition) -> None:
        content = {**definition.content, "minimum": str(definition.content.get("minimum"))}
        define(namespace, replace(definition, content=content))

    metadefs.define = write


def forgets_resource_types(metadefs: Any, state: Any) -> None:
    dissociate = metadefs.dissociate

    def forget(namespace: str, resource_type: str) -> None:
        dissociate(namespace, resource_type)
        state.resource_types.pop(resource_type, None)

    metadefs.dissociate = forget


def swallows_duplicates(metadefs: Any, _: Any) -> None:
    associate = metadefs.associate

    def swallow(namespace: str, association: Association) -> None:
        with suppress(Duplicate):
            associate(namespace, association)

    metadefs.associate = swallow


def enforces_all(metadefs: Any, state: Any) -> None:
    metadefs.enforced = lambda: sorted(state.namespaces.values(), key=lambda one: one.name)


def knows_no_others(metadefs: Any, _: Any) -> None:
    metadefs.know = lambda resource_type: None


def writes_when_reading(metadefs: Any, _: Any) -> None:
    metadefs._read_only = False


suite = MetadefConformance()
pages = partial(suite.test_md03_pages_visit_each_once, sort_key="created_at", descending=True)
properties = {"kind": DefinitionKind.PROPERTY}

CAUGHT: list[tuple[Lie, Callable[..., None]]] = [
    (forgets_to_enforce, suite.test_md01_a_namespace_comes_back_as_it_was),
    (replaces_what_is_there, suite.test_md01_a_namespace_comes_back_as_it_was),
    (shows_private_ones, suite.test_md02_who_sees_a_namespace),
    (loses_ties, pages),
    (takes_all_types_for_one, suite.test_md04_filters),
    (loses_things_when_renamed, suite.test_md05_save_replaces_and_renames),
    (leaves_things_behind, suite.test_md06_remove_takes_all_of_it),
    (mixes_up_kinds, partial(suite.test_md07_definitions, **properties)),
    (turns_numbers_into_texts, partial(suite.test_md07_definitions, **properties)),
    (clears_everything, partial(suite.test_md08_changing_definitions, **properties)),
    (forgets_resource_types, suite.test_md09_associations),
    (swallows_duplicates, suite.test_md09_associations),
    (enforces_all, suite.test_md10_enforced_namespaces),
    (knows_no_others, suite.test_md13_resource_types_of_elsewhere),
    (writes_when_reading, suite.test_md11_read_only_refuses_to_write),
]


@pytest.mark.parametrize(("lie", "test"), CAUGHT)
def test_a_lie_is_caught(lie: Lie, test: Callable[..., None]) -> None:
    test(driver=MemoryMetadata())
    with pytest.raises((Exception, pytest.fail.Exception)):
        test(driver=LyingMetadata(lie))
