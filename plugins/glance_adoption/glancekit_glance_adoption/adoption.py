# SPDX-License-Identifier: Apache-2.0
"""Taking over from beginning to end: read both configurations, look, then write, then report.

Nothing is written as long as anything was found that must be mended first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from glancekit.plugin import GlancekitError, MetadataDriver, Workbench
from glancekit_glance_adoption import config_file
from glancekit_glance_adoption.config_file import Origin
from glancekit_glance_adoption.database import GlanceDatabase
from glancekit_glance_adoption.encryption import require_key
from glancekit_glance_adoption.findings import Findings
from glancekit_glance_adoption.progress import bars
from glancekit_glance_adoption.reading import KINDS, GlanceRecords
from glancekit_glance_adoption.report import Report
from glancekit_glance_adoption.returning import Returning
from glancekit_glance_adoption.taking import Taking


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed."""

    sources: tuple[str, ...]
    into: Path
    connection: str | None = None
    database: str | None = None
    data_dir: Path | None = None
    finish_deletes: bool = False
    shape: str = "table"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the other service's files say. ``text`` is to be written; None when it is there."""

    origin: Origin
    database: GlanceDatabase
    text: str | None
    ignored: Sequence[Mapping[str, str]]
    unusable: Sequence[str]


def survey(workbench: Workbench, asked: Asked) -> None:
    """Tell what would come of taking over, and write nothing.

    :raises GlancekitError: when nothing could be taken over.
    """
    plan = _plan(workbench, asked)
    with plan.database.reading() as connection:
        findings, counts = _look(connection, plan.origin)
    _report(asked, plan, findings, {"to be read": counts}).show(asked.shape)
    if findings.blocking:
        raise GlancekitError("Nothing can be taken over before what blocks it is mended")


def take(workbench: Workbench, asked: Asked) -> None:
    """Take everything over, and tell what did not carry over as it was.

    :raises GlancekitError: when nothing can be taken over.
    """
    plan = _plan(workbench, asked)
    with ExitStack() as stack:
        connection = stack.enter_context(plan.database.reading())
        findings, counts = _look(connection, plan.origin)
        if findings.blocking:
            _report(asked, plan, findings, {}).show(asked.shape)
            raise GlancekitError("Nothing was taken over: what blocks it is to be mended first")
        if plan.text is not None:
            config_file.write(plan.text, asked.into)
        ours, _ = workbench.configuration([str(asked.into)])
        metadata = stack.enter_context(workbench.metadata(ours))
        taking = _take(metadata, connection, plan.origin, asked, findings, counts)
    done = {"taken over": dict(taking.added), "here already": dict(taking.present)}
    _report(asked, plan, findings, done).show(asked.shape)


def give_back(workbench: Workbench, asked: Asked) -> None:
    """Write all records into a database that the other service has just made.

    :raises GlancekitError: when that has something already, or cannot be used.
    """
    if not asked.into.is_file():
        raise GlancekitError(f"There is no configuration {asked.into} of a glancekit")
    plan = _plan(workbench, asked)
    findings = Findings()
    with ExitStack() as stack:
        ours, _ = workbench.configuration([str(asked.into)])
        metadata = stack.enter_context(workbench.metadata(ours))
        work = stack.enter_context(metadata.unit_of_work(read_only=True))
        connection = stack.enter_context(plan.database.writing())
        tally = stack.enter_context(bars("giving back", dict.fromkeys(KINDS)))
        returning = Returning(
            connection,
            encryption_key=plan.origin.encryption_key,
            findings=findings,
            tally=tally,
        )
        returning.run(work)
    _report(asked, plan, findings, {"given back": dict(returning.written)}).show(asked.shape)


def _plan(workbench: Workbench, asked: Asked) -> Plan:
    theirs, reports = workbench.configuration(asked.sources)
    text, ignored = config_file.compose(theirs, database=asked.database, data_dir=asked.data_dir)
    origin = config_file.origin_of(theirs, connection=asked.connection)
    require_key(origin.encryption_key)
    is_there = asked.into.exists()
    if is_there and (asked.database or asked.data_dir):
        _require_written(asked.into, text)
    database = GlanceDatabase(origin.connection)
    unusable = [f"{one.use}: {one.reason}" for one in reports if one.use != "metadata"]
    return Plan(origin, database, None if is_there else text, ignored, unusable)


def _require_written(into: Path, text: str) -> None:
    """Insist that a configuration is what this very command would write.

    :raises GlancekitError: when it is another one.
    """
    try:
        found = into.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise GlancekitError(f"{into} cannot be read: {error}") from error
    if found != text:
        raise GlancekitError(
            f"{into} is there already and counts as it is: leave out --database and --data-dir, "
            "or name a file that is not there"
        )


def _look(connection: Connection, origin: Origin) -> tuple[Findings, dict[str, int]]:
    """Read everything once, to know what will not carry over before anything is written."""
    findings = Findings()
    records = _records(connection, origin, findings)
    counts = records.counts()
    with bars("reading", counts) as tally:
        for images in records.images():
            tally("images", len(images))
        for buried in records.buried():
            tally("deleted images", len(buried))
        for tasks in records.tasks():
            tally("tasks", len(tasks))
        for _ in records.namespaces():
            tally("namespaces", 1)
    records.note_caches()
    return findings, counts


def _take(
    metadata: MetadataDriver,
    connection: Connection,
    origin: Origin,
    asked: Asked,
    findings: Findings,
    counts: Mapping[str, int],
) -> Taking:
    with bars("taking over", counts) as tally:
        taking = Taking(metadata, findings, finish_deletes=asked.finish_deletes, tally=tally)
        # What reading finds was found already.
        taking.run(_records(connection, origin, Findings()))
    return taking


def _records(connection: Connection, origin: Origin, findings: Findings) -> GlanceRecords:
    return GlanceRecords(
        connection, origin.places, encryption_key=origin.encryption_key, findings=findings
    )


def _report(
    asked: Asked, plan: Plan, findings: Findings, counts: Mapping[str, Mapping[str, int]]
) -> Report:
    return Report(
        database=plan.database.name,
        configuration=str(asked.into),
        is_new=plan.text is not None,
        counts=counts,
        findings=findings,
        ignored=plan.ignored,
        unusable=plan.unusable,
    )
