# SPDX-License-Identifier: Apache-2.0
"""Who asks too often is told so, and when to come back; nobody else notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from glancekit.api import rate_limit
from glancekit.api.rate_limit import Buckets, RateLimits, RateSettings
from glancekit.core.errors import TooManyRequests
from glancekit.core.model.identity import Identity
from glancekit.testing.client import Client

Build = Callable[..., Client]

SLOW = 0.001
"""Tokens a second: none comes back while a test runs."""

ANYBODY = {("auth", "trusted_peers"): ["0.0.0.0/0"], ("server", "workers"): 1}


def limits(**options: Any) -> dict[tuple[str, str], Any]:
    return {**ANYBODY, **{("rate_limit", name): value for name, value in options.items()}}


def statuses(client: Client, count: int) -> list[int]:
    return [client.get("/v2/images").status for _ in range(count)]


def test_a_project_that_asks_too_often_has_to_wait(build: Build) -> None:
    client = build(limits(requests_per_second=SLOW, burst=3))
    assert statuses(client.as_project("a"), 5) == [200, 200, 200, 429, 429]
    assert statuses(client.as_project("b"), 1) == [200]
    answer = client.as_project("a").get("/v2/images", accept="application/json")
    assert 900 < int(answer.headers["retry-after"]) <= 1000
    assert answer.json["code"] == "429 Too Many Requests"


def test_limits_may_count_for_each_user(build: Build) -> None:
    client = build(limits(requests_per_second=SLOW, burst=1, counted_by="user"))
    one = client.as_project("a").as_caller(x_user_id="u1")
    two = client.as_project("a").as_caller(x_user_id="u2")
    assert (statuses(one, 2), statuses(two, 2)) == ([200, 429], [200, 429])


def test_operators_and_services_are_not_counted(build: Build) -> None:
    client = build(limits(requests_per_second=SLOW, burst=1))
    assert statuses(client.as_project("a", roles="admin"), 3) == [200] * 3
    nova = client.as_project("a", roles="member,reader").as_caller(x_service_roles="service")
    assert statuses(nova, 3) == [200] * 3


def test_images_cannot_be_created_without_end(build: Build) -> None:
    """OSSN-0076: a record costs its creator nothing, and is never forgotten."""
    client = build(limits(creates_per_minute=2))
    project = client.as_project("a")
    created = [project.request("POST", "/v2/images", body=b"{}").status for _ in range(3)]
    assert created == [201, 201, 429]
    assert statuses(project, 3) == [200] * 3
    assert client.as_project("b").request("POST", "/v2/images", body=b"{}").status == 201


def test_the_unknown_are_counted_by_address(build: Build) -> None:
    options = limits(anonymous_requests_per_second=SLOW, anonymous_burst=2)
    client = build(options, peer="192.0.2.9")
    assert statuses(client, 3) == [401, 401, 429]
    assert client.get("/versions").status == 429
    assert client.get("/healthcheck").status == 200
    # The address is not asked any more who it is, so that guessing is of no use.
    assert statuses(client.as_project("a"), 1) == [429]


def test_the_known_take_nothing_from_the_unknown(build: Build) -> None:
    options = limits(anonymous_requests_per_second=SLOW, anonymous_burst=1)
    client = build(options, peer="192.0.2.9")
    assert statuses(client.as_project("a"), 3) == [200] * 3
    assert statuses(client, 1) == [401]


def test_a_proxy_is_not_counted_but_its_clients_are(build: Build) -> None:
    options = {
        **limits(anonymous_requests_per_second=SLOW, anonymous_burst=1),
        ("oslo_middleware", "enable_proxy_headers_parsing"): True,
    }
    client = build(options, peer="127.0.0.1")
    assert statuses(client, 3) == [401] * 3
    assert statuses(client.as_caller(x_forwarded_for="192.0.2.1"), 2) == [401, 429]
    assert statuses(client.as_caller(x_forwarded_for="192.0.2.2"), 1) == [401]


def test_one_ipv6_network_is_one_sender() -> None:
    checks = RateLimits(RateSettings(anonymous_requests_per_second=SLOW, anonymous_burst=1))
    checks.admit_unknown({"REMOTE_ADDR": "2001:db8:0:1::1"})
    with pytest.raises(TooManyRequests):
        checks.admit_unknown({"REMOTE_ADDR": "2001:db8:0:1:ffff::2"})
    checks.admit_unknown({"REMOTE_ADDR": "2001:db8:0:2::1"})


def test_processes_share_a_limit() -> None:
    settings = RateSettings(requests_per_second=SLOW, burst=6, processes=3)
    who = Identity(user_id="u", project_id="p")
    one_of_three = RateLimits(settings)
    for _ in range(2):
        one_of_three.admit(who, creates=False)
    with pytest.raises(TooManyRequests) as caught:
        one_of_three.admit(who, creates=False)
    assert caught.value.retry_after == pytest.approx(3000, abs=2)


# -- buckets


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_steadily_and_no_further_than_full() -> None:
    clock = Clock()
    bucket = Buckets(2, 3, clock=clock)
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.25
    assert bucket.take("a") == pytest.approx(0.25)
    clock.now += 0.25
    assert bucket.take("a") == 0
    clock.now += 1000
    assert [bucket.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_looking_takes_nothing() -> None:
    bucket = Buckets(1, 1, clock=Clock())
    assert [bucket.wait("a"), bucket.wait("a"), bucket.take("a")] == [0, 0, 0]
    assert bucket.wait("a") == 1


def test_a_share_below_one_lets_one_pass() -> None:
    assert Buckets(0.1, 0.3, clock=Clock()).take("a") == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MOST_CALLERS", 10)
    bucket = Buckets(SLOW, 1)
    for number in range(100):
        bucket.take(str(number))
    assert len(bucket._left) == 10
    assert bucket.take("99") > 0
