# SPDX-License-Identifier: Apache-2.0
"""The things that can be done between a source and a target, each from its beginning to its end.

They return what came of it; what was typed and how it is written are not their business.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glancekit.plugin import Invalid
from glancekit_site_replication.carrying import Bytes, Carrier
from glancekit_site_replication.failures import Absent
from glancekit_site_replication.findings import TO_BRING, Finding, Judge, Source, State
from glancekit_site_replication.folder import Folder
from glancekit_site_replication.pace import Pace
from glancekit_site_replication.progress import Shown, unseen
from glancekit_site_replication.records import WITH_DATA, Record, Translation
from glancekit_site_replication.running import Outcome, Report, Run, to_bring
from glancekit_site_replication.selection import Selection
from glancekit_site_replication.site import Site
from glancekit_site_replication.spool import PART, Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How it is to be done. ``limit`` is bytes a second in each direction, None for no limit.

    ``region`` is what the target knows the source as, where it is to fetch the bytes by itself.
    """

    spool: Path
    selection: Selection = field(default_factory=Selection)
    translation: Translation = field(default_factory=Translation)
    members: bool = False
    take_over: bool = False
    metadata_only: bool = False
    dry_run: bool = False
    delete: bool = False
    parallel: int = 4
    limit: float | None = None
    part: int = PART
    region: str | None = None


def compare(source: Source, target: Source, manner: Manner) -> Report:
    """Say how the images of two sites stand to each other; nothing is changed."""
    report = Report(source.name, target.name)
    judge = _judge(source, target, manner)
    report.outcomes += [Outcome(finding) for finding in judge.survey(manner.selection)]
    return report


def sync(source: Source, target: Site, manner: Manner, shown: Shown = unseen) -> Report:
    """Bring all that is meant; with ``delete``, remove what we brought and the source has not."""
    judge = _judge(source, target, manner)
    findings = list(judge.survey(manner.selection))
    if manner.delete and not any(finding.record for finding in findings):
        raise Invalid(
            f"{source.name} shows no image at all to this caller, so nothing is deleted or "
            f"changed at {target.name}"
        )
    return _carry(source, target, manner, judge, findings, shown)


def copy(
    source: Source, target: Site, wanted: Sequence[str], manner: Manner, shown: Shown = unseen
) -> Report:
    """Bring certain images, by id or name.

    :raises Absent: when there is no such image.
    """
    judge = _judge(source, target, manner)
    findings = []
    for name in wanted:
        records = source.named(name)
        if not records:
            raise Absent(f"there is no image with the id or name '{name}' at {source.name}")
        findings += [judge.judge(record, target.find(record["id"])) for record in records]
    return _carry(source, target, manner, judge, findings, shown)


def dump(source: Site, folder: Path, manner: Manner, shown: Shown = unseen) -> Report:
    """Write all that is meant into a folder; what is there already is not fetched again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = Folder(folder, name=source.name)
    report = Report(source.name, str(folder))
    everything = list(source.images())
    chosen = [image for image in everything if manner.selection.takes(image)]
    findings = [_for_dump(kept, record) for record in chosen]
    if manner.dry_run:
        report.outcomes += map(Outcome, findings)
        return report
    with shown(_sum(findings), len(findings)) as bars:
        told = _Counted(report.moved, bars.moved)
        spool = _spool(manner, told, folder)

        def act(finding: Finding) -> Outcome:
            return _dump_one(source, kept, spool, manner, finding)

        run = Run(report, parallel=manner.parallel, tick=bars.tick)
        run.over([f for f in findings if f.state is not State.NOT_READY], act)
    report.outcomes += [Outcome(f) for f in findings if f.state is State.NOT_READY]
    if manner.delete:
        _prune(kept, source, {image["id"] for image in everything}, report)
    return report


def size(source: Source, selection: Selection) -> dict[str, Any]:
    """Add up what there is: images and their bytes, and by visibility."""
    images: Counter[str] = Counter()
    volume: Counter[str] = Counter()
    without = 0
    for record in source.images():
        if not selection.takes(record):
            continue
        visibility = str(record.get("visibility"))
        images[visibility] += 1
        volume[visibility] += record.get("size") or 0
        without += record["status"] not in WITH_DATA
    return {
        "site": source.name,
        "images": images.total(),
        "bytes": volume.total(),
        "without_data": without,
        "by_visibility": {
            name: {"images": images[name], "bytes": volume[name]} for name in sorted(images)
        },
    }


# -- the steps of these


def _judge(source: Source, target: Source, manner: Manner) -> Judge:
    if source.name == target.name:
        raise Invalid(f"{source.name} is both source and target")
    return Judge(
        source,
        target,
        manner.translation,
        members=manner.members,
        take_over=manner.take_over,
    )


def _carry(
    source: Source,
    target: Site,
    manner: Manner,
    judge: Judge,
    findings: Iterable[Finding],
    shown: Shown,
) -> Report:
    report = Report(source.name, target.name)
    doing = list(to_bring(findings, report))
    if manner.dry_run:
        report.outcomes += map(Outcome, doing)
        return report
    with shown(_sum(doing), len(doing)) as bars:
        told = _Counted(report.moved, bars.moved)
        spool = _spool(manner, told, manner.spool)
        data = None if manner.metadata_only else _bytes(source, spool, manner)
        carrier = Carrier(source.name, target, judge, data)
        _forget_left(spool, report)

        def act(finding: Finding) -> Outcome:
            if finding.state is State.GONE:
                removed = carrier.remove(finding.id)
                return Outcome(finding, "deleted" if removed else "")
            assert finding.record is not None
            before, done = carrier.bring(finding.record)
            return Outcome(before, done)

        run = Run(report, parallel=manner.parallel, tick=bars.tick)
        run.over(doing, act)
        if manner.delete:
            gone = [o for o in report.outcomes if o.finding.state is State.GONE]
            report.outcomes = [o for o in report.outcomes if o.finding.state is not State.GONE]
            run.over([outcome.finding for outcome in gone], act)
    return report


def _spool(manner: Manner, told: _Counted, folder: Path) -> Spool:
    return Spool(folder=folder, part=manner.part, pace=Pace(manner.limit), told=told)


def _bytes(source: Source, spool: Spool, manner: Manner) -> Bytes:
    out = Pace(manner.limit)
    if isinstance(source, Folder):
        return Bytes(
            fetch=source.data,
            forget=lambda image_id: None,
            pace=out,
            told=spool.told,
            part=manner.part,
        )
    site = source
    assert isinstance(site, Site)
    return Bytes(
        fetch=lambda record: spool.fetch(site, record),
        forget=spool.forget,
        pace=out,
        told=spool.told,
        part=manner.part,
        region=manner.region,
    )


def _forget_left(spool: Spool, report: Report) -> None:
    """Remove what a killed run left of images that had all arrived."""
    left = {path.name.partition(".")[0] for path in spool.folder.glob("*.*")}
    for outcome in report.outcomes:
        if outcome.finding.state is State.SAME and outcome.finding.id in left:
            spool.forget(outcome.finding.id)


def _for_dump(kept: Folder, record: Record) -> Finding:
    ready = record["status"] in WITH_DATA
    state = State.NOT_READY if not ready else State.SAME if kept.has(record) else State.MISSING
    return Finding(
        id=record["id"],
        name=record.get("name"),
        state=state,
        size=record.get("size") or 0,
        detail="" if ready else f"it is {record['status']}",
        record=record,
    )


def _dump_one(
    source: Site, kept: Folder, spool: Spool, manner: Manner, finding: Finding
) -> Outcome:
    record = finding.record
    assert record is not None
    shared = manner.members and record.get("visibility") == "shared"
    members = source.members(record["id"]) if shared else {}
    fetches = finding.state is State.MISSING and not manner.metadata_only
    if fetches:
        kept.take(record, spool.fetch(source, record))
    changed = kept.write(record, members)
    return Outcome(finding, "dumped" if fetches else "changed" if changed else "")


def _prune(kept: Folder, source: Site, there: set[str], report: Report) -> None:
    """Remove from a folder what its site has no longer."""
    if not there:
        raise Invalid(f"{source.name} shows no image at all to this caller; nothing is deleted")
    for record in list(kept.images()):
        if record["id"] not in there and source.find(record["id"]) is None:
            kept.remove(record["id"])
            finding = Finding(id=record["id"], name=record.get("name"), state=State.GONE)
            report.outcomes.append(Outcome(finding, "deleted"))


def _sum(findings: Iterable[Finding]) -> int:
    """Return how many bytes there are to move."""
    moving = TO_BRING - {State.DIFFERENT}
    return sum(finding.size for finding in findings if finding.state in moving)


class _Counted:
    """Counts bytes, and tells somebody else of them."""

    def __init__(self, moved: Counter[str], further: Any) -> None:
        self._moved = moved
        self._further = further
        self._lock = threading.Lock()

    def __call__(self, direction: str, count: int) -> None:
        with self._lock:
            self._moved[direction] += count
        self._further(direction, count)
