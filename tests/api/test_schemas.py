# SPDX-License-Identifier: Apache-2.0
"""Schemas that clients read, and what else they may ask about the service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from glancekit.core.errors import ConfigError
from glancekit.testing.client import Client


@pytest.mark.parametrize("name", ["image", "images", "member", "members", "task", "tasks"])
def test_each_schema_names_itself(project: Client, name: str) -> None:
    answer = project.get(f"/v2/schemas/{name}")
    assert answer.status == 200
    assert answer.json["name"] == name


def test_the_image_schema_is_what_clients_rely_on(project: Client) -> None:
    schema = project.get("/v2/schemas/image").json
    assert schema["additionalProperties"] == {"type": "string"}
    assert schema["properties"]["disk_format"]["enum"][0] is None
    assert "qcow2" in schema["properties"]["disk_format"]["enum"]
    assert schema["properties"]["kernel_id"]["is_base"] is False


def test_an_image_is_as_its_schema_says(project: Client) -> None:
    schema = project.get("/v2/schemas/image").json
    known = set(schema["properties"])
    assert set(project.create_active()) <= known


def test_formats_are_the_operators_choice(build: Callable[..., Client]) -> None:
    client = build({("image_format", "disk_formats"): ["raw", "floppy"]}).as_project("p")
    assert client.create(disk_format="floppy")["disk_format"] == "floppy"
    assert client.post("/v2/images", {"disk_format": "qcow2"}).status == 400
    schema = client.get("/v2/schemas/image").json
    assert schema["properties"]["disk_format"]["enum"] == [None, "raw", "floppy"]


def test_stores(project: Client) -> None:
    stores = project.get("/v2/info/stores").json["stores"]
    assert [store["id"] for store in stores if store.get("default") == "true"] == ["local"]


def test_import_methods(project: Client) -> None:
    methods = project.get("/v2/info/import").json["import-methods"]
    assert methods["type"] == "array"
    assert isinstance(methods["value"], list)


def test_how_stores_are_set_up(project: Client, admin: Client) -> None:
    assert project.get("/v2/info/stores/detail").status == 403
    (store,) = admin.get("/v2/info/stores/detail").json["stores"]
    assert (store["id"], store["default"], store["type"], store["weight"]) == (
        "local",
        "true",
        "file",
        0,
    )
    assert store["properties"].keys() == {"data_dir", "chunk_size", "thin_provisioning"}


PROPERTIES = {"rack": {"type": "string", "enum": ["a", "b"]}, "note": {"type": "string"}}


@pytest.mark.parametrize("content", [PROPERTIES, {"properties": PROPERTIES}])
def test_an_operator_s_properties(
    build: Callable[..., Client], tmp_path: Path, content: object
) -> None:
    file = tmp_path / "schema-image.json"
    file.write_text(json.dumps(content))
    client = build(schema_image_file=str(file)).as_project("p")
    known = client.get("/v2/schemas/image").json["properties"]
    assert known["rack"] == {**PROPERTIES["rack"], "is_base": False}
    assert "kernel_id" not in known
    assert client.post("/v2/images", {"rack": "c"}).status == 400
    client.create(rack="a", other="free")


def test_what_an_operator_requires(build: Callable[..., Client], tmp_path: Path) -> None:
    file = tmp_path / "schema-image.json"
    file.write_text(json.dumps({"properties": PROPERTIES, "required": ["rack"]}))
    client = build(schema_image_file=str(file)).as_project("p")
    assert client.get("/v2/schemas/image").json["required"] == ["rack"]
    assert client.post("/v2/images", {"name": "n"}).status == 400
    image = client.create(rack="a")

    def patch(op: str, path: str, value: object = None) -> int:
        return client.patch(image["id"], [{"op": op, "path": path, "value": value}]).status

    assert patch("replace", "/name", "m") == 200
    assert patch("add", "/note", "n") == 200
    assert patch("replace", "/rack", "b") == 200
    assert patch("replace", "/rack", "c") == 400
    assert patch("remove", "/rack") == 400
    assert client.show(image["id"])["rack"] == "b"


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        '{"rack": "a"}',
        '{"status": {"type": "string"}}',
        '{"rack": {"type": 7}}',
        '{"properties": {}, "required": ["rack"]}',
        '{"properties": {}, "required": [7]}',
        None,
    ],
)
def test_a_file_of_properties_that_cannot_be_used(
    build: Callable[..., Client], tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "schema-image.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="schema_image_file"):
        build(schema_image_file=str(file))
