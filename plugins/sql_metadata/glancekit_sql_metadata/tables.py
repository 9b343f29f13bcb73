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

REVISION = "0010"
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
    # 0 stands for never: where a null sorts is another matter in each dialect.
    Column("audited_at", BigInteger, nullable=False, server_default="0"),
    Column("verified_at", BigInteger),
    Column("finding", String(20)),
    Column("reason", Text),
    UniqueConstraint("image_id", "store"),
    sqlite_autoincrement=True,
)

Index(None, image_locations.c.status, image_locations.c.id)
# For the audit: which copy of a store was looked at the longest ago, and of which it found what.
Index(
    None,
    image_locations.c.store,
    image_locations.c.status,
    image_locations.c.audited_at,
    image_locations.c.id,
)
Index(None, image_locations.c.finding, image_locations.c.id)

image_members = Table(
    "image_members",
    metadata,
    Column("image_id", String(36), ForeignKey(images.c.id), primary_key=True),
    Column("project_id", String(255), primary_key=True),
    Column("status", String(10), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

shared_images = Table(
    "shared_images",
    metadata,
    Column("image_id", String(36), ForeignKey(images.c.id), primary_key=True),
    Column("project_id", String(255), primary_key=True),
    Column("status", String(10), nullable=False),
    Column("os_hidden", Boolean, nullable=False),
    Column("name", String(255)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""What is shared with a project now, with what its pages are sorted by; in step with the image."""

for _column in (shared_images.c.name, shared_images.c.updated_at):
    Index(
        f"ix_shared_images_by_{_column.name}",
        shared_images.c.project_id,
        shared_images.c.status,
        shared_images.c.os_hidden,
        _column,
        shared_images.c.created_at,
        shared_images.c.image_id,
    )

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("type", String(30), nullable=False),
    Column("status", String(30), nullable=False),
    Column("owner", String(255)),
    Column("image_id", String(36)),
    Column("user_id", String(255)),
    Column("request_id", String(255)),
    Column("input", Text, nullable=False),
    Column("result", Text),
    Column("message", Text, nullable=False),
    Column("holder", String(255)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)
"""Work that outlives its request. No foreign key: a task is kept when its image is deleted."""

Index(None, tasks.c.created_at, tasks.c.id)
Index(None, tasks.c.status, tasks.c.created_at, tasks.c.id)
Index(None, tasks.c.image_id, tasks.c.created_at, tasks.c.id)
Index(None, tasks.c.expires_at)

metadef_namespaces = Table(
    "metadef_namespaces",
    metadata,
    # A number of its own, because the name may change.
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("namespace", String(80), nullable=False),
    Column("owner", String(255), nullable=False),
    Column("display_name", String(80)),
    Column("description", Text),
    Column("visibility", String(10), nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("enforced", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("namespace"),
    sqlite_autoincrement=True,
)

Index(None, metadef_namespaces.c.enforced)
for _column in (metadef_namespaces.c.created_at, metadef_namespaces.c.updated_at):
    Index(None, _column, metadef_namespaces.c.namespace)

metadef_definitions = Table(
    "metadef_definitions",
    metadata,
    Column("namespace_id", BigInteger, ForeignKey(metadef_namespaces.c.id), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("content", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
"""Properties, objects and tags, each whole and in one place (JSON)."""

metadef_associations = Table(
    "metadef_associations",
    metadata,
    Column("namespace_id", BigInteger, ForeignKey(metadef_namespaces.c.id), primary_key=True),
    Column("resource_type", String(80), primary_key=True),
    Column("prefix", String(80)),
    Column("properties_target", String(80)),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

metadef_resource_types = Table(
    "metadef_resource_types",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

project_usage = Table(
    "project_usage",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("image_bytes", BigInteger, nullable=False),
    Column("stage_bytes", BigInteger, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("uploading", BigInteger, nullable=False),
)
"""What each project uses: sums over its images, which every change of these keeps right."""

location_reservations = Table(
    "location_reservations",
    metadata,
    Column("location_id", BigInteger, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
)
"""How many bytes a copy that is being written may take, where that is reserved."""

storage_changes = Table(
    "storage_changes",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("project_id", String(255), nullable=False),
    Column("store", String(255), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
"""By how many bytes what a project keeps in a store has changed; until it is entered."""

storage_accounts = Table(
    "storage_accounts",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("store", String(255), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""How many bytes a project keeps in a store, and until when that is entered."""

# With the amount, so that what is behind is read from the index alone, in its order.
Index(None, storage_accounts.c.at, storage_accounts.c.amount)

storage_use = Table(
    "storage_use",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("project_id", String(255), primary_key=True),
    Column("store", String(255), primary_key=True),
    Column("byte_hours", BigInteger, nullable=False),
    Column("rest", BigInteger, nullable=False),
)
"""What a project took of a store on a day; ``rest`` in byte-microseconds."""

Index(None, storage_use.c.project_id, storage_use.c.day, storage_use.c.store)

marks = Table(
    "marks",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("text", Text, nullable=False),
)
"""How far work is that goes through everything."""

cached_images = Table(
    "cached_images",
    metadata,
    Column("node", String(255), primary_key=True),
    Column("image_id", String(36), primary_key=True),
    Column("until", BigInteger, nullable=False),
)
"""Which host said that it has which image in its cache, and until when that holds."""

Index(None, cached_images.c.image_id)

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

periodic_states = Table(
    "periodic_states",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("is_paused", Boolean, nullable=False),
    Column("requested_at", BigInteger),
    Column("due_at", BigInteger),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("runner", String(255), nullable=False),
    Column("result", Text),
    Column("error", Text),
    Column("version", BigInteger, nullable=False),
)
"""How each periodic task stands; without host, one of the whole service."""

periodic_runs = Table(
    "periodic_runs",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("name", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("runner", String(255), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("result", Text),
    Column("error", Text),
    sqlite_autoincrement=True,
)
"""The last runs of each."""

Index(None, periodic_runs.c.name, periodic_runs.c.host, periodic_runs.c.id)
Index(None, periodic_runs.c.name, periodic_runs.c.id)

locks = Table("locks", metadata, Column("name", String(30), primary_key=True))
"""Rows that are held by whoever does what one transaction at a time may do."""

commits = Table(
    "commits",
    metadata,
    Column("token", String(36), primary_key=True),
    Column("at", BigInteger, nullable=False),
)
"""What was committed lately: how to find out when the connection broke before the answer came."""

Index(None, commits.c.at)
