# SPDX-License-Identifier: Apache-2.0
"""What a web server calls a content, as one string that another process can go on with."""

from __future__ import annotations

from glancekit_web_reading.answers import Version

_UNKNOWN = "*"


def written(size: int | None, version: Version) -> str | None:
    """Return it; None when nothing tells this content from another."""
    condition = version.condition
    if condition is None:
        return None
    return f"{_UNKNOWN if size is None else size} {condition}"


def read(text: str) -> tuple[int | None, Version]:
    """Return the size and the version that ``written`` was given."""
    size, _, condition = text.partition(" ")
    is_tag = condition.startswith('"')
    version = Version(condition if is_tag else None, None if is_tag else condition)
    return (None if size == _UNKNOWN else int(size)), version
