# SPDX-License-Identifier: Apache-2.0
"""How an image here and the one of its id there stand to each other, and so what is to be done.

Doing it is ``carrying``'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from glancekit_site_replication.records import (
    WITH_DATA,
    Record,
    Translation,
    is_ours,
    same_data,
    way,
)
from glancekit_site_replication.selection import Selection


class State(StrEnum):
    """What is so of an image at the target."""

    SAME = "same"
    MISSING = "missing"
    INCOMPLETE = "incomplete"
    """We have begun it, and its data are not there yet."""
    DIFFERENT = "different"
    OTHER_DATA = "other data"
    """It has bytes already, and others. No service lets anybody change these."""
    FOREIGN = "foreign"
    """It differs, and was not brought there by us."""
    THEIRS = "theirs"
    """It came from the target in the first place, which says what it is."""
    NOT_READY = "not ready"
    """The source has no data of it yet."""
    GONE = "gone"
    """We brought it there, and the source has it no longer."""
    ONLY_THERE = "only there"


TO_BRING = frozenset({State.MISSING, State.INCOMPLETE, State.DIFFERENT})
"""What a copy or a sync does something about."""

UNEQUAL = TO_BRING | {State.OTHER_DATA, State.FOREIGN, State.GONE}
"""What makes a comparison end with a code other than 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One image. ``record`` is None when only the target has it."""

    id: str
    name: str | None
    state: State
    size: int = 0
    fields: tuple[str, ...] = ()
    detail: str = ""
    record: Record | None = None


class Source(Protocol):
    """Where images are read from: a site, or a folder with what was dumped."""

    name: str

    def images(self) -> Iterator[Record]:
        """Yield every image."""
        ...

    def find(self, image_id: str) -> Record | None:
        """Return an image, None where there is none."""
        ...

    def named(self, name_or_id: str) -> list[Record]:
        """Return the image of an id, or else all of a name."""
        ...

    def members(self, image_id: str) -> Mapping[str, str]:
        """Return the projects that an image is shared with, and whether they accepted."""
        ...


class Judge:
    """Says how two images stand to each other, one way: from a source to a target."""

    def __init__(
        self,
        source: Source,
        target: Source,
        translation: Translation,
        *,
        members: bool = False,
        take_over: bool = False,
    ) -> None:
        """Keep what is to be judged by.

        :param members: whether with whom an image is shared counts.
        :param take_over: whether images that somebody else brought there are ours from now on.
        """
        self.translation = translation
        self._source = source
        self._target = target
        self.members = members
        self.take_over = take_over

    def judge(self, record: Record, found: Record | None) -> Finding:
        """Judge an image of the source by what the target has under its id."""
        if record["status"] not in WITH_DATA:
            return _finding(record, State.NOT_READY, detail=f"it is {record['status']}")
        from_there = self._target.name in way(record)
        if found is None:
            return _finding(record, State.THEIRS if from_there else State.MISSING)
        if found["status"] not in WITH_DATA:
            state = self._of_unequal(found, from_there, ours=State.INCOMPLETE)
            return _finding(record, state, detail=f"it is {found['status']} there")
        return self._with_data(record, found, from_there)

    def _with_data(self, record: Record, found: Record, from_there: bool) -> Finding:
        same = same_data(record, found)
        if same is False:
            return _finding(record, State.OTHER_DATA)
        fields = self.differences(record, found)
        if not fields:
            detail = "" if same else "no digest to compare, the size is the same"
            return _finding(record, State.SAME, detail=detail)
        state = self._of_unequal(found, from_there, ours=State.DIFFERENT)
        return _finding(record, state, fields=tuple(fields))

    def _of_unequal(self, found: Record, from_there: bool, *, ours: State) -> State:
        if from_there:
            return State.THEIRS
        return ours if self.take_over or is_ours(found, self._source.name) else State.FOREIGN

    def differences(self, record: Record, found: Record) -> list[str]:
        """Return the names of all fields in which two images differ, ``members`` among them."""
        fields = self.translation.differences(record, found)
        if record["status"] != found["status"]:
            fields.append("status")
        if (
            self.members
            and record.get("visibility") == found.get("visibility") == "shared"
            and self.wanted_members(record) != self._target.members(found["id"])
        ):
            fields.append("members")
        return fields

    def wanted_members(self, record: Record) -> dict[str, str]:
        """Return with whom the image should be shared at the target, and whether they accepted."""
        projects = self.translation.projects
        members = self._source.members(record["id"])
        return {projects.get(project, project): status for project, status in members.items()}

    def survey(self, selection: Selection) -> Iterator[Finding]:
        """Judge every image of the source that is meant, then those that only the target has."""
        there = {image["id"]: image for image in self._target.images()}
        for record in self._source.images():
            found = there.pop(record["id"], None)
            if selection.takes(record):
                yield self.judge(record, found)
        for found in there.values():
            yield self._of_one_side(found)

    def _of_one_side(self, found: Record) -> Finding:
        """Judge what the list of the source did not have; it may only have come there since."""
        ours = is_ours(found, self._source.name)
        gone = ours and self._source.find(found["id"]) is None
        state = State.GONE if gone else State.ONLY_THERE
        return Finding(
            id=found["id"], name=found.get("name"), state=state, size=found.get("size") or 0
        )


def _finding(
    record: Record, state: State, *, fields: tuple[str, ...] = (), detail: str = ""
) -> Finding:
    return Finding(
        id=record["id"],
        name=record.get("name"),
        state=state,
        size=record.get("size") or 0,
        fields=fields,
        detail=detail,
        record=record,
    )
