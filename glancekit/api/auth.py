# SPDX-License-Identifier: Apache-2.0
"""From a request's headers to an identity, by the configured driver. Rights are the services'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import g

from glancekit.core.contracts.auth import AuthDriver, Credentials
from glancekit.core.model.identity import Identity


def identify(auth: AuthDriver, environ: Mapping[str, Any], request_id: str) -> Identity:
    """Return who sends a request.

    :raises Unauthenticated: when the driver cannot tell.
    """
    identity = auth.authenticate(Credentials(_headers(environ), environ.get("REMOTE_ADDR", "")))
    return replace(identity, request_id=request_id)


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
