# SPDX-License-Identifier: Apache-2.0
"""Who asks. What they may do is decided in services/access."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The caller, as an auth driver found them. Roles are lower case.

    ``request_id`` ties what they cause to their request. ``token`` is what they authenticated
    with, for drivers that act in their name; it is kept out of ``repr`` and so out of logs.
    ``admin`` is for services/access alone, where an operator has another idea of administrators.
    """

    user_id: str | None
    project_id: str | None
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()
    read_only: bool = False
    request_id: str | None = None
    token: _Secret | None = None
    admin: bool | None = None

    @property
    def is_admin(self) -> bool:
        """The role that upstream's defaults name ``context_is_admin``, or the operator's rule."""
        return "admin" in self.roles if self.admin is None else self.admin


class _Secret(str):
    """A string that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def secret(text: str) -> _Secret:
    """Mark a credential, so that it never shows in a repr."""
    return _Secret(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Whose eyes a metadata query uses: a project's, or everybody's for an administrator."""

    project_id: str | None
    is_admin: bool = False

    @classmethod
    def of(cls, identity: Identity) -> Viewer:
        """The viewer that an identity is."""
        return cls(project_id=identity.project_id, is_admin=identity.is_admin)


EVERYBODY = Viewer(project_id=None, is_admin=True)
"""The service itself, which sees all."""
