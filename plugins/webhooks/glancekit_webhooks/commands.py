# SPDX-License-Identifier: Apache-2.0
"""``glancekit webhooks``: dead letters, and events told again from some place on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from glancekit.plugin import (
    Event,
    Invalid,
    MetadataDriver,
    ReadSection,
    Unavailable,
    Workbench,
    hookimpl,
)
from glancekit_webhooks.options import OPTIONS, SECTION, dead_letters_of, receivers_of
from glancekit_webhooks.receiver import Receiver, Refused

api_level = 1

_BATCH = 100


@hookimpl
def register_commands(read_section: ReadSection, workbench: Workbench) -> list[click.Command]:
    """Offer ``glancekit webhooks``."""

    @click.group()
    def webhooks() -> None:
        """Look after what could not be told to webhooks."""

    @webhooks.command()
    def dead() -> None:
        """List the dead letters, one JSON object a line."""
        for letter in dead_letters_of(_options(read_section)).all():
            event = letter.event
            line = {
                "receiver": letter.receiver,
                "position": event.position,
                "type": event.type,
                "subject": event.subject,
                "at": event.at.isoformat(),
                "reason": letter.reason,
            }
            click.echo(json.dumps(line))

    @webhooks.command()
    def retry() -> None:
        """Send the dead letters again; those that arrive are forgotten."""
        _retry(_options(read_section))

    @webhooks.command()
    @click.argument("receiver")
    @click.option("--from", "first", type=int, required=True, help="Position of the first event.")
    @click.option("--to", "last", type=int, help="Position of the last one. Default: the newest.")
    def replay(receiver: str, first: int, last: int | None) -> None:
        """Tell RECEIVER again what the outbox still has: a day, and what is not told yet."""
        found = _named(_options(read_section), receiver)
        config, _ = workbench.configuration()
        with workbench.metadata(config) as metadata:
            _replay(metadata, found, first, last)

    return [webhooks]


def _options(read_section: ReadSection) -> Any:
    return read_section(SECTION, OPTIONS)


def _named(options: Any, name: str) -> Receiver:
    receivers = receivers_of(options)
    if name not in receivers:
        known = ", ".join(sorted(receivers)) or "none"
        raise Invalid(
            f"there is no receiver '{name}' in [{SECTION}] receivers; there are: {known}"
        )
    return receivers[name]


def _retry(options: Any) -> None:
    receivers = receivers_of(options)
    sent = 0
    with dead_letters_of(options).taken() as letters:
        for letter in list(letters):
            receiver = receivers.get(letter.receiver)
            if receiver is None:
                continue
            try:
                receiver.send(letter.event)
            except (Unavailable, Refused) as error:
                click.echo(f"event {letter.event.position}: {error}", err=True)
                continue
            letters.remove(letter)
            sent += 1
        left = len(letters)
    click.echo(f"{sent} sent, {left} left")


def _replay(metadata: MetadataDriver, receiver: Receiver, first: int, last: int | None) -> None:
    count = 0
    for event in _events(metadata, first, last):
        receiver.send(event)
        count += 1
    click.echo(f"{count} events told")


def _events(metadata: MetadataDriver, first: int, last: int | None) -> Iterator[Event]:
    position = first - 1
    while True:
        with metadata.unit_of_work(read_only=True) as work:
            events = work.events.after(position, limit=_BATCH)
        for event in events:
            position = event.position or 0
            if last is not None and position > last:
                return
            yield event
        if not events:
            return
