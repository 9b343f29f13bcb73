# SPDX-License-Identifier: Apache-2.0
"""Role x ownership x visibility x operation: what each caller gets of each image, cell by cell.

The tables are the test. A cell is ``ok`` (any 2xx; in a list: the thing is in it), ``-`` (200,
but the thing is not in the list) or the status of the refusal. Callers have one of the roles
``reader`` (sees), ``member`` (a reader, too), ``admin`` (all three) and ``service`` (that alone).
"""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask import Flask

from glancekit.api.app import create_app
from glancekit.bootstrap import bootstrap, load_config
from glancekit.core.model.image import Image, Member, MemberStatus, Visibility
from glancekit.core.model.metadef import Association, Definition, DefinitionKind, Namespace
from glancekit.core.model.status import ImageStatus
from glancekit.core.stream import IteratorStream
from glancekit.services.world import World
from glancekit.testing.client import OCTETS, PATCH_V21, Answer, Client, WsgiTransport

ROLES = {
    "reader": "reader",
    "member": "member,reader",
    "admin": "admin,member,reader",
    "service": "service",
}

# Rows: the caller's project owns the image; or it was made a member of it, and has accepted, not
# answered or rejected it; or neither. Members of an image that is no longer shared are members
# still, but that opens nothing.

IMAGES = """
                 public                   community                shared                   private
                 reader memb. admin serv. reader memb. admin serv. reader memb. admin serv. reader memb. admin serv.

: show
: tasks of the image
owner            ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404
accepted         ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   404    404   ok    404
pending          ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   404    404   ok    404
rejected         ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   404    404   ok    404
stranger         ok     ok    ok    404   ok     ok    ok    404   404    404   ok    404   404    404   ok    404

: list
owner            ok     ok    ok    403   ok     ok    ok    403   ok     ok    ok    403   ok     ok    ok    403
accepted         ok     ok    ok    403   -      -     -     403   ok     ok    ok    403   -      -     ok    403
pending          ok     ok    ok    403   -      -     -     403   -      -     ok    403   -      -     ok    403
rejected         ok     ok    ok    403   -      -     -     403   -      -     ok    403   -      -     ok    403
stranger         ok     ok    ok    403   -      -     -     403   -      -     ok    403   -      -     ok    403

: list whatever is visible, whatever was answered
owner            ok     ok    ok    403   ok     ok    ok    403   ok     ok    ok    403   ok     ok    ok    403
accepted         ok     ok    ok    403   ok     ok    ok    403   ok     ok    ok    403   -      -     ok    403
pending          ok     ok    ok    403   ok     ok    ok    403   ok     ok    ok    403   -      -     ok    403
rejected         ok     ok    ok    403   ok     ok    ok    403   ok     ok    ok    403   -      -     ok    403
stranger         ok     ok    ok    403   ok     ok    ok    403   -      -     ok    403   -      -     ok    403

: rename
: set a property
: protect
: hide
: make it private
: make it shared
: make it a community image
: delete
: upload
: stage
: stage a part
: see what is staged
: import what is staged
: add a tag
: remove a tag
: deactivate
: deactivate what is
: reactivate
: describe its locations
owner            403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   403    ok    ok    404
accepted         403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
pending          403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
rejected         403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
stranger         403    403   ok    404   403    403   ok    404   404    404   ok    404   404    404   ok    404

: restore
owner            403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   403    ok    ok    404
accepted         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
pending          404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
rejected         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
stranger         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404

: restore what is not deleted
owner            403    409   409   404   403    409   409   404   403    409   409   404   403    409   409   404
accepted         403    403   409   404   403    403   409   404   403    403   409   404   404    404   409   404
pending          403    403   409   404   403    403   409   404   403    403   409   404   404    404   409   404
rejected         403    403   409   404   403    403   409   404   403    403   409   404   404    404   409   404
stranger         403    403   409   404   403    403   409   404   404    404   409   404   404    404   409   404

: make it public
owner            403    ok    ok    404   403    403   ok    404   403    403   ok    404   403    403   ok    404
accepted         403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
pending          403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
rejected         403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
stranger         403    403   ok    404   403    403   ok    404   404    404   ok    404   404    404   ok    404

: give it to another project
: delete it from one store
: copy it to all stores
: remove one of its locations
: download what is deactivated
owner            403    403   ok    404   403    403   ok    404   403    403   ok    404   403    403   ok    404
accepted         403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
pending          403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
rejected         403    403   ok    404   403    403   ok    404   403    403   ok    404   404    404   ok    404
stranger         403    403   ok    404   403    403   ok    404   404    404   ok    404   404    404   ok    404

: download
owner            403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   403    ok    ok    404
accepted         403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   404    404   ok    404
pending          403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   404    404   ok    404
rejected         403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   404    404   ok    404
stranger         403    ok    ok    404   403    ok    ok    404   404    404   ok    404   404    404   ok    404

: list its members
owner            403    403   403   404   403    403   403   404   ok     ok    ok    404   403    403   403   404
accepted         403    403   403   404   403    403   403   404   ok     ok    ok    404   404    404   403   404
pending          403    403   403   404   403    403   403   404   ok     ok    ok    404   404    404   403   404
rejected         403    403   403   404   403    403   403   404   ok     ok    ok    404   404    404   403   404
stranger         403    403   403   404   403    403   403   404   404    404   ok    404   404    404   403   404

: see one's own membership (owner and stranger: that of the project that accepted)
owner            ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404
accepted         ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   404    404   ok    404
pending          ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   404    404   ok    404
rejected         ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   404    404   ok    404
stranger         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404

: see another's membership
owner            ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404   ok     ok    ok    404
accepted         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
pending          404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
rejected         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
stranger         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404

: accept (owner and stranger: in the name of the project that accepted)
owner            403    403   ok    404   403    403   ok    404   403    403   ok    404   403    403   ok    404
accepted         403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   404    404   ok    404
pending          403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   404    404   ok    404
rejected         403    ok    ok    404   403    ok    ok    404   403    ok    ok    404   404    404   ok    404
stranger         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404

: accept in another's name
owner            403    403   ok    404   403    403   ok    404   403    403   ok    404   403    403   ok    404
accepted         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
pending          404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
rejected         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404
stranger         404    404   ok    404   404    404   ok    404   404    404   ok    404   404    404   ok    404

: add a member
: remove a member
owner            403    403   403   404   403    403   403   404   403    ok    ok    404   403    403   403   404
accepted         403    403   403   404   403    403   403   404   403    403   ok    404   404    404   403   404
pending          403    403   403   404   403    403   403   404   403    403   ok    404   404    404   403   404
rejected         403    403   403   404   403    403   403   404   403    403   ok    404   404    404   403   404
stranger         403    403   403   404   403    403   403   404   404    404   ok    404   404    404   403   404

: fetch its locations
owner            403    403   ok    ok    403    403   ok    ok    403    403   ok    ok    403    403   ok    ok
accepted         403    403   ok    ok    403    403   ok    ok    403    403   ok    ok    404    404   ok    404
pending          403    403   ok    ok    403    403   ok    ok    403    403   ok    ok    404    404   ok    404
rejected         403    403   ok    ok    403    403   ok    ok    403    403   ok    ok    404    404   ok    404
stranger         403    403   ok    ok    403    403   ok    ok    404    404   ok    404   404    404   ok    404

: register a location (of no web server, which takes the role service itself)
owner            403    403   403   ok    403    403   403   ok    403    403   403   ok    403    403   403   ok
accepted         403    403   403   ok    403    403   403   ok    403    403   403   ok    404    404   403   404
pending          403    403   403   ok    403    403   403   ok    403    403   403   ok    404    404   403   404
rejected         403    403   403   ok    403    403   403   ok    403    403   403   ok    404    404   403   404
stranger         403    403   403   ok    403    403   403   ok    404    404   403   404   404    404   403   404
"""  # noqa: E501

NAMESPACES = """
                 public                   private
                 reader memb. admin serv. reader memb. admin serv.

: show
: list its resource types
: list its properties
: show a property
: list its objects
: show an object
: list its tags
: show a tag
owner            ok     ok    ok    404   ok     ok    ok    404
stranger         ok     ok    ok    404   404    404   ok    404

: list
owner            ok     ok    ok    403   ok     ok    ok    403
stranger         ok     ok    ok    403   -      -     ok    403

: change
: delete
: associate
: dissociate
: add a property
: change a property
: delete a property
: delete all properties
: add an object
: change an object
: delete an object
: delete all objects
: set the tags
: add a tag
: change a tag
: delete a tag
: delete all tags
owner            403    403   ok    404   403    403   ok    404
stranger         403    403   ok    404   404    404   ok    404
"""

# What is about no one thing. ``no one``: all roles, but in no project (a token of the whole
# system, say). ``unknown``: nobody confirmed who it is.

SERVICE = """
                             reader memb. admin serv. no one unknown
create                       403    ok    ok    403   403    401
create a community image     403    ok    ok    403   403    401
create a public image        403    403   ok    403   403    401
create for another project   403    403   ok    403   403    401
list images                  ok     ok    ok    403   403    401
list tasks                   403    403   ok    403   403    401
show a task                  403    403   404   403   403    401
create a task                403    403   400   403   403    401
stores                       ok     ok    ok    ok    ok     401
stores in detail             403    403   ok    ok    403    401
what stores were taken       403    403   ok    403   403    401
import methods               ok     ok    ok    ok    ok     401
plugins                      403    403   ok    ok    403    401
usage                        ok     ok    ok    ok    403    401
schema of images             ok     ok    ok    ok    ok     401
schema of namespaces         ok     ok    ok    ok    ok     401
list resource types          ok     ok    ok    403   403    401
list namespaces              ok     ok    ok    403   403    401
create a namespace           403    403   ok    403   403    401
list what is cached          403    403   ok    403   403    401
how the cache is             403    403   ok    403   403    401
clear the cache              403    403   ok    403   403    401
clean the cache              403    403   ok    403   403    401
prune the cache              403    403   ok    403   403    401
cache what is not there      403    403   404   403   403    401
uncache what is not there    403    403   404   403   403    401
nodes of what is not there   403    403   404   403   403    401
cached, the older path       403    403   ok    403   403    401
clear cached, older          403    403   ok    403   403    401
uncache, older               403    403   ok    403   403    401
queued, the older path       403    403   ok    403   403    401
clear queued, older          403    403   ok    403   403    401
queue, older                 403    403   404   403   403    401
unqueue, older               403    403   ok    403   403    401
"""

NEWCOMER = "newcomer"
"""A project that has nothing to do with any image."""


@dataclass(frozen=True)
class Operation:
    """A request. ``{id}`` is the thing, ``{me}`` the member that the caller speaks for.

    ``state`` is that of the image beforehand; in a ``listing`` the thing is looked for by ``key``.
    """

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    state: ImageStatus = ImageStatus.ACTIVE
    listing: str = ""
    key: str = "id"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def route(self) -> str:
        """Method and path without what is in its place."""
        return f"{self.method} {self.path.partition('?')[0]}"


def get(path: str, **more: Any) -> Operation:
    return Operation("GET", path, **more)


def put(path: str, body: Any = None, **more: Any) -> Operation:
    return Operation("PUT", path, body, **more)


def post(path: str, body: Any = None, **more: Any) -> Operation:
    return Operation("POST", path, body, **more)


def delete(path: str, **more: Any) -> Operation:
    return Operation("DELETE", path, **more)


def patch(op: str, name: str, value: Any = None, **more: Any) -> Operation:
    change = {"op": op, "path": f"/{name}"} | ({} if op == "remove" else {"value": value})
    return Operation("PATCH", "/v2/images/{id}", [change], content_type=PATCH_V21, **more)


_HAVE_DATA = (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED, ImageStatus.PENDING_DELETE)
_IMAGE = "/v2/images/{id}"
_EVERYTHING = "/v2/images?visibility=all&member_status=all&limit=1000"

ON_IMAGES = {
    "show": get(_IMAGE),
    "tasks of the image": get(f"{_IMAGE}/tasks"),
    "list": get("/v2/images?limit=1000", listing="images"),
    "list whatever is visible, whatever was answered": get(_EVERYTHING, listing="images"),
    "rename": patch("replace", "name", "new"),
    "set a property": patch("add", "colour", "blue"),
    "protect": patch("replace", "protected", True),
    "hide": patch("replace", "os_hidden", True),
    "make it private": patch("replace", "visibility", "private"),
    "make it shared": patch("replace", "visibility", "shared"),
    "make it a community image": patch("replace", "visibility", "community"),
    "make it public": patch("replace", "visibility", "public"),
    "give it to another project": patch("replace", "owner", NEWCOMER),
    "describe its locations": patch("replace", "locations", "{locations}"),
    "remove one of its locations": patch("remove", "locations/0"),
    "delete": delete(_IMAGE),
    "delete it from one store": delete("/v2/stores/second/{id}"),
    "upload": put(f"{_IMAGE}/file", b"data", content_type=OCTETS, state=ImageStatus.QUEUED),
    "stage": put(f"{_IMAGE}/stage", b"data", content_type=OCTETS, state=ImageStatus.QUEUED),
    "stage a part": put(
        f"{_IMAGE}/stage",
        b"data",
        content_type=OCTETS,
        state=ImageStatus.QUEUED,
        headers={"Content-Range": "bytes 0-3/5"},
    ),
    "see what is staged": get(f"{_IMAGE}/stage", state=ImageStatus.UPLOADING),
    "import what is staged": post(
        f"{_IMAGE}/import", {"method": {"name": "glance-direct"}}, state=ImageStatus.UPLOADING
    ),
    "copy it to all stores": post(
        f"{_IMAGE}/import", {"method": {"name": "copy-image"}, "all_stores": True}
    ),
    "download": get(f"{_IMAGE}/file"),
    "download what is deactivated": get(f"{_IMAGE}/file", state=ImageStatus.DEACTIVATED),
    "add a tag": put(f"{_IMAGE}/tags/new"),
    "remove a tag": delete(f"{_IMAGE}/tags/old"),
    "deactivate": post(f"{_IMAGE}/actions/deactivate"),
    "deactivate what is": post(f"{_IMAGE}/actions/deactivate", state=ImageStatus.DEACTIVATED),
    "reactivate": post(f"{_IMAGE}/actions/reactivate", state=ImageStatus.DEACTIVATED),
    "restore": post(f"{_IMAGE}/actions/restore", state=ImageStatus.PENDING_DELETE),
    "restore what is not deleted": post(f"{_IMAGE}/actions/restore"),
    "list its members": get(f"{_IMAGE}/members"),
    "see one's own membership": get(f"{_IMAGE}/members/{{me}}"),
    "see another's membership": get(f"{_IMAGE}/members/{{other}}"),
    "accept": put(f"{_IMAGE}/members/{{me}}", {"status": "accepted"}),
    "accept in another's name": put(f"{_IMAGE}/members/{{other}}", {"status": "accepted"}),
    "add a member": post(f"{_IMAGE}/members", {"member": NEWCOMER}),
    "remove a member": delete(f"{_IMAGE}/members/{{me}}"),
    "fetch its locations": get(f"{_IMAGE}/locations"),
    "register a location": post(
        f"{_IMAGE}/locations", {"url": "{elsewhere}"}, state=ImageStatus.QUEUED
    ),
}

_NAMESPACE = "/v2/metadefs/namespaces/{id}"
_PROPERTY = {"name": "new", "title": "New", "type": "string"}

ON_NAMESPACES = {
    "show": get(_NAMESPACE),
    "list": get("/v2/metadefs/namespaces?limit=1000", listing="namespaces", key="namespace"),
    "change": put(_NAMESPACE, {"namespace": "{id}", "visibility": "{visibility}"}),
    "delete": delete(_NAMESPACE),
    "list its resource types": get(f"{_NAMESPACE}/resource_types"),
    "associate": post(f"{_NAMESPACE}/resource_types", {"name": "New::Type"}),
    "dissociate": delete(f"{_NAMESPACE}/resource_types/Old::Type"),
    "list its properties": get(f"{_NAMESPACE}/properties"),
    "add a property": post(f"{_NAMESPACE}/properties", _PROPERTY),
    "delete all properties": delete(f"{_NAMESPACE}/properties"),
    "show a property": get(f"{_NAMESPACE}/properties/old"),
    "change a property": put(f"{_NAMESPACE}/properties/old", _PROPERTY),
    "delete a property": delete(f"{_NAMESPACE}/properties/old"),
    "list its objects": get(f"{_NAMESPACE}/objects"),
    "add an object": post(f"{_NAMESPACE}/objects", {"name": "new"}),
    "delete all objects": delete(f"{_NAMESPACE}/objects"),
    "show an object": get(f"{_NAMESPACE}/objects/old"),
    "change an object": put(f"{_NAMESPACE}/objects/old", {"name": "new"}),
    "delete an object": delete(f"{_NAMESPACE}/objects/old"),
    "list its tags": get(f"{_NAMESPACE}/tags"),
    "set the tags": post(f"{_NAMESPACE}/tags", {"tags": [{"name": "new"}]}),
    "delete all tags": delete(f"{_NAMESPACE}/tags"),
    "show a tag": get(f"{_NAMESPACE}/tags/old"),
    "add a tag": post(f"{_NAMESPACE}/tags/new"),
    "change a tag": put(f"{_NAMESPACE}/tags/old", {"name": "new"}),
    "delete a tag": delete(f"{_NAMESPACE}/tags/old"),
}

_TASK = str(uuid.uuid4())

ON_THE_SERVICE = {
    "create": post("/v2/images", {"name": "x"}),
    "create a community image": post("/v2/images", {"visibility": "community"}),
    "create a public image": post("/v2/images", {"visibility": "public"}),
    "create for another project": post("/v2/images", {"owner": NEWCOMER}),
    "list images": get("/v2/images"),
    "list tasks": get("/v2/tasks"),
    "show a task": get(f"/v2/tasks/{_TASK}"),
    "create a task": post("/v2/tasks", {"type": "import", "input": {}}),
    "stores": get("/v2/info/stores"),
    "stores in detail": get("/v2/info/stores/detail"),
    "import methods": get("/v2/info/import"),
    "plugins": get("/v2/info/plugins"),
    "usage": get("/v2/info/usage"),
    "what stores were taken": get("/v2/usage"),
    "schema of images": get("/v2/schemas/image"),
    "schema of namespaces": get("/v2/schemas/metadefs/namespace"),
    "list resource types": get("/v2/metadefs/resource_types"),
    "list namespaces": get("/v2/metadefs/namespaces"),
    "create a namespace": post("/v2/metadefs/namespaces", {"namespace": "{unique}"}),
    "list what is cached": get("/v2/cache"),
    "how the cache is": get("/v2/cache/stats"),
    "clear the cache": delete("/v2/cache"),
    "clean the cache": post("/v2/cache/clean"),
    "prune the cache": post("/v2/cache/prune"),
    "cache what is not there": put(f"/v2/cache/{_TASK}"),
    "uncache what is not there": delete(f"/v2/cache/{_TASK}"),
    "nodes of what is not there": get(f"/v2/cache/nodes/{_TASK}"),
    "cached, the older path": get("/v2/cached_images"),
    "clear cached, older": delete("/v2/cached_images"),
    "uncache, older": delete(f"/v2/cached_images/{_TASK}"),
    "queued, the older path": get("/v2/queued_images"),
    "clear queued, older": delete("/v2/queued_images"),
    "queue, older": put(f"/v2/queued_images/{_TASK}"),
    "unqueue, older": delete(f"/v2/queued_images/{_TASK}"),
}

# -- the tables, cell by cell


@dataclass(frozen=True)
class Cell:
    """One caller, one thing, one operation and what should come of it."""

    relation: str
    visibility: Visibility
    role: str
    expected: str


def read_table(text: str) -> dict[str, list[Cell]]:
    """Return the cells of each operation."""
    heading, *blocks = [block for block in text.strip("\n").split("\n\n") if block.strip()]
    visibilities = [Visibility(word) for word in heading.split("\n")[0].split()]
    columns = list(itertools.product(visibilities, ROLES))
    tables: dict[str, list[Cell]] = {}
    for block in blocks:
        lines = block.split("\n")
        cells = []
        for line in lines:
            if not line.startswith(":"):
                relation, *answers = line.split()
                cells += [
                    Cell(relation, visibility, role, answer)
                    for (visibility, role), answer in zip(columns, answers, strict=True)
                ]
        for line in lines:
            if line.startswith(":"):
                tables[re.sub(r" \(.*\)$", "", line[1:].strip())] = cells
    return tables


IMAGE_CELLS = read_table(IMAGES)
NAMESPACE_CELLS = read_table(NAMESPACES)


def outcome(operation: Operation, answer: Answer, thing: str) -> str:
    """Return what a cell says about an answer."""
    if answer.status >= 300:
        return str(answer.status)
    if operation.listing:
        found = [shown[operation.key] for shown in answer.json[operation.listing]]
        return "ok" if thing in found else "-"
    return "ok"


@dataclass
class Service:
    """A service of its own, in which things are put straight into the database."""

    world: World
    app: Flask
    data: dict[str, str] = field(default_factory=dict)

    def as_project(self, project: str, roles: str) -> Client:
        return Client(WsgiTransport(self.app)).as_project(project, roles)

    def ask(self, client: Client, operation: Operation, values: dict[str, str]) -> Answer:
        def fill(text: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], text)

        body = operation.body
        if not isinstance(body, bytes):
            text = "" if body is None else json.dumps(body)
            body = fill(text.replace('"{locations}"', values.get("locations", ""))).encode()
        typed = {"Content-Type": operation.content_type} if body else {}
        headers = {**typed, **operation.headers}
        return client.request(operation.method, fill(operation.path), headers=headers, body=body)

    def image(self, state: ImageStatus, visibility: Visibility) -> dict[str, str]:
        """Make an image of the project ``owner``; return what requests need to know of it."""
        image = Image(
            id=str(uuid.uuid4()),
            owner="owner",
            status=state,
            visibility=visibility,
            disk_format="raw",
            container_format="bare",
            size=None if state is ImageStatus.QUEUED else 4,
            tags=frozenset({"old"}),
        )
        has_data = state in _HAVE_DATA
        stores = ("local", "second") if has_data else ()
        written = [self._write(store, image.id) for store in stores]
        with self.world.metadata.unit_of_work() as work:
            work.images.add(image)
            for status in MemberStatus:
                work.members.add(Member(image_id=image.id, project_id=status, status=status))
            for location in written:
                work.locations.add(location)
            work.commit()
        locations = [{"url": one.url, "metadata": {"seen": "yes"}} for one in written]
        return {
            "id": image.id,
            "visibility": visibility,
            "locations": json.dumps(locations),
            "elsewhere": self._elsewhere(),
        }

    def namespace(self, state: ImageStatus, visibility: Visibility) -> dict[str, str]:
        """Make a namespace of the project ``owner`` with one thing of each kind in it."""
        name = uuid.uuid4().hex
        with self.world.metadata.unit_of_work() as work:
            work.metadefs.add(Namespace(name=name, owner="owner", visibility=visibility))
            for kind in DefinitionKind:
                content = {"title": "Old", "type": "string"}
                given = content if kind is DefinitionKind.PROPERTY else {}
                work.metadefs.define(name, Definition(kind=kind, name="old", content=given))
            work.metadefs.associate(name, Association(resource_type="Old::Type"))
            work.commit()
        return {"id": name, "visibility": visibility}

    def _write(self, store: str, image_id: str) -> Any:
        source = IteratorStream(iter([b"data"]))
        location = self.world.stores.get(store).write(image_id, source, 4)
        return replace(location, image_id=image_id, store=store)

    def _elsewhere(self) -> str:
        """Return the URL of data that no image has."""
        if not self.data:
            self.data["url"] = self._write("local", str(uuid.uuid4())).url
        return self.data["url"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    overrides = {
        ("DEFAULT", "data_dir"): str(tmp_path_factory.mktemp("data")),
        ("DEFAULT", "enabled_backends"): "local:file,second:file",
        ("DEFAULT", "show_multiple_locations"): True,
        ("DEFAULT", "image_cache_dir"): str(tmp_path_factory.mktemp("cache")),
        ("glance_store", "default_backend"): "local",
        ("auth", "driver"): "trusted",
    }
    with bootstrap(load_config([], overrides)) as world:
        yield Service(world, create_app(world))


def differing(
    service: Service,
    operation: Operation,
    cells: list[Cell],
    make: Callable[[ImageStatus, Visibility], dict[str, str]],
) -> list[str]:
    """Ask about every cell; return those that were answered otherwise, one line each."""
    things: dict[Visibility, dict[str, str]] = {}
    found = []
    for cell in cells:
        values = things.setdefault(cell.visibility, make(operation.state, cell.visibility))
        is_member = cell.relation in list(MemberStatus)
        others = [str(status) for status in MemberStatus if status != cell.relation]
        about = {**values, "me": cell.relation if is_member else "accepted", "other": others[-1]}
        client = service.as_project(cell.relation, ROLES[cell.role])
        answer = service.ask(client, operation, about)
        answered = outcome(operation, answer, values["id"])
        if answered != cell.expected:
            found.append(
                f"{cell.relation}, {cell.visibility}, {cell.role}: {answered} instead of "
                f"{cell.expected} ({answer.text[:120]})"
            )
        if answer.status < 300 and operation.method != "GET":
            del things[cell.visibility]  # the next caller gets one as it was
    return found


@pytest.mark.parametrize("name", IMAGE_CELLS)
def test_images(service: Service, name: str) -> None:
    cells = IMAGE_CELLS[name]
    assert len(cells) == 5 * 4 * 4
    assert differing(service, ON_IMAGES[name], cells, service.image) == []


@pytest.mark.parametrize("name", NAMESPACE_CELLS)
def test_namespaces(service: Service, name: str) -> None:
    cells = NAMESPACE_CELLS[name]
    assert len(cells) == 2 * 2 * 4
    assert differing(service, ON_NAMESPACES[name], cells, service.namespace) == []


SERVICE_ROWS = {
    name: answers
    for name, *answers in (re.split(r"  +", line) for line in SERVICE.strip().split("\n")[1:])
}


@pytest.mark.parametrize("name", SERVICE_ROWS)
def test_what_is_about_no_one_thing(service: Service, name: str) -> None:
    operation = ON_THE_SERVICE[name]
    callers = [service.as_project("p", roles) for roles in ROLES.values()]
    callers += [service.as_project("", "admin,member,reader,service"), nobody(service)]
    answered = []
    for client in callers:
        answer = service.ask(client, operation, {"unique": uuid.uuid4().hex})
        answered.append("ok" if answer.status < 300 else str(answer.status))
    assert answered == SERVICE_ROWS[name]


def nobody(service: Service) -> Client:
    return Client(WsgiTransport(service.app)).as_caller(
        x_identity_status="Invalid", x_project_id="owner", x_roles="admin,member,reader"
    )


# -- for all operations alike


@pytest.mark.parametrize("name", ON_IMAGES)
def test_who_is_in_no_project_gets_no_image(service: Service, name: str) -> None:
    operation = ON_IMAGES[name]
    client = service.as_project("", "admin,member,reader,service")
    for visibility in Visibility:
        values = service.image(operation.state, visibility)
        about = {**values, "me": "accepted", "other": "pending"}
        assert service.ask(client, operation, about).status in (403, 404)


@pytest.mark.parametrize("name", ON_NAMESPACES)
def test_who_is_in_no_project_gets_no_namespace(service: Service, name: str) -> None:
    operation = ON_NAMESPACES[name]
    client = service.as_project("", "admin,member,reader,service")
    for visibility in (Visibility.PUBLIC, Visibility.PRIVATE):
        values = service.namespace(operation.state, visibility)
        assert service.ask(client, operation, values).status in (403, 404)


def routes(service: Service) -> set[str]:
    return {
        f"{method} {re.sub(r'<[^>]*>', '{}', rule.rule)}"
        for rule in service.app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.rule.startswith("/v2/") and method not in ("OPTIONS", "HEAD")
    }


def test_who_is_unknown_gets_nothing(service: Service) -> None:
    for route in sorted(routes(service)):
        method, path = route.split()
        answer = nobody(service).request(method, path.replace("{}", str(uuid.uuid4())))
        assert (route, answer.status) == (route, 401)


def test_every_route_is_in_a_table(service: Service) -> None:
    assert IMAGE_CELLS.keys() == ON_IMAGES.keys()
    assert NAMESPACE_CELLS.keys() == ON_NAMESPACES.keys()
    assert SERVICE_ROWS.keys() == ON_THE_SERVICE.keys()
    operations = [*ON_IMAGES.values(), *ON_NAMESPACES.values(), *ON_THE_SERVICE.values()]
    asked = {shape(operation.route) for operation in operations}
    assert routes(service) - asked == set()


def shape(route: str) -> str:
    """Return a route with ``{}`` for every part that a caller chooses."""
    fixed = {"tags/new": "tags/{}", "tags/old": "tags/{}", "Old::Type": "{}", "/old": "/{}"}
    for given, place in fixed.items():
        route = route.replace(given, place)
    route = re.sub(r"schemas/(metadefs/)?\w+$", r"schemas/\1{}", route)
    return re.sub(r"\{\w*\}|second|[0-9a-f-]{36}", "{}", route)
