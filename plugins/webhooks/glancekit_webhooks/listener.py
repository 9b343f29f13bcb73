# SPDX-License-Identifier: Apache-2.0
"""The hook plugin ``webhooks``: a listener for each receiver, so that none waits for another.

The outbox tells each in order, and again until it does not raise; when it is enough is said here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancekit.plugin import Event, Unavailable, hookimpl
from glancekit_webhooks.dead_letters import DeadLetter, DeadLetters
from glancekit_webhooks.options import OPTIONS, SECTION, dead_letters_of, receivers_of
from glancekit_webhooks.receiver import Receiver, Refused

log = logging.getLogger(__name__)


class Webhooks:
    """All receivers that the configuration names."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = SECTION
    options: ClassVar[Sequence[Any]] = OPTIONS

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        dead = dead_letters_of(options)
        self._listeners = {
            receiver_name: Listener(
                receiver,
                dead,
                types=tuple(options.types),
                attempts=options.attempts,
                give_up=options.give_up,
            )
            for receiver_name, receiver in receivers_of(options).items()
        }

    def listeners(self) -> Mapping[str, Listener]:
        """Return one for each receiver."""
        return self._listeners


class Listener:
    """Tells one receiver."""

    def __init__(
        self,
        receiver: Receiver,
        dead: DeadLetters,
        *,
        types: tuple[str, ...] = (),
        attempts: int,
        give_up: float,
    ) -> None:
        self._receiver = receiver
        self._dead = dead
        self._types = types
        self._attempts = attempts
        self._give_up = give_up
        self._told = 0
        self._refusals = 0
        self._away_since: float | None = None

    @hookimpl
    def after_commit(self, events: Sequence[Event]) -> None:
        """Tell it what is new, until it does not listen.

        :raises Unavailable: when it is away.
        :raises Refused: when it does not want an event, which may be a mistake of the moment.
        """
        for event in events:
            position = event.position or 0
            if position <= self._told:  # of a batch that was told in part
                continue
            if not self._types or event.type.startswith(self._types):
                self._tell(event)
            self._told = position

    def _tell(self, event: Event) -> None:
        try:
            self._receiver.send(event)
        except Unavailable as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since < self._give_up:
                raise
            self._bury(event, error)
        except Refused as error:
            self._away_since = None
            self._refusals += 1
            if self._refusals < self._attempts:
                raise
            self._bury(event, error)
            self._refusals = 0
        else:
            self._away_since, self._refusals = None, 0

    def _bury(self, event: Event, error: Exception) -> None:
        self._dead.add(DeadLetter(self._receiver.name, str(error), event))
        log.error(
            "%s; %s of %s (event %s) is a dead letter: see 'glancekit webhooks dead'",
            *(error, event.type, event.subject, event.position),
        )
