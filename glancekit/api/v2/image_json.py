# SPDX-License-Identifier: Apache-2.0
"""How an image looks in JSON. Which images are shown to whom is the services' business."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from glancekit.core.model.image import Image, Location
from glancekit.services.world import World

INTERNAL = frozenset({"os_glance_stage_host", "os_glance_hash_op_host"})
"""Properties of the service's own that no client is shown."""


DAMAGED = "os_glance_damaged"
"""Shown of an image of whose data audits found no good copy; no client can set it."""


class ImageJson:
    """Makes JSON of images, the way the operator wants them shown."""

    def __init__(self, world: World) -> None:
        self._stores = world.stores
        self._with_direct_url = world.settings.show_image_direct_url
        self._with_locations = world.settings.show_multiple_locations

    def of(self, image: Image) -> dict[str, Any]:
        """Return an image with its properties flattened, in the order that clients know.

        An attribute wins over a property of its name.
        """
        path = f"/v2/images/{image.id}"
        shown: dict[str, Any] = {
            **image.properties,
            "name": image.name,
            "disk_format": image.disk_format,
            "container_format": image.container_format,
            "visibility": image.visibility,
            "size": image.size,
            "virtual_size": image.virtual_size,
            "status": image.status,
            "checksum": image.checksum,
            "protected": image.protected,
            "min_ram": image.min_ram,
            "min_disk": image.min_disk,
            "owner": image.owner,
            "os_hidden": image.os_hidden,
            "os_hash_algo": image.os_hash_algo,
            "os_hash_value": image.os_hash_value,
            "id": image.id,
            "created_at": image.created_at,
            "updated_at": image.updated_at,
        }
        locations = self._stores.by_preference(image.locations)
        self._add_locations(shown, locations)
        shown["tags"] = sorted(image.tags)
        shown["self"] = path
        shown["file"] = path + "/file"
        shown["schema"] = "/v2/schemas/image"
        if image.is_damaged:
            shown[DAMAGED] = "true"
        if locations:
            shown["stores"] = ",".join(dict.fromkeys(_store_ids(locations)))
        for name in INTERNAL & shown.keys():
            del shown[name]
        return shown

    def _add_locations(self, shown: dict[str, Any], locations: Sequence[Location]) -> None:
        if self._with_locations:
            shown["locations"] = [location_json(location) for location in locations]
        if self._with_direct_url and locations:
            best = next((one for one in locations if not one.is_lost), locations[0])
            shown["direct_url"] = best.shown_url


def location_json(location: Location) -> dict[str, Any]:
    """Return a location as clients know it, its store among its metadata; no credentials."""
    metadata = {**location.metadata, "store": location.store}
    return {"url": location.shown_url, "metadata": metadata}


def _store_ids(locations: Iterable[Location]) -> Iterable[str]:
    return (location.store for location in locations if location.store)
