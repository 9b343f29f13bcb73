# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the rules, by upstream's names and with upstream's defaults.

Where an operator's file has a rule of its own, that one counts; reading it is policy's business.
Whether an image can be seen at all is decided by the metadata driver's viewer; both gates must
open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from glancekit.core.errors import Forbidden
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Visibility

ADMIN = "context_is_admin"
"""The rule that says who is an administrator, here and in the eyes of the metadata driver."""

Decide = Callable[[Identity, str | None, str | None, str | None], bool]
"""Caller; owner and visibility of the thing, and the project it is shared with, where known."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Upstream's default for one action, as it is written there and as it is decided here.

    Both say the same; ``decide`` takes a hundredth of the time. A read-only caller may do what
    only ``reads``.
    """

    check: str
    decide: Decide
    help: str
    reads: bool = False


def _is_admin(
    caller: Identity, _owner: str | None, _visibility: str | None, _member: str | None
) -> bool:
    return caller.is_admin


def _is_everybody(
    _caller: Identity, _owner: str | None, _visibility: str | None, _member: str | None
) -> bool:
    return True


def _is_service(
    caller: Identity, _owner: str | None, _visibility: str | None, _member: str | None
) -> bool:
    return not caller.roles.isdisjoint({"service", "admin"})


def _is_admin_or_service(
    caller: Identity, owner: str | None, visibility: str | None, member: str | None
) -> bool:
    return caller.is_admin or _is_service(caller, owner, visibility, member)


def _is_service_or_member(
    caller: Identity, owner: str | None, visibility: str | None, member: str | None
) -> bool:
    return _is_service(caller, owner, visibility, member) or (
        "member" in caller.roles and _is_own(caller, owner)
    )


def _is_invited(
    caller: Identity, _owner: str | None, _visibility: str | None, member: str | None
) -> bool:
    return caller.is_admin or ("member" in caller.roles and _is_own(caller, member))


def _is_own(caller: Identity, project_id: str | None) -> bool:
    return caller.project_id is not None and caller.project_id == project_id


def _in_project(role: str, *, or_visible: Collection[str] = (), or_member: bool = False) -> Decide:
    """Build the rule for a role in the project that owns the thing, or that may share it."""
    wide = frozenset(or_visible)

    def decide(
        caller: Identity, owner: str | None, visibility: str | None, member: str | None
    ) -> bool:
        return caller.is_admin or (
            role in caller.roles
            and (
                _is_own(caller, owner)
                or visibility in wide
                or (or_member and _is_own(caller, member))
            )
        )

    return decide


_WIDE = (Visibility.COMMUNITY, Visibility.PUBLIC, Visibility.SHARED)
_A = f"rule:{ADMIN}"
_OWN = "project_id:%(project_id)s"
_MEMBER = "project_id:%(member_id)s"
_VISIBLE = " or ".join((_OWN, _MEMBER, *(f"'{kind}':%(visibility)s" for kind in _WIDE)))
_PROJECT_MEMBER = f"{_A} or (role:member and {_OWN})"
_PROJECT_READER = f"{_A} or (role:reader and {_OWN})"
_IN_NAMESPACE = f"{_A} or (role:reader and ({_OWN} or 'public':%(visibility)s))"

_member_decides = _in_project("member")
_reader_decides = _in_project("reader")


def _by_member(help: str, *, reads: bool = False) -> Rule:
    return Rule(_PROJECT_MEMBER, _member_decides, help, reads)


def _by_reader(help: str) -> Rule:
    return Rule(_PROJECT_READER, _reader_decides, help, reads=True)


def _by_admin(help: str, *, reads: bool = False) -> Rule:
    return Rule(_A, _is_admin, help, reads)


def _by_everybody(help: str, *, reads: bool = False) -> Rule:
    return Rule("rule:default", _is_everybody, help, reads)


def _where_visible(role: str, help: str) -> Rule:
    check = f"{_A} or (role:{role} and ({_VISIBLE}))"
    return Rule(check, _in_project(role, or_visible=_WIDE, or_member=True), help, reads=True)


def _where_shared(help: str) -> Rule:
    check = f"{_A} or (role:reader and ({_OWN} or {_MEMBER}))"
    return Rule(check, _in_project("reader", or_member=True), help, reads=True)


def _in_namespace(help: str) -> Rule:
    decide = _in_project("reader", or_visible=(Visibility.PUBLIC,))
    return Rule(_IN_NAMESPACE, decide, help, reads=True)


def _by_metadef_admin(help: str) -> Rule:
    return Rule("rule:metadef_admin", _is_admin, help)


_ROLES: Mapping[str, Rule] = {
    "default": Rule("", _is_everybody, "What rules stand on that leave it to everybody."),
    ADMIN: Rule("role:admin", _is_admin, "Who is an administrator, everywhere."),
    "service_api": Rule("role:service or role:admin", _is_service, "Who is another service."),
    "metadef_default": Rule("", _is_everybody, "What old rules of metadata definitions name."),
    "metadef_admin": _by_admin("Who may change metadata definitions."),
}

_IMAGES: Mapping[str, Rule] = {
    "add_image": Rule(
        f"{_A} or (role:member and {_OWN} and project_id:%(owner)s)",
        _member_decides,
        "Create an image.",
    ),
    "get_images": _by_reader("List images."),
    "get_image": _where_visible("reader", "See an image."),
    "modify_image": _by_member("Change an image, its properties and its tags."),
    "delete_image": _by_member("Delete an image."),
    "publicize_image": _by_admin("Make an image public."),
    "communitize_image": _by_member("Make an image a community image."),
    "upload_image": _by_member("Send an image's data."),
    "download_image": _where_visible("member", "Fetch an image's data."),
    "download_from_store": _where_visible("member", "Say which store to fetch data from."),
    "deactivate": _by_member("Take an image out of use."),
    "reactivate": _by_member("Put an image back into use."),
    "restore_image": _by_member("Have a deleted image back while its data is kept."),
    "copy_image": _by_admin("Copy an image's data to further stores."),
    "get_image_location": _by_reader("See where an image's data are."),
    "set_image_location": _by_member("Say where an image's data are, by PATCH."),
    "delete_image_location": _by_admin("Take one copy of an image's data away."),
    "add_image_location": Rule(
        f"rule:service_api or (role:member and {_OWN} and project_id:%(owner)s)",
        _is_service_or_member,
        "Say where an image's data are, with POST /v2/images/{id}/locations.",
    ),
    "fetch_image_location": Rule(
        "rule:service_api", _is_service, "GET /v2/images/{id}/locations.", reads=True
    ),
    "add_member": _by_member("Share an image with a project."),
    "delete_member": _by_member("Stop sharing an image with a project."),
    "get_members": _where_shared("List with whom an image is shared."),
    "get_member": _where_shared("See one project that an image is shared with."),
    "modify_member": Rule(
        f"{_A} or (role:member and {_MEMBER})", _is_invited, "Accept or reject a shared image."
    ),
}

_SERVICE: Mapping[str, Rule] = {
    "stores_info_detail": Rule(
        f"{_A} or rule:service_api",
        _is_admin_or_service,
        "See how the stores are configured.",
        reads=True,
    ),
    "get_usage": _by_admin("See what projects took of stores.", reads=True),
    "tasks_api_access": _by_admin("Use the tasks API at all."),
    "get_task": _by_everybody("See a task, for who may use the tasks API.", reads=True),
    "get_tasks": _by_everybody("List tasks, for who may use the tasks API.", reads=True),
    "add_task": _by_everybody("Create a task, for who may use the tasks API."),
    "modify_task": _by_everybody("Change a task; no route does."),
    "manage_image_cache": _by_admin("Use the old routes of the image cache."),
    "list_cached_nodes": _by_admin("See which nodes have an image in their cache.", reads=True),
    "cache_image": _by_admin("Have an image fetched into the cache."),
    "cache_list": _by_admin("See what is in the cache.", reads=True),
    "cache_delete": _by_admin("Take images out of the cache."),
    "cache_clean": _by_admin("Have what is broken removed from the cache."),
    "cache_prune": _by_admin("Have the cache made as small as it should be."),
}

_METADEFS: Mapping[str, Rule] = {
    "get_metadef_namespaces": _by_reader("List namespaces."),
    "get_metadef_namespace": _in_namespace("See a namespace."),
    "add_metadef_namespace": _by_metadef_admin("Create a namespace."),
    "modify_metadef_namespace": _by_metadef_admin("Change a namespace."),
    "delete_metadef_namespace": _by_metadef_admin("Delete a namespace."),
    "get_metadef_objects": _in_namespace("List a namespace's objects."),
    "get_metadef_object": _in_namespace("See an object."),
    "add_metadef_object": _by_metadef_admin("Create an object."),
    "modify_metadef_object": _by_metadef_admin("Change an object."),
    "delete_metadef_object": _by_metadef_admin("Delete an object."),
    "list_metadef_resource_types": _in_namespace("List resource types."),
    "get_metadef_resource_type": _in_namespace("See a namespace's resource types."),
    "add_metadef_resource_type_association": _by_metadef_admin(
        "Associate a namespace with a resource type."
    ),
    "remove_metadef_resource_type_association": _by_metadef_admin("Undo such an association."),
    "get_metadef_properties": _in_namespace("List a namespace's properties."),
    "get_metadef_property": _in_namespace("See a property."),
    "add_metadef_property": _by_metadef_admin("Create a property."),
    "modify_metadef_property": _by_metadef_admin("Change a property."),
    "remove_metadef_property": _by_metadef_admin("Delete a property."),
    "get_metadef_tags": _in_namespace("List a namespace's tags."),
    "get_metadef_tag": _in_namespace("See a tag."),
    "add_metadef_tag": _by_metadef_admin("Create a tag."),
    "add_metadef_tags": _by_metadef_admin("Create or replace a namespace's tags."),
    "modify_metadef_tag": _by_metadef_admin("Change a tag."),
    "delete_metadef_tag": _by_metadef_admin("Delete a tag."),
    "delete_metadef_tags": _by_metadef_admin("Delete all tags of a namespace."),
}

RULES: Mapping[str, Rule] = {**_ROLES, **_IMAGES, **_SERVICE, **_METADEFS}
"""Every rule that upstream has. What is not here is nobody's right."""


class OperatorRules(Protocol):
    """What an operator's file says, as policy.py reads it."""

    changed: Collection[str]
    """Rules that are not upstream's default, or that stand on one which is not."""

    def decide(self, name: str, credentials: dict[str, Any], target: Mapping[str, Any]) -> bool:
        """Evaluate one rule, be it one of ours or of the operator's own naming."""
        ...

    def knows(self, name: str) -> bool:
        """There is a rule of this name."""
        ...


def _no_rules() -> OperatorRules | None:
    return None


class Access:
    """May this caller do that? By upstream's defaults, and an operator's rules over them."""

    def __init__(self, operator: Callable[[], OperatorRules | None] = _no_rules) -> None:
        """Take what returns the operator's rules as they are now, None where there are none."""
        self._operator = operator

    def recognise(self, caller: Identity) -> Identity:
        """Return the caller with what this service makes of them: whether they administer it.

        Done once for each request. All rules are about projects (upstream's scope types), so a
        token of the whole system or of a domain makes nobody an administrator.
        """
        if caller.project_id is None:
            return replace(caller, admin=False)
        if self.is_changed(ADMIN):
            return replace(caller, admin=self.holds(caller, ADMIN))
        return caller

    def is_changed(self, action: str) -> bool:
        """The operator's rules decide about this action, and not upstream's default."""
        operator = self._operator()
        return operator is not None and action in operator.changed

    def may(
        self,
        caller: Identity,
        action: str,
        *,
        owner: str | None,
        image: Image | None = None,
        member: str | None = None,
        visibility: str | None = None,
    ) -> bool:
        """Say whether a caller may do something to a thing of this owner.

        :param image: the image that it is about, which the caller can see.
        :param member: the project whose membership it is about.
        :param visibility: that of the thing where it is no image.
        """
        rule = RULES[action]
        if caller.project_id is None or (caller.read_only and not rule.reads):
            return False
        if image is not None:
            visibility, member = image.visibility, member or _membership(caller, image)
        operator = self._operator()
        if operator is None or action not in operator.changed:
            return rule.decide(caller, owner, visibility, member)
        target = target_of(caller, owner, image=image, member=member, visibility=visibility)
        return operator.decide(action, credentials_of(caller), target)

    def require(
        self,
        caller: Identity,
        action: str,
        *,
        owner: str | None,
        image: Image | None = None,
        member: str | None = None,
        visibility: str | None = None,
    ) -> None:
        """Let a caller pass or not; what is asked is as for ``may``.

        :raises Forbidden: when the rule says no.
        """
        asked = self.may(
            caller, action, owner=owner, image=image, member=member, visibility=visibility
        )
        if not asked:
            words = action.replace("_", " ")
            hint = " without a project; authenticate for one" if caller.project_id is None else ""
            raise Forbidden(action=words + hint)

    def holds(self, caller: Identity, name: str) -> bool:
        """Say whether a rule holds that is about the caller alone; one unknown does not."""
        operator = self._operator()
        if operator is not None and (name in operator.changed or name not in RULES):
            return operator.knows(name) and operator.decide(name, credentials_of(caller), {})
        return name in RULES and RULES[name].decide(caller, None, None, None)

    def knows(self, name: str) -> bool:
        """There is a rule of this name, upstream's or the operator's own."""
        operator = self._operator()
        return name in RULES or (operator is not None and operator.knows(name))


def _membership(caller: Identity, image: Image) -> str | None:
    """Return the project as which a caller sees a shared image that is another's.

    The metadata driver shows such an image to its members alone (and to administrators).
    """
    if image.visibility is not Visibility.SHARED or image.owner is None or caller.is_admin:
        return None
    return caller.project_id if image.owner != caller.project_id else None


_ATTRIBUTES = (
    *("id", "name", "status", "visibility", "disk_format", "container_format", "size"),
    *("virtual_size", "checksum", "os_hash_algo", "os_hash_value", "min_disk", "min_ram"),
    *("protected", "os_hidden", "created_at", "updated_at", "tags"),
)
_SET_HERE = frozenset({*_ATTRIBUTES, "owner", "project_id", "member_id", "image_id", "user_id"})
"""What rules rely on. A property of such a name must never take its place."""


def target_of(
    caller: Identity,
    owner: str | None,
    *,
    image: Image | None = None,
    member: str | None = None,
    visibility: str | None = None,
) -> dict[str, Any]:
    """Return what ``%(name)s`` stands for in a rule.

    Without an owner there is no ``project_id``: nothing that a caller has is equal to nothing.
    """
    target: dict[str, Any] = {"owner": owner}
    if image is not None:
        own = image.properties.items()
        target.update({name: value for name, value in own if name not in _SET_HERE})
        target.update({name: getattr(image, name) for name in _ATTRIBUTES})
        target["image_id"] = image.id
        visibility, member = image.visibility, member or _membership(caller, image)
    if visibility is not None:
        target["visibility"] = str(visibility)
    if owner is not None:
        target["project_id"] = owner
    if member is not None:
        target["member_id"] = member
    return target


def credentials_of(caller: Identity) -> dict[str, Any]:
    """Return what stands before the colon in a rule, by upstream's names and their older ones."""
    service_roles = sorted(caller.service_roles)
    found: dict[str, Any] = {
        "roles": sorted(caller.roles),
        "service_roles": service_roles,
        "service_role": service_roles,
    }
    if caller.project_id is not None:
        found["project_id"] = found["tenant"] = caller.project_id
    if caller.user_id is not None:
        found["user_id"] = found["user"] = caller.user_id
    return found
