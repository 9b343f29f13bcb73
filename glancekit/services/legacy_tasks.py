# SPDX-License-Identifier: Apache-2.0
"""The older way to import: a task of the type ``import``, which makes an image of a URL's data.

What happens then is the same as with web-download, which it stands on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glancekit.core.errors import GlancekitError, Invalid
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Visibility
from glancekit.core.model.task import Task, TaskType
from glancekit.services import images, imports
from glancekit.services.attributes import WRITABLE
from glancekit.services.imports import ImportRequest
from glancekit.services.world import World

WEB = "web-download"

_ATTRIBUTES = ("name", "disk_format", "container_format", "min_disk", "min_ram", "protected")


def create(world: World, caller: Identity, type: TaskType, given: Mapping[str, Any]) -> Task:
    """Begin a task: make an image, and import it.

    :raises Forbidden: when the caller may not use the tasks API, or not make such an image.
    :raises Invalid: when it is of another type, or what is given is not what it needs.
    :raises LimitExceeded: when the project has too many images already.
    """
    world.access.require(caller, "tasks_api_access", owner=caller.project_id)
    world.access.require(caller, "add_task", owner=caller.project_id)
    if type is not TaskType.IMPORT:
        raise Invalid(f"Tasks of the type '{type}' begin by other requests; create 'import' ones")
    request = ImportRequest(method=WEB, arguments={"uri": _text(given, "import_from")})
    imports.require_offered(world, WEB)
    imports.require_good_arguments(world, request)
    image = images.create(world, caller, _new_image(given))
    try:
        return imports.begin_as(world, caller, image.id, request, given=given)
    except GlancekitError:
        images.delete(world, caller, image.id)
        raise


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"A task of the type 'import' needs '{name}' in its input")
    return value


def _new_image(given: Mapping[str, Any]) -> NewImage:
    """Return the image that ``image_properties`` describe; what is no attribute is a property."""
    told = given.get("image_properties")
    if not isinstance(told, dict):
        raise Invalid("A task of the type 'import' needs 'image_properties' in its input")
    told = {"disk_format": _text(given, "import_from_format"), **told}
    known = {name: told.pop(name) for name in _ATTRIBUTES if name in told}
    tags = told.pop("tags", [])
    try:
        visibility = Visibility(told.pop("visibility", Visibility.SHARED))
    except ValueError:
        raise Invalid(f"'visibility' is one of {', '.join(Visibility)}") from None
    if not isinstance(tags, list):
        raise Invalid("'tags' is a list")
    for name, value in known.items():
        WRITABLE[name](name, value)
    return NewImage(visibility=visibility, tags=frozenset(tags), properties=told, **known)
