# SPDX-License-Identifier: Apache-2.0
"""Trusts: leave that a caller gives the service to act for them after their token has ended.

One is made for one long upload, and ends with it. A trust that nobody ends ends by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from keystoneauth1 import access
from keystoneauth1.session import Session

from glancekit.plugin import GlancekitError, StoreDenied
from glancekit_swift_store.account import Account
from glancekit_swift_store.failures import translated
from glancekit_swift_store.logins import ByPassword, keystone_of
from glancekit_swift_store.references import Reference

log = logging.getLogger(__name__)

LONGEST = timedelta(days=1)
"""How long a trust lives that nobody ends, because the process died: no upload takes that long."""


@contextmanager
def trusted(service: Account, reference: Reference, token: str) -> Iterator[ByPassword | None]:
    """Have a login that goes on being the caller, or None where the caller cannot give leave.

    That is so with tokens that are themselves of a trust or of an application credential, and
    where the service logs in with one. The upload then has the time that the token has.
    """
    if reference.credential_id:
        log.info("an application credential cannot be trusted; the caller's token has to do")
        yield None
        return
    try:
        trust_id = _make(service, reference, token)
    except StoreDenied as error:
        log.info("the caller can give no trust, so their token has to do: %s", error)
        yield None
        return
    domains = dict(reference.domains)
    plugin = ByPassword(
        keystone_of(reference),
        username=reference.name,
        password=reference.key,
        user_domain_id=domains.get("user_domain_id"),
        user_domain_name=domains.get("user_domain_name"),
        trust_id=trust_id,
    )
    try:
        yield plugin
    finally:
        _end(service, reference, plugin, trust_id)


def _make(service: Account, reference: Reference, token: str) -> str:
    session, keystone = service.session, keystone_of(reference)
    with translated("asking for a trust"):
        seen = session.get(
            f"{keystone}/auth/tokens",
            headers={"X-Auth-Token": token, "X-Subject-Token": token},
            authenticated=False,
            log=False,
        )
        caller = access.create(resp=seen, auth_token=token)
        until = datetime.now(UTC) + LONGEST
        asked = {
            "impersonation": True,
            "trustor_user_id": caller.user_id,
            "trustee_user_id": session.get_user_id(),
            "project_id": caller.project_id,
            "roles": [{"id": role} for role in caller.role_ids or ()],
            "expires_at": f"{until:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        made: dict[str, Any] = session.post(
            f"{keystone}/OS-TRUST/trusts",
            json={"trust": asked},
            headers={"X-Auth-Token": token},
            authenticated=False,
            log=False,
        ).json()
    return str(made["trust"]["id"])


def _end(service: Account, reference: Reference, plugin: ByPassword, trust_id: str) -> None:
    """Take a trust back, as whom it came from."""
    try:
        with translated("ending a trust"):
            trustor: Session = service.with_login(plugin, service.url).session
            trustor.delete(f"{keystone_of(reference)}/OS-TRUST/trusts/{trust_id}", log=False)
    except GlancekitError as error:
        log.warning("trust %s is left until it ends by itself: %s", trust_id, error)
