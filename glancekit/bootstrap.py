# SPDX-License-Identifier: Apache-2.0
"""Building the world: configuration, then drivers, hooks and stores, then the service's start.

The one place that decides what the service can do without. How a part is found and built is the
business of core/drivers.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Never

from glancekit.api.options import API_OPTIONS
from glancekit.core import drivers
from glancekit.core.asked_limits import AskedLimits
from glancekit.core.asking import Asked
from glancekit.core.background import Background
from glancekit.core.breaker import Breaker
from glancekit.core.cache.folder import CacheFolder, Limits
from glancekit.core.cache.guarded_policy import GuardedPolicy
from glancekit.core.cache.image_cache import ImageCache, PrefetchRule
from glancekit.core.config import Configuration, StoreEntry, find_files
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.contracts.store import SupportsDirectUrl
from glancekit.core.counters import Counters, Observer
from glancekit.core.drivers import Loaded, PluginReport, PluginState, Wanted
from glancekit.core.election import FileElection
from glancekit.core.errors import ConfigError, PluginError, PluginMissing
from glancekit.core.guarded_metadata import GuardedMetadata
from glancekit.core.hooks import Hooks, wanted_hooks
from glancekit.core.lease import Lease
from glancekit.core.native_threads import keep_eventlet_out
from glancekit.core.options import DEFAULT, STAGING_STORE
from glancekit.core.periodic import PeriodicRunner, PeriodicTask
from glancekit.core.periodic_options import PERIODIC_OPTIONS, PeriodicSettings
from glancekit.core.periodic_options import SECTION as PERIODIC_SECTION
from glancekit.core.stores import ChooseBy, DirectTransfer, Store, Stores
from glancekit.flows.announcer import Announcer
from glancekit.flows.options import FLOW_OPTIONS, FlowSettings
from glancekit.flows.options import SECTION as FLOW_SECTION
from glancekit.services.importing.records import OWN_METHODS, imports_wait
from glancekit.services.keeping.options import (
    AUDITOR,
    AUDITOR_OPTIONS,
    PLACEMENT,
    PLACEMENT_OPTIONS,
    Auditing,
    Placement,
)
from glancekit.services.periodic import PeriodicWork
from glancekit.services.rule_files import RuleFiles
from glancekit.services.rule_files import read as read_rules
from glancekit.services.world import Importing, Settings, Updating, World
from glancekit.serving.companion import Companion, python
from glancekit.serving.options import SERVER_OPTIONS

if TYPE_CHECKING:
    from glancekit.flows.engine import Worker

log = logging.getLogger(__name__)

IMPORTS_LOOK = 0.5
"""Seconds between looks for imports, while no worker runs."""

_METADATA = "[metadata] driver"

LIMITS_PATIENCE = 60.0
"""Seconds that whoever knows the limits has: longer than its own time-outs."""

POLICY_PATIENCE = 5.0
"""Seconds that a cache policy has to say what it thinks: downloads wait for it."""

FURTHER_SECTIONS = {
    "server": SERVER_OPTIONS,
    FLOW_SECTION: FLOW_OPTIONS,
    AUDITOR: AUDITOR_OPTIONS,
    PLACEMENT: PLACEMENT_OPTIONS,
    PERIODIC_SECTION: PERIODIC_OPTIONS,
    **API_OPTIONS,
}
"""Sections that are always there, with options of other rooms than the core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the configuration names and what listens: built as far as that went, not started."""

    metadata: Loaded
    auth: Loaded
    limits: Loaded
    cache_policy: Loaded | None
    stores: Mapping[StoreEntry, Loaded]
    methods: Mapping[str, Loaded]
    steps: Mapping[str, Loaded]
    hooks: Hooks
    plugins: tuple[PluginReport, ...]
    counters: Counters


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
    _make_data_dir(config)
    parts = load_parts(config, Counters(observer))
    with ExitStack() as built:
        for loaded in (*parts.stores.values(), parts.limits, parts.auth, parts.metadata):
            if loaded.driver is not None:
                built.callback(loaded.driver.close)
        stores = _mount(config, parts, default)
        driver = _insist(parts.metadata, "a metadata backend", _METADATA)
        metadata = _guarded(driver, parts, config)
        auth = _insist(parts.auth, "an auth driver", "[auth] driver")
        source = _insist(parts.limits, "projects' limits", _limits_option(config))
        limits = _asked(source, parts)
        _tell(config, parts)
        _tell_of(stores)
        metadata.start()
        lease = Lease(metadata)
        lease.start()
        built.pop_all()
    cache, cache_error = _cache(config, parts)
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
        importing=_importing(config, parts),
        cache=cache,
        cache_error=cache_error,
        background=background,
        auditing=Auditing.of(config.section(AUDITOR), background.stopping),
        placement=placement,
        plugins=parts.plugins,
        counters=parts.counters,
    )


def load_parts(config: Configuration, counters: Counters | None = None) -> Parts:
    """Build all drivers that the configuration names, and let all listen that may."""
    counters = Counters() if counters is None else counters
    patience = config.get("plugins", "plugin_start_timeout")
    methods = [name for name in methods_of(config) if name not in OWN_METHODS]
    steps = steps_of(config)
    wanted = [
        _driver(config, drivers.METADATA, "metadata"),
        _driver(config, drivers.AUTH, "auth"),
        _limits(config),
        *_cache_policy(config),
        *(_store(config, entry) for entry in config.stores),
        *(_import_part(config, drivers.IMPORT_METHODS, name) for name in methods),
        *(_import_part(config, drivers.IMPORT_STEPS, name) for name in steps),
        *wanted_hooks(config.get("plugins", "disabled"), partial(_read_section, config)),
    ]
    metadata, auth, limits, *rest = drivers.load_all(wanted, deadline=patience)
    cached, rest = rest[: len(_cache_policy(config))], rest[len(_cache_policy(config)) :]
    count = len(config.stores)
    last = count + len(methods) + len(steps)
    hooks = Hooks(patience=patience, counters=counters)
    heard = [hooks.add_loaded(loaded) for loaded in rest[last:]]
    loaded_drivers = (metadata, auth, limits, *cached, *rest[:last])
    return Parts(
        metadata=metadata,
        auth=auth,
        limits=limits,
        cache_policy=cached[0] if cached else None,
        stores=dict(zip(config.stores, rest[:count], strict=True)),
        methods=dict(zip(methods, rest[count : count + len(methods)], strict=True)),
        steps=dict(zip(steps, rest[count + len(methods) : last], strict=True)),
        hooks=hooks,
        plugins=(*(loaded.report for loaded in loaded_drivers), *heard),
        counters=counters,
    )


def _read_section(config: Configuration, section: str, options: Sequence[Any]) -> Any:
    config.register(section, options)
    return config.section(section)


def load_metadata(config: Configuration) -> MetadataDriver:
    """Build the metadata driver alone, not started; whoever calls this closes it.

    :raises PluginError: when it cannot be used.
    """
    _make_data_dir(config)
    wanted = _driver(config, drivers.METADATA, "metadata")
    patience = config.get("plugins", "plugin_start_timeout")
    (loaded,) = drivers.load_all([wanted], deadline=patience)
    driver: MetadataDriver = _insist(loaded, "a metadata backend", _METADATA)
    return driver


def load_limits(config: Configuration) -> LimitSource | None:
    """Build what knows projects' limits alone, None where nobody is limited.

    Whoever calls this closes it.

    :raises PluginError: when it cannot be used.
    """
    patience = config.get("plugins", "plugin_start_timeout")
    (loaded,) = drivers.load_all([_limits(config)], deadline=patience)
    limits: LimitSource = _insist(loaded, "projects' limits", _limits_option(config))
    return limits if limits.is_limiting() else None


def preload(config: Configuration) -> None:
    """Import what the service cannot do without, for processes forked afterwards to share.

    Nothing is built. What is wrong with a plugin, ``bootstrap`` says.
    """
    default = next(entry for entry in config.stores if entry.id == config.default_store)
    wanted = [
        _driver(config, drivers.METADATA, "metadata"),
        _driver(config, drivers.AUTH, "auth"),
        _limits(config),
        _store(config, default),
    ]
    imports = [replace(want, build=lambda kind: kind) for want in wanted]
    drivers.load_all(imports, deadline=config.get("plugins", "plugin_start_timeout"))


def settings_of(config: Configuration) -> Settings:
    """Return what the configuration says about the use cases."""
    sections = (DEFAULT, "image_format", "task", STAGING_STORE)
    known = {
        name: value
        for section in sections
        for name, value in vars(config.section(section)).items()
    }
    known["schema_image_file"] = known["schema_image_file"] or _schema_beside(config.files)
    chosen: dict[str, Any] = {field.name: known[field.name] for field in fields(Settings)}
    if config.get(DEFAULT, "use_keystone_limits"):
        chosen["user_storage_quota"] = 0
    lists = {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
    return Settings(**{**chosen, **lists})


def updating_of(config: Configuration) -> Updating:
    """Return what the configuration says about bringing records up to date."""
    chosen = vars(config.section("updater"))
    return Updating(**{**chosen, "lifecycle": tuple(chosen["lifecycle"])})


def _schema_beside(files: Sequence[Path]) -> str | None:
    """Return the file of image properties that lies beside a configuration file."""
    usual = (file.parent / "schema-image.json" for file in files)
    return next((str(file) for file in usual if file.is_file()), None)


def staging_of(config: Configuration) -> Path:
    """Return the folder for image data on their way in."""
    chosen = config.get(STAGING_STORE, "filesystem_store_datadir")
    return Path(chosen) if chosen else config.data_dir / "staging"


def methods_of(config: Configuration) -> list[str]:
    """Return the import methods that the operator wants, each once.

    :raises ConfigError: when there can be no method of such a name.
    """
    wanted = list(dict.fromkeys(config.get(DEFAULT, "enabled_import_methods")))
    for name in wanted:
        if not name:
            raise ConfigError("[DEFAULT] enabled_import_methods has an empty name in it")
    return wanted


def steps_of(config: Configuration) -> list[str]:
    """Return the steps that the operator wants; upstream's ``no_op`` is none."""
    wanted = config.get("image_import_opts", "image_import_plugins")
    return [name for name in dict.fromkeys(wanted) if name not in ("", "no_op")]


def flow_settings(config: Configuration) -> FlowSettings:
    """Return what the configuration says about the flows of imports.

    :raises ConfigError: when that makes no sense.
    """
    return FlowSettings.of(config.section(FLOW_SECTION), config.data_dir)


def rule_files_of(config: Configuration) -> RuleFiles:
    """Return where the configuration says that rules are."""
    default, policy = config.section(DEFAULT), config.section("oslo_policy")
    return RuleFiles(
        folders=[file.parent for file in reversed(config.files)],
        policy_file=policy.policy_file,
        policy_dirs=policy.policy_dirs,
        property_protection_file=default.property_protection_file,
        property_protection_rule_format=default.property_protection_rule_format,
    )


def placement_of(config: Configuration, stopping: Event) -> Placement:
    """Return the rules on where copies should be; ``stopping`` ends what is being copied.

    :raises ConfigError: when they cannot be read, or make no sense.
    """
    return Placement.of(
        config.section(PLACEMENT),
        rule_files_of(config).folders,
        [entry.id for entry in config.stores],
        stopping,
    )


def periodic_work(world: World, config: Configuration) -> PeriodicWork:
    """Return what runs the periodic tasks of this host, not started.

    :raises ConfigError: when ``[periodic]`` makes no sense.
    """
    settings = PeriodicSettings.of(config.section(PERIODIC_SECTION))
    tasks = world.hooks.register_periodic_tasks(world)
    return PeriodicWork(world, settings, config.data_dir, tasks)


def companion_runner(world: World, config: Configuration, companion: Companion) -> PeriodicRunner:
    """Return what starts this host's worker beside the service when imports wait for one."""
    task = PeriodicTask(
        name="import worker",
        interval=IMPORTS_LOOK,
        run=lambda: companion.ensure() if imports_wait(world) else None,
        everywhere=True,
    )
    tasks = [task] if config.get(FLOW_SECTION, "worker_in_serve") else []
    return PeriodicRunner(tasks, FileElection(config.data_dir, "import worker"))


def import_worker(world: World, config: Configuration) -> Worker:
    """Return what runs imports, not started."""
    from glancekit.flows.engine import Worker
    from glancekit.services.importing.work import Work

    options = config.section(FLOW_SECTION)
    work = Work(world, max_tries=options.max_tries, stall_time=options.stall_time)
    return Worker(flow_settings(config), work, holder=world.lease.holder)


def import_companion(config: Configuration) -> Companion:
    """Return the process beside the service that runs imports, not started."""
    files = [word for file in config.files for word in ("--config-file", str(file))]
    command = [python(), "-m", "glancekit.cli", *files, "worker", "--attached"]
    return Companion(command, {**os.environ, **config.as_environment})


def unread_sections(parts: Parts) -> list[str]:
    """Return the sections whose options nobody knows, because their driver could not be loaded."""
    broken = [entry.id for entry, loaded in parts.stores.items() if loaded.error]
    broken += ["metadata"] if parts.metadata.error else []
    broken += ["quotas", "oslo_limit"] if parts.limits.error else []
    return broken + (["auth"] if parts.auth.error else [])


def _driver(config: Configuration, group: str, section: str) -> Wanted:
    name = config.get(section, "driver")

    def build(kind: Callable[..., Any]) -> Any:
        config.register(section, getattr(kind, "options", ()))
        return kind(config.section(section), name=name)

    return Wanted(group=group, name=name, use=section, build=build)


def _limits(config: Configuration) -> Wanted:
    name = config.get("quotas", "driver")
    if config.get(DEFAULT, "use_keystone_limits"):
        name = "keystone"

    def build(kind: Callable[..., Any]) -> Any:
        section = getattr(kind, "section", "quotas")
        config.register(section, getattr(kind, "options", ()))
        return kind(config.section(section), name=name)

    return Wanted(group=drivers.LIMITS, name=name, use="quotas", build=build)


def _import_part(config: Configuration, group: str, name: str) -> Wanted:
    def build(kind: Callable[..., Any]) -> Any:
        section = getattr(kind, "section", "") or name
        config.register(section, getattr(kind, "options", ()))
        options = config.section(section)
        shared = {one: config.section(one) for one in getattr(kind, "shared_sections", ())}
        vars(options).update(shared)
        return kind(options, name=name)

    what = "method" if group == drivers.IMPORT_METHODS else "step"
    return Wanted(group=group, name=name, use=f"import {what} {name}", build=build)


def _importing(config: Configuration, parts: Parts) -> Importing:
    """Return what imports are made of. A method that cannot be used is not offered; without one
    of the steps, nothing that it should see may come in.

    :raises PluginError: when a step cannot be used.
    """
    for name, loaded in parts.steps.items():
        option = "[image_import_opts] image_import_plugins"
        _insist(loaded, f"the import step '{name}'", option)
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


def _cache_policy(config: Configuration) -> list[Wanted]:
    """Return what the image cache needs, nothing where it is off."""
    if not config.get(DEFAULT, "image_cache_dir"):
        return []
    name = config.get(DEFAULT, "image_cache_policy")

    def build(kind: Callable[..., Any]) -> Any:
        section = getattr(kind, "section", "") or f"{name}_cache_policy"
        config.register(section, getattr(kind, "options", ()))
        return kind(config.section(section), name=name)

    return [Wanted(group=drivers.CACHE_POLICIES, name=name, use="image cache", build=build)]


def _cache(config: Configuration, parts: Parts) -> tuple[ImageCache | None, str]:
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


def _limits_option(config: Configuration) -> str:
    by_switch = config.get(DEFAULT, "use_keystone_limits")
    return "[DEFAULT] use_keystone_limits" if by_switch else "[quotas] driver"


def _store(config: Configuration, entry: StoreEntry) -> Wanted:
    def build(kind: Callable[..., Any]) -> Any:
        options = config.register_store(
            entry.id,
            getattr(kind, "options", ()),
            shared=getattr(kind, "shared_sections", ()),
        )
        return kind(options, name=entry.id)

    return Wanted(group=drivers.STORES, name=entry.driver, use=f"store {entry.id}", build=build)


def _asked(source: LimitSource, parts: Parts) -> LimitSource:
    report = parts.limits.report
    asked = Asked(
        report.group,
        report.name,
        use=report.use,
        counters=parts.counters,
        seconds=LIMITS_PATIENCE,
    )
    return AskedLimits(source, asked)


def _guarded(driver: MetadataDriver, parts: Parts, config: Configuration) -> MetadataDriver:
    report = parts.metadata.report
    calls = parts.counters.of(report.group, report.name, report.use)
    server = config.section("server")
    at_once = max(1, server.threads - server.reserved_threads)
    return GuardedMetadata(driver, calls, name=report.name, at_once=at_once)


def _mount(config: Configuration, parts: Parts, default: str) -> Stores:
    stores = []
    for entry, loaded in parts.stores.items():
        if loaded.error is None:
            stores.append(mount(config, entry, loaded, parts.counters))
        elif entry.id == default:
            _give_up(loaded, f"its default store '{default}'", "[DEFAULT] enabled_backends")
    return Stores(stores, default, choose_by=ChooseBy(config.get("glance_store", "choose_by")))


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


def _insist(loaded: Loaded, what: str, option: str) -> Any:
    if loaded.error is not None:
        _give_up(loaded, what, option)
    return loaded.driver


def _give_up(loaded: Loaded, what: str, option: str) -> Never:
    error = loaded.error
    if isinstance(error, ConfigError | PluginMissing):  # these say what to do as they are
        raise error
    report = loaded.report
    raise PluginError(
        group=report.group,
        name=report.name,
        reason=f"{report.reason}. The service cannot start without {what}: mend or update the "
        f"package {report.distribution}, or change {option}",
    ) from error


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
    if default.draining and stores.choose_by is ChooseBy.DEFAULT:
        log.warning(
            "default store %s is being drained, so uploads that name no store are refused; change "
            "[glance_store] default_backend or choose_by",
            default.id,
        )
    for store in stores:
        wants_it = store.direct_transfer is not DirectTransfer.NEVER
        if wants_it and not store.supports(SupportsDirectUrl):
            log.warning(
                "[%s] direct_transfer does nothing: driver %s has no URLs for clients",
                *(store.id, store.kind),
            )


def _make_data_dir(config: Configuration) -> None:
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise ConfigError(
            f"[DEFAULT] data_dir = {config.data_dir} cannot be used: {error.strerror}; name a "
            "folder that this user may write to, in the configuration or with --data-dir",
            section=DEFAULT,
            option="data_dir",
        ) from error
