# SPDX-License-Identifier: Apache-2.0
"""Puts the OpenAPI document together: each route, with what operations.py says of it.

A route that nobody described is a fault of ours, found by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from glancekit import __version__
from glancekit.api.json_patch import MEDIA_TYPE_V20, MEDIA_TYPE_V21
from glancekit.api.openapi.metadef_operations import METADEF_OPERATIONS
from glancekit.api.openapi.operations import (
    HTML,
    OCTETS,
    OPERATIONS,
    PATCH,
    PATH,
    QUERY,
    QUERY_NAMES,
    SENT,
    TEXT,
    TOLD,
    Operation,
    Parameter,
)
from glancekit.api.openapi.schemas import document_schemas, reference
from glancekit.api.v2.schemas import Schema
from glancekit.services.world import Settings

ALL: Mapping[str, Operation] = MappingProxyType({**OPERATIONS, **METADEF_OPERATIONS})

JSON = "application/json"

_EVERYWHERE = (400, 429, 431)
_WITH_IDENTITY = (401, 503)
_WITH_BODY = (413,)

_PARAMETER = re.compile(r"<(\w+)>")

_INTRODUCTION = (
    "The OpenStack Images API, version 2, as this service has it. Errors are told in HTML, in "
    "JSON or in plain text, as the request's Accept says; all answers have x-openstack-request-id."
)


def make_document(app: Flask, settings: Settings) -> dict[str, Any]:
    """Return the document of an application."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path in sorted(routes(app), key=lambda route: (route[1], route[0])):
        item = paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})
        item[method.lower()] = _operation(method, path, ALL[f"{method} {path}"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Images",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": (settings.public_endpoint or "").rstrip("/") or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in ALL.values())],
        "paths": paths,
        "components": {
            "schemas": document_schemas(settings),
            "responses": {str(status): _error(status) for status in _errors()},
            "headers": {name: _header(told) for name, told in _TOLD.items()},
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Auth-Token",
                    "description": "A token of whoever issues them for this service. Where a "
                    "proxy in front authenticates, it is for the proxy; where nobody does, it is "
                    "not looked at.",
                }
            },
        },
    }


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Yield method and path of every route. ``/`` answers to any method as to GET."""
    for rule in app.url_map.iter_rules():
        for method in sorted(_methods(rule)):
            yield method, rule.rule


def _methods(rule: Rule) -> set[str]:
    return {"GET"} if rule.rule == "/" else set(rule.methods or ()) - {"OPTIONS"}


def _operation(method: str, path: str, said: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _operation_id(method, path),
        "summary": said.summary,
        "tags": [said.tag],
        "responses": _responses(path, said),
    }
    if said.more:
        described["description"] = said.more
    parameters = [*_parameters(path, said)]
    if parameters:
        described["parameters"] = parameters
    if said.takes:
        described["requestBody"] = {"required": True, "content": _content_taken(said.takes)}
    if path.startswith("/v2/"):
        described["security"] = [{"token": []}]
    return described


def _operation_id(method: str, path: str) -> str:
    words = [word for word in re.split(r"\W+", path.removeprefix("/v2")) if word]
    return "_".join([method.lower(), *words]) if words else f"{method.lower()}_{path.strip('/')}"


# -- what a request has ------------------------------------------------------------------------


def _parameters(path: str, said: Operation) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(path):
        yield {**_parameter("path", name, PATH[name]), "required": True}
    for name in said.query:
        yield _parameter("query", QUERY_NAMES.get(name, name), QUERY[name])
    for name in said.sends:
        yield _parameter("header", name, SENT[name])


def _parameter(where: str, name: str, said: Parameter) -> dict[str, Any]:
    return {"name": name, "in": where, "description": said.description, "schema": said.schema}


def _content_taken(takes: str) -> dict[str, Any]:
    if takes == PATCH:
        return {
            MEDIA_TYPE_V21: {"schema": reference("patch_v21")},
            MEDIA_TYPE_V20: {"schema": reference("patch_v20")},
        }
    return _content(takes)


# -- what an answer has ------------------------------------------------------------------------

_REQUEST_ID = Parameter("The id by which the request is found again in logs.")
_TOLD = {**TOLD, "x-openstack-request-id": _REQUEST_ID}


def _responses(path: str, said: Operation) -> dict[str, Any]:
    found = {str(status): _answer(status, answer, said) for status, answer in said.answers.items()}
    for status in sorted({*_general_errors(path, said), *said.errors}):
        if str(status) not in found:
            found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return found


def _general_errors(path: str, said: Operation) -> Iterable[int]:
    yield from _EVERYWHERE
    if path.startswith("/v2/"):
        yield from _WITH_IDENTITY
    if "<" in path:
        yield 404
    if said.takes:
        yield from _WITH_BODY


def _answer(status: int, answer: str | None, said: Operation) -> dict[str, Any]:
    headers = {name: _told(name) for name in ("x-openstack-request-id", *said.tells)}
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase, "headers": headers}
    if answer == "health":
        response["content"] = {TEXT: {"schema": {"type": "string"}}, **_content(answer)}
    elif answer is not None:
        response["content"] = _content(answer)
    return response


def _content(what: str) -> dict[str, Any]:
    if what == OCTETS:
        return {OCTETS: {}}
    if what == HTML:
        return {HTML: {"schema": {"type": "string"}}}
    return {JSON: {"schema": reference(what)}}


def _told(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}


def _header(said: Parameter) -> dict[str, Any]:
    return {"description": said.description, "schema": said.schema}


def _errors() -> set[int]:
    own = {status for said in ALL.values() for status in said.errors}
    return {*_EVERYWHERE, *_WITH_IDENTITY, *_WITH_BODY, 404, *own}


_ERROR_HEADERS: Mapping[int, Mapping[str, str]] = MappingProxyType(
    {
        401: {"WWW-Authenticate": "How to authenticate, where the service has something to say."},
        415: {"Accept-Patch": "The forms of a patch, where it was none of them."},
        416: {"Content-Range": "How many bytes there are."},
        429: {"Retry-After": "Seconds until it is worth asking again."},
        503: {"Retry-After": "Seconds until it is worth asking again, where that helps."},
    }
)


def _error(status: int) -> dict[str, Any]:
    headers: dict[str, Any] = {"x-openstack-request-id": _told("x-openstack-request-id")}
    for name, description in _ERROR_HEADERS.get(status, {}).items():
        headers[name] = _header(Parameter(description))
    text = {"schema": {"type": "string"}}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers,
        "content": {JSON: {"schema": reference("error")}, HTML: text, TEXT: text},
    }
