# SPDX-License-Identifier: Apache-2.0
"""``/v2/info/...``: what there is to choose from. Using it is other resources' business."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response

from glancekit.api.auth import caller
from glancekit.api.replies import json_reply
from glancekit.core.stores import Store
from glancekit.services import parts, plugins, stores, usage
from glancekit.services.stores import StoreDetail
from glancekit.services.world import World


class Info:
    """What there is to choose from."""

    def __init__(self, world: World) -> None:
        self._world = world

    def stores(self) -> Response:
        """Answer with the stores that a client may name."""
        return json_reply({"stores": [_shown(store) for store in self._world.stores.all]})

    def store_details(self) -> Response:
        """Answer with what administrators and other services may know of the stores."""
        return json_reply(
            {"stores": [_detailed(store) for store in stores.details(self._world, caller())]}
        )

    def plugins(self) -> Response:
        """Answer with what administrators and other services may know of the plugins."""
        found = plugins.details(self._world, caller())
        return json_reply({"plugins": [asdict(detail) for detail in found]})

    def usage(self) -> Response:
        """Answer with what the caller's project uses of each quota; nothing without limits."""
        found = usage.of_caller(self._world, caller())
        return json_reply(
            {
                "usage": {
                    quota.value: {"usage": used.usage, "limit": used.limit}
                    for quota, used in found.items()
                }
            }
        )

    def import_methods(self) -> Response:
        """Answer with the import methods that a client may name, and with what staging can do."""
        offered = [*self._world.importing.methods]
        methods = {"description": "Import methods available.", "type": "array", "value": offered}
        told: dict[str, Any] = {"import-methods": methods}
        if parts.is_offered(self._world):
            told["stage-parts"] = {
                "description": "PUT /v2/images/{id}/stage takes Content-Range.",
                "type": "boolean",
                "value": True,
            }
        told["import-steps"] = {
            "description": "What is done to the data of an import before they are stored.",
            "type": "array",
            "value": [*self._world.importing.steps],
        }
        return json_reply(told)


def _detailed(detail: StoreDetail) -> dict[str, Any]:
    store = detail.store
    shown = {**_shown(store), "type": store.kind, "weight": store.weight}
    if store.draining:
        shown["draining"] = "true"
    if not store.is_available:
        shown["unavailable"] = "true"
    return {**shown, "properties": detail.properties}


def _shown(store: Store) -> dict[str, Any]:
    """Return a store as JSON; what is true of it is the string "true", what is not is left out."""
    shown = {"id": store.id}
    if store.description:
        shown["description"] = store.description
    if store.is_default:
        shown["default"] = "true"
    if not store.is_writable:
        shown["read-only"] = "true"
    return shown
