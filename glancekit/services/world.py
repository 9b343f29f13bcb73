# SPDX-License-Identifier: Apache-2.0
"""What every use case works with, built once by bootstrap and passed down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from glancekit.core.background import Background
from glancekit.core.cache.image_cache import ImageCache
from glancekit.core.contracts.auth import AuthDriver
from glancekit.core.contracts.importing import ImportMethod, ImportStep
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.counters import Counters
from glancekit.core.drivers import PluginReport
from glancekit.core.hooks import Hooks
from glancekit.core.lease import Lease
from glancekit.core.stores import Stores
from glancekit.core.urifilter import UriFilter
from glancekit.flows.ports import Job
from glancekit.services.access import Access
from glancekit.services.keeping.options import Auditing, Placement
from glancekit.services.protections import Protections

DISK_FORMATS = (
    "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop",
)  # fmt: skip
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator decided about the use cases. Sizes in bytes; a negative limit is none.

    ``task_time_to_live`` and ``unfinished_upload_hours`` are in hours, ``scrub_time`` and
    ``wakeup_time`` are in seconds, ``scrub_rate`` is in images per second.
    """

    disk_formats: tuple[str, ...] = DISK_FORMATS
    container_formats: tuple[str, ...] = CONTAINER_FORMATS
    image_size_cap: int = 1 << 40
    image_property_quota: int = 128
    image_tag_quota: int = 128
    image_member_quota: int = 128
    user_storage_quota: int = 0
    image_location_quota: int = 10
    limit_param_default: int = 25
    api_limit_max: int = 1000
    show_image_direct_url: bool = False
    show_multiple_locations: bool = False
    hashing_algorithm: str = "sha512"
    do_secure_hash: bool = True
    task_time_to_live: int = 48
    unfinished_upload_hours: int = 24
    tell_downloads: bool = False
    delayed_delete: bool = False
    scrub_time: int = 0
    wakeup_time: int = 300
    scrub_rate: float = 10.0
    schema_image_file: str | None = None
    require_image_format_match: bool = True
    vmdk_allowed_types: tuple[str, ...] = ("streamOptimized", "monolithicSparse")
    gpt_safety_checks_nonfatal: tuple[str, ...] = ()
    public_endpoint: str | None = None
    max_request_id_length: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Updating:
    """How records are brought up to date: how much at a time, and what may be changed.

    ``images_per_round`` images are looked at in one run of each duty, data is read at
    ``bytes_per_second`` (0: as fast as it comes), and what was taken of stores is kept for
    ``usage_days``.
    """

    images_per_round: int = 20_000
    bytes_per_second: int = 50 << 20
    lifecycle: tuple[str, ...] = ()
    correct_disk_format: bool = False
    usage_days: int = 800


def _nothing() -> None:
    """Have nothing to close."""


def _nobody(_job: Job) -> None:
    """Leave it to whoever looks for imports that are on no board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importing:
    """What imports are made of here, by name; methods of the service's own have no driver.

    ``steps`` are in the order in which they run. ``announce`` puts an import on the board,
    ``close`` lets go of that.
    """

    methods: Mapping[str, ImportMethod | None] = field(default_factory=dict)
    steps: Mapping[str, ImportStep] = field(default_factory=dict)
    max_parallel_stores: int = 1
    announce: Callable[[Job], None] = _nobody
    close: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The parts of a running service; a context manager that closes them.

    ``staging`` is the folder for image data on their way in; it may not be there yet.
    ``cache_error`` says why there is no cache where the operator wants one. ``web_filter`` says
    to which web servers clients may send the service; None leaves that to the stores. In
    ``counters`` is what the plugins were asked.
    """

    metadata: MetadataDriver
    stores: Stores
    auth: AuthDriver
    hooks: Hooks
    lease: Lease
    staging: Path
    settings: Settings = field(default_factory=Settings)
    updating: Updating = field(default_factory=Updating)
    access: Access = field(default_factory=Access)
    protections: Protections = field(default_factory=Protections)
    limits: LimitSource | None = None
    importing: Importing = field(default_factory=Importing)
    cache: ImageCache | None = None
    cache_error: str = ""
    background: Background = field(default_factory=Background)
    auditing: Auditing = field(default_factory=Auditing)
    placement: Placement = field(default_factory=Placement)
    web_filter: UriFilter | None = None
    plugins: tuple[PluginReport, ...] = ()
    counters: Counters = field(default_factory=Counters)

    def close(self) -> None:
        """Stop, in the reverse order of the start. All parts are closed, also when some fail."""
        with ExitStack() as parts:
            parts.callback(self.metadata.close)
            parts.callback(self.auth.close)
            if self.limits is not None:
                parts.callback(self.limits.close)
            parts.callback(self.stores.close)
            parts.callback(self.importing.close)
            parts.callback(self.lease.stop)
            parts.callback(self.background.stop)
            if self.cache is not None:
                parts.callback(self.cache.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
