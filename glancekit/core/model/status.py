# SPDX-License-Identifier: Apache-2.0
"""The states of an image and of a location, and the one table of allowed moves.

Source: the state machine that Images v2 clients know (queued, saving, active ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from glancekit.core.errors import StatusConflict


class ImageStatus(StrEnum):
    """Where an image is in its life."""

    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    PENDING_DELETE = "pending_delete"
    KILLED = "killed"
    DELETED = "deleted"


class LocationStatus(StrEnum):
    """Where one copy of an image's bytes is in its life.

    A row is ``writing`` before the first byte goes to the store and ``pending_delete`` before the
    last one is removed from it, so that whoever finds the row can finish or undo the deed.
    """

    WRITING = "writing"
    ACTIVE = "active"
    PENDING_DELETE = "pending_delete"


_S = ImageStatus

TRANSITIONS: Mapping[ImageStatus, frozenset[ImageStatus]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.SAVING, _S.UPLOADING, _S.IMPORTING, _S.ACTIVE, _S.DELETED}),
        _S.SAVING: frozenset({_S.ACTIVE, _S.KILLED, _S.DELETED, _S.QUEUED}),
        _S.UPLOADING: frozenset({_S.IMPORTING, _S.QUEUED, _S.DELETED}),
        _S.IMPORTING: frozenset({_S.ACTIVE, _S.DELETED, _S.QUEUED}),
        _S.ACTIVE: frozenset({_S.PENDING_DELETE, _S.DELETED, _S.DEACTIVATED}),
        # Upstream lacks deactivated <-> pending_delete; every delete of data goes through it here.
        _S.DEACTIVATED: frozenset({_S.ACTIVE, _S.PENDING_DELETE, _S.DELETED}),
        _S.PENDING_DELETE: frozenset({_S.DELETED, _S.ACTIVE, _S.DEACTIVATED}),
        _S.KILLED: frozenset({_S.DELETED}),
        _S.DELETED: frozenset(),
    }
)


def require_transition(image_id: str, now: ImageStatus, to: ImageStatus) -> None:
    """Check one move against the table.

    :raises StatusConflict: when the table does not have it.
    """
    if to not in TRANSITIONS[now]:
        allowed = sorted(status for status, targets in TRANSITIONS.items() if to in targets)
        raise StatusConflict(image_id=image_id, status=now, wanted=" or ".join(allowed) or "-")
