# SPDX-License-Identifier: Apache-2.0
"""``glancekit placement`` and ``glancekit audit``: what they write, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glancekit.bootstrap import bootstrap, load_config
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.stream import IteratorStream
from glancekit.services import data, images

RULES = """
- name: twice
  stores: [one, two]
- name: golden
  match: {tags: [golden], properties: {os: linux}}
  stores: [two]
  exact: true
"""

ADMIN = Identity(user_id="u", project_id="p", roles=frozenset({"admin"}))


@pytest.fixture
def image_id(config_file: Path) -> str:
    """An image with a copy in one of two stores, and rules."""
    with config_file.open("a") as file:
        file.write("enabled_backends = one:file, two:file\n")
        file.write("[glance_store]\ndefault_backend = one\n")
    (config_file.parent / "placement.yaml").write_text(RULES)
    with bootstrap(load_config([str(config_file)])) as world:
        new = images.create(world, ADMIN, NewImage(disk_format="raw", container_format="bare"))
        source = IteratorStream(iter([b"data"]))
        data.upload(world, ADMIN, new.id, source, size=4, store=None)
    return new.id


def test_rules_are_shown(run: Callable[..., Any], image_id: str) -> None:
    done = run("placement", "show", "-f", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == [
        {"name": "twice", "match": {}, "copies": 2, "stores": ["one", "two"], "exact": False},
        {
            "name": "golden",
            "match": {"tags": ["golden"], "properties": {"os": "linux"}},
            "copies": 1,
            "stores": ["two"],
            "exact": True,
        },
    ]


def test_an_image_is_explained(run: Callable[..., Any], image_id: str) -> None:
    done = run("placement", "explain", image_id, "-f", "json")
    assert done.code == 0, done.err
    rows = {row.pop("store"): row for row in json.loads(done.out)}
    assert rows["one"] == {
        "copy": "not audited", "action": "keep", "rules": ["twice"], "reason": "",
    }  # fmt: skip
    assert rows["two"] == {
        "copy": None, "action": "add", "rules": ["twice"], "reason": "it has no copy yet",
    }  # fmt: skip
    assert run("placement", "explain", "00000000-0000-0000-0000-000000000000").code == 1


def test_rules_that_make_no_sense_are_a_wrong_configuration(
    run: Callable[..., Any], image_id: str, config_file: Path
) -> None:
    (config_file.parent / "placement.yaml").write_text("- {name: x, stores: [three]}")
    done = run("placement", "show")
    assert done.code == 78
    assert "names store 'three', which is not configured" in done.err
    done = run("config", "check")
    assert done.code == 78
    assert "names store 'three', which is not configured" in done.out


def test_what_is_due_is_audited(run: Callable[..., Any], image_id: str, config_file: Path) -> None:
    assert "nothing was due" in run("audit", "run").err
    with config_file.open("a") as file:
        file.write("[auditor]\ncycle = 0\n")
    assert "1 good" in run("audit", "run").err
    assert run("audit", "show", image_id, "-c", "finding", "-f", "value").out == "good\n"
