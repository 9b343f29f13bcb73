# SPDX-License-Identifier: Apache-2.0
"""The options of images: how many and how large they may be, what is shown of them, how they go.

How they are imported is the business of ``imports``, where their bytes are of ``stores``.
"""

from __future__ import annotations

from oslo_config import cfg

from glancekit.core.options.value_types import Folder, Size


def limits() -> list[cfg.Opt]:
    """Return what images, and requests about them, may be at most."""
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


def answers() -> list[cfg.Opt]:
    """Return what clients are told of images."""
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


PROTECTIONS: list[cfg.Opt] = [
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
"""Who may change which properties."""


def deletes() -> list[cfg.Opt]:
    """Return what becomes of deleted images, and what is told of downloads."""
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


FORMATS: list[cfg.Opt] = [
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
"""``[image_format]``: which formats are taken, and how far they are looked into."""
