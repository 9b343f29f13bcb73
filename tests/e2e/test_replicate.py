# SPDX-License-Identifier: Apache-2.0
"""``glancekit replicate`` between services that ask a real Keystone who is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

pytest.importorskip("glancekit_keystone_auth", reason="glancekit-keystone-auth is not installed")
pytest.importorskip("glancekit_site_replication", reason="what is tested is a package of its own")

from glancekit_keystone_auth.testing import PASSWORD, RealKeystone

CONFIG = """
[auth]
driver = keystone
auth_url = {url}
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
"""

DATA = os.urandom(300_000)


@pytest.fixture(scope="module")
def sites(keystone: RealKeystone, make_lasting_service: Any) -> Iterator[tuple[Any, Any]]:
    """Two services that ask the same Keystone; its catalogue has the first."""
    pair = tuple(
        make_lasting_service(CONFIG.format(url=keystone.url, password=PASSWORD)) for _ in "ab"
    )
    for service in pair:
        service.start()
    keystone.make_endpoint("image", pair[0].url)
    yield pair
    keystone.drop_service("image")


@pytest.fixture
def clouds(keystone: RealKeystone, sites: tuple[Any, Any], tmp_path: Path) -> Path:
    """A clouds.yaml with both as an administrator sees them, and the second as a reader does."""
    auth = {
        "auth_url": keystone.url,
        "password": PASSWORD,
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    admin = auth | {"username": "demo-admin", "project_name": "demo"}
    reader = auth | {"username": "demo-reader", "project_name": "demo"}
    there = {"region_name": "RegionOne", "image_endpoint_override": sites[1].url}
    known = {
        "north": {"auth": admin, "region_name": "RegionOne"},
        "south": {"auth": admin} | there,
        "narrow": {"auth": reader} | there,
    }
    path = tmp_path / "clouds.yaml"
    path.write_text(yaml.safe_dump({"clouds": known}))
    return path


def replicate(clouds: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    kept |= {"OS_CLIENT_CONFIG_FILE": str(clouds), "XDG_CACHE_HOME": str(clouds.parent)}
    return subprocess.run(
        [sys.executable, "-m", "glancekit.cli", "replicate", *words],
        env=kept | more,
        capture_output=True,
        text=True,
        timeout=120,
    )


def make(keystone: RealKeystone, service: Any, **fields: Any) -> str:
    headers = {"X-Auth-Token": keystone.token("demo-admin", "demo")}
    body = {"name": "i", "disk_format": "raw", "container_format": "bare", **fields}
    url = f"{service.url}/v2/images"
    image_id = str(requests.post(url, json=body, headers=headers, timeout=60).json()["id"])
    octets = headers | {"Content-Type": "application/octet-stream"}
    done = requests.put(f"{url}/{image_id}/file", data=DATA, headers=octets, timeout=60)
    assert done.status_code == 204, done.text
    return image_id


def test_from_cloud_to_cloud(keystone: RealKeystone, sites: tuple[Any, Any], clouds: Path) -> None:
    owner = keystone.id_of("project", "admin")
    image_id = make(keystone, sites[0], visibility="public", owner=owner, os_distro="debian")
    done = replicate(clouds, "sync", "north", "south", "--keep-owner", "-f", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["counts"] == {"sent": 1}
    assert told["bytes"] == {"received": len(DATA), "sent": len(DATA)}
    headers = {"X-Auth-Token": keystone.token("demo-member", "demo")}
    url = f"{sites[1].url}/v2/images/{image_id}"
    shown = requests.get(url, headers=headers, timeout=60).json()
    assert (shown["owner"], shown["visibility"], shown["os_distro"]) == (owner, "public", "debian")
    assert shown["glancekit_replica_of"] == "north"
    assert requests.get(f"{url}/file", headers=headers, timeout=60).content == DATA
    compared = replicate(clouds, "compare", "north", "south", "--keep-owner")
    assert compared.returncode == 0, compared.stdout


def test_who_may_not_is_refused_and_told_without_secrets(
    keystone: RealKeystone, sites: tuple[Any, Any], clouds: Path
) -> None:
    make(keystone, sites[0], name="not for readers")
    refused = replicate(clouds, "sync", "north", "narrow")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert PASSWORD not in refused.stdout + refused.stderr
    token = "gAAAA-a-token-of-nobody"
    unknown = replicate(clouds, "size", sites[1].url, GLANCEKIT_SOURCE_TOKEN=token)
    assert unknown.returncode == 3
    assert token not in unknown.stdout + unknown.stderr
    nowhere = replicate(clouds, "size", "elsewhere")
    assert nowhere.returncode == 7
    assert "no way into the cloud elsewhere" in nowhere.stderr
