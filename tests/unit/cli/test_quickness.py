# SPDX-License-Identifier: Apache-2.0
"""Help is quick because it imports little, and shells complete commands without more.

What is imported is looked at and no clock: a second is not the same on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SLOW = {
    *("flask", "gunicorn", "oslo_config", "oslo_policy", "oslo_utils", "requests", "rich"),
    *("sqlalchemy", "stevedore", "pluggy", "taskflow", "tooz", "jsonschema", "yaml", "orjson"),
    *("openstack", "keystoneauth1", "prometheus_client"),
}


def imported(*arguments: str) -> set[str]:
    """Return the packages that a command line has imported when it is done."""
    code = (
        "import sys\nfrom glancekit.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('\\nIMPORTED', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("IMPORTED")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_that_is_slow(arguments: list[str]) -> None:
    assert not imported(*arguments) & SLOW


def test_help_of_the_client_needs_no_server() -> None:
    server = {"flask", "gunicorn", "sqlalchemy", "taskflow", "stevedore", "oslo_policy"}
    assert not imported("image", "--help") & server


def complete(words: str, at: int) -> list[str]:
    environ = {**os.environ, "_GLANCEKIT_COMPLETE": "bash_complete"}
    environ |= {"COMP_WORDS": words, "COMP_CWORD": str(at)}
    code = "from glancekit.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_a_shell_completes_commands_and_options() -> None:
    assert {"plugins", "plugin"} <= set(complete("glancekit pl", 1))
    assert complete("glancekit plugins doc", 2) == ["doctor"]
    assert "--file" in complete("glancekit image create --f", 3)
    assert complete("glancekit completion z", 2) == ["zsh"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_for_a_shell(shell: str) -> None:
    command = [sys.executable, "-m", "glancekit.cli", "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "_GLANCEKIT_COMPLETE" in done.stdout
    assert "_glancekit_completion" in done.stdout


def test_bash_takes_the_lines() -> None:
    command = [sys.executable, "-m", "glancekit.cli", "completion", "bash"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    checked = subprocess.run(["bash", "-n"], input=lines, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
