# SPDX-License-Identifier: Apache-2.0
"""Auth drivers that break one promise each, and the test that must catch each of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from glancekit.core.contracts.auth import AuthDriver, Credentials
from glancekit.core.errors import Unauthenticated
from glancekit.core.model.identity import Identity


class HonestAuth(AuthDriver):
    """Believes the header ``x-name``; what the liars are made of."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = ()
    caught_by: ClassVar[str] = ""

    def authenticate(self, credentials: Credentials) -> Identity:
        """Return who the header names."""
        name = credentials.headers.get("x-name")
        if not name:
            raise Unauthenticated
        return Identity(user_id=name, project_id="lab", roles=frozenset({"member"}))

    def challenge(self) -> str | None:
        """Return a challenge."""
        return 'Name realm="lab"'

    def close(self) -> None:
        """There is nothing to let go of."""


class RenamesAParameter(HonestAuth):
    """Cannot be called by the name that the contract gives."""

    caught_by = "test_a01_it_has_the_contracts_shape"

    def authenticate(self, request: Credentials) -> Identity:
        """Do it under another name."""
        return super().authenticate(request)


class TakesEverybodyForOne(HonestAuth):
    """Finds somebody else than the one who calls."""

    caught_by = "test_a03_it_finds_who_is_calling"

    def authenticate(self, credentials: Credentials) -> Identity:
        """Return the same whoever asks."""
        return replace(super().authenticate(credentials), user_id="root")


class BelievesThePeer(HonestAuth):
    """Lets in whoever comes from a certain address, with any header or none."""

    caught_by = "test_a04_it_refuses_what_proves_nothing"

    def authenticate(self, credentials: Credentials) -> Identity:
        """Look at the address alone."""
        return Identity(user_id="somebody", project_id="lab", roles=frozenset({"member"}))


class BelievesTheLocalSocket(HonestAuth):
    """Lets in everybody there, and does not say so."""

    caught_by = "test_a05_whoever_believes_everybody_says_so"

    def authenticate(self, credentials: Credentials) -> Identity:
        """Ask only those who come by network."""
        if not credentials.peer:
            return Identity(user_id="local", project_id="lab")
        return super().authenticate(credentials)


class StumblesOverNonsense(HonestAuth):
    """Lets an error of its parsing out."""

    caught_by = "test_a06_nonsense_is_no_other_error"

    def authenticate(self, credentials: Credentials) -> Identity:
        """Expect a token to be well formed."""
        credentials.headers.get("x-auth-token", "").encode()
        return super().authenticate(credentials)


class ShoutsRoles(HonestAuth):
    """Hands roles on as they are written."""

    caught_by = "test_a07_roles_are_lower_case"

    def authenticate(self, credentials: Credentials) -> Identity:
        """Return upper-case roles."""
        return replace(super().authenticate(credentials), roles=frozenset({"Member"}))


class KeepsTheCallerInItself(HonestAuth):
    """Mixes callers up when several ask at once."""

    caught_by = "test_a08_many_threads_do_not_mix_callers"

    def __init__(self) -> None:
        self._asked = 0

    def authenticate(self, credentials: Credentials) -> Identity:
        """Answer for another caller now and then, as a race would."""
        found = super().authenticate(credentials)
        self._asked += 1
        return replace(found, user_id="the other") if self._asked % 10 == 0 else found


class WritesIntoTheHeaders(HonestAuth):
    """Changes what it is given."""

    caught_by = "test_a09_credentials_stay_as_they_are"

    def authenticate(self, credentials: Credentials) -> Identity:
        """Leave a mark."""
        credentials.headers["x-seen"] = "yes"  # type: ignore[index]
        return super().authenticate(credentials)


class ShowsTheToken(HonestAuth):
    """Puts the credential where logs show it."""

    caught_by = "test_a10_no_secret_shows"

    def authenticate(self, credentials: Credentials) -> Identity:
        """Use the token as the user's id."""
        found = super().authenticate(credentials)
        return replace(found, project_id=credentials.headers.get("x-auth-token"))


class SplitsTheHeader(HonestAuth):
    """Gives a challenge that would add a header of its own to the answer."""

    caught_by = "test_a11_the_challenge_is_a_header_value"

    def challenge(self) -> str | None:
        """Return two lines."""
        return "Name\r\nSet-Cookie: a=b"


class ClosesOnce(HonestAuth):
    """Fails when it is closed again."""

    caught_by = "test_a12_it_can_be_closed_twice"

    def __init__(self) -> None:
        self._open = ["connection"]

    def close(self) -> None:
        """Let go of what is gone already."""
        self._open.pop()


class AsksElsewhere(HonestAuth):
    """Says that it waits for nothing, and waits."""

    caught_by = "test_a13_whoever_answers_at_once_does"
    answers_at_once = True

    def authenticate(self, credentials: Credentials) -> Identity:
        """Take the time of a call to another machine."""
        time.sleep(0.1)
        return super().authenticate(credentials)


LIARS = (
    RenamesAParameter,
    TakesEverybodyForOne,
    BelievesThePeer,
    BelievesTheLocalSocket,
    StumblesOverNonsense,
    ShoutsRoles,
    KeepsTheCallerInItself,
    WritesIntoTheHeaders,
    ShowsTheToken,
    SplitsTheHeader,
    ClosesOnce,
    AsksElsewhere,
)
