# SPDX-License-Identifier: Apache-2.0
"""Locks that the hosts of a cluster share, by way of tooz: one for each run of a task.

A lock is held for as long as the server says so, and that is learned by beats. Whoever holds one
here therefore has a *turn*, which is over as soon as the server might have given it to others:
counted from before the last beat that was answered, on a clock that goes on in suspend.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from glancekit.core.periodic import Cluster, Turn

log = logging.getLogger(__name__)

T = TypeVar("T")

BEATS = 4
"""Beats in one lease, each with that much time; a turn ends as much before its lease does."""

ZOOKEEPER_LEASE = 40
"""Seconds that a ZooKeeper lets a session live at most, where its operator says nothing else. It
takes what is more without a word, and its client does not tell."""

MYSQL_NAME = 64
"""Characters that the name of a lock may have in MySQL."""


class Coordination(Cluster):
    """The cluster's locks as one process sees them.

    Nothing happens before the first lock is asked for. A server that is away costs the tasks
    their turns until it is back, and nothing else.
    """

    def __init__(self, url: str, lease: int) -> None:
        self._scheme = urlsplit(url).scheme
        if self._scheme == "zookeeper":
            lease = min(lease, ZOOKEEPER_LEASE)
        self._url = _with_lease(url, lease)
        self._lease = float(lease)
        self._shown = f"{urlsplit(url).scheme}://{urlsplit(url).hostname or ''}"
        self._changed = threading.Condition()
        self._connecting = threading.Lock()
        self._coordinator: Any = None
        self._held: set[_Turn] = set()
        self._is_closed = False
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> Turn | None:
        """Return a turn when the lock is free; does not wait."""
        asked_at = _clock()
        try:
            lock = self._connected().get_lock(_lock_name(self._scheme, name))
            ask = partial(lock.acquire, blocking=False)
            if not _answer(ask, self._lease, if_late=partial(_undo_late, lock)):
                return None
            turn = _Turn(self, name, lock, asked_at + self._lease)
        except Exception as error:  # each driver lets others of its client's through
            log.warning("cannot ask %s for a turn: %s", self._shown, _said_by(error))
            self._reconnect()
            return None
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
        with self._connecting:
            with self._changed:
                if self._coordinator is not None:
                    return self._coordinator
            made = _answer(partial(_connect, self._url), self._lease, if_late=_leave)
            with self._changed:
                self._coordinator = made
            return made

    def _reconnect(self) -> None:
        """Begin anew with the next lock, unless others depend on the connection."""
        with self._changed:
            if self._held or self._coordinator is None:
                return
            coordinator, self._coordinator = self._coordinator, None
        try:
            _answer(partial(_leave, coordinator), self._lease)
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
        _bound_silence(lock, owner._lease, owner._scheme)

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
                # tooz says no also when a connection to ZooKeeper drops, whose session lives on.
                is_held = _is_held(self._lock) or _is_held(self._lock)
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
        try:
            _answer(self._release, self._owner._lease)
        except Exception as error:
            self.is_lost = True
            log.warning("cannot give back %s: %s", self._name, _said_by(error))
            _drop_connection(self._lock)

    def _release(self) -> None:
        with self._asking:
            self._lock.release()


def _answer(
    ask: Callable[[], T], seconds: float, *, if_late: Callable[[T], None] | None = None
) -> T:
    """Return what is answered within so many seconds; ZooKeeper's client waits for ever.

    The thread that asks ends when its connection does. ``if_late`` gets what comes too late.

    :raises TimeoutError: when nothing is answered.
    """
    came: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()
    turnstile, is_late = threading.Lock(), False

    def asking() -> None:
        answer, failure = None, None
        try:
            answer = ask()
        except Exception as error:
            failure = error
        with turnstile:
            came.put((answer, failure))
            late = is_late
        if late and failure is None and if_late is not None:
            if_late(answer)  # type: ignore[arg-type]

    threading.Thread(target=asking, name="coordination-asking", daemon=True).start()
    try:
        answer, failure = came.get(timeout=seconds)
    except Empty:
        with turnstile:
            if came.empty():
                is_late = True
                raise TimeoutError(f"no answer in {seconds:g} s") from None
            answer, failure = came.get()
    if failure is not None:
        raise failure
    return answer  # type: ignore[return-value]


def _undo_late(lock: Any, is_acquired: bool) -> None:
    """Give back a lock that was given when nobody waited for it any more."""
    if is_acquired:
        try:
            lock.release()
        except Exception as error:  # each backend has its own
            log.warning("a lock that came too late ends only with its connection: %s", error)


def _lock_name(scheme: str, name: str) -> bytes:
    full = f"glancekit/periodic/{name}"
    if scheme == "mysql" and len(full) > MYSQL_NAME:
        full = f"glancekit/periodic/{hashlib.sha256(name.encode()).hexdigest()[:40]}"
    return full.encode()


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


def _leave(coordinator: Any) -> None:
    """End a connection. tooz leaves open by what the threads of ZooKeeper's client are woken."""
    try:
        coordinator.stop()
    finally:
        client = getattr(coordinator, "_coord", None)
        if client is not None:
            client.close()


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


def _bound_silence(lock: Any, lease: float, scheme: str) -> None:
    """Let a database connection end by itself when the other side is silent for a whole lease.

    MySQL is told to end it, too, which would wait for eight hours; PostgreSQL has no such setting
    for a session that is in a transaction, as tooz leaves it.

    tooz has no option for it, and neither a question whether such a lock is still held: these
    are the two reasons to look into its locks.
    """
    connection = getattr(lock, "_conn", None)
    if connection is None:
        return
    with _line_of(connection) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(lease * 1000))
    if scheme == "mysql":
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION wait_timeout = %s", (max(1, int(lease)),))


def _line_of(connection: Any) -> socket.socket:
    number = (getattr(connection, "_sock", None) or connection).fileno()
    return socket.socket(fileno=os.dup(number))


def _drop_connection(lock: Any) -> None:
    connection = getattr(lock, "_conn", None)
    if connection is not None:
        try:
            with suppress(OSError), _line_of(connection) as line:
                line.shutdown(socket.SHUT_RDWR)  # another thread may wait there for an answer
            connection.close()
        except Exception as error:  # each kind has errors of its own; it is given up as it is
            log.info("the connection of a lock could not be closed: %s", error)
        lock.acquired = False
