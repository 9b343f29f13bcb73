# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugins``: the list, one plugin, and the doctor on stores that lie in every way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.model.image import Image, Location

Run = Callable[..., Any]
Install = Callable[..., str]

A_STORE = """
import time
from dataclasses import replace
from glancekit.plugin import BlobNotFound, StoreDenied, StoreFull, StoreUnavailable
from glancekit.testing.memory_store import MemoryStore

class Store(MemoryStore):
    options = ()
    {method}
"""

FAULTS = {
    "cannot be reached": (
        "check",
        "def check(self): raise StoreUnavailable('connection refused')",
        ("connection refused", "see that it runs"),
    ),
    "refuses": (
        "write",
        "def write(self, image_id, source, size): raise StoreDenied('no right to write')",
        ("no right to write", "its rights"),
    ),
    "is full": (
        "write",
        "def write(self, image_id, source, size): raise StoreFull",
        ("not enough room", "make room"),
    ),
    "raises": (
        "write",
        "def write(self, image_id, source, size): raise KeyError('region')",
        ("KeyError: 'region'", "see the options in [odd]"),
    ),
    "exits": ("size", "def size(self, location): raise SystemExit(3)", ("SystemExit: 3",)),
    "returns no location": (
        "write",
        "def write(self, image_id, source, size): return 'done'",
        ("4 of str", "no Location"),
    ),
    "tells another size": (
        "size",
        "def size(self, location): return 7",
        ("it says 7", "loses bytes"),
    ),
    "cannot be opened": ("read", "def open(self, location): return None", ("None, no stream",)),
    "gives other ranges": (
        "range",
        "def open_range(self, location, o, n): return super().open_range(location, o + 1, n)",
        ("other bytes", "loses bytes"),
    ),
    "does not delete": ("gone", "def delete(self, location): pass", ("can still be opened",)),
    "hangs in deleting": ("delete", "def delete(self, location): time.sleep(30)", ("0.5 s",)),
}


def findings(outcome: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(outcome.out)
    return found


def test_all_is_well_with_what_comes_in_the_box(run: Run) -> None:
    assert run("db", "upgrade").code == 0
    outcome = run("plugins", "doctor", "-f", "json")
    assert outcome.code == 0, outcome.err
    found = findings(outcome)
    assert {finding["verdict"] for finding in found} == {"ok"}
    steps = [finding["step"] for finding in found if finding["part"] == "store local"]
    assert steps == ["load", "begin", "check", "write", "size", "read", "range", "delete", "gone"]
    tried = {finding["part"] for finding in found}
    assert {"metadata", "auth", "quotas", "data_dir", "election", "jobboard"} <= tried


@pytest.mark.parametrize("is_in_use", [False, True])
def test_a_store_s_place_is_made_only_where_no_record_leads_to_it(
    run: Run, config_file: Path, tmp_path: Path, is_in_use: bool
) -> None:
    """It tries a new one out before its first start; a folder that was used may be a mount's."""
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    if is_in_use:
        with metadata.unit_of_work() as work:
            work.images.add(Image(id="i", owner="p"))
            work.locations.add(Location(url="x:", store="local", image_id="i"))
            work.commit()
    metadata.close()
    outcome = run("plugins", "doctor", "local", "-f", "json")
    told = {one["step"]: one for one in findings(outcome)}
    assert (tmp_path / "data" / "stores" / "local").exists() is not is_in_use
    assert told["begin"]["verdict"] == "ok"
    assert told["check"]["verdict"] == ("wrong" if is_in_use else "ok")
    assert outcome.code == is_in_use
    assert not is_in_use or "is its file system mounted?" in outcome.err


def test_nothing_is_left_of_it(run: Run, tmp_path: Path) -> None:
    run("plugins", "doctor", "local")
    assert not [path for path in (tmp_path / "data/stores").rglob("*") if path.is_file()]
    assert not (tmp_path / "data/glancekit.sqlite").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_is_wrong_is_found_out(
    run: Run, config_file: Path, install_store: Install, fault: str
) -> None:
    step, method, words = FAULTS[fault]
    install_store("odd", A_STORE.format(method=method))
    config_file.write_text(
        config_file.read_text() + "enabled_backends = local:file, odd:odd\n"
        "[glance_store]\ndefault_backend = local\n"
    )
    patience = "0.5" if fault == "hangs in deleting" else "30"
    outcome = run("plugins", "doctor", "odd", "--patience", patience, "-f", "json")
    assert outcome.code == 1
    first = next(finding for finding in findings(outcome) if finding["verdict"] == "wrong")
    assert (first["part"], first["step"]) == ("store odd", step)
    for word in words:
        assert word in first["detail"] + first["advice"]
    assert outcome.err.startswith(f"glancekit: store odd: {step}: ")
    assert "What to do: " in outcome.err
    assert run("plugins", "doctor", "local").code == 0


def test_a_store_that_is_not_written_to_says_so(run: Run, config_file: Path) -> None:
    assert run("plugins", "doctor", "local").code == 0  # else it would have nothing to serve
    config_file.write_text(config_file.read_text() + "[local]\nread_only = yes\n")
    outcome = run("plugins", "doctor", "local", "-f", "json")
    assert outcome.code == 0
    assert [finding["verdict"] for finding in findings(outcome)] == ["ok", "skipped"]


AN_AUTH = """
from glancekit.plugin import AuthDriver, Identity, Unavailable

class Auth(AuthDriver):
    api_level = 1
    loopback_only = False
    def __init__(self, options, *, name): pass
    def authenticate(self, credentials): {answer}
    def challenge(self): return None
    def close(self): pass
"""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("raise Unavailable('no key server')", "no key server"),
        ("return None", "takes a stranger for a NoneType"),
        ("return Identity(user_id='root', project_id='p')", "takes a stranger for user root"),
        ("raise ZeroDivisionError", "ZeroDivisionError"),
    ],
)
def test_an_auth_driver_that_is_wrong_is_found_out(
    run: Run, config_file: Path, install: Install, answer: str, words: str
) -> None:
    source = AN_AUTH.format(answer=answer)
    install("acme-lax-auth", source, {"glancekit.auth": {"lax": ":Auth"}})
    config_file.write_text(config_file.read_text() + "[auth]\ndriver = lax\n")
    outcome = run("plugins", "doctor", "-f", "json")
    assert outcome.code == 1
    wrong = [finding for finding in findings(outcome) if finding["verdict"] == "wrong"]
    assert [(finding["part"], finding["step"]) for finding in wrong] == [("auth", "recognise")]
    assert words in wrong[0]["detail"]


A_PART_OF_ANOTHER_KIND = """
import time
from glancekit.plugin import CachePolicy, ImportMethod, ImportStep

class Policy(CachePolicy):
    api_level = 1
    def __init__(self, options, *, name): pass
    def admits(self, image): {admits}
    def eviction_order(self, entries, now): {order}

class Method(ImportMethod):
    api_level = 1
    def __init__(self, options, *, name): pass
    def validate(self, arguments): {validate}
    def open(self, image, arguments, *, caller, fetched): raise AssertionError

class Step(ImportStep):
    api_level = 1
    def __init__(self, options, *, name): pass
    def applies_to(self, staged): {applies}
    def execute(self, staged, progress): raise AssertionError
    def revert(self, staged): raise AssertionError
"""

PROPER = {
    "admits": "return True",
    "order": "return entries",
    "validate": "pass",
    "applies": "return True",
}

WRONG = {
    "a policy that raises": ("admits", "raise KeyError('region')", "KeyError: 'region'"),
    "a policy that says neither": ("admits", "return 'perhaps'", "no yes or no"),
    "a policy that forgets": ("order", "return entries[1:]", "each once"),
    "a policy that hangs": ("order", "time.sleep(30)", "no answer within 2 s"),
    "a method that raises": ("validate", "raise KeyError('region')", "KeyError: 'region'"),
    "a step that exits": ("applies", "raise SystemExit(3)", "SystemExit: 3"),
    "a step that says neither": ("applies", "return None", "no yes or no"),
}
PARTS = {
    "admits": ("image cache", "admit"),
    "order": ("image cache", "order"),
    "validate": ("import method odd", "validate"),
    "applies": ("import step odd", "applies"),
}


@pytest.mark.parametrize("what", [*WRONG, "nothing"])
def test_a_cache_policy_or_a_part_of_imports_that_is_wrong_is_found_out(
    run: Run, config_file: Path, install: Install, tmp_path: Path, what: str
) -> None:
    method, body, words = WRONG.get(what, ("", "", ""))
    source = A_PART_OF_ANOTHER_KIND.format(**{**PROPER, **({method: body} if method else {})})
    groups = {"cache_policies": "Policy", "import_methods": "Method", "import_steps": "Step"}
    offered = {f"glancekit.{group}": {"odd": f":{name}"} for group, name in groups.items()}
    install("acme-odd-parts", source, offered)
    config_file.write_text(
        config_file.read_text() + f"image_cache_dir = {tmp_path / 'cache'}\n"
        "image_cache_policy = odd\nenabled_import_methods = glance-direct, odd\n"
        "[image_import_opts]\nimage_import_plugins = odd\n"
    )
    outcome = run("plugins", "doctor", "--patience", "2", "-f", "json")
    mine = {part for part, _ in PARTS.values()}  # on a busy machine others may take too long
    wrong = [one for one in findings(outcome) if one["verdict"] == "wrong" and one["part"] in mine]
    if what == "nothing":
        assert not wrong
        tried = {(finding["part"], finding["step"]) for finding in findings(outcome)}
        assert set(PARTS.values()) <= tried
        return
    assert outcome.code == 1
    assert [(one["part"], one["step"]) for one in wrong] == [PARTS[method]]
    assert words in wrong[0]["detail"]
    assert wrong[0]["advice"]


def test_what_cannot_be_loaded_is_the_first_thing_that_is_wrong(
    run: Run, config_file: Path, install_store: Install
) -> None:
    install_store("gone", "import nowhere_to_be_found")
    text = config_file.read_text() + "enabled_backends = local:file, cold:gone, far:tape\n"
    config_file.write_text(text + "[glance_store]\ndefault_backend = local\n")
    outcome = run("plugins", "doctor", "-f", "json")
    assert outcome.code == 1
    wrong = [finding for finding in findings(outcome) if finding["verdict"] == "wrong"]
    assert [finding["part"] for finding in wrong] == ["store cold", "store far"]
    assert "nowhere_to_be_found" in wrong[0]["detail"]
    assert "acme-gone" in wrong[0]["advice"]
    assert "pip install glancekit-tape-store" in wrong[1]["detail"]


def test_a_database_of_another_revision_is_found_out(run: Run) -> None:
    run("db", "upgrade")
    assert run("plugins", "doctor", "local").code == 0  # later there is no telling if it is new
    run("db", "downgrade", "0002", "--yes")
    outcome = run("plugins", "doctor", "-f", "json")
    wrong = [finding for finding in findings(outcome) if finding["verdict"] == "wrong"]
    assert [(finding["part"], finding["step"]) for finding in wrong] == [("metadata", "schema")]
    assert "glancekit db upgrade" in wrong[0]["advice"]


def test_a_store_that_there_is_not(run: Run) -> None:
    outcome = run("plugins", "doctor", "no-such")
    assert (outcome.code, "there are: local" in outcome.err) == (1, True)


def test_a_folder_that_cannot_be_written_to_is_found_out(tmp_path: Path) -> None:
    from glancekit.services.examination import Verdict, folder

    (tmp_path / "file").write_text("")
    found = folder("data_dir", tmp_path / "file" / "below")
    assert (found.verdict, "name another folder" in found.advice) == (Verdict.WRONG, True)
    assert folder("data_dir", tmp_path / "new" / "below").verdict is Verdict.OK


def test_show_tells_all_of_one(run: Run) -> None:
    shown = json.loads(run("plugins", "show", "sqlite", "-f", "json").out)
    assert (shown["use"], shown["distribution"]) == ("metadata", "glancekit-sqlite-metadata")
    outcome = run("plugins", "show", "nosuch")
    assert outcome.code == 1
    assert "There is no plugin 'nosuch'; there are: " in outcome.err


def test_list_is_what_it_says_without_a_further_word(run: Run) -> None:
    assert run("plugins", "list", "-f", "csv").out == run("plugins", "-f", "csv").out


@pytest.mark.parametrize(
    ("lines", "step", "words"),
    [
        ("image_cache_dir = {folder}/file", "write", "this user cannot write to"),
        (
            "image_cache_dir = {folder}\nimage_cache_free_reserve = 999999TB",
            "room",
            "nothing is cached",
        ),
    ],
    ids=["no folder", "full"],
)
def test_an_image_cache_that_cannot_be_used_is_found_out(
    run: Run, config_file: Path, tmp_path: Path, lines: str, step: str, words: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    config_file.write_text(config_file.read_text() + lines.format(folder=tmp_path) + "\n")
    outcome = run("plugins", "doctor", "-f", "json")
    assert outcome.code == 1
    wrong = [finding for finding in findings(outcome) if finding["verdict"] == "wrong"]
    assert [(finding["part"], finding["step"]) for finding in wrong] == [("image cache", step)]
    assert words in wrong[0]["detail"]
    assert wrong[0]["advice"]


def test_an_image_cache_that_is_not_there_yet_is_no_trouble(
    run: Run, config_file: Path, tmp_path: Path
) -> None:
    text = f"image_cache_dir = {tmp_path}/cache\nimage_cache_free_reserve = 0\n"
    config_file.write_text(config_file.read_text() + text)
    outcome = run("plugins", "doctor", "-f", "json")
    found = [one for one in findings(outcome) if one["part"] == "image cache"]
    assert {one["verdict"] for one in found} == {"ok"}
    assert {"write", "load"} <= {one["step"] for one in found}
    assert not (tmp_path / "cache").exists()
