# SPDX-License-Identifier: Apache-2.0
"""How to log in, by Keystone or by Swift itself, and what becomes of a token that is refused.

Requests with the token are the account's business.
"""

from __future__ import annotations

import threading
from typing import Any

from keystoneauth1.access import AccessInfo
from keystoneauth1.identity import v3
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from swiftclient.authv1 import PasswordPlugin

from glancekit_swift_store.references import ITSELF, Reference


class Login(BaseIdentityPlugin):
    """A login that many threads have in common, each of which may find the token refused.

    keystoneauth itself takes a token away from whoever is just being given it.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._renewing = threading.RLock()

    def get_access(self, session: Session, **more: Any) -> AccessInfo:
        """Return the token that there is, or log in."""
        with self._renewing:
            return super().get_access(session, **more)

    def invalidate(self) -> bool:
        """Log in again before the next request."""
        with self._renewing:
            return super().invalidate()

    def forget(self, token: str | None) -> None:
        """Do so unless another thread has: a fresh token is not given up for an old one."""
        with self._renewing:
            if self.auth_ref is not None and self.auth_ref.auth_token == token:
                self.invalidate()


class ByPassword(Login, v3.Password):
    """Name and password of a user of Keystone."""


class ByCredential(Login, v3.ApplicationCredential):
    """An application credential of Keystone."""


class ByItself(Login, PasswordPlugin):  # type: ignore[misc]  # it has no types
    """Name and password of a user whom Swift itself knows."""


class Bearer(BaseAuthPlugin):
    """The token that a caller came with."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def get_token(self, session: Session, **_: Any) -> str:
        """Give it."""
        return self._token


def log_in(reference: Reference) -> Login:
    """Return how to log in."""
    if reference.auth_version == ITSELF:
        return ByItself(
            reference.auth_address, _in_header(reference.user), _in_header(reference.key)
        )
    address = keystone_of(reference)
    if reference.credential_id:
        return ByCredential(
            address,
            application_credential_id=reference.credential_id,
            application_credential_secret=reference.credential_secret,
        )
    domains = dict(reference.domains)
    return ByPassword(
        address,
        username=reference.name,
        password=reference.key,
        project_name=reference.project,
        project_domain_id=domains.get("project_domain_id"),
        project_domain_name=domains.get("project_domain_name"),
        user_domain_id=domains.get("user_domain_id"),
        user_domain_name=domains.get("user_domain_name"),
    )


def keystone_of(reference: Reference) -> str:
    """Return the address of a reference's Keystone, with the version."""
    address = reference.auth_address
    return address if address.endswith("/v3") else f"{address}/v3"


def _in_header(text: str) -> str:
    """Return what becomes of a text's UTF-8, which servers expect, where headers are Latin-1."""
    return text.encode().decode("latin-1")
