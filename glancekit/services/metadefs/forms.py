# SPDX-License-Identifier: Apache-2.0
"""The form that metadata definitions have in JSON, in requests and in operators' files alike.

Definitions are JSON by nature: each is itself a schema of a value. Who may write them is not its
business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft4Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match

from glancekit.core.errors import InvalidField
from glancekit.core.model.image import Visibility

Form = dict[str, Any]

MAX_NAME = 80
MAX_OWNER = 255
MAX_DESCRIPTION = 500
"""What the API takes. Operators' files are older than this limit and may say more."""

TYPES = ("array", "boolean", "integer", "number", "object", "string", "null")

_MAX_DEPTH = 32
_MAX_REASON = 300

READ_ONLY = frozenset({"self", "schema", "created_at", "updated_at"})
"""What is shown of every definition and is nobody's to set."""


def text(description: str, **rest: Any) -> Form:
    """Return the form of a string."""
    return {"type": "string", "description": description, **rest}


def name(description: str) -> Form:
    """Return the form of a name. It has no slash, which no client could put into a path."""
    return text(description, minLength=1, maxLength=MAX_NAME, pattern="^[^/]+$")


_WHOLE = {"type": "integer", "minimum": 0}
_WORDS = {"type": "array", "items": {"type": "string"}}

PROPERTY_FIELDS: Form = {
    "name": name("The property's key."),
    "title": text("The name that people are shown."),
    "description": text("What it means."),
    "operators": {**_WORDS, "description": "What may stand before its value to compare by."},
    "type": {"type": "string", "enum": [*TYPES]},
    "required": _WORDS,
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "minLength": _WHOLE,
    "maxLength": _WHOLE,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": [*TYPES]},
            "enum": {"type": "array"},
        },
    },
    "minItems": _WHOLE,
    "maxItems": _WHOLE,
    "uniqueItems": {"type": "boolean"},
    "additionalItems": {"type": "boolean"},
}

PROPERTY: Form = {"type": "object", "required": ["title", "type"], "properties": PROPERTY_FIELDS}
"""The definition of one property, where its name stands elsewhere."""

NAMED_PROPERTY: Form = {**PROPERTY, "required": ["name", "title", "type"]}

PROPERTIES: Form = {"type": "object", "additionalProperties": PROPERTY}

OBJECT_FIELDS: Form = {
    "name": name("The object's name."),
    "description": text("What it is.", maxLength=MAX_DESCRIPTION),
    "required": {**_WORDS, "description": "Which of its properties it must have."},
    "properties": PROPERTIES,
}

OBJECT: Form = {
    "type": "object",
    "required": ["name"],
    "properties": OBJECT_FIELDS,
    "additionalProperties": False,
}

TAG_FIELDS: Form = {"name": name("The tag.")}

TAG: Form = {
    "type": "object",
    "required": ["name"],
    "properties": TAG_FIELDS,
    "additionalProperties": False,
}

TAGS: Form = {
    "type": "object",
    "required": ["tags"],
    "properties": {"tags": {"type": "array", "items": TAG}},
    "additionalProperties": False,
}

ASSOCIATION_FIELDS: Form = {
    "name": name("The type of the things that a namespace is for, such as OS::Glance::Image."),
    "prefix": text(
        "What the names of its properties begin with on such a thing, with its separator.",
        maxLength=MAX_NAME,
    ),
    "properties_target": text(
        "Which of several sets of keys of such a thing is meant.", maxLength=MAX_NAME
    ),
}

ASSOCIATION: Form = {
    "type": "object",
    "required": ["name"],
    "properties": ASSOCIATION_FIELDS,
    "additionalProperties": False,
}

NAMESPACE_FIELDS: Form = {
    "namespace": name("The namespace's own name; no other has it."),
    "display_name": text("The name that people are shown.", maxLength=MAX_NAME),
    "description": text("What it is about.", maxLength=MAX_DESCRIPTION),
    "visibility": text("Who sees it.", enum=[Visibility.PUBLIC.value, Visibility.PRIVATE.value]),
    "protected": {
        "type": "boolean",
        "description": "Neither it nor anything in it can be deleted.",
    },
    "owner": text("The project that it belongs to.", maxLength=MAX_OWNER),
    "resource_type_associations": {"type": "array", "items": ASSOCIATION},
    "properties": PROPERTIES,
    "objects": {"type": "array", "items": OBJECT},
    "tags": {"type": "array", "items": TAG},
}

NAMESPACE: Form = {
    "type": "object",
    "required": ["namespace"],
    "properties": NAMESPACE_FIELDS,
    "additionalProperties": False,
}


class FormChecker:
    """Holds documents against one form, which is compiled once."""

    def __init__(self, form: Form) -> None:
        self._validator = Draft4Validator(form, format_checker=FormatChecker(("regex",)))

    def check(self, document: Mapping[str, Any]) -> None:
        """Check a whole document.

        :raises InvalidField: naming the place in it that is wrong.
        """
        error = best_match(self._validator.iter_errors(document))
        if error is not None:
            raise _refusal(error)
        for place, key in _keys_of_properties(document):
            if not 0 < len(key) <= MAX_NAME or "/" in key:
                reason = f"a property's name has 1 to {MAX_NAME} characters and no '/'"
                raise InvalidField(field=f"{place}.{key[:MAX_NAME]}", reason=reason)
        if is_too_deep(document):
            raise InvalidField(field="default", reason="it is nested too deeply")


def without_limits(form: Form) -> Form:
    """Return a form whose descriptions may have any length, which also lets shown fields pass."""
    fields = dict(form["properties"])
    if "description" in fields:
        fields["description"] = text(fields["description"]["description"])
    if "objects" in fields:
        fields["objects"] = {"type": "array", "items": without_limits(OBJECT)}
    for part, inner in (("tags", TAG), ("resource_type_associations", ASSOCIATION)):
        if part in fields:
            fields[part] = {"type": "array", "items": without_limits(inner)}
    return {**form, "properties": {**{key: {} for key in READ_ONLY}, **fields}}


def _refusal(error: ValidationError) -> InvalidField:
    place = [str(part) for part in error.absolute_path]
    reason = error.message
    form: Any = error.schema
    if error.validator == "additionalProperties":
        known = form["properties"]
        place.append(next(key for key in _object(error.instance) if key not in known))
        reason = f"there is no such attribute; the attributes are {', '.join(known)}"
    elif error.validator == "required":
        given = _object(error.instance)
        place.append(next(key for key in form["required"] if key not in given))
        reason = "it must be there"
    if len(reason) > _MAX_REASON:
        reason = f"{reason[:_MAX_REASON]}..."
    return InvalidField(field=".".join(part[:MAX_NAME] for part in place) or "body", reason=reason)


def _object(instance: Any) -> Mapping[str, Any]:
    return instance if isinstance(instance, Mapping) else {}


def _keys_of_properties(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in document.get("properties", ()):
        yield "properties", key
    for number, one in enumerate(document.get("objects", ())):
        for key in one.get("properties", ()):
            yield f"objects.{number}.properties", key


def is_too_deep(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Say whether values are nested deeper than can be dealt with safely."""
    if depth == 0:
        return True
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return any(is_too_deep(inner, depth - 1) for inner in value)
