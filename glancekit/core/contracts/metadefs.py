# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata contract that keeps metadata definitions.

What definitions mean, and whether images keep to them, is not its business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.metadef import (
    Association,
    Definition,
    DefinitionKind,
    Namespace,
    NamespacePage,
    NamespaceQuery,
    ResourceType,
)


class MetadefRepository(Protocol):
    """Namespaces, what they define, and the types of things that they are for.

    Names are exact: case counts, and so does every accent. A method that takes the name of a
    namespace raises ``MetadefNotFound`` when there is none.
    """

    # -- namespaces

    @abstractmethod
    def namespace(self, name: str, *, viewer: Viewer = EVERYBODY) -> Namespace:
        """Return one namespace; a writing unit of work holds it until its end.

        :raises MetadefNotFound: when there is none that the viewer may know of.
        """
        ...

    @abstractmethod
    def find(self, query: NamespaceQuery) -> NamespacePage:
        """Return a page in the query's order.

        :raises MetadefNotFound: when the marker is no namespace that the viewer may know of.
        """
        ...

    @abstractmethod
    def enforced(self) -> Sequence[Namespace]:
        """Return the namespaces that are enforced, by name: one cheap look where there is none."""
        ...

    @abstractmethod
    def add(self, namespace: Namespace) -> None:
        """Keep a new namespace.

        :raises Duplicate: when the name is taken.
        """
        ...

    @abstractmethod
    def save(self, name: str, namespace: Namespace) -> Namespace:
        """Replace what is kept under a name, and return it as saved.

        All but ``created_at`` may change, the name too; ``updated_at`` is set to now.

        :raises Duplicate: when the new name is taken.
        """
        ...

    @abstractmethod
    def remove(self, name: str) -> None:
        """Take a namespace away, with all definitions and associations in it."""
        ...

    # -- what they define

    @abstractmethod
    def definitions(self, namespace: str, kind: DefinitionKind) -> Sequence[Definition]:
        """Return all definitions of a kind, by name in the order of its code points."""
        ...

    @abstractmethod
    def definition(self, namespace: str, kind: DefinitionKind, name: str) -> Definition:
        """Return one definition.

        :raises MetadefNotFound: when there is no such definition.
        """
        ...

    @abstractmethod
    def define(self, namespace: str, definition: Definition) -> None:
        """Keep a new definition.

        :raises Duplicate: when the namespace has one of this kind and name.
        """
        ...

    @abstractmethod
    def redefine(self, namespace: str, name: str, definition: Definition) -> Definition:
        """Replace the definition of this kind under a name, and return it as saved.

        Name and content may change; ``updated_at`` is set to now.

        :raises MetadefNotFound: when there is no such definition.
        :raises Duplicate: when the new name is taken.
        """
        ...

    @abstractmethod
    def undefine(self, namespace: str, kind: DefinitionKind, name: str | None = None) -> int:
        """Take away one definition, or all of a kind; return how many.

        :raises MetadefNotFound: when one was named and is not there.
        """
        ...

    # -- what they are for

    @abstractmethod
    def resource_types(self) -> Sequence[ResourceType]:
        """Return every type that was ever associated, by name."""
        ...

    @abstractmethod
    def know(self, resource_type: ResourceType) -> None:
        """Keep a resource type that was known elsewhere; harmless when it is known here."""
        ...

    @abstractmethod
    def associations(self, namespaces: Collection[str]) -> Mapping[str, Sequence[Association]]:
        """Return the associations of each of these namespaces, by resource type.

        A namespace that has none, or is not there, is absent from the answer.
        """
        ...

    @abstractmethod
    def associate(self, namespace: str, association: Association) -> None:
        """Keep a new association, and its resource type when that is named for the first time.

        :raises Duplicate: when the namespace is associated with that type.
        """
        ...

    @abstractmethod
    def dissociate(self, namespace: str, resource_type: str) -> None:
        """Take an association away; the resource type stays.

        :raises MetadefNotFound: when there is no such association.
        """
        ...
