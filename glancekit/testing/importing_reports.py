# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of import methods and steps on request (reports.py).

Promises are importing's business.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import pytest

from glancekit.core.contracts.importing import METHOD_CAPABILITIES, STEP_CAPABILITIES
from glancekit.plugin import Fetched, Identity, Image, Progress, SourceStream, StagedImage
from glancekit.testing import reports
from glancekit.testing.importing_liars import HonestMethod, HonestStep
from glancekit.testing.reports import Fact, Figure, capabilities_of, rate

Start = Callable[[Fetched | None], SourceStream]


class ImportMethodReports:
    """Prints what a method can do, and how fast, when it is asked for."""

    content: ClassVar[bytes]

    def test_report_table(
        self, method: Any, start: Start, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """For the README of the plugin. What is known beforehand is so of the tests' source."""
        reports.wanted("table")
        able = [kind for kind in METHOD_CAPABILITIES if isinstance(method, kind)]
        with start(None) as stream:
            facts = [
                *capabilities_of(able, METHOD_CAPABILITIES),
                Fact("size", stream.size is not None, "how much comes is known before it comes"),
                Fact("version", stream.version is not None, "a fetch goes on where it broke off"),
            ]
        reports.show(capsys, "Capabilities\n------------", reports.fact_table(facts))

    def test_report_speed(self, start: Start, capsys: pytest.CaptureFixture[str]) -> None:
        """One fetch after the other of the tests' content."""
        reports.wanted("speed")
        memory = HonestMethod()
        memory.content = self.content
        image, caller = Image(id="memory", owner="p"), Identity(user_id="u", project_id="p")

        def from_memory(fetched: Fetched | None) -> SourceStream:
            return memory.open(image, {"key": "memory"}, caller=caller, fetched=fetched)

        size = len(self.content)
        lines = reports.beside(
            _method_figures(start, size), _method_figures(from_memory, size), other="memory"
        )
        reports.show(capsys, "Speed", lines)


class ImportStepReports:
    """Prints what a step does, and how fast, when it is asked for."""

    def test_report_table(
        self, step: Any, staged: StagedImage, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """For the README of the plugin. What it makes is what it makes of the tests' image."""
        reports.wanted("table")
        able = [kind for kind in STEP_CAPABILITIES if isinstance(step, kind)]
        done = step.execute(staged, _silent)
        facts = [
            *capabilities_of(able, STEP_CAPABILITIES),
            Fact("path", done.path != staged.path, "it makes another file of the image's"),
            Fact("digests", bool(done.digests), "it digests what it writes: no second reading"),
        ]
        reports.show(capsys, "Capabilities\n------------", reports.fact_table(facts))

    def test_report_speed(
        self, step: Any, staged: StagedImage, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Done and undone with the tests' image, beside a copy of its file."""
        reports.wanted("speed")
        lines = reports.beside(
            _step_figures(step, staged),
            _step_figures(_Copying(), staged),
            other="copy of the file",
        )
        reports.show(capsys, "Speed", lines)


class _Copying(HonestStep):
    """Copies the file, which is what the quickest step that makes another one has to do."""

    def applies_to(self, staged: StagedImage) -> bool:
        """Say yes."""
        return True

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Copy it."""
        shutil.copyfile(staged.path, self.place(staged))
        return replace(staged, path=self.place(staged))


def _method_figures(start: Start, size: int) -> Iterator[Figure]:
    yield rate("fetch", partial(_fetch, start), size=size)
    yield rate("open and close", lambda: start(None).close())


def _fetch(start: Start) -> None:
    with start(None) as stream:
        for _ in stream:
            pass


def _step_figures(step: Any, staged: StagedImage) -> Iterator[Figure]:
    def do_and_undo() -> None:
        step.execute(staged, _silent)
        step.revert(staged)

    yield rate("ask whether it applies", lambda: step.applies_to(staged))
    size = staged.path.stat().st_size
    yield rate("do and undo", do_and_undo, size=size if size >= reports.MIB else 0)


def _silent(done: int, total: int | None) -> None:
    """Be told of progress and make nothing of it."""
