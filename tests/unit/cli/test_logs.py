# SPDX-License-Identifier: Apache-2.0
"""What a line of log looks like, for a person and for a collector."""

from __future__ import annotations

import json
import logging
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from glancekit.cli import logs
from glancekit.core import logcontext
from glancekit.core.config import Configuration
from glancekit.core.errors import ConfigError

log = logging.getLogger("glancekit.test")


@pytest.fixture(autouse=True)
def nothing_at_hand() -> Iterator[None]:
    logcontext.begin()
    yield
    logcontext.begin()


def set_up(**options: object) -> None:
    logs.set_up(Configuration([], overrides={("DEFAULT", k): v for k, v in options.items()}))


def test_json_lines_carry_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(log_format="json")
    logcontext.begin(request_id="req-1", image_id="i")
    logcontext.note(project_id="p")
    log.info("%s of %s", "create", "i", extra={"event": "image.create", "user_id": None})
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "create of i"
    assert line["level"] == "INFO"
    assert line["logger"] == "glancekit.test"
    assert line["event"] == "image.create"
    assert (line["request_id"], line["project_id"], line["image_id"]) == ("req-1", "p", "i")
    assert "user_id" not in line


def test_facts_of_the_record_count_more_than_those_at_hand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(log_format="json")
    logcontext.begin(request_id="of the thread")
    log.info("x", extra={"request_id": "of the event"})
    assert json.loads(capsys.readouterr().err)["request_id"] == "of the event"


def test_begin_forgets_what_was_before() -> None:
    logcontext.begin(request_id="req-1", image_id="i")
    logcontext.begin(request_id="req-2", image_id=None)
    assert logcontext.about() == {"request_id": "req-2"}


def test_plain_lines_end_with_what_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(log_format="plain")
    log.info("at start")
    logcontext.begin(request_id="req-1", project_id="p", image_id="i")
    log.info("in a request")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("INFO    at start")
    assert second.endswith("INFO    in a request [req-1 p i]")


@pytest.mark.parametrize("shape", ["plain", "json"])
def test_what_a_client_sent_makes_no_line_of_its_own(
    capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    set_up(log_format=shape)
    log.warning("bad name %s", "x\n2026-01-01 INFO all is well\r")
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("shape", ["plain", "json"])
def test_a_traceback_is_kept(capsys: pytest.CaptureFixture[str], shape: str) -> None:
    set_up(log_format=shape)
    try:
        raise OSError("the disk is gone")
    except OSError:
        log.exception("it failed")
    written = capsys.readouterr().err
    assert "OSError: the disk is gone" in written
    assert "test_logs.py" in written


def test_auto_is_json_for_a_collector(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    log.info("x")
    assert json.loads(capsys.readouterr().err)["message"] == "x"


def test_auto_is_plain_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        set_up()
        log.info("hello")
        terminal.flush()
        assert screen.read(1000).rstrip().endswith(b"INFO    hello")


def test_a_file_takes_the_lines_and_survives_rotation(tmp_path: Path) -> None:
    file = tmp_path / "glancekit.log"
    set_up(log_file=str(file), log_format="plain")
    log.info("one")
    file.rename(tmp_path / "glancekit.log.1")
    log.info("two")
    assert "two" in file.read_text()
    assert "one" in (tmp_path / "glancekit.log.1").read_text()


def test_a_folder_is_enough_and_counts_for_names_without_one(tmp_path: Path) -> None:
    set_up(log_dir=str(tmp_path), log_format="plain")
    log.info("one")
    assert "one" in (tmp_path / "glancekit.log").read_text()
    set_up(log_dir=str(tmp_path), log_file="api.log", log_format="plain")
    log.info("two")
    assert "two" in (tmp_path / "api.log").read_text()
    set_up(log_dir="/nowhere", log_file=str(tmp_path / "own.log"), log_format="plain")
    log.info("three")
    assert "three" in (tmp_path / "own.log").read_text()


def test_a_file_that_cannot_be_written_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        set_up(log_file=str(tmp_path / "nowhere" / "x.log"))
    assert caught.value.option == "log_file"


def test_debug_lets_more_through(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(log_format="plain")
    log.debug("quiet")
    logging.getLogger("sqlalchemy.engine").info("SELECT")
    set_up(log_format="plain", debug=True)
    log.debug("loud")
    written = capsys.readouterr().err
    assert "quiet" not in written
    assert "SELECT" not in written
    assert "loud" in written
