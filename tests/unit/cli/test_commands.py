# SPDX-License-Identifier: Apache-2.0
"""The commands as a shell calls them: what they print, and with which code they end."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glancekit import __version__
from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.cli import COMMANDS, cli
from glancekit.core.config import Configuration
from glancekit.core.model.image import Finding, Image, Location
from glancekit.core.model.status import LocationStatus

Run = Callable[..., Any]
Install = Callable[..., str]


# -- the frame


def test_help_lists_every_command_without_importing_one() -> None:
    script = "import sys; from glancekit.cli import main; sys.argv = ['glancekit', '--help']\n"
    script += "try: main()\nexcept SystemExit: pass\n"
    script += "print(sorted(m for m in sys.modules if m.startswith('glancekit.')))\n"
    script += "print({'oslo_config', 'sqlalchemy', 'flask', 'stevedore'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    for name in COMMANDS:
        assert f"\n  {name}" in done.stdout
    assert "glancekit.cli.config" not in done.stdout
    assert done.stdout.endswith("set()\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    outcome = run(name, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: glancekit {name}")
    assert cli.get_command(None, name)  # type: ignore[arg-type]


def test_version(run: Run) -> None:
    assert run("--version").out == f"glancekit, version {__version__}\n"


def test_a_wrong_word_is_a_usage_error(run: Run) -> None:
    outcome = run("bogus")
    assert outcome.code == 2
    assert "No such command 'bogus'" in outcome.err


def test_a_wrong_configuration_is_one_sentence_and_78(run: Run, config_file: Path) -> None:
    config_file.write_text("[DEFAULT]\napi_limit_max = many\n")
    outcome = run("stores")
    assert outcome.code == 78
    assert outcome.err.startswith("glancekit: [DEFAULT] api_limit_max = many cannot be used")
    assert outcome.err.count("\n") == 1


# -- config


def shown(run: Run) -> dict[tuple[str, str], tuple[str, str]]:
    rows = json.loads(run("config", "show", "-f", "json").out)
    return {(row["section"], row["option"]): (row["value"], row["from"]) for row in rows}


def test_config_show_tells_values_and_origins(
    run: Run, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_LOCAL__WEIGHT", "4")
    rows = shown(run)
    assert rows["DEFAULT", "data_dir"] == (str(tmp_path / "data"), str(config_file))
    assert rows["DEFAULT", "enabled_backends"] == ("local:file", "default")
    assert rows["local", "weight"] == ("4", "environment")
    folder = str(tmp_path / "data" / "stores" / "local")
    assert rows["local", "filesystem_store_datadir"] == (folder, "default")
    assert ("server", "port") in rows


SECRETIVE = """
from glancekit.plugin import StoreDriver
from oslo_config.cfg import StrOpt

class Store(StoreDriver):
    api_level = 1
    options = [StrOpt("key", secret=True), StrOpt("bucket", required=True, help="Whose.")]
    def __init__(self, options, *, name): pass
    def open(self, location): raise NotImplementedError
    def size(self, location): return None
    def close(self): pass
"""


def test_config_show_keeps_secrets(run: Run, config_file: Path, install_store: Install) -> None:
    install_store("safe", SECRETIVE)
    text = "[DEFAULT]\nenabled_backends = s:safe\n[s]\nkey = hunter2\nbucket = b\n"
    config_file.write_text(text)
    assert shown(run)["s", "key"] == ("***", str(config_file))


def test_config_check_is_content(run: Run, config_file: Path) -> None:
    outcome = run("config", "check")
    assert outcome.code == 0
    assert str(config_file) in outcome.out


def test_config_check_lists_upstreams_options(run: Run, config_file: Path) -> None:
    config_file.write_text(
        "[DEFAULT]\nbind_port = 9393\nbacklog = 3\ntransport_url = rabbit://u:hunter2@h\n"
    )
    outcome = run("config", "check")
    assert outcome.code == 0
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "[DEFAULT] bind_port [server] port" in lines
    assert "[DEFAULT] backlog ignored: the server inside has its own: see [server]" in lines
    assert "hunter2" not in outcome.out
    config_file.write_text("[DEFAULT]\nbind_port = 9393\nbacklog = 3\nbind_prot = 1\n")
    outcome = run("config", "check")
    assert outcome.code == 78
    assert "[DEFAULT] bind_prot is not known" in outcome.out


def test_config_check_names_all_that_is_wrong(
    run: Run, config_file: Path, install_store: Install
) -> None:
    install_store("broken", "import nowhere_to_be_found")
    config_file.write_text(
        "[DEFAULT]\nenabled_backends = local:file, other:broken\nlogfile = x\n"
        "[glance_store]\ndefault_backend = local\n[other]\nits_own = 3\n"
    )
    outcome = run("config", "check")
    assert outcome.code == 78
    assert "store other: plugin broken: ModuleNotFoundError" in outcome.out
    assert "[DEFAULT] logfile is not known; did you mean log_file?" in outcome.out
    assert "its_own" not in outcome.out  # whose options nobody can know


def test_config_sample_can_be_used_as_it_is_and_has_everything(
    run: Run, tmp_path: Path, install_store: Install
) -> None:
    install_store("safe", SECRETIVE)
    sample = run("config", "sample").out
    for line in ("[DEFAULT]", "[server]", "[metadata]", "#weight = 0", "#busy_timeout = 30"):
        assert line in sample.splitlines()
    assert "#[id of a store whose driver is safe]" in sample
    assert "# Whose.\n#bucket =\n" in sample
    file = tmp_path / "sample.conf"
    file.write_text(sample)
    assert Configuration([file]).default_store == "local"


# -- plugins and stores


def test_plugins_shows_what_is_used_and_what_is_not(
    run: Run, config_file: Path, install: Install, install_store: Install
) -> None:
    install_store("acme")
    install_store("needy", SECRETIVE)  # cannot be tried, as nobody said whose bucket
    install_store("wrong", "class Store: api_level = 99")
    install("acme-mail", "raise OSError", {"glancekit.hooks": {"mail": ""}})
    with config_file.open("a") as file:
        file.write("[plugins]\ndisabled = mail\n")
    outcome = run("plugins", "-f", "json")
    assert outcome.code == 0
    rows = {row["name"]: row for row in json.loads(outcome.out)}
    assert (rows["file"]["state"], rows["file"]["use"]) == ("ok", "store local")
    assert (rows["acme"]["state"], rows["acme"]["use"]) == ("ok", "")
    assert (rows["acme"]["distribution"], rows["acme"]["version"]) == ("acme-acme", "1.5")
    assert rows["needy"]["state"] == "ok"
    assert (rows["wrong"]["state"], rows["wrong"]["api_level"]) == ("broken", 99)
    assert rows["mail"]["state"] == "disabled"
    assert rows["audit_log"]["capabilities"] == ["after_commit"]


def test_plugins_in_a_pipe_has_one_line_for_each(run: Run, install_store: Install) -> None:
    install_store("wrong", "import a_module_that_is_nowhere_to_be_found_on_this_machine")
    lines = run("plugins").out.splitlines()
    (line,) = [line for line in lines if " wrong " in line]
    assert "No module named 'a_module_that_is_nowhere_to_be_found_on_this_machine'" in line


def test_stores_shows_what_each_can_do(
    run: Run, config_file: Path, install_store: Install
) -> None:
    install_store("acme")
    config_file.write_text(
        "[DEFAULT]\nenabled_backends = fast:file, cheap:acme, gone:nowhere\n"
        "[glance_store]\ndefault_backend = fast\n[cheap]\nweight = -1\nread_only = yes\n"
        "[fast]\ndrain = yes\ndirect_transfer = asked\n"
    )
    fast, cheap, gone = json.loads(run("stores", "-f", "json").out)
    assert fast["default"]
    assert "SupportsLocalFile" in fast["capabilities"]
    assert (cheap["weight"], cheap["read_only"], cheap["capabilities"]) == (-1, True, [])
    assert [row["drain"] for row in (fast, cheap, gone)] == [True, False, None]
    assert [row["direct_transfer"] for row in (fast, cheap, gone)] == ["asked", "never", None]
    assert gone["state"] == "missing"
    assert "pip install glancekit-nowhere-store" in gone["reason"]


def test_stores_tells_what_is_left_in_one(run: Run, config_file: Path) -> None:
    stores = "enabled_backends = new:file, old:file\n[glance_store]\ndefault_backend = new\n"
    config_file.write_text(config_file.read_text() + stores)
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    pending, lost = LocationStatus.PENDING_DELETE, Finding.MISSING
    rows = {
        "alone": [Location(url="x:", store="old"), Location(url="x:", store="new", finding=lost)],
        "twice": [Location(url="x:", store="old"), Location(url="x:", store="new")],
        "going": [Location(url="x:", store="old", status=pending)],
        "moved": [Location(url="x:", store="new")],
    }
    with metadata.unit_of_work() as work:
        for image_id, copies in rows.items():
            work.images.add(Image(id=image_id, owner="p"))
            for copy in copies:
                work.locations.add(replace(copy, image_id=image_id))
        work.commit()
    metadata.close()
    outcome = run("stores", "--left", "old", "-f", "json")
    assert outcome.code == 1, outcome.err
    assert [tuple(row.values()) for row in json.loads(outcome.out)] == [
        ("alone", "active", []),
        ("twice", "active", ["new"]),
        ("going", "pending_delete", []),
    ]
    assert run("stores", "--left", "nowhere").code == 1


def test_stores_says_so_when_the_service_cannot_be_asked(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    outcome = run("stores", "--url", f"http://127.0.0.1:{port}")
    assert outcome.code == 7
    assert f"No answer from http://127.0.0.1:{port}" in outcome.err


# -- db


def test_db_goes_from_nothing_to_what_this_release_needs(run: Run) -> None:
    assert run("db", "check").code == 3
    assert "empty" in run("db", "version").out
    assert run("db", "upgrade").code == 0
    outcome = run("db", "check")
    assert (outcome.code, outcome.err) == (0, "")
    assert "as this release needs it" in run("db", "upgrade").out


def database(tmp_path: Path) -> sqlite3.Connection:
    (tmp_path / "data").mkdir(exist_ok=True)
    return sqlite3.connect(tmp_path / "data" / "glancekit.sqlite")


def test_db_leaves_a_strangers_database_alone(run: Run, tmp_path: Path) -> None:
    connection = database(tmp_path)
    connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    outcome = run("db", "check")
    assert outcome.code == 4
    assert "not glancekit's" in outcome.out
    upgrade = run("db", "upgrade")
    assert upgrade.code == 1
    assert "not glancekit's" in upgrade.err


def test_db_does_not_touch_what_a_newer_release_made(run: Run, tmp_path: Path) -> None:
    run("db", "upgrade")
    connection = database(tmp_path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert run("db", "check").code == 4
    upgrade = run("db", "upgrade")
    assert upgrade.code == 1
    assert "9999" in upgrade.err
    assert "newer release" in upgrade.err


def test_db_goes_back_to_an_earlier_revision_and_up_again(run: Run) -> None:
    run("db", "upgrade")
    would = run("db", "downgrade", "0002", "--check")
    assert (would.code, "undone: 0003: Metadata definitions" in would.out) == (0, True)
    assert run("db", "check").code == 0
    assert run("db", "downgrade", "0002", "--yes").code == 0
    assert "0002" in run("db", "version").out
    assert run("db", "upgrade", "--check").code == 3
    assert run("db", "upgrade").code == 0
    assert run("db", "upgrade", "--check").code == 0


@pytest.mark.parametrize("revision", ["0000", "9999", "head", "-1", "0002 or so", ""])
def test_db_goes_back_to_no_revision_that_is_none_before(run: Run, revision: str) -> None:
    run("db", "upgrade")
    outcome = run("db", "downgrade", "--yes", "--", revision)
    assert (outcome.code, "cannot be brought back" in outcome.err) == (1, True)
    assert run("db", "check").code == 0


def test_db_says_how_much_there_is(run: Run, tmp_path: Path) -> None:
    assert run("db", "stats").out == ""
    run("db", "upgrade")
    with closing(database(tmp_path)) as connection, connection:
        connection.execute("INSERT INTO leases VALUES ('h', 1), ('i', 2)")
    lines = dict(line.split() for line in run("db", "stats").out.splitlines())
    assert (lines["leases"], lines["images"]) == ("2", "0")


def test_db_purge_forgets_what_is_over(run: Run, tmp_path: Path) -> None:
    run("db", "upgrade")
    with closing(database(tmp_path)) as connection, connection:
        connection.execute("INSERT INTO leases VALUES ('gone', 1)")
        connection.execute("INSERT INTO deleted_images VALUES ('used', 'me', 1)")
    outcome = run("db", "purge", "--days", "1")
    assert (outcome.code, outcome.out) == (0, "0 tasks, 0 events, 1 leases forgotten\n")
    lines = dict(line.split() for line in run("db", "stats").out.splitlines())
    assert (lines["leases"], lines["deleted_images"]) == ("0", "1")
