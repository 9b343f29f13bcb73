# SPDX-License-Identifier: Apache-2.0
"""A whole run: what is found is done, several images at a time, and what came of it is kept.

An image that fails costs the others nothing; a site that does not answer any more ends the run.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from glancekit.plugin import GlancekitError
from glancekit_site_replication.carrying import UsedBefore
from glancekit_site_replication.failures import Damaged, Denied, ReplicationError, Unanswered
from glancekit_site_replication.findings import TO_BRING, UNEQUAL, Finding, State

TRIES = 2
"""How often an image is tried while a site has no answer for it."""

PAUSE = 1.0
"""Seconds until it is tried again."""

IN_A_ROW = 5
"""Images that got no answer, one after another, until it is the site that does not answer."""

FAILED = "failed"

EXIT_FAILED, EXIT_DENIED, EXIT_UNANSWERED, EXIT_DAMAGED = 1, 3, 7, 8
"""As those of ``glancekit image``. 1 is also what a comparison of unequal sites ends with."""


def exit_code_of(error: GlancekitError) -> int:
    """Return what a command ends with because of an error; of several, the highest counts."""
    for kind, code in (
        (Damaged, EXIT_DAMAGED),
        (Unanswered, EXIT_UNANSWERED),
        (Denied, EXIT_DENIED),
    ):
        if isinstance(error, kind):
            return code
    return EXIT_FAILED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one image: what was done, ``failed``, or nothing and why."""

    finding: Finding
    done: str = ""
    error: GlancekitError | None = None

    @property
    def detail(self) -> str:
        """Say it in words."""
        finding = self.finding
        parts = [str(self.error)] if self.error else [self.done, finding.detail]
        if finding.fields and not self.done:
            parts.append(f"differs in {', '.join(finding.fields)}")
        return "; ".join(filter(None, parts))


@dataclass(slots=True)
class Report:
    """What came of a run. ``received`` and ``sent`` are bytes of images."""

    source: str
    target: str
    outcomes: list[Outcome] = field(default_factory=list)
    moved: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, int]:
        """Count images by what was done, or by how they stand where nothing was."""
        counted = Counter(
            FAILED
            if outcome.error
            else outcome.done.partition(" ")[0].partition(";")[0] or str(outcome.finding.state)
            for outcome in self.outcomes
        )
        return dict(sorted(counted.items()))

    def exit_code(self, *, comparing: bool) -> int:
        """Return what the command ends with."""
        codes = {exit_code_of(outcome.error) for outcome in self.outcomes if outcome.error}
        unequal = any(outcome.finding.state in UNEQUAL for outcome in self.outcomes)
        return max(codes, default=EXIT_FAILED if comparing and unequal else 0)

    def __str__(self) -> str:
        """Sum it up in a line."""
        counted = ", ".join(f"{count} {what}" for what, count in self.counts().items())
        return f"{self.source} to {self.target}: {counted or 'nothing'}"


class Run:
    """Does things to many images, at most ``parallel`` at a time."""

    def __init__(self, report: Report, *, parallel: int, tick: Callable[[], None]) -> None:
        """Keep what is needed; ``tick`` is called when an image is done with."""
        self.report = report
        self._parallel = parallel
        self._tick = tick
        self._lock = threading.Lock()
        self._unanswered = 0

    def over(self, findings: Iterable[Finding], act: Callable[[Finding], Outcome]) -> None:
        """Do something to each of them, and keep what came of it in the report."""
        waiting: queue.SimpleQueue[Finding] = queue.SimpleQueue()
        count = 0
        for finding in findings:
            waiting.put(finding)
            count += 1
        results: queue.SimpleQueue[Outcome | Exception] = queue.SimpleQueue()
        for number in range(min(self._parallel, count)):
            # As daemons: what runs when the process is told to end goes on another time.
            threading.Thread(
                target=self._work_off,
                args=(waiting, act, results),
                name=f"replicate {number}",
                daemon=True,
            ).start()
        for _ in range(count):
            result = results.get()
            if isinstance(result, Exception):
                raise result
            self.report.outcomes.append(result)
            self._tick()

    def _work_off(
        self,
        waiting: queue.SimpleQueue[Finding],
        act: Callable[[Finding], Outcome],
        results: queue.SimpleQueue[Outcome | Exception],
    ) -> None:
        """Do one after another until none is left."""
        with suppress(queue.Empty):
            while True:
                finding = waiting.get_nowait()
                try:
                    results.put(self._one(finding, act))
                except Exception as error:  # nobody else would hear of it
                    results.put(error)

    def _one(self, finding: Finding, act: Callable[[Finding], Outcome]) -> Outcome:
        for left in reversed(range(TRIES)):
            if self._unanswered >= IN_A_ROW:
                return Outcome(finding, error=Unanswered("not tried: a site does not answer"))
            try:
                outcome = act(finding)
            except UsedBefore as error:
                return Outcome(replace(finding, detail=str(error)))
            except Unanswered as error:
                if left:
                    time.sleep(PAUSE)
                    continue
                with self._lock:
                    self._unanswered += 1
                return Outcome(finding, error=error)
            except GlancekitError as error:
                return Outcome(finding, error=error)
            except OSError as error:  # of files here; those of connections have other names by now
                why = f"{error.strerror or type(error).__name__}: {error.filename or 'a file'}"
                return Outcome(finding, error=ReplicationError(why))
            with self._lock:
                self._unanswered = 0
            return outcome
        raise AssertionError("the last try returns")


def to_bring(findings: Iterable[Finding], report: Report) -> Iterator[Finding]:
    """Yield what something is to be done about, and keep the rest in the report as it is."""
    for finding in findings:
        if finding.state in TO_BRING:
            yield finding
        else:
            report.outcomes.append(Outcome(finding))


def is_left_alone(finding: Finding) -> bool:
    """Tell whether an image is of no interest to somebody who wants to see differences."""
    return finding.state in (State.SAME, State.ONLY_THERE, State.NOT_READY)
