# SPDX-License-Identifier: Apache-2.0
"""What a distribution imports it also asks for, with a lower bound, and nothing else."""

from __future__ import annotations

import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(config) -> dict[str, str]:
    lines = config["options"].get("install_requires", "")
    if config.has_section("options.extras_require"):
        lines += "".join(config["options.extras_require"].values())
    found = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?\s*(.*)$", lines, re.MULTILINE)
    return {canonical(name): bounds for name, bounds in found}


def test_what_it_imports_it_asks_for(distribution: Path, imports_of, metadata_of):
    names = packages_distributions()
    asked = asked_for(metadata_of(distribution)).keys()
    own = {path.name for path in distribution.glob("glancekit*") if path.is_dir()}
    for path in distribution.glob("glancekit*/**/*.py"):
        tops = {name.split(".")[0] for name in imports_of(path)}
        for top in tops - own - sys.stdlib_module_names - {"_typeshed"}:
            offered_by = {canonical(name) for name in names.get(top, [top])}
            assert offered_by & asked, f"{path.relative_to(distribution)} imports {top}"


def test_what_it_needs_has_a_lower_bound(distribution: Path, metadata_of):
    lines = metadata_of(distribution)["options"]["install_requires"].strip().splitlines()
    for line in lines:
        if not line.startswith("#"):
            assert ">=" in line, line
