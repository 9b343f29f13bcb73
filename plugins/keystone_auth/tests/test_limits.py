# SPDX-License-Identifier: Apache-2.0
"""Limits from a real Keystone: registered, of single projects, remembered, and gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_keystone_auth import limits
from glancekit_keystone_auth.limits import KeystoneLimits
from glancekit_keystone_auth.testing import PASSWORD, RealKeystone, find_environment

from glancekit.plugin import ConfigError, Quota, Unavailable
from glancekit.testing import LimitsConformance

Build = Callable[..., KeystoneLimits]
Limits = Mapping[Quota, int]

USUAL = {
    "image_size_total": 1000,
    "image_stage_total": 500,
    "image_count_total": 100,
    "image_count_uploading": -1,
}


class Registered:
    """A Keystone that has limits for an image service."""

    def __init__(self, keystone: RealKeystone) -> None:
        self.keystone = keystone
        keystone.make_endpoint("image", "http://127.0.0.1:9292")
        endpoints = keystone.call("GET", "/endpoints")["endpoints"]
        self.endpoint = next(one for one in endpoints if one["url"].endswith(":9292"))
        keystone.make_user("limits", "service", "reader")
        user, role = keystone.id_of("user", "limits"), keystone.id_of("role", "reader")
        keystone.call("PUT", f"/system/users/{user}/roles/{role}")
        for name, limit in USUAL.items():
            self._post("registered_limits", {"resource_name": name, "default_limit": limit})

    def set(self, project_id: str, name: str, limit: int) -> None:
        """Give one project a limit of its own."""
        self._post(
            "limits", {"resource_name": name, "resource_limit": limit, "project_id": project_id}
        )

    def forget(self, name: str) -> None:
        """Take a registered limit away."""
        for one in self.keystone.call("GET", "/registered_limits")["registered_limits"]:
            if one["resource_name"] == name:
                self.keystone.call("DELETE", f"/registered_limits/{one['id']}")

    def _post(self, kind: str, fields: dict[str, Any]) -> None:
        where = {name: self.endpoint[name] for name in ("service_id", "region_id")}
        self.keystone.call("POST", f"/{kind}", {kind: [{**where, **fields}]})


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    """A Keystone of this module's own: its catalog is changed, and it is stopped."""
    environment = find_environment()
    if environment is None:
        pytest.skip("there is no Keystone to test with: sh tools/keystone.sh .venv-keystone")
    with RealKeystone(environment, tmp_path_factory.mktemp("limits") / "data") as server:
        yield Registered(server)


def chosen(auth_url: str, endpoint_id: str, **others: Any) -> SimpleNamespace:
    values = {option.dest: option.default for option in KeystoneLimits.options}
    values |= {"auth_url": auth_url, "username": "limits", "password": PASSWORD}
    values |= {"user_domain_id": "default", "system_scope": "all", "endpoint_id": endpoint_id}
    return SimpleNamespace(**{**values, **others})


@pytest.fixture
def build(registered: Registered) -> Iterator[Build]:
    built = []

    def build(**others: Any) -> KeystoneLimits:
        options = chosen(registered.keystone.url, registered.endpoint["id"], **others)
        source = KeystoneLimits(options, name="keystone")
        built.append(source)
        return source

    yield build
    for source in built:
        source.close()


@pytest.fixture(scope="module")
def projects(registered: Registered) -> Mapping[str, Limits]:
    """Some with limits of their own and one without, and all that each may have."""
    own, none, usual = (
        registered.keystone.make_project(f"kit-{name}") for name in ("own", "none", "usual")
    )
    registered.set(own, "image_count_total", 7)
    registered.set(own, "image_count_uploading", 3)
    registered.set(none, "image_size_total", 0)
    limits = {Quota(name): limit for name, limit in USUAL.items() if limit >= 0}
    return {
        own: {**limits, Quota.IMAGE_COUNT_TOTAL: 7, Quota.IMAGE_COUNT_UPLOADING: 3},
        none: {**limits, Quota.IMAGE_SIZE_TOTAL: 0},
        usual: limits,
    }


class TestConformance(LimitsConformance):
    """The promises of every source of limits."""

    @pytest.fixture
    def source(self, build: Build) -> KeystoneLimits:
        return build()

    @pytest.fixture
    def limited(self, projects: Mapping[str, Limits]) -> Mapping[str, Limits]:
        return projects

    @pytest.fixture
    def away(self) -> KeystoneLimits:
        options = chosen("http://127.0.0.1:9/v3", "e", http_request_max_retries=0)
        return KeystoneLimits(options, name="keystone")


def test_a_project_has_the_registered_limits_and_its_own(
    registered: Registered, build: Build
) -> None:
    source = build()
    assert source.is_limiting()
    project, other = (registered.keystone.make_project(name) for name in ("own", "usual"))
    registered.set(project, "image_size_total", 7)
    usual = {Quota(name): limit for name, limit in USUAL.items() if limit >= 0}
    assert source.limits(other) == usual
    assert source.limits(project) == {**usual, Quota.IMAGE_SIZE_TOTAL: 7}


def test_limits_are_remembered_for_a_while(registered: Registered, build: Build) -> None:
    project = registered.keystone.make_project("remembered")
    lasting, asking = build(), build(limit_cache_time=0.0)
    before = lasting.limits(project)
    assert asking.limits(project) == before
    registered.set(project, "image_count_total", 1)
    assert lasting.limits(project) == before
    assert asking.limits(project)[Quota.IMAGE_COUNT_TOTAL] == 1


def test_what_is_not_registered_is_not_allowed(
    registered: Registered, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    registered.forget("image_stage_total")
    project = registered.keystone.make_project("unregistered")
    assert build().limits(project)[Quota.IMAGE_STAGE_TOTAL] == 0
    assert "image_stage_total" in caplog.text


def test_the_last_known_limits_outlive_keystone_for_a_time(
    registered: Registered, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAUSE", 0.1)
    project, other = (registered.keystone.make_project(name) for name in ("known", "unknown"))
    brief = {"limit_cache_time": 0.0, "http_connect_timeout": 2.0}
    patient = build(**brief)
    strict = build(**brief, limit_stale_time=0.0)
    before = patient.limits(project)
    assert strict.limits(project) == before
    registered.keystone.freeze()
    try:
        assert patient.limits(project) == before
        for source, asked in ((patient, other), (strict, project)):
            with pytest.raises(Unavailable):
                source.limits(asked)
    finally:
        registered.keystone.thaw()
    end = time.monotonic() + 90
    while True:
        try:
            assert strict.limits(project) == before
            return
        except Unavailable:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_credentials_that_are_not_complete_are_told_at_start(tmp_path: Path) -> None:
    for wrong in ({"auth_type": "nonsense"}, {"auth_type": "none"}):
        with pytest.raises(ConfigError, match="oslo_limit"):
            KeystoneLimits(chosen("http://127.0.0.1:9/v3", "e", **wrong), name="keystone")


def test_nobody_there_is_an_outage() -> None:
    source = KeystoneLimits(
        chosen("http://127.0.0.1:9/v3", "e", http_request_max_retries=0), name="keystone"
    )
    with pytest.raises(Unavailable, match="try again"):
        source.limits("p")
    source.close()
