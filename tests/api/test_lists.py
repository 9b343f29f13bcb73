# SPDX-License-Identifier: Apache-2.0
"""Lists of images: what is in them, in which order, page by page."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import quote

import pytest

from glancekit.testing.client import Client


def test_an_empty_list(project: Client) -> None:
    answer = project.page("limit=5")
    assert answer.json == {
        "images": [],
        "first": "/v2/images?limit=5",
        "schema": "/v2/schemas/images",
    }


def test_an_image_in_a_list_looks_as_on_its_own(project: Client) -> None:
    image = project.create_active(tags=["b", "a"], os_distro="debian")
    assert project.page().json["images"] == [image]


@pytest.fixture(scope="module")
def seven(service: Client) -> Client:
    """A project with images a to g, some of their sizes null. Tests only look at them."""
    project = service.as_project(uuid.uuid4().hex)
    for number, name in enumerate("abcdefg"):
        image = project.create(name=name, tags=["odd" if number % 2 else "even", "all"])
        if number % 3:
            project.upload(image["id"], b"x" * number)
    return project


@pytest.mark.parametrize("key", ["name", "status", "container_format", "disk_format", "size",
                                 "id", "created_at", "updated_at"])  # fmt: skip
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_every_page_in_every_order(seven: Client, key: str, direction: str, limit: int) -> None:
    names = seven.names(f"sort={key}:{direction}&limit={limit}")
    assert sorted(map(str, names)) == list("abcdefg")
    assert names == seven.names(f"sort={key}:{direction}&limit=1000")
    assert names == seven.names(f"sort_key={key}&sort_dir={direction}&limit={limit}")


def test_orders(seven: Client) -> None:
    assert seven.names() == list("gfedcba")
    assert seven.names("sort=name:asc") == list("abcdefg")
    assert seven.names("sort=name") == list("gfedcba")
    assert seven.names("sort=status:asc,name:asc") == list("bcefadg")
    assert seven.names("sort_dir=asc") == list("abcdefg")


def test_links_keep_every_filter(seven: Client) -> None:
    answer = seven.page("tag=all&tag=even&sort=name:asc&limit=2&os_hidden=false")
    content = answer.json
    assert content["first"] == (
        "/v2/images?tag=all&tag=even&sort=name%3Aasc&limit=2&os_hidden=false"
    )
    assert [image["name"] for image in content["images"]] == ["a", "c"]
    last = content["images"][-1]["id"]
    assert content["next"] == f"{content['first']}&marker={last}"
    after = seven.get(content["next"]).json
    assert [image["name"] for image in after["images"]] == ["e", "g"]
    assert after["first"] == content["first"]


def test_links_survive_odd_characters(project: Client) -> None:
    odd = "ä & b=c + d/😀?#%"
    for _ in range(3):
        project.create(name=odd, remark=odd, tags=[odd])
    query = f"name={quote(odd)}&remark={quote(odd)}&tag={quote(odd)}&limit=1"
    assert project.names(query) == [odd] * 3


def test_no_next_where_nothing_comes(seven: Client) -> None:
    assert "next" not in seven.page("limit=8").json
    assert "next" not in seven.page("limit=0").json
    assert seven.page("limit=0").json["images"] == []


def test_a_marker_has_to_be_one(seven: Client, service: Client) -> None:
    mine = seven.page("limit=1").json["images"][0]["id"]
    assert seven.page(f"marker={mine}").status == 200
    assert seven.page(f"marker={uuid.uuid4()}").status == 400
    assert seven.page("marker=x").status == 400
    assert service.as_project("someone-else").page(f"marker={mine}").status == 400


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=c", "c"),
        ("name=eq:c", "c"),
        ("name=in:a,c,nope", "ac"),
        ("name=in:", ""),
        ("name=C", ""),
        ("status=queued", "adg"),
        ("status=in:queued,active", "abcdefg"),
        ("size_min=2", "cef"),
        ("size_max=2", "bc"),
        ("size_min=2&size_max=4", "ce"),
        ("size=4", "e"),
        ("size=gt:3", ""),
        ("min_ram_min=1", ""),
        ("tag=odd", "bdf"),
        ("tag=odd&tag=even", ""),
        ("tag=all&tag=even", "aceg"),
        ("tag=nope", ""),
        ("protected=true", ""),
        ("protected=false", "abcdefg"),
        ("visibility=shared", "abcdefg"),
        ("visibility=private", ""),
        ("visibility=all&tag=odd", "bdf"),
        ("disk_format=raw", "abcdefg"),
        ("disk_format=in:iso,qcow2", ""),
        ("owner=nope", ""),
        ("nope=x", ""),
        ("created_at=gt:2024-05-01T12:00:00Z", "abcdefg"),
        ("created_at=lt:2024-05-01T12:00:00Z", ""),
        ("os_hash_algo=sha512", "bcef"),
    ],
)
def test_filters(seven: Client, query: str, names: str) -> None:
    assert seven.names(query + "&sort=name:asc") == list(names)
    assert seven.names(query + "&sort=name:asc&limit=1") == list(names)


def test_a_property_as_filter(project: Client) -> None:
    project.create(name="a", os_distro="debian", role="a:b")
    project.create(name="b", os_distro="fedora")
    assert project.names("os_distro=debian") == ["a"]
    assert project.names("role=a:b") == ["a"]
    assert project.names("os_distro=debian&role=x") == []


def test_hidden_images_are_asked_for(project: Client) -> None:
    project.create(name="seen")
    project.create(name="hidden", os_hidden=True)
    assert project.names() == ["seen"]
    assert project.names("os_hidden=true") == ["hidden"]
    assert project.names("os_hidden=TRUE") == ["hidden"]


def test_community_images_are_asked_for(project: Client, service: Client, admin: Client) -> None:
    name = uuid.uuid4().hex
    project.create(name=name, visibility="community")
    other = service.as_project("someone-else")
    assert project.names(f"name={name}") == [name]
    for caller in (other, admin):
        assert caller.names(f"name={name}") == []
        assert caller.names(f"name={name}&visibility=community") == [name]
        assert caller.names(f"name={name}&visibility=all") == [name]


def test_who_sees_what(project: Client, service: Client, admin: Client) -> None:
    name = uuid.uuid4().hex
    for visibility in ("private", "shared", "community"):
        project.create(name=name, visibility=visibility)
    admin.create(name=name, visibility="public")

    def seen(caller: Client, query: str = "") -> list[str]:
        images = caller.page(f"name={name}{query}").json["images"]
        return sorted(image["visibility"] for image in images)

    assert seen(project) == ["community", "private", "public", "shared"]
    assert seen(service.as_project("someone-else")) == ["public"]
    assert seen(admin) == ["private", "public", "shared"]
    assert seen(admin, "&visibility=all") == ["community", "private", "public", "shared"]


@pytest.mark.parametrize(
    "query",
    [
        "name=foo:bar",
        'name=in:"a',
        "created_at=yesterday",
        "foo_min=1",
        "size_min=x",
        "protected=TRUE",
        "visibility=secret",
        "member_status=perhaps",
        "changes-since=2024-05-01T12:00:00Z",
        "limit=-1",
        "limit=x",
        "sort=foo",
        "sort=name&sort_key=name",
        "sort_key=name&sort_dir=up",
    ],
)
def test_nonsense_is_400(project: Client, query: str) -> None:
    assert project.page(query).status == 400


@pytest.mark.parametrize(
    "query",
    [
        "&".join(f"tag={n}" for n in range(100)),
        "&".join(f"p{n}=x" for n in range(100)),
        "name=in:" + ",".join(str(n) for n in range(1000)),
        "size_min=" + "9" * 18,
        "sort=" + ",".join(["name", "status", "container_format", "disk_format", "size",
                            "id", "created_at", "updated_at"]),
    ],
)  # fmt: skip
def test_long_queries_are_answered(project: Client, query: str) -> None:
    answer = project.page(query)
    assert (answer.status, answer.json["images"]) == (200, [])


def test_queries_have_an_end(project: Client) -> None:
    assert project.page("&".join(f"tag={n}" for n in range(101))).status == 400


def test_limits_of_the_operator(build: Callable[..., Client]) -> None:
    client = build(limit_param_default=2, api_limit_max=3).as_project("p")
    for _ in range(4):
        client.create()
    assert len(client.page().json["images"]) == 2
    assert len(client.page("limit=100").json["images"]) == 3
    assert len(client.names("limit=100")) == 4
