# SPDX-License-Identifier: Apache-2.0
"""An operator's policy files: what they change, what can be wrong, that they are read again."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from glancekit.core.errors import ConfigError, Forbidden, ImageNotFound, MetadefNotFound
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Member, Visibility
from glancekit.core.model.listing import ImageQuery
from glancekit.core.model.metadef import Namespace, NamespaceQuery
from glancekit.services import images, members
from glancekit.services.access import RULES, Access
from glancekit.services.metadefs import namespaces
from glancekit.services.rule_files import RuleFiles, read
from glancekit.services.world import World


def person(project: str | None, *roles: str, service_roles: str = "") -> Identity:
    return Identity(
        user_id=f"u-{project}",
        project_id=project,
        roles=frozenset(roles),
        service_roles=frozenset(service_roles.split()),
    )


def access_of(folder: Path, text: str) -> Access:
    (folder / "policy.yaml").write_text(text)
    return read(RuleFiles(folders=[folder], seconds=0.0))[0]


def under(world: World, access: Access) -> World:
    return replace(world, access=access)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


# -- what counts


def test_without_a_file_the_defaults_count(folder: Path) -> None:
    access = read(RuleFiles(folders=[folder]))[0]
    assert not any(access.is_changed(name) for name in RULES)


def test_a_file_with_the_defaults_changes_nothing(folder: Path) -> None:
    lines = [f'"{name}": "{rule.check}"' for name, rule in RULES.items()]
    access = access_of(folder, "\n".join(lines))
    assert not any(access.is_changed(name) for name in RULES)


def test_an_operators_rule_takes_the_place_of_the_default(folder: Path) -> None:
    access = access_of(folder, '"publicize_image": "role:publisher"')
    assert access.may(person("p1", "publisher"), "publicize_image", owner="p1")
    assert not access.may(person("p1", "admin"), "publicize_image", owner="p1")
    assert access.is_changed("publicize_image")
    assert not access.is_changed("get_image")


def test_rules_that_refer_to_a_changed_rule_change_with_it(folder: Path) -> None:
    access = access_of(folder, '"metadef_admin": "role:librarian"')
    assert access.may(person("p1", "librarian"), "add_metadef_namespace", owner="p1")
    assert not access.may(person("p1", "admin"), "add_metadef_namespace", owner="p1")


def test_rules_of_the_operators_own_naming_may_be_referred_to(folder: Path) -> None:
    access = access_of(
        folder,
        '"owner_or_auditor": "project_id:%(owner)s or rule:auditor"\n'
        '"auditor": "role:auditor"\n'
        '"download_image": "rule:owner_or_auditor"',
    )
    assert access.may(person("p2", "auditor"), "download_image", owner="p1")
    assert access.may(person("p1"), "download_image", owner="p1")
    assert not access.may(person("p2", "member"), "download_image", owner="p1")


def test_who_is_the_administrator_is_one_rule_for_everything(folder: Path, world: World) -> None:
    access = access_of(folder, '"context_is_admin": "role:cloud_admin"')
    private = images.create(
        world, person("p1", "member", "reader"), NewImage(visibility=Visibility.PRIVATE)
    )
    chosen = access.recognise(person("ops", "cloud_admin"))
    former = access.recognise(person("ops", "admin"))
    assert (chosen.is_admin, former.is_admin) == (True, False)
    here = under(world, access)
    assert images.show(here, chosen, private.id).id == private.id
    assert len(images.find(here, chosen, ImageQuery()).images) == 1
    images.delete(here, chosen, private.id)
    with pytest.raises(Forbidden):
        images.find(here, former, ImageQuery())
    with pytest.raises(ImageNotFound):
        images.show(here, former, private.id)


def test_an_administrator_by_another_name_leaves_the_defaults_fast(folder: Path) -> None:
    access = access_of(folder, '"context_is_admin": "rule:boss"\n"boss": "role:boss"')
    assert access.recognise(person("ops", "boss")).is_admin
    assert [name for name in RULES if access.is_changed(name)] == ["context_is_admin"]


def test_the_old_form_of_lists_is_understood(folder: Path) -> None:
    access = access_of(folder, '"publicize_image": [["role:a"], ["role:b", "role:c"], ["!"]]')
    allowed = [("a",), ("b", "c"), ("c", "b", "d")]
    for roles in (*allowed, ("b",), ("c",), ()):
        may = access.may(person("p1", *roles), "publicize_image", owner="p1")
        assert may is (roles in allowed)


def test_service_roles_can_be_asked_for(folder: Path) -> None:
    rule = '"fetch_image_location": "service_roles:service"\n"upload_image": "service_role:nova"'
    access = access_of(folder, rule)
    service = person("p1", "member", service_roles="service nova")
    assert access.may(service, "fetch_image_location", owner="p1")
    assert access.may(service, "upload_image", owner="p1")
    assert not access.may(person("p1", "service"), "fetch_image_location", owner="p1")


def test_files_in_the_folders_count_more(folder: Path) -> None:
    (folder / "policy.d").mkdir()
    (folder / "policy.d" / "10-a.yaml").write_text('"publicize_image": "role:a"')
    (folder / "policy.d" / "20-b.yaml").write_text('"publicize_image": "role:b"')
    (folder / "policy.yaml").write_text('"publicize_image": "!"\n"get_images": "role:c"')
    access, _ = read(RuleFiles(folders=[folder], policy_dirs=["policy.d"]))
    assert access.may(person("p1", "b"), "publicize_image", owner="p1")
    assert not access.may(person("p1", "a"), "publicize_image", owner="p1")
    assert access.may(person("p1", "c"), "get_images", owner="p1")


# -- what rules can be about


def test_a_rule_can_be_about_attributes_and_properties(folder: Path) -> None:
    access = access_of(
        folder,
        "\"download_image\": \"'gold':%(tier)s and 'qcow2':%(disk_format)s and "
        'project_id:%(project_id)s"',
    )
    gold = Image(id="i", owner="p1", disk_format="qcow2", properties={"tier": "gold"})
    for image, expected in (
        (gold, True),
        (replace(gold, properties={}), False),
        (replace(gold, disk_format="raw"), False),
        (replace(gold, owner="p2"), False),
    ):
        assert access.may(person("p1"), "download_image", owner=image.owner, image=image) is (
            expected
        )


@pytest.mark.parametrize("name", ["project_id", "member_id", "owner", "visibility", "user_id"])
def test_a_property_is_never_taken_for_what_rules_rely_on(folder: Path, name: str) -> None:
    access = access_of(folder, f'"modify_image": "project_id:%({name})s or user_id:%({name})s"')
    value = "u-p1" if name == "user_id" else "p1"
    image = Image(id="i", owner=None, properties={name: value})
    assert not access.may(person("p1", "member"), "modify_image", owner=None, image=image)


def test_a_member_of_a_shared_image_is_known_as_such(folder: Path, world: World) -> None:
    access = access_of(
        folder,
        '"get_image": "role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"',
    )
    here, owner = under(world, access), person("p1", "member", "reader")
    image = images.create(here, owner, NewImage())
    members.add(here, owner, image.id, "p2")
    assert images.show(here, person("p2", "reader"), image.id).id == image.id
    with pytest.raises(ImageNotFound):
        images.show(here, person("p3", "reader"), image.id)


def test_nothing_belongs_to_whoever_has_no_project(folder: Path) -> None:
    access = access_of(folder, '"modify_image": "project_id:%(project_id)s"')
    image = Image(id="i", owner=None)
    assert not access.may(person(None, "member"), "modify_image", owner=None, image=image)
    assert not access.may(person("None", "member"), "modify_image", owner=None, image=image)


# -- lists


def test_a_list_has_what_the_rule_permits_page_by_page(folder: Path, world: World) -> None:
    access = access_of(
        folder, '"get_image": "role:reader and (project_id:%(owner)s or \'raw\':%(disk_format)s)"'
    )
    here, owner = under(world, access), person("p1", "member", "reader")
    wanted = []
    for number in range(250):
        rare = number % 50 == 7
        image = Image(
            id=f"00000000-0000-0000-0000-{number:012}",
            owner="p1",
            visibility=Visibility.PUBLIC,
            disk_format="raw" if rare else "iso",
        )
        with world.metadata.unit_of_work() as work:
            work.images.add(image)
            work.commit()
        wanted += [image.id] if rare else []
    stranger = person("p2", "reader")
    for limit, sizes in ((2, [2, 2, 1]), (5, [5]), (4, [4, 1]), (300, [5])):
        found, pages, marker = [], [], None
        while True:
            page = images.find(here, stranger, ImageQuery(limit=limit, marker=marker))
            found += [image.id for image in page.images]
            pages.append(len(page.images))
            if not page.is_full:
                break
            marker = page.images[-1].id
        assert (sorted(found), pages) == (wanted, sizes)
    assert images.find(here, stranger, ImageQuery(limit=0)).images == ()
    assert len(images.find(here, owner, ImageQuery(limit=300)).images) == 250
    unseen = ImageQuery(marker="00000000-0000-0000-0000-000000000000")
    with pytest.raises(ImageNotFound):
        images.find(here, stranger, unseen)


def test_who_may_list_but_see_no_image_gets_an_empty_list(folder: Path, world: World) -> None:
    images.create(world, person("p1", "member", "reader"), NewImage())
    here = under(world, access_of(folder, '"get_images": "@"'))
    assert images.find(here, person("p1"), ImageQuery()).images == ()
    assert len(images.find(here, person("p1", "reader"), ImageQuery()).images) == 1


def test_namespaces_are_listed_by_the_rule_about_each(folder: Path, world: World) -> None:
    """There are 250 public ones of many projects; one in fifty is the caller's own."""
    rule = '"get_metadef_namespace": "project_id:%(project_id)s"'
    here, caller = under(world, access_of(folder, rule)), person("p1", "reader")
    with world.metadata.unit_of_work() as work:
        for number in range(250):
            owner = "p1" if number % 50 == 7 else "p2"
            work.metadefs.add(
                Namespace(name=f"n{number:03}", owner=owner, visibility=Visibility.PUBLIC)
            )
        work.commit()
    for limit, sizes in ((2, [2, 2, 1]), (5, [5]), (None, [5])):
        found, pages, marker = [], [], None
        while True:
            query = NamespaceQuery(limit=limit, marker=marker)
            page = namespaces.find(here, caller, query)
            found += [contents.namespace.name for contents in page.namespaces]
            pages.append(len(page.namespaces))
            if not page.is_full:
                break
            marker = found[-1]
        assert (sorted(found), pages) == (["n007", "n057", "n107", "n157", "n207"], sizes)
    with pytest.raises(MetadefNotFound):
        namespaces.find(here, caller, NamespaceQuery(marker="n000"))


def test_members_are_shown_by_the_rule_about_each(folder: Path, world: World) -> None:
    here = under(world, access_of(folder, '"get_member": "project_id:%(member_id)s"'))
    owner = person("p1", "member", "reader")
    image = images.create(here, owner, NewImage())
    with world.metadata.unit_of_work() as work:
        for project in ("p1", "p2"):
            work.members.add(Member(image_id=image.id, project_id=project))
        work.commit()
    assert [member.project_id for member in members.find(here, owner, image.id)] == ["p1"]


# -- what is wrong with a file


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('"get_image": "role:reader"\nget_images: [', 2, "expected"),
        ('# rules\n"get_image": "role:reader and ("', 2, "cannot be understood"),
        ('\n\n"get_image": "role:reader or admin"', 3, "cannot be understood"),
        ('"get_image": "rule:raeder"\n"reader": "role:reader"', 1, "did you mean 'reader'"),
        ('"a": "rule:b"\n"b": "rule:a"', 1, "refers to itself"),
        ('"get_image": "@"\n"get_image": "!"', 2, "twice"),
        ('"get_image": "@"\n"get_images":', 2, "no check string"),
        ('"get_images": {"role": "x"}', 1, "no check string"),
        ("- get_images", 1, "rule"),
        ('"get_image": "project_id:%(owner)d"', 1, "cannot be understood"),
        ('"get_image": "project_id:%owner"', 1, "cannot be understood"),
        ('"get_image": [["role:x"], ["bogus"]]', 1, "cannot be understood"),
    ],
)
def test_a_broken_file_stops_the_start(folder: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        access_of(folder, text)
    assert f"{folder}/policy.yaml:{line}:" in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_was_named_must_be_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match="policy_file = rules"):
        read(RuleFiles(folders=[folder], policy_file="rules.yaml"))


def test_a_rule_that_decides_nothing_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access_of(folder, '"get_imaeg": "@"\n"friend": "role:x"\n"get_image": "rule:friend"')
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "policy.yaml:1: there is no rule 'get_imaeg'" in caplog.text
    assert "did you mean 'get_image'" in caplog.text


# -- read again


def test_a_changed_file_is_read_again(folder: Path) -> None:
    access = access_of(folder, '"publicize_image": "role:a"')
    caller = person("p1", "b")
    assert not access.may(caller, "publicize_image", owner="p1")
    (folder / "policy.yaml").write_text('"publicize_image": "role:b" # changed')
    assert access.may(caller, "publicize_image", owner="p1")


def test_a_file_that_appears_is_read(folder: Path) -> None:
    access = read(RuleFiles(folders=[folder], seconds=0.0))[0]
    assert not access.is_changed("get_image")
    (folder / "policy.yaml").write_text('"get_image": "!"')
    assert access.is_changed("get_image")


def test_files_are_looked_at_now_and_then_only(folder: Path) -> None:
    (folder / "policy.yaml").write_text('"get_image": "!"')
    access = read(RuleFiles(folders=[folder], seconds=3600.0))[0]
    (folder / "policy.yaml").write_text("")
    assert access.is_changed("get_image")


@pytest.mark.parametrize("broken", ['"get_image": "role:reader and ("', None])
def test_a_broken_file_keeps_the_last_good_rules(
    folder: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    access = access_of(folder, '"get_image": "role:special"')
    caplog.set_level(logging.ERROR)
    if broken is None:
        (folder / "policy.yaml").unlink()
    else:
        (folder / "policy.yaml").write_text(broken)
    for _ in range(3):
        assert access.may(person("p1", "special"), "get_image", owner="p2")
        assert not access.may(person("p1", "reader"), "get_image", owner="p1")
    assert len(caplog.records) == 1
    assert str(folder / "policy.yaml") in caplog.text
    (folder / "policy.yaml").write_text('"get_image": "role:mended"')
    assert access.may(person("p1", "mended"), "get_image", owner="p2")
