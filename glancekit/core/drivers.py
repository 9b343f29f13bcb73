# SPDX-License-Identifier: Apache-2.0
"""Finding installed plugins by name, loading them, building drivers. The one place of stevedore.

A plugin that is missing, broken, slow or of another API level becomes an entry of the report;
whether the service can do without it is bootstrap's business.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Never

from stevedore.driver import DriverManager

from glancekit.core.contracts.auth import AuthDriver
from glancekit.core.contracts.cache import CACHE_CAPABILITIES, CachePolicy
from glancekit.core.contracts.importing import (
    METHOD_CAPABILITIES,
    STEP_CAPABILITIES,
    ImportMethod,
    ImportStep,
)
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import (
    MetadataDriver,
    SupportsDowngrade,
    SupportsMigration,
    SupportsStatistics,
)
from glancekit.core.contracts.store import CAPABILITIES, StoreDriver
from glancekit.core.errors import GlancekitError, PluginError, PluginMissing
from glancekit.core.trials import Overdue, attempt_all

log = logging.getLogger(__name__)

API_LEVEL = 1
"""The level of this release; a plugin says in ``api_level`` for which it was written."""

SUPPORTED_LEVELS = range(max(1, API_LEVEL - 2), API_LEVEL + 1)
"""This level and the two before it."""

STORES = "glancekit.stores"
METADATA = "glancekit.metadata"
AUTH = "glancekit.auth"
LIMITS = "glancekit.limits"
CACHE_POLICIES = "glancekit.cache_policies"
IMPORT_METHODS = "glancekit.import_methods"
IMPORT_STEPS = "glancekit.import_steps"
HOOKS = "glancekit.hooks"
COMMANDS = "glancekit.commands"


@dataclass(frozen=True, slots=True)
class Kind:
    """What the drivers of a group must be, may be besides, and how their packages are named."""

    contract: type | None
    package: str
    capabilities: tuple[type, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    """The packages of names that come several to one, under another name."""


KINDS: dict[str, Kind] = {
    STORES: Kind(StoreDriver, "glancekit-{name}-store", CAPABILITIES),
    METADATA: Kind(
        MetadataDriver,
        "glancekit-{name}-metadata",
        (SupportsMigration, SupportsDowngrade, SupportsStatistics),
    ),
    AUTH: Kind(AuthDriver, "glancekit-{name}-auth"),
    LIMITS: Kind(
        LimitSource,
        "glancekit-{name}-limits",
        packages={"keystone": "glancekit-keystone-auth"},
    ),
    CACHE_POLICIES: Kind(
        CachePolicy,
        "glancekit-{name}-cache-policy",
        CACHE_CAPABILITIES,
        packages=dict.fromkeys(("lru", "lfu", "ttl", "size"), "glancekit-cache-policies"),
    ),
    IMPORT_METHODS: Kind(
        ImportMethod,
        "glancekit-{name}-import-method",
        METHOD_CAPABILITIES,
        packages=dict.fromkeys(("web-download", "glance-download"), "glancekit-web-download"),
    ),
    IMPORT_STEPS: Kind(
        ImportStep,
        "glancekit-{name}-import-step",
        STEP_CAPABILITIES,
        packages={
            "image_decompression": "glancekit-image-steps",
            "image_conversion": "glancekit-image-steps",
            "image_signature": "glancekit-image-steps",
            "inject_image_metadata": "glancekit-image-steps",
            "minisign_signature": "glancekit-minisign-signatures",
        },
    ),
    HOOKS: Kind(None, "glancekit-{name}"),
    COMMANDS: Kind(None, "glancekit-{name}"),
}
"""All entry point groups. What a hooks plugin listens to is checked in hooks.py."""


class PluginState(StrEnum):
    """What became of a plugin."""

    OK = "ok"
    BROKEN = "broken"
    MISSING = "missing"
    DISABLED = "disabled"
    SHADOWED = "shadowed"
    """Another package has the right to this name."""
    AMBIGUOUS = "ambiguous"
    """Several packages offer this name, and none has more right to it than the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginReport:
    """One plugin as it was found. ``use`` says what for ("store fast"), empty when for nothing."""

    group: str
    name: str
    state: PluginState = PluginState.OK
    use: str = ""
    reason: str = ""
    distribution: str | None = None
    version: str | None = None
    api_level: int | None = None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A plugin to load; ``build`` makes the driver of its class, under the same deadline."""

    group: str
    name: str
    use: str
    build: Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What came of it: a driver, or the error that says why there is none."""

    report: PluginReport
    driver: Any = None
    error: GlancekitError | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """An installed entry point, and whether it may be taken under its name."""

    entry_point: EntryPoint
    report: PluginReport


def load_all(wanted: Sequence[Wanted], *, deadline: float) -> list[Loaded]:
    """Load and build all; those that hang cost one deadline together."""
    installed = entry_points()  # it reads files of every package, so once for all groups
    offers = {
        group: _offers(installed.select(group=group)) for group in {want.group for want in wanted}
    }
    turn = threading.Lock()
    jobs = [_job(want, offers[want.group], turn, deadline / 3) for want in wanted]
    outcomes = attempt_all(jobs, deadline=deadline)
    return [
        _judge(want, offers[want.group], outcome, deadline)
        for want, outcome in zip(wanted, outcomes, strict=True)
    ]


def offers_of(group: str) -> list[Offer]:
    """Return all that is installed in a group, by name.

    With importlib.metadata and not with stevedore, which sees double names only where they are
    adjacent, forgets the distribution, and keeps what it found in a file of the user's home.
    """
    return _offers(entry_points(group=group))


def import_plugin(entry_point: EntryPoint) -> Any:
    """Return the class or module that an entry point names. May hang or raise anything."""
    return _One(entry_point).driver


def describe(report: PluginReport, thing: Any) -> PluginReport:
    """Fill in what a loaded class says about itself, or raise what is wrong with it.

    :raises PluginError: when it has not the form of its group, or is of another API level.
    """
    level = getattr(thing, "api_level", None)
    report = replace(report, api_level=level if isinstance(level, int) else None)
    reason = _wrong_level(level, report) or _wrong_form(thing, KINDS[report.group].contract)
    if reason:
        raise PluginError(
            group=report.group, name=report.name, reason=reason, api_level=report.api_level
        )
    able = (kind for kind in KINDS[report.group].capabilities if not _lacking(thing, kind))
    return replace(report, capabilities=tuple(kind.__name__ for kind in able))


def missing(group: str, name: str) -> PluginMissing:
    """Return the error for a name that nothing offers: what there is, and what to install."""
    installed = sorted({offer.report.name for offer in offers_of(group)})
    return PluginMissing(
        group=group,
        name=name,
        installed=", ".join(installed) or "none",
        package=_package(group, name),
    )


def failure(report: PluginReport, error: BaseException, deadline: float) -> GlancekitError:
    """Return an error of the service's own for whatever a plugin raised."""
    if isinstance(error, GlancekitError):
        return error
    if isinstance(error, Overdue):
        reason = f"it was not ready within {deadline:g} s ([plugins] plugin_start_timeout)"
    else:
        reason = f"{type(error).__name__}: {error}"
    ours = PluginError(group=report.group, name=report.name, reason=reason)
    ours.__cause__ = error
    return ours


class _One(DriverManager[Any]):
    """stevedore's loading of exactly one entry point, without its search and its cache on disk."""

    def __init__(self, entry_point: EntryPoint) -> None:
        self._entry_point = entry_point
        super().__init__(
            entry_point.group,
            entry_point.name,
            invoke_on_load=False,  # it hands back the class where an instance is falsy
            on_load_failure_callback=_raise,
        )

    def list_entry_points(self) -> list[EntryPoint]:
        """Return the one."""
        return [self._entry_point]


def _raise(manager: object, entry_point: EntryPoint, error: BaseException) -> Never:
    raise error


def _job(
    want: Wanted, offers: Sequence[Offer], turn: threading.Lock, patience: float
) -> Callable[[], tuple[PluginReport, Any]]:
    def job() -> tuple[PluginReport, Any]:
        offer = _choose(want, offers)
        with _in_turn(turn, patience):
            thing = import_plugin(offer.entry_point)
        report = describe(replace(offer.report, use=want.use), thing)
        return report, want.build(thing)

    return job


@contextmanager
def _in_turn(turn: threading.Lock, patience: float) -> Iterator[None]:
    """Import one plugin after the other; one that hangs keeps the others for ``patience`` seconds.

    Where two threads import what imports from each other, Python gives one of them half a module.
    """
    is_ours = turn.acquire(timeout=patience)
    try:
        yield
    finally:
        if is_ours:
            turn.release()


def _choose(want: Wanted, offers: Sequence[Offer]) -> Offer:
    named = [offer for offer in offers if offer.report.name == want.name]
    if not named:
        raise missing(want.group, want.name)
    for offer in named:
        if offer.report.state is PluginState.OK:
            return offer
    raise PluginError(group=want.group, name=want.name, reason=named[0].report.reason)


def _judge(
    want: Wanted,
    offers: Sequence[Offer],
    outcome: tuple[PluginReport, Any] | BaseException,
    deadline: float,
) -> Loaded:
    if isinstance(outcome, tuple):
        report, driver = outcome
        return Loaded(report=report, driver=driver)
    report = _found(want, offers)
    error = failure(report, outcome, deadline)
    state = report.state if report.state is not PluginState.OK else PluginState.BROKEN
    level = error.facts.get("api_level", report.api_level)
    reason = str(error.facts.get("reason") or error)
    return Loaded(report=replace(report, state=state, reason=reason, api_level=level), error=error)


def _found(want: Wanted, offers: Sequence[Offer]) -> PluginReport:
    named = [offer.report for offer in offers if offer.report.name == want.name]
    if not named:
        return PluginReport(
            group=want.group, name=want.name, use=want.use, state=PluginState.MISSING
        )
    best = next((report for report in named if report.state is PluginState.OK), named[0])
    return replace(best, use=want.use)


def _offers(points: Iterable[EntryPoint]) -> list[Offer]:
    found = [Offer(point, _report(point)) for point in set(points)]
    found.sort(key=lambda offer: (offer.report.name, offer.report.distribution))
    return [
        _settle(offer, [other for other in found if other.report.name == offer.report.name])
        for offer in found
    ]


def _report(point: EntryPoint) -> PluginReport:
    distribution, version = "unknown", None
    if point.dist is not None:
        metadata = point.dist.metadata  # parsed anew each time
        distribution = str(metadata["Name"]).lower().replace("_", "-")
        version = metadata["Version"]
    return PluginReport(
        group=point.group, name=point.name, distribution=distribution, version=version
    )


def _settle(offer: Offer, rivals: Sequence[Offer]) -> Offer:
    """Say whether an entry point may be taken under its name.

    Where several packages offer a name, it belongs to glancekit itself or to the package that is
    named after it; else to none, because what order they are found in is nobody's decision.
    """
    report = offer.report
    if len(rivals) == 1:
        return offer
    named_after_it = _package(report.group, report.name)
    owners = [str(rival.report.distribution) for rival in rivals]
    rightful = [owner for owner in owners if owner in ("glancekit", named_after_it)]
    if len(rightful) != 1:
        reason = f"several packages offer this name: {', '.join(owners)}; uninstall all but one"
        return replace(offer, report=replace(report, state=PluginState.AMBIGUOUS, reason=reason))
    if rightful[0] == report.distribution:
        return offer
    reason = f"this name belongs to {rightful[0]}; uninstall one of the two packages"
    return replace(offer, report=replace(report, state=PluginState.SHADOWED, reason=reason))


def _package(group: str, name: str) -> str:
    kind = KINDS[group]
    return kind.packages.get(name) or kind.package.format(name=name.replace("_", "-"))


def _wrong_level(level: object, report: PluginReport) -> str:
    first, last = SUPPORTED_LEVELS[0], SUPPORTED_LEVELS[-1]
    span = f"level {last}" if first == last else f"levels {first} to {last}"
    if not isinstance(level, int):
        return f"it states no api_level (an int); this release of glancekit takes {span}"
    if level in SUPPORTED_LEVELS:
        return ""
    other = "a newer" if level < first else "an older"
    return (
        f"it was written for API level {level}, this release of glancekit takes {span}; "
        f"install {other} version of {report.distribution}"
    )


def _wrong_form(thing: Any, contract: type | None) -> str:
    if contract is None:
        return ""
    if not inspect.isclass(thing):
        return f"its entry point names a {type(thing).__name__}, not a class"
    if lacking := _lacking(thing, contract):
        return f"it is no {contract.__name__}: it lacks {', '.join(lacking)}"
    if unwritten := sorted(getattr(thing, "__abstractmethods__", ())):
        return f"it claims but does not have {', '.join(unwritten)}"
    return ""


def _lacking(thing: Any, contract: type) -> list[str]:
    methods = sorted(getattr(contract, "__abstractmethods__", ()))
    return [name for name in methods if not callable(getattr(thing, name, None))]
