# SPDX-License-Identifier: Apache-2.0
"""What does not carry over as it was, and why: collected while reading, told at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Reason(Enum):
    """Why something is other than it was. The value is (what it is about, what becomes of it)."""

    UNREADABLE_LOCATION = (
        "location",
        "is encrypted, and metadata_encryption_key is not the key; nothing is taken over until "
        "it is",
    )
    STRANGE_IMAGE = (
        "image",
        "has a status or visibility that no release knows; nothing is taken over until it is "
        "mended or deleted there",
    )
    SECOND_IN_STORE = (
        "location",
        "is the image's second in the same store; the first is kept. The bytes of the second "
        "stay in the store and belong to no image",
    )
    UNKNOWN_STORE = (
        "location",
        "is in a store that the configuration does not name; it is kept, and can be read once a "
        "store of that id is configured",
    )
    UNFINISHED_LOCATION = ("location", "was never finished there, and is not taken over")
    IN_FLIGHT = (
        "image",
        "waits for data that nobody will send any more; it becomes queued, and can be uploaded to",
    )
    PENDING_DELETE = (
        "image",
        "was deleted, and its data waited for the scrubber. The image stays deleted; its data "
        "stays where it is, unless --finish-deletes hands it to glancekit to remove",
    )
    PROCESS_PROPERTY = (
        "property",
        "was a note of the service to itself about work in progress, and is left out",
    )
    EMPTY_PROPERTY = ("property", "has no value at all; it becomes the empty text")
    SHARES_ON = (
        "member",
        "might share the image on, in the API's first version; there is no such right here",
    )
    MEMBER_TWICE = ("member", "is there twice; the newer answer counts")
    STRANGE_MEMBER = ("member", "has an answer that no release knows; it becomes pending")
    EXPIRED_TASK = ("task", "has expired, and is forgotten")
    STRANGE_TASK = ("task", "is of a type that the API does not have, and is not taken over")
    UNFINISHED_TASK = (
        "task",
        "had not ended, and nobody goes on with it; it becomes a failure that says so",
    )
    CACHED = ("cached image", "is not known here; the cache fills itself again")
    DIFFERS = (
        "record",
        "is here already and says something else: it stays as it is here",
    )
    DELETED_HERE = ("image", "was deleted here since it was taken over, and stays deleted")
    LIVES_HERE = ("image", "was deleted there since it was taken over; here it lives on")
    UPLOADING_HERE = (
        "image",
        "is being sent data; it becomes queued there, and what was sent is not taken along",
    )

    @property
    def about(self) -> str:
        """The kind of thing."""
        return self.value[0]

    @property
    def outcome(self) -> str:
        """What becomes of it, to be read behind the thing's name."""
        return self.value[1]


BLOCKING = frozenset({Reason.UNREADABLE_LOCATION, Reason.STRANGE_IMAGE})
"""With any of these nothing is written at all."""


@dataclass
class Findings:
    """All findings, by their reason; things are named as people can look for them."""

    things: dict[Reason, list[str]] = field(default_factory=dict)

    def add(self, reason: Reason, thing: str) -> None:
        """Know one more, once."""
        known = self.things.setdefault(reason, [])
        if not known or known[-1] != thing:
            known.append(thing)

    def merge(self, other: Findings) -> None:
        """Take over what another collected."""
        for reason, things in other.things.items():
            self.things.setdefault(reason, []).extend(things)

    @property
    def blocking(self) -> Sequence[Reason]:
        """Those for which nothing may be written."""
        return [reason for reason in self.things if reason in BLOCKING]

    def rows(self) -> list[dict[str, object]]:
        """Return them for a table or a program."""
        return [
            {
                "about": reason.about,
                "count": len(things),
                "what": reason.outcome,
                "reason": reason.name.lower(),
                "blocking": reason in BLOCKING,
                "things": things,
            }
            for reason, things in sorted(
                self.things.items(), key=lambda item: list(Reason).index(item[0])
            )
        ]
