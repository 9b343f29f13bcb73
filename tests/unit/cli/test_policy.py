# SPDX-License-Identifier: Apache-2.0
"""``glancekit policy`` as it is typed: what it lists, what it explains, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glancekit.bootstrap import bootstrap, load_config
from glancekit.core.model.image import Image, Visibility
from glancekit.services.access import RULES

Run = Callable[..., Any]


@pytest.fixture
def policy_file(config_file: Path) -> Path:
    file = config_file.parent / "policy.yaml"
    file.write_text(
        '"publicize_image": "rule:publisher or rule:context_is_admin"\n'
        '"publisher": "role:publisher and not role:novice"\n'
    )
    return file


@pytest.fixture
def image(config_file: Path) -> str:
    """A private image of p1 in the service's database."""
    image = Image(id="3f2504e0-4f89-41d3-9a0c-0305e82c3301", owner="p1")
    private = Image(
        id="3f2504e0-4f89-41d3-9a0c-0305e82c3302", owner="p1", visibility=Visibility.PRIVATE
    )
    with (
        bootstrap(load_config([str(config_file)])) as world,
        world.metadata.unit_of_work() as work,
    ):
        work.images.add(image)
        work.images.add(private)
        work.commit()
    return private.id


def test_show_has_every_rule_and_where_it_is_from(run: Run, policy_file: Path) -> None:
    rows = {row["rule"]: row for row in json.loads(run("policy", "show", "-f", "json").out)}
    assert rows.keys() == {*RULES, "publisher"}
    assert rows["get_image"]["from"] == "default"
    assert rows["publicize_image"]["from"] == f"{policy_file}:1"
    assert rows["publisher"]["check"] == "role:publisher and not role:novice"
    assert all(row["about"] for name, row in rows.items() if name in RULES)


def test_show_says_what_a_role_may(run: Run, policy_file: Path) -> None:
    out = run("policy", "show", "--role", "reader", "--role", "publisher", "-f", "json").out
    rows = {row["rule"]: (row["own"], row["public"]) for row in json.loads(out)}
    assert rows["get_image"] == ("yes", "yes")
    assert rows["get_members"] == ("yes", "no")
    assert rows["delete_image"] == ("no", "no")
    assert rows["publicize_image"] == ("yes", "yes")
    assert rows["publisher"] == (None, None)


def test_check_says_which_part_held(run: Run, policy_file: Path) -> None:
    outcome = run("policy", "check", "publicize_image", "--role", "publisher", "--project", "p1")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "The caller is no administrator (context_is_admin, default: role:admin)",
        f"Rule publicize_image ({policy_file}:1): rule:publisher or rule:context_is_admin",
        "It is about owner=p1, project_id=p1",
        "  yes any of",
        "    yes rule:publisher",
        "      yes all of",
        "        yes role:publisher",
        "        yes not",
        "          no  role:novice",
        "    no  rule:context_is_admin",
        "      no  role:admin",
        "Allowed: publicize_image",
    ]


def test_check_says_which_part_failed(run: Run) -> None:
    about = ("--project", "p1", "--owner", "p2", "--visibility", "public")
    outcome = run("policy", "check", "download_image", "--role", "reader", *about)
    assert outcome.code == 1
    assert "no  role:member" in outcome.out
    assert "yes 'public':%(visibility)s" in outcome.out
    assert outcome.out.endswith("Refused: download_image\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--role", "admin"), "this caller has none"),
        (("--role", "admin", "--project", "p1", "--read-only"), "may only read"),
    ],
)
def test_check_says_what_no_rule_says(run: Run, arguments: tuple[str, ...], words: str) -> None:
    outcome = run("policy", "check", "delete_image", *arguments)
    assert outcome.code == 1
    assert words in outcome.out


def test_check_asks_about_a_real_image(run: Run, image: str) -> None:
    def ask(*arguments: str) -> tuple[int, str]:
        outcome = run("policy", "check", "modify_image", "--image", image, *arguments)
        return outcome.code, outcome.out + outcome.err

    code, out = ask("--role", "member", "--project", "p1")
    assert (code, "visibility=private" in out) == (0, True)
    assert ask("--role", "admin", "--project", "ops")[0] == 0
    assert ask("--role", "reader", "--project", "p1")[0] == 1
    code, out = ask("--role", "member", "--project", "p2")
    assert (code, "whatever the rules" in out) == (1, True)


def test_check_with_service_roles(run: Run, policy_file: Path) -> None:
    policy_file.write_text('"upload_image": "service_roles:nova"')
    asked = ("policy", "check", "upload_image", "--project", "p1")
    assert run(*asked, "--service-role", "nova").code == 0
    assert run(*asked, "--role", "nova").code == 1


def test_an_action_that_is_not_there_is_a_usage_error(run: Run) -> None:
    outcome = run("policy", "check", "get_imaeg", "--project", "p1")
    assert outcome.code == 2
    assert "Did you mean get_image?" in outcome.err


def test_an_image_is_not_described_twice(run: Run) -> None:
    assert run("policy", "check", "get_image", "--image", "x", "--owner", "p1").code == 2


def test_a_broken_file_is_78(run: Run, policy_file: Path) -> None:
    policy_file.write_text('"get_image": "role:x or"')
    outcome = run("policy", "show")
    assert outcome.code == 78
    assert f"{policy_file}:1" in outcome.err


def test_without_an_operators_rule_oslo_policy_is_not_imported(config_file: Path) -> None:
    script = (
        "import sys\n"
        "from glancekit.bootstrap import bootstrap, load_config\n"
        f"with bootstrap(load_config([{str(config_file)!r}])): pass\n"
        "print('oslo_policy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
