# SPDX-License-Identifier: Apache-2.0
"""Records as lines of JSON, and back. Which there are, and their order, is not its business.

A dump begins with a line that says what it is, has a line for each record, and ends with a line
that counts the records and has a digest of every byte before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import orjson

from glancekit.core.errors import Invalid
from glancekit.core.model.image import (
    Finding,
    Image,
    Location,
    Member,
    MemberStatus,
    Tombstone,
    Visibility,
)
from glancekit.core.model.metadef import (
    Association,
    Definition,
    DefinitionKind,
    Namespace,
    ResourceType,
)
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import Task, TaskStatus, TaskType
from glancekit.core.storage_use import StorageUse

T = TypeVar("T")

FORMAT = 1
"""How these lines are to be read; a release reads its own format and those before it."""

HEADER = "glancekit-dump"
END = "end"


def to_line(content: Mapping[str, Any]) -> bytes:
    """Return a line; values of the model become objects, times texts."""
    return orjson.dumps(content, default=_plain) + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """Return what a line says.

    :raises Invalid: when it is no line of a dump.
    """
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The dump is damaged: a line of it is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise Invalid("The dump is damaged: a line of it is no object")
    return content


def build(kind: type[T], fields: Any) -> T:
    """Return the value that an object stands for.

    :raises Invalid: when it is not one of this kind, as this release knows it.
    """
    convert = _CONVERT[kind]
    try:
        return kind(**{key: convert.get(key, _as_it_is)(value) for key, value in fields.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise Invalid(
            f"The dump has a record that this release cannot read: {kind.__name__.lower()}: "
            f"{error}"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in a dump")


def _as_it_is(value: Any) -> Any:
    return value


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


_TIMES: Mapping[str, Callable[[Any], Any]] = {"created_at": _moment, "updated_at": _moment}

_CONVERT: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Image: {
        **_TIMES,
        "status": ImageStatus,
        "visibility": Visibility,
        "tags": frozenset,
        "locations": tuple,
    },
    Location: {
        "status": LocationStatus,
        "audited_at": _moment,
        "verified_at": _moment,
        "finding": lambda value: None if value is None else Finding(value),
    },
    Member: {**_TIMES, "status": MemberStatus},
    Tombstone: {"deleted_at": _moment},
    Task: {**_TIMES, "type": TaskType, "status": TaskStatus, "expires_at": _moment},
    Namespace: {**_TIMES, "visibility": Visibility},
    Definition: {**_TIMES, "kind": DefinitionKind},
    Association: _TIMES,
    ResourceType: _TIMES,
    StorageUse: {"day": _moment},
}
"""What a field's value is made of besides what JSON has."""
