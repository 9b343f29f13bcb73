# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions over HTTP."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from glancekit.testing.client import Answer, Client

ROOT = "/v2/metadefs/namespaces"
IMAGE = "OS::Glance::Image"
CORES = {"title": "Cores", "type": "integer", "minimum": 1}


@pytest.fixture
def name() -> str:
    """The name of a namespace that is not there yet."""
    return f"OS::Test::{uuid.uuid4().hex}"


@pytest.fixture
def keeper(admin: Client) -> Iterator[Client]:
    """An administrator whose namespaces go again at the end."""
    project_id = _project_of(admin)
    yield admin
    found = admin.get(f"{ROOT}?limit=1000").json["namespaces"]
    for namespace in found:
        if namespace["owner"] == project_id:
            path = f"{ROOT}/{namespace['namespace']}"
            put(admin, path, {"namespace": namespace["namespace"]})
            admin.delete(path)


def _project_of(client: Client) -> str:
    image = client.create()
    client.delete(f"/v2/images/{image['id']}")
    return str(image["owner"])


def put(client: Client, path: str, content: Any) -> Answer:
    headers = {"Content-Type": "application/json"}
    return client.request("PUT", path, headers=headers, body=json.dumps(content).encode())


def make(client: Client, name: str, **fields: Any) -> dict[str, Any]:
    answer = client.post(ROOT, {"namespace": name, "visibility": "public", **fields})
    assert answer.status == 201, answer.text
    return dict(answer.json)


def full(**fields: Any) -> dict[str, Any]:
    """Return what a namespace may have, all of it."""
    return {
        "display_name": "Shown",
        "description": "d",
        "resource_type_associations": [
            {"name": IMAGE, "prefix": "hw_"},
            {"name": "OS::Cinder::Volume", "prefix": "hw_", "properties_target": "image"},
        ],
        "properties": {"cores": CORES},
        "objects": [{"name": "o", "required": ["k"], "properties": {"k": {**CORES}}}],
        "tags": [{"name": "t"}],
        **fields,
    }


# -- namespaces


def test_a_namespace_comes_back_with_all_in_it(keeper: Client, name: str) -> None:
    answer = keeper.post(ROOT, {"namespace": name, **full()})
    assert answer.status == 201
    assert answer.headers["location"].endswith(f"{ROOT}/{name}")
    shown = keeper.get(f"{ROOT}/{name}").json
    assert shown == answer.json
    assert shown["self"] == f"{ROOT}/{name}"
    assert shown["schema"] == "/v2/schemas/metadefs/namespace"
    assert (shown["visibility"], shown["protected"]) == ("private", False)
    assert shown["properties"] == {"cores": CORES}
    assert [one["prefix"] for one in shown["resource_type_associations"]] == ["hw_", "hw_"]
    assert shown["objects"][0]["self"] == f"{ROOT}/{name}/objects/o"
    assert shown["objects"][0]["schema"] == "/v2/schemas/metadefs/object"
    assert shown["tags"] == [{"name": "t"}]
    assert shown["created_at"].endswith("Z")


def test_what_it_has_not_is_not_said(keeper: Client, name: str) -> None:
    make(keeper, name)
    shown = keeper.get(f"{ROOT}/{name}").json
    assert set(shown) == {
        *("namespace", "visibility", "protected", "owner", "created_at", "updated_at"),
        *("self", "schema"),
    }


def test_properties_are_named_as_on_a_type_of_things(keeper: Client, name: str) -> None:
    make(keeper, name, **full())
    shown = keeper.get(f"{ROOT}/{name}?resource_type={IMAGE}").json
    assert list(shown["properties"]) == ["hw_cores"]
    assert list(shown["objects"][0]["properties"]) == ["hw_k"]
    assert shown["objects"][0]["required"] == ["hw_k"]
    other = keeper.get(f"{ROOT}/{name}?resource_type=OS::Other").json
    assert list(other["properties"]) == ["cores"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"tags": [{"name": "t"}, {"name": "t"}]}, 409),
        ({"resource_type_associations": [{"name": IMAGE}, {"name": IMAGE}]}, 409),
        ({"properties": {"p": {"type": "integer"}}}, 400),
        ({"properties": {"p": {"title": "P", "type": "whole"}}}, 400),
        ({"properties": {"p": {"title": "P", "type": "string", "pattern": "("}}}, 400),
        ({"properties": {"p" * 81: CORES}}, 400),
        ({"objects": [{"name": "o", "properties": {"a/b": CORES}}]}, 400),
        ({"objects": [{"name": "o" * 81}]}, 400),
        ({"tags": [{"name": ""}]}, 400),
        ({"description": "d" * 501}, 400),
        ({"display_name": "d" * 81}, 400),
        ({"visibility": "shared"}, 400),
        ({"protected": "yes"}, 400),
        ({"bogus": 1}, 400),
        ({"created_at": "2024-01-01T00:00:00Z"}, 403),
        ({"self": "/"}, 403),
    ],
)
def test_nothing_is_kept_of_what_is_wrong(
    keeper: Client, name: str, fields: dict[str, Any], status: int
) -> None:
    assert keeper.post(ROOT, {"namespace": name, **fields}).status == status
    assert keeper.get(f"{ROOT}/{name}").status == 404


@pytest.mark.parametrize("bad", ["", "n" * 81, "a/b", None, 7])
def test_names_have_one_to_eighty_characters_and_no_slash(keeper: Client, bad: Any) -> None:
    assert keeper.post(ROOT, {"namespace": bad}).status == 400


def test_an_error_names_the_place(keeper: Client, name: str) -> None:
    fields = {"objects": [{"name": "o", "properties": {"k": {"title": "K", "type": "x"}}}]}
    text = keeper.post(ROOT, {"namespace": name, **fields}).text
    assert "objects.0.properties.k.type" in text


def test_a_name_is_given_out_once(keeper: Client, name: str) -> None:
    make(keeper, name)
    assert keeper.post(ROOT, {"namespace": name}).status == 409
    make(keeper, name + "x")
    assert put(keeper, f"{ROOT}/{name}x", {"namespace": name}).status == 409


def test_put_replaces_all_attributes(keeper: Client, name: str) -> None:
    made = make(keeper, name, **full(protected=True, owner="somebody"))
    answer = put(keeper, f"{ROOT}/{name}", {"namespace": f"{name}2"})
    assert answer.status == 200
    changed = answer.json
    assert (changed["visibility"], changed["protected"]) == ("private", False)
    assert changed["owner"] != "somebody"
    assert changed["created_at"] == made["created_at"]
    assert {"display_name", "description"}.isdisjoint(changed)
    assert keeper.get(f"{ROOT}/{name}").status == 404
    shown = keeper.get(f"{ROOT}/{name}2").json
    assert shown["properties"] == {"cores": CORES}
    assert put(keeper, f"{ROOT}/{name}", {"namespace": name}).status == 404


def test_delete(keeper: Client, name: str) -> None:
    make(keeper, name, **full())
    assert keeper.delete(f"{ROOT}/{name}").status == 204
    assert keeper.get(f"{ROOT}/{name}").status == 404
    assert keeper.delete(f"{ROOT}/{name}").status == 404
    make(keeper, name)
    assert "properties" not in keeper.get(f"{ROOT}/{name}").json


def test_what_is_protected_stays(keeper: Client, name: str) -> None:
    make(keeper, name, **full(protected=True))
    for path in (
        *("", "/properties", "/properties/cores", "/objects", "/objects/o", "/tags", "/tags/t"),
        f"/resource_types/{IMAGE}",
    ):
        answer = keeper.delete(f"{ROOT}/{name}{path}")
        assert answer.status == 403, path
        assert "protected" in answer.text
    put(keeper, f"{ROOT}/{name}", {"namespace": name})
    assert keeper.delete(f"{ROOT}/{name}/tags").status == 204


# -- lists


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [found["namespace"] for found in answer.json["namespaces"]]


def test_lists_are_paged_by_name(keeper: Client, name: str) -> None:
    made = [f"{name}{number}" for number in range(5)]
    for one in made:
        make(keeper, one, resource_type_associations=[{"name": name}])
    query = f"resource_types={name},other&limit=2&sort_key=namespace&sort_dir=asc"
    found: list[str] = []
    target = f"{ROOT}?{query}"
    pages = 0
    while target:
        answer = keeper.get(target)
        found += names(answer)
        assert answer.json["first"].startswith(f"{ROOT}?")
        assert answer.json["schema"] == "/v2/schemas/metadefs/namespaces"
        target = answer.json.get("next", "")
        pages += 1
    assert (found, pages) == (made, 3)
    first = keeper.get(f"{ROOT}?resource_types={name}").json["namespaces"][0]
    assert first["resource_type_associations"][0]["name"] == name
    assert first["namespace"] == made[-1]


def test_lists_can_be_of_one_visibility(keeper: Client, name: str) -> None:
    associations = [{"name": name}]
    make(keeper, f"{name}a", resource_type_associations=associations)
    make(keeper, f"{name}b", resource_type_associations=associations, visibility="private")
    for visibility, expected in (("public", "a"), ("private", "b")):
        query = f"resource_types={name}&visibility={visibility}"
        assert names(keeper.get(f"{ROOT}?{query}")) == [name + expected]


@pytest.mark.parametrize(
    "query",
    ["limit=zz", "limit=-1", "visibility=shared", "sort_key=owner", "sort_dir=up"],
)
def test_a_query_that_makes_no_sense_is_refused(project: Client, query: str) -> None:
    assert project.get(f"{ROOT}?{query}").status == 400


def test_an_unknown_marker_is_not_found(project: Client) -> None:
    assert project.get(f"{ROOT}?marker=nothing").status == 404


# -- who may


def test_who_sees_what(keeper: Client, project: Client, service: Client, name: str) -> None:
    make(keeper, f"{name}public", **full())
    make(keeper, f"{name}private", visibility="private", **full())
    owner = make(keeper, f"{name}theirs", visibility="private", owner="theirs")["owner"]
    theirs = service.as_project(owner, roles="reader")
    seen = {
        client: {suffix for suffix in ("public", "private", "theirs")
                 if client.get(f"{ROOT}/{name}{suffix}").status == 200}
        for client in (keeper, project, theirs)
    }  # fmt: skip
    assert seen == {
        keeper: {"public", "private", "theirs"},
        project: {"public"},
        theirs: {"public", "theirs"},
    }
    listed = names(project.get(f"{ROOT}?limit=1000"))
    assert f"{name}public" in listed
    assert f"{name}private" not in listed
    for path in ("properties", "objects", "tags", "resource_types", "properties/cores"):
        assert project.get(f"{ROOT}/{name}public/{path}").status == 200
        assert project.get(f"{ROOT}/{name}private/{path}").status == 404


def test_only_administrators_write(keeper: Client, project: Client, name: str) -> None:
    make(keeper, name, **full())
    path = f"{ROOT}/{name}"
    writes = [
        project.post(ROOT, {"namespace": f"{name}x"}),
        put(project, path, {"namespace": name}),
        project.post(f"{path}/properties", {"name": "p", **CORES}),
        put(project, f"{path}/properties/cores", {"name": "p", **CORES}),
        project.post(f"{path}/objects", {"name": "p"}),
        put(project, f"{path}/objects/o", {"name": "p"}),
        project.post(f"{path}/tags", {"tags": []}),
        project.request("POST", f"{path}/tags/x"),
        put(project, f"{path}/tags/t", {"name": "p"}),
        project.post(f"{path}/resource_types", {"name": "x"}),
        *(
            project.delete(path + inner)
            for inner in (
                *("", "/properties", "/properties/cores", "/objects", "/objects/o"),
                *("/tags", "/tags/t", f"/resource_types/{IMAGE}"),
            )
        ),
    ]
    assert {answer.status for answer in writes} == {403}
    hidden = f"{ROOT}/{name}hidden"
    make(keeper, f"{name}hidden", visibility="private")
    assert project.post(f"{hidden}/tags", {"tags": []}).status == 404
    assert project.delete(hidden).status == 404


# -- properties, objects, tags


def test_properties(keeper: Client, name: str) -> None:
    make(keeper, name, resource_type_associations=[{"name": IMAGE, "prefix": "hw_"}])
    path = f"{ROOT}/{name}/properties"
    made = keeper.post(path, {"name": "p", **CORES})
    assert (made.status, made.json) == (201, {"name": "p", **CORES})
    assert keeper.post(path, {"name": "p", **CORES}).status == 409
    assert keeper.post(path, {"name": "q", "type": "integer"}).status == 400
    assert keeper.get(path).json == {"properties": {"p": {"name": "p", **CORES}}}
    assert keeper.get(f"{path}/p").json == {"name": "p", **CORES}
    assert keeper.get(f"{path}/hw_p?resource_type={IMAGE}").json["name"] == "hw_p"
    assert keeper.get(f"{path}/p?resource_type={IMAGE}").status == 404
    assert keeper.get(f"{path}/hw_p?resource_type=OS::Other").status == 404
    new = {"name": "q", "title": "Q", "type": "string", "enum": ["a"], "vendor": {"own": 1}}
    assert put(keeper, f"{path}/p", new).json == new
    assert keeper.get(f"{path}/p").status == 404
    assert put(keeper, f"{path}/p", new).status == 404
    assert keeper.delete(f"{path}/q").status == 204
    assert keeper.delete(f"{path}/q").status == 404
    keeper.post(path, {"name": "p", **CORES})
    assert keeper.delete(path).status == 204
    assert keeper.get(path).json == {"properties": {}}


def test_objects(keeper: Client, name: str) -> None:
    make(keeper, name)
    path = f"{ROOT}/{name}/objects"
    content = {"name": "an object", "description": "d", "properties": {"k": CORES}}
    made = keeper.post(path, content)
    assert made.status == 201
    assert made.json.items() >= content.items()
    assert made.json["self"] == f"{path}/an%20object"
    assert keeper.post(path, content).status == 409
    assert keeper.post(path, {"name": "x", "bogus": 1}).status == 400
    listed = keeper.get(path).json
    assert listed == {"objects": [made.json], "schema": "v2/schemas/metadefs/objects"}
    assert keeper.get(f"{path}/an%20object").json == made.json
    changed = put(keeper, f"{path}/an%20object", {"name": "o", "required": []}).json
    assert (changed["name"], changed["required"], changed["properties"]) == ("o", [], {})
    assert changed["created_at"] == made.json["created_at"]
    assert keeper.delete(f"{path}/o").status == 204
    assert keeper.get(f"{path}/o").status == 404
    keeper.post(path, content)
    assert keeper.delete(path).status == 204
    assert keeper.get(path).json["objects"] == []


def tags(answer: Answer) -> list[str]:
    assert answer.status in (200, 201), answer.text
    return sorted(found["name"] for found in answer.json["tags"])


def test_tags(keeper: Client, name: str) -> None:
    make(keeper, name)
    path = f"{ROOT}/{name}/tags"

    def post(given: list[str], **headers: str) -> Answer:
        body = json.dumps({"tags": [{"name": one} for one in given]}).encode()
        return keeper.request("POST", path, headers=headers, body=body)

    append = {"X-Openstack-Append": "True"}
    assert tags(post(["a", "b"])) == ["a", "b"]
    assert tags(post(["c"], **append)) == ["c"]
    assert tags(keeper.get(path)) == ["a", "b", "c"]
    assert post(["d", "a"], **append).status == 409
    assert tags(post(["d"], **{"X-Openstack-Append": "false"})) == ["d"]
    assert post(["e", "e"]).status == 409
    assert tags(keeper.get(path)) == ["d"]
    one = keeper.request("POST", f"{path}/f")
    assert (one.status, set(one.json)) == (201, {"name", "created_at", "updated_at"})
    assert keeper.request("POST", f"{path}/f").status == 409
    assert keeper.request("POST", f"{path}/{'f' * 81}").status == 400
    assert put(keeper, f"{path}/f", {"name": "g"}).json["name"] == "g"
    assert put(keeper, f"{path}/g", {"name": "d"}).status == 409
    assert keeper.get(f"{path}/f").status == 404
    assert keeper.get(f"{path}/g").json["name"] == "g"
    assert keeper.delete(f"{path}/g").status == 204
    assert tags(keeper.get(path)) == ["d"]
    assert keeper.delete(path).status == 204
    assert tags(keeper.get(path)) == []


def test_objects_and_tags_can_be_cut_to_pages(keeper: Client, name: str) -> None:
    make(keeper, name, tags=[{"name": one} for one in "abc"])
    path = f"{ROOT}/{name}/tags?sort_key=name&sort_dir=asc"
    assert tags(keeper.get(f"{path}&limit=2")) == ["a", "b"]
    assert tags(keeper.get(f"{path}&limit=2&marker=b")) == ["c"]
    assert keeper.get(f"{path}&marker=z").status == 404
    assert keeper.get(f"{path}&limit=zz").status == 400
    assert keeper.get(f"{ROOT}/{name}/objects?limit=zz").status == 400


# -- resource types


def test_resource_types(keeper: Client, project: Client, name: str) -> None:
    make(keeper, name)
    path, kind = f"{ROOT}/{name}/resource_types", f"{name}::Type"
    given = {"name": kind, "prefix": "x_", "properties_target": "image"}
    made = keeper.post(path, given)
    assert made.status == 201
    assert made.json.items() >= given.items()
    assert keeper.post(path, given).status == 409
    assert keeper.post(path, {"name": "x", "protected": True}).status == 400
    assert project.get(path).json == {"resource_type_associations": [made.json]}
    known = project.get("/v2/metadefs/resource_types").json["resource_types"]
    assert [set(one) for one in known if one["name"] == kind] == [
        {"name", "created_at", "updated_at"}
    ]
    assert keeper.delete(f"{path}/{kind}").status == 204
    assert keeper.delete(f"{path}/{kind}").status == 404
    assert project.get(path).json == {"resource_type_associations": []}
    still = project.get("/v2/metadefs/resource_types").json["resource_types"]
    assert kind in [one["name"] for one in still]


# -- schemas, and the frame


SCHEMAS = {
    "namespace": "namespace",
    "namespaces": "namespaces",
    "resource_type": "resource_type_association",
    "resource_types": "resource_type_associations",
    "property": "property",
    "properties": "properties",
    "object": "object",
    "objects": "objects",
    "tag": "tag",
    "tags": "tags",
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_schema_names_itself(project: Client, schema: str) -> None:
    answer = project.get(f"/v2/schemas/metadefs/{schema}")
    assert (answer.status, answer.json["name"]) == (200, SCHEMAS[schema])


def test_there_are_no_other_schemas(project: Client) -> None:
    assert project.get("/v2/schemas/metadefs/image").status == 404


def test_what_is_shown_is_as_its_schema_says(keeper: Client, name: str) -> None:
    make(keeper, name, **full())
    path = f"{ROOT}/{name}"
    for target, schema in (
        (path, "namespace"),
        (f"{path}/objects/o", "object"),
        (f"{path}/properties/cores", "property"),
        (f"{path}/tags/t", "tag"),
    ):
        known = keeper.get(f"/v2/schemas/metadefs/{schema}").json["properties"]
        assert set(keeper.get(target).json) <= set(known)


def test_bodies_and_methods(keeper: Client, name: str) -> None:
    make(keeper, name)
    assert keeper.request("POST", f"{ROOT}/{name}/tags/t", body=b"{}").status == 400
    assert keeper.request("PATCH", f"{ROOT}/{name}").status == 405
    assert keeper.post(ROOT, [1]).status == 400
    assert keeper.post(f"{ROOT}/{name}/tags", {"tags": "a"}).status == 400
    deep = "[" * 200 + "]" * 200
    body = f'{{"name": "p", "title": "P", "type": "array", "default": {deep}}}'.encode()
    answer = keeper.request("POST", f"{ROOT}/{name}/properties", body=body)
    assert answer.status == 400


def test_names_with_odd_characters_are_reached(keeper: Client, name: str) -> None:
    odd = f"{name} ä%&?#"
    made = make(keeper, odd)
    assert keeper.get(made["self"]).json["namespace"] == odd
    assert keeper.delete(made["self"]).status == 204
