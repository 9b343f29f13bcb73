# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite that asks about metadata definitions.

Each test has a number, by which ``docs/reference/contracts/metadata.rst`` says what it asks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import Duplicate, MetadataError, MetadefNotFound
from glancekit.core.model.identity import Viewer
from glancekit.core.model.image import Visibility
from glancekit.core.model.metadef import (
    NAMESPACE_SORT_KEYS,
    Association,
    Definition,
    DefinitionKind,
    Namespace,
    NamespaceQuery,
    ResourceType,
)
from glancekit.testing.metadata_samples import ME, MORNING, OTHER

_UNICODE = "OS::Grüße, 世界 🐧 \\ \" ' % _"
_CONTENT = {
    "title": "Cores",
    "type": "integer",
    "minimum": -1.5,
    "enum": [1, "1", None, True, "世界 🐧"],
    "items": {"type": "string", "enum": []},
}

_Change = Callable[[UnitOfWork], object]


def a_namespace(name: str, **facts: Any) -> Namespace:
    """Return a namespace of ``me`` that differs from others where a test says so only."""
    return Namespace(**{"name": name, "owner": ME, "created_at": MORNING, **facts})


def a_definition(name: str, kind: DefinitionKind = DefinitionKind.PROPERTY) -> Definition:
    """Return a definition that says much."""
    return Definition(kind=kind, name=name, content=_CONTENT, created_at=MORNING)


class MetadefConformance:
    """What every metadata driver must do with metadata definitions.

    A part of ``MetadataConformance``, which says what fixture it needs.
    """

    def test_md01_a_namespace_comes_back_as_it_was(self, driver: MetadataDriver) -> None:
        """MD1: every attribute of a namespace comes back as it was, and its name is taken."""
        plain = a_namespace("plain")
        full = a_namespace(
            _UNICODE,
            owner=OTHER,
            display_name=_UNICODE,
            description="d" * 70_000,
            visibility=Visibility.PUBLIC,
            protected=True,
            enforced=True,
            updated_at=MORNING + timedelta(microseconds=1),
        )
        _do(driver, lambda work: work.metadefs.add(plain), lambda work: work.metadefs.add(full))
        with driver.unit_of_work() as work:
            assert work.metadefs.namespace("plain") == plain
            assert work.metadefs.namespace(_UNICODE) == full
            for name in ("Plain", "plain ", "PLAIN"):
                with pytest.raises(MetadefNotFound):
                    work.metadefs.namespace(name)
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.metadefs.add(replace(plain, owner=OTHER))

    def test_md02_who_sees_a_namespace(self, driver: MetadataDriver) -> None:
        """MD2: public ones are seen by all, others by their owner and by administrators."""
        for name, owner, visibility in (
            ("mine", ME, Visibility.PRIVATE),
            ("theirs", OTHER, Visibility.PRIVATE),
            ("public", OTHER, Visibility.PUBLIC),
        ):
            namespace = a_namespace(name, owner=owner, visibility=visibility)
            _do(driver, _adding(namespace))
        everyone = {
            Viewer(project_id=ME): {"mine", "public"},
            Viewer(project_id=OTHER): {"theirs", "public"},
            Viewer(project_id=None): {"public"},
            Viewer(project_id=ME, is_admin=True): {"mine", "theirs", "public"},
        }
        with driver.unit_of_work(read_only=True) as work:
            for viewer, visible in everyone.items():
                page = work.metadefs.find(NamespaceQuery(viewer=viewer))
                assert {found.name for found in page.namespaces} == visible
                for name in ("mine", "theirs", "public"):
                    if name in visible:
                        assert work.metadefs.namespace(name, viewer=viewer).name == name
                        continue
                    with pytest.raises(MetadefNotFound):
                        work.metadefs.namespace(name, viewer=viewer)
                    with pytest.raises(MetadefNotFound):
                        work.metadefs.find(NamespaceQuery(viewer=viewer, marker=name))

    @pytest.mark.parametrize("descending", [False, True])
    @pytest.mark.parametrize("sort_key", NAMESPACE_SORT_KEYS)
    def test_md03_pages_visit_each_once(
        self, driver: MetadataDriver, sort_key: str, descending: bool
    ) -> None:
        """MD3: pages follow each other in order, ties and all; the last is not full."""
        namespaces = [
            a_namespace(
                f"n{number:02}",
                created_at=MORNING + timedelta(seconds=number % 3),
                updated_at=MORNING - timedelta(seconds=number % 4),
            )
            for number in range(10)
        ]
        _do(driver, *(_adding(namespace) for namespace in reversed(namespaces)))
        keyed = {
            found.name: (found.name if sort_key == "namespace" else getattr(found, sort_key))
            for found in namespaces
        }
        expected = sorted(keyed, key=lambda name: (keyed[name], name), reverse=descending)
        for limit in (1, 3, 9, 10, None):
            found: list[str] = []
            with driver.unit_of_work(read_only=True) as work:
                for _ in range(12):
                    page = work.metadefs.find(
                        NamespaceQuery(
                            limit=limit,
                            marker=found[-1] if found else None,
                            sort_key=sort_key,
                            descending=descending,
                        )
                    )
                    found += [namespace.name for namespace in page.namespaces]
                    if not page.is_full:
                        break
            assert found == expected
        with driver.unit_of_work(read_only=True) as work:
            assert not work.metadefs.find(NamespaceQuery(limit=0)).namespaces
            with pytest.raises(MetadefNotFound):
                work.metadefs.find(NamespaceQuery(marker="nothing"))

    def test_md04_filters(self, driver: MetadataDriver) -> None:
        """MD4: a list can be of one visibility, and of any of some resource types; or both."""
        for number, shown in enumerate((Visibility.PUBLIC, Visibility.PRIVATE) * 2):
            namespace = a_namespace(f"n{number}", visibility=shown)
            _do(driver, _adding(namespace))
        _do(
            driver,
            _associating("n0", "a"),
            _associating("n0", "b"),
            _associating("n1", "b"),
            _associating("n2", "c"),
        )
        cases: list[tuple[Visibility | None, tuple[str, ...], set[str]]] = [
            (Visibility.PUBLIC, (), {"n0", "n2"}),
            (Visibility.PRIVATE, (), {"n1", "n3"}),
            (None, ("a", "b"), {"n0", "n1"}),
            (None, ("nothing",), set()),
            (Visibility.PUBLIC, ("b", "c"), {"n0", "n2"}),
        ]
        for visibility, types, expected in cases:
            query = NamespaceQuery(visibility=visibility, resource_types=frozenset(types))
            with driver.unit_of_work(read_only=True) as work:
                page = work.metadefs.find(query)
            assert {found.name for found in page.namespaces} == expected

    def test_md05_save_replaces_and_renames(self, driver: MetadataDriver) -> None:
        """MD5: what a namespace has comes along when it is renamed; a taken name is refused."""
        before = a_namespace("before")
        _do(
            driver,
            _adding(before),
            _adding(a_namespace("taken")),
            _associating("before", "a"),
            _defining("before", a_definition("p")),
        )
        after = replace(
            before, name="after", owner=OTHER, protected=True, created_at=before.updated_at
        )
        with driver.unit_of_work() as work:
            saved = work.metadefs.save("before", after)
            work.commit()
        assert saved == replace(after, created_at=MORNING, updated_at=saved.updated_at)
        assert saved.updated_at > before.updated_at
        with driver.unit_of_work() as work:
            assert work.metadefs.namespace("after") == saved
            assert work.metadefs.definition("after", DefinitionKind.PROPERTY, "p").content
            assert [*work.metadefs.associations(["after", "before"])] == ["after"]
            with pytest.raises(MetadefNotFound):
                work.metadefs.namespace("before")
            with pytest.raises(MetadefNotFound):
                work.metadefs.save("before", after)
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.metadefs.save("after", replace(saved, name="taken"))

    def test_md06_remove_takes_all_of_it(self, driver: MetadataDriver) -> None:
        """MD6: nothing of a removed namespace comes back when its name is used again."""
        _do(
            driver,
            _adding(a_namespace("n")),
            _associating("n", "a"),
            *(_defining("n", a_definition("x", kind)) for kind in DefinitionKind),
            lambda work: work.metadefs.remove("n"),
            _adding(a_namespace("n")),
        )
        with driver.unit_of_work() as work:
            assert not any(work.metadefs.definitions("n", kind) for kind in DefinitionKind)
            assert not work.metadefs.associations(["n"])
            assert [found.name for found in work.metadefs.resource_types()] == ["a"]
            with pytest.raises(MetadefNotFound):
                work.metadefs.remove("nothing")

    @pytest.mark.parametrize("kind", DefinitionKind)
    def test_md07_definitions(self, driver: MetadataDriver, kind: DefinitionKind) -> None:
        """MD7: a definition comes back as it was, is unique by kind and name, and exact."""
        names = ["b", "B", "a", "ä", _UNICODE]
        _do(driver, _adding(a_namespace("n")), _adding(a_namespace("m")))
        _do(
            driver,
            *(_defining("n", a_definition(name, kind)) for name in names),
            _defining("m", a_definition("a", kind)),
        )
        with driver.unit_of_work() as work:
            found = work.metadefs.definitions("n", kind)
            assert [definition.name for definition in found] == sorted(names)
            one = work.metadefs.definition("n", kind, _UNICODE)
            assert one == replace(a_definition(_UNICODE, kind), updated_at=one.updated_at)
            for other in set(DefinitionKind) - {kind}:
                assert not work.metadefs.definitions("n", other)
                with pytest.raises(MetadefNotFound):
                    work.metadefs.definition("n", other, "a")
            for namespace, name in (("n", "A"), ("m", "b"), ("nothing", "a")):
                with pytest.raises(MetadefNotFound):
                    work.metadefs.definition(namespace, kind, name)
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.metadefs.define("n", a_definition("a", kind))

    @pytest.mark.parametrize("kind", DefinitionKind)
    def test_md08_changing_definitions(self, driver: MetadataDriver, kind: DefinitionKind) -> None:
        """MD8: a definition can be replaced, renamed and taken away, alone or with its kind."""
        others = [other for other in DefinitionKind if other is not kind]
        _do(driver, _adding(a_namespace("n")))
        for made in itertools.product("abc", DefinitionKind):
            _do(driver, _defining("n", a_definition(*made)))
        with driver.unit_of_work() as work:
            stored = work.metadefs.definition("n", kind, "a")
            new = Definition(kind=kind, name="z", content={"k": "v"})
            saved = work.metadefs.redefine("n", "a", new)
            assert saved == replace(new, created_at=MORNING, updated_at=saved.updated_at)
            assert saved.updated_at > stored.updated_at
            assert work.metadefs.definition("n", kind, "z") == saved
            with pytest.raises(MetadefNotFound):
                work.metadefs.redefine("n", "a", new)
            assert work.metadefs.undefine("n", kind, "b") == 1
            with pytest.raises(MetadefNotFound):
                work.metadefs.undefine("n", kind, "b")
            work.commit()
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.metadefs.redefine("n", "c", replace(new, name="z"))
        with driver.unit_of_work() as work:
            assert work.metadefs.undefine("n", kind) == 2
            assert work.metadefs.undefine("n", kind) == 0
            assert not work.metadefs.definitions("n", kind)
            for other in others:
                assert len(work.metadefs.definitions("n", other)) == 3

    def test_md09_associations(self, driver: MetadataDriver) -> None:
        """MD9: associations come back as they were; a resource type stays when the last goes."""
        full = Association(
            resource_type="b",
            prefix="hw_",
            properties_target="image",
            created_at=MORNING,
            updated_at=MORNING,
        )
        _do(
            driver,
            _adding(a_namespace("n")),
            _adding(a_namespace("m")),
            lambda work: work.metadefs.associate("n", full),
            _associating("n", "a"),
            _associating("m", "b"),
        )
        with driver.unit_of_work() as work:
            found = work.metadefs.associations(["n", "m", "nothing"])
            assert [one.resource_type for one in found["n"]] == ["a", "b"]
            assert found["n"][1] == full
            assert [one.prefix for one in found["m"]] == [None]
            assert not work.metadefs.associations([])
            work.metadefs.dissociate("n", "b")
            work.metadefs.dissociate("m", "b")
            assert [*work.metadefs.associations(["n", "m"])] == ["n"]
            assert [one.name for one in work.metadefs.resource_types()] == ["a", "b"]
            for namespace, name in (("n", "b"), ("nothing", "a")):
                with pytest.raises(MetadefNotFound):
                    work.metadefs.dissociate(namespace, name)
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.metadefs.associate("n", Association(resource_type="a", prefix="x"))

    def test_md10_enforced_namespaces(self, driver: MetadataDriver) -> None:
        """MD10: those that are enforced are found, whoever owns them, and no others."""
        for name, enforced in (("b", True), ("c", False), ("a", True)):
            _do(driver, _adding(a_namespace(name, enforced=enforced)))
        with driver.unit_of_work() as work:
            assert [found.name for found in work.metadefs.enforced()] == ["a", "b"]
            stored = work.metadefs.namespace("a")
            work.metadefs.save("a", replace(stored, enforced=False))
            assert [found.name for found in work.metadefs.enforced()] == ["b"]

    def test_md11_read_only_refuses_to_write(self, driver: MetadataDriver) -> None:
        """MD11: every writing method of a read-only unit of work raises, and nothing is kept."""
        _do(
            driver,
            _adding(a_namespace("n")),
            _associating("n", "a"),
            _defining("n", a_definition("p")),
        )
        attempts: list[_Change] = [
            _adding(a_namespace("m")),
            lambda work: work.metadefs.save("n", a_namespace("m")),
            lambda work: work.metadefs.remove("n"),
            _defining("n", a_definition("q")),
            lambda work: work.metadefs.redefine("n", "p", a_definition("q")),
            lambda work: work.metadefs.undefine("n", DefinitionKind.PROPERTY, "p"),
            lambda work: work.metadefs.undefine("n", DefinitionKind.PROPERTY),
            _associating("n", "b"),
            lambda work: work.metadefs.dissociate("n", "a"),
            lambda work: work.metadefs.know(ResourceType(name="b")),
        ]
        for attempt in attempts:
            with driver.unit_of_work(read_only=True) as work, pytest.raises(MetadataError):
                attempt(work)
        with driver.unit_of_work(read_only=True) as work:
            assert work.metadefs.namespace("n").name == "n"
            assert len(work.metadefs.definitions("n", DefinitionKind.PROPERTY)) == 1
            assert [one.resource_type for one in work.metadefs.associations(["n"])["n"]] == ["a"]

    def test_md13_resource_types_of_elsewhere(self, driver: MetadataDriver) -> None:
        """MD13: one that is kept comes back as it was, associated or not; once is enough."""
        old = ResourceType(name="a", created_at=MORNING, updated_at=MORNING)
        _do(
            driver,
            lambda work: work.metadefs.know(old),
            lambda work: work.metadefs.know(ResourceType(name="a")),
            _adding(a_namespace("n")),
            _associating("n", "a"),
            _associating("n", "b"),
            lambda work: work.metadefs.know(ResourceType(name="b", created_at=MORNING)),
        )
        with driver.unit_of_work(read_only=True) as work:
            first, second = work.metadefs.resource_types()
        assert first == old
        assert (second.name, second.created_at == MORNING) == ("b", False)

    def test_md12_all_of_it_or_nothing(self, driver: MetadataDriver) -> None:
        """MD12: nothing is kept of a unit of work that made a namespace and then failed."""
        with pytest.raises(Duplicate), driver.unit_of_work() as work:
            work.metadefs.add(a_namespace("n"))
            work.metadefs.associate("n", Association(resource_type="a"))
            work.metadefs.define("n", a_definition("p"))
            work.metadefs.define("n", a_definition("p"))
        with driver.unit_of_work(read_only=True) as work:
            assert not work.metadefs.find(NamespaceQuery()).namespaces
            assert not work.metadefs.resource_types()


def _do(driver: MetadataDriver, *changes: _Change) -> None:
    with driver.unit_of_work() as work:
        for change in changes:
            change(work)
        work.commit()


def _adding(namespace: Namespace) -> _Change:
    return lambda work: work.metadefs.add(namespace)


def _defining(namespace: str, definition: Definition) -> _Change:
    return lambda work: work.metadefs.define(namespace, definition)


def _associating(namespace: str, resource_type: str) -> _Change:
    association = Association(resource_type=resource_type, created_at=MORNING)
    return lambda work: work.metadefs.associate(namespace, association)
