# SPDX-License-Identifier: Apache-2.0
"""Tasks as clients see them, and what is answered where a feature is switched off."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from glancekit.testing.client import Client


@pytest.fixture
def boss(build: Any, tmp_path: Path) -> Client:
    """An administrator and service whose project has two images with a task each."""
    folder = tmp_path / "store"
    folder.mkdir()
    service = build({("local", "filesystem_store_datadir"): str(folder)}, do_secure_hash=False)
    client = service.as_project("p", roles="admin,member,reader,service")
    for name in ("a", "b"):
        (folder / name).write_bytes(b"data")
        image = client.create(name=name)
        target = f"/v2/images/{image['id']}/locations"
        assert client.post(target, {"url": f"file://{folder / name}"}).status == 202
    return client


def test_pages_of_tasks(boss: Client) -> None:
    page = boss.get("/v2/tasks?limit=1").json
    assert page["schema"] == "/v2/schemas/tasks"
    assert page["first"] == "/v2/tasks?limit=1"
    (newest,) = page["tasks"]
    assert newest.keys() == {
        "id", "type", "status", "owner", "created_at", "updated_at", "self", "schema",
        "expires_at",
    }  # fmt: skip
    (oldest,) = boss.get(page["next"]).json["tasks"]
    assert {newest["id"], oldest["id"]} == {
        task["id"] for task in boss.get("/v2/tasks").json["tasks"]
    }
    first = boss.get("/v2/tasks?sort_dir=asc&limit=1").json["tasks"]
    assert first == [oldest]
    assert boss.get("/v2/tasks?type=import").json["tasks"] == []
    assert len(boss.get("/v2/tasks?status=success").json["tasks"]) == 2


def test_one_task(boss: Client) -> None:
    (summary, _) = boss.get("/v2/tasks").json["tasks"]
    task = boss.get(summary["self"]).json
    assert summary.items() <= task.items()
    assert task["input"]["loc_url"].startswith("file://")
    assert task["result"] == {"image_id": task["image_id"]}
    assert task["user_id"] == "user-of-p"
    assert task["request_id"].startswith("req-")
    wrong = boss.delete(summary["self"])
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET")


def test_an_image_s_tasks_are_rows(boss: Client) -> None:
    (image, _) = boss.page().json["images"]
    (row,) = boss.get(f"/v2/images/{image['id']}/tasks").json["tasks"]
    assert list(row) == [
        "id", "type", "status", "owner", "expires_at", "created_at", "updated_at", "deleted_at",
        "deleted", "image_id", "request_id", "user_id", "input", "result", "message",
    ]  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", row["created_at"])


@pytest.mark.parametrize(
    "query",
    [
        "limit=x", "limit=-1", "marker=x", "marker=9b5e6d4e-0000-4000-8000-000000000000",
        "sort_key=size", "sort_dir=up", "type=x", "status=x",
    ],
)  # fmt: skip
def test_queries_that_make_no_sense(admin: Client, query: str) -> None:
    assert admin.get(f"/v2/tasks?{query}").status == 400


def test_what_members_may_not(project: Client, admin: Client) -> None:
    assert project.get("/v2/tasks").status == 403
    assert project.get(f"/v2/tasks/{uuid.uuid4()}").status == 403
    assert project.post("/v2/tasks", {"type": "import", "input": {}}).status == 403
    assert admin.get(f"/v2/tasks/{uuid.uuid4()}").status == 404
    assert project.get(f"/v2/images/{uuid.uuid4()}/tasks").status == 404


@pytest.mark.parametrize("body", [{"type": "import", "input": {}}, {"type": "x"}, {}, []])
def test_no_task_can_be_made(admin: Client, body: Any) -> None:
    assert admin.post("/v2/tasks", body).status == 400


def test_import_is_off(build: Any) -> None:
    project = build(enabled_import_methods=[]).as_project("p")
    image = project.create()
    path = f"/v2/images/{image['id']}"
    assert project.request("PUT", f"{path}/stage", body=b"data").status == 404
    for body in ({"method": {"name": "web-download"}}, {"method": "web-download"}, {}):
        assert project.post(f"{path}/import", body).status == 400
    asked = {"method": {"name": "glance-direct"}}
    assert project.post(f"/v2/images/{uuid.uuid4()}/import", asked).status == 404
    assert project.get("/v2/info/import").json["import-methods"]["value"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/cache"),
        ("DELETE", "/v2/cache"),
        ("PUT", "/v2/cache/1"),
        ("DELETE", "/v2/cache/1"),
        ("GET", "/v2/cache/nodes/1"),
        ("POST", "/v2/cache/clean"),
        ("POST", "/v2/cache/prune"),
        ("GET", "/v2/cached_images"),
        ("DELETE", "/v2/cached_images"),
        ("DELETE", "/v2/cached_images/1"),
        ("GET", "/v2/queued_images"),
        ("DELETE", "/v2/queued_images"),
        ("PUT", "/v2/queued_images/1"),
        ("DELETE", "/v2/queued_images/1"),
    ],
)
def test_the_cache_is_off(admin: Client, method: str, path: str) -> None:
    assert admin.request(method, path).status == 404
