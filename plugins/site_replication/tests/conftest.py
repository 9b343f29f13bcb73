# SPDX-License-Identifier: Apache-2.0
"""Sites that last as long as a module's tests, and what is done between them without a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from glancekit_site_replication import work
from glancekit_site_replication.endpoint import Address
from glancekit_site_replication.findings import State
from glancekit_site_replication.running import Report
from glancekit_site_replication.selection import Selection
from glancekit_site_replication.site import Site
from glancekit_site_replication.testing import Place, glance_site, glancekit_site
from glancekit_site_replication.work import Manner

from glancekit.testing import real_glance

Sync = Callable[..., Report]

PATIENT = "[plugins]\nplugin_start_timeout = 30\n"
"""What is imported takes longer than is allowed for by default where other tests run besides."""

NEEDED = ("glancekit_file_store", "glancekit_sqlite_metadata")


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A running glancekit."""
    for needed in NEEDED:
        pytest.importorskip(needed, reason=f"what is configured here needs {needed}")
    with glancekit_site(tmp_path_factory.mktemp("north") / "site", PATIENT) as place:
        yield place


@pytest.fixture(scope="module")
def south(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Another one."""
    for needed in NEEDED:
        pytest.importorskip(needed, reason=f"what is configured here needs {needed}")
    with glancekit_site(tmp_path_factory.mktemp("south") / "site", PATIENT) as place:
        yield place


@pytest.fixture(scope="module")
def glance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A Glance as it is released."""
    if reason := real_glance.missing():
        pytest.skip(reason)
    with glance_site(tmp_path_factory.mktemp("glance") / "site") as place:
        yield place


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """What the images of one test have in common."""
    return str(request.node.name)


@pytest.fixture
def site_of(tag: str) -> Callable[[str, Place], Site]:
    """A place as the plugin asks it, under a name that no other test has."""

    def site_of(name: str, place: Place) -> Site:
        return Site(Address(name=f"{name} of {tag}", url=place.url, headers=place.headers))

    return site_of


@pytest.fixture
def sync(tmp_path: Path, tag: str, site_of: Callable[[str, Place], Site]) -> Sync:
    """Sync the test's images, from a place with a name to another with a name."""

    def sync(here: tuple[str, Place], there: tuple[str, Place], **manner: Any) -> Report:
        given = {"spool": tmp_path / "spool", "selection": Selection(tags=frozenset({tag}))}
        return work.sync(site_of(*here), site_of(*there), Manner(**{**given, **manner}))

    return sync


@pytest.fixture
def states() -> Callable[[Report], dict[str, Any]]:
    """What a report says of each image that the test has at the source, and what was done."""

    def states(report: Report) -> dict[str, Any]:
        return {
            outcome.finding.id: (str(outcome.finding.state), outcome.done)
            for outcome in report.outcomes
            if outcome.finding.state is not State.ONLY_THERE
        }

    return states
