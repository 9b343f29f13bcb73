# SPDX-License-Identifier: Apache-2.0
"""What Keystone said about tokens, for as long as that counts. Asking it is for keystone.py."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from glancekit.plugin import Unavailable

REFUSAL_TIME = 10.0
"""Seconds for which a refusal counts: short, since a Keystone may learn of a token late."""

REFUSALS = 1000
"""Refusals that are remembered. Apart from the grants, so that nobody can flood those out."""

T = TypeVar("T")

Key = tuple[bytes, bool]
"""A token's digest (the token itself is not kept) and whether it may have expired."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A valid token: whose it is, where, as what, and until when in seconds since 1970."""

    user_id: str | None
    project_id: str | None
    roles: frozenset[str]
    expires: float


Ask = Callable[[str, bool], Grant | None]
"""Ask Keystone about a token that may have expired or not; None is a refusal."""


class Grants:
    """Answers about tokens: remembered ones, else asked for, each token once at a time."""

    def __init__(self, ask: Ask, *, seconds: float, size: int) -> None:
        self._ask = ask
        self._seconds = seconds
        self._grants = _Memory[Grant](size)
        self._refusals = _Memory[bool](REFUSALS)
        self._flights = _Flights()

    def of(self, token: str, *, allow_expired: bool = False) -> Grant | None:
        """Return what a token grants, None when it is not valid.

        :raises Unavailable: when that is not known and Keystone does not say.
        """
        key = (hashlib.sha256(token.encode()).digest(), allow_expired)
        grant = self._grants.get(key)
        if grant is not None:
            return grant
        if self._refusals.get(key):
            return None
        return self._flights.join(key, lambda: self._learn(key, token))

    def _learn(self, key: Key, token: str) -> Grant | None:
        grant = self._ask(token, key[1])
        if grant is None:
            self._refusals.put(key, True, min(self._seconds, REFUSAL_TIME))
        else:
            self._grants.put(key, grant, min(self._seconds, grant.expires - time.time()))
        return grant


class _Memory(Generic[T]):
    """Values that count for a time; when there are too many, those used longest ago go."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[Key, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> T | None:
        now = time.monotonic()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            until, value = entry
            if now >= until:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def put(self, key: Key, value: T, seconds: float) -> None:
        if seconds <= 0:
            return
        with self._lock:
            self._entries[key] = (time.monotonic() + seconds, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)


class _Flights:
    """Questions that are being asked; who has the same question waits for the same answer."""

    def __init__(self) -> None:
        self._running: dict[Key, Future[Grant | None]] = {}
        self._lock = threading.Lock()

    def join(self, key: Key, ask: Callable[[], Grant | None]) -> Grant | None:
        with self._lock:
            flight = self._running.get(key)
            mine = flight is None
            if flight is None:
                flight = self._running[key] = Future()
        if not mine:
            return flight.result()
        try:
            grant = ask()
        except BaseException as error:
            mishap = Unavailable("The identity service was not asked to the end; try again")
            flight.set_exception(error if isinstance(error, Exception) else mishap)
            raise
        else:
            flight.set_result(grant)
            return grant
        finally:
            with self._lock:
                del self._running[key]
