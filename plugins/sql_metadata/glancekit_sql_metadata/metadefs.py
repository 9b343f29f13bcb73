# SPDX-License-Identifier: Apache-2.0
"""The repository of metadata definitions. There are hundreds of them, not millions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Delete,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    or_,
    select,
    update,
)

from glancekit.plugin import (
    EVERYBODY,
    Association,
    Definition,
    DefinitionKind,
    Duplicate,
    MetadefNotFound,
    MetadefRepository,
    Namespace,
    NamespacePage,
    NamespaceQuery,
    ResourceType,
    Viewer,
    Visibility,
)
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import (
    metadef_associations,
    metadef_definitions,
    metadef_namespaces,
    metadef_resource_types,
)

_NAMESPACE = select(metadef_namespaces).where(metadef_namespaces.c.namespace == bindparam("name_"))
_ENFORCED = (
    select(metadef_namespaces)
    .where(metadef_namespaces.c.enforced.is_(True))
    .order_by(metadef_namespaces.c.namespace)
)
_SAVE = update(metadef_namespaces).where(metadef_namespaces.c.id == bindparam("id_"))
_REMOVE: tuple[Delete, ...] = (
    delete(metadef_definitions).where(metadef_definitions.c.namespace_id == bindparam("id_")),
    delete(metadef_associations).where(metadef_associations.c.namespace_id == bindparam("id_")),
    delete(metadef_namespaces).where(metadef_namespaces.c.id == bindparam("id_")),
)

_OF_KIND = (
    metadef_definitions.c.namespace_id == bindparam("id_"),
    metadef_definitions.c.kind == bindparam("kind_"),
)
_NAMED = metadef_definitions.c.name == bindparam("name_")
_DEFINITIONS = select(metadef_definitions).where(*_OF_KIND).order_by(metadef_definitions.c.name)
_DEFINITION = select(metadef_definitions).where(*_OF_KIND, _NAMED)
_REDEFINE = update(metadef_definitions).where(*_OF_KIND, _NAMED)
_UNDEFINE = delete(metadef_definitions).where(*_OF_KIND, _NAMED)
_UNDEFINE_ALL = delete(metadef_definitions).where(*_OF_KIND)

_RESOURCE_TYPES = select(metadef_resource_types).order_by(metadef_resource_types.c.name)
_RESOURCE_TYPE = select(metadef_resource_types.c.name).where(
    metadef_resource_types.c.name == bindparam("name_")
)
_ASSOCIATIONS = (
    select(metadef_namespaces.c.namespace, metadef_associations)
    .join_from(metadef_associations, metadef_namespaces)
    .where(metadef_namespaces.c.namespace.in_(bindparam("names", expanding=True)))
    .order_by(metadef_associations.c.resource_type)
)
_DISSOCIATE = delete(metadef_associations).where(
    metadef_associations.c.namespace_id == bindparam("id_"),
    metadef_associations.c.resource_type == bindparam("name_"),
)

_SORT_COLUMNS: Mapping[str, Column[Any]] = {
    "created_at": metadef_namespaces.c.created_at,
    "updated_at": metadef_namespaces.c.updated_at,
    "namespace": metadef_namespaces.c.namespace,
}


class _Found(NamedTuple):
    """A namespace, and the number by which the other tables know it."""

    id: int
    namespace: Namespace


class SqlMetadefs(MetadefRepository):
    """Metadata definitions in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- namespaces

    def namespace(self, name: str, *, viewer: Viewer = EVERYBODY) -> Namespace:
        """See the contract."""
        found = self._find(name).namespace
        if not _sees(viewer, found):
            raise MetadefNotFound(kind="namespace", name=name)
        return found

    def find(self, query: NamespaceQuery) -> NamespacePage:
        """See the contract."""
        statement = _matching(query)
        column, name = _SORT_COLUMNS[query.sort_key], metadef_namespaces.c.namespace
        if query.marker is not None:
            marker = self.namespace(query.marker, viewer=query.viewer)
            statement = statement.where(_behind(query, marker))
        keys = [key.desc() if query.descending else key.asc() for key in (column, name)]
        statement = statement.order_by(*keys)
        if query.limit is not None:
            # One more than is shown tells whether there is more.
            statement = statement.limit(query.limit + 1)
        found = [_namespace(row) for row in self._session.execute(statement)]
        page = found if query.limit is None else found[: query.limit]
        return NamespacePage(tuple(page), is_full=len(found) > len(page) > 0)

    def enforced(self) -> Sequence[Namespace]:
        """See the contract."""
        return [_namespace(row) for row in self._session.execute(_ENFORCED)]

    def add(self, namespace: Namespace) -> None:
        """See the contract."""
        values = {**_namespace_values(namespace), "created_at": rows.to_time(namespace.created_at)}
        self._add(
            metadef_namespaces, values, kind="metadata definition namespace", key=namespace.name
        )

    def save(self, name: str, namespace: Namespace) -> Namespace:
        """See the contract."""
        stored = self._find(name)
        saved = replace(
            namespace, created_at=stored.namespace.created_at, updated_at=datetime.now(UTC)
        )
        values = {"id_": stored.id, **_namespace_values(saved)}
        if not self._session.write_unless_taken(_SAVE, values):
            raise Duplicate(kind="metadata definition namespace", key=saved.name)
        return saved

    def remove(self, name: str) -> None:
        """See the contract."""
        key = {"id_": self._find(name).id}
        for statement in _REMOVE:
            self._session.write(statement, key)

    # -- what they define

    def definitions(self, namespace: str, kind: DefinitionKind) -> Sequence[Definition]:
        """See the contract."""
        key = {"id_": self._find(namespace).id, "kind_": kind.value}
        return [_definition(row) for row in self._session.execute(_DEFINITIONS, key)]

    def definition(self, namespace: str, kind: DefinitionKind, name: str) -> Definition:
        """See the contract."""
        key = {"id_": self._find(namespace).id, "kind_": kind.value, "name_": name}
        row = self._session.execute(_DEFINITION, key).first()
        if row is None:
            raise MetadefNotFound(kind=kind, name=name)
        return _definition(row)

    def define(self, namespace: str, definition: Definition) -> None:
        """See the contract."""
        values = {
            "namespace_id": self._find(namespace).id,
            "kind": definition.kind.value,
            "created_at": rows.to_time(definition.created_at),
            **_definition_values(definition),
        }
        what = f"metadata definition {definition.kind}"
        self._add(metadef_definitions, values, kind=what, key=definition.name)

    def redefine(self, namespace: str, name: str, definition: Definition) -> Definition:
        """See the contract."""
        stored = self.definition(namespace, definition.kind, name)
        saved = replace(definition, created_at=stored.created_at, updated_at=datetime.now(UTC))
        key = {
            "id_": self._find(namespace).id,
            "kind_": definition.kind.value,
            "name_": name,
        }
        values = {**key, **_definition_values(saved)}
        if not self._session.write_unless_taken(_REDEFINE, values):
            raise Duplicate(kind=f"metadata definition {definition.kind}", key=saved.name)
        return saved

    def undefine(self, namespace: str, kind: DefinitionKind, name: str | None = None) -> int:
        """See the contract."""
        key = {"id_": self._find(namespace).id, "kind_": kind.value}
        if name is None:
            return self._session.write(_UNDEFINE_ALL, key).rowcount
        if self._session.write(_UNDEFINE, {**key, "name_": name}).rowcount == 0:
            raise MetadefNotFound(kind=kind, name=name)
        return 1

    # -- what they are for

    def resource_types(self) -> Sequence[ResourceType]:
        """See the contract."""
        return [
            ResourceType(
                name=row.name,
                created_at=rows.from_time(row.created_at),
                updated_at=rows.from_time(row.updated_at),
            )
            for row in self._session.execute(_RESOURCE_TYPES)
        ]

    def know(self, resource_type: ResourceType) -> None:
        """See the contract."""
        values = {
            "name": resource_type.name,
            "created_at": rows.to_time(resource_type.created_at),
            "updated_at": rows.to_time(resource_type.updated_at),
        }
        insert_missing = self._session.dialect.insert_missing(metadef_resource_types)
        self._session.write(insert_missing, values)

    def associations(self, namespaces: Collection[str]) -> Mapping[str, Sequence[Association]]:
        """See the contract."""
        found: dict[str, list[Association]] = {}
        if namespaces:
            for row in self._session.execute(_ASSOCIATIONS, {"names": list(namespaces)}):
                found.setdefault(row.namespace, []).append(_association(row))
        return found

    def associate(self, namespace: str, association: Association) -> None:
        """See the contract."""
        namespace_id = self._find(namespace).id
        self._know(association.resource_type)
        values = {
            "namespace_id": namespace_id,
            "resource_type": association.resource_type,
            "prefix": association.prefix,
            "properties_target": association.properties_target,
            "created_at": rows.to_time(association.created_at),
            "updated_at": rows.to_time(association.updated_at),
        }
        kind = f"association of namespace '{namespace}' with"
        self._add(metadef_associations, values, kind=kind, key=association.resource_type)

    def dissociate(self, namespace: str, resource_type: str) -> None:
        """See the contract."""
        key = {"id_": self._find(namespace).id, "name_": resource_type}
        if self._session.write(_DISSOCIATE, key).rowcount == 0:
            raise MetadefNotFound(kind="resource type association", name=resource_type)

    def _know(self, resource_type: str) -> None:
        if self._session.execute(_RESOURCE_TYPE, {"name_": resource_type}).first() is None:
            # Two may name it first at the same time, so it replaces rather than fails.
            upsert = self._session.dialect.upsert(metadef_resource_types, "name", "updated_at")
            at = rows.to_time(datetime.now(UTC))
            values = {"name": resource_type, "created_at": at, "updated_at": at}
            self._session.write(upsert, values)

    def _find(self, name: str) -> _Found:
        session = self._session
        statement = _NAMESPACE if session.read_only else session.dialect.locking(_NAMESPACE)
        row = session.execute(statement, {"name_": name}).first()
        if row is None:
            raise MetadefNotFound(kind="namespace", name=name)
        return _Found(row.id, _namespace(row))

    def _add(self, table: Table, values: Mapping[str, Any], *, kind: str, key: str) -> None:
        if self._session.insert(table, values) is None:
            raise Duplicate(kind=kind, key=key)


# -- conditions


def _matching(query: NamespaceQuery) -> Select[Any]:
    statement = select(metadef_namespaces)
    columns = metadef_namespaces.c
    if not query.viewer.is_admin:
        public = columns.visibility == Visibility.PUBLIC.value
        statement = statement.where(or_(public, columns.owner == query.viewer.project_id))
    if query.visibility is not None:
        statement = statement.where(columns.visibility == query.visibility.value)
    if query.resource_types:
        associated = select(metadef_associations.c.namespace_id).where(
            metadef_associations.c.resource_type.in_(sorted(query.resource_types))
        )
        statement = statement.where(columns.id.in_(associated))
    return statement


def _behind(query: NamespaceQuery, marker: Namespace) -> ColumnElement[bool]:
    column, name = _SORT_COLUMNS[query.sort_key], metadef_namespaces.c.namespace
    if column is name:
        return name < marker.name if query.descending else name > marker.name
    at = rows.to_time(getattr(marker, query.sort_key))
    if query.descending:
        return or_(column < at, and_(column == at, name < marker.name))
    return or_(column > at, and_(column == at, name > marker.name))


def _sees(viewer: Viewer, namespace: Namespace) -> bool:
    public = namespace.visibility is Visibility.PUBLIC
    return viewer.is_admin or public or namespace.owner == viewer.project_id


# -- rows


def _namespace_values(namespace: Namespace) -> dict[str, Any]:
    """Return all that may change of a namespace."""
    return {
        "namespace": namespace.name,
        "owner": namespace.owner,
        "display_name": namespace.display_name,
        "description": namespace.description,
        "visibility": namespace.visibility.value,
        "protected": namespace.protected,
        "enforced": namespace.enforced,
        "updated_at": rows.to_time(namespace.updated_at),
    }


def _namespace(row: Any) -> Namespace:
    return Namespace(
        name=row.namespace,
        owner=row.owner,
        display_name=row.display_name,
        description=row.description,
        visibility=Visibility(row.visibility),
        protected=row.protected,
        enforced=row.enforced,
        created_at=rows.from_time(row.created_at),
        updated_at=rows.from_time(row.updated_at),
    )


def _definition_values(definition: Definition) -> dict[str, Any]:
    """Return all that may change of a definition."""
    return {
        "name": definition.name,
        "content": rows.to_json(definition.content),
        "updated_at": rows.to_time(definition.updated_at),
    }


def _definition(row: Any) -> Definition:
    return Definition(
        kind=DefinitionKind(row.kind),
        name=row.name,
        content=rows.from_json(row.content),
        created_at=rows.from_time(row.created_at),
        updated_at=rows.from_time(row.updated_at),
    )


def _association(row: Any) -> Association:
    return Association(
        resource_type=row.resource_type,
        prefix=row.prefix,
        properties_target=row.properties_target,
        created_at=rows.from_time(row.created_at),
        updated_at=rows.from_time(row.updated_at),
    )
