# SPDX-License-Identifier: Apache-2.0
"""The API's description of itself: whole, valid, true, and readable without a network."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import openapi_spec_validator
import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from glancekit.api.app import create_app
from glancekit.api.openapi.document import ALL, make_document, routes
from glancekit.api.v2.router import TAKES_BODY
from glancekit.bootstrap import bootstrap, load_config
from glancekit.services.world import Settings
from glancekit.testing.client import Client

Build = Callable[..., Client]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = str(tmp_path_factory.mktemp("data"))
    with bootstrap(load_config([], {("DEFAULT", "data_dir"): folder})) as world:
        yield create_app(world)


@pytest.fixture(scope="module")
def document(service: Client) -> dict[str, Any]:
    answer = service.get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return dict(answer.json)


# -- the document


def test_every_route_is_described_and_nothing_else(app: Flask) -> None:
    assert {f"{method} {path}" for method, path in routes(app)} == ALL.keys()


def test_a_route_that_nobody_described_is_found() -> None:
    more = Flask("x", static_folder=None)
    more.add_url_rule("/v2/novelty", view_func=lambda: "", methods=["GET"])
    with pytest.raises(KeyError, match="GET /v2/novelty"):
        make_document(more, Settings())


@pytest.mark.parametrize("endpoint", sorted(ALL))
def test_what_is_said_to_take_a_body_takes_one(endpoint: str) -> None:
    assert bool(ALL[endpoint].takes) == (endpoint in TAKES_BODY)


def test_it_is_valid(document: dict[str, Any]) -> None:
    """By the specification's own schema, and by that of each schema in it."""
    openapi_spec_validator.validate(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> Any:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    found = set(references(document))
    assert found
    for reference in found:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
    ]
    assert len(names) == len(set(names)) == len(ALL)


def test_every_operation_of_the_api_asks_for_an_identity(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            is_api = path.startswith("/v2/")
            assert bool(operation.get("security")) == is_api
            assert ("401" in operation["responses"]) == is_api


def test_it_says_what_this_operator_allows(build: Build) -> None:
    client = build({("image_format", "disk_formats"): ["raw", "own"]}, image_size_cap=5)
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    assert schemas["new_image"]["properties"]["disk_format"]["enum"] == [None, "raw", "own"]


def test_what_clients_cannot_set_is_not_in_what_they_send(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"status", "size", "checksum", "locations"} <= schemas["image"]["properties"].keys()
    assert (
        not {"status", "size", "checksum", "locations"} & schemas["new_image"]["properties"].keys()
    )


# -- the page


class Links(HTMLParser):
    """Everything that a browser would follow or fetch, and what there is to follow to."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.followed: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "a":
            self.followed.append(named["href"])
        elif tag in ("script", "link", "img", "iframe", "object", "source"):
            self.fetched.append(tag)


def test_the_page_needs_nothing_but_itself(service: Client) -> None:
    answer = service.get("/docs")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    links = Links()
    links.feed(answer.text)
    assert links.fetched == []
    assert not re.search(r"url\(|@import", answer.text)
    assert len(links.ids) == len(set(links.ids))
    outside = {href for href in links.followed if not href.startswith("#")}
    assert outside == {"openapi.json"}
    assert {href[1:] for href in links.followed if href.startswith("#")} <= set(links.ids)


def test_the_page_has_every_operation_and_schema(
    service: Client, document: dict[str, Any]
) -> None:
    page = service.get("/docs").text
    for path, item in document["paths"].items():
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in page
        assert path in page
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page


def test_they_are_there_for_everybody(service: Client) -> None:
    for target in ("/openapi.json", "/docs"):
        assert service.get(target).status == 200
