# SPDX-License-Identifier: Apache-2.0
"""Sources of limits that break one promise each, and the test that must catch each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from glancekit.plugin import Quota, StrOpt, Unavailable
from glancekit.testing.memory_limits import MemoryLimits

LIMITED: Mapping[str, Mapping[Quota, int]] = {
    "research": {Quota.IMAGE_COUNT_TOTAL: 7, Quota.IMAGE_SIZE_TOTAL: 1000},
    "students": {Quota.IMAGE_COUNT_TOTAL: 0},
    "staff": {},
}
"""What an honest source knows."""

USUAL: Mapping[Quota, int] = {Quota.IMAGE_COUNT_TOTAL: 100}


class HonestLimits(MemoryLimits):
    """Knows three projects; what the liars are made of. ``is_away`` has it know nothing."""

    caught_by: ClassVar[str] = ""

    def __init__(self, *, is_away: bool = False) -> None:
        super().__init__(LIMITED, USUAL)
        self.is_away = is_away

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return a project's limits, unless they cannot be known."""
        if self.is_away:
            raise Unavailable("nobody answers")
        return super().limits(project_id)


class HidesAnOption(HonestLimits):
    """Has an option that it does not explain."""

    caught_by = "test_l01_it_says_what_it_is"
    options = (StrOpt("colour"),)


class RenamesAParameter(HonestLimits):
    """Cannot be called by the name that the contract gives."""

    caught_by = "test_l01_it_says_what_it_is"

    def limits(self, tenant: str) -> Mapping[Quota, int]:
        """Do it under another name."""
        return super().limits(tenant)


class NobodyIsLimited(HonestLimits):
    """Is never asked, for it says that there is nothing to ask."""

    caught_by = "test_l03_it_says_that_somebody_is_limited"

    def is_limiting(self) -> bool:
        """Say no."""
        return False


class GivesAllTheUsual(HonestLimits):
    """Forgets what single projects have."""

    caught_by = "test_l04_a_project_has_its_limits_and_no_others"

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return the same to everybody."""
        return dict(USUAL)


class MinusOneIsNone(HonestLimits):
    """Hands on what stands for no limit elsewhere."""

    caught_by = "test_l05_limits_are_whole_numbers_from_zero_up"

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Name every quota."""
        return {**dict.fromkeys(Quota, -1), **super().limits(project_id)}


class SpeaksInWords(HonestLimits):
    """Gives what the other side's JSON had."""

    caught_by = "test_l05_limits_are_whole_numbers_from_zero_up"

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Name quotas by strings."""
        found = {str(quota): limit for quota, limit in super().limits(project_id).items()}
        return found  # type: ignore[return-value]


class ReadsTheId(HonestLimits):
    """Takes a part of an id for another id, as an address does that was put together of words."""

    caught_by = "test_l06_whoever_is_not_known_has_what_such_have"

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Look for what is behind the question mark."""
        return {} if "?" in project_id else super().limits(project_id)


class FailsOnStrangers(HonestLimits):
    """Takes for granted that a project is known."""

    caught_by = "test_l06_whoever_is_not_known_has_what_such_have"

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Look it up."""
        return LIMITED[project_id]


class KeepsTheProjectInItself(HonestLimits):
    """Mixes projects up when several ask at once."""

    caught_by = "test_l07_many_threads_do_not_mix_projects"

    def __init__(self, *, is_away: bool = False) -> None:
        super().__init__(is_away=is_away)
        self._asked = 0

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Answer for another project now and then, as a race would."""
        self._asked += 1
        return super().limits("students" if self._asked % 10 == 0 else project_id)


class AllowsAllInTheDark(HonestLimits):
    """Takes not knowing for no limit."""

    caught_by = "test_l08_what_cannot_be_known_now_is_unavailable"

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return nothing when nobody answers."""
        return {} if self.is_away else super().limits(project_id)


class ClosesOnce(HonestLimits):
    """Fails when it is closed again."""

    caught_by = "test_l09_it_can_be_closed_twice"

    def __init__(self, *, is_away: bool = False) -> None:
        super().__init__(is_away=is_away)
        self._open = ["connection"]

    def close(self) -> None:
        """Let go of what is gone already."""
        self._open.pop()


LIARS: tuple[type[HonestLimits], ...] = (
    HidesAnOption,
    RenamesAParameter,
    NobodyIsLimited,
    GivesAllTheUsual,
    MinusOneIsNone,
    SpeaksInWords,
    ReadsTheId,
    FailsOnStrangers,
    KeepsTheProjectInItself,
    AllowsAllInTheDark,
    ClosesOnce,
)
"""All of them."""
