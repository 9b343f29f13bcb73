# SPDX-License-Identifier: Apache-2.0
"""The options of the service itself. Those of a driver are declared with the driver.

Where a thing is the same as upstream's, so is the name. Reading files is config.py's business.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from oslo_config import cfg, types

from glancekit.core.breaker import FAILURES, LONGEST_PAUSE, PAUSE
from glancekit.core.stores import DIRECT_TRANSFER_TTL, SWEEP_AFTER, ChooseBy, DirectTransfer
from glancekit.core.urifilter import FILTER_SECTION

DEFAULT = "DEFAULT"

STAGING_STORE = "os_glance_staging_store"
"""Upstream's id of the place for data on their way in. No store has an id that begins so."""

_SIZE = re.compile(r"(\d+)\s*(B|KB|MB|GB|TB)?", re.IGNORECASE)


class Size(types.ConfigType):
    """Bytes, written with a unit or without: 500MB is 500 times 1024 times 1024."""

    def __init__(self) -> None:
        super().__init__(type_name="size value (bytes, or a number with B, KB, MB, GB or TB)")

    def __call__(self, value: object) -> int:
        """Return the bytes."""
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            raise ValueError("it is no number with B, KB, MB, GB or TB")
        number, unit = match.groups()
        return int(number) << 10 * ("B", "KB", "MB", "GB", "TB").index((unit or "B").upper())

    def __repr__(self) -> str:
        return "Size"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    __hash__ = None  # type: ignore[assignment]

    def _formatter(self, value: object) -> str:
        return str(value)


class Folder(types.String):
    """A path, which means the same wherever the process goes afterwards."""

    def __call__(self, value: object) -> str:
        """Return it absolute, with ``~`` resolved."""
        return str(Path(str(value)).expanduser().absolute())


class Choices(types.List):
    """Items with commas between them, and brackets around them all or none: upstream has both."""

    def __call__(self, value: object) -> list[object]:
        """Return the items."""
        if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
            value = value[1:-1]
        return list(super().__call__(value))


def default_data_dir() -> str:
    """Return where data live when nobody says: root's at the system's place, else the user's."""
    if os.geteuid() == 0:
        return "/var/lib/glancekit"
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(home) / "glancekit")


def service_options() -> dict[str, list[cfg.Opt]]:
    """Return the options of every section that is always there."""
    return {
        DEFAULT: [
            *_places(),
            *_imports(),
            *_limits(),
            *_answers(),
            *_PROTECTIONS,
            *_deletes(),
            *_cache(),
            *_prefetching(),
            *_logs(),
        ],
        "glance_store": _STORES,
        "metadata": _METADATA,
        "auth": _AUTH,
        "quotas": _QUOTAS,
        "image_format": _FORMATS,
        "plugins": _PLUGINS,
        "oslo_policy": _POLICY,
        "task": _TASKS,
        "updater": _UPDATER,
        "image_import_opts": _IMPORTS,
        FILTER_SECTION: _FILTER,
        STAGING_STORE: _STAGING,
    }


def _deletes() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt(
            "tell_downloads",
            default=False,
            help="Make an event (image.send) of each download. It costs a write to the records "
            "for each, so it is off where nobody listens.",
        ),
        cfg.BoolOpt(
            "delayed_delete",
            default=False,
            help="Keep a deleted image's data for scrub_time, so that its owner or an "
            "administrator can have it back.",
        ),
        cfg.IntOpt(
            "scrub_time",
            default=0,
            min=0,
            help="Seconds for which a deleted image can be restored, where delayed_delete is on.",
        ),
        cfg.IntOpt(
            "wakeup_time",
            default=300,
            min=1,
            help="Seconds between looks for deleted images whose time is over.",
        ),
        cfg.FloatOpt(
            "scrub_rate",
            default=10.0,
            min=0.01,
            help="Images per second whose data the scrubber begins to remove at most, so that "
            "stores have time for others.",
        ),
    ]


def store_options() -> list[cfg.Opt]:
    """Return what every store's section has besides its driver's options."""
    return [
        cfg.StrOpt("store_description", default="", help="What users are told about the store."),
        cfg.IntOpt(
            "weight",
            default=0,
            help="Which copy of an image is read first: the one in the heaviest store. Where "
            "images go by [glance_store] choose_by, none goes to a store of negative weight.",
        ),
        cfg.BoolOpt("read_only", default=False, help="Serve what is there, add nothing."),
        cfg.BoolOpt(
            "drain",
            default=False,
            help="The store is being emptied: add nothing, and read the copies in other stores "
            "first, whatever they weigh.",
        ),
        cfg.FloatOpt(
            "timeout",
            default=30.0,
            min=0.1,
            help="Seconds that the store has for one answer. A hung medium then costs the "
            "requests that need it and no others.",
        ),
        *_breaker(),
        *_direct_transfer(),
        *_sweeping(),
    ]


def _breaker() -> list[cfg.Opt]:
    return [
        cfg.IntOpt(
            "breaker_failures",
            default=FAILURES,
            min=0,
            help="How many times in a row the store may fail to answer before it is passed over: "
            "reads take another copy at once, and where there is none get 503 at once, as do "
            "writes. 0: it is always asked. Only for stores that can tell how they are.",
        ),
        cfg.FloatOpt(
            "breaker_pause",
            default=PAUSE,
            min=0.1,
            help="Seconds after which a store that is passed over is asked how it is; each time "
            "that it does not answer, the pause is twice as long.",
        ),
        cfg.FloatOpt(
            "breaker_longest_pause",
            default=LONGEST_PAUSE,
            min=0.1,
            help="Seconds of the longest such pause.",
        ),
    ]


def _direct_transfer() -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            "direct_transfer",
            default=DirectTransfer.NEVER.value,
            choices=[choice.value for choice in DirectTransfer],
            help="Whether clients that download are sent to the store itself (a redirect to a "
            "signed URL), where it can do that. asked: those that send 'Prefer: direct-transfer'. "
            "always: all of them; most then show the store their token.",
        ),
        cfg.IntOpt(
            "direct_transfer_ttl",
            default=DIRECT_TRANSFER_TTL,
            min=1,
            max=604800,
            help="Seconds for which such a URL works.",
        ),
    ]


def _sweeping() -> list[cfg.Opt]:
    return [
        cfg.FloatOpt(
            "sweep_after",
            default=SWEEP_AFTER,
            min=0,
            help="Hours after which what an unfinished write left in the store is removed even "
            "where no record leads to it; also deleted images that clones needed until now. "
            "0: never, for a place that another service writes images to as well.",
        ),
        cfg.BoolOpt(
            "sweep_dry_run",
            default=False,
            help="Only say in the log what would be removed so.",
        ),
    ]


def _places() -> list[cfg.Opt]:
    return [
        cfg.Opt(
            "data_dir",
            type=Folder(),
            default=default_data_dir(),
            sample_default="/var/lib/glancekit for root, else ~/.local/share/glancekit",
            help="Folder for all that the service keeps. Other options may begin with $data_dir.",
        ),
        cfg.DictOpt(
            "enabled_backends",
            default={"local": "file"},
            help="The stores, as id:driver pairs. The options of a store are in the section that "
            "has its id as name; in these, $store_id stands for that id.",
        ),
    ]


def _imports() -> list[cfg.Opt]:
    return [
        cfg.Opt(
            "enabled_import_methods",
            type=Choices(),
            default=["glance-direct", "web-download", "copy-image"],
            help="Import methods that are offered, as far as their plugins are installed: "
            "glance-direct (data that were staged), web-download, glance-download (from another "
            "image service) and copy-image (to further stores). []: nothing can be imported.",
        ),
    ]


def _limits() -> list[cfg.Opt]:
    return [
        cfg.IntOpt(
            "image_size_cap",
            default=1 << 40,
            min=1,
            max=(1 << 63) - 1,
            help="Largest size of an image in bytes.",
        ),
        cfg.IntOpt(
            "image_property_quota",
            default=128,
            help="Most additional properties of an image; negative: any number.",
        ),
        cfg.IntOpt(
            "image_tag_quota", default=128, help="Most tags of an image; negative: any number."
        ),
        cfg.IntOpt(
            "image_member_quota",
            default=128,
            help="Most projects that an image is shared with; negative: any number.",
        ),
        cfg.IntOpt(
            "image_location_quota",
            default=10,
            help="Most places that an image's data may be in; negative: any number.",
        ),
        cfg.Opt(
            "user_storage_quota",
            type=Size(),
            default=0,
            sample_default="0",
            help="Most bytes that all copies of an owner's images may have, for example 500GB; "
            "0: any number. Not looked at with use_keystone_limits.",
        ),
        cfg.BoolOpt(
            "use_keystone_limits",
            default=False,
            help="Ask Keystone for projects' limits (image_size_total, image_stage_total, "
            "image_count_total, image_count_uploading); the same as [quotas] driver = keystone.",
        ),
        cfg.IntOpt(
            "limit_param_default",
            default=25,
            min=1,
            help="Entries of a list page when the request does not say how many.",
        ),
        cfg.IntOpt(
            "api_limit_max", default=1000, min=1, help="Most entries that a request may ask for."
        ),
        cfg.IntOpt(
            "max_request_id_length",
            default=64,
            min=0,
            help="Longest X-Openstack-Request-Id that is taken from a client.",
        ),
    ]


def _answers() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt(
            "show_image_direct_url",
            default=False,
            help="Show where in its store an image is (direct_url).",
        ),
        cfg.BoolOpt(
            "show_multiple_locations",
            default=False,
            help="Show all places of an image (locations), and let clients change them.",
        ),
        cfg.URIOpt(
            "public_endpoint",
            schemes=["http", "https"],
            help="Address under which clients reach the service, for the links in its answers. "
            "Default: the address that the request was sent to.",
        ),
        cfg.StrOpt(
            "hashing_algorithm",
            default="sha512",
            choices=["sha256", "sha384", "sha512", "sha3_256", "sha3_512", "blake2b", "blake2s"],
            help="Digest that is kept of every image as os_hash_value.",
        ),
        cfg.BoolOpt(
            "do_secure_hash",
            default=True,
            help="Read data that was registered by its location, to compute its digest or to hold "
            "it against the one that was given. When false, a given digest is believed.",
        ),
        cfg.Opt(
            "schema_image_file",
            type=Folder(),
            help="JSON file with the properties that the image schema shows besides the base "
            "ones. Default: schema-image.json beside a configuration file, else a built-in set.",
        ),
    ]


def _cache() -> list[cfg.Opt]:
    return [
        cfg.Opt(
            "image_cache_dir",
            type=Folder(),
            help="Folder of this host for images that were downloaded, to serve them from there "
            "the next time. All processes of the host share it. Default: nothing is cached.",
        ),
        cfg.Opt(
            "image_cache_max_size",
            type=Size(),
            default=10 << 30,
            sample_default="10GB",
            help="Most bytes that cached images take, those that are being fetched included. It "
            "is never passed: what has no room is served past the cache.",
        ),
        cfg.Opt(
            "image_cache_free_reserve",
            type=Size(),
            default=1 << 30,
            sample_default="1GB",
            help="Bytes of the cache's disk that stay free, whatever else is on it.",
        ),
        cfg.StrOpt(
            "image_cache_policy",
            default="lru",
            help="What is worth keeping, and what goes first when room is needed: lru, lfu, ttl, "
            "size, or a plugin's.",
        ),
        cfg.IntOpt(
            "image_cache_fills",
            default=16,
            min=1,
            help="Images that one process fetches into the cache at a time; more are served past "
            "it.",
        ),
        cfg.IntOpt(
            "image_cache_stall_time",
            default=86400,
            min=1,
            help="Seconds without a byte after which an unfinished image is removed. What a dead "
            "process left goes at once.",
        ),
        cfg.FloatOpt(
            "image_cache_verify_after",
            default=0.0,
            min=0.0,
            help="Hours after which a cached image is read again and held against its digest; 0: "
            "never.",
        ),
        cfg.StrOpt(
            "worker_self_reference_url",
            default="",
            help="URL of the service on this host. The cache tells by it which hosts have an "
            "image. Default: the name of the host.",
        ),
    ]


def _prefetching() -> list[cfg.Opt]:
    return [
        cfg.IntOpt(
            "cache_prefetcher_interval",
            default=300,
            min=1,
            help="Seconds between looks for images that image_cache_prefetch means.",
        ),
        cfg.ListOpt(
            "image_cache_prefetch",
            default=[],
            help="Which active images are fetched into the cache before anybody asks for them: "
            "tag:NAME or PROPERTY=VALUE, with commas between.",
        ),
    ]


def _logs() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt("debug", default=False, help="Log more than an operator normally wants."),
        cfg.StrOpt("log_file", help="File to log to. Default: the standard error stream."),
        cfg.StrOpt(
            "log_dir",
            help="Folder of log_file, where that has none; without log_file, of glancekit.log.",
        ),
        cfg.StrOpt(
            "log_format",
            default="auto",
            choices=["auto", "plain", "json"],
            help="plain: lines for people; json: one object a line, for a collector; auto: plain "
            "on a terminal, else json.",
        ),
    ]


_STORES: list[cfg.Opt] = [
    cfg.StrOpt(
        "default_backend",
        help="Id of the store that takes images when the request names none. May be left out "
        "when there is one store only.",
    ),
    cfg.StrOpt(
        "choose_by",
        default=ChooseBy.DEFAULT.value,
        choices=[choice.value for choice in ChooseBy],
        help="Which store takes an image when the request names none. default: default_backend, "
        "and no other. weight: the heaviest that can take it now. free_space: the one with the "
        "most room now, of those that know. Stores of negative weight are left out of both. Where "
        "none can take it, default_backend has to. A plugin (hook choose_store) may decide "
        "otherwise.",
    ),
]

_STAGING: list[cfg.Opt] = [
    cfg.Opt(
        "filesystem_store_datadir",
        type=Folder(),
        sample_default="$data_dir/staging",
        help="Folder for image data on their way in, from their arrival to the end of the import. "
        "It needs room for all imports that run at a time.",
    ),
    cfg.IntOpt(
        "unfinished_upload_hours",
        default=24,
        min=1,
        help="Hours for which an upload in parts waits for its next part. After them, what has "
        "come is removed, and the image is queued again.",
    ),
]

_METADATA: list[cfg.Opt] = [
    cfg.StrOpt(
        "driver", default="sqlite", help="Where records live; the driver's options follow."
    ),
]

_AUTH: list[cfg.Opt] = [
    cfg.StrOpt(
        "driver",
        default="none",
        help="Who finds out who is calling; the driver's options follow. With 'none' everybody "
        "is the administrator, so the service listens on loopback only.",
    ),
]

_QUOTAS: list[cfg.Opt] = [
    cfg.StrOpt(
        "driver",
        default="config",
        help="Who knows projects' limits: config (the options that follow) or keystone (its "
        "options are in [oslo_limit]).",
    ),
]

_FORMATS: list[cfg.Opt] = [
    cfg.ListOpt(
        "disk_formats",
        default=[
            *("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"),
        ],
        help="Values that disk_format may have.",
    ),
    cfg.ListOpt(
        "container_formats",
        default=["ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"],
        help="Values that container_format may have.",
    ),
    cfg.ListOpt(
        "vmdk_allowed_types",
        default=["streamOptimized", "monolithicSparse"],
        help="VMDK createTypes that are taken. Others may name files of the host.",
    ),
    cfg.BoolOpt(
        "require_image_format_match",
        default=True,
        help="Refuse data that are not of the disk_format that the image says.",
    ),
    cfg.ListOpt(
        "gpt_safety_checks_nonfatal",
        default=[],
        help="Safety checks of partition tables that are logged only, by name.",
    ),
]

_TASKS: list[cfg.Opt] = [
    cfg.IntOpt(
        "task_time_to_live",
        default=48,
        min=0,
        help="Hours for which a task is kept after its end.",
    ),
]

_UPDATER: list[cfg.Opt] = [
    cfg.IntOpt(
        "images_per_round",
        default=20_000,
        min=1,
        help="Images that each duty of the updater looks at in one round, of which there is one a "
        "minute. The next round goes on behind them.",
    ),
    cfg.IntOpt(
        "bytes_per_second",
        default=50 << 20,
        min=0,
        help="Bytes of image data a second that the updater reads to find out what records lack; "
        "0: as fast as the store gives them.",
    ),
    cfg.ListOpt(
        "lifecycle",
        default=[],
        item_type=types.String(choices=["hide", "deactivate", "delete"]),
        help="What happens to images when a date in their properties has come: hide "
        "(lifecycle_hide_at), deactivate (lifecycle_deactivate_at), delete (lifecycle_delete_at). "
        "Default: nothing. Protected images are left alone.",
    ),
    cfg.BoolOpt(
        "correct_disk_format",
        default=False,
        help="Change an image's disk_format to what its data turned out to be. Otherwise that is "
        "only written into its property os_glance_detected_format.",
    ),
    cfg.IntOpt(
        "usage_days",
        default=800,
        min=2,
        help="Days for which it is kept what projects took of stores ('glancekit usage').",
    ),
]

_NAMES = Choices()

_IMPORTS: list[cfg.Opt] = [
    cfg.Opt(
        "image_import_plugins",
        type=_NAMES,
        default=[],
        help="Steps that are done to what is imported, in this order, each by its plugin's name.",
    ),
    cfg.IntOpt(
        "max_parallel_stores",
        default=1,
        min=1,
        max=64,
        help="Stores that one import writes to at a time.",
    ),
]

_PORTS = Choices(types.Integer(min=1, max=65535))

_FILTER: list[cfg.Opt] = [
    cfg.Opt(
        "allowed_schemes",
        type=_NAMES,
        default=["http", "https"],
        help="Schemes of the URLs that users may have the service fetch from. Where a list of "
        "what is allowed is given, the list of what is not does not count.",
    ),
    cfg.Opt(
        "disallowed_schemes",
        type=_NAMES,
        default=[],
        help="Schemes that are not, where allowed_schemes is [].",
    ),
    cfg.Opt("allowed_ports", type=_PORTS, default=[80, 443], help="Ports of these URLs."),
    cfg.Opt(
        "disallowed_ports",
        type=_PORTS,
        default=[],
        help="Ports that are not, where allowed_ports is [].",
    ),
    cfg.Opt(
        "allowed_hosts",
        type=_NAMES,
        default=[],
        help="Names, addresses and networks (192.0.2.0/24) that the URL's host must be one of; "
        "none: any. Only such a host may be loopback or link-local.",
    ),
    cfg.Opt(
        "disallowed_hosts",
        type=_NAMES,
        default=[],
        help="Names, addresses and networks that the host may neither be nor resolve to, where "
        "allowed_hosts is empty.",
    ),
    cfg.BoolOpt(
        "allow_private",
        default=True,
        help="Let hosts be in private networks (10.0.0.0/8 and the like), too.",
    ),
]

_PROTECTIONS: list[cfg.Opt] = [
    cfg.StrOpt(
        "property_protection_file",
        help="File that says who may read, create, update and delete which properties of images; "
        "read again when it changes. A relative path is looked for beside the configuration "
        "files. Default: whoever may change an image may change its properties.",
    ),
    cfg.StrOpt(
        "property_protection_rule_format",
        default="roles",
        choices=["roles", "policies"],
        help="What that file names: roles, or rules of the policy file.",
    ),
]

_POLICY: list[cfg.Opt] = [
    cfg.StrOpt(
        "policy_file",
        sample_default="policy.yaml beside a configuration file, if there is one",
        help="File with the rules that are to replace the defaults; read again when it changes. "
        "A relative path is looked for beside the configuration files.",
    ),
    cfg.MultiStrOpt(
        "policy_dirs",
        default=["policy.d"],
        help="Folders with further such files, which count more.",
    ),
]

_PLUGINS: list[cfg.Opt] = [
    cfg.ListOpt(
        "disabled",
        default=[],
        help="Hook plugins that are installed but shall not listen, by name.",
    ),
    cfg.FloatOpt(
        "plugin_start_timeout",
        default=5.0,
        min=0.1,
        help="Seconds that plugins have to be imported and built. Those that hang are left out.",
    ),
]
