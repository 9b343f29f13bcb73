# SPDX-License-Identifier: Apache-2.0
"""The driver against a real Keystone: tokens, scopes, service tokens, revocation, outages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from glancekit_keystone_auth.driver import KeystoneAuth
from glancekit_keystone_auth.testing import RealKeystone, find_environment

from glancekit.plugin import Credentials, Identity, Unauthenticated, Unavailable
from glancekit.testing.auth import AuthConformance

Build = Callable[..., KeystoneAuth]


def ask(driver: KeystoneAuth, token: str, service_token: str = "") -> Identity:
    headers = {"x-auth-token": token}
    if service_token:
        headers["x-service-token"] = service_token
    return driver.authenticate(Credentials(headers, "127.0.0.1"))


class TestConformance(AuthConformance):
    """The kit, with a user, a service that acts for one, and tokens that are none."""

    @pytest.fixture
    def driver(self, keystone: RealKeystone, build: Build) -> KeystoneAuth:
        member, service = (
            keystone.token("demo-member", "demo"),
            keystone.token("glance", "service"),
        )
        revoked = keystone.token("demo-reader", "demo")
        keystone.revoke(revoked)
        who = Identity(
            user_id=keystone.id_of("user", "demo-member"),
            project_id=keystone.id_of("project", "demo"),
            roles=frozenset({"member", "reader"}),
        )
        driver = build(keystone.url)
        served = ask(driver, service).roles
        self.accepted = [
            (Credentials({"x-auth-token": member}, ""), who),
            (
                Credentials({"x-auth-token": member, "x-service-token": service}, "192.0.2.1"),
                replace(who, service_roles=served),
            ),
        ]
        self.refused = [
            Credentials({"x-auth-token": revoked}, "127.0.0.1"),
            Credentials({"x-auth-token": member[:-1]}, "127.0.0.1"),
            Credentials({"x-service-token": service}, "127.0.0.1"),
            Credentials({"x-auth-token": member, "x-service-token": revoked}, "127.0.0.1"),
        ]
        return driver


def ask_until_it_answers(driver: KeystoneAuth, token: str) -> Identity:
    """Ask again while Keystone is thought to be down."""
    end = time.monotonic() + 90
    while True:
        try:
            return ask(driver, token)
        except Unavailable:
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.fixture
def driver(keystone: RealKeystone, build: Build) -> KeystoneAuth:
    return build(keystone.url)


def test_a_token_says_who_where_and_as_what(keystone: RealKeystone, driver: KeystoneAuth) -> None:
    token = keystone.token("demo-member", "demo")
    identity = ask(driver, token)
    assert identity.user_id == keystone.id_of("user", "demo-member")
    assert identity.project_id == keystone.id_of("project", "demo")
    assert identity.roles == {"member", "reader"}
    assert identity.service_roles == frozenset()
    assert not identity.is_admin
    assert identity.token == token
    assert token not in repr(identity)


def test_the_admin_role_makes_an_administrator(
    keystone: RealKeystone, driver: KeystoneAuth
) -> None:
    assert ask(driver, keystone.token("demo-admin", "demo")).is_admin


def test_roles_are_lower_case(keystone: RealKeystone, driver: KeystoneAuth) -> None:
    keystone.call("POST", "/roles", {"role": {"name": "ImageAuditor"}})
    keystone.make_user("auditor", "demo", "ImageAuditor")
    assert ask(driver, keystone.token("auditor", "demo")).roles == {"imageauditor"}


def test_without_a_project_there_is_none(keystone: RealKeystone, driver: KeystoneAuth) -> None:
    unscoped = ask(driver, keystone.token("demo-member"))
    assert (unscoped.project_id, unscoped.roles) == (None, frozenset())
    system = ask(driver, keystone.token("admin", system=True))
    assert system.project_id is None
    assert system.is_admin


def test_an_application_credential_will_do_for_the_service(
    keystone: RealKeystone, build: Build
) -> None:
    token = keystone.token("glance", "service")
    made = keystone.call(
        "POST",
        f"/users/{keystone.id_of('user', 'glance')}/application_credentials",
        {"application_credential": {"name": "for-the-service"}},
        headers={"X-Auth-Token": token},
    )["application_credential"]
    nothing = dict.fromkeys(("username", "password", "project_name", "user_domain_id"))
    driver = build(
        keystone.url,
        auth_type="v3applicationcredential",
        application_credential_id=made["id"],
        application_credential_secret=made["secret"],
        **nothing,
        project_domain_id=None,
    )
    assert ask(driver, keystone.token("demo-reader", "demo")).roles == {"reader"}


def test_what_is_no_token_of_this_keystone_is_refused(
    keystone: RealKeystone, driver: KeystoneAuth
) -> None:
    token = keystone.token("demo-member", "demo")
    for wrong in ("nonsense", token[:-1], token + "x", "a/../b", "?allow_expired=1"):
        with pytest.raises(Unauthenticated):
            ask(driver, wrong)
    with pytest.raises(Unauthenticated):
        driver.authenticate(Credentials({}, "127.0.0.1"))


def test_a_revoked_token_counts_until_it_is_forgotten(
    keystone: RealKeystone, build: Build
) -> None:
    forgetful, remembering = build(keystone.url, token_cache_time=0), build(keystone.url)
    token = keystone.token("demo-member", "demo")
    for driver in (forgetful, remembering):
        ask(driver, token)
    keystone.revoke(token)
    with pytest.raises(Unauthenticated):
        ask(forgetful, token)
    assert ask(remembering, token).roles == {"member", "reader"}


def test_a_service_adds_its_own_token(keystone: RealKeystone, driver: KeystoneAuth) -> None:
    user, service = keystone.token("demo-member", "demo"), keystone.token("glance", "service")
    identity = ask(driver, user, service)
    assert identity.project_id == keystone.id_of("project", "demo")
    assert identity.roles == {"member", "reader"}
    assert "service" in identity.service_roles
    with pytest.raises(Unauthenticated, match="service token"):
        ask(driver, user, "nonsense")


def test_a_service_token_needs_a_service_role(keystone: RealKeystone, build: Build) -> None:
    user, other = (keystone.token(name, "demo") for name in ("demo-member", "demo-reader"))
    with pytest.raises(Unauthenticated, match="role"):
        ask(build(keystone.url), user, other)
    lenient = build(keystone.url, service_token_roles_required=False)
    assert ask(lenient, user, other).service_roles == {"reader"}


@pytest.fixture
def hasty_keystone(keystone: RealKeystone, tmp_path: Path) -> Iterator[RealKeystone]:
    """A Keystone with the same users whose tokens last for ten seconds."""
    environment = find_environment()
    assert environment is not None
    folder, data = tmp_path / "hasty", keystone.data
    with RealKeystone(environment, folder, data=data, token_lifetime=10) as server:
        yield server


def test_an_expired_token_is_refused_unless_a_service_sends_it(
    hasty_keystone: RealKeystone, build: Build
) -> None:
    driver = build(hasty_keystone.url)
    ask(driver, hasty_keystone.token("demo-reader", "demo"))  # a first one takes it longest
    token = hasty_keystone.token("demo-member", "demo")
    assert ask(driver, token).roles == {"member", "reader"}
    time.sleep(11)  # the driver's own token has expired too by now
    with pytest.raises(Unauthenticated, match="expired"):
        ask(driver, token)
    identity = ask(driver, token, hasty_keystone.token("glance", "service"))
    assert identity.roles == {"member", "reader"}
    with pytest.raises(Unauthenticated, match="expired"):
        ask(driver, token)


def test_while_keystone_is_down_known_tokens_count(keystone: RealKeystone, build: Build) -> None:
    driver = build(keystone.url)
    known, other = (keystone.token(name, "demo") for name in ("demo-member", "demo-reader"))
    ask(driver, known)
    keystone.stop()
    try:
        for _ in range(3):
            with pytest.raises(Unavailable):
                ask(driver, other)
            assert ask(driver, known).roles == {"member", "reader"}
        cold = build(keystone.url)
        with pytest.raises(Unavailable):
            ask(cold, known)
    finally:
        keystone.start()
    assert ask_until_it_answers(driver, other).roles == {"reader"}
    assert ask_until_it_answers(cold, known).roles == {"member", "reader"}


def test_a_keystone_that_hangs_costs_few_threads(keystone: RealKeystone, build: Build) -> None:
    driver = build(keystone.url, http_connect_timeout=0.5, http_request_max_retries=0)
    patient = build(keystone.url)
    known, other = (keystone.token(name, "demo") for name in ("demo-member", "demo-reader"))
    ask(patient, known)
    keystone.freeze()
    try:
        with ThreadPoolExecutor(64) as threads:
            answers = [threads.submit(ask, driver, f"t{number}") for number in range(64)]
            assert {type(answer.exception(30)) for answer in answers} == {Unavailable}
        # Now it is known, and nobody waits for the time-out.
        with pytest.raises(Unavailable) as caught:
            ask(driver, other)
        assert caught.value.retry_after >= 1
        assert ask(patient, known).roles == {"member", "reader"}
    finally:
        keystone.thaw()
    assert ask_until_it_answers(driver, other).roles == {"reader"}


def test_many_threads_with_many_tokens(keystone: RealKeystone, driver: KeystoneAuth) -> None:
    users = ("demo-reader", "demo-member", "demo-manager", "demo-admin")
    tokens = {user: keystone.token(user, "demo") for user in users}
    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(lambda i: ask(driver, tokens[users[i % 4]]), range(400)))
    for number, identity in enumerate(found):
        assert identity.user_id == keystone.id_of("user", users[number % 4])


def test_wrong_credentials_of_the_service_are_its_operators_affair(
    keystone: RealKeystone, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    driver = build(keystone.url, password="not-the-password")
    with pytest.raises(Unavailable):
        ask(driver, keystone.token("demo-member", "demo"))
    assert "Unauthorized" in caplog.text
    assert "not-the-password" not in caplog.text


def test_a_service_that_may_not_check_tokens_is_told_what_it_lacks(
    keystone: RealKeystone, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    driver = build(keystone.url, username="demo-member", project_name="demo")
    with pytest.raises(Unavailable):
        ask(driver, keystone.token("demo-reader", "demo"))
    assert "needs the role 'service'" in caplog.text


def test_no_token_is_ever_logged(
    keystone: RealKeystone, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good, service = keystone.token("demo-member", "demo"), keystone.token("glance", "service")
    driver = build(keystone.url)
    ask(driver, good, service)
    with pytest.raises(Unauthenticated) as caught:
        ask(driver, "s3cret-nonsense")
    assert caplog.records
    for token in (good, service, "s3cret-nonsense"):
        assert token not in caplog.text
        assert token not in str(caught.value)
