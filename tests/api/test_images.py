# SPDX-License-Identifier: Apache-2.0
"""Image records: create, show, patch, delete."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from glancekit.testing.client import PATCH_V20, Client

SHOWN_ORDER = [
    "name", "disk_format", "container_format", "visibility", "size", "virtual_size", "status",
    "checksum", "protected", "min_ram", "min_disk", "owner", "os_hidden", "os_hash_algo",
    "os_hash_value", "id", "created_at", "updated_at", "tags", "self", "file", "schema",
]  # fmt: skip


# -- create


def test_an_empty_object_is_an_image(project: Client) -> None:
    answer = project.post("/v2/images", {})
    assert answer.status == 201
    image = answer.json
    assert image["status"] == "queued"
    assert image["visibility"] == "shared"
    assert image["protected"] is image["os_hidden"] is False
    assert image["min_ram"] == image["min_disk"] == 0
    assert image["tags"] == []
    for name in ("name", "disk_format", "container_format", "size", "checksum", "os_hash_algo"):
        assert image[name] is None
    assert answer.headers["location"].endswith(f"/v2/images/{image['id']}")
    assert answer.headers["openstack-image-store-ids"] == "local"


def test_an_image_looks_as_clients_know_it(project: Client) -> None:
    image = project.create(name="n", os_distro="debian")
    assert list(image) == ["os_distro", *SHOWN_ORDER]
    assert image["self"] == f"/v2/images/{image['id']}"
    assert image["file"] == f"/v2/images/{image['id']}/file"
    assert image["schema"] == "/v2/schemas/image"
    for name in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", image[name])


def test_everything_that_a_caller_may_set(project: Client) -> None:
    given = {
        "id": str(uuid.uuid4()),
        "name": "n",
        "visibility": "private",
        "disk_format": "qcow2",
        "container_format": "bare",
        "min_disk": 5,
        "min_ram": 6,
        "protected": True,
        "os_hidden": True,
        "tags": ["b", "a", "b"],
        "free": "text",
        "description": "d",
        "kernel_id": str(uuid.uuid4()),
    }
    answer = project.post("/v2/images", given)
    assert answer.status == 201
    shown = project.show(given["id"])  # type: ignore[arg-type]
    assert {name: shown[name] for name in given} == {**given, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    "given",
    [
        {"name": 5},
        {"name": "x" * 256},
        {"id": "not-a-uuid"},
        {"visibility": "secret"},
        {"disk_format": "floppy"},
        {"container_format": 1},
        {"min_disk": -1},
        {"min_disk": 1 << 31},
        {"min_ram": 1.5},
        {"min_ram": 1.0},
        {"min_ram": True},
        {"min_ram": "1"},
        {"protected": "true"},
        {"os_hidden": 1},
        {"tags": "a"},
        {"tags": [1]},
        {"tags": [""]},
        {"tags": ["x" * 256]},
        {"free": 5},
        {"free": None},
        {"free": ["x"]},
        {"": "x"},
        {"x" * 256: "x"},
        {"kernel_id": "not-a-uuid"},
        {"cinder_encryption_key_deletion_policy": "perhaps"},
    ],
)
def test_unfit_attributes_are_400(project: Client, given: dict[str, Any]) -> None:
    assert project.post("/v2/images", given).status == 400


@pytest.mark.parametrize(
    "name",
    [
        "checksum", "size", "virtual_size", "status", "created_at", "updated_at", "direct_url",
        "self", "file", "schema", "stores", "locations", "location", "deleted", "deleted_at",
        "os_hash_algo", "os_hash_value", "os_glance_import_task", "os_glance_x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["x", 5, None])
def test_what_is_not_the_callers_to_set_is_403(project: Client, name: str, value: Any) -> None:
    assert project.post("/v2/images", {name: value}).status == 403
    image = project.create()
    for op in ("add", "replace", "remove"):
        operation = {"op": op, "path": f"/{name}", "value": value}
        assert project.patch(image["id"], [operation]).status == 403


def test_formats_may_be_null(project: Client) -> None:
    image = project.create(disk_format=None, container_format=None)
    assert image["disk_format"] is image["container_format"] is None


def test_a_kernel_that_is_null_is_none(project: Client) -> None:
    assert "kernel_id" not in project.create(kernel_id=None)


def test_an_id_is_never_used_twice(project: Client) -> None:
    image = project.create()
    assert project.post("/v2/images", {"id": image["id"]}).status == 409
    assert project.delete(f"/v2/images/{image['id']}").status == 204
    assert project.post("/v2/images", {"id": image["id"]}).status == 409


def test_only_an_administrator_makes_images_for_others(project: Client, admin: Client) -> None:
    assert project.post("/v2/images", {"owner": "other"}).status == 403
    assert admin.create(owner="other")["owner"] == "other"


def test_only_an_administrator_makes_images_public(project: Client, admin: Client) -> None:
    assert project.post("/v2/images", {"visibility": "public"}).status == 403
    assert admin.create(visibility="public")["visibility"] == "public"


def test_a_reader_creates_nothing(service: Client) -> None:
    reader = service.as_project("p", roles="reader")
    assert reader.post("/v2/images", {}).status == 403


def test_quotas_are_413(project: Client) -> None:
    assert project.post("/v2/images", {f"p{n}": "x" for n in range(129)}).status == 413
    assert project.post("/v2/images", {"tags": [str(n) for n in range(129)]}).status == 413
    assert project.post("/v2/images", {f"p{n}": "x" for n in range(128)}).status == 201


# -- show


def test_what_is_not_there_is_404(project: Client) -> None:
    assert project.get(f"/v2/images/{uuid.uuid4()}").status == 404
    assert project.get("/v2/images/no-uuid").status == 404


def test_what_is_not_for_me_is_404(project: Client, service: Client) -> None:
    image = project.create()
    other = service.as_project("someone-else")
    assert other.get(f"/v2/images/{image['id']}").status == 404
    assert other.delete(f"/v2/images/{image['id']}").status == 404
    assert other.patch(image["id"], []).status == 404


def test_community_images_are_found_by_id(project: Client, service: Client) -> None:
    image = project.create(visibility="community")
    other = service.as_project("someone-else")
    assert other.show(image["id"])["visibility"] == "community"
    assert other.delete(f"/v2/images/{image['id']}").status == 403


def test_where_the_bytes_are_is_shown_to_whom_it_may(build: Callable[..., Client]) -> None:
    client = build(show_image_direct_url=True, show_multiple_locations=True).as_project("p")
    queued = client.create()
    assert queued["locations"] == []
    assert "direct_url" not in queued
    image = client.create_active()
    (location,) = image["locations"]
    assert set(location) == {"url", "metadata"}
    assert location["metadata"]["store"] == "local"
    assert image["direct_url"] == location["url"]
    assert image["direct_url"].startswith("file://")


def test_where_the_bytes_are_is_not_shown_unasked(project: Client) -> None:
    image = project.create_active()
    assert "locations" not in image
    assert "direct_url" not in image
    assert image["stores"] == "local"


# -- patch


def patched(client: Client, image_id: str, *operations: dict[str, Any]) -> dict[str, Any]:
    answer = client.patch(image_id, list(operations))
    assert answer.status == 200, answer.text
    assert answer.json == client.show(image_id)
    return dict(answer.json)


def test_attributes_and_properties_change_together(project: Client) -> None:
    image = project.create(name="old", keep="1", drop="2", tags=["a"])
    after = patched(
        project,
        image["id"],
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/tags", "value": ["b", "c"]},
        {"op": "replace", "path": "/protected", "value": True},
        {"op": "add", "path": "/keep", "value": "3"},
        {"op": "remove", "path": "/drop"},
        {"op": "add", "path": "/a~1b~0c", "value": "4"},
    )
    assert (after["name"], after["tags"], after["protected"]) == ("new", ["b", "c"], True)
    assert (after["keep"], after["a/b~c"]) == ("3", "4")
    assert "drop" not in after


def test_an_empty_patch_changes_nothing(project: Client) -> None:
    image = project.create()
    assert patched(project, image["id"]) == image


def test_all_or_nothing(project: Client) -> None:
    image = project.create(name="old")
    answer = project.patch(
        image["id"],
        [
            {"op": "replace", "path": "/name", "value": "new"},
            {"op": "remove", "path": "/not-there"},
        ],
    )
    assert answer.status == 409
    assert project.show(image["id"]) == image


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "replace", "path": "/nope", "value": "x"}, 409),
        ({"op": "remove", "path": "/nope"}, 409),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "remove", "path": "/disk_format"}, 403),
        ({"op": "replace", "path": "/id", "value": str(uuid.uuid4())}, 403),
        ({"op": "replace", "path": "/owner", "value": "other"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "secret"}, 400),
        ({"op": "replace", "path": "/name", "value": 5}, 400),
        ({"op": "add", "path": "/free", "value": 5}, 400),
        ({"op": "add", "path": "/min_ram", "value": -1}, 400),
        ({"op": "add", "path": "/tags/-", "value": "x"}, 400),
        ({"op": "add", "path": "/locations/-", "value": {"url": "x", "metadata": {}}}, 403),
        ({"op": "replace", "path": "/locations", "value": []}, 403),
        ({"op": "remove", "path": "/locations/0"}, 403),
        ({"op": "test", "path": "/name", "value": "x"}, 400),
    ],
)
def test_changes_that_are_refused(project: Client, operation: dict[str, Any], status: int) -> None:
    image = project.create(name="x")
    assert project.patch(image["id"], [operation]).status == status
    assert project.show(image["id"]) == image


def test_the_older_format(project: Client) -> None:
    image = project.create(free="x")
    answer = project.patch(image["id"], [{"add": "/more", "value": "y"}], media_type=PATCH_V20)
    assert answer.json["more"] == "y"
    answer = project.patch(image["id"], [{"add": "/free", "value": "y"}], media_type=PATCH_V20)
    assert answer.status == 409


@pytest.mark.parametrize("media_type", ["application/json-patch+json", "application/json"])
def test_other_patch_formats_are_415(project: Client, media_type: str) -> None:
    image = project.create()
    answer = project.patch(image["id"], [], media_type=media_type)
    assert answer.status == 415
    assert "openstack-images-v2.1-json-patch" in answer.headers["accept-patch"]


def test_formats_are_fixed_once_there_is_data(project: Client) -> None:
    image = project.create()
    change = {"op": "replace", "path": "/disk_format", "value": "iso"}
    back = {"op": "replace", "path": "/disk_format", "value": "raw"}
    patched(project, image["id"], change, back)
    assert project.upload(image["id"], b"x").status == 204
    assert project.patch(image["id"], [change]).status == 403


def test_a_kernel_can_be_unset_with_null(project: Client) -> None:
    image = project.create(kernel_id=str(uuid.uuid4()))
    change = {"op": "replace", "path": "/kernel_id", "value": None}
    assert "kernel_id" not in patched(project, image["id"], change)
    add = {"op": "add", "path": "/ramdisk_id", "value": None}
    assert "ramdisk_id" not in patched(project, image["id"], add)


@pytest.mark.parametrize(
    ("filter", "is_there"),
    [
        ("={at}", True),
        ("=eq:{at}", True),
        ("=gte:{at}", True),
        ("=lte:{at}", True),
        ("=gt:{at}", False),
        ("=lt:{at}", False),
        ("=neq:2024-05-01T12:00:00Z", True),
    ],
)
def test_a_time_as_shown_finds_the_image(project: Client, filter: str, is_there: bool) -> None:
    image = project.create(name=uuid.uuid4().hex)
    query = f"name={image['name']}&updated_at{filter.format(at=image['updated_at'])}"
    assert project.names(query) == ([image["name"]] if is_there else [])


# -- delete


def test_delete(project: Client) -> None:
    image = project.create_active(name=uuid.uuid4().hex)
    assert project.names(f"name={image['name']}") == [image["name"]]
    assert project.delete(f"/v2/images/{image['id']}").status == 204
    for answer in (
        project.get(f"/v2/images/{image['id']}"),
        project.download(image["id"]),
        project.delete(f"/v2/images/{image['id']}"),
        project.patch(image["id"], []),
        project.upload(image["id"], b"x"),
    ):
        assert answer.status == 404
    assert project.names(f"name={image['name']}") == []


def test_a_protected_image_stays(project: Client) -> None:
    image = project.create(protected=True)
    assert project.delete(f"/v2/images/{image['id']}").status == 403
    assert project.show(image["id"]) == image


# -- tags


def test_tags_one_at_a_time(project: Client) -> None:
    image = project.create()
    target = f"/v2/images/{image['id']}/tags/"
    for _ in range(2):
        assert project.request("PUT", target + "a%2Fb").status in (204, 404)
        assert project.request("PUT", target + "x%20y").status == 204
    assert "x y" in project.show(image["id"])["tags"]
    assert project.delete(target + "x%20y").status == 204
    assert project.delete(target + "x%20y").status == 404
    assert project.request("PUT", target + "x" * 256).status == 400


def test_tags_have_a_quota(project: Client) -> None:
    image = project.create(tags=[str(n) for n in range(128)])
    target = f"/v2/images/{image['id']}/tags/"
    assert project.request("PUT", target + "0").status == 204
    assert project.request("PUT", target + "more").status == 413
