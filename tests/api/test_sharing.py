# SPDX-License-Identifier: Apache-2.0
"""Members of images, and images taken out of use, as clients see them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from glancekit.testing.client import Answer, Client


def put(client: Client, target: str, content: Any) -> Answer:
    body = json.dumps(content).encode()
    return client.request("PUT", target, headers={"Content-Type": "application/json"}, body=body)


@pytest.fixture
def other(service: Client) -> tuple[str, Client]:
    """Another project, and a member of it."""
    project_id = uuid.uuid4().hex
    return project_id, service.as_project(project_id)


def test_sharing_from_beginning_to_end(project: Client, other: tuple[str, Client]) -> None:
    other_id, friend = other
    image = project.create_active(visibility="shared")
    members = f"/v2/images/{image['id']}/members"
    assert project.get(members).json == {"members": [], "schema": "/v2/schemas/members"}
    answer = project.post(members, {"member": other_id})
    assert answer.status == 200
    assert answer.json.keys() == {
        "member_id", "image_id", "status", "created_at", "updated_at", "schema",
    }  # fmt: skip
    assert answer.json["schema"] == "/v2/schemas/member"
    assert (answer.json["member_id"], answer.json["status"]) == (other_id, "pending")
    assert friend.show(image["id"])["id"] == image["id"]
    assert friend.names() == []
    assert friend.get(f"{members}/{other_id}").json["status"] == "pending"
    accepted = put(friend, f"{members}/{other_id}", {"status": "accepted"})
    assert (accepted.status, accepted.json["status"]) == (200, "accepted")
    assert len(friend.names()) == 1
    assert len(project.get(members).json["members"]) == 1
    assert project.delete(f"{members}/{other_id}").status == 204
    assert friend.get(f"/v2/images/{image['id']}").status == 404
    assert project.get(f"{members}/{other_id}").status == 404
    assert project.delete(f"{members}/{other_id}").status == 404


def test_who_may_not(service: Client, project: Client, other: tuple[str, Client]) -> None:
    other_id, friend = other
    image = project.create(visibility="shared")
    members = f"/v2/images/{image['id']}/members"
    stranger = service.as_project(uuid.uuid4().hex)
    assert stranger.get(members).status == 404
    assert project.post(members, {"member": other_id}).status == 200
    assert project.post(members, {"member": other_id}).status == 409
    assert friend.post(members, {"member": "x"}).status == 403
    assert friend.delete(f"{members}/{other_id}").status == 403
    assert put(project, f"{members}/{other_id}", {"status": "accepted"}).status == 403
    assert put(friend, f"{members}/{other_id}", {"status": "perhaps"}).status == 400
    assert friend.get(f"{members}/somebody").status == 404


@pytest.mark.parametrize("body", [{}, {"member": ""}, {"member": 7}, {"member": None}, []])
def test_a_member_needs_a_name(project: Client, body: Any) -> None:
    image = project.create(visibility="shared")
    assert project.post(f"/v2/images/{image['id']}/members", body).status == 400


@pytest.mark.parametrize("visibility", ["private", "community"])
def test_only_shared_images_have_members(project: Client, visibility: str) -> None:
    image = project.create(visibility=visibility)
    members = f"/v2/images/{image['id']}/members"
    assert project.post(members, {"member": "x"}).status == 403
    assert project.get(members).status == 403


def test_a_quota_of_members(build: Any) -> None:
    client = build(image_member_quota=1).as_project("p")
    image = client.create()
    assert client.post(f"/v2/images/{image['id']}/members", {"member": "a"}).status == 200
    assert client.post(f"/v2/images/{image['id']}/members", {"member": "b"}).status == 413


def test_out_of_use_and_back(project: Client, admin: Client) -> None:
    image = project.create_active(b"bytes")
    action = f"/v2/images/{image['id']}/actions"
    for _ in range(2):
        assert project.request("POST", f"{action}/deactivate").status == 204
    assert project.show(image["id"])["status"] == "deactivated"
    assert project.download(image["id"]).status == 403
    assert admin.download(image["id"]).body == b"bytes"
    for _ in range(2):
        assert project.request("POST", f"{action}/reactivate").status == 204
    assert project.download(image["id"]).body == b"bytes"


def test_what_is_not_active_cannot_go_out_of_use(project: Client, service: Client) -> None:
    image = project.create()
    action = f"/v2/images/{image['id']}/actions"
    for name in ("deactivate", "reactivate"):
        assert project.request("POST", f"{action}/{name}").status == 403
        assert project.post(f"{action}/{name}", {}).status == 400
        wrong = project.get(f"{action}/{name}")
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    stranger = service.as_project(uuid.uuid4().hex)
    assert stranger.request("POST", f"{action}/deactivate").status == 404
