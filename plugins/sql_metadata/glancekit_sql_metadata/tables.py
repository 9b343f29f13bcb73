# SPDX-License-Identifier: Apache-2.0
"""The tables of a glancekit database at this release's revision. Queries live elsewhere.

Times are integers: microseconds since 1970 in UTC. They sort right, compare right in every
dialect, and become a ``datetime`` in a third of a microsecond.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0001"
"""The migration whose result this module describes."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite gives rising positions that are never used twice only to an INTEGER primary key.
_Counter = BigInteger().with_variant(Integer, "sqlite")

images = Table(
    "images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(255)),
    Column("status", String(30), nullable=False),
    Column("visibility", String(10), nullable=False),
    Column("name", String(255)),
    Column("disk_format", String(20)),
    Column("container_format", String(20)),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("checksum", String(32)),
    Column("os_hash_algo", String(64)),
    Column("os_hash_value", String(128)),
    Column("min_disk", Integer, nullable=False),
    Column("min_ram", Integer, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("os_hidden", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    # Whole and in one place (JSON), so that an image is one row to read. What a list may be
    # filtered by is entered in image_lists besides.
    Column("properties", Text, nullable=False),
    Column("tags", Text, nullable=False),
)
"""Images that are not deleted."""

# For pages sorted by name or by updated_at; those in the usual order come from image_lists.
for _column in (images.c.name, images.c.updated_at):
    _order = (images.c.os_hidden, _column, images.c.created_at, images.c.id)
    Index(None, images.c.visibility, *_order)
    Index(None, images.c.owner, images.c.visibility, *_order)

image_lists = Table(
    "image_lists",
    metadata,
    Column("list", LargeBinary(16), primary_key=True),
    Column("created_at", BigInteger, primary_key=True),
    Column("image_id", String(36), primary_key=True),
    sqlite_with_rowid=False,
)
"""In which lists an image appears, each list in order: the reason why a page's cost is flat.

``list`` is a digest of what the list shows ("owner P's private images with tag T"); see lists.py.
"""

deleted_images = Table(
    "deleted_images",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(255)),
    Column("deleted_at", BigInteger, nullable=False),
)
"""What remains of a deleted image: its id, which is never given out again."""

image_locations = Table(
    "image_locations",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    # No foreign key: rows of bytes that wait to be removed outlive their image.
    Column("image_id", String(36), nullable=False),
    Column("store", String(255), nullable=False),
    Column("url", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("holder", String(255)),
    UniqueConstraint("image_id", "store"),
    sqlite_autoincrement=True,
)

Index(None, image_locations.c.status, image_locations.c.id)

image_members = Table(
    "image_members",
    metadata,
    Column("image_id", String(36), ForeignKey(images.c.id), primary_key=True),
    Column("project_id", String(255), primary_key=True),
    Column("status", String(10), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("position", _Counter, primary_key=True, autoincrement=True),
    Column("type", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("project_id", String(255)),
    Column("user_id", String(255)),
    Column("request_id", String(255)),
    Column("payload", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
"""The outbox."""

Index(None, events.c.at)

event_cursors = Table(
    "event_cursors",
    metadata,
    Column("listener", String(255), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""How far each listener has been told; the empty name marks how far the outbox was pruned."""

leases = Table(
    "leases",
    metadata,
    Column("holder", String(255), primary_key=True),
    Column("until", BigInteger, nullable=False),
)
