# SPDX-License-Identifier: Apache-2.0
"""The tables of a Glance database, as far as records are in them. Their meaning is told elsewhere.

The schema has been the same since its release 2024.1. Its caches and locks are not in here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Enum,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

REVISIONS = frozenset({"2024_1_expand01", "2024_1_contract01"})
"""What ``alembic_version`` may say: each branch has a row, and SQLite has the last one's alone."""

metadata = MetaData()


def _times() -> tuple[Column[Any], ...]:
    return (*_two_times(), Column("deleted_at", DateTime), Column("deleted", Boolean))


def _two_times() -> tuple[Column[Any], ...]:
    return Column("created_at", DateTime, nullable=False), Column("updated_at", DateTime)


_visibility = String(9).with_variant(
    Enum("private", "public", "shared", "community", name="image_visibility"), "postgresql"
)

alembic_version = Table("alembic_version", metadata, Column("version_num", String(32)))

images = Table(
    "images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255)),
    Column("disk_format", String(20)),
    Column("container_format", String(20)),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("status", String(30), nullable=False),
    Column("visibility", _visibility, nullable=False),
    Column("checksum", String(32)),
    Column("os_hash_algo", String(64)),
    Column("os_hash_value", String(128)),
    Column("min_disk", Integer, nullable=False),
    Column("min_ram", Integer, nullable=False),
    Column("owner", String(255)),
    Column("protected", Boolean, nullable=False),
    Column("os_hidden", Boolean, nullable=False),
    *_times(),
)

image_properties = Table(
    "image_properties",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", String(36), nullable=False),
    Column("name", String(255), nullable=False),
    Column("value", Text),
    *_times(),
)

image_tags = Table(
    "image_tags",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", String(36), nullable=False),
    Column("value", String(255), nullable=False),
    *_times(),
)

image_locations = Table(
    "image_locations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", String(36), nullable=False),
    Column("value", Text, nullable=False),
    Column("meta_data", Text),
    Column("status", String(30), nullable=False),
    *_times(),
)

image_members = Table(
    "image_members",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", String(36), nullable=False),
    Column("member", String(255), nullable=False),
    Column("can_share", Boolean, nullable=False),
    Column("status", String(20), nullable=False),
    *_times(),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("type", String(30), nullable=False),
    Column("status", String(30), nullable=False),
    Column("owner", String(255), nullable=False),
    Column("expires_at", DateTime),
    Column("image_id", String(36)),
    Column("request_id", String(64)),
    Column("user_id", String(64)),
    *_times(),
)

task_info = Table(
    "task_info",
    metadata,
    Column("task_id", String(36), primary_key=True),
    Column("input", Text),
    Column("result", Text),
    Column("message", Text),
)

namespaces = Table(
    "metadef_namespaces",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", String(80), nullable=False),
    Column("display_name", String(80)),
    Column("description", Text),
    Column("visibility", String(32)),
    Column("protected", Boolean),
    Column("owner", String(255), nullable=False),
    *_two_times(),
)

objects = Table(
    "metadef_objects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace_id", Integer, nullable=False),
    Column("name", String(80), nullable=False),
    Column("description", Text),
    Column("required", Text),
    Column("json_schema", Text, nullable=False),
    *_two_times(),
)

properties = Table(
    "metadef_properties",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace_id", Integer, nullable=False),
    Column("name", String(80), nullable=False),
    Column("json_schema", Text, nullable=False),
    *_two_times(),
)

tags = Table(
    "metadef_tags",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace_id", Integer, nullable=False),
    Column("name", String(80), nullable=False),
    *_two_times(),
)

resource_types = Table(
    "metadef_resource_types",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("protected", Boolean, nullable=False),
    *_two_times(),
)

associations = Table(
    "metadef_namespace_resource_types",
    metadata,
    Column("resource_type_id", Integer, primary_key=True),
    Column("namespace_id", Integer, primary_key=True),
    Column("properties_target", String(80)),
    Column("prefix", String(80)),
    *_two_times(),
)

cached_images = Table("cached_images", metadata, Column("id", BigInteger, primary_key=True))
