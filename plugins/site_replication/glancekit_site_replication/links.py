# SPDX-License-Identifier: Apache-2.0
"""The hook plugin ``site_replication``: each configured link is synced every so often."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from glancekit.plugin import GlancekitError, PeriodicTask, ReadSection, hookimpl
from glancekit_site_replication import work
from glancekit_site_replication.options import (
    LINK,
    LINK_OPTIONS,
    OPTIONS,
    SECTION,
    SITE,
    SITE_OPTIONS,
    Link,
    link_of,
)
from glancekit_site_replication.running import is_left_alone
from glancekit_site_replication.site import Site

log = logging.getLogger(__name__)


class Links:
    """All links that the configuration names."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = SECTION
    options: ClassVar[Sequence[Any]] = OPTIONS
    further_options: ClassVar[Mapping[str, Sequence[Any]]] = {
        f"{LINK}NAME": LINK_OPTIONS,
        f"{SITE}NAME": SITE_OPTIONS,
    }

    def __init__(self, options: Any, *, name: str, read_section: ReadSection) -> None:
        self.name = name
        self._links = {link: link_of(link, read_section) for link in options.links}

    @hookimpl
    def register_periodic_tasks(self) -> list[PeriodicTask]:
        """Offer a task for each link."""
        return [
            PeriodicTask(
                name=f"replicate-{name}",
                interval=link.interval,
                deadline=link.deadline,
                run=partial(_sync, name, link),
                explain=partial(_explain, link),
            )
            for name, link in self._links.items()
        ]


def _sync(name: str, link: Link) -> str:
    """Sync once and sum it up.

    :raises GlancekitError: when a site does not answer, or an image could not be brought.
    """
    report = work.sync(Site(link.source), Site(link.target), link.manner)
    failed = [outcome for outcome in report.outcomes if outcome.error]
    for outcome in failed:
        log.warning("replication %s: %s", name, outcome.error)
    log.info("replication %s: %s", name, report)
    if failed:
        raise GlancekitError(f"{report}; the first that failed: {failed[0].error}")
    return str(report)


def _explain(link: Link) -> Iterator[str]:
    """Say what a sync would do to each image, and why."""
    manner = replace(link.manner, dry_run=True)
    report = work.sync(Site(link.source), Site(link.target), manner)
    for outcome in report.outcomes:
        if not is_left_alone(outcome.finding):
            finding = outcome.finding
            yield ": ".join(filter(None, [finding.id, str(finding.state), outcome.detail]))
    yield str(report)
