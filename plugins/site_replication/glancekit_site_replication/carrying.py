# SPDX-License-Identifier: Apache-2.0
"""One image brought to the target, in steps each of which may be the last one of a run.

The record is made first, seen by nobody else and with our mark; then come the bytes, which are
verified on both sides; then it is shown to whom it should be. A later run sees by the mark and the
status how far it came. An id can be used once in a service's life, so nothing that was begun is
deleted to be made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glancekit_site_replication import sending
from glancekit_site_replication.failures import (
    Absent,
    Clash,
    Damaged,
    Denied,
    ReplicationError,
    Unanswered,
)
from glancekit_site_replication.findings import TO_BRING, Finding, Judge, State
from glancekit_site_replication.pace import Outgoing, Pace, Told
from glancekit_site_replication.records import (
    FIXED_WITH_DATA,
    LAST,
    MARK,
    WITH_DATA,
    Record,
    is_ours,
    mark,
    same_data,
)
from glancekit_site_replication.site import Site
from glancekit_site_replication.spool import PART, digest_of_file

POLL = 0.3
"""Seconds between two looks at an image that somebody is filling."""

SETTLING = 30.0
"""Seconds in which a service should have noticed that an upload was cut off."""

PULLING = 86400.0
"""Seconds that a target may take to fetch one image by itself."""

_MOVING = frozenset({"saving", "uploading", "importing"})


class UsedBefore(ReplicationError):
    """The target has had an image of this id, and deleted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """How an image's bytes get here, and how they are sent on.

    ``fetch`` returns a verified file, ``forget`` says that it is needed no longer. With ``region``
    the target fetches them by itself from there. Where it takes parts, they have ``part`` bytes.
    """

    fetch: Callable[[Record], Path]
    forget: Callable[[str], None]
    pace: Pace
    told: Told
    part: int = PART
    region: str | None = None


class Carrier:
    """Brings images to a target. It may be used from many threads."""

    def __init__(
        self,
        source_name: str,
        target: Site,
        judge: Judge,
        data: Bytes | None,
    ) -> None:
        """Keep what is needed.

        :param data: None to bring no bytes, but only what differs of images that have theirs.
        """
        self._source_name = source_name
        self._target = target
        self._judge = judge
        self._data = data

    def bring(self, record: Record) -> tuple[Finding, str]:
        """Bring an image as far as it goes; return how it stood before, and what was done.

        :raises ReplicationError: when it cannot be done.
        """
        found = self._target.find(record["id"])
        finding = self._judge.judge(record, found)
        done = ""
        if finding.state is State.DIFFERENT:
            assert found is not None
            done = self._finish(record, self._taken_up(record, found))
        elif self._data is not None and finding.state in TO_BRING:
            begun = self._taken_up(record, found) if found else self._make(record)
            self._finish(record, self._fill(record, begun, self._data))
            done = "sent"
        if self._data is not None:
            self._data.forget(record["id"])
        return finding, done

    def remove(self, image_id: str) -> bool:
        """Delete what we brought, when it still is what we brought; tell whether it was."""
        found = self._target.find(image_id)
        if found is None or not is_ours(found, self._source_name):
            return False
        if found.get("protected"):
            self._target.change(
                image_id, [{"op": "replace", "path": "/protected", "value": False}]
            )
        self._target.delete(image_id)
        return True

    # -- the steps

    def _make(self, record: Record) -> Record:
        wanted = self._judge.translation.wanted(record)
        fields: dict[str, Any] = {
            name: value for name, value in wanted.items() if name not in LAST and value is not None
        }
        fields |= {"id": record["id"], "visibility": "private"}
        fields[MARK] = mark(record, self._source_name)
        try:
            return self._target.create(fields)
        except Clash as error:
            found = self._target.find(record["id"])
            if found is None:
                raise UsedBefore(
                    f"{self._target.name} has had an image {record['id']} before, and gives no "
                    "id out twice"
                ) from error
            if not is_ours(found, self._source_name):
                raise
            return self._taken_up(record, found)

    def _taken_up(self, record: Record, found: Record) -> Record:
        """Return an image that was there before, when it belongs to whom we would give it.

        Our mark is a property that anybody may write on an image of their own, to have it made
        public with our rights; to whom an image belongs only an administrator can change.

        :raises Clash: when it belongs to somebody else, and is not to be taken over.
        """
        own = self._target.project()
        wanted = self._judge.translation.project(record.get("owner"))
        ours = {project for project in (own, wanted) if project is not None}
        if ours and not self._judge.take_over and found.get("owner") not in ours:
            raise Clash(
                f"image {found['id']} at {self._target.name} has our mark, and belongs to "
                f"{found.get('owner')}: nothing is done to it"
            )
        return found

    def _fill(self, record: Record, found: Record, data: Bytes) -> Record:
        """Give an image its bytes, and return it as it is then."""
        in_parts = self._goes_in_parts(record, data)
        if not (in_parts and self._is_begun(record, found)):
            is_imported = in_parts and found["status"] == "importing"
            patience = PULLING if is_imported else SETTLING
            found = self._settled(found, patience, pulled=is_imported)
        sent: Path | None = None
        if found["status"] not in WITH_DATA:
            self._change(record, found, without=LAST)
            if in_parts:
                sent = self._send_parts(record, data)
                found = self._settled(self._seen(record["id"]), PULLING, pulled=True)
            elif data.region:
                self._target.pull(record["id"], data.region)
                found = self._settled(self._seen(record["id"]), PULLING, pulled=True)
            else:
                sent = self._send(record, data)
                found = self._seen(record["id"])
        if found["status"] not in WITH_DATA:
            raise ReplicationError(
                f"image {record['id']} is {found['status']} at {self._target.name} "
                "after its data were sent"
            )
        if not _is_right(record, found, sent):
            # Nobody has seen it yet: it is as private as when it was made.
            self._target.delete(record["id"])
            raise Damaged(
                f"{self._target.name} got other data of image {record['id']} than were sent; it "
                "was deleted there"
            )
        return found

    def _send(self, record: Record, data: Bytes) -> Path:
        path = data.fetch(record)
        size = path.stat().st_size
        with path.open("rb") as file:
            self._target.upload(record["id"], Outgoing(file, size, data.pace, data.told), size)
        return path

    def _goes_in_parts(self, record: Record, data: Bytes) -> bool:
        """Tell whether a break should cost a part only: a small image is one by itself."""
        is_large = (record.get("size") or 0) > data.part
        return is_large and not data.region and self._target.takes_parts()

    def _is_begun(self, record: Record, found: Record) -> bool:
        return found["status"] == "uploading" and sending.is_begun(self._target, record)

    def _send_parts(self, record: Record, data: Bytes) -> Path:
        path = data.fetch(record)
        sending.send(self._target, record, path, part=data.part, pace=data.pace, told=data.told)
        self._target.import_staged(record["id"])
        return path

    def _finish(self, record: Record, found: Record) -> str:
        """Make the rest as it should be, and return what was done, in words.

        What is not to be used is deactivated before anybody is shown it, and the other way round.
        """
        differs = record["status"] != found["status"]
        if differs and record["status"] == "deactivated":
            self._target.act(record["id"], "deactivate")
        done = self._change(record, found, without=FIXED_WITH_DATA)
        if record.get("visibility") == "shared":
            done += self._share(record)
        if differs and record["status"] != "deactivated":
            self._target.act(record["id"], "reactivate")
        done += ["status"] if differs else []
        fixed = FIXED_WITH_DATA.intersection(self._judge.translation.differences(record, found))
        words = [f"changed {', '.join(done)}"] if done else []
        words += [f"cannot change {', '.join(sorted(fixed))}"] if fixed else []
        return "; ".join(words)

    def _change(self, record: Record, found: Record, *, without: frozenset[str]) -> list[str]:
        translation = self._judge.translation
        names = [name for name in translation.differences(record, found) if name not in without]
        operations = translation.patch(record, found, names)
        ours = mark(record, self._source_name)
        if found.get(MARK) != ours:
            op = "replace" if MARK in found else "add"
            operations.append({"op": op, "path": f"/{MARK}", "value": ours})
        if operations:
            self._target.change(record["id"], operations)
        return names

    def _share(self, record: Record) -> list[str]:
        if not self._judge.members:
            return []
        wanted, has = self._judge.wanted_members(record), self._target.members(record["id"])
        for project in has.keys() - wanted.keys():
            self._target.unshare(record["id"], project)
        for project in wanted.keys() - has.keys():
            self._target.share(record["id"], project)
        for project, status in wanted.items():
            if status == has.get(project, "pending"):
                continue
            try:
                self._target.mark_member(record["id"], project, status)
            except (Denied, Absent):  # where only the project itself may say so
                return [f"members (but for whether {project} accepted)"]
        return ["members"] if wanted != has else []

    # -- looking

    def _settled(self, found: Record, patience: float, *, pulled: bool = False) -> Record:
        """Wait while somebody is filling an image: an upload that was cut off, or an import."""
        end = time.monotonic() + patience
        while found["status"] in _MOVING or (pulled and found["status"] not in WITH_DATA):
            if time.monotonic() > end:
                raise Clash(
                    f"image {found['id']} has been {found['status']} at {self._target.name} for "
                    f"{patience:.0f} s; whoever fills it has it"
                )
            if pulled and (why := self._target.failed_import(found["id"])) is not None:
                raise ReplicationError(
                    f"{self._target.name} could not fetch image {found['id']}: {why}"
                )
            time.sleep(POLL)
            found = self._seen(found["id"])
        return found

    def _seen(self, image_id: str) -> Record:
        found = self._target.find(image_id)
        if found is None:
            raise Unanswered(f"image {image_id} has just vanished from {self._target.name}")
        return found


def _is_right(record: Record, found: Record, sent: Path | None) -> bool:
    """Tell whether a target has the bytes that it should; where the records have no digest in
    common, by the file that was sent."""
    same = same_data(record, found)
    if same is not None or sent is None:
        return same is not False
    algorithm, value = found.get("os_hash_algo"), found.get("os_hash_value")
    if not algorithm or not value:
        algorithm, value = "md5", found.get("checksum")
    return bool(value == digest_of_file(str(algorithm), sent))
