# SPDX-License-Identifier: Apache-2.0
"""Which images are meant. It is decided here and not by a service, so that it means the same for
every service and for a folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from glancekit.plugin import Invalid
from glancekit_site_replication.records import Record

_AGE = re.compile(r"(\d+)([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """All of these have to be so; without any, every image is meant."""

    fields: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    name: str | None = None
    visibility: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    newer_than: datetime | None = None

    def takes(self, record: Record) -> bool:
        """Tell whether an image is meant."""
        return (
            all(_text(record.get(key)) == value for key, value in self.fields.items())
            and self.tags <= set(record.get("tags") or ())
            and (self.name is None or fnmatchcase(str(record.get("name") or ""), self.name))
            and (not self.visibility or record.get("visibility") in self.visibility)
            and (not self.owners or record.get("owner") in self.owners)
            and (self.newer_than is None or moment(record["updated_at"]) > self.newer_than)
        )


def moment(text: str) -> datetime:
    """Read a time, or an age (``90m``, ``12h``, ``7d``) as the time that is so long ago.

    :raises Invalid: when it is neither.
    """
    if age := _AGE.match(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"'{text}' is no time (2026-01-31T12:00:00Z) and no age (7d)") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def pairs(texts: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` texts.

    :raises Invalid: when one of them is none.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Invalid(f"'{text}' is not of the form KEY=VALUE")
        found[key] = value
    return found


def _text(value: object) -> str | None:
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
