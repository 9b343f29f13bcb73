# SPDX-License-Identifier: Apache-2.0
"""Events that could not be told: lines of JSON in a file, until somebody has them sent again."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from glancekit.plugin import Event


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event, who was to be told, and why they were not."""

    receiver: str
    reason: str
    event: Event


class DeadLetters:
    """A file of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, letter: DeadLetter) -> None:
        """Keep one; it is on the disk when this returns."""
        with self._locked() as file:
            _write(file, [letter])

    def all(self) -> Sequence[DeadLetter]:
        """Return all, the oldest first."""
        if not self._path.exists():
            return []
        with self._locked() as file:
            return _read(file)

    @contextmanager
    def taken(self) -> Iterator[list[DeadLetter]]:
        """Give out all; those that are not removed from the list are kept. Whoever adds waits."""
        with self._locked() as file:
            letters = _read(file)
            left = list(letters)
            try:
                yield left
            finally:
                if len(left) != len(letters):
                    self._replace(left)

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        with lock.open("a") as holding:
            fcntl.flock(holding, fcntl.LOCK_EX)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a+", encoding="utf-8") as file:
                yield file

    def _replace(self, letters: Sequence[DeadLetter]) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            _write(file, letters)
        new.replace(self._path)


def _write(file: IO[str], letters: Sequence[DeadLetter]) -> None:
    for letter in letters:
        file.write(json.dumps(_form(letter), sort_keys=True) + "\n")
    file.flush()
    os.fsync(file.fileno())


def _read(file: IO[str]) -> list[DeadLetter]:
    file.seek(0)
    # A line that a crash cut off has not been kept: its event is told again.
    return [_letter(json.loads(line)) for line in file if line.endswith("}\n")]


def _form(letter: DeadLetter) -> dict[str, Any]:
    event = letter.event
    return {
        "receiver": letter.receiver,
        "reason": letter.reason,
        "position": event.position,
        "type": event.type,
        "subject": event.subject,
        "project_id": event.project_id,
        "user_id": event.user_id,
        "request_id": event.request_id,
        "at": event.at.isoformat(),
        "payload": dict(event.payload),
    }


def _letter(form: dict[str, Any]) -> DeadLetter:
    event = Event(
        type=form["type"],
        subject=form["subject"],
        project_id=form["project_id"],
        user_id=form["user_id"],
        request_id=form["request_id"],
        payload=form["payload"],
        at=datetime.fromisoformat(form["at"]),
        position=form["position"],
    )
    return DeadLetter(form["receiver"], form["reason"], event)
