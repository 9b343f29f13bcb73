# SPDX-License-Identifier: Apache-2.0
"""Loaded drivers as the service uses them: watched, counted, set up as their sections say.

Loading them is the business of ``parts``.
"""

from __future__ import annotations

import logging
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

from glancekit.bootstrap.parts import Parts, give_up, insist
from glancekit.bootstrap.settings import flow_settings, methods_of
from glancekit.core.asked_limits import AskedLimits
from glancekit.core.asking import Asked
from glancekit.core.background import Background
from glancekit.core.breaker import Breaker
from glancekit.core.cache.folder import CacheFolder, Limits
from glancekit.core.cache.guarded_policy import GuardedPolicy
from glancekit.core.cache.image_cache import ImageCache, PrefetchRule
from glancekit.core.config import Configuration, StoreEntry
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.counters import Counters
from glancekit.core.drivers import Loaded
from glancekit.core.guarded_metadata import GuardedMetadata
from glancekit.core.options import DEFAULT
from glancekit.core.stores import ChooseBy, DirectTransfer, Store, Stores
from glancekit.flows.announcer import Announcer
from glancekit.services.importing.records import OWN_METHODS
from glancekit.services.world import Importing

log = logging.getLogger(__name__)

LIMITS_PATIENCE = 60.0
"""Seconds that whoever knows the limits has: longer than its own time-outs."""

POLICY_PATIENCE = 5.0
"""Seconds that a cache policy has to say what it thinks: downloads wait for it."""


def importing(config: Configuration, parts: Parts) -> Importing:
    """Return what imports are made of. A method that cannot be used is not offered; without one
    of the steps, nothing that it should see may come in.

    :raises PluginError: when a step cannot be used.
    """
    for name, loaded in parts.steps.items():
        option = "[image_import_opts] image_import_plugins"
        insist(loaded, f"the import step '{name}'", option)
    own: dict[str, Any] = dict.fromkeys(OWN_METHODS)
    usable = {name: loaded.driver for name, loaded in parts.methods.items() if not loaded.error}
    offered = {**own, **usable}
    announcer = Announcer(flow_settings(config))
    return Importing(
        methods={name: offered[name] for name in methods_of(config) if name in offered},
        steps={name: loaded.driver for name, loaded in parts.steps.items()},
        max_parallel_stores=config.get("image_import_opts", "max_parallel_stores"),
        announce=announcer.announce,
        close=announcer.close,
    )


def image_cache(config: Configuration, parts: Parts) -> tuple[ImageCache | None, str]:
    """Return the image cache, None where it is off; or where it cannot be used, with the reason.

    :raises ConfigError: when its options make no sense.
    """
    options = config.section(DEFAULT)
    prefetch = [PrefetchRule.parse(rule) for rule in options.image_cache_prefetch]
    if parts.cache_policy is None:
        return None, ""
    if parts.cache_policy.error is not None:
        log.error("nothing is cached: %s", parts.cache_policy.error)
        return None, str(parts.cache_policy.error)
    policy = _guarded_policy(parts.cache_policy, parts.counters)
    limits = Limits(size=options.image_cache_max_size, free=options.image_cache_free_reserve)
    try:
        folder = CacheFolder(Path(options.image_cache_dir), limits, policy)
    except OSError as error:
        log.error("nothing is cached, [DEFAULT] image_cache_dir cannot be used: %s", error)
        return None, f"[DEFAULT] image_cache_dir cannot be used: {error}"
    verify_after = options.image_cache_verify_after
    cache = ImageCache(
        folder=folder,
        policy=policy,
        fills=Background(options.image_cache_fills),
        stall_time=options.image_cache_stall_time,
        interval=options.cache_prefetcher_interval,
        prefetch=prefetch,
        verify_after=timedelta(hours=verify_after) if verify_after else None,
        node=options.worker_self_reference_url or socket.gethostname(),
    )
    return cache, ""


def _guarded_policy(loaded: Loaded, counters: Counters) -> GuardedPolicy:
    report = loaded.report
    asked = Asked(
        report.group,
        report.name,
        use=report.use,
        counters=counters,
        seconds=POLICY_PATIENCE,
    )
    return GuardedPolicy(loaded.driver, asked)


def asked_limits(source: LimitSource, parts: Parts) -> LimitSource:
    """Return what knows projects' limits with its calls watched and counted."""
    report = parts.limits.report
    asked = Asked(
        report.group,
        report.name,
        use=report.use,
        counters=parts.counters,
        seconds=LIMITS_PATIENCE,
    )
    return AskedLimits(source, asked)


def guarded_metadata(
    driver: MetadataDriver, parts: Parts, config: Configuration
) -> MetadataDriver:
    report = parts.metadata.report
    calls = parts.counters.of(report.group, report.name, report.use)
    server = config.section("server")
    at_once = max(1, server.threads - server.reserved_threads)
    return GuardedMetadata(driver, calls, name=report.name, at_once=at_once)


def mount_all(config: Configuration, parts: Parts, default: str) -> Stores:
    """Return the stores whose drivers could be built.

    :raises PluginError: when that of the default store could not.
    """
    for entry, loaded in parts.stores.items():
        if loaded.error is not None and entry.id == default:
            give_up(loaded, f"its default store '{default}'", "[DEFAULT] enabled_backends")
    stores = mounted(config, parts)
    return Stores(stores, default, choose_by=ChooseBy(config.get("glance_store", "choose_by")))


def mounted(config: Configuration, parts: Parts) -> list[Store]:
    """Return a store for each driver that could be built."""
    return [
        mount(config, entry, loaded, parts.counters)
        for entry, loaded in parts.stores.items()
        if loaded.error is None
    ]


def mount(
    config: Configuration, entry: StoreEntry, loaded: Loaded, counters: Counters | None = None
) -> Store:
    """Return a store with its driver, set up as its section of the configuration says."""
    options = config.section(entry.id)
    return Store(
        entry.id,
        loaded.driver,
        kind=entry.driver,
        description=options.store_description,
        weight=options.weight,
        read_only=options.read_only,
        draining=options.drain,
        is_default=entry.id == config.default_store,
        deadline=options.timeout,
        breaker=Breaker(
            failures=options.breaker_failures,
            pause=options.breaker_pause,
            longest_pause=options.breaker_longest_pause,
        ),
        direct_transfer=DirectTransfer(options.direct_transfer),
        direct_transfer_ttl=options.direct_transfer_ttl,
        sweep_after=options.sweep_after,
        sweep_dry_run=options.sweep_dry_run,
        counters=counters,
    )
