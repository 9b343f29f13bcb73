# SPDX-License-Identifier: Apache-2.0
"""A unit of work whose other half is in the registry. Connections are channel.py's business.

Nothing is sent before the first call, so that a block without calls costs nothing. Events, which
answer nothing, travel with the next message.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from types import TracebackType
from typing import Any, cast

from glancekit.plugin import (
    CacheRepository,
    EventRepository,
    ImageRepository,
    LeaseRepository,
    LedgerRepository,
    LocationRepository,
    MarkRepository,
    MemberRepository,
    MetadataError,
    MetadataUnavailable,
    MetadefRepository,
    PeriodicRepository,
    QuotaRepository,
    TaskRepository,
    UnitOfWork,
)
from glancekit_registry_metadata import wire
from glancekit_registry_metadata.channel import Channel, ConnectionLost, Pool, one_channel

_TOLD_LATER = frozenset({"events.append"})
"""Calls that return nothing and whose errors can wait for the next answer."""


class _Repository:
    """One repository. Subclasses have the methods of a contract, done in the registry."""

    def __init__(self, work: RemoteUnitOfWork) -> None:
        self.work = work


def _remote_method(name: str, promised: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(promised)
    def call(self: _Repository, *arguments: Any, **named: Any) -> Any:
        return self.work.call(name, arguments, named)

    return call


_REMOTE: Mapping[str, type[_Repository]] = {
    name: type(
        f"Remote{name.capitalize()}",
        (_Repository,),
        {
            method: _remote_method(f"{name}.{method}", promised)
            for method, promised in methods.items()
        },
    )
    for name, methods in wire.REPOSITORIES.items()
}


class RemoteUnitOfWork(UnitOfWork):
    """One transaction of the registry's database."""

    def __init__(self, pool: Pool, *, read_only: bool) -> None:
        self._pool = pool
        self._read_only = read_only
        self._channel: Channel | None = None
        self._waiting: list[wire.Encoded] = []
        self._is_over = False
        self._boot = ""
        self.images = cast(ImageRepository, _REMOTE["images"](self))
        self.locations = cast(LocationRepository, _REMOTE["locations"](self))
        self.members = cast(MemberRepository, _REMOTE["members"](self))
        self.tasks = cast(TaskRepository, _REMOTE["tasks"](self))
        self.events = cast(EventRepository, _REMOTE["events"](self))
        self.leases = cast(LeaseRepository, _REMOTE["leases"](self))
        self.periodic = cast(PeriodicRepository, _REMOTE["periodic"](self))
        self.metadefs = cast(MetadefRepository, _REMOTE["metadefs"](self))
        self.quotas = cast(QuotaRepository, _REMOTE["quotas"](self))
        self.ledger = cast(LedgerRepository, _REMOTE["ledger"](self))
        self.marks = cast(MarkRepository, _REMOTE["marks"](self))
        self.caches = cast(CacheRepository, _REMOTE["caches"](self))

    def __enter__(self) -> UnitOfWork:
        return self

    def call(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Do one call in the registry and return what it returns."""
        if self._is_over:
            raise MetadataError("this unit of work has ended")
        # What it is given may change before it is sent, and may be no message at all.
        call = wire.encode([name, list(arguments), dict(named)])
        self._waiting.append(wire.Encoded(call))
        if name in _TOLD_LATER and not self._read_only:
            return None
        return self._send()

    def commit(self) -> None:
        """See the contract."""
        if self._is_over:
            raise MetadataError("this unit of work has ended")
        if self._channel is None and not self._waiting:
            self._is_over = True
            return
        key = uuid.uuid4().hex
        try:
            self._send(commit=key)
        except ConnectionLost as error:
            self._settle(key, error)
        self._is_over = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        channel, self._channel = self._channel, None
        was_over, self._is_over = self._is_over, True
        if channel is None:
            return
        try:
            if not was_over:
                self._leave(channel)
        except MetadataUnavailable:
            # The registry rolls back what lost its connection; there is nothing left to do.
            self._pool.drop(channel)
        else:
            self._pool.give_back(channel)

    def _leave(self, channel: Channel) -> None:
        """Roll back. What only read changed nothing, so nobody waits for that."""
        if self._read_only:
            channel.tell({"leave": True})
        else:
            channel.ask({"leave": True})

    def _send(self, *, commit: str | None = None) -> Any:
        calls, self._waiting = self._waiting, []
        if self._channel is not None:
            return self._ask(self._channel, {"calls": calls, "commit": commit})
        begin = "read" if self._read_only else "write"
        message = {"begin": begin, "calls": calls, "commit": commit}
        self._channel = self._pool.take()
        if commit is not None:
            return self._ask(self._channel, message)
        try:
            return self._ask(self._channel, message)
        except ConnectionLost:
            # Nothing is kept of what was not committed: it may well begin anew, once.
            self._channel = self._pool.take(fresh=True)
            return self._ask(self._channel, message)

    def _ask(self, channel: Channel, message: Any) -> Any:
        try:
            return channel.ask(message)
        except ConnectionLost:
            self._boot = channel.boot
            self._channel = None
            self._pool.drop(channel)
            raise

    def _settle(self, key: str, lost: ConnectionLost) -> None:
        """Find out what became of a commit whose answer did not come.

        :raises MetadataUnavailable: when nothing was kept, or it cannot be known.
        """
        with suppress(ConnectionLost), one_channel(self._pool) as channel:
            if channel.boot == self._boot:
                if channel.ask({"key": key}, path="/v1/settle"):
                    return
                raise MetadataUnavailable(f"{lost}; nothing was changed") from lost
        raise MetadataUnavailable(
            f"{lost}; whether the last change was kept is not known"
        ) from lost
