# SPDX-License-Identifier: Apache-2.0
"""Staging and importing as clients ask for it: what is accepted and what is refused.

Workers are the business of the flows' tests; here nothing is imported.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from glancekit.testing.client import OCTETS, Answer, Client

Build = Callable[..., Client]

DIRECT = {"method": {"name": "glance-direct"}}


@pytest.fixture
def several(build: Build) -> Client:
    """A service of two stores and a read-only one."""
    return build(
        {
            ("glance_store", "default_backend"): "fast",
            ("old", "read_only"): True,
        },
        enabled_backends="fast:file,slow:file,old:file",
    )


@pytest.fixture
def project(several: Client) -> Client:
    return several.as_project("p")


@pytest.fixture
def admin(several: Client) -> Client:
    return several.as_project("p", roles="admin,member,reader")


def stage(client: Client, image_id: str, data: bytes = b"data", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(
        "PUT",
        f"/v2/images/{image_id}/stage",
        headers={"Content-Type": OCTETS, **named},
        body=data,
    )


def ask(client: Client, image_id: str, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(
        "POST",
        f"/v2/images/{image_id}/import",
        headers={"Content-Type": "application/json", **named},
        body=json.dumps(body).encode(),
    )


def test_methods_are_told(project: Client) -> None:
    told = project.get("/v2/info/import").json["import-methods"]["value"]
    assert {"glance-direct", "copy-image"} <= set(told)
    answer = project.post("/v2/images", {})
    assert answer.headers["openstack-image-import-methods"] == ",".join(told)


def test_staged_data_wait(project: Client) -> None:
    image = project.create()
    assert stage(project, image["id"]).status == 204
    shown = project.get(f"/v2/images/{image['id']}").json
    assert (shown["status"], shown["size"], shown["checksum"]) == ("uploading", 4, None)
    assert "os_glance_stage_host" not in shown
    assert project.get(f"/v2/images/{image['id']}/file").status == 204
    assert stage(project, image["id"]).status == 409
    assert project.delete(f"/v2/images/{image['id']}").status == 204


@pytest.mark.parametrize(
    ("size", "status"), [("4", 204), ("3", 400), ("5", 400), ("x", 400), ("-1", 400)]
)
def test_a_declared_size_counts(project: Client, size: str, status: int) -> None:
    image = project.create()
    assert stage(project, image["id"], x_openstack_image_size=size).status == status
    expected = "uploading" if status == 204 else "queued"
    assert project.get(f"/v2/images/{image['id']}").json["status"] == expected


def test_what_cannot_be_staged(project: Client, several: Client) -> None:
    image = project.create()
    target = f"/v2/images/{image['id']}/stage"
    assert project.request("PUT", target, headers={"Content-Type": "text/x"}).status == 415
    assert stage(project, str(uuid.uuid4())).status == 404
    assert stage(several.as_project("q"), image["id"]).status == 404
    assert stage(several.as_project("p", roles="reader"), image["id"]).status == 403


def test_an_import_holds_its_image(project: Client) -> None:
    image = project.create()
    stage(project, image["id"])
    body = {**DIRECT, "stores": ["slow", "fast", "slow"], "all_stores_must_succeed": False}
    assert ask(project, image["id"], body).status == 202
    shown = project.get(f"/v2/images/{image['id']}").json
    (task,) = project.get(f"/v2/images/{image['id']}/tasks").json["tasks"]
    assert shown["status"] == "importing"
    assert shown["os_glance_import_task"] == task["id"]
    assert shown["os_glance_importing_to_stores"] == "slow,fast"
    assert shown["os_glance_failed_import"] == ""
    assert (task["type"], task["status"]) == ("api_image_import", "pending")
    assert task["input"]["backend"] == ["slow", "fast"]
    assert "roles" not in task["input"]
    assert ask(project, image["id"], DIRECT).status == 409


@pytest.mark.parametrize(
    ("body", "header", "status"),
    [
        ({}, None, 400),
        ({"method": "glance-direct"}, None, 400),
        ({"method": {}}, None, 400),
        ({"method": {"name": "by-post"}}, None, 400),
        ({**DIRECT, "stores": "fast"}, None, 400),
        ({**DIRECT, "stores": [1]}, None, 400),
        ({**DIRECT, "stores": []}, None, 400),
        ({**DIRECT, "all_stores": "yes"}, None, 400),
        ({**DIRECT, "all_stores_must_succeed": 1}, None, 400),
        ({**DIRECT, "stores": ["fast"], "all_stores": True}, None, 400),
        ({**DIRECT, "stores": ["fast"]}, "fast", 400),
        ({**DIRECT, "all_stores": True}, "fast", 400),
        ({**DIRECT, "stores": ["nowhere"]}, None, 409),
        (DIRECT, "nowhere", 409),
        ({**DIRECT, "stores": ["old"]}, None, 409),
        (DIRECT, "slow", 202),
        ({**DIRECT, "all_stores": True}, None, 202),
    ],
)
def test_what_is_asked(project: Client, body: Any, header: str | None, status: int) -> None:
    image = project.create()
    stage(project, image["id"])
    headers = {} if header is None else {"x_image_meta_store": header}
    answer = ask(project, image["id"], body, **headers)
    assert answer.status == status, answer.text
    shown = project.get(f"/v2/images/{image['id']}").json
    assert shown["status"] == ("importing" if status == 202 else "uploading")


def test_read_only_stores_are_none_of_all(project: Client) -> None:
    image = project.create()
    stage(project, image["id"])
    assert ask(project, image["id"], {**DIRECT, "all_stores": True}).status == 202
    shown = project.get(f"/v2/images/{image['id']}").json
    assert shown["os_glance_importing_to_stores"] == "fast,slow"


def test_nothing_is_staged(project: Client) -> None:
    image = project.create()
    assert ask(project, image["id"], DIRECT).status == 409


def test_formats_are_needed(project: Client) -> None:
    image = project.post("/v2/images", {"name": "i"}).json
    assert stage(project, image["id"]).status == 204
    assert ask(project, image["id"], DIRECT).status == 409


def test_copying_is_for_administrators(project: Client, admin: Client) -> None:
    image = project.create()
    project.upload(image["id"], b"data")
    copy = {"method": {"name": "copy-image"}}
    assert ask(project, image["id"], {**copy, "stores": ["slow"]}).status == 403
    assert ask(admin, image["id"], {**copy, "stores": ["fast"]}).status == 400
    assert ask(admin, image["id"], {**copy, "stores": ["fast", "slow"]}).status == 400
    assert ask(admin, image["id"], {**copy, "all_stores": True}).status == 202
    shown = admin.get(f"/v2/images/{image['id']}").json
    assert (shown["status"], shown["os_glance_importing_to_stores"]) == ("active", "slow")
    assert ask(admin, image["id"], {**copy, "stores": ["slow"]}).status == 409


def test_nothing_left_to_copy_is_no_task(build: Build) -> None:
    admin = build().as_project("p", roles="admin,member,reader")
    image = admin.create()
    admin.upload(image["id"], b"data")
    asked = {"method": {"name": "copy-image"}, "all_stores": True}
    assert ask(admin, image["id"], asked).status == 202
    assert admin.get(f"/v2/images/{image['id']}/tasks").json["tasks"] == []


def test_quotas_are_asked_at_once(build: Build) -> None:
    client = build({("quotas", "image_size_total"): 1}).as_project("p")
    image = client.create()
    assert stage(client, image["id"], bytes(2 << 20)).status == 204
    assert ask(client, image["id"], DIRECT).status == 413
    assert client.get(f"/v2/images/{image['id']}").json["status"] == "uploading"
    staging = build({("quotas", "image_stage_total"): 1}).as_project("p")
    image = staging.create()
    assert stage(staging, image["id"], bytes(3 << 20)).status == 413
    assert staging.get(f"/v2/images/{image['id']}").json["status"] == "queued"
