# SPDX-License-Identifier: Apache-2.0
"""The command line as it is typed, within the test's process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from glancekit import cli


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Take back what a command sets up for its whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "glancekit.conf"
    file.write_text(f"[DEFAULT]\ndata_dir = {tmp_path / 'data'}\n")
    return file


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], config_file: Path
) -> Callable[..., Outcome]:
    """Run a command on the test's configuration file."""

    def run(*arguments: str) -> Outcome:
        typed = ["glancekit", "--config-file", str(config_file), *arguments]
        monkeypatch.setattr(sys, "argv", typed)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), out, err)

    return run
