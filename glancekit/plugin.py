# SPDX-License-Identifier: Apache-2.0
"""The one door for plugin authors: all that a plugin may import, with the API level it belongs to.

What is re-exported here changes only with the API level (see ``docs/reference/plugin-api.rst``);
the host takes plugins of this level and the two before.
"""

from __future__ import annotations

from oslo_config.cfg import (
    BoolOpt,
    FloatOpt,
    IntOpt,
    ListOpt,
    MultiStrOpt,
    PortOpt,
    StrOpt,
    URIOpt,
)

from glancekit.core.contracts.auth import AuthDriver, Credentials
from glancekit.core.contracts.cache import CacheEntry, CachePolicy
from glancekit.core.contracts.importing import ImportMethod, ImportStep, Progress, StagedImage
from glancekit.core.contracts.metadata import (
    EventRepository,
    ImageRepository,
    LeaseRepository,
    LocationRepository,
    MemberRepository,
    MetadataDriver,
    SupportsMigration,
    UnitOfWork,
)
from glancekit.core.contracts.store import (
    StoreDriver,
    SupportsAcl,
    SupportsClone,
    SupportsDelete,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsLocalFile,
    SupportsRange,
    SupportsUsage,
    SupportsWrite,
    Usage,
)
from glancekit.core.drivers import API_LEVEL
from glancekit.core.errors import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    BodyCutShort,
    ConfigError,
    Conflict,
    Duplicate,
    GlancekitError,
    ImageNotFound,
    Invalid,
    MemberNotFound,
    MetadataError,
    MetadataUnavailable,
    SchemaMismatch,
    StatusConflict,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    Unauthenticated,
    Unavailable,
    translating,
)
from glancekit.core.hookspecs import ReadSection, hookimpl
from glancekit.core.model.events import Event
from glancekit.core.model.identity import EVERYBODY, Identity, Viewer, secret
from glancekit.core.model.image import Image, Location, Member, MemberStatus, Visibility
from glancekit.core.model.listing import (
    Comparison,
    Condition,
    ImageQuery,
    Page,
    SortKey,
)
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.periodic import PeriodicTask
from glancekit.core.stream import CHUNK_SIZE, ByteStream, FileStream, IteratorStream

__all__ = [
    "API_LEVEL",
    "CHUNK_SIZE",
    "EVERYBODY",
    "AuthDriver",
    "BlobExists",
    "BlobInUse",
    "BlobNotFound",
    "BodyCutShort",
    "BoolOpt",
    "ByteStream",
    "CacheEntry",
    "CachePolicy",
    "Comparison",
    "Condition",
    "ConfigError",
    "Conflict",
    "Credentials",
    "Duplicate",
    "Event",
    "EventRepository",
    "FileStream",
    "FloatOpt",
    "GlancekitError",
    "Identity",
    "Image",
    "ImageNotFound",
    "ImageQuery",
    "ImageRepository",
    "ImageStatus",
    "ImportMethod",
    "ImportStep",
    "IntOpt",
    "Invalid",
    "IteratorStream",
    "LeaseRepository",
    "ListOpt",
    "Location",
    "LocationRepository",
    "LocationStatus",
    "Member",
    "MemberNotFound",
    "MemberRepository",
    "MemberStatus",
    "MetadataDriver",
    "MetadataError",
    "MetadataUnavailable",
    "MultiStrOpt",
    "Page",
    "PeriodicTask",
    "PortOpt",
    "Progress",
    "ReadSection",
    "SchemaMismatch",
    "SortKey",
    "StagedImage",
    "StatusConflict",
    "StoreDenied",
    "StoreDriver",
    "StoreFailed",
    "StoreFull",
    "StoreReadOnly",
    "StoreUnavailable",
    "StrOpt",
    "SupportsAcl",
    "SupportsClone",
    "SupportsDelete",
    "SupportsDirectUrl",
    "SupportsHealth",
    "SupportsLocalFile",
    "SupportsMigration",
    "SupportsRange",
    "SupportsUsage",
    "SupportsWrite",
    "URIOpt",
    "Unauthenticated",
    "Unavailable",
    "UnitOfWork",
    "Usage",
    "Viewer",
    "Visibility",
    "hookimpl",
    "secret",
    "translating",
]
