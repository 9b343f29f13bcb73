# SPDX-License-Identifier: Apache-2.0
"""Every folder of plugins/ is a distribution of its own that comes through the front door."""

from __future__ import annotations

import re
from pathlib import Path

DOORS = ("glancekit.plugin", "glancekit.testing")
HEADINGS = ("Install", "Configure", "Capabilities")


def packages_of(plugin: Path) -> list[Path]:
    return [path for path in plugin.glob("glancekit_*") if (path / "__init__.py").exists()]


def test_it_has_all_parts(plugin: Path):
    for name in ("setup.cfg", "pyproject.toml", "README.rst", "tests"):
        assert (plugin / name).exists(), name
    assert [path.name for path in packages_of(plugin)] == [f"glancekit_{plugin.name}"]
    assert (packages_of(plugin)[0] / "py.typed").exists()


def test_it_imports_of_glancekit_the_door_alone(plugin: Path, imports_of):
    for path in [*plugin.glob("glancekit_*/**/*.py"), *plugin.glob("tests/**/*.py")]:
        ours = {name for name in imports_of(path) if name.split(".")[0] == "glancekit"}
        beside = {
            name
            for name in ours
            if name not in DOORS and not name.startswith("glancekit.testing.")
        }
        assert not beside, path


def test_a_running_service_does_without_its_tests(plugin: Path, imports_of):
    for path in plugin.glob("glancekit_*/**/*.py"):
        kit = {name for name in imports_of(path) if name.startswith("glancekit.testing")}
        assert not kit or path.stem.split("_")[0] == "testing", path


def test_its_readme_has_the_headings(plugin: Path):
    text = (plugin / "README.rst").read_text()
    headings = re.findall(r"^(.+)\n[-=~]{3,}$", text, re.MULTILINE)
    assert headings[0] == f"glancekit-{plugin.name.replace('_', '-')}"
    if not is_library(plugin):
        assert [name for name in headings if name in HEADINGS] == list(HEADINGS)


def is_library(plugin: Path) -> bool:
    """What other plugins are made of offers no driver or hook itself."""
    return "entry_points" not in (plugin / "setup.cfg").read_text()


def test_its_metadata_is_in_step(plugin: Path, root: Path, metadata_of):
    config = metadata_of(plugin)
    assert config["metadata"]["name"] == f"glancekit-{plugin.name.replace('_', '-')}"
    version = re.search(r'__version__ = "(.*)"', (root / "glancekit/__init__.py").read_text())[1]
    assert config["metadata"]["version"] == version
    assert "glancekit >" in config["options"]["install_requires"]
