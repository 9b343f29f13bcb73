# SPDX-License-Identifier: Apache-2.0
"""Namespaces of metadata definitions and what they are for, over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest

from glancekit.api.auth import caller
from glancekit.api.body import json_object
from glancekit.api.paging import first_link, next_link, page_limit, parse_query
from glancekit.api.replies import empty_reply, json_reply
from glancekit.api.v2.metadef_json import (
    NAMESPACES,
    association_json,
    contents_json,
    namespace_json,
    path_of,
    resource_type_json,
)
from glancekit.core.errors import ReadOnlyField
from glancekit.core.model.image import Visibility
from glancekit.core.model.metadef import NAMESPACE_SORT_KEYS, NamespaceQuery
from glancekit.services.metadefs import associations, documents, forms, namespaces
from glancekit.services.world import World

_VISIBILITIES = (Visibility.PUBLIC, Visibility.PRIVATE)


def params_of_request() -> dict[str, str]:
    """Return the parameters of the current request's query, of several of a name the last."""
    return dict(parse_query(request.environ.get("QUERY_STRING", "")))


def is_descending(params: dict[str, str]) -> bool:
    """Return the direction that is asked for, which is down unless it is said."""
    direction = params.get("sort_dir", "desc")
    if direction not in ("asc", "desc"):
        raise BadRequest(f"A sort direction is asc or desc, not '{direction[:40]}'.")
    return direction == "desc"


def sort_key_of(params: dict[str, str], known: tuple[str, ...]) -> str:
    """Return the key that is asked for, which is the time of creation unless it is said."""
    key = params.get("sort_key", "created_at")
    if key not in known:
        raise BadRequest(f"Cannot sort by '{key[:40]}'; there are {', '.join(known)}.")
    return key


def document_of_request(form: forms.FormChecker) -> dict[str, Any]:
    """Return what the current request's body says, which has the form.

    :raises ReadOnlyField: when it sets what nobody may.
    :raises InvalidField: when it has not the form.
    """
    document = json_object()
    for field in sorted(forms.READ_ONLY & document.keys()):
        raise ReadOnlyField(field=field)
    form.check(document)
    return document


class Namespaces:
    """The collection ``/v2/metadefs/namespaces`` and its items."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._form = forms.FormChecker(forms.NAMESPACE)

    def index(self) -> Response:
        """Answer ``GET``."""
        params = parse_query(request.environ.get("QUERY_STRING", ""))
        listing = namespaces.find(self._world, caller(), self._query(dict(params)))
        content: dict[str, Any] = {
            "namespaces": [contents_json(found) for found in listing.namespaces],
            "first": first_link(NAMESPACES, params),
            "schema": "/v2/schemas/metadefs/namespaces",
        }
        if listing.is_full and listing.namespaces:
            last = listing.namespaces[-1].namespace.name
            content["next"] = next_link(NAMESPACES, params, last)
        return json_reply(content)

    def create(self) -> Response:
        """Answer ``POST``: the namespace with all that is in it, or nothing."""
        document = document_of_request(self._form)
        contents = documents.contents_of(document, owner=caller().project_id or "")
        made = namespaces.create(self._world, caller(), contents)
        location = self._base() + path_of(made.namespace.name)
        return json_reply(contents_json(made), status=201, headers={"Location": location})

    def show(self, namespace: str) -> Response:
        """Answer ``GET`` of one."""
        resource_type = params_of_request().get("resource_type")
        found = namespaces.show(self._world, caller(), namespace, resource_type)
        return json_reply(contents_json(found))

    def update(self, namespace: str) -> Response:
        """Answer ``PUT``: what the body leaves out becomes as in a new one."""
        document = document_of_request(self._form)
        new = documents.namespace_of(document, owner=caller().project_id or "")
        return json_reply(namespace_json(namespaces.update(self._world, caller(), namespace, new)))

    def delete(self, namespace: str) -> Response:
        """Answer ``DELETE``."""
        namespaces.remove(self._world, caller(), namespace)
        return empty_reply()

    def _base(self) -> str:
        return (self._world.settings.public_endpoint or request.url_root).rstrip("/")

    def _query(self, params: dict[str, str]) -> NamespaceQuery:
        settings = self._world.settings
        resource_types = params.get("resource_types", "").split(",")
        return NamespaceQuery(
            limit=page_limit(
                params.get("limit"),
                default=settings.limit_param_default,
                maximum=settings.api_limit_max,
            ),
            marker=params.get("marker"),
            sort_key=sort_key_of(params, NAMESPACE_SORT_KEYS),
            descending=is_descending(params),
            visibility=_visibility(params.get("visibility")),
            resource_types=frozenset(filter(None, map(str.strip, resource_types))),
        )


class ResourceTypes:
    """``/v2/metadefs/resource_types``, and which namespaces are for things of which type."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._form = forms.FormChecker(forms.ASSOCIATION)

    def index(self) -> Response:
        """Answer ``GET`` of all types."""
        found = associations.resource_types(self._world, caller())
        return json_reply({"resource_types": [resource_type_json(one) for one in found]})

    def of_namespace(self, namespace: str) -> Response:
        """Answer ``GET`` of a namespace's."""
        found = associations.find(self._world, caller(), namespace)
        return json_reply({"resource_type_associations": [association_json(one) for one in found]})

    def associate(self, namespace: str) -> Response:
        """Answer ``POST`` to a namespace's."""
        new = documents.association_of(document_of_request(self._form))
        made = associations.create(self._world, caller(), namespace, new)
        return json_reply(association_json(made), status=201)

    def dissociate(self, namespace: str, resource_type: str) -> Response:
        """Answer ``DELETE`` of one of a namespace's."""
        associations.remove(self._world, caller(), namespace, resource_type)
        return empty_reply()


def _visibility(text: str | None) -> Visibility | None:
    if text is None:
        return None
    if text not in _VISIBILITIES:
        raise BadRequest("The visibility of a namespace is public or private.")
    return Visibility(text)
