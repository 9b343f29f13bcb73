# SPDX-License-Identifier: Apache-2.0
"""The hooks, and listeners that misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from glancekit.core.counters import Counters
from glancekit.core.drivers import HOOKS, Loaded, PluginReport, PluginState, load_all
from glancekit.core.errors import PluginError
from glancekit.core.hooks import TRACE, Hooks, wanted_hooks
from glancekit.core.hookspecs import ReadSection, hookimpl
from glancekit.core.model.events import Event
from glancekit.core.periodic import PeriodicTask, PeriodicWorld
from glancekit.core.turns import TurnOver

Install = Callable[..., str]

WORLD = cast(PeriodicWorld, SimpleNamespace())
EVENTS = [Event(type="image.create", subject="a"), Event(type="image.delete", subject="a")]


class Listener:
    """Remembers what it was told, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[str] = []
        self.error = error

    @hookimpl
    def after_commit(self, events: Sequence[Event]) -> None:
        self.heard += [event.type for event in events]
        if self.error:
            raise self.error


def task(name: str) -> PeriodicTask:
    return PeriodicTask(name=name, interval=1, run=lambda: None)


def test_hook_after_commit_tells_everybody_though_one_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks, listeners = Hooks(), [Listener(), Listener(OSError("no network")), Listener()]
    for name, listener in zip("abc", listeners, strict=True):
        hooks.add(name, listener)
    hooks.after_commit(EVENTS)
    assert [listener.heard for listener in listeners] == [["image.create", "image.delete"]] * 3
    assert "plugin b failed in after_commit" in caplog.text
    assert "no network" in caplog.text


def test_one_listener_can_be_told_alone_and_its_error_is_heard() -> None:
    hooks, calm, angry = Hooks(), Listener(), Listener(KeyError("x"))
    hooks.add("calm", calm)
    hooks.add("angry", angry)
    assert hooks.after_commit_listeners == ("angry", "calm")
    hooks.tell("calm", EVENTS)
    with pytest.raises(KeyError):
        hooks.tell("angry", EVENTS[:1])
    assert calm.heard == ["image.create", "image.delete"]
    assert angry.heard == ["image.create"]


def test_hook_register_periodic_tasks_collects_and_goes_without_the_broken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    forever = threading.Event()

    class Sound:
        @hookimpl
        def register_periodic_tasks(self, world: object) -> list[PeriodicTask]:
            assert world is WORLD
            return [task("one"), task("two")]

    class TakesLess:
        @hookimpl
        def register_periodic_tasks(self) -> list[PeriodicTask]:
            return [task("three")]

    class Raises:
        @hookimpl
        def register_periodic_tasks(self) -> list[PeriodicTask]:
            raise OSError("no such table")

    class Odd:
        @hookimpl
        def register_periodic_tasks(self) -> list[Any]:
            return ["four"]

    class Hangs:
        @hookimpl
        def register_periodic_tasks(self) -> list[PeriodicTask]:
            forever.wait()
            return []

    hooks = Hooks(patience=0.5)
    for plugin in (Sound(), TakesLess(), Raises(), Odd(), Hangs()):
        hooks.add(type(plugin).__name__, plugin)
    tasks = hooks.register_periodic_tasks(WORLD)
    forever.set()
    assert [task.name for task in tasks] == ["one", "two", "three"]
    assert "no such table" in caplog.text
    assert "'four'" in caplog.text
    assert "plugin Hangs" in caplog.text


def test_a_run_of_a_task_is_a_call_of_its_plugin() -> None:
    def lose_the_turn() -> None:
        raise TurnOver

    def fail() -> None:
        raise OSError("no room")

    class Plugin:
        @hookimpl
        def register_periodic_tasks(self) -> list[PeriodicTask]:
            runs = {"well": lambda: "done", "over": lose_the_turn, "badly": fail}
            return [PeriodicTask(name=name, interval=1, run=run) for name, run in runs.items()]

    counters = Counters()
    hooks = Hooks(counters=counters)
    hooks.add("acme", Plugin())
    well, over, badly = hooks.register_periodic_tasks(WORLD)
    assert well.run() == "done"
    with pytest.raises(TurnOver):
        over.run()
    with pytest.raises(OSError, match="no room"):
        badly.run()
    counted = {
        one.operation: (tally.calls, tally.errors, tally.last_error)
        for one, tally in counters.snapshot().items()
        if (one.group, one.name, one.use) == ("glancekit.hooks", "acme", "hooks")
    }
    assert counted.pop("register_periodic_tasks") == (1, 0, "")
    assert counted == {
        "run well": (1, 0, ""),
        "run over": (1, 0, ""),
        "run badly": (1, 1, "OSError: no room"),
    }


def test_a_plugin_is_told_by_those_for_whom_it_stands() -> None:
    class Plugin:
        def listeners(self) -> dict[str, Listener]:
            return {"one": Listener(), "two": Listener()}

    report = PluginReport(group="glancekit.hooks", name="acme")
    hooks = Hooks()
    assert hooks.add_loaded(Loaded(report=report, driver=Plugin())).capabilities == (
        "after_commit",
    )
    other = PluginReport(group="glancekit.hooks", name="acme-two")
    assert hooks.add_loaded(Loaded(report=other, driver=object())).capabilities == ()


def test_a_misspelt_hook_is_an_error_and_its_plugin_hears_nothing() -> None:
    class Misspelt(Listener):
        @hookimpl
        def after_comit(self, events: Sequence[Event]) -> None: ...

    hooks, plugin = Hooks(), Misspelt()
    with pytest.raises(PluginError) as caught:
        hooks.add("acme", plugin)
    assert caught.value.name == "acme"
    assert "after_comit" in caught.value.reason
    _, _, known = caught.value.reason.partition("the hooks are: ")
    assert {"after_commit", "register_periodic_tasks"} <= set(known.split(", "))
    assert "after_comit" not in known
    hooks.add("other", Listener())
    assert hooks.after_commit_listeners == ("other",)


def test_an_argument_that_the_hook_does_not_offer_is_an_error() -> None:
    class Greedy:
        @hookimpl
        def after_commit(self, events: Sequence[Event], database: object) -> None: ...

    with pytest.raises(PluginError) as caught:
        Hooks().add("greedy", Greedy())
    assert "database" in caught.value.reason


HOOK_MODULE = """
from glancekit.plugin import hookimpl
api_level = 1
heard = []
@hookimpl
def after_commit(events):
    heard.extend(event.type for event in events)
"""

BROKEN = {
    "level": (HOOK_MODULE.replace("api_level = 1", ""), "api_level"),
    "import": ("import nowhere_to_be_found\n", "nowhere_to_be_found"),
    "misspelt": (HOOK_MODULE.replace("def after_commit", "def afer_commit"), "afer_commit"),
    "hangs": ("import threading\nthreading.Event().wait()\n", "not ready within"),
}


HOOK_CLASS = """
from types import SimpleNamespace
from glancekit.plugin import StrOpt, hookimpl

class Part:
    def __init__(self, where):
        self.heard, self.where = [], where

    @hookimpl
    def after_commit(self, events):
        self.heard.extend(event.subject for event in events)

class Plugin:
    api_level = 1
    section = "acme"
    options = [StrOpt("where", help="Where.")]

    def __init__(self, options, *, name):
        self.parts = {part: Part(f"{name} {part}") for part in options.where.split()}

    def listeners(self):
        return self.parts
"""


def test_a_plugin_with_options_is_a_class_and_may_stand_for_several(install: Install) -> None:
    install("acme-far", HOOK_CLASS, {HOOKS: {"far": ":Plugin"}})

    def read_section(section: str, options: Sequence[Any]) -> Any:
        assert (section, [option.name for option in options]) == ("acme", ["where"])
        return SimpleNamespace(where="north south")

    wanted = [want for want in wanted_hooks((), read_section) if want.name == "far"]
    (loaded,) = load_all(wanted, deadline=30)
    hooks = Hooks()
    assert hooks.add_loaded(loaded).state is PluginState.OK
    assert hooks.after_commit_listeners == ("far/north", "far/south")
    assert {"far", "far/north", "far/south"} <= hooks.names
    hooks.tell("far/south", [Event(type="image.create", subject="i")])
    assert [part.heard for part in loaded.driver.parts.values()] == [[], ["i"]]
    assert loaded.driver.parts["south"].where == "far south"


HOOK_CLASS_WITH_SECTIONS = """
from glancekit.plugin import StrOpt

class Plugin:
    api_level = 1
    section = "acme"
    options = [StrOpt("where", help="Where.")]

    def __init__(self, options, *, name, read_section):
        self.found = [read_section(f"acme_{where}", self.options) for where in options.where]
"""


def test_a_plugin_with_options_may_read_further_sections(install: Install) -> None:
    install("acme-near", HOOK_CLASS_WITH_SECTIONS, {HOOKS: {"near": ":Plugin"}})

    def read_section(section: str, options: Sequence[Any]) -> Any:
        return SimpleNamespace(where=["n", "s"] if section == "acme" else section)

    wanted = [want for want in wanted_hooks((), read_section) if want.name == "near"]
    (loaded,) = load_all(wanted, deadline=30)
    assert [found.where for found in loaded.driver.found] == ["acme_n", "acme_s"]


def defaults(section: str, options: Sequence[Any]) -> SimpleNamespace:
    return SimpleNamespace(**{option.dest: option.default for option in options})


def add_installed(*, disabled: Sequence[str] = ()) -> tuple[Hooks, dict[str, PluginReport]]:
    hooks = Hooks()
    loaded = load_all(wanted_hooks(disabled, defaults), deadline=6.0)
    return hooks, {report.name: report for report in map(hooks.add_loaded, loaded)}


def test_installed_plugins_listen_and_broken_ones_are_reported(install: Install) -> None:
    install("acme-mail", HOOK_MODULE, {HOOKS: {"mail": ""}})
    for name, (source, _) in BROKEN.items():
        install(f"acme-{name}", source, {HOOKS: {name: ""}})
    hooks, reports = add_installed()
    assert reports["mail"].state is PluginState.OK
    assert reports["mail"].capabilities == ("after_commit",)
    for name, (_, reason) in BROKEN.items():
        assert reports[name].state is PluginState.BROKEN
        assert reports[name].distribution == f"acme-{name}"
        assert reason in reports[name].reason
    assert "mail" in hooks.after_commit_listeners
    assert not set(BROKEN) & set(hooks.after_commit_listeners)


def test_a_disabled_plugin_is_not_even_imported(install: Install) -> None:
    install("acme-mail", "raise OSError", {HOOKS: {"mail": ""}})
    _, reports = add_installed(disabled=["mail"])
    assert "mail" not in reports


def test_our_own_parts_come_through_the_front_door() -> None:
    hooks, reports = add_installed()
    for name in ("audit_log", "outbox", "reaper"):
        assert reports[name].state is PluginState.OK, reports[name].reason
    assert "audit_log" in hooks.after_commit_listeners


def test_the_trace_switch_prints_calls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(TRACE, "1")
    hooks = Hooks()
    hooks.add("mail", Listener())
    hooks.after_commit(EVENTS)
    printed = capsys.readouterr().err
    assert "after_commit" in printed
    assert "image.create" in printed


def test_nothing_is_printed_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(TRACE, raising=False)
    hooks = Hooks()
    hooks.add("mail", Listener())
    hooks.after_commit(EVENTS)
    assert capsys.readouterr().err == ""


class Commander:
    """Has commands, or raises."""

    def __init__(self, *commands: str) -> None:
        self.commands = list(commands)

    @hookimpl
    def register_commands(self, read_section: ReadSection, workbench: Any) -> list[str]:
        if not self.commands:
            raise OSError("no commands")
        workbench.append(self.commands)
        return [f"{command} {read_section('auth', ())}" for command in self.commands]


def test_hook_register_commands_collects_them() -> None:
    hooks = Hooks()
    hooks.add("b", Commander("three"))
    hooks.add("a", Commander("one", "two"))
    asked: list[str] = []
    bench: Any = []
    commands = hooks.register_commands(lambda section, options: asked.append(section), bench)
    assert commands == ["one None", "two None", "three None"]
    assert asked == ["auth"] * 3
    assert bench == [["one", "two"], ["three"]]


def test_a_plugin_that_fails_to_say_its_commands_is_named() -> None:
    hooks = Hooks()
    hooks.add("broken", Commander())
    with pytest.raises(
        PluginError, match=r"broken.*register_commands raised OSError: no commands"
    ):
        hooks.register_commands(lambda section, options: None, cast(Any, None))
