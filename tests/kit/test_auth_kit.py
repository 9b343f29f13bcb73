# SPDX-License-Identifier: Apache-2.0
"""The auth kit itself: an honest driver passes it, and every liar is caught by its test."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from glancekit.plugin import Credentials, Identity
from glancekit.services.builtins.no_auth import NoAuth
from glancekit.testing.auth import AuthConformance
from glancekit.testing.auth_liars import LIARS, HonestAuth


class OfNames(AuthConformance):
    accepted = tuple(
        (
            Credentials({"x-name": name, "x-auth-token": "hush"}, "192.0.2.1"),
            Identity(user_id=name, project_id="lab", roles=frozenset({"member"})),
        )
        for name in ("alice", "bob")
    )
    refused = (Credentials({"x-name": ""}, "192.0.2.1"),)


class TestHonest(OfNames):
    @pytest.fixture
    def driver(self):
        return HonestAuth()


class TestNoAuth(AuthConformance):
    """The driver that believes everybody keeps the contract, because it says so."""

    accepted = (
        (
            Credentials({}, "127.0.0.1"),
            Identity(
                user_id="admin",
                project_id="admin",
                roles=frozenset({"admin", "member", "reader"}),
            ),
        ),
    )

    @pytest.fixture
    def driver(self):
        return NoAuth(SimpleNamespace(), name="none")


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
def test_every_liar_is_caught(liar):
    with pytest.raises((Exception, pytest.fail.Exception)):
        getattr(OfNames(), liar.caught_by)(liar())


def test_every_test_that_asks_something_of_a_driver_catches_a_liar():
    asked = {name for name in vars(AuthConformance) if name.startswith("test_a")}
    assert asked - {liar.caught_by for liar in LIARS} == {"test_a02_examples_are_given"}


def test_examples_are_insisted_upon():
    with pytest.raises(AssertionError, match="accepted"):
        AuthConformance().test_a02_examples_are_given(HonestAuth())
