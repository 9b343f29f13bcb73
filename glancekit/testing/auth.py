# SPDX-License-Identifier: Apache-2.0
"""The conformance suite of auth drivers. A vendor's test is a subclass with examples.

Each test has a number, by which ``docs/reference/contracts/auth.rst`` says what it asks.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from glancekit.core.contracts.auth import AuthDriver, Credentials
from glancekit.core.errors import Unauthenticated
from glancekit.core.model.identity import Identity
from glancekit.testing.auth_reports import AuthReports

_MADE_UP: Sequence[Mapping[str, str]] = (
    {},
    {"x-auth-token": ""},
    {"x-auth-token": "no such token"},
    {"x-auth-token": "\udcff\x00"},
    {"authorization": "Bearer"},
    {"authorization": "Basic !!!"},
)
"""What anybody may send, to which no driver may answer with an error of another kind."""

_AT_ONCE = 0.05
"""Seconds that an answer may take which waits for nothing."""


class AuthConformance(AuthReports):
    """What every auth driver must do.

    The subclass gives a fixture ``driver``, and examples: ``accepted`` pairs credentials with the
    identity that they prove, ``refused`` are credentials that prove none (left empty by a driver
    that believes everybody, which must say so with ``loopback_only``).
    """

    accepted: ClassVar[Sequence[tuple[Credentials, Identity]]] = ()
    refused: ClassVar[Sequence[Credentials]] = ()

    def test_a01_it_has_the_contracts_shape(self, driver: AuthDriver) -> None:
        """A1: it is an AuthDriver, with the contract's parameter names."""
        assert isinstance(driver, AuthDriver)
        assert isinstance(driver.api_level, int)
        for method in ("authenticate", "challenge", "close"):
            ours = list(inspect.signature(getattr(AuthDriver, method)).parameters)[1:]
            theirs = list(inspect.signature(getattr(driver, method)).parameters)
            assert theirs == ours, f"{method}: the contract's parameters are {ours}"

    def test_a02_examples_are_given(self, driver: AuthDriver) -> None:
        """A2: there are examples of both kinds, so that the other tests mean something."""
        assert self.accepted, "set 'accepted' to pairs of credentials and identity"
        assert self.refused or driver.loopback_only, "set 'refused' to credentials"

    def test_a03_it_finds_who_is_calling(self, driver: AuthDriver) -> None:
        """A3: credentials that prove an identity give exactly that, each time."""
        for credentials, identity in self.accepted:
            for _ in range(2):
                found = driver.authenticate(credentials)
                assert _without_secrets(found) == _without_secrets(identity)

    def test_a04_it_refuses_what_proves_nothing(self, driver: AuthDriver) -> None:
        """A4: credentials that prove nothing are Unauthenticated."""
        for credentials in self.refused:
            with pytest.raises(Unauthenticated):
                driver.authenticate(credentials)

    def test_a05_whoever_believes_everybody_says_so(self, driver: AuthDriver) -> None:
        """A5: only a driver that is loopback_only lets in whoever says nothing at all."""
        if not driver.loopback_only:
            for peer in ("127.0.0.1", "192.0.2.1", ""):
                with pytest.raises(Unauthenticated):
                    driver.authenticate(Credentials({}, peer))

    def test_a06_nonsense_is_no_other_error(self, driver: AuthDriver) -> None:
        """A6: whatever is sent, the answer is an identity or Unauthenticated."""
        for headers in _MADE_UP:
            for peer in ("192.0.2.1", "2001:db8::1", "not an address", ""):
                try:
                    found = driver.authenticate(Credentials(headers, peer))
                except Unauthenticated:
                    continue
                assert isinstance(found, Identity)

    def test_a07_roles_are_lower_case(self, driver: AuthDriver) -> None:
        """A7: roles are frozensets of lower-case words."""
        for credentials, _ in self.accepted:
            found = driver.authenticate(credentials)
            for roles in (found.roles, found.service_roles):
                assert isinstance(roles, frozenset)
                assert all(role and role == role.strip().lower() for role in roles)

    def test_a08_many_threads_do_not_mix_callers(self, driver: AuthDriver) -> None:
        """A8: called from many threads at once, each gets the answer to its own question."""
        cases = [*self.accepted, *((credentials, None) for credentials in self.refused)] * 25

        def ask(case: tuple[Credentials, Identity | None]) -> bool:
            credentials, expected = case
            try:
                found = driver.authenticate(credentials)
            except Unauthenticated:
                return expected is None
            return expected is not None and _without_secrets(found) == _without_secrets(expected)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(ask, cases))

    def test_a09_credentials_stay_as_they_are(self, driver: AuthDriver) -> None:
        """A9: it only reads what it is given."""
        for credentials, _ in self.accepted:
            frozen = Credentials(MappingProxyType(dict(credentials.headers)), credentials.peer)
            driver.authenticate(frozen)

    def test_a10_no_secret_shows(self, driver: AuthDriver) -> None:
        """A10: an identity's repr, which ends up in logs, does not show what proved it."""
        for credentials, _ in self.accepted:
            shown = repr(driver.authenticate(credentials))
            for name in ("x-auth-token", "authorization", "x-service-token"):
                secret = credentials.headers.get(name, "")
                assert not secret or secret not in shown

    def test_a11_the_challenge_is_a_header_value(self, driver: AuthDriver) -> None:
        """A11: the challenge is None or one line that begins with a scheme."""
        challenge = driver.challenge()
        if challenge is not None:
            assert challenge.strip()
            assert challenge.isprintable()

    def test_a12_it_can_be_closed_twice(self, driver: AuthDriver) -> None:
        """A12: closing is harmless when repeated."""
        driver.close()
        driver.close()

    def test_a13_whoever_answers_at_once_does(self, driver: AuthDriver) -> None:
        """A13: who says so does: of five answers to the same, the quickest takes no time."""
        if driver.answers_at_once:
            for credentials in (*(known for known, _ in self.accepted), *self.refused):
                assert min(_seconds_of(driver, credentials) for _ in range(5)) < _AT_ONCE


def _seconds_of(driver: AuthDriver, credentials: Credentials) -> float:
    begun = time.perf_counter()
    with suppress(Unauthenticated):
        driver.authenticate(credentials)
    return time.perf_counter() - begun


def _without_secrets(identity: Identity) -> dict[str, Any]:
    """Two tokens may differ in how they were come by; who they stand for is what counts."""
    names = ("user_id", "project_id", "roles", "service_roles", "read_only")
    return {name: getattr(identity, name) for name in names}
