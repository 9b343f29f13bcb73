# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the rules, by upstream's names and with upstream's defaults.

Whether an image can be seen at all is decided by the metadata driver's viewer; both gates must
open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from glancekit.core.errors import Forbidden
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Visibility

Rule = Callable[[Identity, str | None, Image | None], bool]
"""Caller, owner of the thing, and the image where there is one."""

READS = frozenset({"get_images", "get_image", "download_image", "get_members"})
"""Actions that a read-only caller may still do."""

_WIDE = frozenset({Visibility.PUBLIC, Visibility.COMMUNITY, Visibility.SHARED})


def _admin(caller: Identity, _owner: str | None, _image: Image | None) -> bool:
    return caller.is_admin


def _project(role: str) -> Rule:
    """Build the rule for a role in the project that owns the thing."""

    def rule(caller: Identity, owner: str | None, _image: Image | None) -> bool:
        own = caller.project_id is not None and caller.project_id == owner
        return caller.is_admin or (role in caller.roles and own)

    return rule


def _visible(role: str) -> Rule:
    """Build the rule for a role that reaches as far as the image is visible."""
    in_project = _project(role)

    def rule(caller: Identity, owner: str | None, image: Image | None) -> bool:
        wide = image is not None and (image.visibility in _WIDE or image.owner is None)
        return in_project(caller, owner, image) or (role in caller.roles and wide)

    return rule


def _anyone_with(role: str) -> Rule:
    def rule(caller: Identity, _owner: str | None, _image: Image | None) -> bool:
        return caller.is_admin or role in caller.roles

    return rule


RULES: Mapping[str, Rule] = {
    "add_image": _project("member"),
    "get_images": _anyone_with("reader"),
    "get_image": _visible("reader"),
    "modify_image": _project("member"),
    "delete_image": _project("member"),
    "publicize_image": _admin,
    "communitize_image": _project("member"),
    "upload_image": _project("member"),
    "deactivate": _project("member"),
    "reactivate": _project("member"),
    "add_member": _project("member"),
    "delete_member": _project("member"),
    "get_members": _project("reader"),
    "modify_member": _project("member"),
    "download_image": _visible("member"),
}
"""Every action that a service asks about; what is not here is nobody's right."""


def may(caller: Identity, action: str, *, owner: str | None, image: Image | None = None) -> bool:
    """Say whether a caller may do something to a thing of this owner."""
    if caller.read_only and action not in READS:
        return False
    return RULES[action](caller, owner, image)


def require(
    caller: Identity, action: str, *, owner: str | None, image: Image | None = None
) -> None:
    """Let a caller pass or not.

    :raises Forbidden: when the rule says no.
    """
    if not may(caller, action, owner=owner, image=image):
        raise Forbidden(action=action.replace("_", " "))
