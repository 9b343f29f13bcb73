# SPDX-License-Identifier: Apache-2.0
"""The running service with tokens of its own: made, used by the released clients, revoked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

WITHOUT_OPENSTACK = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}


def run(command: list[str | Path]) -> str:
    done = subprocess.run(
        list(map(str, command)), env=WITHOUT_OPENSTACK, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def service(make_service: Callable[..., Any]) -> Any:
    service = make_service("[auth]\ndriver = token\n")
    service.start()
    return service


def glancekit_token(service: Any, *words: str) -> str:
    command = [sys.executable, "-m", "glancekit.cli", "--config-file", service.config]
    return run([*command, "token", "--path", service.data_dir / "tokens.json", *words]).strip()


@pytest.fixture
def token(service: Any) -> str:
    return glancekit_token(service, "create", "--user", "alice", "--project", "demo")


def get(service: Any, **headers: str) -> requests.Response:
    return requests.get(f"{service.url}/v2/images", headers=headers, timeout=30)


def test_a_token_opens_the_service_until_it_is_revoked(service: Any, token: str) -> None:
    refused = get(service)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="glancekit"'
    service.wait_for(lambda: get(service, **{"X-Auth-Token": token}).status_code == 200)
    assert get(service, Authorization=f"Bearer {token}").status_code == 200
    glancekit_token(service, "revoke", token.split("_")[1])
    service.wait_for(lambda: get(service, **{"X-Auth-Token": token}).status_code == 401)
    service.stop()
    assert token.split("_")[2] not in service.log


def test_the_released_clients_take_a_fixed_token(
    service: Any, token: str, clients: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.write_bytes(os.urandom(100_000))
    openstack: list[str | Path] = [clients / "openstack", "--os-auth-type", "admin_token"]
    openstack += ["--os-token", token, "--os-endpoint", f"{service.url}/v2", "image"]
    form = ["--disk-format", "raw", "--container-format", "bare", "--file", data]
    made = json.loads(run([*openstack, "create", *form, "--shared", "first", "-f", "json"]))
    assert made["owner"] == "demo"
    run([*openstack, "save", "--file", tmp_path / "back", "first"])
    assert (tmp_path / "back").read_bytes() == data.read_bytes()
    glance = [clients / "glance", "--os-auth-token", token, "--os-image-url", service.url]
    assert "first" in run([*glance, "image-list"])
    run([*openstack, "delete", "first"])
    assert json.loads(run([*openstack, "list", "-f", "json"])) == []
