# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between sites. No message has a token in it, or a URL's user and password.

::

    GlancekitError
    └── ReplicationError        something else was answered than what was asked for
        ├── Denied              the site does not know the caller, or does not let them
        ├── Absent              it is not there, or not for this caller
        ├── Clash               it is there already, or in a state that does not allow this
        ├── Unanswered          no answer, or none now; what was done so far is kept
        ├── Damaged             bytes are not what their record says; none of them is used
        └── Busy                another run on this host has hold of it
"""

from __future__ import annotations

from glancekit.plugin import GlancekitError


class ReplicationError(GlancekitError):
    """A site answered something else than what was asked for."""


class Denied(ReplicationError):
    """The site does not know the caller, or does not let them."""


class Absent(ReplicationError):
    """It is not there, or not for this caller."""


class Clash(ReplicationError):
    """It is there already, or in a state that does not allow this."""


class Unanswered(ReplicationError):
    """No answer came, or none now."""


class Damaged(ReplicationError):
    """Bytes are not what their record says."""


class Busy(ReplicationError):
    """Another run on this host has hold of it."""


_KINDS: dict[int, type[ReplicationError]] = {
    401: Denied,
    403: Denied,
    404: Absent,
    410: Absent,
    409: Clash,
    408: Unanswered,
    425: Unanswered,
    429: Unanswered,
    500: Unanswered,  # a Glance on SQLite says so while somebody else writes
    502: Unanswered,
    503: Unanswered,
    504: Unanswered,
}


def refusal(
    site: str, what: str, status: int, message: str, *, offset: str | None = None
) -> ReplicationError:
    """Return what an answer of 300 or more means for ``what`` was asked of a site.

    ``offset`` is where the site says that an upload goes on; it becomes a fact of the error.
    """
    kind = _KINDS.get(status, ReplicationError)
    detail = f"{site} does not {what}: {message or 'no reason given'} ({status})"
    return kind(detail, offset=int(offset) if offset and offset.isdecimal() else None)
