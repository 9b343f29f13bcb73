# SPDX-License-Identifier: Apache-2.0
"""What every request passes: identity, request ids, methods, unexpected and unreadable input."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from glancekit.testing.client import OCTETS, PATCH_V21, Client

ANY = "/v2/images/" + "1c0ffee1-0000-4000-8000-000000000000"
MANY = 1 << 20


# -- request ids


def test_every_answer_has_a_request_id(service: Client, project: Client) -> None:
    for answer in (service.get("/"), service.get("/v2/images"), project.get(ANY)):
        assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_the_callers_request_id_is_kept(project: Client) -> None:
    answer = project.get("/v2/images", x_openstack_request_id="req-of-nova.1")
    assert answer.headers["x-openstack-request-id"] == "req-of-nova.1"


def test_a_request_id_that_is_too_long_is_431(project: Client) -> None:
    answer = project.get("/v2/images", x_openstack_request_id="r" * 65)
    assert answer.status == 431
    assert answer.headers["x-openstack-request-id"].startswith("req-")


@pytest.mark.parametrize("text", ["a b", "a\tb", "<x>", "caf\xe9", "-x"])
def test_a_request_id_that_could_do_harm_is_refused(project: Client, text: str) -> None:
    assert project.get("/v2/images", x_openstack_request_id=text).status == 400


# -- identity


def test_without_identity_nothing_is_shown(service: Client) -> None:
    for target in ("/v2/images", ANY, "/v2/no/such/thing"):
        assert service.get(target).status == 401


def test_health_and_versions_need_no_identity(service: Client) -> None:
    assert service.get("/healthcheck").status == 200
    assert service.get("/versions").status == 200


# -- methods


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("HEAD", "/v2/images", "GET, POST"),
        ("PUT", "/v2/images", "GET, POST"),
        ("HEAD", ANY, "DELETE, GET, PATCH"),
        ("POST", ANY, "DELETE, GET, PATCH"),
        ("HEAD", ANY + "/file", "GET, PUT"),
        ("POST", ANY + "/file", "GET, PUT"),
        ("GET", ANY + "/tags/x", "DELETE, PUT"),
        ("POST", "/v2/schemas/image", "GET"),
    ],
)
def test_other_methods_are_told_which_there_are(
    project: Client, method: str, target: str, allowed: str
) -> None:
    answer = project.request(method, target)
    assert answer.status == 405
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "target",
    ["/v2/", "/v2/images/", "/v2/nope", ANY + "/nope", "/v2//images", "/v2/schemas/nope"],
)
def test_other_paths_are_not_there(project: Client, target: str) -> None:
    assert project.get(target).status == 404


# -- bodies


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v2/images"),
        ("GET", ANY),
        ("DELETE", ANY),
        ("GET", ANY + "/file"),
        ("PUT", ANY + "/tags/x"),
        ("DELETE", ANY + "/tags/x"),
        ("GET", "/v2/schemas/image"),
    ],
)
def test_a_body_where_none_belongs_is_refused(project: Client, method: str, target: str) -> None:
    for body in (b"{}", iter([b"{}"])):
        answer = project.request(method, target, body=body)
        assert answer.status == 400
        assert "A body is not expected with this request." in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b'{"name": NaN}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}',
        b'{"a\\u0000b": "x"}',
        b'{"tags": ["a\\u0000b"]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_object_is_400(project: Client, body: bytes) -> None:
    answer = project.request("POST", "/v2/images", body=body)
    assert answer.status == 400


def test_a_json_body_has_its_limit(project: Client) -> None:
    large = b'{"name": "' + b"x" * MANY + b'"}'
    assert project.request("POST", "/v2/images", body=large).status == 413
    assert project.request("POST", "/v2/images", body=iter([large])).status == 413


def test_json_may_come_in_chunks(project: Client) -> None:
    answer = project.request("POST", "/v2/images", body=iter([b'{"name":', b' "x"}']))
    assert answer.status == 201
    assert answer.json["name"] == "x"


def test_a_patch_has_to_be_a_patch(project: Client) -> None:
    headers = {"Content-Type": PATCH_V21}
    answer = project.request("PATCH", ANY, headers=headers, body=b"{}")
    assert answer.status == 400


# -- characters


@pytest.mark.parametrize("target", ["/v2/images/%FF", "/v2/images/a%00b", ANY + "/tags/%C3%28"])
def test_unreadable_paths_are_400(project: Client, target: str) -> None:
    assert project.request("DELETE", target).status == 400


@pytest.mark.parametrize("query", ["name=%FF", "name=a%00b", "%FF=x", "tag=%C3%28"])
def test_unreadable_queries_are_400(project: Client, query: str) -> None:
    assert project.page(query).status == 400


def test_every_character_is_welcome(project: Client) -> None:
    text = "Grüße 😀 <b> & \"'\\ ﷽"
    image = project.create(name=text, remark=text, tags=[text])
    shown = project.show(image["id"])
    assert (shown["name"], shown["remark"], shown["tags"]) == (text, text, [text])


# -- errors


def test_errors_are_of_the_kind_that_the_client_accepts(project: Client) -> None:
    as_json = project.get(ANY, accept="application/json")
    assert as_json.json["code"] == "404 Not Found"
    assert as_json.json["title"] == "Not Found"
    as_html = project.get(ANY, accept="*/*")
    assert as_html.headers["content-type"].startswith("text/html")
    as_text = project.get(ANY, accept=OCTETS)
    assert as_text.headers["content-type"].startswith("text/plain")
    for answer in (as_json, as_html, as_text):
        assert ANY.rpartition("/")[2] in answer.text


def test_the_limit_of_a_json_body_is_the_operators(build: Callable[..., Client]) -> None:
    project = build({("oslo_middleware", "max_request_body_size"): 1024}).as_project("p")
    for body, status in ((b'{"name": "x"}', 201), (b'{"name": "' + b"x" * 1024 + b'"}', 413)):
        assert project.request("POST", "/v2/images", body=body).status == status
        assert project.request("POST", "/v2/images", body=iter([body])).status == status
