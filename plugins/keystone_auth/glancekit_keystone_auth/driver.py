# SPDX-License-Identifier: Apache-2.0
"""From a request's tokens to an identity. What Keystone says about a token is for keystone.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from glancekit.plugin import AuthDriver, Credentials, Identity, Unauthenticated, secret
from glancekit_keystone_auth.grants import Grant, Grants
from glancekit_keystone_auth.keystone import Keystone
from glancekit_keystone_auth.options import OPTIONS

_TOKEN = re.compile(r"[!-~]{1,8192}")
"""What may be a token: printable ASCII. Keystone is not asked about anything else."""


class KeystoneAuth(AuthDriver):
    """Callers have a token of Keystone's; services that act for them add a token of their own."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = OPTIONS

    def __init__(self, options: Any, *, name: str) -> None:
        uri = options.www_authenticate_uri or options.auth_url
        self._challenge = f'Keystone uri="{uri}"'
        self._service_roles = frozenset(role.lower() for role in options.service_token_roles)
        self._service_roles_required = options.service_token_roles_required
        self._keystone = Keystone(options)
        self._grants = Grants(
            self._keystone.ask, seconds=options.token_cache_time, size=options.token_cache_size
        )

    def authenticate(self, credentials: Credentials) -> Identity:
        """See the contract."""
        token = credentials.headers.get("x-auth-token")
        if not token:
            raise Unauthenticated
        service_roles = self._roles_of_service(credentials.headers.get("x-service-token"))
        grant = self._grant(
            token, "token", allow_expired=not self._service_roles.isdisjoint(service_roles)
        )
        return Identity(
            user_id=grant.user_id,
            project_id=grant.project_id,
            roles=grant.roles,
            service_roles=service_roles,
            token=secret(token),
        )

    def challenge(self) -> str | None:
        """See the contract."""
        return self._challenge

    def close(self) -> None:
        """See the contract."""
        self._keystone.close()

    def _roles_of_service(self, token: str | None) -> frozenset[str]:
        if not token:
            return frozenset()
        roles = self._grant(token, "service token").roles
        if self._service_roles_required and self._service_roles.isdisjoint(roles):
            raise Unauthenticated("The service token has no role that a service needs")
        return roles

    def _grant(self, token: str, what: str, *, allow_expired: bool = False) -> Grant:
        if not _TOKEN.fullmatch(token):
            raise Unauthenticated(f"The {what} is not valid")
        grant = self._grants.of(token, allow_expired=allow_expired)
        if grant is None:
            raise Unauthenticated(f"The {what} is not valid or has expired")
        return grant
