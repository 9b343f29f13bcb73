# SPDX-License-Identifier: Apache-2.0
"""The table that every benchmark adds its rows to."""

from __future__ import annotations

from dataclasses import dataclass

_COLUMNS = ("what", "measured", "beside it", "ratio", "aim", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure beside its floor. ``reached`` is None where nothing is aimed at."""

    what: str
    measured: str
    beside: str = ""
    ratio: float | None = None
    aim: str = ""
    reached: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        verdict = {None: "", True: "ok", False: "MISSED"}[self.reached]
        return (self.what, self.measured, self.beside, ratio, self.aim, verdict)


def table(rows: list[Row]) -> str:
    """All rows with columns that line up."""
    lines = [_COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
