# SPDX-License-Identifier: Apache-2.0
"""What it promises beyond the auth contract: whom it believes, and what it makes of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from glancekit_trusted_auth.driver import TrustedAuth

from glancekit.plugin import ConfigError, Credentials, Identity, Unauthenticated
from glancekit.testing.auth import AuthConformance

ALICE = {
    "x-identity-status": "Confirmed",
    "x-user-id": "alice",
    "x-project-id": "research",
    "x-roles": "Member, reader",
    "x-service-roles": "Service",
}


def driver(*peers: str) -> TrustedAuth:
    default = TrustedAuth.options[0].default
    return TrustedAuth(SimpleNamespace(trusted_peers=list(peers) or default), name="trusted")


class TestTrustedAuth(AuthConformance):
    """It keeps the auth contract."""

    accepted = (
        (
            Credentials(ALICE, "127.0.0.1"),
            Identity(
                user_id="alice",
                project_id="research",
                roles=frozenset({"member", "reader"}),
                service_roles=frozenset({"service"}),
            ),
        ),
    )
    refused = (
        Credentials({}, "127.0.0.1"),
        Credentials(ALICE, "192.0.2.1"),
        Credentials({**ALICE, "x-identity-status": "Invalid"}, "127.0.0.1"),
    )

    @pytest.fixture
    def driver(self) -> TrustedAuth:
        return driver()


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.1", "::1", "", "::ffff:127.0.0.1"])
def test_this_machine_is_believed_when_nobody_says_otherwise(peer):
    assert driver().authenticate(Credentials(ALICE, peer)).user_id == "alice"


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "nonsense"])
def test_others_are_not_and_the_log_says_what_to_do(peer, caplog):
    with pytest.raises(Unauthenticated):
        driver().authenticate(Credentials(ALICE, peer))
    assert f"identity headers from {peer} were not believed" in caplog.text
    assert "[auth] trusted_peers" in caplog.text


def test_callers_without_identity_headers_are_not_logged(caplog):
    with pytest.raises(Unauthenticated):
        driver().authenticate(Credentials({}, "192.0.2.1"))
    assert caplog.text == ""


def test_configured_peers_replace_the_default():
    auth = driver("10.0.0.0/8", "2001:db8::7")
    for peer in ("10.1.2.3", "2001:db8::7"):
        assert auth.authenticate(Credentials(ALICE, peer)).user_id == "alice"
    for peer in ("127.0.0.1", "", "2001:db8::8"):
        with pytest.raises(Unauthenticated):
            auth.authenticate(Credentials(ALICE, peer))


@pytest.mark.parametrize("status", ["confirmed", "Confirmed ", "Invalid", ""])
def test_only_confirmed_is_confirmed(status):
    with pytest.raises(Unauthenticated):
        driver().authenticate(Credentials({**ALICE, "x-identity-status": status}, "127.0.0.1"))


def test_the_old_name_of_a_project_is_read_where_the_new_one_is_missing():
    headers = {**ALICE, "x-tenant-id": "old"}
    assert driver().authenticate(Credentials(headers, "::1")).project_id == "research"
    del headers["x-project-id"]
    assert driver().authenticate(Credentials(headers, "::1")).project_id == "old"


def test_missing_facts_are_missing():
    identity = driver().authenticate(Credentials({"x-identity-status": "Confirmed"}, "::1"))
    assert identity == Identity(user_id=None, project_id=None)


def test_a_peer_that_is_no_address_is_said():
    with pytest.raises(ConfigError, match=r"\[auth\] trusted_peers: 'proxy\.example'"):
        driver("proxy.example")
