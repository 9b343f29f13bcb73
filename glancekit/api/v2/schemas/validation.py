# SPDX-License-Identifier: Apache-2.0
"""Holds what clients send against the schemas, which are compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import best_match

from glancekit.api.v2.schemas import Schema
from glancekit.core.errors import InvalidField

_MAX_REASON = 300


class AttributeValidator:
    """Checks a thing attribute by attribute, so that the answer can name the one that is wrong.

    Draft 4 is what the API's clients read these schemas as; there 1.0 is no integer.
    """

    def __init__(self, schema: Schema) -> None:
        self._known = {name: Draft4Validator(rule) for name, rule in schema["properties"].items()}
        self._other = Draft4Validator(schema.get("additionalProperties", {}))

    def check(self, attributes: Mapping[str, Any]) -> None:
        """Check all attributes.

        :raises InvalidField: for the first that is wrong.
        """
        for name, value in attributes.items():
            self.check_value(name, value)

    def check_value(self, name: str, value: Any) -> None:
        """Check one attribute.

        :raises InvalidField: when the schema does not allow it.
        """
        validator = self._known.get(name, self._other)
        error = best_match(validator.iter_errors(value))
        if error is not None:
            raise InvalidField(field=name[:80], reason=_shorten(error.message))


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}..."
