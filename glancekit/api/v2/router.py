# SPDX-License-Identifier: Apache-2.0
"""Every path of ``/v2``, in one table. What happens there is the other modules' business."""

from __future__ import annotations

from flask import Flask

from glancekit.api.v2.actions import Actions
from glancekit.api.v2.cache import cache_routes
from glancekit.api.v2.image_data import ImageData
from glancekit.api.v2.images import Images
from glancekit.api.v2.imports import Imports
from glancekit.api.v2.info import Info
from glancekit.api.v2.locations import Locations
from glancekit.api.v2.members import Members
from glancekit.api.v2.metadefs import METADEF_BODIES, Route, metadef_routes
from glancekit.api.v2.schemas.documents import SchemaDocuments
from glancekit.api.v2.stores import StoreCopies
from glancekit.api.v2.tags import Tags
from glancekit.api.v2.tasks import Tasks
from glancekit.api.v2.usage import StorageUsage
from glancekit.services.world import World


def add_routes(app: Flask, world: World) -> None:
    """Put the resources of the Images API on their paths."""
    images, image_data, tags = Images(world), ImageData(world), Tags(world)
    members, actions, locations = Members(world), Actions(world), Locations(world)
    tasks, copies = Tasks(world), StoreCopies(world)
    imports = Imports(world)
    schemas, info = SchemaDocuments(world.settings), Info(world)
    routes: tuple[Route, ...] = (
        ("GET", "/v2/images", images.index),
        ("POST", "/v2/images", images.create),
        ("GET", "/v2/images/<image_id>", images.show),
        ("PATCH", "/v2/images/<image_id>", images.update),
        ("DELETE", "/v2/images/<image_id>", images.delete),
        ("GET", "/v2/images/<image_id>/file", image_data.download),
        ("PUT", "/v2/images/<image_id>/file", image_data.upload),
        ("PUT", "/v2/images/<image_id>/tags/<tag>", tags.add),
        ("DELETE", "/v2/images/<image_id>/tags/<tag>", tags.remove),
        ("GET", "/v2/images/<image_id>/members", members.index),
        ("POST", "/v2/images/<image_id>/members", members.add),
        ("GET", "/v2/images/<image_id>/members/<member_id>", members.show),
        ("PUT", "/v2/images/<image_id>/members/<member_id>", members.decide),
        ("DELETE", "/v2/images/<image_id>/members/<member_id>", members.remove),
        ("POST", "/v2/images/<image_id>/actions/deactivate", actions.deactivate),
        ("POST", "/v2/images/<image_id>/actions/reactivate", actions.reactivate),
        ("POST", "/v2/images/<image_id>/actions/restore", actions.restore),
        ("GET", "/v2/images/<image_id>/locations", locations.index),
        ("POST", "/v2/images/<image_id>/locations", locations.register),
        ("DELETE", "/v2/stores/<store_id>/<image_id>", copies.delete),
        ("GET", "/v2/images/<image_id>/tasks", tasks.of_image),
        ("GET", "/v2/tasks", tasks.index),
        ("POST", "/v2/tasks", tasks.create),
        ("GET", "/v2/tasks/<task_id>", tasks.show),
        ("GET", "/v2/images/<image_id>/stage", imports.staged),
        ("PUT", "/v2/images/<image_id>/stage", imports.stage),
        ("POST", "/v2/images/<image_id>/import", imports.begin),
        ("GET", "/v2/schemas/<name>", schemas.show),
        ("GET", "/v2/info/import", info.import_methods),
        ("GET", "/v2/info/stores", info.stores),
        ("GET", "/v2/info/stores/detail", info.store_details),
        ("GET", "/v2/info/plugins", info.plugins),
        ("GET", "/v2/info/usage", info.usage),
        ("GET", "/v2/usage", StorageUsage(world).index),
        *cache_routes(world),
        *metadef_routes(world),
    )
    for method, path, view in routes:
        app.add_url_rule(path, endpoint=f"{method} {path}", view_func=view, methods=[method])


TAKES_BODY = frozenset(
    {
        "POST /v2/images",
        "PATCH /v2/images/<image_id>",
        "PUT /v2/images/<image_id>/file",
        "PUT /v2/images/<image_id>/stage",
        "POST /v2/images/<image_id>/import",
        "POST /v2/images/<image_id>/members",
        "PUT /v2/images/<image_id>/members/<member_id>",
        "POST /v2/images/<image_id>/locations",
        "POST /v2/tasks",
        *METADEF_BODIES,
    }
)
"""Endpoints whose requests have a body; a body with any other is refused."""
