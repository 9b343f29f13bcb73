# SPDX-License-Identifier: Apache-2.0
"""Web pages of other origins: what a browser is told, as it would ask it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from glancekit.testing.client import OCTETS, Client

Build = Callable[..., Client]

DASHBOARD = "https://dashboard.example"
ON = {("cors", "allowed_origin"): [DASHBOARD, "http://localhost:8080"]}
PREFLIGHT = {
    "Origin": DASHBOARD,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "x-auth-token,content-type,x-openstack-image-size",
}
A_FILE = "/v2/images/1c0ffee1-0000-4000-8000-000000000000/file"


def items(text: str) -> set[str]:
    return {item.strip().lower() for item in text.split(",")}


def test_a_page_may_upload_directly(build: Build) -> None:
    client = build(ON)
    answer = client.request("OPTIONS", A_FILE, headers=PREFLIGHT)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == DASHBOARD
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-max-age"] == "3600"
    assert {"put", "patch", "delete"} <= items(answer.headers["access-control-allow-methods"])
    wanted = {"x-auth-token", "content-type", "x-openstack-image-size", "x-image-meta-store"}
    assert wanted <= items(answer.headers["access-control-allow-headers"])
    project = client.as_project("p")
    image = project.create(disk_format="raw", container_format="bare")
    headers = {"Origin": DASHBOARD, "Content-Type": OCTETS, "X-OpenStack-Image-Size": "3"}
    answer = project.request("PUT", image["file"], headers=headers, body=b"abc")
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == DASHBOARD


def test_a_page_can_read_what_it_needs_of_an_answer(build: Build) -> None:
    project = build(ON).as_project("p")
    answer = project.request("GET", "/v2/images", headers={"Origin": DASHBOARD})
    exposed = items(answer.headers["access-control-expose-headers"])
    assert {"x-openstack-request-id", "location", "content-range"} <= exposed
    assert answer.headers["vary"] == "Origin"


def test_refusals_can_be_read_as_well(build: Build) -> None:
    answer = build(ON).request("GET", "/v2/images", headers={"Origin": DASHBOARD})
    assert answer.status == 401
    assert answer.headers["access-control-allow-origin"] == DASHBOARD


@pytest.mark.parametrize("origin", ["https://evil.example", "https://dashboard.example.evil", ""])
def test_other_origins_are_told_nothing(build: Build, origin: str) -> None:
    project = build(ON).as_project("p")
    for method in ("OPTIONS", "GET"):
        headers = {**PREFLIGHT, "Origin": origin}
        answer = project.request(method, "/v2/images", headers=headers)
        assert answer.status == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["vary"] == "Origin" or method == "OPTIONS"


def test_any_origin_never_goes_with_credentials(build: Build) -> None:
    client = build({("cors", "allowed_origin"): ["*"]})
    answer = client.request("OPTIONS", A_FILE, headers=PREFLIGHT)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_options_without_a_page_behind_it_is_as_ever(build: Build) -> None:
    on, off = build(ON), build()
    for client in (on, off):
        answer = client.request("OPTIONS", "/v2/images")
        assert answer.status == 200
        assert "access-control-allow-methods" not in answer.headers


def test_when_it_is_off_nothing_is_added(build: Build) -> None:
    answer = build().as_project("p").request("GET", "/v2/images", headers={"Origin": DASHBOARD})
    assert answer.status == 200
    assert "vary" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


def test_the_lists_are_the_operators(build: Build) -> None:
    client = build(
        {
            **ON,
            ("cors", "allow_methods"): ["get"],
            ("cors", "allow_headers"): ["X-Mine"],
            ("cors", "expose_headers"): [],
            ("cors", "max_age"): 5,
            ("cors", "allow_credentials"): False,
        }
    )
    answer = client.request("OPTIONS", A_FILE, headers=PREFLIGHT)
    assert answer.headers["access-control-allow-methods"] == "GET"
    assert "x-mine" in items(answer.headers["access-control-allow-headers"])
    assert "x-auth-token" not in items(answer.headers["access-control-allow-headers"])
    assert answer.headers["access-control-max-age"] == "5"
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-expose-headers" not in answer.headers
