# SPDX-License-Identifier: Apache-2.0
"""Limits from the configuration: one for every project, and others for some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from glancekit.core.contracts.limits import LimitSource
from glancekit.core.errors import ConfigError
from glancekit.core.quota import Quota

_HELP = {
    Quota.IMAGE_SIZE_TOTAL: "Most MiB that all copies of a project's images may have",
    Quota.IMAGE_STAGE_TOTAL: "Most MiB that a project may have in staging",
    Quota.IMAGE_COUNT_TOTAL: "Most images that a project may have",
    Quota.IMAGE_COUNT_UPLOADING: "Most images of a project to which data may be on its way",
}


class ConfigLimits(LimitSource):
    """What an operator wrote down; limits change with a restart."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = (
        *(
            cfg.IntOpt(
                quota.value,
                default=-1,
                min=-1,
                max=1 << 40,
                help=f"{text}; -1: any number.",
            )
            for quota, text in _HELP.items()
        ),
        cfg.ListOpt(
            "overrides",
            default=[],
            help="Limits of single projects, each as project:quota=number, for example "
            "'3f2a...:image_size_total=20480'. They count instead of those for every project.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        """Read what was written down.

        :raises ConfigError: when an override is not one.
        """
        usual: dict[Quota, int] = {quota: getattr(options, quota.value) for quota in Quota}
        self._usual = {quota: limit for quota, limit in usual.items() if limit >= 0}
        overrides: dict[str, dict[Quota, int]] = {}
        for project, quota, limit in _read(options.overrides):
            overrides.setdefault(project, {})[quota] = limit
        self._limits = {
            project: {
                quota: limit for quota, limit in {**self._usual, **own}.items() if limit >= 0
            }
            for project, own in overrides.items()
        }

    def is_limiting(self) -> bool:
        """See the contract."""
        return bool(self._usual or any(self._limits.values()))

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """See the contract."""
        return self._limits.get(project_id, self._usual)

    def close(self) -> None:
        """See the contract."""


def _read(overrides: Sequence[str]) -> Iterator[tuple[str, Quota, int]]:
    for written in overrides:
        project, _, rest = written.rpartition(":")
        name, _, number = rest.partition("=")
        try:
            quota, limit = Quota(name.strip()), int(number)
        except ValueError:
            project = ""
        if not project or limit < -1:
            raise ConfigError(
                f"[quotas] overrides: '{written}' cannot be used; write project:quota=number with "
                f"a quota of {', '.join(Quota)} and a number of at least -1 (no limit)",
                section="quotas",
                option="overrides",
            )
        yield project.strip(), quota, limit
