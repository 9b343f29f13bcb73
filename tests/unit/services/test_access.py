# SPDX-License-Identifier: Apache-2.0
"""The defaults: what is decided here is what upstream's check strings say, in every case."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from glancekit.core.errors import Forbidden
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Visibility
from glancekit.services.access import RULES, Access
from glancekit.services.policy import PolicyRules

ME, OTHER = "p1", "p2"

ROLE_SETS = [
    frozenset(chosen)
    for size in range(5)
    for chosen in itertools.combinations(("reader", "member", "admin", "service"), size)
]
VISIBILITIES = [None, *Visibility]


class AllByFile(PolicyRules):
    """Upstream's check strings, asked for every rule as if an operator had written them."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = frozenset(RULES)


def person(project_id: str | None, *roles: str, **more: object) -> Identity:
    return Identity(user_id="u", project_id=project_id, roles=frozenset(roles), **more)  # type: ignore[arg-type]


def cases() -> Iterator[tuple[Identity, dict[str, str | None]]]:
    for project, roles, owner, visibility, member in itertools.product(
        (None, ME), ROLE_SETS, (None, ME, OTHER), VISIBILITIES, (None, ME, OTHER)
    ):
        yield (
            person(project, *roles),
            {"owner": owner, "visibility": visibility, "member": member},
        )


@pytest.mark.parametrize("name", RULES)
def test_what_is_decided_is_what_the_check_string_says(name: str) -> None:
    here, there = Access(), Access(lambda: written)
    written = AllByFile()
    count = 0
    for caller, thing in cases():
        assert here.may(caller, name, **thing) == there.may(caller, name, **thing), (caller, thing)  # type: ignore[arg-type]
        count += 1
    assert count == 2 * 16 * 3 * 5 * 3


@pytest.mark.parametrize("name", RULES)
def test_what_is_decided_of_an_image_is_what_the_check_string_says(name: str) -> None:
    here, there = Access(), Access(lambda: written)
    written = AllByFile()
    for roles, owner, visibility in itertools.product(ROLE_SETS, (None, ME, OTHER), Visibility):
        image = Image(id="i", owner=owner, visibility=visibility)
        caller = person(ME, *roles)
        decided = here.may(caller, name, owner=owner, image=image)
        assert decided == there.may(caller, name, owner=owner, image=image), (caller, image)


def test_there_are_the_rules_that_upstream_has_and_two_of_ours() -> None:
    assert len(RULES.keys() - {"restore_image", "get_usage"}) == 67


@pytest.mark.parametrize("name", RULES)
def test_without_a_project_nobody_may_anything(name: str) -> None:
    admin = person(None, "admin", "member", "reader", "service")
    assert not Access().may(admin, name, owner=None)
    with pytest.raises(Forbidden, match="without a project"):
        Access().require(admin, name, owner=None)


def test_without_a_project_nobody_is_the_administrator() -> None:
    assert not Access().recognise(person(None, "admin")).is_admin
    assert Access().recognise(person(ME, "admin")).is_admin


def test_who_may_only_read_changes_nothing() -> None:
    caller = person(ME, "admin", "member", "reader", read_only=True)
    allowed = {name for name in RULES if Access().may(caller, name, owner=ME, member=ME)}
    assert "get_images" in allowed
    assert "download_image" in allowed
    changing = ("add_", "modify_", "delete_", "remove_", "upload_", "set_", "cache_image")
    assert not [name for name in allowed if name.startswith(changing)]
    assert not allowed & {"deactivate", "reactivate", "publicize_image", "copy_image"}


# -- the page that tells of them

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "policies.rst"

_ROW = re.compile(r"^``(\w+)``  +(\S.*?)  +\S", re.MULTILINE)
_OWN = "project_id:%(project_id)s"
_SHARED = "project_id:%(member_id)s"
_WHERE_VISIBLE = (
    f"{_OWN} or {_SHARED} or 'community':%(visibility)s or 'public':%(visibility)s "
    "or 'shared':%(visibility)s"
)
IN_WORDS = {
    "everybody": "",
    "everybody (``rule:default``)": "rule:default",
    "role ``admin``": "role:admin",
    "role ``service`` or ``admin``": "role:service or role:admin",
    "``rule:service_api``": "rule:service_api",
    "``rule:metadef_admin``": "rule:metadef_admin",
    "admin": "",
    "admin, or ``rule:service_api``": "rule:service_api",
    "admin, or member of the project": f"(role:member and {_OWN})",
    "admin, or reader of the project": f"(role:reader and {_OWN})",
    "admin, or member where visible": f"(role:member and ({_WHERE_VISIBLE}))",
    "admin, or reader where visible": f"(role:reader and ({_WHERE_VISIBLE}))",
    "admin, or member shared with": f"(role:member and {_SHARED})",
    "admin, or reader of the project or shared with": f"(role:reader and ({_OWN} or {_SHARED}))",
    "admin, or reader of the project or if it is public": (
        f"(role:reader and ({_OWN} or 'public':%(visibility)s))"
    ),
    "admin, or member of the project that is to own it": (
        f"(role:member and {_OWN} and project_id:%(owner)s)"
    ),
    "``rule:service_api``, or member of the project": (
        f"rule:service_api or (role:member and {_OWN} and project_id:%(owner)s)"
    ),
}


def test_the_page_has_every_rule_with_its_default() -> None:
    rows = dict(_ROW.findall(PAGE.read_text()))
    told = {name: words for name, words in rows.items() if name in RULES}
    assert told.keys() == RULES.keys()
    for name, words in told.items():
        parts = ["rule:context_is_admin"] if words.startswith("admin") else []
        parts += [IN_WORDS[words]] if IN_WORDS[words] else []
        assert " or ".join(parts) == RULES[name].check, name
