# SPDX-License-Identifier: Apache-2.0
"""Locks that the hosts of a cluster share, by way of tooz: one for each run of a task.

A lock is held for as long as the server says so, and that is learned by beats. Whoever holds one
here therefore has a *turn*, which is over as soon as the server might have given it to others:
counted from before the last beat that was answered, on a clock that goes on in suspend.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from glancekit.core.periodic import Cluster, Turn

log = logging.getLogger(__name__)

BEATS = 4
"""Beats in one lease, each with that much time; a turn ends as much before its lease does."""


class Coordination(Cluster):
    """The cluster's locks as one process sees them.

    Nothing happens before the first lock is asked for. A server that is away costs the tasks
    their turns until it is back, and nothing else.
    """

    def __init__(self, url: str, lease: int) -> None:
        self._url = _with_lease(url, lease)
        self._lease = float(lease)
        self._shown = f"{urlsplit(url).scheme}://{urlsplit(url).hostname or ''}"
        self._changed = threading.Condition()
        self._coordinator: Any = None
        self._held: set[_Turn] = set()
        self._is_closed = False
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> Turn | None:
        """Return a turn when the lock is free; does not wait."""
        asked_at = _clock()
        try:
            lock = self._connected().get_lock(f"glancekit/periodic/{name}".encode())
            if not lock.acquire(blocking=False):
                return None
        except Exception as error:  # each driver lets others of its client's through
            log.warning("cannot ask %s for a turn: %s", self._shown, _said_by(error))
            self._reconnect()
            return None
        turn = _Turn(self, name, lock, asked_at + self._lease)
        with self._changed:
            self._held.add(turn)
            if self._heart is None:
                self._heart = threading.Thread(target=self._beat, name="coordination", daemon=True)
                self._heart.start()
        return turn

    def close(self) -> None:
        """Let go of everything."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._heart is not None:
            self._heart.join(self._lease / BEATS)
        for turn in list(self._held):
            self._give_back(turn)
        self._reconnect()

    def _connected(self) -> Any:
        with self._changed:
            if self._coordinator is None:
                self._coordinator = _connect(self._url)
            return self._coordinator

    def _reconnect(self) -> None:
        """Begin anew with the next lock, unless others depend on the connection."""
        with self._changed:
            if self._held or self._coordinator is None:
                return
            coordinator, self._coordinator = self._coordinator, None
        try:
            coordinator.stop()
        except Exception as error:  # each kind has errors of its own; it is given up as it is
            log.info("the coordination could not be left in order: %s", error)

    def _beat(self) -> None:
        """Ask the server again and again whether the locks are still held."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed, self._lease / BEATS)
                if self._is_closed:
                    return
                held = list(self._held)
            if held:
                self._confirm(held)

    def _confirm(self, held: list[_Turn]) -> None:
        import tooz

        asked_at = _clock()
        try:
            # Where a lock lives as long as its connection there are no beats; see _is_held.
            with suppress(tooz.NotImplemented):
                self._coordinator.heartbeat()
        except Exception as error:
            log.warning("%s does not answer: %s", self._shown, _said_by(error))
            return
        for turn in held:
            turn.confirm(asked_at, self._lease)

    def _give_back(self, turn: _Turn) -> None:
        with self._changed:
            self._held.discard(turn)
        turn.release()
        if turn.is_lost:
            self._reconnect()


class _Turn(Turn):
    """A lock that is held until told otherwise, or for want of news."""

    def __init__(self, owner: Coordination, name: str, lock: Any, lasts_until: float) -> None:
        self._owner = owner
        self._name = name
        self._lock = lock
        self._lasts_until = lasts_until
        self._margin = owner._lease / BEATS
        self._asking = threading.Lock()
        self.is_lost = False
        _bound_silence(lock, owner._lease)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._owner._give_back(self)

    def is_over(self) -> bool:
        """Say whether the lock may be another's in a moment."""
        return self.is_lost or _clock() >= self._lasts_until - self._margin

    def confirm(self, asked_at: float, lease: float) -> None:
        """Prolong the turn if the lock is surely still held, counted from before the beat."""
        with self._asking:
            try:
                is_held = _is_held(self._lock)
            except Exception as error:
                log.warning("cannot tell who has %s: %s", self._name, _said_by(error))
                return
            if not is_held or _clock() >= self._lasts_until:
                self.is_lost = True
                log.warning("lost the turn of periodic task %s", self._name)
            elif not self.is_lost:
                self._lasts_until = asked_at + lease

    def release(self) -> None:
        """Give the lock back; one that cannot be is free when its lease has run out."""
        with self._asking:
            try:
                self._lock.release()
            except Exception as error:
                self.is_lost = True
                log.warning("cannot give back %s: %s", self._name, _said_by(error))
                _drop_connection(self._lock)


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _said_by(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _connect(url: str) -> Any:
    from tooz import coordination

    member = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}".encode()
    with warnings.catch_warnings():
        # That tooz means to give up PostgreSQL is said in docs/howto/periodic.rst.
        warnings.simplefilter("ignore", DeprecationWarning)
        coordinator = coordination.get_coordinator(url, member)
    coordinator.start()
    return coordinator


def _with_lease(url: str, lease: int) -> str:
    """Return the URL with the driver's time-outs in it that make a lock end with its lease."""
    parts = urlsplit(url)
    known = dict(parse_qsl(parts.query))
    return urlunsplit(parts._replace(query=urlencode({**known, **_timeouts(parts.scheme, lease)})))


def _timeouts(scheme: str, lease: int) -> Mapping[str, int]:
    beat = max(1, lease // BEATS)
    if scheme == "zookeeper":
        return {"timeout": lease}
    if scheme in ("postgresql", "mysql"):
        return {}
    timeouts = {"timeout": beat, "lock_timeout": lease, "membership_timeout": lease}
    return {**timeouts, "socket_timeout": beat} if scheme == "redis" else timeouts


def _is_held(lock: Any) -> bool:
    """Ask the server whether a lock is ours; where it cannot be asked, the beat has told."""
    import tooz

    try:
        return bool(lock.is_still_owner())
    except tooz.NotImplemented:
        pass
    connection = getattr(lock, "_conn", None)
    if connection is not None:  # a database's lock lives as long as its connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return bool(lock.acquired)


def _bound_silence(lock: Any, lease: float) -> None:
    """Let a database connection end by itself when the server is silent for a whole lease.

    tooz has no option for it, and neither a question whether such a lock is still held: these
    are the two reasons to look into its locks.
    """
    connection = getattr(lock, "_conn", None)
    if connection is None:
        return
    number = (getattr(connection, "_sock", None) or connection).fileno()
    with socket.socket(fileno=os.dup(number)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(lease * 1000))


def _drop_connection(lock: Any) -> None:
    connection = getattr(lock, "_conn", None)
    if connection is not None:
        try:
            connection.close()
        except Exception as error:  # each kind has errors of its own; it is given up as it is
            log.info("the connection of a lock could not be closed: %s", error)
        lock.acquired = False
