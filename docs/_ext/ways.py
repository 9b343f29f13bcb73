# SPDX-License-Identifier: Apache-2.0
"""A directive that draws who calls whom on the way of the bytes, as SVG.

Its text has a line for each call, ``WHO -> WHOM: what``. Whoever is written as a path is a file of
``glancekit/``, and one that is not there is an error: the picture cannot outlive the code.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SOURCES = Path(__file__).resolve().parents[2] / "glancekit"

CALL = re.compile(r"(?P<who>\S.*?)\s*(?P<line>->|=>)\s*(?P<whom>\S.*?)\s*:\s+(?P<what>\S.*)")

WIDTH, HEADER, ROW = 190, 46, 40
"""Between two columns, of their names, and between two calls, in pixels."""


class Way(SphinxDirective):
    """``.. glancekit-way:: TITLE`` Calls from top to bottom; ``=>`` is one that moves bytes."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the picture, and in words for whoever does not see it."""
        calls = [self._call(line) for line in self.content if line.strip()]
        return [nodes.raw("", picture(self.arguments[0], calls), format="html")]

    def _call(self, line: str) -> tuple[str, str, str, bool]:
        found = CALL.fullmatch(line.strip())
        if found is None:
            raise self.error(f"write WHO -> WHOM: what, not: {line}")
        for one in (found["who"], found["whom"]):
            if "/" in one and not (SOURCES / one).is_file():
                raise self.error(f"there is no glancekit/{one}")
            if "/" in one:
                self.env.note_dependency(str(SOURCES / one))
        return found["who"], found["whom"], found["what"], found["line"] == "=>"


def picture(title: str, calls: list[tuple[str, str, str, bool]]) -> str:
    """Return the drawing: a column for everybody, in the order in which they come up."""
    columns = list(dict.fromkeys(one for who, whom, _, _ in calls for one in (who, whom)))
    width = len(columns) * WIDTH
    height = HEADER + len(calls) * ROW + ROW // 2
    words = "; ".join(f"{who} to {whom}: {what}" for who, whom, what, _ in calls)
    parts = [
        f'<svg role="img" viewBox="0 0 {width} {height}" style="max-width: 100%" '
        'fill="none" stroke="currentColor" font-family="sans-serif" font-size="13">',
        f"<title>{escape(f'{title}: {words}')}</title>",
    ]
    for place, name in enumerate(columns):
        parts += _column(place * WIDTH + WIDTH // 2, height, name)
    for row, (who, whom, what, moves_bytes) in enumerate(calls):
        start, end = (columns.index(one) * WIDTH + WIDTH // 2 for one in (who, whom))
        top = HEADER + row * ROW + ROW - 8
        parts += _arrow(start, end, top, f"{row + 1}. {what}", moves_bytes)
    return "".join((*parts, "</svg>"))


def _column(middle: int, height: int, name: str) -> list[str]:
    left = middle - WIDTH // 2 + 6
    return [
        f'<path d="M{middle} {HEADER - 12}V{height}" stroke-opacity="0.35"/>',
        f'<rect x="{left}" y="2" width="{WIDTH - 12}" height="{HEADER - 14}" rx="6"/>',
        f'<text x="{middle}" y="{HEADER // 2}" text-anchor="middle" fill="currentColor" '
        f'stroke="none">{escape(name)}</text>',
    ]


def _arrow(start: int, end: int, top: int, what: str, moves_bytes: bool) -> list[str]:
    """Draw a call: a thick line where bytes go along it, words alone for one's own deed."""
    thick = ' stroke-width="4"' if moves_bytes else ""
    text = f'fill="currentColor" stroke="none">{escape(what)}</text>'
    if start == end:
        return [f'<text x="{start - 8}" y="{top}" text-anchor="end" {text}']
    sign = 1 if end > start else -1
    tip = end - 3 * sign
    return [
        f'<path d="M{start} {top}H{tip}"{thick}/>',
        f'<path d="M{tip - 7 * sign} {top - 5}L{tip} {top}L{tip - 7 * sign} {top + 5}"/>',
        f'<text x="{min(start, end) + 8}" y="{top - 7}" {text}',
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive to Sphinx."""
    app.add_directive("glancekit-way", Way)
    return {"parallel_read_safe": True}
