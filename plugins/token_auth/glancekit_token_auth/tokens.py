# SPDX-License-Identifier: Apache-2.0
"""What a token is, and when it is right. Where tokens are kept is the business of token_file.py.

A token is ``gk_<id>_<secret>``: the id is public, finds the record and names the token to
operators; the secret is 256 random bits. Of it all only the SHA-256 is kept. A slow hash would
add nothing: it defends passwords that people can remember, and nobody guesses 256 bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_FORM = re.compile(r"gk_([0-9a-f]{12})_[0-9a-f]{64}")

_IMPLIED = {"admin": "manager", "manager": "member", "member": "reader"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept of a token. Times are seconds since 1970; ``expires`` is None for never."""

    id: str
    digest: str
    user: str
    project: str
    roles: tuple[str, ...]
    created: float
    expires: float | None = None
    description: str = ""

    def fits(self, token: str) -> bool:
        """Tell whether this is the record of a token; takes as long for right as for wrong."""
        return hmac.compare_digest(self.digest, _digest(token))

    def is_expired(self, now: float) -> bool:
        """Tell whether the token's time is over."""
        return self.expires is not None and now >= self.expires


def make_token() -> tuple[str, str, str]:
    """Return a new token, its id and its digest."""
    token_id = secrets.token_hex(6)
    token = f"gk_{token_id}_{secrets.token_hex(32)}"
    return token, token_id, _digest(token)


def id_of(token: str) -> str | None:
    """Return the id in a token, None when it has not the form of one."""
    found = _FORM.fullmatch(token)
    return found[1] if found else None


def with_implied(roles: tuple[str, ...]) -> tuple[str, ...]:
    """Add what roles imply, as Keystone does: an admin is a manager, member and reader as well."""
    all_roles = {role.lower() for role in roles}
    for stronger, weaker in _IMPLIED.items():
        if stronger in all_roles:
            all_roles.add(weaker)
    return tuple(sorted(all_roles))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
