# SPDX-License-Identifier: Apache-2.0
"""The auth contract: who is calling. What they may do is not its business."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from glancekit.core.model.identity import Identity


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries that may tell who sends it.

    ``headers`` by lower-case name; ``peer`` is the address of the connection's other end, empty
    for a local socket.
    """

    headers: Mapping[str, str]
    peer: str


@runtime_checkable
class AuthDriver(Protocol):
    """A way to find out who is calling. Built as ``Driver(options, name=...)``."""

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()
    loopback_only: ClassVar[bool] = False
    """It believes everybody: the service then listens on loopback only, unless told otherwise."""
    answers_at_once: ClassVar[bool] = False
    """It waits for nothing: no network, no file, no other process. It is then asked in the thread
    of the request, which costs a short one a fifth less; but if it hangs, the request does."""

    @abstractmethod
    def authenticate(self, credentials: Credentials) -> Identity:
        """Return who sends this request. Called from many threads at once.

        :raises Unauthenticated: when it does not say, or not credibly.
        :raises Unavailable: when that cannot be found out now.
        """
        ...

    @abstractmethod
    def challenge(self) -> str | None:
        """Return the ``WWW-Authenticate`` of a 401, or None for none (RFC 9110, 11.6.1)."""
        ...

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; the driver is not used afterwards."""
        ...
