# SPDX-License-Identifier: Apache-2.0
"""``/openapi.json`` and ``/docs``: the document for programs, and as one page for people.

What the page looks like is in page.html.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import orjson
from flask import Flask, Response, render_template_string

from glancekit.api.openapi.document import make_document
from glancekit.services.world import Settings

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

METHODS = ("get", "head", "post", "put", "patch", "delete")


class Documentation:
    """The document in both forms, each made when it is first asked for."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._json: bytes | None = None
        self._page: str | None = None

    def document(self) -> Response:
        """Answer ``GET /openapi.json``."""
        if self._json is None:
            self._json = orjson.dumps(self._made())
        return Response(self._json, content_type="application/json")

    def page(self) -> Response:
        """Answer ``GET /docs``."""
        if self._page is None:
            self._page = render(self._made())
        response = Response(self._page, content_type="text/html; charset=UTF-8")
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    def _made(self) -> dict[str, Any]:
        return make_document(self._app, self._settings)


def render(document: dict[str, Any]) -> str:
    """Return the page. Needs an application's context."""
    template = files(__package__).joinpath("page.html").read_text("utf-8")
    return render_template_string(
        template, document=document, groups=_groups(document), words=_words
    )


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the operations by what they are about."""
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                shown = {**operation, "method": method.upper(), "path": path}
                groups[operation["tags"][0]].append(shown)
    return groups


def _words(schema: dict[str, Any]) -> str:
    """Say in a few words what values a schema takes."""
    kinds = schema.get("type", "anything")
    said = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if "enum" in schema:
        said += ": " + ", ".join("null" if each is None else str(each) for each in schema["enum"])
    limits = {
        "minimum": "at least",
        "maximum": "at most",
        "minLength": "length at least",
        "maxLength": "length at most",
        "pattern": "like",
    }
    said += "".join(f", {word} {schema[key]}" for key, word in limits.items() if key in schema)
    return said + (", only shown" if schema.get("readOnly") else "")
