# SPDX-License-Identifier: Apache-2.0
"""What each operation of the API is for, takes and answers, in words and by schema name.

The routes are the router's; document.py joins both, and a route must be here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from glancekit.core.model.image import MemberStatus, Visibility
from glancekit.core.model.listing import SORT_KEYS
from glancekit.core.model.task import TASK_SORT_KEYS, TaskStatus, TaskType

OCTETS = "application/octet-stream"
PATCH = "PATCH"
TEXT = "text/plain"
HTML = "text/html"

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    ``answers`` has the schema, or the media type, of each successful status; None is no body.
    ``errors`` are those that are this operation's own; document.py adds what all have. ``takes``
    is the schema or the media type of the body. ``query`` and ``sends`` name parameters.
    """

    summary: str
    answers: Mapping[int, str | None]
    more: str = ""
    takes: str | None = None
    query: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    errors: tuple[int, ...] = (403,)
    tag: str = "Images"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query, a path or a header."""

    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


def _choice(description: str, *values: str) -> Parameter:
    return Parameter(description, {"type": "string", "enum": list(values)})


def _number(description: str) -> Parameter:
    return Parameter(description, {"type": "integer", "minimum": 0})


def _flag(description: str) -> Parameter:
    return _choice(description, "true", "false")


def _columns(description: str, *names: str) -> dict[str, Parameter]:
    return {name: Parameter(f"{description} {name}.") for name in names}


_BOUNDS = {
    f"{name}_{end}": _number(f"{word} {name}.")
    for name in ("size", "virtual_size", "min_ram", "min_disk")
    for end, word in (("min", "Least"), ("max", "Greatest"))
}

_FILTERS: dict[str, Parameter] = {
    **_columns(
        "Value, or in:a,b for one of several:",
        *("id", "name", "status", "container_format", "disk_format"),
    ),
    **_columns("Exact value:", "owner", "checksum", "os_hash_algo", "os_hash_value"),
    **_columns("Exact number:", "size", "virtual_size", "min_ram", "min_disk"),
    **_columns(
        "ISO 8601 time, with gt: gte: lt: lte: eq: or neq: in front:", "created_at", "updated_at"
    ),
    **_BOUNDS,
    "tag": Parameter(
        "A tag that images must have; may be given several times.",
        {"type": "array", "items": {"type": "string"}},
    ),
    "protected": _flag("Whether they are protected against deletion."),
    "os_hidden": _flag("Whether they are hidden; false by default."),
    "visibility": _choice(
        "Which of the images that the caller may see. Other projects' community images are "
        "listed only when this asks for them.",
        *(*sorted(Visibility), "all"),
    ),
    "member_status": _choice(
        "Which of the images that are shared with the caller; accepted by default.",
        *(*sorted(MemberStatus), "all"),
    ),
}

IMAGE_QUERY = ("limit", "marker", "sort", "sort_key", "sort_dir", *_FILTERS)
PAGING = ("limit", "marker", "sort_key", "sort_dir")

QUERY: Mapping[str, Parameter] = MappingProxyType(
    {
        **_FILTERS,
        "limit": _number("Most entries of the page. Beyond the service's own limit it is cut."),
        "marker": Parameter("The id or name of the last entry of the page before."),
        "sort": Parameter("The order, as name:asc,size:desc. Not together with sort_key."),
        "sort_key": Parameter(f"What to sort by, for images one of {', '.join(SORT_KEYS)}."),
        "sort_dir": _choice("The direction.", "asc", "desc"),
        "project_id": Parameter("One project."),
        "store": Parameter("One store."),
        "prefer": Parameter("Stores whose copies are read first, with commas between."),
        "from": Parameter("The first day.", {"type": "string", "format": "date"}),
        "to": Parameter("The last day.", {"type": "string", "format": "date"}),
        "task_type": _choice("Tasks of one type.", *TaskType),
        "task_status": _choice("Tasks in one status.", *TaskStatus),
        "task_sort_key": _choice("What to sort by.", *TASK_SORT_KEYS),
        "resource_type": Parameter("The type of thing whose prefix the names are to have."),
        "resource_types": Parameter("Types of things, with commas between; any of them."),
        "namespace_visibility": _choice("Which namespaces.", "public", "private"),
    }
)
"""Parameters of queries."""

QUERY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "task_type": "type",
        "task_status": "status",
        "task_sort_key": "sort_key",
        "namespace_visibility": "visibility",
    }
)
"""What some of them are called in a query, where two resources mean different things by a name."""

PATH: Mapping[str, Parameter] = MappingProxyType(
    {
        "image_id": Parameter("The image's id."),
        "member_id": Parameter("The project's id."),
        "task_id": Parameter("The task's id."),
        "store_id": Parameter("The store's id."),
        "tag": Parameter("The tag."),
        "namespace": Parameter("The namespace's name."),
        "resource_type": Parameter("The resource type's name."),
        "name": Parameter("The name."),
    }
)

SENT: Mapping[str, Parameter] = MappingProxyType(
    {
        "Range": Parameter("One range of bytes: bytes=0-99, bytes=100- or bytes=-100."),
        "Prefer": _choice("To be sent to the store itself (RFC 7240).", "direct-transfer"),
        "x-openstack-image-size": _number("Size of the data in bytes, which they must have."),
        "Content-Range": Parameter("Which part of the data this is: bytes FIRST-LAST/TOTAL."),
        "Upload-Version": Parameter("What the client calls the data that it sends in parts."),
        "x-image-meta-store": Parameter("The store to put the data into."),
        "X-Openstack-Append": _flag("Keep the tags that are there."),
        "x-image-cache-clear-target": _choice("What to forget.", "cache", "queue", ""),
    }
)

TOLD: Mapping[str, Parameter] = MappingProxyType(
    {
        "Location": Parameter("Where the new thing is, or what was asked for."),
        "OpenStack-image-store-ids": Parameter("The stores that an upload may name."),
        "OpenStack-image-import-methods": Parameter("The import methods that there are."),
        "Content-MD5": Parameter("The MD5 of the whole image, in hexadecimal digits."),
        "Accept-Ranges": Parameter("That ranges may be asked for."),
        "Content-Range": Parameter("Which part of the data this is."),
        "Upload-Offset": Parameter("How many bytes of an upload in parts are there for good."),
    }
)


# -- the operations ----------------------------------------------------------------------------

_IMAGE = "/v2/images/<image_id>"

_SERVICE: dict[str, Operation] = {
    "GET /": Operation(
        summary="Choose a version",
        answers={300: "versions"},
        more="Any path that begins with no version of the API is answered like this.",
        errors=(),
        tag="Service",
    ),
    "GET /versions": Operation(
        summary="List the versions", answers={200: "versions"}, errors=(), tag="Service"
    ),
    "GET /v2": Operation(
        summary="Go to /v2/",
        answers={302: HTML},
        more="Clients know it so. Nothing is there.",
        tells=("Location",),
        errors=(),
        tag="Service",
    ),
    "GET /healthcheck": Operation(
        summary="Ask whether the service can do its work",
        answers={200: "health", 503: "health"},
        more="In words, or part by part for whoever accepts JSON.",
        errors=(),
        tag="Service",
    ),
    "HEAD /healthcheck": Operation(
        summary="Ask in the status alone whether the service can do its work",
        answers={200: None, 503: None},
        errors=(),
        tag="Service",
    ),
    "GET /openapi.json": Operation(
        summary="Get this document", answers={200: "any"}, errors=(), tag="Service"
    ),
    "GET /docs": Operation(
        summary="Read this document", answers={200: HTML}, errors=(), tag="Service"
    ),
    "GET /v2/schemas/<name>": Operation(
        summary="Get the schema of images, members or tasks",
        answers={200: "any"},
        errors=(),
        tag="Service",
    ),
    "GET /v2/info/import": Operation(
        summary="List the import methods",
        answers={200: "import_methods"},
        errors=(),
        tag="Service",
    ),
    "GET /v2/info/stores": Operation(
        summary="List the stores", answers={200: "stores"}, errors=(404,), tag="Service"
    ),
    "GET /v2/info/stores/detail": Operation(
        summary="List the stores with what services need to know of them",
        answers={200: "stores"},
        tag="Service",
    ),
    "GET /v2/info/plugins": Operation(
        summary="List the plugins, how they are, and what they were asked",
        answers={200: "plugins"},
        tag="Service",
    ),
    "GET /v2/info/usage": Operation(
        summary="See what the caller's project uses of its limits",
        answers={200: "usage"},
        tag="Service",
    ),
    "GET /v2/usage": Operation(
        summary="See what projects took of stores, day by day",
        answers={200: "storage_usage"},
        more="Not in Glance.",
        query=("limit", "marker", "project_id", "store", "from", "to"),
        tag="Service",
    ),
}

_IMAGES: dict[str, Operation] = {
    "GET /v2/images": Operation(
        summary="List images",
        answers={200: "images"},
        more="A page of what the caller may see. Follow next until there is none. Any other "
        "parameter is a property with the value that images must have.",
        query=IMAGE_QUERY,
    ),
    "POST /v2/images": Operation(
        summary="Create an image",
        answers={201: "image"},
        more="A record without data. Every attribute that is not described is a property of the "
        "image, and a string.",
        takes="new_image",
        tells=("Location", "OpenStack-image-store-ids", "OpenStack-image-import-methods"),
        errors=(403, 404, 409),
    ),
    f"GET {_IMAGE}": Operation(summary="Show an image", answers={200: "image"}),
    f"PATCH {_IMAGE}": Operation(
        summary="Change an image",
        answers={200: "image"},
        more="A JSON patch of single attributes, in one of two forms. All of it is done, or none.",
        takes=PATCH,
        errors=(403, 409, 410, 415),
    ),
    f"DELETE {_IMAGE}": Operation(
        summary="Delete an image and its data", answers={204: None}, errors=(403, 409)
    ),
    f"GET {_IMAGE}/file": Operation(
        summary="Download an image's data",
        answers={200: OCTETS, 204: None, 206: OCTETS, 307: None},
        more="204 when it has none. 307 with the Location of the data at the store itself, where "
        "the operator lets clients be sent there: always, or if they ask. That URL needs no "
        "token; whoever follows must not send theirs along.",
        query=("prefer",),
        sends=("Range", "Prefer"),
        tells=("Accept-Ranges", "Content-MD5", "Content-Range", "Location"),
        errors=(403, 416),
    ),
    f"PUT {_IMAGE}/file": Operation(
        summary="Upload an image's data",
        answers={204: None},
        more="The image must be queued and have both formats. It is active afterwards, or as "
        "before when anything was wrong.",
        takes=OCTETS,
        sends=("x-openstack-image-size", "x-image-meta-store"),
        errors=(403, 409, 410, 415),
    ),
    f"PUT {_IMAGE}/tags/<tag>": Operation(
        summary="Add a tag", answers={204: None}, errors=(403, 409, 413)
    ),
    f"DELETE {_IMAGE}/tags/<tag>": Operation(
        summary="Remove a tag", answers={204: None}, errors=(403, 409)
    ),
    f"POST {_IMAGE}/actions/deactivate": Operation(
        summary="Take an image's data out of use", answers={204: None}, errors=(403, 409)
    ),
    f"POST {_IMAGE}/actions/reactivate": Operation(
        summary="Take an image's data back into use", answers={204: None}, errors=(403, 409)
    ),
    f"POST {_IMAGE}/actions/restore": Operation(
        summary="Have a deleted image back",
        answers={204: None},
        more="Not in Glance. Possible while the image is listed by status=pending_delete.",
        errors=(403, 409),
    ),
    f"PUT {_IMAGE}/stage": Operation(
        summary="Stage data for an import",
        answers={204: None},
        more="The import method glance-direct imports it from there. With Content-Range, which is "
        "not in Glance, the data come in parts, each of which stays when a later one is cut off.",
        takes=OCTETS,
        sends=("x-openstack-image-size", "Content-Range", "Upload-Version"),
        tells=("Upload-Offset",),
        errors=(403, 409, 410, 413, 415),
        tag="Import",
    ),
    f"GET {_IMAGE}/stage": Operation(
        summary="See how much of an upload in parts is there",
        answers={200: "staged"},
        more="Not in Glance.",
        errors=(403, 404, 409),
        tag="Import",
    ),
    f"POST {_IMAGE}/import": Operation(
        summary="Import an image",
        answers={202: None},
        more="A task does it; the image's tasks show how far it is.",
        takes="import",
        sends=("x-image-meta-store",),
        errors=(403, 409, 413),
        tag="Import",
    ),
    "DELETE /v2/stores/<store_id>/<image_id>": Operation(
        summary="Delete one copy of an image's data",
        answers={204: None},
        errors=(403, 409),
        tag="Locations",
    ),
    f"GET {_IMAGE}/locations": Operation(
        summary="See where an image's data is", answers={200: "locations"}, tag="Locations"
    ),
    f"POST {_IMAGE}/locations": Operation(
        summary="Register data that is somewhere already",
        answers={202: None},
        more="A task reads and checks it afterwards.",
        takes="new_location",
        errors=(403, 409),
        tag="Locations",
    ),
}

_MEMBER = f"{_IMAGE}/members/<member_id>"

_SHARING: dict[str, Operation] = {
    f"GET {_IMAGE}/members": Operation(
        summary="List with whom an image is shared", answers={200: "members"}, tag="Sharing"
    ),
    f"POST {_IMAGE}/members": Operation(
        summary="Share an image with a project",
        answers={200: "member"},
        takes="new_member",
        errors=(403, 409),
        tag="Sharing",
    ),
    f"GET {_MEMBER}": Operation(
        summary="Show what one project says to it", answers={200: "member"}, tag="Sharing"
    ),
    f"PUT {_MEMBER}": Operation(
        summary="Accept or reject a shared image",
        answers={200: "member"},
        more="For the project itself to say. A project can use the image whatever it says; only "
        "accepted images are in its lists.",
        takes="member_status",
        tag="Sharing",
    ),
    f"DELETE {_MEMBER}": Operation(
        summary="Share an image with a project no more", answers={204: None}, tag="Sharing"
    ),
}

_TASKS: dict[str, Operation] = {
    f"GET {_IMAGE}/tasks": Operation(
        summary="List an image's tasks", answers={200: "image_tasks"}, tag="Tasks"
    ),
    "GET /v2/tasks": Operation(
        summary="List tasks",
        answers={200: "tasks"},
        query=("limit", "marker", "task_sort_key", "sort_dir", "task_type", "task_status"),
        errors=(403, 404),
        tag="Tasks",
    ),
    "POST /v2/tasks": Operation(
        summary="Create a task",
        answers={201: "task"},
        takes="new_task",
        tells=("Location",),
        errors=(403, 409),
        tag="Tasks",
    ),
    "GET /v2/tasks/<task_id>": Operation(
        summary="Show a task", answers={200: "task"}, tag="Tasks"
    ),
}

_NO_CACHE = 404

_CACHE: dict[str, Operation] = {
    "GET /v2/cache": Operation(
        summary="List what is cached and what is queued",
        answers={200: "cache"},
        more="Of the host that answers, as all of these.",
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "DELETE /v2/cache": Operation(
        summary="Forget what is cached, queued, or both",
        answers={204: None},
        sends=("x-image-cache-clear-target",),
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "GET /v2/cache/stats": Operation(
        summary="Show how the cache is",
        answers={200: "cache_statistics"},
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "PUT /v2/cache/<image_id>": Operation(
        summary="Have an image fetched into the cache", answers={202: None}, tag="Cache"
    ),
    "DELETE /v2/cache/<image_id>": Operation(
        summary="Forget a cached or queued image", answers={204: None}, tag="Cache"
    ),
    "GET /v2/cache/nodes/<image_id>": Operation(
        summary="List the hosts that have an image cached",
        answers={200: "cache_nodes"},
        tag="Cache",
    ),
    "POST /v2/cache/clean": Operation(
        summary="Remove what was never finished, and what is not right any more",
        answers={200: None},
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "POST /v2/cache/prune": Operation(
        summary="Make the cache as small as it should be",
        answers={200: "cache_pruned"},
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "GET /v2/cached_images": Operation(
        summary="List what is cached (older path)",
        answers={200: "cached_images"},
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "DELETE /v2/cached_images": Operation(
        summary="Forget all that is cached (older path)",
        answers={200: "number_deleted"},
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "DELETE /v2/cached_images/<image_id>": Operation(
        summary="Forget a cached image (older path)", answers={200: "nothing"}, tag="Cache"
    ),
    "GET /v2/queued_images": Operation(
        summary="List what is queued (older path)",
        answers={200: "queued_images"},
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "DELETE /v2/queued_images": Operation(
        summary="Forget all that is queued (older path)",
        answers={200: "number_deleted"},
        errors=(403, _NO_CACHE),
        tag="Cache",
    ),
    "PUT /v2/queued_images/<image_id>": Operation(
        summary="Have an image fetched into the cache (older path)",
        answers={200: "nothing"},
        tag="Cache",
    ),
    "DELETE /v2/queued_images/<image_id>": Operation(
        summary="Forget a queued image (older path)", answers={200: "nothing"}, tag="Cache"
    ),
}

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {**_IMAGES, **_SHARING, **_TASKS, **_CACHE, **_SERVICE}
)
"""By method and route, as the router has it; those of metadata definitions are beside."""
