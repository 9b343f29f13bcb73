# SPDX-License-Identifier: Apache-2.0
"""Building the world: configuration, then drivers, hooks and stores, then the service's start.

The one place that decides what the service can do without. How a part is built is the business of
``parts``, how it is put to use of ``fitting``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from glancekit.api.options import API_OPTIONS
from glancekit.bootstrap.apart import require_apart
from glancekit.bootstrap.fitting import (
    asked_limits,
    guarded_metadata,
    image_cache,
    importing,
    mount_all,
)
from glancekit.bootstrap.parts import (
    METADATA_OPTION,
    Parts,
    insist,
    limits_option,
    load_parts,
    make_data_dir,
    unread_sections,
)
from glancekit.bootstrap.settings import (
    placement_of,
    rule_files_of,
    settings_of,
    staging_of,
    updating_of,
)
from glancekit.core.background import Background
from glancekit.core.config import Configuration, find_files
from glancekit.core.contracts.store import SupportsDirectUrl
from glancekit.core.counters import Counters, Observer
from glancekit.core.drivers import PluginState
from glancekit.core.lease import Lease
from glancekit.core.native_threads import keep_eventlet_out
from glancekit.core.periodic_options import PERIODIC_OPTIONS
from glancekit.core.periodic_options import SECTION as PERIODIC_SECTION
from glancekit.core.stores import ChooseBy, DirectTransfer, Stores
from glancekit.core.urifilter import FILTER_SECTION, UriFilter
from glancekit.flows.options import FLOW_OPTIONS
from glancekit.flows.options import SECTION as FLOW_SECTION
from glancekit.services.beginning import begin_new
from glancekit.services.keeping.options import (
    AUDITOR,
    AUDITOR_OPTIONS,
    PLACEMENT,
    PLACEMENT_OPTIONS,
    Auditing,
)
from glancekit.services.rule_files import read as read_rules
from glancekit.services.world import World
from glancekit.serving.options import SERVER_OPTIONS

log = logging.getLogger(__name__)

FURTHER_SECTIONS = {
    "server": SERVER_OPTIONS,
    FLOW_SECTION: FLOW_OPTIONS,
    AUDITOR: AUDITOR_OPTIONS,
    PLACEMENT: PLACEMENT_OPTIONS,
    PERIODIC_SECTION: PERIODIC_OPTIONS,
    **API_OPTIONS,
}
"""Sections that are always there, with options of other rooms than the core."""


def load_config(
    files: Sequence[str] = (), overrides: Mapping[tuple[str, str], Any] | None = None
) -> Configuration:
    """Read the configuration: of these files, or of those that environment and habit name.

    :param overrides: values by section and option that count more than any file.
    :raises ConfigError: when a file cannot be read, or a value makes no sense.
    """
    keep_eventlet_out()
    return Configuration(find_files(files), overrides=overrides, sections=FURTHER_SECTIONS)


def bootstrap(config: Configuration, observer: Observer | None = None) -> World:
    """Build and start the service. Whoever calls this closes the world it returns.

    A store or a listener that cannot be used is reported and left out.

    :param observer: is told of every call to a plugin, besides the world's own counters.

    :raises ConfigError: when something the service needs is not configured as it must be.
    :raises PluginError: when the plugin for something that it needs cannot be used.
    :raises MetadataError: when the metadata backend cannot be used.
    """
    default = config.default_store
    access, protections = read_rules(rule_files_of(config))
    background = Background()
    placement = placement_of(config, background.stopping)
    make_data_dir(config)
    parts = load_parts(config, Counters(observer))
    with ExitStack() as built:
        for loaded in (*parts.stores.values(), parts.limits, parts.auth, parts.metadata):
            if loaded.driver is not None:
                built.callback(loaded.driver.close)
        stores = mount_all(config, parts, default)
        require_apart(config, stores)
        driver = insist(parts.metadata, "a metadata backend", METADATA_OPTION)
        metadata = guarded_metadata(driver, parts, config)
        auth = insist(parts.auth, "an auth driver", "[auth] driver")
        source = insist(parts.limits, "projects' limits", limits_option(config))
        limits = asked_limits(source, parts)
        _tell(config, parts)
        _tell_of(stores)
        metadata.start()
        begin_new(metadata, stores)
        lease = Lease(metadata)
        lease.start()
        built.pop_all()
    cache, cache_error = image_cache(config, parts)
    return World(
        metadata=metadata,
        stores=stores,
        auth=auth,
        hooks=parts.hooks,
        lease=lease,
        staging=staging_of(config),
        settings=settings_of(config),
        updating=updating_of(config),
        access=access,
        protections=protections,
        limits=limits if limits.is_limiting() else None,
        importing=importing(config, parts),
        cache=cache,
        cache_error=cache_error,
        background=background,
        auditing=Auditing.of(config.section(AUDITOR), background.stopping),
        placement=placement,
        web_filter=UriFilter(config.section(FILTER_SECTION)),
        plugins=parts.plugins,
        counters=parts.counters,
    )


def _tell(config: Configuration, parts: Parts) -> None:
    for report in parts.plugins:
        if report.state is not PluginState.OK:
            use = report.use or report.group
            log.error("%s goes without plugin %s: %s", use, report.name, report.reason)
    unread = unread_sections(parts)
    for sentence in config.unknown(unread=unread):
        log.warning("%s", sentence)
    ignored = [use for use in config.upstream(unread=unread) if not use.sets]
    if ignored:
        log.info(
            "%d options of upstream's do nothing here; 'glancekit config check' says why",
            len(ignored),
        )


def _tell_of(stores: Stores) -> None:
    """Warn of what an operator would otherwise hear from users."""
    default = stores.default
    if not default.is_writable and stores.choose_by is ChooseBy.DEFAULT:
        log.warning(
            "default store %s %s, so uploads that name no store are refused; change "
            "[glance_store] default_backend or choose_by",
            default.id,
            "is being drained" if default.draining else "can only be read",
        )
    for store in stores:
        wants_it = store.direct_transfer is not DirectTransfer.NEVER
        if wants_it and not store.supports(SupportsDirectUrl):
            log.warning(
                "[%s] direct_transfer does nothing: driver %s has no URLs for clients",
                *(store.id, store.kind),
            )
