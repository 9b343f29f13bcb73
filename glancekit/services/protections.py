# SPDX-License-Identifier: Apache-2.0
"""Which properties of images a caller may read, create, update and delete.

An operator's file says so, by patterns of property names; without it all may do all. Whether the
caller may change the image at all is access's business.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from glancekit.core.errors import ConfigError, Forbidden
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image
from glancekit.services.access import Access

ALL = "@"
NOBODY = "!"


class Operation(StrEnum):
    """What can be done to a property."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Section:
    """A pattern of names, and who may do what to properties of such a name.

    ``allowed`` has roles, or the name of one policy rule, or one of the two signs.
    """

    pattern: re.Pattern[str]
    allowed: Mapping[Operation, frozenset[str]]
    place: str = ""


_SERVICE_OWN = Section(re.compile("^os_glance"), dict.fromkeys(Operation, frozenset({ALL})))
"""The service's own state, which no rule of an operator shall hide from it or its clients."""

_FORBIDDEN = Section(re.compile(""), dict.fromkeys(Operation, frozenset({NOBODY})))
"""What holds for names that no pattern fits."""


class Rules:
    """The sections of a file, in their order: the first that fits a name counts."""

    def __init__(self, sections: Sequence[Section], *, by_policies: bool = False) -> None:
        self._sections = (_SERVICE_OWN, *sections)
        self.by_policies = by_policies
        self.section_of = lru_cache(maxsize=4096)(self._find)

    def _find(self, name: str) -> Section:
        fitting = (section for section in self._sections if section.pattern.search(name))
        return next(fitting, _FORBIDDEN)

    def policies(self) -> Iterable[tuple[str, str]]:
        """Return the names of the policy rules that these use, each with its place."""
        if self.by_policies:
            for section in self._sections:
                for names in section.allowed.values():
                    yield from ((name, section.place) for name in names - {ALL, NOBODY})


class View:
    """An image's properties as one caller may know and change them."""

    def __init__(self, rules: Rules | None, access: Access, caller: Identity) -> None:
        """Decide nothing yet; what is decided is remembered for as long as the view is."""
        self._rules = rules
        self._access = access
        self._caller = caller
        self._known: dict[tuple[int, Operation], bool] = {}

    def of(self, image: Image) -> Image:
        """Return the image without the properties that the caller may not read."""
        if self._rules is None:
            return image
        seen = {
            name: value
            for name, value in image.properties.items()
            if self.may(Operation.READ, name)
        }
        return image if len(seen) == len(image.properties) else replace(image, properties=seen)

    def restored(self, changed: Image, before: Image) -> Image:
        """Return a changed image with the properties again that the caller did not see.

        What the caller put under the name of such a one stays.
        """
        if self._rules is None:
            return changed
        unseen = {
            name: value
            for name, value in before.properties.items()
            if not self.may(Operation.READ, name)
        }
        return replace(changed, properties={**unseen, **changed.properties}) if unseen else changed

    def require_change(self, name: str, before: Image, after: Image) -> None:
        """Let a change of one property pass or not; both images are as the caller sees them.

        So whoever sets a property that they cannot read creates it.

        :raises Forbidden: when the rules say no.
        """
        had, has = name in before.properties, name in after.properties
        if had:
            self.require(Operation.UPDATE if has else Operation.DELETE, name)
        elif has:
            self.require(Operation.CREATE, name)

    def require(self, operation: Operation, name: str) -> None:
        """Let an operation pass or not.

        :raises Forbidden: when the rules say no.
        """
        if not self.may(operation, name):
            raise Forbidden(action=f"{operation} property '{name}'")

    def may(self, operation: Operation, name: str) -> bool:
        """Say whether the caller may do this to properties of this name."""
        if self._rules is None:
            return True
        section = self._rules.section_of(name)
        key = (id(section), operation)
        if key not in self._known:
            self._known[key] = self._decide(section.allowed[operation])
        return self._known[key]

    def _decide(self, allowed: frozenset[str]) -> bool:
        if allowed & {ALL, NOBODY}:
            return ALL in allowed
        if self._rules is not None and self._rules.by_policies:
            return any(self._access.holds(self._caller, name) for name in allowed)
        return not allowed.isdisjoint(self._caller.roles | self._caller.service_roles)


def _no_rules() -> Rules | None:
    return None


class Protections:
    """Makes a view for each caller, of the rules as they are now."""

    def __init__(
        self, rules: Callable[[], Rules | None] = _no_rules, access: Access | None = None
    ) -> None:
        """Take what returns the rules, None where there are none."""
        self._rules = rules
        self._access = access or Access()

    def view(self, caller: Identity) -> View:
        """Return the properties' view for one request of a caller."""
        return View(self._rules(), self._access, caller)


def load(files: Sequence[Path], *, by_policies: bool = False) -> Rules:
    """Read the file of rules.

    :raises ConfigError: when it cannot be used; it names file, line and section.
    """
    sections: list[Section] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
            parser = configparser.RawConfigParser()
            parser.read_string(text, source=str(file))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"the property protections cannot be read: {reason}") from error
        sections += [
            _section(f"{file}:{_line(text, name)}: section [{name}]", name, parser, by_policies)
            for name in parser.sections()
            if not name.startswith("os_glance")
        ]
    return Rules(sections, by_policies=by_policies)


def check_policies(rules: Rules, access: Access) -> None:
    """See that all policy rules are there which the sections name.

    :raises ConfigError: when one is not.
    """
    for name, place in rules.policies():
        if not access.knows(name):
            raise ConfigError(
                f"{place}: there is no policy rule '{name}'; add it to the policy file"
            )


def _section(
    place: str, name: str, parser: configparser.RawConfigParser, by_policies: bool
) -> Section:
    try:
        pattern = re.compile(name)
    except re.error as error:
        raise ConfigError(f"{place} is no regular expression: {error}") from error
    given = dict(parser.items(name))
    unknown = sorted(given.keys() - set(Operation))
    if unknown:
        raise ConfigError(f"{place}: '{unknown[0]}' is none of {', '.join(Operation)}")
    allowed = {}
    for operation in Operation:
        if operation not in given:
            raise ConfigError(
                f"{place} does not say who may {operation}; add '{operation} = {ALL}' for all or "
                f"'{operation} = {NOBODY}' for nobody"
            )
        allowed[operation] = _allowed(f"{place}: {operation}", given[operation], by_policies)
    return Section(pattern, allowed, place)


def _allowed(place: str, text: str, by_policies: bool) -> frozenset[str]:
    words = frozenset(word.strip() for word in text.split(",") if word.strip())
    if {ALL, NOBODY} <= words:
        raise ConfigError(f"{place} = {text}: this is all and nobody at once")
    if not by_policies:
        return frozenset(word.lower() for word in words)
    if len(words) != 1:
        raise ConfigError(f"{place} = {text}: name exactly one policy rule")
    return words


def _line(text: str, section: str) -> int:
    lines = (line.strip() for line in text.splitlines())
    return next((at for at, line in enumerate(lines, 1) if line.startswith(f"[{section}]")), 1)
