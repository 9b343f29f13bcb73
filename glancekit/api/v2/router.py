# SPDX-License-Identifier: Apache-2.0
"""Every path of ``/v2``, in one table. What happens there is the other modules' business."""

from __future__ import annotations

from flask import Flask

from glancekit.api.v2.image_data import ImageData
from glancekit.api.v2.images import Images
from glancekit.api.v2.info import Info
from glancekit.api.v2.schemas.documents import SchemaDocuments
from glancekit.api.v2.tags import Tags
from glancekit.services.world import World


def add_routes(app: Flask, world: World) -> None:
    """Put the resources of the Images API on their paths."""
    images, image_data, tags = Images(world), ImageData(world), Tags(world)
    schemas, info = SchemaDocuments(world.settings), Info(world)
    for method, path, view in (
        ("GET", "/v2/images", images.index),
        ("POST", "/v2/images", images.create),
        ("GET", "/v2/images/<image_id>", images.show),
        ("PATCH", "/v2/images/<image_id>", images.update),
        ("DELETE", "/v2/images/<image_id>", images.delete),
        ("GET", "/v2/images/<image_id>/file", image_data.download),
        ("PUT", "/v2/images/<image_id>/file", image_data.upload),
        ("PUT", "/v2/images/<image_id>/tags/<tag>", tags.add),
        ("DELETE", "/v2/images/<image_id>/tags/<tag>", tags.remove),
        ("GET", "/v2/schemas/<name>", schemas.show),
        ("GET", "/v2/info/import", info.import_methods),
        ("GET", "/v2/info/stores", info.stores),
    ):
        app.add_url_rule(path, endpoint=f"{method} {path}", view_func=view, methods=[method])


TAKES_BODY = frozenset(
    {
        "POST /v2/images",
        "PATCH /v2/images/<image_id>",
        "PUT /v2/images/<image_id>/file",
    }
)
"""Endpoints whose requests have a body; a body with any other is refused."""
