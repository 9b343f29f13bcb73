# SPDX-License-Identifier: Apache-2.0
"""An operator's rules on where copies should be: what a file may say, and which image it is about.

Making copies true to them is the business of ``placing``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from glancekit.core.errors import ConfigError, translating
from glancekit.core.model.image import NOTHING, Image, Visibility

RULES_FILE = "placement.yaml"
"""Read without being named, if it lies beside a configuration file."""

_KEYS = frozenset({"name", "match", "stores", "copies", "exact"})
_MATCH_KEYS = frozenset({"visibility", "projects", "tags", "properties"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """So many ``copies`` in these ``stores``, the first ones preferred, of images that match.

    What is empty is not looked at; an image matches that has one of the visibilities and projects,
    all the tags, and all the properties. ``exact``: copies elsewhere are removed.
    """

    name: str
    stores: tuple[str, ...]
    copies: int
    exact: bool = False
    visibilities: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    properties: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def matches(self, image: Image) -> bool:
        """Say whether the rule is about an image."""
        return (
            (not self.visibilities or image.visibility in self.visibilities)
            and (not self.projects or image.owner in self.projects)
            and self.tags <= image.tags
            and all(image.properties.get(name) == value for name, value in self.properties.items())
        )


def load(files: Sequence[Path], known: Collection[str]) -> tuple[Rule, ...]:
    """Return the rules of the file that there is; none when there is none.

    :param known: the stores that are configured.
    :raises ConfigError: when the file cannot be read, or a rule makes no sense.
    """
    rules: list[Rule] = []
    for file in files:
        with translating({OSError: ConfigError, UnicodeError: ConfigError}):
            text = file.read_text(encoding="utf-8")
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{file} is no YAML: {error}") from error
        if content is None:
            continue
        if not isinstance(content, list):
            raise ConfigError(f"{file} has to be a list of rules, each beginning with '- name:'")
        rules += [
            _rule(f"{file}: rule {place}", entry, known) for place, entry in _numbered(content)
        ]
    return tuple(rules)


def _numbered(content: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(content, start=1))


def _rule(where: str, entry: Any, known: Collection[str]) -> Rule:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} has to have 'name' and 'stores'")
    where = f"{where} ({entry.get('name', 'without name')})"
    _require_known(where, entry, _KEYS)
    stores = _words(where, "stores", entry.get("stores"))
    if not stores or len(set(stores)) != len(stores):
        raise ConfigError(f"{where} has to name stores, each once")
    unknown = [store for store in stores if store not in known]
    if unknown:
        raise ConfigError(
            f"{where} names store '{unknown[0]}', which is not configured; the stores are: "
            f"{', '.join(known)}"
        )
    copies = entry.get("copies", len(stores))
    if type(copies) is not int or not 1 <= copies <= len(stores):
        raise ConfigError(f"{where}: 'copies' is a number from 1 to that of its stores")
    exact = entry.get("exact", False)
    if type(exact) is not bool:
        raise ConfigError(f"{where}: 'exact' is true or false")
    return Rule(
        name=str(entry.get("name") or where.rpartition("/")[2]),
        stores=tuple(stores),
        copies=copies,
        exact=exact,
        **_match(where, entry.get("match") or {}),
    )


def _match(where: str, match: Any) -> dict[str, Any]:
    if not isinstance(match, dict):
        raise ConfigError(f"{where}: 'match' has {', '.join(sorted(_MATCH_KEYS))}")
    _require_known(where, match, _MATCH_KEYS)
    visibilities = frozenset(_words(where, "visibility", match.get("visibility")))
    if unknown := visibilities - {str(one) for one in Visibility}:
        raise ConfigError(
            f"{where}: there is no visibility '{min(unknown)}'; there are: {', '.join(Visibility)}"
        )
    properties = match.get("properties") or {}
    if not isinstance(properties, dict):
        raise ConfigError(f"{where}: 'properties' are names with a value each")
    return {
        "visibilities": visibilities,
        "projects": frozenset(_words(where, "projects", match.get("projects"))),
        "tags": frozenset(_words(where, "tags", match.get("tags"))),
        "properties": {str(name): _text(value) for name, value in properties.items()},
    }


def _text(value: Any) -> str:
    """Return a property's value as images have it: YAML makes booleans of some words."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(where: str, key: str, value: Any) -> list[str]:
    if value is None:
        return []
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str | int) and not isinstance(word, bool) for word in words):
        raise ConfigError(f"{where}: '{key}' is a word or a list of words")
    return [str(word) for word in words]


def _require_known(where: str, entry: Mapping[Any, Any], keys: Collection[str]) -> None:
    unknown = [str(key) for key in entry if key not in keys]
    if unknown:
        raise ConfigError(
            f"{where} has '{unknown[0]}', which means nothing; it can have: "
            f"{', '.join(sorted(keys))}"
        )


RulesNow = Callable[[], tuple[Rule, ...]]
"""Returns the rules as they are now: the file is read again when it changes."""


def no_rules() -> tuple[Rule, ...]:
    """Return none."""
    return ()
