# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of a driver on request: what it can do, and how fast. Nothing is asserted.

``GLANCEKIT_KIT=table`` in the environment prints a table of capabilities for the plugin's README,
``GLANCEKIT_KIT=speed`` figures beside those of the memory driver in the same run; ``table,speed``
prints both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import pytest

REPORTS = "GLANCEKIT_KIT"
"""The environment variable that asks for reports."""

LEAST = 0.2
"""Seconds for which a thing is done at least, so that its figure means something."""

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Figure:
    """How fast one thing was: ``value`` of ``unit``."""

    what: str
    value: float
    unit: str

    def __str__(self) -> str:
        digits = 0 if self.value >= 10 else 2
        return f"{self.value:,.{digits}f} {self.unit}"


def wanted(report: str) -> None:
    """Skip the test when nobody asked for a report."""
    if report not in os.environ.get(REPORTS, "").split(","):
        pytest.skip(f"{REPORTS}={report} prints this")


def show(capsys: pytest.CaptureFixture[str], title: str, lines: Iterable[str]) -> None:
    """Print a report past what pytest keeps of a test's output."""
    with capsys.disabled():
        print(f"\n\n{title}\n")
        for line in lines:
            print(line)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a plugin of a kind has or has not, and what that means."""

    name: str
    has: bool
    meaning: str


def capabilities_of(able: Collection[type], known: Sequence[type]) -> list[Fact]:
    """Return each capability of a kind, and whether it is among a driver's own."""
    return [Fact(kind.__name__, kind in able, _meaning(kind)) for kind in known]


def fact_table(facts: Iterable[Fact], *, title: str = "capability") -> list[str]:
    """Return a table in reStructuredText: each fact, whether it is one, what it means."""
    rows = [(f"``{fact.name}``", "yes" if fact.has else "no", fact.meaning) for fact in facts]
    return table((title, "has", "meaning"), rows)


def capability_table(capabilities: Collection[type], known: Sequence[type]) -> list[str]:
    """Return a table in reStructuredText: each capability, whether there is it, what it means."""
    return fact_table(capabilities_of(capabilities, known))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in reStructuredText."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    cells = [_line(row, widths) for row in rows]
    return [rule, _line(head, widths), rule, *cells, rule]


def rate(what: str, work: Callable[[], object], *, size: int = 0) -> Figure:
    """Do something for a while; return calls per second, or MiB per second for ``size`` bytes."""
    calls, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < LEAST or not calls:
        work()
        calls += 1
    if size:
        return Figure(what, calls * size / MIB / spent, "MiB/s")
    return Figure(what, calls / spent, "calls/s")


def beside(
    figures: Iterable[Figure], floor: Iterable[Figure], *, other: str = "memory driver"
) -> list[str]:
    """Return a plugin's figures beside those of another one, of the same things."""
    rows = [("", "this driver", other)]
    rows += [(one.what, str(one), str(least)) for one, least in zip(figures, floor, strict=True)]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    return [_line(row, widths) for row in rows]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _meaning(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]
