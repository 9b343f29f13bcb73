# SPDX-License-Identifier: Apache-2.0
"""The options of imports: methods, steps, where bytes are staged, where they may come from.

How flows run them is the business of ``flows/options``.
"""

from __future__ import annotations

from oslo_config import cfg

from glancekit.core.options.value_types import NAMES, PORTS, Choices, Folder


def methods() -> list[cfg.Opt]:
    """Return which import methods there are."""
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


STEPS: list[cfg.Opt] = [
    cfg.Opt(
        "image_import_plugins",
        type=NAMES,
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
"""``[image_import_opts]``: what is done to what is imported."""


STAGING: list[cfg.Opt] = [
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
"""``[os_glance_staging_store]``: where bytes are until they are imported."""


FILTER: list[cfg.Opt] = [
    cfg.Opt(
        "allowed_schemes",
        type=NAMES,
        default=["http", "https"],
        help="Schemes of the URLs that users may have the service fetch from. Where a list of "
        "what is allowed is given, the list of what is not does not count.",
    ),
    cfg.Opt(
        "disallowed_schemes",
        type=NAMES,
        default=[],
        help="Schemes that are not, where allowed_schemes is [].",
    ),
    cfg.Opt("allowed_ports", type=PORTS, default=[80, 443], help="Ports of these URLs."),
    cfg.Opt(
        "disallowed_ports",
        type=PORTS,
        default=[],
        help="Ports that are not, where allowed_ports is [].",
    ),
    cfg.Opt(
        "allowed_hosts",
        type=NAMES,
        default=[],
        help="Names, addresses and networks (192.0.2.0/24) that the URL's host must be one of; "
        "none: any. Only such a host may be loopback or link-local.",
    ),
    cfg.Opt(
        "disallowed_hosts",
        type=NAMES,
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
"""``[import_filtering_opts]``: where users may have the service fetch from."""
