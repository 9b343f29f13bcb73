# SPDX-License-Identifier: Apache-2.0
"""A directive that draws the rooms as the import rules have them (``.importlinter``), as SVG.

A drawing made so cannot show a door that is not there.
"""

from __future__ import annotations

from configparser import ConfigParser
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

RULES = Path(__file__).resolve().parents[2] / ".importlinter"

WIDTH, HEIGHT, GAP = 108, 44, 26
"""Of a room, and between two, in pixels."""


class Rooms(SphinxDirective):
    """``.. glancekit-rooms::`` The rooms from left to right; imports go along the arrows alone."""

    def run(self) -> list[nodes.Node]:
        """Return the picture, and in words for whoever does not see it."""
        self.env.note_dependency(str(RULES))
        return [nodes.raw("", picture(layers()), format="html")]


def layers() -> list[list[str]]:
    """Return the rooms of each layer, the one that may import all others first."""
    rules = ConfigParser()
    rules.read(RULES)
    lines = rules["importlinter:contract:rooms"]["layers"].split("\n")
    names = (line.strip().strip("()").replace("glancekit.", "") for line in lines if line.strip())
    return [[room.strip() for room in line.split("|")] for line in names]


def picture(columns: list[list[str]]) -> str:
    """Return the drawing."""
    rows = max(map(len, columns))
    width = len(columns) * (WIDTH + GAP) - GAP
    height = rows * (HEIGHT + GAP) - GAP
    words = " > ".join(" | ".join(column) for column in columns)
    parts = [
        f'<svg role="img" viewBox="0 0 {width} {height}" style="max-width: 100%" '
        'fill="none" stroke="currentColor" font-family="sans-serif" font-size="15">',
        f"<title>{escape(words)}</title>",
    ]
    for place, column in enumerate(columns):
        left = place * (WIDTH + GAP)
        for row, room in enumerate(column):
            top = (height - len(column) * (HEIGHT + GAP) + GAP) // 2 + row * (HEIGHT + GAP)
            parts += _room(left, top, room)
        if place:
            parts.append(_arrow(left - GAP, height // 2))
    return "".join((*parts, "</svg>"))


def _room(left: int, top: int, name: str) -> list[str]:
    middle = f'x="{left + WIDTH // 2}" y="{top + HEIGHT // 2 + 5}" text-anchor="middle"'
    return [
        f'<rect x="{left + 1}" y="{top + 1}" width="{WIDTH - 2}" height="{HEIGHT - 2}" rx="6"/>',
        f'<text {middle} fill="currentColor" stroke="none">{escape(name)}</text>',
    ]


def _arrow(left: int, top: int) -> str:
    tip = left + GAP - 4
    return f'<path d="M{left + 4} {top}H{tip}m-7 -5l7 5l-7 5"/>'


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive to Sphinx."""
    app.add_directive("glancekit-rooms", Rooms)
    return {"parallel_read_safe": True}
