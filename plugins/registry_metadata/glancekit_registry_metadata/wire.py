# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire: the contract's values and errors as JSON. Sending is channel.py's.

A value that JSON lacks is an object with one key that begins with ``@``. Only the types named here
are ever made of what came in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, get_type_hints

import orjson

from glancekit.plugin import (
    Association,
    Comparison,
    Condition,
    Copy,
    Definition,
    DefinitionKind,
    Event,
    Finding,
    GlancekitError,
    Image,
    ImageQuery,
    ImageStatus,
    Invalid,
    Location,
    LocationStatus,
    Member,
    MemberStatus,
    MetadataError,
    Namespace,
    NamespacePage,
    NamespaceQuery,
    Page,
    PeriodicRun,
    PeriodicState,
    ProjectUsage,
    Quota,
    Recount,
    ResourceType,
    SortKey,
    StorageUse,
    Task,
    TaskQuery,
    TaskStatus,
    TaskType,
    Tombstone,
    UnitOfWork,
    Viewer,
    Visibility,
)

PROTOCOL = 1
"""The level of the messages themselves; that of what they carry is ``SHAPE``."""

REPOSITORIES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    name: {
        method: value
        for method, value in vars(contract).items()
        if callable(value) and not method.startswith("_")
    }
    for name, contract in get_type_hints(UnitOfWork).items()
    if not name.startswith("_")
}
"""What may be called: the methods of each repository, as the contract has them."""

_VALUES: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        Association, Condition, Copy, Definition, Event, Image, ImageQuery, Location, Member,
        Namespace, NamespacePage, NamespaceQuery, Page, PeriodicRun, PeriodicState, ProjectUsage,
        Recount, ResourceType, SortKey, StorageUse, Task, TaskQuery, Tombstone, Viewer,
    )
}  # fmt: skip

_NAMES: Mapping[str, type[StrEnum]] = {
    kind.__name__: kind
    for kind in (
        Comparison, DefinitionKind, Finding, ImageStatus, LocationStatus, MemberStatus, Quota,
        TaskStatus, TaskType, Visibility,
    )
}  # fmt: skip


_LARGEST = 1 << 53
"""From here on numbers are written as text: JSON's begin to lose their last digits there."""


def _fields(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


_FIELDS: Mapping[type, tuple[str, ...]] = {kind: _fields(kind) for kind in _VALUES.values()}


def _shape() -> str:
    described = [
        *(f"{name}({','.join(_FIELDS[kind])})" for name, kind in sorted(_VALUES.items())),
        *(f"{name}[{','.join(kind)}]" for name, kind in sorted(_NAMES.items())),
        *(f"{name}:{','.join(sorted(methods))}" for name, methods in sorted(REPOSITORIES.items())),
    ]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]


SHAPE = _shape()
"""A digest of all that can be said; two sides with the same one understand each other."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value in the terms of JSON, for a message that is put together of several."""

    content: Any


def dump(value: Any) -> bytes:
    """Return a value as JSON."""
    return orjson.dumps(encode(value))


def load(text: bytes) -> Any:
    """Return the value that ``dump`` was given.

    :raises Invalid: when it is no such value.
    """
    try:
        return decode(orjson.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise Invalid(f"This is no message between glancekit and its registry: {error}") from error


def encode(value: Any) -> Any:
    """Return a value in the terms of JSON."""
    if value is None or type(value) in (str, bool, float):
        return value
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    if isinstance(value, StrEnum):
        return {"@name": [type(value).__name__, value.value]}
    if is_dataclass(value) and type(value) in _FIELDS:
        return {
            "@value": [
                type(value).__name__,
                *(encode(getattr(value, name)) for name in _FIELDS[type(value)]),
            ]
        }
    if isinstance(value, Mapping):
        if all(type(part) is str for part in (*value, *value.values())):
            return {"@texts": dict(value)}
        return {"@map": [[encode(key), encode(part)] for key, part in value.items()]}
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"A {type(value).__name__} is nothing that the registry's messages carry")


_ENCODERS: Mapping[type, Callable[[Any], Any]] = {
    int: lambda value: value if -_LARGEST < value < _LARGEST else {"@int": str(value)},
    list: lambda value: [encode(part) for part in value],
    tuple: lambda value: {"@tuple": [encode(part) for part in value]},
    set: lambda value: {"@set": [encode(part) for part in value]},
    frozenset: lambda value: {"@set": [encode(part) for part in value]},
    datetime: lambda value: {"@time": value.isoformat()},
    Encoded: lambda value: value.content,
    bytes: lambda value: {"@bytes": base64.b64encode(value).decode()},
}


def decode(value: Any) -> Any:
    """Return what ``encode`` was given."""
    if isinstance(value, list):
        return [decode(part) for part in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    return _DECODERS[tag](content)


def _value(content: list[Any]) -> Any:
    name, *parts = content
    kind = _VALUES[name]
    return kind(**dict(zip(_FIELDS[kind], map(decode, parts), strict=True)))


def _name(content: list[str]) -> StrEnum:
    kind, value = content
    return _NAMES[kind](value)


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "@int": int,
    "@tuple": lambda content: tuple(decode(part) for part in content),
    "@set": lambda content: frozenset(decode(part) for part in content),
    "@time": datetime.fromisoformat,
    "@bytes": base64.b64decode,
    "@texts": lambda content: content,
    "@map": lambda content: {decode(key): decode(part) for key, part in content},
    "@name": _name,
    "@value": _value,
}


def encode_error(error: GlancekitError) -> Any:
    """Return an error in the terms of JSON; facts that cannot travel do as text."""
    facts = {name: _travelling(fact) for name, fact in error.facts.items() if name != "detail"}
    return [type(error).__name__, str(error.facts["detail"]), encode(facts)]


def _travelling(fact: Any) -> Any:
    try:
        encode(fact)
    except TypeError:
        return str(fact)
    return fact


def decode_error(content: Any) -> GlancekitError:
    """Return the error that the other side met."""
    name, detail, facts = content
    kind = _errors().get(name)
    if kind is None:
        return MetadataError(f"the registry met an error of a kind unknown here, {name}: {detail}")
    return kind(detail, **decode(facts))


def _errors() -> dict[str, type[GlancekitError]]:
    found: dict[str, type[GlancekitError]] = {}
    waiting: list[type[GlancekitError]] = [GlancekitError]
    while waiting:
        kind = waiting.pop()
        found[kind.__name__] = kind
        waiting.extend(kind.__subclasses__())
    return found
