# SPDX-License-Identifier: Apache-2.0
"""Turns with a real ZooKeeper and MariaDB that stop, are silent, or have bounds of their own.

Hosts that take turns at tasks are tried in ``test_periodic_hosts.py``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from glancekit.core.coordination import Coordination
from glancekit.testing.coordinators import ZooKeeper

pytestmark = [
    pytest.mark.timeout(400),  # servers are started, and leases are waited for
    # How tooz calls PyMySQL.
    pytest.mark.filterwarnings("ignore:'passwd' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:single argument is deprecated:DeprecationWarning"),
]

LEASE = 6
SLACK = 5.0
"""Seconds beyond a lease on a busy machine."""


@pytest.fixture(params=["zookeeper", "mysql"])
def server(
    request: pytest.FixtureRequest,
    database_server: Callable[..., AbstractContextManager[Any]],
    tmp_path: Path,
) -> Iterator[Any]:
    """A running one."""
    if request.param == "mysql":
        with database_server("mysql") as database:
            yield database
        return
    if reason := ZooKeeper.missing():
        pytest.skip(reason)
    pytest.importorskip("kazoo")
    with ZooKeeper(tmp_path) as zookeeper:
        yield zookeeper


def url_of(server: Any) -> str:
    """Return the URL by which hosts find it."""
    if isinstance(server, ZooKeeper):
        return f"zookeeper://{server.address}"
    return str(server.url())


@pytest.fixture
def connect(server: Any) -> Iterator[Callable[..., Coordination]]:
    """Take part as one more host."""
    made: list[Coordination] = []

    def connect(lease: int = LEASE) -> Coordination:
        made.append(Coordination(url_of(server), lease))
        return made[-1]

    yield connect
    for one in made:
        in_time(one.close, 3 * LEASE)


def waits_for(claim: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what a claim returns as soon as that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := claim():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about")


def in_time(deed: Callable[[], Any], seconds: float) -> Any:
    """Return what a deed returns, which must not take longer."""
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.append(deed()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert came, f"it took longer than {seconds} s"
    return came[0]


def test_one_has_a_turn_and_others_after_it(connect: Callable[..., Coordination]) -> None:
    name = "a name that is longer than what MySQL takes " * 3
    one, other = connect(), connect()
    turn = waits_for(lambda: one.take(name))
    with turn:
        assert other.take(name) is None
        assert one.take(name) is None
        further = other.take("another" + name)
        assert further is not None
        time.sleep(1.5 * LEASE)
        assert not turn.is_over()
        assert other.take(name) is None
        further.__exit__(None, None, None)
    assert other.take(name) is not None


def test_a_server_that_is_away_holds_nobody_up(
    server: Any, connect: Callable[..., Coordination]
) -> None:
    one, other = connect(), connect()
    turn = waits_for(lambda: one.take("t"))
    assert waits_for(lambda: other.take("u"))
    server.kill()
    assert in_time(lambda: one.take("v") is None, LEASE + SLACK)
    waits_for(turn.is_over, LEASE + SLACK)
    in_time(lambda: turn.__exit__(None, None, None) is None, LEASE + SLACK)
    assert in_time(lambda: one.take("t") is None, 2 * LEASE + SLACK)
    server.start()
    again = waits_for(lambda: one.take("t"))
    assert not again.is_over()


def test_a_server_that_stands_still_ends_turns_and_holds_nobody_up(
    server: Any, connect: Callable[..., Coordination]
) -> None:
    one = connect()
    turn = waits_for(lambda: one.take("t"))
    server.freeze()
    try:
        waits_for(turn.is_over, LEASE)
        in_time(lambda: turn.__exit__(None, None, None) is None, LEASE + SLACK)
        assert in_time(lambda: one.take("t") is None, 2 * LEASE + SLACK)
    finally:
        server.thaw()
    with waits_for(lambda: one.take("t")) as again:
        assert not again.is_over()


def test_a_lease_is_no_longer_than_what_a_zookeeper_allows() -> None:
    assert Coordination("zookeeper://h:1", 600)._lease == 40
    assert "timeout=40" in Coordination("zookeeper://h:1", 600)._url
    assert Coordination("mysql://h/d", 600)._lease == 600


def test_a_mysql_ends_the_session_of_a_host_that_vanished(
    server: Any, connect: Callable[..., Coordination], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its beats stop and its connection stays, as with a cable that was pulled."""
    if isinstance(server, ZooKeeper):
        pytest.skip("the others end sessions by themselves")
    one, other = connect(), connect()
    assert one.take("t") is not None
    monkeypatch.setattr(one, "_confirm", lambda held: None)
    began = time.monotonic()
    waits_for(lambda: other.take("t"), LEASE + SLACK)
    assert time.monotonic() - began > LEASE / 2
