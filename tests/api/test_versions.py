# SPDX-License-Identifier: Apache-2.0
"""Version discovery and all ways to name a version."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from glancekit.testing.client import Client


@pytest.mark.parametrize("path", ["/", "/nope", "/v1/images", "/v3/", "/v2.99/images"])
def test_what_names_no_version_gets_the_choices(service: Client, path: str) -> None:
    answer = service.get(path)
    assert answer.status == 300
    assert answer.json["versions"]


def test_the_document(service: Client) -> None:
    answer = service.get("/versions")
    assert answer.status == 200
    versions = answer.json["versions"]
    assert [one["id"] for one in versions if one["status"] == "CURRENT"] == ["v2.17"]
    assert {one["status"] for one in versions} == {"CURRENT", "SUPPORTED"}
    assert "v2.0" in [one["id"] for one in versions]
    for one in versions:
        (link,) = one["links"]
        assert link["rel"] == "self"
        assert link["href"].endswith("/v2/")


def test_links_begin_with_the_public_endpoint(build: Callable[..., Client]) -> None:
    client = build(public_endpoint="https://images.example:9292/x")
    hrefs = {one["links"][0]["href"] for one in client.get("/versions").json["versions"]}
    assert hrefs == {"https://images.example:9292/x/v2/"}


def test_v2_itself_leads_nowhere(service: Client, project: Client) -> None:
    answer = service.get("/v2")
    assert answer.status == 302
    assert answer.headers["location"].endswith("/v2/")
    assert project.get("/v2/").status == 404


@pytest.mark.parametrize("prefix", ["/v2", "/v2.0", "/v2.7", "/v2.9", "/v2.13", "/v2.17"])
def test_minor_versions_are_the_same_api(project: Client, prefix: str) -> None:
    answer = project.get(f"{prefix}/images?limit=1")
    assert answer.status == 200
    assert answer.json["first"] == "/v2/images?limit=1"


def test_a_version_may_be_in_the_accept_header(project: Client) -> None:
    answer = project.get("/images", accept="application/vnd.openstack.images-v2.2")
    assert answer.status == 200
    assert "images" in answer.json
