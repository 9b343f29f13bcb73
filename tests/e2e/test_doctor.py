# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugins doctor --url``: what a running service knows of its parts, told to whoever
may hear it, with what is wrong first and what to do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

CONFIG = """
[DEFAULT]
enabled_backends = local:file, shelf:file, tape:no_such_driver
[glance_store]
default_backend = local
"""

KNOWING_CALLERS = """
[auth]
driver = token
"""


def doctor(url: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glancekit.cli", "plugins", "doctor", "--url", url, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def findings(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.stdout, done.stderr
    return list(json.loads(done.stdout))


def wrong(url: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = findings(doctor(url, "-f", "json"))
    return {(one["part"], one["step"]): one for one in found if one["verdict"] == "wrong"}


def test_a_service_that_is_well(service: Any) -> None:
    image = service.create()
    assert service.upload(image, b"data").status_code == 204
    done = doctor(service.url, "-f", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = findings(done)
    assert {one["verdict"] for one in found} == {"ok"}
    assert {"metadata", "store local"} <= {one["part"] for one in found if one["step"] == "health"}
    assert "authenticate" in {one["step"] for one in found if one["part"] == "auth"}


def test_what_is_wrong_is_told_with_what_to_do(make_service: Callable[..., Any]) -> None:
    service = make_service(CONFIG)
    service.start()
    image = service.create()
    stored = service.upload(image, b"data", **{"X-Image-Meta-Store": "shelf"})
    assert stored.status_code == 204, stored.text
    assert set(wrong(service.url)) == {("store tape", "load")}

    shelf = service.data_dir / "stores" / "shelf"
    shutil.rmtree(shelf)
    shelf.write_text("no folder any more")

    def is_told() -> bool:
        """Each process counts for itself: until the one that answers has failed, too."""
        with pytest.raises(AssertionError):
            service.download(image)
        return any(part == "store shelf" and step != "health" for part, step in wrong(service.url))

    service.wait_for(is_told)
    told = wrong(service.url)
    assert ("store shelf", "health") in told
    assert "glancekit plugins doctor" in told["store shelf", "health"]["advice"]
    calls = {step: one for (part, step), one in told.items() if part == "store shelf"}
    del calls["health"]
    assert all("calls failed, at last: " in one["detail"] for one in calls.values())
    assert all("glancekit-file-store" in one["advice"] for one in calls.values())
    done = doctor(service.url)
    assert done.returncode == 1
    assert done.stderr.startswith("glancekit: store ")
    assert "What to do: " in done.stderr
    assert service.status(image) == "active"


def test_where_there_is_no_service() -> None:
    done = doctor("http://127.0.0.1:9")
    assert done.returncode == 7
    said = "Error: No answer from http://127.0.0.1:9. Is the service running there?"
    assert done.stderr.strip() == said


def test_only_an_administrator_is_told(make_service: Callable[..., Any]) -> None:
    service = make_service(KNOWING_CALLERS)
    service.start()
    made = [sys.executable, "-m", "glancekit.cli", "--config-file", str(service.config)]
    environment = {"OS_DEFAULT__DATA_DIR": str(service.data_dir)}
    tokens = {}
    for role in ("member", "admin"):
        done = subprocess.run(
            [*made, "token", "create", "--user", "u", "--project", "p", "--role", role],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stderr
        tokens[role] = done.stdout.split()[0]
    assert doctor(service.url, "--token", tokens["admin"]).returncode == 0
    for refused in ([], ["--token", tokens["member"]], ["--token", "no-such-token"]):
        done = doctor(service.url, *refused)
        assert done.returncode not in (0, 1)
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()
