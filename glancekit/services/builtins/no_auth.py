# SPDX-License-Identifier: Apache-2.0
"""The auth driver ``none``: everybody is the administrator of one project. For loopback only."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

from glancekit.plugin import AuthDriver, Credentials, Identity

PROJECT_ID = "admin"
"""Fixed for good: it owns the images, today's and those of years ago."""


class NoAuth(AuthDriver):
    """Asks nobody for anything."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = ()
    loopback_only: ClassVar[bool] = True
    answers_at_once: ClassVar[bool] = True

    def __init__(self, options: SimpleNamespace, *, name: str) -> None:
        """There is nothing to configure."""
        self._everybody = Identity(
            user_id="admin",
            project_id=PROJECT_ID,
            roles=frozenset({"admin", "member", "reader"}),
        )

    def authenticate(self, credentials: Credentials) -> Identity:
        """Return the administrator, whoever it is."""
        return self._everybody

    def challenge(self) -> str | None:
        """Return none: nobody is ever turned away."""
        return None

    def close(self) -> None:
        """There is nothing to let go of."""
