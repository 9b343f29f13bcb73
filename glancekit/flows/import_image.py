# SPDX-License-Identifier: Apache-2.0
"""The recipe of an import: which steps, in which order, what each hands on. Deeds: ports.py.

The vocabulary of its steps:

========== ===================================================================
``work``   who does the deeds (``ImportWork``); never kept
``job``    the import, as JSON (``Job``)
``staged`` what lies in staging after the step before, as JSON (``Staged``)
``measured`` what the bytes are, as JSON (``Measured``)
========== ===================================================================
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from taskflow.flow import Flow
from taskflow.patterns import linear_flow, unordered_flow
from taskflow.task import Task
from taskflow.types.failure import Failure

from glancekit.core.errors import GlancekitError, PluginError
from glancekit.flows.ports import ImportWork, Job, Measured, Staged

log = logging.getLogger(__name__)

Json = Mapping[str, Any]


def recipe(job: Json) -> Flow:
    """Return the flow of an import; the same each time, for whoever goes on with it."""
    plan = Job.from_json(job)
    flow = linear_flow.Flow(f"import {plan.task_id}")
    flow.add(Hold("hold", inject={"job": dict(job)}))
    if plan.stages:
        staged = _add_staging(flow, plan, job)
    else:
        flow.add(Describe("describe", inject={"job": dict(job)}, provides="measured"))
        staged = None
    writing = (unordered_flow if plan.in_parallel else linear_flow).Flow("stores")
    for store in plan.stores:
        writing.add(_write(job, store, staged))
    flow.add(writing)
    flow.add(_activate(job, staged))
    flow.add(Unstage("unstage", inject={"job": dict(job)}))
    flow.add(Finish("finish", inject={"job": dict(job)}))
    return flow


def _add_staging(flow: Flow, plan: Job, job: Json) -> str:
    """Add all that is done to staged bytes, and return under which name the last of it is."""
    flow.add(Fetch("fetch", inject={"job": dict(job)}, provides="staged 0"))
    for number, step in enumerate(plan.steps, start=1):
        flow.add(
            Apply(
                f"step {step}",
                inject={"job": dict(job), "step": step},
                rebind={"staged": f"staged {number - 1}"},
                provides=f"staged {number}",
            )
        )
    last = f"staged {len(plan.steps)}"
    inject = {"job": dict(job)}
    flow.add(Measure("measure", inject=inject, rebind={"staged": last}, provides="measured"))
    return last


def _write(job: Json, store: str, staged: str | None) -> Task:
    inject: dict[str, Any] = {"job": dict(job), "store": store}
    if staged is None:
        return Write(f"store {store}", inject={**inject, "staged": None})
    return Write(f"store {store}", inject=inject, rebind={"staged": staged})


def _activate(job: Json, staged: str | None) -> Task:
    if staged is None:
        return Activate("activate", inject={"job": dict(job), "staged": None})
    return Activate("activate", inject={"job": dict(job)}, rebind={"staged": staged})


def _staged(given: Json | None) -> Staged | None:
    return None if given is None else Staged.from_json(given)


def _reason(job: Job, failure: Failure) -> str:
    """Return what a task may say of a failure; what nobody foresaw is for the log alone."""
    if failure.check(GlancekitError) and not failure.check(PluginError):
        return str(failure.exception_str)
    log.error(
        "import %s met an error that it did not expect:\n%s", job.task_id, failure.pformat(True)
    )
    if isinstance(failure.exception, PluginError):
        plugin = failure.exception.facts.get("name", "")
        return f"The plugin '{plugin}' failed; the service's log has it"
    return "The import met an error that it did not expect; the service's log has it"


class Hold(Task):  # type: ignore[misc]  # taskflow has no types
    """The first step, which has nothing to do: its undoing is the last, and ends the import."""

    def execute(self, job: Json) -> None:
        """Begin."""

    def revert(
        self, work: ImportWork, job: Json, flow_failures: Mapping[str, Any], **_found: Any
    ) -> None:
        """Put the image back; the failure of another step is the reason."""
        plan = Job.from_json(job)
        reasons = [_reason(plan, failure) for failure in flow_failures.values()]
        work.fail(plan, reasons[0] if reasons else "the import was stopped")


class Fetch(Task):  # type: ignore[misc]
    """Bytes into staging."""

    def execute(self, work: ImportWork, job: Json) -> Json:
        """Fetch, or find them there."""
        return work.fetch(Job.from_json(job)).to_json()

    def revert(self, work: ImportWork, job: Json, **_found: Any) -> None:
        """Remove what is staged."""
        work.unstage(Job.from_json(job))


class Apply(Task):  # type: ignore[misc]
    """A step of the operator's."""

    def execute(self, work: ImportWork, job: Json, step: str, staged: Json) -> Json:
        """Let it do its work."""
        return work.apply(Job.from_json(job), step, Staged.from_json(staged)).to_json()

    def revert(self, work: ImportWork, job: Json, step: str, staged: Json, **_found: Any) -> None:
        """Remove what it made."""
        work.unapply(Job.from_json(job), step, Staged.from_json(staged))


class Measure(Task):  # type: ignore[misc]
    """Inspection and digests."""

    def execute(self, work: ImportWork, job: Json, staged: Json) -> Json:
        """Read it, where nobody has yet."""
        return work.measure(Job.from_json(job), Staged.from_json(staged)).to_json()


class Describe(Task):  # type: ignore[misc]
    """What is known of bytes that are in a store already."""

    def execute(self, work: ImportWork, job: Json) -> Json:
        """Look it up."""
        return work.describe(Job.from_json(job)).to_json()


class Write(Task):  # type: ignore[misc]
    """Bytes into one store."""

    def execute(
        self, work: ImportWork, job: Json, store: str, staged: Json | None, measured: Json
    ) -> bool:
        """Write them."""
        bytes_are = Measured.from_json(measured)
        return work.write(Job.from_json(job), store, _staged(staged), bytes_are)

    def revert(self, work: ImportWork, job: Json, store: str, **_found: Any) -> None:
        """Take them away."""
        work.unwrite(Job.from_json(job), store)


class Activate(Task):  # type: ignore[misc]
    """From here on there is no way back, and no need for one."""

    def execute(self, work: ImportWork, job: Json, staged: Json | None, measured: Json) -> None:
        """Show all that was written."""
        work.activate(Job.from_json(job), _staged(staged), Measured.from_json(measured))


class Unstage(Task):  # type: ignore[misc]
    """Staging is left as it was found."""

    def execute(self, work: ImportWork, job: Json) -> None:
        """Remove the image's folder."""
        work.unstage(Job.from_json(job))


class Finish(Task):  # type: ignore[misc]
    """The last step."""

    def execute(self, work: ImportWork, job: Json) -> None:
        """End the task."""
        work.finish(Job.from_json(job))
