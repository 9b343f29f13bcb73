# SPDX-License-Identifier: Apache-2.0
"""Packages that are installed as far as Python can tell: modules with metadata, on the path."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Install = Callable[..., str]

_numbers = itertools.count()

A_STORE = """
from glancekit.plugin import StoreDriver

class Store(StoreDriver):
    api_level = 1
    options = ()

    def __init__(self, options, *, name):
        self.name = name

    def open(self, location):
        raise NotImplementedError

    def size(self, location):
        return None

    def close(self):
        pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution of one module; return the module's name."""

    def install(
        distribution: str, source: str, entry_points: Mapping[str, Mapping[str, str]]
    ) -> str:
        module = f"installed_for_test_{next(_numbers)}"
        folder = tmp_path / "site" / module
        info = folder / f"{distribution.replace('-', '_')}-1.5.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n"
        )
        lines = []
        for group, points in entry_points.items():
            lines.append(f"[{group}]")
            lines += [f"{name} = {module}{attribute}" for name, attribute in points.items()]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(folder))
        return module

    return install


@pytest.fixture
def install_store(install: Install) -> Install:
    """Install a store driver as the class ``Store`` of some source, by default a sound one."""

    def install_store(name: str, source: str = A_STORE, distribution: str = "") -> str:
        owner = distribution or f"acme-{name}"
        return install(owner, source, {"glancekit.stores": {name: ":Store"}})

    return install_store
