# SPDX-License-Identifier: Apache-2.0
"""What the house tests look at."""

from __future__ import annotations

import ast
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pytest_generate_tests(metafunc):
    """Ask about each file or folder separately, so that a failure names it."""
    places = {
        "module": lambda: [*packages(ROOT, "glancekit"), *in_plugins("glancekit_*/**/*.py")],
        "any_file": tracked,
        "python_file": lambda: [p for p in tracked() if p.suffix == ".py" and is_ours(p)],
        "plugin": lambda: sorted(path.parent for path in ROOT.glob("plugins/*/setup.cfg")),
        "distribution": lambda: [
            ROOT,
            *sorted(p.parent for p in ROOT.glob("plugins/*/setup.cfg")),
        ],
    }
    for name in places.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, places[name](), ids=lambda path: str(path.relative_to(ROOT)))


def is_ours(path: Path) -> bool:
    """What a test takes for a stranger's package is written as a stranger would."""
    return "out_of_tree" not in path.parts


def packages(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}/**/*.py"))


def in_plugins(pattern: str) -> list[Path]:
    return sorted(ROOT.glob(f"plugins/*/{pattern}"))


def tracked() -> list[Path]:
    """Every file of the repository, those not yet added among them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return sorted(path for name in listed.stdout.split("\0") if (path := ROOT / name).is_file())


def imports(path: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module))
    return names


def metadata(distribution: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read(distribution / "setup.cfg")
    return parser


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture
def imports_of():
    return imports


@pytest.fixture
def metadata_of():
    return metadata
