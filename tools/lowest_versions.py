# SPDX-License-Identifier: Apache-2.0
"""Run the tests with exactly the lower bounds that the setup.cfg files claim for our dependencies.

What those need in turn is whatever pip chooses.

Usage: python tools/lowest_versions.py [PYTEST OPTION ...]
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-lowest"
_BOUND = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?\s*>=\s*([\w.]+)", re.MULTILINE)


def main() -> int:
    """Install and test; the tests' exit code."""
    bounds = lower_bounds([ROOT / "setup.cfg", *ROOT.glob("plugins/*/setup.cfg")])
    print("\n".join(f"{name}=={version}" for name, version in sorted(bounds.items())))
    subprocess.run(["sh", "tools/venv.sh", str(ENVIRONMENT)], cwd=ROOT, check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(f"{name}=={version}\n" for name, version in bounds.items())
        constraints.flush()
        subprocess.run(
            ["sh", "tools/install.sh", str(ENVIRONMENT), "testing"],
            cwd=ROOT,
            check=True,
            env={"PATH": "/usr/bin:/bin", "PIP_CONSTRAINT": constraints.name},
        )
    python = str(ENVIRONMENT / "bin" / "python")
    subprocess.run([python, "-m", "pip", "-q", "install", "pytest-timeout"], check=True)
    return subprocess.run([python, "-m", "pytest", *sys.argv[1:]], cwd=ROOT).returncode


def lower_bounds(files: list[Path]) -> dict[str, str]:
    """Return the highest lower bound of each dependency that is not ours, in any of the files."""
    found: dict[str, str] = {}
    for file in files:
        config = ConfigParser()
        config.read(file)
        lines = config["options"].get("install_requires", "")
        lines += "\n" + config.get("options.extras_require", "testing", fallback="")
        for name, version in _BOUND.findall(lines):
            key = re.sub(r"[-_.]+", "-", name).lower()
            if not key.startswith("glancekit"):
                found[key] = max(found.get(key, "0"), version, key=_order)
    return found


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


if __name__ == "__main__":
    sys.exit(main())
