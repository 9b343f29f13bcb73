# SPDX-License-Identifier: Apache-2.0
"""What events say about metadata definitions, under the names that upstream's notifications have.

Who is told, and how, is the listeners' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glancekit.core.model.events import Event
from glancekit.core.model.identity import Identity
from glancekit.core.model.metadef import Association, Definition, Namespace


def about_namespace(
    namespace: Namespace, what: str, caller: Identity | None, *, old_name: str | None = None
) -> Event:
    """Make the event ``metadef_namespace.<what>``; no caller: an operator did it."""
    payload = {
        "namespace": namespace.name,
        "namespace_old": old_name or namespace.name,
        "display_name": namespace.display_name,
        "description": namespace.description,
        "visibility": namespace.visibility.value,
        "protected": namespace.protected,
        "owner": namespace.owner,
        "created_at": namespace.created_at.isoformat(),
        "updated_at": namespace.updated_at.isoformat(),
    }
    return _event(f"metadef_namespace.{what}", namespace.name, caller, payload)


def about_definition(
    namespace: str,
    definition: Definition,
    what: str,
    caller: Identity | None,
    *,
    old_name: str | None = None,
) -> Event:
    """Make the event ``metadef_property.<what>``, ``metadef_object.`` or ``metadef_tag.``."""
    payload = {
        **definition.content,
        "namespace": namespace,
        "name": definition.name,
        "name_old": old_name or definition.name,
        "created_at": definition.created_at.isoformat(),
        "updated_at": definition.updated_at.isoformat(),
    }
    return _event(f"metadef_{definition.kind}.{what}", namespace, caller, payload)


def about_association(
    namespace: str, association: Association, what: str, caller: Identity | None
) -> Event:
    """Make the event ``metadef_resource_type.<what>``."""
    payload = {
        "namespace": namespace,
        "name": association.resource_type,
        "prefix": association.prefix,
        "properties_target": association.properties_target,
        "created_at": association.created_at.isoformat(),
        "updated_at": association.updated_at.isoformat(),
    }
    return _event(f"metadef_resource_type.{what}", namespace, caller, payload)


def _event(kind: str, subject: str, caller: Identity | None, payload: Mapping[str, Any]) -> Event:
    return Event(
        type=kind,
        subject=subject,
        project_id=caller.project_id if caller else None,
        user_id=caller.user_id if caller else None,
        request_id=caller.request_id if caller else None,
        payload=payload,
    )
