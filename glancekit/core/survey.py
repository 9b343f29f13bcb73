# SPDX-License-Identifier: Apache-2.0
"""Looking at all installed plugins, used or not. The service itself loads only what it uses."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from glancekit.core.config import Configuration
from glancekit.core.drivers import (
    HOOKS,
    KINDS,
    Offer,
    PluginReport,
    PluginState,
    Wanted,
    load_all,
    offers_of,
)
from glancekit.core.errors import ConfigError
from glancekit.core.options import DEFAULT


def unused(config: Configuration, used: Collection[PluginReport]) -> list[PluginReport]:
    """Return a report of every installed plugin that the configuration does not name.

    Each is imported, and built with the defaults of its options where these suffice: a driver does
    no work before it is used, so that shows what is wrong with it and does no harm.
    """
    seen = {(report.group, report.name, report.distribution) for report in used}
    others = [
        offer
        for group in KINDS
        for offer in offers_of(group)
        if (group, offer.report.name, offer.report.distribution) not in seen
    ]
    disabled = config.get("plugins", "disabled")
    reports = [_disabled(offer, disabled) for offer in others if not _is_free(offer, disabled)]
    wanted = [_trial(offer, config) for offer in others if _is_free(offer, disabled)]
    patience = config.get("plugins", "plugin_start_timeout")
    return reports + [loaded.report for loaded in load_all(wanted, deadline=patience)]


def installed(group: str, *, deadline: float) -> dict[str, Any]:
    """Return the classes of all drivers of a group that can be loaded, by name."""
    names = sorted({offer.report.name for offer in offers_of(group)})
    wanted = [Wanted(group=group, name=name, use="", build=_as_it_is) for name in names]
    loaded = load_all(wanted, deadline=deadline)
    return {one.report.name: one.driver for one in loaded if one.error is None}


def _is_free(offer: Offer, disabled: Collection[str]) -> bool:
    return offer.report.state is PluginState.OK and not _is_disabled(offer, disabled)


def _is_disabled(offer: Offer, disabled: Collection[str]) -> bool:
    return offer.report.group == HOOKS and offer.report.name in disabled


def _disabled(offer: Offer, disabled: Collection[str]) -> PluginReport:
    if not _is_disabled(offer, disabled):
        return offer.report
    return replace(offer.report, state=PluginState.DISABLED, reason="[plugins] disabled names it")


def _trial(offer: Offer, config: Configuration) -> Wanted:
    report = offer.report
    build = _as_it_is if KINDS[report.group].contract is None else _try_build(config)
    return Wanted(group=report.group, name=report.name, use="", build=build)


def _try_build(config: Configuration) -> Callable[[Any], None]:
    def build(kind: Any) -> None:
        try:
            driver = kind(_defaults(kind, config), name="trial")
        except ConfigError:  # it cannot be built before somebody configures it
            return
        close = getattr(driver, "close", None)
        if close is not None:
            close()

    return build


def _defaults(kind: Any, config: Configuration) -> Any:
    overrides = {(DEFAULT, "data_dir"): str(config.data_dir)}
    options, shared = getattr(kind, "options", ()), getattr(kind, "shared_sections", ())
    return Configuration([], overrides=overrides).register_store("trial", options, shared=shared)


def _as_it_is(thing: Any) -> Any:
    return thing
