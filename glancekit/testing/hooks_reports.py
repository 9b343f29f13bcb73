# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of a plugin that listens on request (reports.py). Promises are hooks'."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from glancekit.core import hookspecs
from glancekit.core.drivers import HOOKS, Loaded, PluginReport
from glancekit.core.hooks import Hooks
from glancekit.core.stores import Store, Stores
from glancekit.plugin import Event, Image, hookimpl
from glancekit.testing import reports
from glancekit.testing.memory_store import MemoryStore
from glancekit.testing.reports import Fact, Figure, rate

TOLD = 10
"""Events that are told at once."""

_OF_OTHERS = ("register_commands",)
"""Hooks of the command line, which modules of another group have."""


class Silent:
    """Listens to what is asked while a service runs, and makes nothing of it."""

    api_level: ClassVar[int] = 1

    @hookimpl
    def after_commit(self, events: Sequence[Event]) -> None:
        """Hear it."""

    @hookimpl
    def choose_store(self, image: Image) -> str | None:
        """Leave it to others."""

    @hookimpl
    def should_cache(self, image: Image) -> bool | None:
        """Leave it to others."""


class HooksReports:
    """Prints what a plugin listens to, and how fast it answers, when it is asked for."""

    def test_report_table(self, listener: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """For the README of the plugin."""
        reports.wanted("table")
        heard = _heard(Hooks(), listener)
        facts = [Fact(name, name in heard, meaning) for name, meaning in _hooks().items()]
        table = reports.fact_table(facts, title="hook")
        reports.show(capsys, "Capabilities\n------------", table)

    def test_report_speed(self, listener: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """One after the other, beside a listener that does nothing."""
        reports.wanted("speed")
        figures = list(_figures(listener, listener))
        if not figures:
            pytest.skip("it is asked nothing while a service runs, but for its periodic tasks")
        floor = _figures(Silent(), listener)
        reports.show(capsys, "Speed", reports.beside(figures, floor, other="silent listener"))


def _hooks() -> dict[str, str]:
    """Return the hooks of a service, each with its line."""
    found = {
        name: (one.__doc__ or "").strip().splitlines()[0]
        for name, one in vars(hookspecs).items()
        if hasattr(one, f"{hookspecs.PROJECT}_spec")
    }
    return {name: meaning for name, meaning in found.items() if name not in _OF_OTHERS}


def _heard(hooks: Hooks, listener: Any) -> Sequence[str]:
    report = PluginReport(group=HOOKS, name="listener")
    return hooks.add_loaded(Loaded(report=report, driver=listener)).capabilities


def _figures(plugin: Any, like: Any) -> Iterator[Figure]:
    """Measure a plugin by what another one listens to."""
    heard, hooks = _heard(Hooks(), like), Hooks()
    _heard(hooks, plugin)
    positions = itertools.count(1)
    stores = Stores([Store("memory", MemoryStore())], "memory")
    image = Image(id="usual", owner="p", name="cirros", disk_format="qcow2")

    def tell() -> None:
        events = [
            Event(type="image.update", subject="1", payload={"id": "1"}, position=next(positions))
            for _ in range(TOLD)
        ]
        for name in hooks.after_commit_listeners:
            hooks.tell(name, events)

    work = {
        "after_commit": (f"hear of {TOLD} events", tell),
        "choose_store": ("choose a store", lambda: hooks.choose_store(image, None, "p", stores)),
        "should_cache": ("whether to cache", lambda: hooks.should_cache(image, stores)),
    }
    for hook in sorted(work.keys() & set(heard)):
        yield rate(*work[hook])
