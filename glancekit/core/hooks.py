# SPDX-License-Identifier: Apache-2.0
"""Calling the hooks: one typed method for each, so that nobody else sees pluggy.

What a hook means is said in hookspecs.py; here is what happens when a listener misbehaves.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy

from glancekit.core import hookspecs
from glancekit.core.counters import Calls, Counters
from glancekit.core.deadline import Deadline
from glancekit.core.drivers import (
    COMMANDS,
    HOOKS,
    Loaded,
    PluginReport,
    PluginState,
    Wanted,
    failure,
    offers_of,
)
from glancekit.core.errors import PluginError, Unavailable
from glancekit.core.periodic import PeriodicTask, to_the_end
from glancekit.core.trials import attempt_all
from glancekit.core.turns import TurnOver

if TYPE_CHECKING:
    from glancekit.core.hookspecs import ReadSection, Workbench
    from glancekit.core.model.events import Event
    from glancekit.core.model.image import Image
    from glancekit.core.periodic import PeriodicWorld
    from glancekit.core.stores import Stores

log = logging.getLogger(__name__)

TRACE = "GLANCEKIT_TRACE_HOOKS"
"""Set to 1 in the environment, this prints every hook call with its arguments and results."""


class Hooks:
    """All listeners. They are added at start and asked in the order of their names."""

    def __init__(self, *, patience: float = 5.0, counters: Counters | None = None) -> None:
        """Begin with none.

        ``patience`` is how many seconds each has for what it does at start, and for an answer that
        somebody waits for. What each is asked is counted in ``counters``.
        """
        self._patience = patience
        self._counters = Counters() if counters is None else counters
        self._in_time = Deadline("hooks", patience)
        self._names: set[str] = set()
        self._plugins = pluggy.PluginManager(hookspecs.PROJECT)
        self._plugins.add_hookspecs(hookspecs)
        if os.environ.get(TRACE) == "1":
            self._plugins.trace.root.setwriter(sys.stderr.write)
            self._plugins.enable_tracing()

    def add(self, name: str, plugin: object) -> None:
        """Let a plugin listen.

        :raises PluginError: when it implements a hook that there is not, or wants arguments that
            the hook does not offer. It then hears nothing at all.
        """
        self._names.add(name)
        try:
            self._plugins.register(plugin, name=name)
            self._plugins.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._plugins.has_plugin(name):
                self._plugins.unregister(name=name)
            reason = f"{error}; the hooks are: {', '.join(self._known())}"
            raise PluginError(group=HOOKS, name=name, reason=reason) from error

    def add_loaded(self, loaded: Loaded) -> PluginReport:
        """Let a plugin listen if it was loaded, and return the report that is then true of it."""
        report = loaded.report
        self._names.add(report.name)
        if loaded.error is not None:
            return report
        try:
            self.add(report.name, loaded.driver)
            for part, listener in _listeners_of(loaded.driver).items():
                self.add(f"{report.name}/{part}", listener)
        except PluginError as error:
            reason = str(error.reason)
            return replace(report, state=PluginState.BROKEN, reason=reason)
        return replace(report, capabilities=self._hooks_of(report.name))

    @property
    def names(self) -> frozenset[str]:
        """The names of all that should listen, those that cannot for now included."""
        return frozenset(self._names)

    # -- at start

    def register_periodic_tasks(self, world: PeriodicWorld) -> list[PeriodicTask]:
        """Collect what should run every so often. A plugin that fails here goes without.

        Each run is counted as a call of the plugin that it is of.
        """
        names = self._listeners("register_periodic_tasks")
        jobs = [partial(self._tasks_of, name, world) for name in names]
        tasks: list[PeriodicTask] = []
        for name, outcome in zip(names, attempt_all(jobs, deadline=self._patience), strict=True):
            if isinstance(outcome, BaseException):
                error = failure(PluginReport(group=HOOKS, name=name), outcome, self._patience)
                self._calls(name).note("register_periodic_tasks", error=error)
                log.error("no periodic task of plugin %s will run: %s", name, error)
            else:
                self._calls(name).note("register_periodic_tasks")
                tasks.extend(_counted(task, self._calls(name)) for task in outcome)
        return tasks

    def _tasks_of(self, name: str, world: PeriodicWorld) -> list[PeriodicTask]:
        answers = self._alone(name, "register_periodic_tasks")(world=world)
        tasks = [task for answer in answers for task in answer]
        if strange := [task for task in tasks if not isinstance(task, PeriodicTask)]:
            raise TypeError(f"register_periodic_tasks returned {strange[0]!r}, no PeriodicTask")
        for task in tasks:
            task.require_sound()
        return tasks

    # -- on the command line

    def register_commands(self, read_section: ReadSection, workbench: Workbench) -> list[Any]:
        """Collect commands.

        :raises PluginError: when a plugin fails to say what it has.
        """
        commands: list[Any] = []
        for name in self._listeners("register_commands"):
            try:
                answers = self._alone(name, "register_commands")(
                    read_section=read_section, workbench=workbench
                )
                commands.extend(command for answer in answers for command in answer)
            except Exception as error:
                reason = f"its register_commands raised {type(error).__name__}: {error}"
                raise PluginError(group=COMMANDS, name=name, reason=reason) from error
        return commands

    # -- stores

    def choose_store(
        self, image: Image, size: int | None, project_id: str | None, stores: Stores
    ) -> str | None:
        """Return the first answer that names a store which can take an image now.

        A listener that fails, hangs or names another thing is logged, and the next one asked.
        """
        for name in self._choosers("choose_store"):
            ask = self._alone(name, "choose_store")
            given = {"image": image, "size": size, "project_id": project_id, "stores": stores}
            try:
                with self._calls(name).counted("choose_store"):
                    answer = self._in_time.call(partial(ask, **given))
                    if answer is None:
                        continue
                    if answer in [store.id for store in stores.takers]:
                        return str(answer)
                    raise ValueError(f"it chose {answer!r:.80}, which cannot take the image")
            except Exception:
                log.exception("plugin %s failed in choose_store of image %s", name, image.id)
        return None

    def should_cache(self, image: Image, stores: Stores) -> bool:
        """Return the first answer that is one; without any, an image may be cached.

        A listener that fails, hangs or says another thing is logged, and the next one asked.
        """
        for name in self._choosers("should_cache"):
            ask = self._alone(name, "should_cache")
            try:
                with self._calls(name).counted("should_cache"):
                    answer = self._in_time.call(partial(ask, image=image, stores=stores))
                    if answer is None:
                        continue
                    if isinstance(answer, bool):
                        return answer
                    raise TypeError(f"it said {answer!r:.80}, no yes or no")
            except Exception:
                log.exception("plugin %s failed in should_cache of image %s", name, image.id)
        return True

    # -- metadata

    @property
    def after_commit_listeners(self) -> tuple[str, ...]:
        """The names of those who want to hear of events."""
        return self._listeners("after_commit")

    def after_commit(self, events: Sequence[Event]) -> None:
        """Tell everybody; one that raises is logged, the others are still told."""
        for name in self.after_commit_listeners:
            try:
                self.tell(name, events)
            except Exception:
                log.exception("plugin %s failed in after_commit", name)

    def tell(self, listener: str, events: Sequence[Event]) -> None:
        """Tell one listener what happened, and let it raise what it will."""
        with self._calls(listener).counted("after_commit", is_answer=_is_away):
            self._alone(listener, "after_commit")(events=events)

    # -- how

    def _calls(self, listener: str) -> Calls:
        """Return where a listener's calls are counted; those of its parts are a plugin's own."""
        return self._counters.of(HOOKS, listener.partition("/")[0], "hooks")

    def _known(self) -> list[str]:
        is_spec = partial(self._plugins.parse_hookspec_opts, hookspecs)
        return sorted(name for name in vars(hookspecs) if is_spec(name) is not None)

    def _listeners(self, hook: str) -> tuple[str, ...]:
        implementations = getattr(self._plugins.hook, hook).get_hookimpls()
        return tuple(sorted(found.plugin_name for found in implementations))

    def _choosers(self, hook: str) -> tuple[str, ...]:
        """Return who is asked, in order: by name, but for those that want to be the last."""
        implementations = getattr(self._plugins.hook, hook).get_hookimpls()
        ordered = sorted(implementations, key=lambda found: (found.trylast, found.plugin_name))
        return tuple(found.plugin_name for found in ordered)

    def _hooks_of(self, name: str) -> tuple[str, ...]:
        """Return what a plugin listens to, itself or by those for whom it stands."""
        own = [
            plugin
            for other, plugin in self._plugins.list_name_plugin()
            if plugin is not None and other.partition("/")[0] == name
        ]
        callers = [self._plugins.get_hookcallers(plugin) or [] for plugin in own]
        return tuple(sorted({caller.name for found in callers for caller in found}))

    def _alone(self, name: str, hook: str) -> Callable[..., Any]:
        """Return a hook as one plugin's alone: pluggy itself stops at the first that raises."""
        others = self._plugins.get_plugins() - {self._plugins.get_plugin(name)}
        ask = self._plugins.subset_hook_caller(hook, others)

        def ask_safely(**given: Any) -> Any:
            try:
                return ask(**given)
            except SystemExit as error:  # its error, not the end of whoever asks
                raise PluginError(group=HOOKS, name=name, reason=f"it exits: {error}") from error

        return ask_safely


def _counted(task: PeriodicTask, calls: Calls) -> PeriodicTask:
    def run() -> object:
        with calls.counted(f"run {task.name}", is_answer=_is_over):
            return to_the_end(task.run())

    return replace(task, run=run)


def _is_over(error: BaseException) -> bool:
    """Say whether a task ended because the turn was another's, as it should."""
    return isinstance(error, TurnOver)


def _is_away(error: BaseException) -> bool:
    """Say whether it is not the listener that is at fault, but whom it tells is away."""
    return isinstance(error, Unavailable)


def wanted_hooks(
    disabled: Collection[str], read_section: ReadSection | None = None
) -> list[Wanted]:
    """Return all that is installed and not switched off, for ``drivers.load_all``.

    Most plugins are modules. One that has options is a class, built with what ``read_section``
    gives for them; where it asks for ``read_section``, it reads further sections by itself.
    """
    names = sorted({offer.report.name for offer in offers_of(HOOKS)} - set(disabled))
    return [
        Wanted(
            group=HOOKS,
            name=name,
            use="hooks",
            build=partial(_built, name=name, read_section=read_section),
        )
        for name in names
    ]


def _listeners_of(plugin: Any) -> Mapping[str, object]:
    """Return those for whom a plugin stands, by what tells them apart: they fail by themselves."""
    found: Mapping[str, object] = {}
    if not inspect.ismodule(plugin) and hasattr(plugin, "listeners"):
        found = plugin.listeners()
    return found


def _built(plugin: Any, *, name: str, read_section: ReadSection | None) -> object:
    if not inspect.isclass(plugin) or read_section is None:
        return plugin
    kind: Any = plugin
    further = {}
    if "read_section" in inspect.signature(kind).parameters:
        further["read_section"] = read_section
    return kind(read_section(kind.section, kind.options), name=name, **further)
