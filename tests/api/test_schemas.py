# SPDX-License-Identifier: Apache-2.0
"""Schemas that clients read, and what else they may ask about the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from glancekit.testing.client import Client


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
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
