# SPDX-License-Identifier: Apache-2.0
"""Prove that each plugin can be installed by itself: its wheel and the core's, in a fresh
environment each, pass the plugin's own tests there. The folder plugins/ is the list.

Usage: python tools/each_plugin.py [--jobs N] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOME_FAILED, NO_TESTS = 1, 5
"""The codes with which pytest says so."""

LEFT_OUT = shutil.ignore_patterns(
    ".*", "build", "*.egg-info", "__pycache__", "var", "docs", "benchmarks"
)


def main() -> int:
    """Build all wheels, then try each plugin; 0 when all passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders of plugins/")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    found = sorted(path.parent.name for path in ROOT.glob("plugins/*/setup.cfg"))
    with tempfile.TemporaryDirectory(prefix="glancekit-") as folder:
        wheels = build_wheels(Path(folder), found)
        with ThreadPoolExecutor(chosen.jobs) as pool:
            names = chosen.names or found
            passed = list(pool.map(lambda name: try_plugin(Path(folder), wheels, name), names))
    return 0 if all(passed) else 1


def build_wheels(folder: Path, plugins: list[str]) -> Path:
    """Build from a copy, so that nothing an earlier build left in the tree gets in."""
    source, wheels = folder / "source", folder / "wheels"
    shutil.copytree(ROOT, source, ignore=LEFT_OUT)
    paths = [str(source), *(str(source / "plugins" / name) for name in plugins)]
    command = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), *paths]
    done = pip(sys.executable, *command)
    if done.returncode != 0:
        raise SystemExit(f"the wheels could not be built:\n{done.stdout}")
    return wheels


def try_plugin(folder: Path, wheels: Path, name: str) -> bool:
    """Install one plugin alone and run its tests; say how it went."""
    begun = time.monotonic()
    home = folder / name
    shutil.copytree(ROOT / "plugins" / name / "tests", home / "tests", ignore=LEFT_OUT)
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    python = str(home / "venv" / "bin" / "python")
    package = f"glancekit-{name.replace('_', '-')}"
    done = pip(
        python,
        "install",
        "--find-links",
        str(wheels),
        "pytest-timeout",
        "glancekit[testing]",
        package,
    )
    if done.returncode == 0:
        done = run(python, "-c", f"import glancekit_{name}")
    if done.returncode == 0:
        # The tree's settings are not there either: a vendor's checkout has none of ours.
        options = ["-q", "--import-mode=importlib", "-W", "error", "-o", "timeout=120"]
        done = run(python, "-m", "pytest", *options, "tests", cwd=home)
        if done.returncode == SOME_FAILED:
            print(f"{package}: what failed is run once more\n{done.stdout}", flush=True)
            options += ["--last-failed", "--last-failed-no-failures=none", "-rfEp"]
            done = run(python, "-m", "pytest", *options, "tests", cwd=home)
    # What other plugins are made of may have no tests itself: theirs are its.
    passed = done.returncode in (0, NO_TESTS)
    verdict = "passed" if passed else f"FAILED\n{done.stdout}"
    summary = done.stdout.strip().splitlines()[-1:]
    print(f"{package}: {verdict} in {time.monotonic() - begun:.0f} s {summary}", flush=True)
    return passed


def pip(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pip quietly."""
    return run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command and keep all that it says."""
    return subprocess.run(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


if __name__ == "__main__":
    sys.exit(main())
