# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions as frozen values: what properties and tags mean, and what they may hold.

Who may see or change them is not their business, nor are the images that they speak of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.image import NOTHING, Visibility, now

IMAGE_TYPE = "OS::Glance::Image"
"""The resource type that images are; namespaces associated with it speak of images."""


class DefinitionKind(StrEnum):
    """What a namespace may define."""

    PROPERTY = "property"
    """One key, and what its value may be."""
    OBJECT = "object"
    """Several properties that belong together."""
    TAG = "tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A set of definitions under one name, public or its owner's own.

    With ``enforced`` image properties are held against its definitions. ``protected`` keeps it,
    and each thing in it, from being deleted.
    """

    name: str
    owner: str
    display_name: str | None = None
    description: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    protected: bool = False
    enforced: bool = False
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One property, object or tag of a namespace; its name is unique among those of its kind.

    ``content`` is all that it says besides its name, as plain JSON values: for a property its
    title, type and constraints; for an object its description, properties and which of these are
    required; for a tag nothing.
    """

    kind: DefinitionKind
    name: str
    content: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """That a namespace's definitions are for things of a type.

    On such a thing a property's name begins with ``prefix``. ``properties_target`` tells apart
    several sets of keys that things of one type may have.
    """

    resource_type: str
    prefix: str | None = None
    properties_target: str | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A type of things, as it was first named in an association."""

    name: str
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A namespace with all that it defines, as it is made, loaded or exported in one piece."""

    namespace: Namespace
    associations: tuple[Association, ...] = ()
    definitions: tuple[Definition, ...] = ()

    def of_kind(self, kind: DefinitionKind) -> tuple[Definition, ...]:
        """Return its definitions of one kind."""
        return tuple(found for found in self.definitions if found.kind is kind)


NAMESPACE_SORT_KEYS = ("created_at", "updated_at", "namespace")
"""By what a list of namespaces may be sorted; the name always breaks ties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceQuery:
    """A list of namespaces as a metadata driver has to answer it.

    A viewer sees public namespaces and its own, an administrator all. ``resource_types`` not
    empty: those associated with at least one of them. ``marker`` is the name of the last
    namespace of the page before, which must be visible to the viewer. ``limit`` None is no limit.
    """

    viewer: Viewer = EVERYBODY
    limit: int | None = None
    marker: str | None = None
    sort_key: str = "created_at"
    descending: bool = True
    visibility: Visibility | None = None
    resource_types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NamespacePage:
    """A page of namespaces; ``is_full`` tells that there is more."""

    namespaces: tuple[Namespace, ...]
    is_full: bool
