# SPDX-License-Identifier: Apache-2.0
"""Turns at what a cluster shares, where the server fails in ways that real ones show rarely.

What real servers and networks do is seen in tests/e2e/test_periodic_hosts.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import tooz.coordination

from glancekit.core import coordination as module
from glancekit.core.coordination import Coordination
from glancekit.core.errors import ConfigError
from glancekit.core.periodic_options import PERIODIC_OPTIONS, PeriodicSettings
from glancekit.testing.waiting import wait_until

LEASE = 1
PATIENCE = 30.0


class Server:
    """What all connections talk to, with faults."""

    def __init__(self) -> None:
        self.owner: dict[bytes, object] = {}
        self.beats = threading.Semaphore(0)
        self.connections = 0
        self.is_silent = False
        self.knows_owners = True

    def require_answer(self) -> None:
        if self.is_silent:
            raise tooz.coordination.ToozConnectionError("no answer")


class Connection:
    """A coordinator of tooz, as far as it is used."""

    def __init__(self, server: Server) -> None:
        self._server = server
        server.connections += 1

    def get_lock(self, name: bytes) -> Lock:
        return Lock(self._server, name)

    def heartbeat(self) -> float:
        self._server.beats.release()
        self._server.require_answer()
        return 1.0

    def stop(self) -> None:
        self._server.require_answer()


class Lock:
    """A lock of tooz."""

    def __init__(self, server: Server, name: bytes) -> None:
        self._server, self._name = server, name
        self.acquired = False

    def acquire(self, *, blocking: bool) -> bool:
        assert not blocking
        self._server.require_answer()
        self.acquired = self._server.owner.setdefault(self._name, self) is self
        return self.acquired

    def is_still_owner(self) -> bool:
        if not self._server.knows_owners:
            raise tooz.NotImplemented
        self._server.require_answer()
        return self._server.owner.get(self._name) is self

    def release(self) -> bool:
        self._server.require_answer()
        if self._server.owner.get(self._name) is self:
            del self._server.owner[self._name]
        return True


class Clock:
    """Time as the test has it."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "_clock", clock)
    return clock


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(module, "_connect", lambda url: Connection(server))
    return server


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[[], Coordination]]:
    made: list[Coordination] = []

    def connect() -> Coordination:
        made.append(Coordination("redis://user:secret@nowhere:1", LEASE))
        return made[-1]

    yield connect
    for one in made:
        with suppress(Exception):
            one.close()


def test_one_has_a_turn_and_others_after_it(connect: Callable[[], Coordination]) -> None:
    one, other = connect(), connect()
    turn = one.take("t")
    assert turn is not None
    with turn:
        assert not turn.is_over()
        assert other.take("t") is None
        assert other.take("another") is not None
    assert other.take("t") is not None


def test_a_turn_is_over_before_its_lease_is(
    connect: Callable[[], Coordination], clock: Clock
) -> None:
    turn = connect().take("t")
    assert turn is not None
    clock.at += LEASE - LEASE / module.BEATS - 0.01
    assert not turn.is_over()
    clock.at += 0.02
    assert turn.is_over()


def test_beats_prolong_a_turn_from_before_they_were_sent(
    connect: Callable[[], Coordination], clock: Clock, server: Server
) -> None:
    turn = connect().take("t")
    assert turn is not None
    for _ in range(3):
        clock.at += 0.6 * LEASE
        for _ in range(2):  # the first may have begun before the clock went on
            assert server.beats.acquire(timeout=PATIENCE)
        wait_until(lambda: not turn.is_over())


def test_silence_ends_a_turn_and_news_that_come_too_late_do_not_begin_it_again(
    connect: Callable[[], Coordination],
    clock: Clock,
    server: Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    turn = connect().take("t")
    assert turn is not None
    server.is_silent = True
    wait_until(lambda: "no answer" in caplog.text)
    clock.at += LEASE
    assert turn.is_over()
    server.is_silent = False
    for _ in range(3):
        assert server.beats.acquire(timeout=PATIENCE)
    assert turn.is_over()
    assert "secret" not in caplog.text


@pytest.mark.parametrize("knows_owners", [True, False])
def test_a_lock_that_is_another_s_by_now_ends_the_turn(
    connect: Callable[[], Coordination], server: Server, knows_owners: bool
) -> None:
    turn = connect().take("t")
    assert turn is not None
    server.knows_owners = knows_owners
    for name, lock in list(server.owner.items()):
        lock.acquired = False  # type: ignore[attr-defined]
        server.owner[name] = object()
    wait_until(turn.is_over)


def test_a_server_that_is_away_costs_turns_and_is_asked_anew(
    connect: Callable[[], Coordination], server: Server
) -> None:
    one = connect()
    server.is_silent = True
    assert one.take("t") is None
    server.is_silent = False
    assert one.take("t") is not None
    assert server.connections == 2


def test_a_lock_that_cannot_be_given_back_is_left_to_its_lease(
    connect: Callable[[], Coordination], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    one = connect()
    turn = one.take("t")
    assert turn is not None
    with turn:
        server.is_silent = True
    assert turn.is_over()
    assert "cannot give back t" in caplog.text


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h:1", "timeout=5&lock_timeout=20&membership_timeout=20&socket_timeout=5"),
        ("redis://h:1?ssl=True&lock_timeout=9", "ssl=True&lock_timeout=20&timeout=5"),
        ("etcd3+http://h:1", "timeout=5&lock_timeout=20&membership_timeout=20"),
        ("zookeeper://h:1", "timeout=20"),
        ("postgresql://u:p@h/d", ""),
    ],
)
def test_the_lease_is_told_to_the_driver(url: str, told: str) -> None:
    assert module._with_lease(url, 20).startswith(
        f"{url.partition('?')[0]}{'?' if told else ''}{told}"
    )


def settings(**chosen: Any) -> PeriodicSettings:
    values = {option.dest: option.default for option in PERIODIC_OPTIONS} | chosen
    return PeriodicSettings.of(type("Options", (), values))


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().coordination is None
    assert settings().host
    with pytest.raises(ConfigError, match="no URL of redis://"):
        settings(coordination="memcached://h")
    monkeypatch.setattr("glancekit.core.periodic_options.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'glancekit\[etcd\]'"):
        settings(coordination="etcd3+http://u:secret@h")
