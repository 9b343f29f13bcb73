# SPDX-License-Identifier: Apache-2.0
"""Holding the properties of images against the definitions of namespaces that are enforced.

Which namespaces are is the operator's choice; none is by default. Nothing here is asked when an
image is read.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from jsonschema import Draft4Validator
from jsonschema.exceptions import best_match

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import InvalidField
from glancekit.core.model.image import Image, Visibility
from glancekit.core.model.metadef import IMAGE_TYPE, DefinitionKind, Namespace
from glancekit.services.metadefs.forms import is_too_deep
from glancekit.services.metadefs.notices import about_namespace

log = logging.getLogger(__name__)

_CONSTRAINTS = (
    *("enum", "minimum", "maximum", "minLength", "maxLength", "pattern"),
    *("items", "minItems", "maxItems", "uniqueItems"),
)
"""What of a definition is held against a value; all else is for people to read."""

_INTEGER = re.compile(r"[+-]?\d{1,100}\Z", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_MAX_REASON = 300


class _NotOfType(Exception):
    """A value's text is not of the type that its definition names."""


def enforce(metadata: MetadataDriver, name: str, enforced: bool) -> Namespace:
    """Switch on or off that images are held against a namespace's definitions.

    :raises MetadefNotFound: when there is no such namespace.
    """
    with metadata.unit_of_work() as work:
        stored = work.metadefs.namespace(name)
        if stored.enforced is enforced:
            return stored
        saved = work.metadefs.save(name, replace(stored, enforced=enforced))
        work.events.append(about_namespace(saved, "update", None))
        work.commit()
    log.info("metadata definitions of %s: enforced is %s", name, enforced)
    return saved


def speaks_of_images(metadata: MetadataDriver, name: str) -> bool:
    """Say whether a namespace is associated with images; enforcing another checks nothing."""
    with metadata.unit_of_work(read_only=True) as work:
        associated = work.metadefs.associations([name]).get(name, ())
    return any(one.resource_type == IMAGE_TYPE for one in associated)


def check(work: UnitOfWork, image: Image, *, before: Image | None = None) -> None:
    """Hold an image's properties against what is enforced, those alone that differ from before.

    A public namespace speaks of every image, a private one of its owner's.

    :raises InvalidField: for the first that breaks a constraint, with the ``constraint``'s name.
    """
    had = before.properties if before else {}
    changed = {name: value for name, value in image.properties.items() if had.get(name) != value}
    if not changed:
        return
    speaking = [one for one in work.metadefs.enforced() if _speaks_of(one, image)]
    for name, definition, namespace in _rules(work, speaking):
        if name in changed:
            _check_value(name, changed[name], definition, namespace)


def _speaks_of(namespace: Namespace, image: Image) -> bool:
    return namespace.visibility is Visibility.PUBLIC or namespace.owner == image.owner


def _rules(
    work: UnitOfWork, namespaces: Sequence[Namespace]
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield the names that properties have on images, with their definitions and namespaces."""
    associated = work.metadefs.associations([namespace.name for namespace in namespaces])
    for namespace, associations in sorted(associated.items()):
        for association in associations:
            if association.resource_type == IMAGE_TYPE:
                prefix = association.prefix or ""
                for name, definition in _properties(work, namespace):
                    yield prefix + name, definition, namespace


def _properties(work: UnitOfWork, namespace: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for one in work.metadefs.definitions(namespace, DefinitionKind.PROPERTY):
        yield one.name, one.content
    for one in work.metadefs.definitions(namespace, DefinitionKind.OBJECT):
        yield from one.content.get("properties", {}).items()


# -- one value


def _check_value(name: str, text: str, definition: Mapping[str, Any], namespace: str) -> None:
    kind = definition["type"]
    for operand in _operands(text, definition):
        try:
            value = _PARSERS[kind](operand, definition)
        except _NotOfType:
            reason = f"'{_shorten(operand)}' is no {kind}"
            raise _refusal(name, reason, "type", namespace) from None
        constraints = _constraints(definition, operand, value)
        error = best_match(Draft4Validator(constraints).iter_errors(value))
        if error is not None:
            place = [str(part) for part in error.absolute_schema_path]
            raise _refusal(name, _shorten(error.message), ".".join(place), namespace)


def _constraints(definition: Mapping[str, Any], operand: str, value: Any) -> dict[str, Any]:
    """Return what of a definition a value is held against."""
    chosen = {key: definition[key] for key in _CONSTRAINTS if key in definition}
    # Many definitions list numbers and booleans as the texts that they are on an image.
    word = str(value).lower() if isinstance(value, bool | int | float) else operand
    if {operand, word} & _texts(chosen.get("enum", ())):
        del chosen["enum"]
    if "items" in chosen:
        chosen["items"] = {
            key: chosen["items"][key] for key in ("type", "enum") if key in chosen["items"]
        }
    return chosen


def _texts(enum: Sequence[Any]) -> set[str]:
    return {one for one in enum if isinstance(one, str)}


def _refusal(name: str, reason: str, constraint: str, namespace: str) -> InvalidField:
    return InvalidField(
        field=name,
        reason=f"{reason} ({constraint} in metadata definitions {namespace})",
        constraint=constraint,
        namespace=namespace,
    )


def _operands(text: str, definition: Mapping[str, Any]) -> list[str]:
    """Return what a value says besides operators: ``<or> a <or> b`` is ``a`` and ``b``."""
    operators = sorted(filter(None, definition.get("operators", ())), key=len, reverse=True)
    for operator in operators:
        if text.startswith(operator):
            return [part.strip() for part in text.split(operator)[1:]]
    return [text]


def _string(text: str, _definition: Mapping[str, Any]) -> Any:
    return text


def _integer(text: str, _definition: Mapping[str, Any]) -> Any:
    if not _INTEGER.match(text):
        raise _NotOfType
    return int(text)


def _number(text: str, _definition: Mapping[str, Any]) -> Any:
    if _INTEGER.match(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        raise _NotOfType from None
    if not math.isfinite(number):
        raise _NotOfType
    return number


def _boolean(text: str, _definition: Mapping[str, Any]) -> Any:
    if text.lower() not in _BOOLEANS:  # clients write True as well
        raise _NotOfType
    return _BOOLEANS[text.lower()]


def _array(text: str, definition: Mapping[str, Any]) -> Any:
    """Return a JSON array, or the parts between commas, each as what ``items`` says it is."""
    if text.lstrip().startswith("["):
        return _json(text, list)
    kind = definition.get("items", {}).get("type", "string")
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    return [_PARSERS[kind](part, definition.get("items", {})) for part in parts]


def _object(text: str, _definition: Mapping[str, Any]) -> Any:
    return _json(text, dict)


def _null(text: str, _definition: Mapping[str, Any]) -> Any:
    if text not in ("", "null"):
        raise _NotOfType


def _json(text: str, kind: type) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _NotOfType from None
    if not isinstance(value, kind) or is_too_deep(value):
        raise _NotOfType
    return value


_PARSERS: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
    "null": _null,
}
"""What makes a value of a property's text; properties of images are texts all."""


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}..."
