# SPDX-License-Identifier: Apache-2.0
"""From a request's headers to an identity, by the configured driver. Rights are the services'."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from flask import g

from glancekit.core.asking import Asked
from glancekit.core.contracts.auth import AuthDriver, Credentials
from glancekit.core.drivers import AUTH, PluginReport
from glancekit.core.errors import GlancekitError
from glancekit.core.model.identity import Identity
from glancekit.services.world import World

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds for the driver's answer: longer than its own time-outs, which know better."""

THREADS = 256
"""Requests that may wait for a driver's answer at once: as many as a process takes."""


class Callers:
    """Who sends the requests, as the auth driver knows. What it does wrong costs one request."""

    def __init__(self, world: World) -> None:
        self._driver: AuthDriver = world.auth
        waits = not getattr(self._driver, "answers_at_once", False)
        self._asked = Asked(
            AUTH,
            _name(world.plugins),
            use="auth",
            counters=world.counters,
            seconds=PATIENCE if waits else 0.0,
            threads=THREADS,
        )

    def identify(self, environ: Mapping[str, Any], request_id: str) -> Identity:
        """Return who sends a request.

        :raises Unauthenticated: when the driver cannot tell.
        :raises Unavailable: when that cannot be found out now.
        :raises PluginError: when the driver fails in a way of its own.
        """
        credentials = Credentials(_headers(environ), environ.get("REMOTE_ADDR", ""))
        ask = partial(self._driver.authenticate, credentials)
        identity = self._asked.answer("authenticate", ask, kind=Identity)
        return replace(identity, request_id=request_id)

    def challenge(self) -> str | None:
        """Return the ``WWW-Authenticate`` of a 401; none where the driver fails to tell."""
        try:
            return self._asked.answer("challenge", self._driver.challenge, kind=str | None)
        except GlancekitError as error:
            log.error("the auth driver does not tell its challenge: %s", error)
            return None


def _name(plugins: tuple[PluginReport, ...]) -> str:
    return next((report.name for report in plugins if report.group == AUTH), "auth")


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    return {
        name[5:].lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }


def caller() -> Identity:
    """Return who sent the current request."""
    identity: Identity = g.caller
    return identity
