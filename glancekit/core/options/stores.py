# SPDX-License-Identifier: Apache-2.0
"""The options of stores: how the service uses each, and which of them takes an image.

Those of a store's driver are declared with the driver.
"""

from __future__ import annotations

from oslo_config import cfg

from glancekit.core.breaker import FAILURES, LONGEST_PAUSE, PAUSE
from glancekit.core.stores import DIRECT_TRANSFER_TTL, SWEEP_AFTER, ChooseBy, DirectTransfer

CHOICE: list[cfg.Opt] = [
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
"""``[glance_store]``: which store takes an image."""


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
