# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of an auth driver on request (reports.py). Promises are auth's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

import pytest

from glancekit.core.contracts.auth import AuthDriver, Credentials
from glancekit.core.errors import Unauthenticated
from glancekit.core.model.identity import Identity
from glancekit.testing import reports
from glancekit.testing.auth_liars import HonestAuth
from glancekit.testing.reports import Fact, Figure, rate

_KNOWN = Credentials({"x-name": "alice"}, "192.0.2.1")
_UNKNOWN = Credentials({}, "192.0.2.1")


class AuthReports:
    """Prints what a driver can do, and how fast, when it is asked for."""

    accepted: ClassVar[Sequence[tuple[Credentials, Identity]]]
    refused: ClassVar[Sequence[Credentials]]

    def test_report_table(self, driver: AuthDriver, capsys: pytest.CaptureFixture[str]) -> None:
        """For the README of the plugin. What callers can be is what the examples are."""
        reports.wanted("table")
        found = [identity for _, identity in self.accepted]
        facts = [
            Fact("loopback_only", driver.loopback_only, "believes everybody, on loopback alone"),
            Fact("answers_at_once", driver.answers_at_once, "waits for nothing, needs no thread"),
            Fact("challenge", driver.challenge() is not None, "a 401 says what is asked for"),
            Fact(
                "service_roles",
                any(identity.service_roles for identity in found),
                "knows services that act for a caller",
            ),
            Fact(
                "read_only",
                any(identity.read_only for identity in found),
                "knows callers that may only read",
            ),
        ]
        reports.show(capsys, "Capabilities\n------------", reports.fact_table(facts))

    def test_report_speed(self, driver: AuthDriver, capsys: pytest.CaptureFixture[str]) -> None:
        """One caller after the other, who is known, and then one who is not."""
        reports.wanted("speed")
        known = self.accepted[0][0]
        unknown = self.refused[0] if self.refused else None
        figures = _figures(driver, known, unknown)
        floor = _figures(HonestAuth(), _KNOWN, unknown and _UNKNOWN)
        reports.show(capsys, "Speed", reports.beside(figures, floor))


def _figures(
    driver: AuthDriver, known: Credentials, unknown: Credentials | None
) -> Iterator[Figure]:
    yield rate("know a caller", partial(driver.authenticate, known))
    if unknown is not None:
        yield rate("refuse a caller", partial(_refuse, driver, unknown))


def _refuse(driver: AuthDriver, unknown: Credentials) -> None:
    with suppress(Unauthenticated):
        driver.authenticate(unknown)
