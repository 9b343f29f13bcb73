# SPDX-License-Identifier: Apache-2.0
"""``glancekit metadefs``, as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

FULL = {
    "namespace": "OS::Full",
    "display_name": "Full",
    "description": "d" * 600,
    "visibility": "public",
    "protected": True,
    "owner": "somebody",
    "resource_type_associations": [
        {"name": "OS::Glance::Image", "prefix": "hw_"},
        {"name": "OS::Cinder::Volume", "prefix": "hw_", "properties_target": "image"},
    ],
    "properties": {"cores": {"title": "Cores", "type": "integer", "minimum": 1}},
    "objects": [
        {
            "name": "o",
            "description": "d" * 600,
            "required": ["k"],
            "properties": {"k": {"title": "K", "type": "string", "enum": ["a", "b", "a"]}},
        }
    ],
    "tags": [{"name": "t"}, {"name": "u"}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory as operators have it: namespace files, and other files besides."""
    folder = tmp_path / "metadefs"
    folder.mkdir()
    (folder / "README").write_text("not a namespace")
    write(folder, "full", FULL)
    write(folder, "small", {"namespace": "Small", "created_at": "2014-08-28T17:13:06Z"})
    return folder


def write(folder: Path, name: str, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / f"{name}.json").write_text(text)


def listed(run: Run) -> dict[str, dict[str, Any]]:
    rows = json.loads(run("metadefs", "list", "-f", "json").out)
    return {row["namespace"]: row for row in rows}


def test_load_tells_of_each_file_and_counts(run: Run, folder: Path) -> None:
    outcome = run("metadefs", "load", "--path", str(folder))
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "full.json: OS::Full added, 1 property, 1 object, 2 tags",
        "small.json: Small added, 0 properties, 0 objects, 0 tags",
        "2 namespaces: 2 added, 0 merged, 0 overwritten, 0 unchanged, 0 skipped.",
    ]
    assert listed(run)["OS::Full"] == {
        "namespace": "OS::Full",
        "visibility": "public",
        "protected": True,
        "owner": "somebody",
        "enforced": False,
        "resource_types": ["OS::Cinder::Volume", "OS::Glance::Image"],
        "properties": 1,
        "objects": 1,
        "tags": 2,
    }
    assert listed(run)["Small"]["owner"] == "admin"


def test_what_is_there_is_skipped_merged_or_overwritten(run: Run, folder: Path) -> None:
    run("metadefs", "load", "--path", str(folder))
    write(folder, "full", {**FULL, "tags": [{"name": "v"}]})
    for options, told, tags in (
        ((), "skipped", 2),
        (("--merge",), "merged", 3),
        (("--merge", "--prefer-new"), "unchanged", 3),
        (("--merge", "--overwrite"), "overwritten", 1),
        (("--merge", "--overwrite"), "unchanged", 1),
    ):
        outcome = run("metadefs", "load", "--path", str(folder), *options)
        assert f"full.json: OS::Full {told}, 1 property, 1 object, 1 tag" in outcome.out
        assert listed(run)["OS::Full"]["tags"] == tags


@pytest.mark.parametrize(
    "options", [("--prefer-new",), ("--overwrite",), ("--merge", "--prefer-new", "--overwrite")]
)
def test_options_that_make_no_sense_together(run: Run, options: tuple[str, ...]) -> None:
    assert run("metadefs", "load", *options).code == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"namespace": "x",}', "bad.json: line 1, column "),
        ("[]", "bad.json: it is no JSON object"),
        ({"namespace": "x\0"}, "bad.json: it has a NUL character"),
        ({}, "bad.json: at namespace: it must be there"),
        ({"namespace": "x", "propertys": {}}, "bad.json: at propertys: there is no such"),
        (
            {"namespace": "x", "properties": {"p": {"title": "P", "type": "int"}}},
            "bad.json: at properties.p.type: 'int' is not one of",
        ),
        (
            {"namespace": "x", "objects": [{"name": "o", "properties": {"p": {"type": "null"}}}]},
            "bad.json: at objects.0.properties.p.title: it must be there",
        ),
        (
            {"namespace": "x", "tags": [{"name": "t"}, {"name": "t"}]},
            "bad.json: it names the tag 't' twice",
        ),
        ({"namespace": "Small"}, "small.json: namespace Small is in bad.json already"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_changed(
    run: Run, folder: Path, content: Any, told: str
) -> None:
    write(folder, "bad", content)
    outcome = run("metadefs", "load", "--path", str(folder))
    assert outcome.code == 1
    assert told in outcome.err
    assert "Nothing was changed" in outcome.err
    assert listed(run) == {}


def test_every_bad_file_is_named(run: Run, folder: Path) -> None:
    write(folder, "bad", "{")
    write(folder, "worse", "[")
    outcome = run("metadefs", "load", "--path", str(folder))
    assert "bad.json: line" in outcome.err
    assert "worse.json: line" in outcome.err


def test_a_directory_that_is_not_there_or_has_no_files(run: Run, tmp_path: Path) -> None:
    missing = run("metadefs", "load", "--path", str(tmp_path / "nothing"))
    assert (missing.code, "nothing: " in missing.err) == (1, True)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "There are no .json files" in run("metadefs", "load", "--path", str(empty)).err


def test_one_file_can_be_loaded(run: Run, folder: Path) -> None:
    run("metadefs", "load", "--path", str(folder / "small.json"))
    assert list(listed(run)) == ["Small"]


def test_what_is_exported_can_be_loaded(run: Run, folder: Path, tmp_path: Path) -> None:
    run("metadefs", "load", "--path", str(folder))
    out = tmp_path / "deep" / "out"
    outcome = run("metadefs", "export", "--path", str(out))
    assert outcome.out.endswith(f"2 namespaces written to {out}.\n")
    exported = json.loads((out / "OS::Full.json").read_text())
    exported["resource_type_associations"].reverse()
    assert exported == FULL
    assert sorted(path.name for path in out.iterdir()) == ["OS::Full.json", "Small.json"]
    run("metadefs", "unload")
    assert listed(run) == {}
    again = run("metadefs", "load", "--path", str(out))
    assert "2 namespaces: 2 added" in again.out
    same = run("metadefs", "load", "--path", str(folder), "--merge", "--overwrite")
    assert " 2 unchanged" in same.out


def test_long_names_become_names_of_files(run: Run, folder: Path, tmp_path: Path) -> None:
    for last in "ab":
        write(folder, last, {"namespace": "界" * 79 + last})
    run("metadefs", "load", "--path", str(folder))
    assert run("metadefs", "export", "--path", str(tmp_path / "out")).code == 0
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_unload_can_be_of_the_files_alone(run: Run, folder: Path) -> None:
    run("metadefs", "load", "--path", str(folder))
    outcome = run("metadefs", "unload", "--path", str(folder / "full.json"))
    assert outcome.out == "OS::Full removed\n1 namespace removed.\n"
    assert list(listed(run)) == ["Small"]


def test_enforce(run: Run, folder: Path) -> None:
    run("metadefs", "load", "--path", str(folder))
    assert "must keep to OS::Full" in run("metadefs", "enforce", "OS::Full", "on").out
    assert listed(run)["OS::Full"]["enforced"] is True
    assert "says nothing about images yet" in run("metadefs", "enforce", "Small", "on").out
    assert "are not held to" in run("metadefs", "enforce", "OS::Full", "off").out
    assert listed(run)["OS::Full"]["enforced"] is False
    missing = run("metadefs", "enforce", "nothing", "on")
    assert (missing.code, "namespace 'nothing'" in missing.err) == (1, True)
