# SPDX-License-Identifier: Apache-2.0
"""What values of options may be, where oslo.config has no type of its own for it.

Which option is of which is the business of its neighbours.
"""

from __future__ import annotations

import re
from pathlib import Path

from oslo_config import types

_SIZE = re.compile(r"(\d+)\s*(B|KB|MB|GB|TB)?", re.IGNORECASE)


class Size(types.ConfigType):
    """Bytes, written with a unit or without: 500MB is 500 times 1024 times 1024."""

    def __init__(self) -> None:
        super().__init__(type_name="size value (bytes, or a number with B, KB, MB, GB or TB)")

    def __call__(self, value: object) -> int:
        """Return the bytes."""
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            raise ValueError("it is no number with B, KB, MB, GB or TB")
        number, unit = match.groups()
        return int(number) << 10 * ("B", "KB", "MB", "GB", "TB").index((unit or "B").upper())

    def __repr__(self) -> str:
        return "Size"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    __hash__ = None  # type: ignore[assignment]

    def _formatter(self, value: object) -> str:
        return str(value)


class Folder(types.String):
    """A path, which means the same wherever the process goes afterwards."""

    def __call__(self, value: object) -> str:
        """Return it absolute, with ``~`` resolved."""
        return str(Path(str(value)).expanduser().absolute())


class Choices(types.List):
    """Items with commas between them, and brackets around them all or none: upstream has both."""

    def __call__(self, value: object) -> list[object]:
        """Return the items."""
        if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
            value = value[1:-1]
        return list(super().__call__(value))


NAMES = Choices()
"""Words."""

PORTS = Choices(types.Integer(min=1, max=65535))
"""Numbers of ports."""
