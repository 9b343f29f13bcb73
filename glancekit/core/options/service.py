# SPDX-License-Identifier: Apache-2.0
"""The options of the service as a whole: places, drivers, plugins, rules, logs, what it tidies.

Those of a driver are declared with the driver.
"""

from __future__ import annotations

import os
from pathlib import Path

from oslo_config import cfg, types

from glancekit.core.options.value_types import Folder


def default_data_dir() -> str:
    """Return where data live when nobody says: root's at the system's place, else the user's."""
    if os.geteuid() == 0:
        return "/var/lib/glancekit"
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(home) / "glancekit")


def places() -> list[cfg.Opt]:
    """Return where the service keeps things."""
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


def logs() -> list[cfg.Opt]:
    """Return where logs go, and what they look like."""
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


METADATA: list[cfg.Opt] = [
    cfg.StrOpt(
        "driver", default="sqlite", help="Where records live; the driver's options follow."
    ),
]
"""``[metadata]``: which driver keeps records."""

AUTH: list[cfg.Opt] = [
    cfg.StrOpt(
        "driver",
        default="none",
        help="Who finds out who is calling; the driver's options follow. With 'none' everybody "
        "is the administrator, so the service listens on loopback only.",
    ),
]
"""``[auth]``: which driver finds out who is calling."""

QUOTAS: list[cfg.Opt] = [
    cfg.StrOpt(
        "driver",
        default="config",
        help="Who knows projects' limits: config (the options that follow) or keystone (its "
        "options are in [oslo_limit]).",
    ),
]
"""``[quotas]``: which driver knows projects' limits."""

PLUGINS: list[cfg.Opt] = [
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
"""``[plugins]``: how plugins are treated."""

POLICY: list[cfg.Opt] = [
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
"""``[oslo_policy]``: where the rules are."""

TASKS: list[cfg.Opt] = [
    cfg.IntOpt(
        "task_time_to_live",
        default=48,
        min=0,
        help="Hours for which a task is kept after its end.",
    ),
]
"""``[task]``: how long tasks are kept."""

UPDATER: list[cfg.Opt] = [
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
"""``[updater]``: how records are brought up to date."""
