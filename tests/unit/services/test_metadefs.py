# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions as use cases: rights, events, loading, and images held to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from glancekit.core.errors import Duplicate, Forbidden, InvalidField, MetadefNotFound
from glancekit.core.model.changes import Change, NewImage, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Visibility
from glancekit.core.model.metadef import Contents, DefinitionKind, Namespace
from glancekit.services import images
from glancekit.services.metadefs import (
    associations,
    bulk,
    definitions,
    documents,
    enforcement,
    forms,
    namespaces,
)
from glancekit.services.metadefs.bulk import Merge, Outcome
from glancekit.services.world import World


def contents(name: str = "n", **fields: Any) -> Contents:
    document = {"namespace": name, "visibility": "public", **fields}
    forms.FormChecker(forms.NAMESPACE).check(document)
    return documents.contents_of(document, owner="ops")


def prop(**fields: Any) -> dict[str, Any]:
    return {"title": "P", "type": "string", **fields}


def events(world: World) -> list[str]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return [event.type for event in work.events.after(0, limit=100)]


# -- rights and events


def test_what_is_in_a_new_namespace_needs_its_own_rights(world: World, member: Identity) -> None:
    with pytest.raises(Forbidden):
        namespaces.create(world, member, contents())
    assert events(world) == []


def test_a_namespace_that_is_not_seen_is_not_there(
    world: World, admin: Identity, member: Identity
) -> None:
    namespaces.create(world, admin, contents(visibility="private"))
    for attempt in (
        lambda: namespaces.show(world, member, "n"),
        lambda: namespaces.remove(world, member, "n"),
        lambda: definitions.clear(world, member, "n", DefinitionKind.TAG),
        lambda: associations.find(world, member, "n"),
    ):
        with pytest.raises(MetadefNotFound):
            attempt()


def test_everything_that_happens_is_told(world: World, admin: Identity) -> None:
    namespaces.create(world, admin, contents(tags=[{"name": "t"}]))
    made = documents.property_of({"name": "p", **prop()})
    definitions.create(world, admin, "n", made)
    definitions.update(world, admin, "n", "p", documents.property_of({"name": "q", **prop()}))
    definitions.remove(world, admin, "n", DefinitionKind.PROPERTY, "q")
    definitions.create(world, admin, "n", documents.object_of({"name": "o"}))
    definitions.set_tags(world, admin, "n", [documents.tag_of({"name": "u"})], append=True)
    associations.create(world, admin, "n", documents.association_of({"name": "x"}))
    associations.remove(world, admin, "n", "x")
    for kind in DefinitionKind:
        definitions.clear(world, admin, "n", kind)
    new = Namespace(name="m", owner="ops")
    namespaces.update(world, admin, "n", new)
    namespaces.remove(world, admin, "m")
    assert events(world) == [
        "metadef_namespace.create",
        "metadef_property.create",
        "metadef_property.update",
        "metadef_property.delete",
        "metadef_object.create",
        "metadef_tag.create",
        "metadef_resource_type.create",
        "metadef_resource_type.delete",
        "metadef_namespace.delete_properties",
        "metadef_namespace.delete_objects",
        "metadef_namespace.delete_tags",
        "metadef_namespace.update",
        "metadef_namespace.delete",
    ]
    with world.metadata.unit_of_work(read_only=True) as work:
        told = work.events.after(0, limit=100)
    assert told[2].payload["name_old"] == "p"
    assert told[11].payload["namespace_old"] == "n"
    assert {event.project_id for event in told} == {"ops"}


def test_what_is_refused_changes_nothing(world: World, admin: Identity) -> None:
    namespaces.create(world, admin, contents(protected=True, tags=[{"name": "t"}]))
    before = events(world)
    for attempt in (
        lambda: namespaces.remove(world, admin, "n"),
        lambda: definitions.clear(world, admin, "n", DefinitionKind.TAG),
        lambda: definitions.remove(world, admin, "n", DefinitionKind.TAG, "t"),
    ):
        with pytest.raises(Forbidden, match="protected"):
            attempt()
    tags = [documents.tag_of({"name": "u"})] * 2
    with pytest.raises(Duplicate):
        definitions.set_tags(world, admin, "n", tags, append=False)
    shown = namespaces.show(world, admin, "n")
    assert [tag.name for tag in shown.definitions] == ["t"]
    assert events(world) == before


# -- loading


OLD = {
    "description": "old",
    "properties": {"a": prop(title="old"), "b": prop(title="old")},
    "tags": [{"name": "t"}],
    "resource_type_associations": [{"name": "x", "prefix": "old"}],
}
NEW = {
    "display_name": "new",
    "description": "new",
    "properties": {"b": prop(title="new"), "c": prop(title="new")},
    "resource_type_associations": [{"name": "x", "prefix": "new"}, {"name": "y"}],
}


@pytest.mark.parametrize(
    ("merge", "outcome", "shown", "properties", "prefixes", "tags"),
    [
        (Merge.SKIP, Outcome.SKIPPED, (None, "old"), "a:old b:old", ["old"], 1),
        (Merge.PREFER_OLD, Outcome.MERGED, ("new", "old"), "a:old b:old c:new", ["old", None], 1),
        (Merge.PREFER_NEW, Outcome.MERGED, ("new", "new"), "a:old b:new c:new", ["new", None], 1),
        (Merge.OVERWRITE, Outcome.OVERWRITTEN, ("new", "new"), "b:new c:new", ["new", None], 0),
    ],
)
def test_loading_what_is_there(
    world: World,
    admin: Identity,
    merge: Merge,
    outcome: Outcome,
    shown: tuple[str | None, str],
    properties: str,
    prefixes: list[str | None],
    tags: int,
) -> None:
    (added,) = bulk.load(world.metadata, [contents(**OLD)], merge)
    assert added.outcome is Outcome.ADDED
    enforcement.enforce(world.metadata, "n", True)
    (loaded,) = bulk.load(world.metadata, [contents(**NEW)], merge)
    assert loaded.outcome is outcome
    found = namespaces.show(world, admin, "n")
    assert (found.namespace.display_name, found.namespace.description) == shown
    told = (f"{one.name}:{one.content['title']}" for one in found.of_kind(DefinitionKind.PROPERTY))
    assert " ".join(told) == properties
    assert [one.prefix for one in found.associations] == prefixes
    assert len(found.of_kind(DefinitionKind.TAG)) == tags
    assert found.namespace.enforced


@pytest.mark.parametrize("merge", [Merge.PREFER_OLD, Merge.PREFER_NEW, Merge.OVERWRITE])
def test_loading_the_same_again_changes_nothing(world: World, merge: Merge) -> None:
    bulk.load(world.metadata, [contents(**OLD)], merge)
    before = events(world)
    (loaded,) = bulk.load(world.metadata, [contents(**OLD)], merge)
    assert loaded.outcome is Outcome.UNCHANGED
    assert events(world) == before


def test_all_are_loaded_or_none(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        bulk.load(world.metadata, (contents(str(1 // n)) for n in (1, 0)), Merge.SKIP)
    assert bulk.every(world.metadata) == []


def test_what_is_exported_can_be_loaded(world: World) -> None:
    bulk.load(world.metadata, [contents("a", **OLD, protected=True), contents("b")], Merge.SKIP)
    exported = [documents.document_of(one) for one in bulk.every(world.metadata)]
    assert bulk.unload(world.metadata, ["a", "nothing"]) == ["a"]
    assert bulk.unload(world.metadata, None) == ["b"]
    for document in exported:
        forms.FormChecker(forms.NAMESPACE).check(document)
    again = (documents.contents_of(document, owner="other") for document in exported)
    bulk.load(world.metadata, again, Merge.SKIP)
    assert [documents.document_of(one) for one in bulk.every(world.metadata)] == exported


# -- images held to definitions


def enforced(world: World, definition: Mapping[str, Any], **fields: Any) -> None:
    """Have a namespace enforced that has the definition of ``hw_p``."""
    image = [{"name": "OS::Glance::Image", "prefix": "hw_"}]
    given = {"resource_type_associations": image, "properties": {"p": definition}, **fields}
    bulk.load(world.metadata, [contents("n", **given)], Merge.SKIP)
    enforcement.enforce(world.metadata, "n", True)


def make(world: World, caller: Identity, value: str, name: str = "hw_p") -> Image:
    return images.create(world, caller, NewImage(properties={name: value}))


ARRAY = prop(type="array", items={"type": "string", "enum": ["a", "b", "c"]})


@pytest.mark.parametrize(
    ("definition", "good", "bad", "constraint"),
    [
        (prop(type="integer"), ["0", "-7", "+3"], ["", "1.0", "x", "1e3", "٣"], "type"),
        (prop(type="integer", minimum=2), ["2", "3", "9" * 99], ["1", "-2"], "minimum"),
        (prop(type="integer", maximum=2), ["2", "1"], ["3"], "maximum"),
        (prop(type="integer", enum=[1, 2]), ["1"], ["3"], "enum"),
        (prop(type="integer", enum=["1", "2"]), ["1"], ["3"], "enum"),
        (prop(type="number"), ["1", "0.5", "-1e3"], ["x", "nan", "inf", ""], "type"),
        (prop(type="number", maximum=0.5), ["0.5"], ["0.6"], "maximum"),
        (prop(type="boolean"), ["true", "False", "TRUE"], ["yes", "1", ""], "type"),
        (prop(type="boolean", enum=["true"]), ["true", "True"], ["false"], "enum"),
        (prop(enum=["a", "b"]), ["a"], ["A", "", "ab"], "enum"),
        (prop(minLength=2), ["ab", "äö"], ["a", ""], "minLength"),
        (prop(maxLength=2), ["ab", "äö"], ["abc"], "maxLength"),
        (prop(pattern="^a+$"), ["a", "aa"], ["b", "ab"], "pattern"),
        (ARRAY, ["a", "a,b", "b , c", '["a"]', ""], ["d", "a,d", '["d"]'], "items.enum"),
        ({**ARRAY, "minItems": 2}, ["a,b"], ["a", ""], "minItems"),
        ({**ARRAY, "maxItems": 1}, ["a", ""], ["a,b"], "maxItems"),
        ({**ARRAY, "uniqueItems": True}, ["a,b"], ["a,a"], "uniqueItems"),
        (prop(type="array", items={"type": "integer"}), ["1,2", "[1]"], ["1,x", "[1,"], "type"),
        (prop(type="array", items={"type": "integer"}), ["[]"], ['["x"]'], "items.type"),
        (prop(type="object"), ['{"a": 1}'], ["[]", "x", '{"a": 1' + "0" * 400 + "}"], "type"),
        (prop(type="array", uniqueItems=True), ["[[1]]"], ["[" * 900 + "]" * 900], "type"),
        (prop(type="null"), ["", "null"], ["x"], "type"),
        (prop(enum=["a", "b"], operators=["<or>"]), ["<or> a <or> b"], ["<or> c"], "enum"),
        ({**ARRAY, "operators": ["<all-in>"]}, ["<all-in> a,b"], ["<all-in> d"], "items.enum"),
    ],
)
def test_each_constraint(
    world: World,
    member: Identity,
    definition: Mapping[str, Any],
    good: list[str],
    bad: list[str],
    constraint: str,
) -> None:
    enforced(world, definition)
    for value in good:
        assert make(world, member, value).properties == {"hw_p": value}
    for value in bad:
        with pytest.raises(InvalidField) as caught:
            make(world, member, value)
        facts = caught.value.facts
        found = (facts["field"], facts["constraint"], facts["namespace"])
        assert found == ("hw_p", constraint, "n"), value
        assert f"{constraint} in metadata definitions n" in str(caught.value)


def test_it_is_off_until_it_is_switched_on(world: World, member: Identity) -> None:
    enforced(world, prop(enum=["a"]))
    with pytest.raises(InvalidField):
        make(world, member, "b")
    enforcement.enforce(world.metadata, "n", False)
    make(world, member, "b")


def test_the_prefix_is_a_part_of_the_name(world: World, member: Identity) -> None:
    enforced(world, prop(enum=["a"]))
    make(world, member, "b", name="p")


def test_what_speaks_of_other_things_is_not_asked(world: World, member: Identity) -> None:
    volumes = [{"name": "OS::Cinder::Volume", "prefix": "hw_"}]
    enforced(world, prop(enum=["a"]), resource_type_associations=volumes)
    assert not enforcement.speaks_of_images(world.metadata, "n")
    make(world, member, "b")


def test_properties_of_objects_count_too(world: World, member: Identity) -> None:
    enforced(world, prop(), objects=[{"name": "o", "properties": {"q": prop(enum=["a"])}}])
    make(world, member, "a", name="hw_q")
    with pytest.raises(InvalidField):
        make(world, member, "b", name="hw_q")


def test_a_private_namespace_is_for_its_owners_images(
    world: World, member: Identity, stranger: Identity
) -> None:
    enforced(world, prop(enum=["a"]), visibility=Visibility.PRIVATE.value, owner="p1")
    make(world, stranger, "b")
    with pytest.raises(InvalidField):
        make(world, member, "b")


def test_only_what_changes_is_held_to_it(world: World, member: Identity) -> None:
    image = make(world, member, "before")
    enforced(world, prop(enum=["a"]))

    def change(name: str, value: str | None) -> Image:
        op = Op.ADD if value is not None else Op.REMOVE
        return images.update(world, member, image.id, [Change(op, name, value)])

    assert change("name", "new").properties["hw_p"] == "before"
    assert change("other", "x").properties["hw_p"] == "before"
    with pytest.raises(InvalidField):
        change("hw_p", "b")
    assert change("hw_p", "a").properties["hw_p"] == "a"
    assert "hw_p" not in change("hw_p", None).properties
