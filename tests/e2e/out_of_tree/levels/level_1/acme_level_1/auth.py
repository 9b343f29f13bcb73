# SPDX-License-Identifier: Apache-2.0
"""The auth driver ``old``: a caller shows who it is with a signature that the one who knows the
secret has made. What a caller may do is not its business.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, ClassVar

from glancekit.plugin import (
    AuthDriver,
    ConfigError,
    Credentials,
    Identity,
    StrOpt,
    Unauthenticated,
)

SCHEME = "OldAuth"
ROLES = frozenset({"member", "reader"})
"""No role implies another one here: who may change images, but is no reader, sees none."""


class OldAuth(AuthDriver):
    """Believes ``Authorization: OldAuth USER PROJECT SIGNATURE``."""

    api_level: ClassVar[int] = 1
    options = (StrOpt("old_secret", secret=True, help="What signatures are made with. Required."),)

    def __init__(self, options: Any, *, name: str) -> None:
        if not options.old_secret:
            raise ConfigError("[auth] old_secret is missing")
        self._secret = str(options.old_secret).encode()

    def authenticate(self, credentials: Credentials) -> Identity:
        """Return who sends this request."""
        words = credentials.headers.get("authorization", "").split(" ")
        if len(words) != 4 or words[0] != SCHEME:
            raise Unauthenticated
        _, user, project, signature = words
        wanted = sign(self._secret, user, project)
        if not hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace")):
            raise Unauthenticated
        return Identity(user_id=user, project_id=project, roles=ROLES)

    def challenge(self) -> str | None:
        """Return what a 401 asks for."""
        return SCHEME

    def close(self) -> None:
        """There is nothing to let go of."""


def sign(secret: bytes, user: str, project: str) -> str:
    """Return what proves that a user works for a project."""
    said = f"{user} {project}".encode("utf-8", "replace")
    return hmac.new(secret, said, hashlib.sha256).hexdigest()
