# SPDX-License-Identifier: Apache-2.0
"""From a request's token to an identity. What a token is, is said in tokens.py."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancekit.plugin import (
    AuthDriver,
    Credentials,
    Identity,
    StrOpt,
    Unauthenticated,
    Unavailable,
)
from glancekit_token_auth.token_file import Records, TokenFile, TokenFileUnusable
from glancekit_token_auth.tokens import Record, id_of

log = logging.getLogger(__name__)

OPTIONS: tuple[Any, ...] = (
    StrOpt(
        "path",
        default="$data_dir/tokens.json",
        help="File that keeps the tokens of 'glancekit token': for whom they are, and hashes.",
    ),
)


class TokenAuth(AuthDriver):
    """Callers have a token of this service's own, in ``X-Auth-Token`` or as a bearer token."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = OPTIONS

    def __init__(self, options: Any, *, name: str) -> None:
        self._file = TokenFile(options.path)

    def authenticate(self, credentials: Credentials) -> Identity:
        """See the contract."""
        record = self._record(_token_in(credentials.headers))
        if record.is_expired(time.time()):
            raise Unauthenticated("The token has expired; ask for a new one")
        return Identity(
            user_id=record.user, project_id=record.project, roles=frozenset(record.roles)
        )

    def challenge(self) -> str | None:
        """See the contract."""
        return 'Bearer realm="glancekit"'

    def close(self) -> None:
        """See the contract."""

    def _record(self, token: str) -> Record:
        token_id = id_of(token)
        record = self._records().get(token_id) if token_id else None
        if record is None or not record.fits(token):
            raise Unauthenticated("The token is not valid")
        return record

    def _records(self) -> Records:
        try:
            return self._file.records()
        except TokenFileUnusable as error:
            log.error("%s", error)
            raise Unavailable("Tokens cannot be checked at present; try again later") from error


def _token_in(headers: Mapping[str, str]) -> str:
    token = headers.get("x-auth-token")
    if token:
        return token
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    return token.strip(" ")
