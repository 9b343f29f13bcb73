# SPDX-License-Identifier: Apache-2.0
"""What two services may show differently, and what is told. Real ones are asked in tests/e2e."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from glancekit_glance_adoption.comparing import Comparison
from glancekit_glance_adoption.endpoint import Endpoint
from glancekit_glance_adoption.reading import NOT_ENDED
from glancekit_glance_adoption.verification import headers_of

from glancekit.plugin import GlancekitError

PLACE = {"url": "swift://u:secret@h/c/a", "metadata": {"store": "s", "m": 1}}

SERVICE: dict[str, Any] = {
    "images": [
        {
            "id": "a",
            "name": "n",
            "status": "active",
            "tags": ["x", "y"],
            "os_hidden": False,
            "locations": [PLACE],
            "stores": "s",
            "self": "/v2/images/a",
        },
        {"id": "b", "status": "queued", "tags": [], "os_hidden": True, "p": "1", "size": None},
    ],
    "members": {"a": [{"member_id": "m", "status": "accepted", "schema": "/v2/schemas/member"}]},
    "tasks": [{"id": "t", "type": "import", "status": "success", "message": "", "input": {}}],
    "namespaces": [
        {
            "namespace": "n",
            "description": "d",
            "created_at": "then",
            "properties": {"p": {"type": "integer", "default": "3"}},
            "objects": [{"name": "o", "properties": {"q": {"default": "3"}}, "required": []}],
            "tags": [{"name": "t"}],
            "resource_type_associations": [{"name": "r", "prefix": "x_"}],
        }
    ],
    "resource_types": [{"name": "r"}],
}


class Canned(Endpoint):
    """A service whose answers are known beforehand."""

    def __init__(self, name: str, content: dict[str, Any]) -> None:
        super().__init__(name, "http://127.0.0.1:1", {})
        self.content = content

    def ask(self, path: str) -> tuple[int, Any]:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        match unquote(parts.path).split("/")[2:]:
            case ["images"]:
                hidden = query["os_hidden"] == ["true"]
                return 200, {
                    "images": [one for one in self.content["images"] if one["os_hidden"] is hidden]
                }
            case ["images", image_id, "members"]:
                found = self.content["members"].get(image_id)
                return (404, None) if found is None else (200, {"members": found})
            case ["tasks"]:
                return 200, {"tasks": self.content["tasks"]}
            case ["tasks", task_id]:
                return 200, next(one for one in self.content["tasks"] if one["id"] == task_id)
            case ["metadefs", "namespaces"]:
                return 200, {"namespaces": self.content["namespaces"]}
            case ["metadefs", "namespaces", name]:
                found = (one for one in self.content["namespaces"] if one["namespace"] == name)
                return 200, next(found)
            case ["metadefs", "resource_types"]:
                return 200, {"resource_types": self.content["resource_types"]}
            case _:
                return 403, None


def compare(there: dict[str, Any], here: dict[str, Any]) -> list[dict[str, Any]]:
    comparison = Comparison(Canned("there", there), Canned("here", here))
    return [difference.row() for difference in comparison.run()]


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda s: s["images"].pop(0), ("image", "a", "all of it")),
        (lambda s: s["images"][0].update(name="m"), ("image", "a", "name")),
        (lambda s: s["images"][1].pop("p"), ("image", "b", "p")),
        (lambda s: s["images"][0].update(tags=["x"]), ("tag", "a", "tags")),
        (lambda s: s["images"][0].update(locations=[]), ("location", "a", "locations")),
        (
            lambda s: s["images"][0]["locations"][0]["metadata"].update(store="t"),
            ("location", "a", "locations"),
        ),
        (lambda s: s["members"]["a"][0].update(status="pending"), ("member", "a: m", "status")),
        (lambda s: s["members"]["a"].clear(), ("member", "a: m", "all of it")),
        (lambda s: s["members"].clear(), ("member", "a", "answer")),
        (lambda s: s["tasks"][0].update(input={"a": 1}), ("task", "t", "input")),
        (lambda s: s["tasks"].clear(), ("task", "t", "all of it")),
        (lambda s: s["namespaces"].clear(), ("namespace", "n", "all of it")),
        (lambda s: s["namespaces"][0].update(description=""), ("namespace", "n", "description")),
        (
            lambda s: s["namespaces"][0]["properties"]["p"].update(type="number"),
            ("properties", "n: p", "type"),
        ),
        (lambda s: s["namespaces"][0]["objects"].clear(), ("objects", "n: o", "all of it")),
        (lambda s: s["namespaces"][0]["tags"].clear(), ("tags", "n: t", "all of it")),
        (
            lambda s: s["namespaces"][0]["resource_type_associations"][0].update(prefix="y_"),
            ("resource_type_associations", "n: r", "prefix"),
        ),
        (lambda s: s["resource_types"].clear(), ("resource type", "r", "all of it")),
    ],
)
def test_each_difference_is_told_whichever_side_has_it(change: Change, what: Any) -> None:
    changed = copy.deepcopy(SERVICE)
    change(changed)
    for there, here in ((SERVICE, changed), (changed, SERVICE)):
        rows = compare(there, here)
        assert [(row["kind"], row["thing"], row["what"]) for row in rows] == [what]
        assert "secret" not in str(rows)


def test_what_was_found_out_since_is_no_difference_and_what_was_lost_is_one() -> None:
    knows_more = copy.deepcopy(SERVICE)
    knows_more["images"][0].update(virtual_size=5, updated_at="later")
    assert compare(SERVICE, knows_more) == []
    lost = {row["what"] for row in compare(knows_more, SERVICE)}
    assert lost == {"virtual_size", "updated_at"}


def test_what_is_the_same_is_no_difference() -> None:
    assert compare(SERVICE, copy.deepcopy(SERVICE)) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["images"][0].update(os_glance_import_task="t"),
        lambda s: s["images"][0].update(tags=["y", "x"]),
        lambda s: s["images"][1].update(status="saving", size=5),
        lambda s: s["images"][0]["locations"][0]["metadata"].pop("store"),
        lambda s: s["images"][0]["locations"].append({**PLACE, "url": "swift://second"}),
        lambda s: s["tasks"].append({"id": "u", "type": "clone", "status": "success"}),
        lambda s: s["tasks"].append(
            {
                "id": "u",
                "type": "import",
                "status": "failure",
                "expires_at": "2020-01-01T00:00:00Z",
            }
        ),
        lambda s: s["namespaces"][0]["properties"]["p"].update(default=3),
        lambda s: s["namespaces"][0]["objects"][0].pop("required"),
        lambda s: s["namespaces"][0].pop("created_at"),
    ],
)
def test_what_changes_on_purpose_is_no_difference(change: Change) -> None:
    there = copy.deepcopy(SERVICE)
    change(there)
    assert compare(there, SERVICE) == []


def test_a_task_that_had_not_ended() -> None:
    there, here = copy.deepcopy(SERVICE), copy.deepcopy(SERVICE)
    there["tasks"][0].update(status="processing")
    here["tasks"][0].update(status="failure", message=NOT_ENDED)
    assert compare(there, here) == []


def test_locations_that_are_not_shown_are_told_once() -> None:
    here = copy.deepcopy(SERVICE)
    here["images"] = [{**here["images"][0], "id": image_id} for image_id in ("a", "b")]
    there = copy.deepcopy(here)
    for image in here["images"]:
        del image["locations"]
    (row,) = compare(there, here)
    assert (row["kind"], row["thing"], row["here"]) == ("location", "all", 403)
    assert "role service" in row["what"]


def test_a_service_that_lists_in_no_order_is_refused() -> None:
    there = copy.deepcopy(SERVICE)
    there["images"] = [{**there["images"][0], "id": image_id} for image_id in "ba"]
    with pytest.raises(GlancekitError, match="order"):
        compare(there, SERVICE)


def test_a_service_that_does_not_answer() -> None:
    endpoint = Endpoint("the other service", "http://127.0.0.1:1/v2", {})
    with pytest.raises(GlancekitError, match="the other service does not answer"):
        endpoint.read("/v2/images")
    endpoint.close()


def test_what_tells_who_asks() -> None:
    assert headers_of(["X-Roles: admin"], "t") == {"X-Auth-Token": "t", "X-Roles": "admin"}
    with pytest.raises(GlancekitError):
        headers_of(["nothing"], None)
    with pytest.raises(GlancekitError):
        Endpoint("it", "host:9292", {})
