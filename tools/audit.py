# SPDX-License-Identifier: Apache-2.0
"""Ask whether what is installed has known vulnerabilities; needs a service on the network.

Ends with 1 when there are some, with 0 when there are none and when it could not be found out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-audit"


def main() -> int:
    """Audit the environment that runs this, with a tool from another, which is not audited."""
    python = str(ENVIRONMENT / "bin" / "python")
    if not (ENVIRONMENT / "bin" / "pip-audit").exists():
        made = run("sh", "tools/venv.sh", str(ENVIRONMENT))
        if made.returncode == 0:
            made = run(python, "-m", "pip", "install", "--quiet", "pip-audit")
        if made.returncode != 0:
            return could_not_run(made.stderr)
    installed = sysconfig.get_path("purelib")
    options = ["--path", installed, "--skip-editable", "--format", "json"]
    asked = run(python, "-m", "pip_audit", "--progress-spinner", "off", *options)
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        return could_not_run(asked.stderr)
    return report(packages)


def report(packages: list[dict[str, object]]) -> int:
    """Print what was found."""
    wounded = [package for package in packages if package.get("vulns")]
    for package in wounded:
        names = ", ".join(str(found["id"]) for found in package["vulns"])  # type: ignore[attr-defined]
        print(f"{package['name']} {package['version']}: {names}")
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return could_not_run("the service that was asked knows none of the packages")
    print(f"audit: {len(asked)} packages looked up, {len(wounded)} with known vulnerabilities")
    return 1 if wounded else 0


def could_not_run(said: str) -> int:
    """Say that nothing is known."""
    last = said.strip().splitlines()[-1:] or ["no reason was given"]
    print(f"audit: could not run, so nothing is known: {last[0]}")
    return 0


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the tree and keep what it says."""
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
