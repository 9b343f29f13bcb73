# SPDX-License-Identifier: Apache-2.0
"""The running service with a real Keystone: clients that log in, roles, and an outage."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("glancekit_keystone_auth", reason="glancekit-keystone-auth is not installed")

from glancekit_keystone_auth.testing import PASSWORD, RealKeystone

CONFIG = """
[auth]
driver = keystone
auth_url = {url}
www_authenticate_uri = https://keystone.example.org
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
http_connect_timeout = 2
"""

PYTHON = """
    import io, os, openstack
    cloud = openstack.connect(load_yaml_config=False)
    image = cloud.image.create_image(
        name="sdk", disk_format="raw", container_format="bare", data=io.BytesIO(b"d" * 5000),
        wait=True,
    )
    assert cloud.image.get_image(image.id).status == "active"
    assert cloud.image.download_image(image.id).content == b"d" * 5000
    cloud.image.delete_image(image.id)
    assert [found for found in cloud.image.images() if found.id == image.id] == []
"""


@pytest.fixture
def service(keystone: RealKeystone, make_service: Callable[..., Any]) -> Any:
    keystone.make_user("stranger", "elsewhere", "member")
    service = make_service(CONFIG.format(url=keystone.url, password=PASSWORD))
    service.start()
    return service


@pytest.fixture
def run(
    keystone: RealKeystone, service: Any, clients: Path
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run a client as a user of the project demo; it finds the service in the catalog."""
    keystone.make_endpoint("image", service.url)

    def run(user: str, program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {key: text for key, text in os.environ.items() if key[:3] != "OS_"}
        environment |= {"OS_AUTH_URL": keystone.url, "OS_PASSWORD": PASSWORD}
        environment |= {"OS_USERNAME": user, "OS_PROJECT_NAME": "demo"}
        environment |= {"OS_USER_DOMAIN_ID": "default", "OS_PROJECT_DOMAIN_ID": "default"}
        environment |= {"OS_REGION_NAME": "RegionOne", "OS_IDENTITY_API_VERSION": "3"}
        return subprocess.run(
            [str(clients / program), *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    yield run
    keystone.drop_service("image")


def get(service: Any, token: str, path: str = "/v2/images") -> requests.Response:
    return requests.get(service.url + path, headers={"X-Auth-Token": token}, timeout=60)


def create(service: Any, token: str, **fields: Any) -> requests.Response:
    body = {"name": "i", "disk_format": "raw", "container_format": "bare", **fields}
    return requests.post(
        f"{service.url}/v2/images", json=body, headers={"X-Auth-Token": token}, timeout=60
    )


def test_released_clients_log_in_and_find_the_service(
    run: Callable[..., subprocess.CompletedProcess[str]], keystone: RealKeystone, tmp_path: Path
) -> None:
    def do(*words: str | Path, user: str = "demo-member") -> str:
        done = run(user, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    data = tmp_path / "data"
    data.write_bytes(os.urandom(100_000))
    form = ["--disk-format", "raw", "--container-format", "bare", "--file", data]
    made = json.loads(do("openstack", "image", "create", *form, "first", "-f", "json"))
    assert made["owner"] == keystone.id_of("project", "demo")
    assert "first" in do("openstack", "image", "list", user="demo-reader")
    assert "first" in do("glance", "image-list")
    do("openstack", "image", "save", "--file", tmp_path / "back", "first")
    assert (tmp_path / "back").read_bytes() == data.read_bytes()
    refused = run("demo-reader", "openstack", "image", "delete", "first")
    assert refused.returncode != 0
    assert "403" in refused.stderr
    do("openstack", "image", "delete", "first")
    do("python", "-c", textwrap.dedent(PYTHON))


def test_roles_and_projects_count(keystone: RealKeystone, service: Any) -> None:
    member, reader = (keystone.token(user, "demo") for user in ("demo-member", "demo-reader"))
    stranger, admin = keystone.token("stranger", "elsewhere"), keystone.token("admin", "admin")
    assert create(service, reader).status_code == 403
    made = create(service, member)
    assert made.status_code == 201
    path = f"/v2/images/{made.json()['id']}"
    assert made.json()["owner"] == keystone.id_of("project", "demo")
    for token, status in ((member, 200), (reader, 200), (admin, 200), (stranger, 404)):
        assert get(service, token, path).status_code == status
    unscoped = keystone.token("demo-member")
    assert get(service, unscoped, path).status_code in (403, 404)
    assert create(service, unscoped).status_code == 403


def test_without_a_valid_token_the_answer_says_where_to_get_one(
    keystone: RealKeystone, service: Any
) -> None:
    revoked = keystone.token("demo-member", "demo")
    keystone.revoke(revoked)
    absent = requests.get(f"{service.url}/v2/images", timeout=60)
    for answer in (absent, get(service, "nonsense"), get(service, revoked)):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Keystone uri="https://keystone.example.org"'


def test_an_outage_is_a_503_for_who_is_not_known_yet(keystone: RealKeystone, service: Any) -> None:
    known, other = (keystone.token(user, "demo") for user in ("demo-member", "demo-reader"))
    # Each of the service's two processes has to know the token.
    for _ in range(40):
        assert get(service, known).status_code == 200
    keystone.stop()
    try:
        for _ in range(10):
            refused = get(service, other)
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) >= 1
            assert get(service, known).status_code == 200
            assert requests.get(f"{service.url}/healthcheck", timeout=60).status_code == 200
    finally:
        keystone.start()
    service.wait_for(lambda: get(service, other).status_code == 200)


def test_a_keystone_that_hangs_does_not_lock_out_the_health_check(
    keystone: RealKeystone, service: Any
) -> None:
    token = keystone.token("demo-reader", "demo")
    keystone.freeze()
    try:
        with ThreadPoolExecutor(100) as threads:
            asked = [threads.submit(get, service, f"unknown{number}") for number in range(100)]
            while not all(answer.done() for answer in asked):
                health = requests.get(f"{service.url}/healthcheck", timeout=60)
                assert health.status_code == 200
                time.sleep(0.1)
            assert {answer.result().status_code for answer in asked} == {503}
    finally:
        keystone.thaw()
    service.wait_for(lambda: get(service, token).status_code == 200)
    service.stop()
    assert token not in service.log
    assert "unknown1" not in service.log


def test_openstack_shares_with_projects_by_name(
    run: Callable[..., subprocess.CompletedProcess[str]], keystone: RealKeystone
) -> None:
    def do(*words: str | Path, project: str = "demo", user: str = "demo-member") -> str:
        done = run(user, "openstack", "--os-project-name", project, "image", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    friend = {"project": "elsewhere", "user": "stranger"}
    form = ["--disk-format", "raw", "--container-format", "bare", "--shared"]
    image_id = json.loads(do("create", *form, "ours", "-f", "json"))["id"]
    elsewhere = keystone.id_of("project", "elsewhere")
    do("add", "project", image_id, elsewhere)
    for word, status in (("reject", "rejected"), ("accept", "accepted")):
        do("set", f"--{word}", image_id, **friend)
        members = json.loads(do("member", "list", image_id, "-f", "json"))
        assert [(one["Member ID"], one["Status"]) for one in members] == [(elsewhere, status)]
    assert status in do("member", "get", image_id, elsewhere, **friend)
    do("remove", "project", image_id, elsewhere)
    assert json.loads(do("member", "list", image_id, "-f", "json")) == []
