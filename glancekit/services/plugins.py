# SPDX-License-Identifier: Apache-2.0
"""The plugins of a running service as an operator may see them. Loading them is core/drivers'."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from glancekit.core.counters import Counted, Tally
from glancekit.core.drivers import HOOKS, PluginReport
from glancekit.core.model.identity import Identity
from glancekit.services.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginDetail:
    """A plugin as it was found at the start, and what it was asked since.

    ``calls`` are by operation: those of all processes of the host where numbers are kept for
    them (``[metrics] enabled``), else those of this one.
    """

    group: str
    name: str
    use: str
    state: str
    reason: str
    distribution: str | None
    version: str | None
    api_level: int | None
    capabilities: tuple[str, ...]
    calls: Mapping[str, Tally] = field(default_factory=dict)


def details(world: World, caller: Identity) -> list[PluginDetail]:
    """Return every plugin that the service uses, or would if it could.

    :raises Forbidden: when the caller is neither a service nor an administrator.
    """
    world.access.require(caller, "stores_info_detail", owner=caller.project_id)
    tallies = world.counters.totals()
    return [_detail(report, tallies.items()) for report in world.plugins]


def _detail(report: PluginReport, tallies: Iterable[tuple[Counted, Tally]]) -> PluginDetail:
    use = "hooks" if report.group == HOOKS else report.use
    plugin = (report.group, report.name, use)
    return PluginDetail(
        group=report.group,
        name=report.name,
        use=use,
        state=report.state,
        reason=report.reason,
        distribution=report.distribution,
        version=report.version,
        api_level=report.api_level,
        capabilities=report.capabilities,
        calls={one.operation: tally for one, tally in tallies if one[:3] == plugin},
    )
