# SPDX-License-Identifier: Apache-2.0
"""Who may read, create, update and delete which properties; what cannot be read is nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from glancekit.core.errors import ConfigError, Conflict, Duplicate, Forbidden
from glancekit.core.model.changes import Change, NewImage, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Visibility
from glancekit.core.model.listing import ImageQuery
from glancekit.services import images
from glancekit.services.protections import Operation
from glancekit.services.rule_files import RuleFiles, read
from glancekit.services.world import World

RULES = """
[^billing_]
create = biller
read = Biller, auditor
update = biller
delete = !

[^note$]
create = @
read = @
update = member
delete = biller,member

[^drop_.*]
create = member
read = biller
update = biller
delete = biller

[.*_open]
create = @
read = @
update = @
delete = @
"""

Build = Callable[..., World]


def person(*roles: str, project: str = "p1", service_roles: str = "") -> Identity:
    return Identity(
        user_id="u",
        project_id=project,
        roles=frozenset({"reader", "member", *roles}),
        service_roles=frozenset(service_roles.split()),
    )


MEMBER, BILLER, AUDITOR = person(), person("biller"), person("auditor")


@pytest.fixture
def build(world: World, tmp_path: Path) -> Build:
    """The world of memory drivers under these rules."""

    def build(text: str = RULES, rules: str = "roles", policy: str = "") -> World:
        (tmp_path / "protections.conf").write_text(text)
        (tmp_path / "policy.yaml").write_text(policy)
        access, protections = read(
            RuleFiles(
                folders=[tmp_path],
                property_protection_file="protections.conf",
                property_protection_rule_format=rules,
                seconds=0.0,
            )
        )
        return replace(world, access=access, protections=protections)

    return build


def stored(world: World, image: Image) -> dict[str, str]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return dict(work.images.get(image.id).properties)


def made(world: World, **properties: str) -> Image:
    """Make an image with properties that nobody asks about."""
    image = Image(
        id="3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        owner="p1",
        visibility=Visibility.PUBLIC,
        properties=properties,
    )
    with world.metadata.unit_of_work() as work:
        work.images.add(image)
        work.commit()
    return image


# -- reading


def test_without_a_file_all_may_do_all(world: World) -> None:
    image = images.create(world, MEMBER, NewImage(properties={"billing_code": "7"}))
    assert image.properties == {"billing_code": "7"}
    assert images.show(world, MEMBER, image.id) is not None


def test_what_may_not_be_read_is_nowhere(build: Build) -> None:
    world = build()
    image = made(world, billing_code="7", note="hello", unnamed="x")
    for caller, seen in (
        (MEMBER, {"note"}),
        (BILLER, {"note", "billing_code"}),
        (AUDITOR, {"note", "billing_code"}),
        (person(project="p2"), {"note"}),
        (person("admin"), {"note"}),
    ):
        assert images.show(world, caller, image.id).properties.keys() == seen
        page = images.find(world, caller, ImageQuery())
        assert [image.properties.keys() for image in page.images] == [seen]
        change = [Change(Op.REPLACE, "name", f"by {sorted(seen)}")]
        if caller.project_id == "p1":
            answered = images.update(world, caller, image.id, change)
            assert answered.properties.keys() == seen
            assert images.update(world, caller, image.id, []).properties.keys() == seen
    assert stored(world, image) == {"billing_code": "7", "note": "hello", "unnamed": "x"}


def test_nothing_is_found_by_what_may_not_be_read(build: Build) -> None:
    world = build()
    made(world, billing_code="7", note="hello")
    by_code = ImageQuery(properties={"billing_code": "7"})
    both = ImageQuery(properties={"billing_code": "7", "note": "hello"})
    for query in (by_code, both):
        assert images.find(world, MEMBER, query).images == ()
        assert len(images.find(world, BILLER, query).images) == 1
    assert len(images.find(world, MEMBER, ImageQuery(properties={"note": "hello"})).images) == 1


def test_what_was_created_may_not_be_shown_to_its_maker(build: Build) -> None:
    world = build()
    image = images.create(world, MEMBER, NewImage(properties={"drop_a": "1", "note": "n"}))
    assert image.properties == {"note": "n"}
    assert stored(world, image) == {"drop_a": "1", "note": "n"}


def test_service_roles_count(build: Build) -> None:
    world = build()
    image = made(world, billing_code="7")
    nova = person(service_roles="biller")
    assert "billing_code" in images.show(world, nova, image.id).properties


def test_the_services_own_state_is_shown_whatever_the_rules_say(build: Build) -> None:
    refusing = "[.*]\ncreate = !\nread = !\nupdate = !\ndelete = !\n"
    first = refusing.replace(".*", "os_glance_failed")
    world = build(first + refusing)
    image = made(world, os_glance_failed_import="", note="x", my_os_glance="x")
    assert images.show(world, MEMBER, image.id).properties.keys() == {"os_glance_failed_import"}


# -- changing


@pytest.mark.parametrize(
    ("caller", "name", "may"),
    [
        (MEMBER, "note", True),
        (MEMBER, "billing_code", False),
        (BILLER, "billing_code", True),
        (AUDITOR, "billing_code", False),
        (MEMBER, "unnamed", False),
        (BILLER, "unnamed", False),
        (MEMBER, "billing_x_open", False),  # the first section that fits counts
        (MEMBER, "x_open", True),
    ],
)
def test_creating(build: Build, caller: Identity, name: str, may: bool) -> None:
    world = build()
    new = NewImage(properties={name: "1"})
    image = made(world)
    change = [Change(Op.ADD, name, "1")]
    if may:
        images.create(world, caller, new)
        images.update(world, caller, image.id, change)
        assert stored(world, image) == {name: "1"}
        return
    with pytest.raises(Forbidden, match=f"create property '{name}'"):
        images.create(world, caller, new)
    with pytest.raises(Forbidden, match=f"create property '{name}'"):
        images.update(world, caller, image.id, change)
    assert stored(world, image) == {}


@pytest.mark.parametrize("op", [Op.ADD, Op.REPLACE])
def test_updating(build: Build, op: Op) -> None:
    world = build()
    image = made(world, billing_code="7", note="hello")
    images.update(world, MEMBER, image.id, [Change(op, "note", "bye")])
    with pytest.raises(Forbidden, match="update property 'billing_code'"):
        images.update(world, AUDITOR, image.id, [Change(op, "billing_code", "8")])
    images.update(world, BILLER, image.id, [Change(op, "billing_code", "9")])
    assert stored(world, image) == {"billing_code": "9", "note": "bye"}


@pytest.mark.parametrize("change", [Change(Op.REMOVE, "x"), Change(Op.REPLACE, "x", None)])
def test_deleting(build: Build, change: Change) -> None:
    world = build()
    image = made(world, billing_code="7", note="hello")
    for caller in (BILLER, AUDITOR):
        with pytest.raises(Forbidden, match="delete property 'billing_code'"):
            images.update(world, caller, image.id, [replace(change, name="billing_code")])
    images.update(world, MEMBER, image.id, [replace(change, name="note")])
    assert stored(world, image) == {"billing_code": "7"}


def test_to_who_cannot_read_a_property_it_is_not_there(build: Build) -> None:
    world = build()
    image = made(world, drop_box="first", billing_code="7")
    for op in (Op.REPLACE, Op.REMOVE):
        with pytest.raises(Conflict, match="no property 'drop_box'"):
            images.update(world, MEMBER, image.id, [Change(op, "drop_box", "x")])
    with pytest.raises(Forbidden, match="create property 'billing_code'"):
        images.update(world, MEMBER, image.id, [Change(Op.ADD, "billing_code", "x")])
    answered = images.update(world, MEMBER, image.id, [Change(Op.CREATE, "drop_box", "second")])
    assert answered.properties == {}
    assert stored(world, image) == {"drop_box": "second", "billing_code": "7"}
    with pytest.raises(Duplicate):
        images.update(world, BILLER, image.id, [Change(Op.CREATE, "drop_box", "third")])


def test_one_refusal_refuses_all(build: Build) -> None:
    world = build()
    image = made(world, note="hello")
    changes = [Change(Op.REPLACE, "note", "bye"), Change(Op.ADD, "billing_code", "1")]
    with pytest.raises(Forbidden):
        images.update(world, MEMBER, image.id, changes)
    assert stored(world, image) == {"note": "hello"}


# -- by policies


BY_POLICIES = """
[^billing_]
create = biller_rule
read = billers_and_admins
update = @
delete = !
"""
POLICY = """
"biller_rule": "role:biller"
"billers_and_admins": "rule:biller_rule or rule:context_is_admin"
"""


def test_a_section_may_name_rules_of_the_policy_file(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    world = build(BY_POLICIES, "policies", POLICY)
    image = images.create(world, BILLER, NewImage(properties={"billing_code": "7"}))
    for caller, sees in ((MEMBER, False), (BILLER, True), (person("admin"), True)):
        shown = images.show(world, caller, image.id)
        assert ("billing_code" in shown.properties) is sees
    with pytest.raises(Forbidden):
        images.create(world, person("admin"), NewImage(properties={"billing_code": "7"}))
    assert caplog.records == []


def test_upstreams_own_rules_may_be_named(build: Build) -> None:
    everywhere = BY_POLICIES.replace("biller_rule", "context_is_admin").replace(
        "billers_and_admins", "service_api"
    )
    view = build(everywhere, "policies").protections.view
    assert view(person("admin")).may(Operation.CREATE, "billing_code")
    assert not view(MEMBER).may(Operation.READ, "billing_code")


# -- what is wrong with a file


SECTION = "[^a]\ncreate = @\nread = @\nupdate = @\ndelete = @\n"


@pytest.mark.parametrize(
    ("text", "rules", "line", "words"),
    [
        (SECTION.replace("read = @\n", ""), "roles", 1, "who may read"),
        ("\n\n" + SECTION.replace("^a", "(a"), "roles", 3, "no regular expression"),
        (SECTION.replace("read = @", "read = @,!"), "roles", 1, "all and nobody at once"),
        (SECTION + "write = x\n", "roles", 1, "'write' is none of"),
        (SECTION + SECTION, "roles", 6, "already exists"),
        ("create = @\n", "roles", 1, "no section headers"),
        (SECTION.replace("read = @", "read = a,b"), "policies", 1, "exactly one"),
        (SECTION.replace("read = @", "read ="), "policies", 1, "exactly one"),
        (SECTION.replace("read = @", "read = nowhere"), "policies", 1, "no policy rule 'nowhere'"),
    ],
)
def test_a_broken_file_stops_the_start(
    build: Build, text: str, rules: str, line: int, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(text, rules)
    message = str(caught.value)
    assert words in message
    assert "protections.conf" in message
    assert f"protections.conf:{line}: section" in message or f"line: {line}" in message.replace(
        "[line ", "line: "
    ), message


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="property_protection_file = gone"):
        read(RuleFiles(folders=[tmp_path], property_protection_file="gone"))


def test_nobody_is_named_by_nothing(build: Build) -> None:
    view = build(SECTION.replace("read = @", "read =")).protections.view(person("admin"))
    assert not view.may(Operation.READ, "a")
    assert view.may(Operation.UPDATE, "a")


# -- read again


def test_a_changed_file_is_read_again_and_a_broken_one_is_not(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    world, file = build(), tmp_path / "protections.conf"
    assert not world.protections.view(MEMBER).may(Operation.READ, "billing_code")
    file.write_text(SECTION.replace("^a", "^billing_"))
    assert world.protections.view(MEMBER).may(Operation.READ, "billing_code")
    file.write_text("[oops")
    for _ in range(3):
        assert world.protections.view(MEMBER).may(Operation.READ, "billing_code")
    assert len(caplog.records) == 1
    assert "protections.conf" in caplog.text
