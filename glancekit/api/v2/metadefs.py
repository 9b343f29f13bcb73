# SPDX-License-Identifier: Apache-2.0
"""Every path of metadata definitions and of their schemas, as a part of the router's table."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from flask import Response
from werkzeug.exceptions import NotFound

from glancekit.api.v2.metadef_definitions import Objects, Properties, Tags
from glancekit.api.v2.metadef_namespaces import Namespaces, ResourceTypes
from glancekit.api.v2.schemas.metadef import metadef_schemas
from glancekit.services.world import World

Route = tuple[str, str, Callable[..., Response]]

_ONE = "/v2/metadefs/namespaces/<namespace>"


def metadef_routes(world: World) -> tuple[Route, ...]:
    """Return method, path and view of each route."""
    namespaces, types = Namespaces(world), ResourceTypes(world)
    properties, objects, tags = Properties(world), Objects(world), Tags(world)
    return (
        ("GET", "/v2/metadefs/resource_types", types.index),
        ("GET", "/v2/metadefs/namespaces", namespaces.index),
        ("POST", "/v2/metadefs/namespaces", namespaces.create),
        ("GET", _ONE, namespaces.show),
        ("PUT", _ONE, namespaces.update),
        ("DELETE", _ONE, namespaces.delete),
        ("GET", f"{_ONE}/resource_types", types.of_namespace),
        ("POST", f"{_ONE}/resource_types", types.associate),
        ("DELETE", f"{_ONE}/resource_types/<resource_type>", types.dissociate),
        ("GET", f"{_ONE}/properties", properties.index),
        ("POST", f"{_ONE}/properties", properties.create),
        ("DELETE", f"{_ONE}/properties", properties.clear),
        ("GET", f"{_ONE}/properties/<name>", properties.show),
        ("PUT", f"{_ONE}/properties/<name>", properties.update),
        ("DELETE", f"{_ONE}/properties/<name>", properties.delete),
        ("GET", f"{_ONE}/objects", objects.index),
        ("POST", f"{_ONE}/objects", objects.create),
        ("DELETE", f"{_ONE}/objects", objects.clear),
        ("GET", f"{_ONE}/objects/<name>", objects.show),
        ("PUT", f"{_ONE}/objects/<name>", objects.update),
        ("DELETE", f"{_ONE}/objects/<name>", objects.delete),
        ("GET", f"{_ONE}/tags", tags.index),
        ("POST", f"{_ONE}/tags", tags.replace),
        ("DELETE", f"{_ONE}/tags", tags.clear),
        ("GET", f"{_ONE}/tags/<name>", tags.show),
        ("POST", f"{_ONE}/tags/<name>", tags.create),
        ("PUT", f"{_ONE}/tags/<name>", tags.update),
        ("DELETE", f"{_ONE}/tags/<name>", tags.delete),
        ("GET", "/v2/schemas/metadefs/<name>", MetadefSchemas().show),
    )


METADEF_BODIES = frozenset(
    {
        "POST /v2/metadefs/namespaces",
        f"PUT {_ONE}",
        f"POST {_ONE}/resource_types",
        f"POST {_ONE}/properties",
        f"PUT {_ONE}/properties/<name>",
        f"POST {_ONE}/objects",
        f"PUT {_ONE}/objects/<name>",
        f"POST {_ONE}/tags",
        f"PUT {_ONE}/tags/<name>",
    }
)
"""Endpoints whose requests have a body."""


class MetadefSchemas:
    """The schemas for clients to read, rendered once."""

    def __init__(self) -> None:
        self._rendered = {name: orjson.dumps(one) for name, one in metadef_schemas().items()}

    def show(self, name: str) -> Response:
        """Return one schema."""
        if name not in self._rendered:
            raise NotFound(f"There is no schema 'metadefs/{name[:80]}'.")
        return Response(self._rendered[name], content_type="application/json")
