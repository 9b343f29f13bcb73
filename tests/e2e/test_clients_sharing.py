# SPDX-License-Identifier: Apache-2.0
"""The released clients share images, take them out of use, register data and ask about tasks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from glancekit.bootstrap import bootstrap, load_config
from glancekit.plugin import Location

DATA = os.urandom(100_000)

CONFIG = """
[DEFAULT]
enabled_backends = local:file, spare:file
show_multiple_locations = true
[glance_store]
default_backend = local
[auth]
driver = token
"""


@pytest.fixture
def service(make_service: Callable[..., Any]) -> Any:
    """A service with two stores that asks for tokens."""
    service = make_service(CONFIG)
    service.start()
    return service


class Caller:
    """Somebody with a token, at the command line of the released clients."""

    def __init__(self, service: Any, programs: Any, project: str, *roles: str) -> None:
        command = [sys.executable, "-m", "glancekit.cli", "--config-file", service.config]
        command += ["token", "--path", service.data_dir / "tokens.json", "create"]
        command += ["--user", f"u-{project}", "--project", project]
        for role in roles:
            command += ["--role", role]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=60, check=True
        )
        self._token, self._programs, self._url = done.stdout.strip(), programs, service.url
        service.wait_for(lambda: self._get("/v2/images").ok)

    def glance(self, *words: str | Path) -> str:
        """Run glanceclient's command line."""
        return self._do("glance", *words)

    def openstack(self, *words: str | Path) -> str:
        """Run openstackclient's."""
        return self._do("openstack", "image", *words)

    def fails(self, *words: str | Path) -> str:
        """Return what a command complains about, nothing when it succeeds."""
        return str(self._programs.run(*self._command(*words))[1])

    def sdk(self, code: str, *words: str) -> str:
        """Run code with openstacksdk; ``cloud`` is the connection."""
        begin = f"""
            import openstack
            cloud = openstack.connect(
                auth_type="none", endpoint={self._url!r}, image_api_version="2"
            )
            cloud.session.auth.get_token = lambda *_: {self._token!r}
        """
        source = textwrap.dedent(begin) + textwrap.dedent(code)
        printed, failed, _ = self._programs.run("python", source, *words)
        assert not failed, failed
        return printed

    def record(self, name: str) -> str:
        """Make an image without data, which the command lines do from a terminal only."""
        body = {"name": name, "disk_format": "raw", "container_format": "bare"}
        headers = {"X-Auth-Token": self._token}
        answer = requests.post(f"{self._url}/v2/images", json=body, headers=headers, timeout=30)
        return str(answer.json()["id"])

    def show(self, image_id: str) -> dict[str, Any]:
        """Return an image as the API shows it."""
        return dict(self._get(f"/v2/images/{image_id}").json())

    def _get(self, path: str) -> requests.Response:
        headers = {"X-Auth-Token": self._token}
        return requests.get(self._url + path, headers=headers, timeout=30)

    def _do(self, *words: str | Path) -> str:
        printed, failed, _ = self._programs.run(*self._command(*words))
        assert not failed, f"{words}: {failed}"
        return printed

    def _command(self, program: str, *words: str | Path) -> list[str | Path]:
        who: list[str | Path]
        if program == "glance":
            who = ["--os-auth-token", self._token, "--os-image-url", self._url]
        else:
            who = ["--os-auth-type", "admin_token", "--os-token", self._token]
            who += ["--os-endpoint", f"{self._url}/v2"]
        return [program, *who, *words]


@pytest.fixture
def call(service: Any, programs: Any) -> Callable[..., Caller]:
    """Make callers by project and roles."""
    return lambda *words: Caller(service, programs, *words)


@pytest.fixture
def owner(call: Callable[..., Caller]) -> Caller:
    """A member of the project demo."""
    return call("demo", "member")


@pytest.fixture
def boss(call: Callable[..., Caller]) -> Caller:
    """An administrator."""
    return call("ops", "admin")


def made(owner: Caller, tmp_path: Path, name: str = "shared") -> str:
    """Return the id of a new image with data."""
    file = tmp_path / "data"
    file.write_bytes(DATA)
    form = ["--disk-format", "raw", "--container-format", "bare", "--file", file, "--shared"]
    return str(json.loads(owner.openstack("create", *form, name, "-f", "json"))["id"])


def test_sharing(owner: Caller, call: Callable[..., Caller], tmp_path: Path) -> None:
    friend, image_id = call("friends", "member"), made(owner, tmp_path)
    assert "pending" in owner.glance("member-create", image_id, "friends")
    assert "friends" in owner.glance("member-list", "--image-id", image_id)
    assert "409" in owner.fails("glance", "member-create", image_id, "friends")
    assert friend.show(image_id)["status"] == "active"
    assert json.loads(friend.openstack("list", "--shared", "-f", "json")) == []
    pending = friend.openstack("list", "--shared", "--member-status", "pending", "-f", "json")
    assert [one["ID"] for one in json.loads(pending)] == [image_id]
    friend.glance("member-update", image_id, "friends", "accepted")
    assert "accepted" in friend.glance("member-get", image_id, "friends")
    members = json.loads(owner.openstack("member", "list", image_id, "-f", "json"))
    assert [(one["Member ID"], one["Status"]) for one in members] == [("friends", "accepted")]
    accepted = json.loads(friend.openstack("list", "--shared", "-f", "json"))
    assert [one["ID"] for one in accepted] == [image_id]
    assert "403" in friend.fails("glance", "member-delete", image_id, "friends")
    owner.glance("member-delete", image_id, "friends")
    assert "friends" not in owner.glance("member-list", "--image-id", image_id)
    assert friend.fails("openstack", "image", "show", image_id)


def test_out_of_use_and_back(owner: Caller, boss: Caller, tmp_path: Path) -> None:
    image_id, back = made(owner, tmp_path), tmp_path / "back"
    owner.openstack("set", "--deactivate", image_id)
    assert owner.show(image_id)["status"] == "deactivated"
    assert owner.fails("openstack", "image", "save", "--file", back, image_id)
    boss.openstack("save", "--file", back, image_id)
    assert back.read_bytes() == DATA
    owner.openstack("set", "--activate", image_id)
    owner.glance("image-deactivate", image_id)
    assert owner.show(image_id)["status"] == "deactivated"
    owner.glance("image-reactivate", image_id)
    assert owner.show(image_id)["status"] == "active"


def test_registering_data_and_its_tasks(
    service: Any, boss: Caller, call: Callable[..., Caller], tmp_path: Path
) -> None:
    nova = call("demo", "member", "service")
    made(nova, tmp_path, "makes the folder of the store")
    for number, validated in enumerate((False, True)):
        image_id = nova.record(f"snapshot-{number}")
        place = service.data_dir / "stores" / "local" / f"left-by-nova-{number}"
        place.write_bytes(DATA)
        said = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(DATA).hexdigest()}
        extra = ["--validation-data", json.dumps(said)] if validated else []
        nova.glance("add-location", "--url", f"file://{place}", *extra, image_id)

        def is_digested(image_id: str = image_id) -> bool:
            return bool(nova.show(image_id)["os_hash_value"])

        service.wait_for(is_digested)
        image = nova.show(image_id)
        assert (image["status"], image["size"]) == ("active", len(DATA))
        assert image["checksum"] == hashlib.md5(DATA).hexdigest()
        assert "success" in nova.glance("image-tasks", image_id)
        task_id = json.loads(boss.openstack("task", "list", "-f", "json"))[0]["ID"]
        assert "location_import" in boss.openstack("task", "show", task_id)
        assert task_id in boss.glance("task-list")
        assert "location_import" in boss.glance("task-show", task_id)


def second_copy(service: Any, image_id: str) -> None:
    """Copy an image to the other store, as an import will."""
    spare = service.data_dir / "stores" / "spare"
    spare.mkdir(parents=True, exist_ok=True)
    place = spare / image_id
    place.write_bytes(DATA)
    overrides = {("DEFAULT", "data_dir"): str(service.data_dir)}
    config = load_config([str(service.config)], overrides)
    with bootstrap(config) as world, world.metadata.unit_of_work() as work:
        work.locations.add(Location(url=f"file://{place}", store="spare", image_id=image_id))
        work.commit()


def test_copies_and_locations(service: Any, owner: Caller, boss: Caller, tmp_path: Path) -> None:
    image_id = made(owner, tmp_path)
    second_copy(service, image_id)
    url = f"file://{service.data_dir}/stores/spare/{image_id}"
    boss.glance("location-update", "--url", url, "--metadata", '{"rack": "7"}', image_id)
    assert "rack" in str(owner.show(image_id))
    assert "403" in owner.fails("glance", "stores-delete", "--store", "spare", image_id)
    boss.glance("stores-delete", "--store", "spare", image_id)
    assert not (service.data_dir / "stores" / "spare" / image_id).exists()
    assert "403" in boss.fails("glance", "stores-delete", "--store", "local", image_id)
    second_copy(service, image_id)
    boss.glance("location-delete", "--url", url, image_id)
    assert owner.show(image_id)["stores"] == "local"
    assert "400" in boss.fails("glance", "location-add", "--url", "file:///etc/passwd", image_id)
    back = tmp_path / "back"
    owner.openstack("save", "--file", back, image_id)
    assert back.read_bytes() == DATA


def test_what_there_is_to_know(owner: Caller, boss: Caller) -> None:
    assert "spare" in owner.glance("stores-info")
    detailed = boss.glance("stores-info", "--detail")
    assert "data_dir" in detailed
    owner.glance("import-info")
    owner.glance("usage")
    assert "local" in owner.openstack("stores", "list")
    assert "caching" in boss.fails("glance", "cache-list")
    assert owner.fails("glance", "task-list")
    for schema in ("image", "member", "task"):
        assert "status" in owner.glance("explain", schema)


def test_openstacksdk(owner: Caller, call: Callable[..., Caller], tmp_path: Path) -> None:
    image_id = made(owner, tmp_path)
    owner.sdk(
        """
        image_id = words[0]
        cloud.image.add_member(image_id, member_id="friends")
        assert [one.member_id for one in cloud.image.members(image_id)] == ["friends"]
        cloud.image.deactivate_image(image_id)
        assert cloud.image.get_image(image_id).status == "deactivated"
        cloud.image.reactivate_image(image_id)
        assert cloud.image.get_members_schema().properties
        assert [store.id for store in cloud.image.stores()] == ["local", "spare"]
        assert cloud.image.get_import_info().import_methods
        """,
        image_id,
    )
    friend = call("friends", "member")
    friend.sdk(
        """
        image_id = words[0]
        cloud.image.update_member("friends", image_id, status="accepted")
        assert cloud.image.get_member("friends", image_id).status == "accepted"
        assert [one.id for one in cloud.image.images()] == [image_id]
        """,
        image_id,
    )
    owner.sdk("cloud.image.remove_member('friends', words[0])", image_id)
