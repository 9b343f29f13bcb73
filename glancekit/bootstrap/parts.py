# SPDX-License-Identifier: Apache-2.0
"""The drivers that the configuration names, and what listens: built as far as that went.

None is started here. How one is found is the business of core/drivers, its use of ``fitting``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any, Never

from glancekit.bootstrap.settings import methods_of, steps_of
from glancekit.core import drivers
from glancekit.core.config import Configuration, StoreEntry
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.counters import Counters
from glancekit.core.drivers import Loaded, PluginReport, Wanted
from glancekit.core.errors import ConfigError, PluginError, PluginMissing
from glancekit.core.hooks import Hooks, wanted_hooks
from glancekit.core.options import DEFAULT
from glancekit.core.trials import Overdue
from glancekit.services.importing.records import OWN_METHODS

METADATA_OPTION = "[metadata] driver"
"""The option that names the driver for records."""


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


def load_metadata(config: Configuration) -> MetadataDriver:
    """Build the metadata driver alone, not started; whoever calls this closes it.

    :raises PluginError: when it cannot be used.
    """
    make_data_dir(config)
    wanted = _driver(config, drivers.METADATA, "metadata")
    patience = config.get("plugins", "plugin_start_timeout")
    (loaded,) = drivers.load_all([wanted], deadline=patience)
    driver: MetadataDriver = insist(loaded, "a metadata backend", METADATA_OPTION)
    return driver


def load_limits(config: Configuration) -> LimitSource | None:
    """Build what knows projects' limits alone, None where nobody is limited.

    Whoever calls this closes it.

    :raises PluginError: when it cannot be used.
    """
    patience = config.get("plugins", "plugin_start_timeout")
    (loaded,) = drivers.load_all([_limits(config)], deadline=patience)
    limits: LimitSource = insist(loaded, "projects' limits", limits_option(config))
    return limits if limits.is_limiting() else None


def preload(config: Configuration) -> None:
    """Import what the service cannot do without, for processes forked afterwards to share.

    Nothing is built. What else is wrong with a plugin, ``bootstrap`` says.

    :raises PluginError: when one was not imported in time. A thread is still at it, of which a
        forked process would have half a module.
    """
    default = next(entry for entry in config.stores if entry.id == config.default_store)
    wanted = [
        _driver(config, drivers.METADATA, "metadata"),
        _driver(config, drivers.AUTH, "auth"),
        _limits(config),
        _store(config, default),
    ]
    # What all plugins import, before several threads do: Python may take those for a deadlock.
    import_module("glancekit.plugin")
    imports = [replace(want, build=lambda kind: kind) for want in wanted]
    for loaded in drivers.load_all(
        imports, deadline=config.get("plugins", "plugin_start_timeout")
    ):
        if loaded.error is not None and isinstance(loaded.error.__cause__, Overdue):
            raise loaded.error


def unread_sections(parts: Parts) -> list[str]:
    """Return the sections whose options nobody knows, because their driver could not be loaded."""
    broken = [entry.id for entry, loaded in parts.stores.items() if loaded.error]
    broken += ["metadata"] if parts.metadata.error else []
    broken += ["quotas", "oslo_limit"] if parts.limits.error else []
    return broken + (["auth"] if parts.auth.error else [])


def insist(loaded: Loaded, what: str, option: str) -> Any:
    """Return a driver that the service cannot do without.

    :param what: what it is to the service.
    :param option: where an operator may name another.
    :raises PluginError: when it could not be built.
    """
    if loaded.error is not None:
        give_up(loaded, what, option)
    return loaded.driver


def give_up(loaded: Loaded, what: str, option: str) -> Never:
    """Say what is wrong with a driver that the service cannot do without.

    :raises PluginError: always, unless the driver's own error says what to do.
    """
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


def limits_option(config: Configuration) -> str:
    """Return the option that says who knows projects' limits."""
    by_switch = config.get(DEFAULT, "use_keystone_limits")
    return "[DEFAULT] use_keystone_limits" if by_switch else "[quotas] driver"


def make_data_dir(config: Configuration) -> None:
    """Make the folder for all that the service keeps.

    :raises ConfigError: when it cannot be made.
    """
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    except OSError as error:
        raise ConfigError(
            f"[DEFAULT] data_dir = {config.data_dir} cannot be used: {error.strerror}; name a "
            "folder that this user may write to, in the configuration or with --data-dir",
            section=DEFAULT,
            option="data_dir",
        ) from error


def _read_section(config: Configuration, section: str, options: Sequence[Any]) -> Any:
    config.register(section, options)
    return config.section(section)


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


def _store(config: Configuration, entry: StoreEntry) -> Wanted:
    def build(kind: Callable[..., Any]) -> Any:
        options = config.register_store(
            entry.id,
            getattr(kind, "options", ()),
            shared=getattr(kind, "shared_sections", ()),
        )
        return kind(options, name=entry.id)

    return Wanted(group=drivers.STORES, name=entry.driver, use=f"store {entry.id}", build=build)
