# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about audits and places of copies: ``[auditor]``, ``[placement]``."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from oslo_config import cfg

from glancekit.core.options.value_types import Size
from glancekit.core.throttle import Throttle
from glancekit.services.keeping.rules import RULES_FILE, RulesNow, load, no_rules
from glancekit.services.reloading import Reloaded
from glancekit.services.rule_files import existing, required

AUDITOR = "auditor"
PLACEMENT = "placement"

AUDITOR_OPTIONS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enabled",
        default=True,
        help="Let the service read every copy of every image once in a cycle, in the background, "
        "and compare it with the image's digests.",
    ),
    cfg.FloatOpt(
        "cycle",
        default=30.0,
        min=0.0,
        help="Days in which every copy is read once. 0: a copy is due again at once, so that "
        "reading never ends.",
    ),
    cfg.Opt(
        "bandwidth",
        type=Size(),
        default=20 << 20,
        sample_default="20MB",
        help="Bytes per second that audits read and repairs copy, all together; 0: as fast as it "
        "goes. Where it is too little for the cycle, 'glancekit audit report' shows how far "
        "behind it is.",
    ),
    cfg.FloatOpt(
        "interval",
        default=60.0,
        min=1.0,
        help="Seconds between looks for copies that are due, and for lost ones to be repaired.",
    ),
    cfg.BoolOpt(
        "repair",
        default=True,
        help="Replace a copy that was found bad or missing by a good one from another store. "
        "Otherwise it is only told.",
    ),
    cfg.FloatOpt(
        "orphan_interval",
        default=7.0,
        min=0.0,
        help="Days between looks through the stores for data that no record leads to. They are "
        "told, and removed by 'glancekit audit orphans --delete' alone. 0: never.",
    ),
    cfg.FloatOpt(
        "orphan_age",
        default=24.0,
        min=0.0,
        help="Hours for which such data must have been there to be told.",
    ),
    cfg.BoolOpt(
        "serve_damaged",
        default=False,
        help="Send an image's bytes although an audit found that they are not those that were "
        "stored, where there is no good copy. Otherwise its download is refused with 409.",
    ),
]


PLACEMENT_OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt(
        "rules_file",
        sample_default=f"{RULES_FILE} beside the configuration, if it is there",
        help="YAML file of the rules on which stores images have copies in; read again when it "
        "changes.",
    ),
    cfg.FloatOpt(
        "interval",
        default=60.0,
        min=1.0,
        help="Seconds between rounds over all images.",
    ),
    cfg.IntOpt(
        "parallel", default=2, min=1, max=64, help="Copies that are made or removed at a time."
    ),
    cfg.Opt(
        "bandwidth",
        type=Size(),
        default=0,
        help="Bytes per second that are copied, all together; 0: as fast as it goes.",
    ),
    cfg.FloatOpt(
        "lost_after",
        default=600.0,
        min=0.0,
        help="Seconds that a store may be away before its copies count as lost and others of the "
        "rule's stores stand in.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditing:
    """``[auditor]``, read. ``throttle`` holds up what audits read and repairs copy."""

    enabled: bool = True
    cycle: timedelta = timedelta(days=30)
    interval: float = 60.0
    repair: bool = True
    serve_damaged: bool = False
    orphan_interval: timedelta = timedelta(days=7)
    orphan_age: timedelta = timedelta(days=1)
    throttle: Throttle = field(default_factory=lambda: Throttle(0, threading.Event()))

    @classmethod
    def of(cls, options: Any, stopping: threading.Event) -> Self:
        """Make it of the section's values; ``stopping`` ends what is being read."""
        return cls(
            enabled=options.enabled,
            cycle=timedelta(days=options.cycle),
            interval=options.interval,
            repair=options.repair,
            serve_damaged=options.serve_damaged,
            orphan_interval=timedelta(days=options.orphan_interval),
            orphan_age=timedelta(hours=options.orphan_age),
            throttle=Throttle(options.bandwidth, stopping),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """``[placement]``, read. ``rules`` returns the rules of this moment."""

    rules: RulesNow = no_rules
    interval: float = 60.0
    parallel: int = 2
    lost_after: float = 600.0
    throttle: Throttle = field(default_factory=lambda: Throttle(0, threading.Event()))

    @classmethod
    def of(
        cls,
        options: Any,
        folders: Sequence[Path],
        known: Collection[str],
        stopping: threading.Event,
    ) -> Self:
        """Make it of the section's values, and read the rules.

        :param folders: where a relative path is looked for.
        :param known: the stores that are configured.
        :raises ConfigError: when the file is not there, or a rule makes no sense.
        """
        name = options.rules_file
        if name is not None:
            required(folders, name, f"[{PLACEMENT}] rules_file")

        def find() -> list[Path]:
            file = existing(folders, name or RULES_FILE)
            return [] if file is None else [file]

        return cls(
            rules=Reloaded(find, lambda files: load(files, known)).get,
            interval=options.interval,
            parallel=options.parallel,
            lost_after=options.lost_after,
            throttle=Throttle(options.bandwidth, stopping),
        )
