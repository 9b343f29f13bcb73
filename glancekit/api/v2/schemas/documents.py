# SPDX-License-Identifier: Apache-2.0
"""``/v2/schemas/...``: the schemas for clients to read. They never change while we run."""

from __future__ import annotations

import orjson
from flask import Response
from werkzeug.exceptions import NotFound

from glancekit.api.v2.schemas.image import image_schema, images_schema
from glancekit.api.v2.schemas.member import member_schema, members_schema
from glancekit.api.v2.schemas.task import task_schema, tasks_schema
from glancekit.services.world import Settings


class SchemaDocuments:
    """Every schema, rendered once."""

    def __init__(self, settings: Settings) -> None:
        documents = {
            "image": image_schema(settings),
            "images": images_schema(settings),
            "member": member_schema(),
            "members": members_schema(),
            "task": task_schema(),
            "tasks": tasks_schema(),
        }
        self._rendered = {name: orjson.dumps(schema) for name, schema in documents.items()}

    def show(self, name: str) -> Response:
        """Return one schema."""
        if name not in self._rendered:
            raise NotFound(f"There is no schema '{name[:80]}'.")
        return Response(self._rendered[name], content_type="application/json")
