# SPDX-License-Identifier: Apache-2.0
"""What of an image's record travels, how two records differ, and where an image has come through.

Nothing is asked here: records are as the Images API shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

Record = Mapping[str, Any]

MARK = "glancekit_replica_of"
"""The property of a replica: the sites that it has come through, with commas, its home first."""

WITH_DATA = frozenset({"active", "deactivated"})
"""Statuses of images that have all their bytes."""

ATTRIBUTES: Mapping[str, Any] = {
    "name": None,
    "visibility": "shared",
    "protected": False,
    "os_hidden": False,
    "min_disk": 0,
    "min_ram": 0,
    "container_format": None,
    "disk_format": None,
    "tags": (),
}
"""What every image has besides its properties, with what it is where nobody says."""

FIXED_WITH_DATA = frozenset({"container_format", "disk_format"})
"""What a service does not let anybody change once an image has data."""

LAST = frozenset({"visibility", "protected", "os_hidden"})
"""What an image is given when its bytes are there and verified: before, nobody shall see it."""

_NOT_PROPERTIES = frozenset(
    {
        *ATTRIBUTES,
        MARK,
        "checksum",
        "created_at",
        "direct_url",
        "file",
        "id",
        "locations",
        "os_hash_algo",
        "os_hash_value",
        "owner",
        "schema",
        "self",
        "size",
        "status",
        "stores",
        "updated_at",
        "virtual_size",
    }
)
_RESERVED = "os_glance"
"""How properties begin that a service keeps for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What is said otherwise at the target.

    ``projects`` are projects there by projects here; ``keep_owner`` gives an image to the project
    of the same id where no other is named. ``leave`` are properties that do not travel, as globs.
    """

    projects: Mapping[str, str] = field(default_factory=dict)
    keep_owner: bool = False
    leave: Sequence[str] = ()

    def project(self, project: str | None) -> str | None:
        """Return who stands for a project, None where that is nobody."""
        if project is None:
            return None
        return self.projects.get(project, project if self.keep_owner else None)

    def wanted(self, record: Record) -> dict[str, Any]:
        """Return what an image should be at the target, without where it has come through."""
        owner = self.project(record.get("owner"))
        attributes = {name: _attribute(record, name) for name in ATTRIBUTES}
        properties = _properties(record, self.leave)
        return attributes | properties | ({} if owner is None else {"owner": owner})

    def differences(self, record: Record, found: Record) -> list[str]:
        """Return the names of fields in which what is found is not what is wanted."""
        wanted = self.wanted(record)
        has = self._has(found, wanted)
        names = [name for name, value in wanted.items() if has.get(name) != value]
        return sorted({*names, *(has.keys() - wanted.keys())})

    def patch(self, record: Record, found: Record, names: Iterable[str]) -> list[dict[str, Any]]:
        """Return the JSON patch that makes these fields as they are wanted."""
        wanted = self.wanted(record)
        operations = []
        for name in names:
            path = "/" + name.replace("~", "~0").replace("/", "~1")
            if name not in wanted:
                operations.append({"op": "remove", "path": path})
                continue
            op = "replace" if name in ATTRIBUTES or name in found else "add"
            operations.append({"op": op, "path": path, "value": wanted[name]})
        return operations

    def _has(self, found: Record, wanted: Mapping[str, Any]) -> dict[str, Any]:
        has = {name: _attribute(found, name) for name in ATTRIBUTES}
        # Of an owner that nobody has asked for, nothing is said.
        owner = {"owner": found.get("owner")} if "owner" in wanted else {}
        return has | _properties(found, self.leave) | owner


def _attribute(record: Record, name: str) -> Any:
    value = record.get(name, ATTRIBUTES[name])
    return sorted(value or ()) if name == "tags" else value


def _properties(record: Record, leave: Sequence[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in record.items()
        if isinstance(value, str)
        and name not in _NOT_PROPERTIES
        and not name.startswith(_RESERVED)
        and not any(fnmatchcase(name, pattern) for pattern in leave)
    }


def way(record: Record) -> tuple[str, ...]:
    """Return the sites that an image has come through, its home first; none when it is at home."""
    return tuple(site for site in str(record.get(MARK) or "").split(",") if site)


def mark(record: Record, source: str) -> str:
    """Return the mark of a replica that is made of what a source has."""
    return ",".join((*way(record), source))


def is_ours(found: Record, source: str) -> bool:
    """Tell whether what a target has was brought there from this source."""
    return way(found)[-1:] == (source,)


def same_data(record: Record, found: Record) -> bool | None:
    """Tell whether two images have the same bytes; None when nobody can know."""
    algorithm = record.get("os_hash_algo")
    if algorithm and algorithm == found.get("os_hash_algo"):
        return bool(record.get("os_hash_value") == found.get("os_hash_value"))
    if record.get("checksum") and found.get("checksum"):
        return bool(record["checksum"] == found["checksum"])
    if record.get("size") is not None and found.get("size") is not None:
        return None if record["size"] == found["size"] else False
    return None
