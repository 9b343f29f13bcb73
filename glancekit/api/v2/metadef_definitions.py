# SPDX-License-Identifier: Apache-2.0
"""Properties, objects and tags of a namespace, over HTTP. Who may: the services' business."""

from __future__ import annotations

from flask import Response, request

from glancekit.api.auth import caller
from glancekit.api.paging import page_limit
from glancekit.api.replies import empty_reply, json_reply
from glancekit.api.v2.metadef_json import object_json, path_of, property_json, tag_json
from glancekit.api.v2.metadef_namespaces import (
    document_of_request,
    is_descending,
    params_of_request,
    sort_key_of,
)
from glancekit.core.model.metadef import Definition, DefinitionKind
from glancekit.services.metadefs import definitions, documents, forms
from glancekit.services.metadefs.definitions import SORT_KEYS, Excerpt
from glancekit.services.world import World


class Properties:
    """``/v2/metadefs/namespaces/{namespace}/properties``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._form = forms.FormChecker(forms.NAMED_PROPERTY)

    def index(self, namespace: str) -> Response:
        """Answer ``GET``."""
        kind = DefinitionKind.PROPERTY
        found = definitions.find(
            self._world, caller(), namespace, kind, Excerpt(sort_key="name", descending=False)
        )
        return json_reply({"properties": {one.name: property_json(one) for one in found}})

    def create(self, namespace: str) -> Response:
        """Answer ``POST``."""
        new = documents.property_of(document_of_request(self._form))
        made = definitions.create(self._world, caller(), namespace, new)
        location = {"Location": path_of(namespace, "properties", made.name)}
        return json_reply(property_json(made), status=201, headers=location)

    def show(self, namespace: str, name: str) -> Response:
        """Answer ``GET`` of one; under the name that it has on things of ``resource_type``."""
        resource_type = params_of_request().get("resource_type")
        if resource_type is None:
            found = definitions.show(
                self._world, caller(), namespace, DefinitionKind.PROPERTY, name
            )
        else:
            found = definitions.show_property_of(
                self._world, caller(), namespace, name, resource_type
            )
        return json_reply(property_json(found))

    def update(self, namespace: str, name: str) -> Response:
        """Answer ``PUT``."""
        new = documents.property_of(document_of_request(self._form))
        saved = definitions.update(self._world, caller(), namespace, name, new)
        return json_reply(property_json(saved))

    def delete(self, namespace: str, name: str) -> Response:
        """Answer ``DELETE`` of one."""
        return _delete(self._world, namespace, DefinitionKind.PROPERTY, name)

    def clear(self, namespace: str) -> Response:
        """Answer ``DELETE`` of all."""
        return _clear(self._world, namespace, DefinitionKind.PROPERTY)


class Objects:
    """``/v2/metadefs/namespaces/{namespace}/objects``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._form = forms.FormChecker(forms.OBJECT)

    def index(self, namespace: str) -> Response:
        """Answer ``GET``."""
        found = definitions.find(
            self._world, caller(), namespace, DefinitionKind.OBJECT, _excerpt(self._world)
        )
        return json_reply(
            {
                "objects": [object_json(namespace, one) for one in found],
                # Without the slash that begins all others: clients have known it so for ever.
                "schema": "v2/schemas/metadefs/objects",
            }
        )

    def create(self, namespace: str) -> Response:
        """Answer ``POST``."""
        new = documents.object_of(document_of_request(self._form))
        made = definitions.create(self._world, caller(), namespace, new)
        location = {"Location": path_of(namespace, "objects", made.name)}
        return json_reply(object_json(namespace, made), status=201, headers=location)

    def show(self, namespace: str, name: str) -> Response:
        """Answer ``GET`` of one."""
        found = definitions.show(self._world, caller(), namespace, DefinitionKind.OBJECT, name)
        return json_reply(object_json(namespace, found))

    def update(self, namespace: str, name: str) -> Response:
        """Answer ``PUT``."""
        new = documents.object_of(document_of_request(self._form))
        saved = definitions.update(self._world, caller(), namespace, name, new)
        return json_reply(object_json(namespace, saved))

    def delete(self, namespace: str, name: str) -> Response:
        """Answer ``DELETE`` of one."""
        return _delete(self._world, namespace, DefinitionKind.OBJECT, name)

    def clear(self, namespace: str) -> Response:
        """Answer ``DELETE`` of all."""
        return _clear(self._world, namespace, DefinitionKind.OBJECT)


class Tags:
    """``/v2/metadefs/namespaces/{namespace}/tags``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._form = forms.FormChecker(forms.TAG)
        self._list_form = forms.FormChecker(forms.TAGS)

    def index(self, namespace: str) -> Response:
        """Answer ``GET``."""
        found = definitions.find(
            self._world, caller(), namespace, DefinitionKind.TAG, _excerpt(self._world)
        )
        return _tags(found)

    def replace(self, namespace: str) -> Response:
        """Answer ``POST`` of many, which take the place of all unless a header says otherwise."""
        new = [documents.tag_of(given) for given in document_of_request(self._list_form)["tags"]]
        append = request.headers.get("X-Openstack-Append", "").strip().lower() == "true"
        definitions.set_tags(self._world, caller(), namespace, new, append=append)
        return _tags(new, status=201)

    def show(self, namespace: str, name: str) -> Response:
        """Answer ``GET`` of one."""
        found = definitions.show(self._world, caller(), namespace, DefinitionKind.TAG, name)
        return json_reply(tag_json(found))

    def create(self, namespace: str, name: str) -> Response:
        """Answer ``POST`` of one, whose name is in the path."""
        document = {"name": name}
        self._form.check(document)
        made = definitions.create(self._world, caller(), namespace, documents.tag_of(document))
        location = {"Location": path_of(namespace, "tags", made.name)}
        return json_reply(tag_json(made), status=201, headers=location)

    def update(self, namespace: str, name: str) -> Response:
        """Answer ``PUT``, which renames."""
        new = documents.tag_of(document_of_request(self._form))
        return json_reply(
            tag_json(definitions.update(self._world, caller(), namespace, name, new))
        )

    def delete(self, namespace: str, name: str) -> Response:
        """Answer ``DELETE`` of one."""
        return _delete(self._world, namespace, DefinitionKind.TAG, name)

    def clear(self, namespace: str) -> Response:
        """Answer ``DELETE`` of all."""
        return _clear(self._world, namespace, DefinitionKind.TAG)


def _excerpt(world: World) -> Excerpt:
    params = params_of_request()
    limit = params.get("limit")
    maximum = world.settings.api_limit_max
    return Excerpt(
        limit=None if limit is None else page_limit(limit, default=maximum, maximum=maximum),
        marker=params.get("marker"),
        sort_key=sort_key_of(params, SORT_KEYS),
        descending=is_descending(params),
    )


def _tags(tags: list[Definition], *, status: int = 200) -> Response:
    return json_reply({"tags": [{"name": tag.name} for tag in tags]}, status=status)


def _delete(world: World, namespace: str, kind: DefinitionKind, name: str) -> Response:
    definitions.remove(world, caller(), namespace, kind, name)
    return empty_reply()


def _clear(world: World, namespace: str, kind: DefinitionKind) -> Response:
    definitions.clear(world, caller(), namespace, kind)
    return empty_reply()
