# SPDX-License-Identifier: Apache-2.0
"""An operator's own rules, as oslo.policy reads them. What rules are about is access's business.

Imported only where there is such a file: oslo.policy takes longer to import than all the rest of
the service to start, and one of its rules a hundred times as long as one of access.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from oslo_config import cfg
from oslo_policy import policy

from glancekit.core.errors import ConfigError, Unavailable, translating
from glancekit.services.access import ADMIN, RULES, OperatorRules

log = logging.getLogger(__name__)

_REFERENCE = re.compile(r"(?<![^\s(])rule:([^\s()]+)")
_SUBSTITUTE = re.compile(r"%\([^()]+\)s|%%")
_NEVER = re.compile(r"(?<![^\s(])!(?![^\s)])")
"""What oslo.policy also makes of a part that it does not understand."""


@dataclass(frozen=True, slots=True)
class Written:
    """One rule as it stands in a file."""

    name: str
    check: str | list[Any]
    file: Path
    line: int

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"


class PolicyRules(OperatorRules):
    """Upstream's defaults, with an operator's files over them."""

    def __init__(self, written: Iterable[Written] = ()) -> None:
        """Understand all rules.

        :raises ConfigError: when one of them cannot be understood, or names one that is not there.
        """
        self.written = {rule.name: rule for rule in written}
        defaults = policy.Rules.from_dict({name: rule.check for name, rule in RULES.items()})
        own = {name: _parse(rule) for name, rule in self.written.items()}
        self._rules = policy.Rules({**defaults, **own})
        self._enforcer = _enforcer(self._rules)
        self._texts = {name: str(check) for name, check in self._rules.items()}
        self._check_references()
        differing = {
            name for name in own if name not in defaults or str(defaults[name]) != str(own[name])
        }
        self.changed: frozenset[str] = frozenset(self._dependents(differing))

    def names(self) -> list[str]:
        """Return the names of all rules, upstream's first."""
        return list(self._rules)

    def knows(self, name: str) -> bool:
        """See the protocol."""
        return name in self._rules

    def decide(self, name: str, credentials: dict[str, Any], target: Mapping[str, Any]) -> bool:
        """See the protocol.

        :raises Unavailable: when the rule asks another service and that does not answer.
        """
        with translating({OSError: Unavailable}):
            return bool(self._rules[name](target, credentials, self._enforcer, name))

    def text(self, name: str) -> str:
        """Return a rule's check string."""
        if name in self.written:
            return str(self.written[name].check)
        return RULES[name].check

    def explain(
        self, name: str, credentials: dict[str, Any], target: Mapping[str, Any]
    ) -> list[Part]:
        """Return the parts of a rule, each with what it comes to, outer ones first."""
        return list(self._parts(self._rules[name], credentials, target, 0))

    def _parts(
        self,
        check: Any,
        credentials: dict[str, Any],
        target: Mapping[str, Any],
        depth: int,
    ) -> Iterator[Part]:
        held = bool(check(target, credentials, self._enforcer))
        inner: Sequence[Any] = ()
        if isinstance(check, policy.AndCheck | policy.OrCheck):
            text = "all of" if isinstance(check, policy.AndCheck) else "any of"
            inner = check.rules
        elif isinstance(check, policy.NotCheck):
            text, inner = "not", [check.rule]
        else:
            text = str(check)
            if isinstance(check, policy.RuleCheck):
                inner = [self._rules[check.match]]
        yield Part(depth, text, held)
        for part in inner:
            yield from self._parts(part, credentials, target, depth + 1)

    def _references(self, name: str) -> list[str]:
        return _REFERENCE.findall(self._texts[name])

    def _check_references(self) -> None:
        for rule in self.written.values():
            for reference in self._references(rule.name):
                if reference not in self._rules:
                    raise ConfigError(
                        f"{rule.place}: rule '{rule.name}' refers to 'rule:{reference}', which "
                        f"is not there{_similar(reference, self._rules)}"
                    )
            if rule.name in self._reached_from(rule.name):
                raise ConfigError(f"{rule.place}: rule '{rule.name}' refers to itself")

    def _reached_from(self, name: str, *, not_through: str = "") -> set[str]:
        reached: set[str] = set()
        ahead = self._references(name)
        while ahead:
            reference = ahead.pop()
            if reference in self._rules and reference not in reached:
                reached.add(reference)
                if reference != not_through:
                    ahead += self._references(reference)
        return reached

    def _dependents(self, differing: Collection[str]) -> Iterator[str]:
        """Return rules that differ or stand on one that does.

        Not those that stand on the administrator's alone: that one is decided for each request
        first, and all defaults go by it.
        """
        grounds = set(differing) - {ADMIN}
        for name in self._rules:
            reached = self._reached_from(name, not_through=ADMIN)
            if name in differing or not grounds.isdisjoint(reached):
                yield name

    def warn_about_unknown(self, *, used: Collection[str] = ()) -> None:
        """Tell the operator of rules in the files that decide nothing.

        :param used: names of rules that something outside the files refers to.
        """
        referred = {name for rule in self._rules for name in self._references(rule)}
        for rule in self.written.values():
            if rule.name not in RULES and rule.name not in referred and rule.name not in used:
                log.warning(
                    "%s: there is no rule '%s', so it decides nothing%s",
                    rule.place,
                    rule.name,
                    _similar(rule.name, RULES),
                )


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a rule, how deep in it, and whether it held."""

    depth: int
    text: str
    held: bool


def load(files: Sequence[Path]) -> PolicyRules:
    """Read files of rules, later ones over earlier ones.

    :raises ConfigError: when one cannot be used; it names file and line.
    """
    return PolicyRules(rule for file in files for rule in _read(file))


def _read(file: Path) -> Iterator[Written]:
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the policy file {file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        problem = getattr(error, "problem", None) or "this cannot be understood"
        raise ConfigError(f"{place}: {problem}; mend the YAML") from error
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{file}:{root.start_mark.line + 1}: write lines of 'rule: \"check\"'")
    seen: set[str] = set()
    for key, value in root.value:
        rule = Written(str(key.value), _check_of(value), file, key.start_mark.line + 1)
        if rule.name in seen:
            raise ConfigError(f"{rule.place}: rule '{rule.name}' is there twice")
        if not _is_check(rule.check) or value.tag == "tag:yaml.org,2002:null":
            raise ConfigError(
                f"{rule.place}: rule '{rule.name}' has no check string; write one in quotation "
                'marks, for example "role:admin", "@" for everybody or "!" for nobody'
            )
        seen.add(rule.name)
        yield rule


def _check_of(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_check_of(item) for item in node.value]
    return None


def _is_check(value: object) -> bool:
    """Tell a check string, or the old form of lists in a list, from anything else."""
    if not isinstance(value, list):
        return isinstance(value, str)
    return all(_is_check(item) for item in value)


def _parse(rule: Written) -> Any:
    with _quiet():
        written: dict[str, Any] = {rule.name: rule.check}
        check = policy.Rules.from_dict(written)[rule.name]
    if not _is_understood(rule.check, str(check)):
        raise ConfigError(
            f"{rule.place}: the check of rule '{rule.name}' cannot be understood: {rule.check}"
        )
    return check


def _is_understood(written: str | list[Any], parsed: str) -> bool:
    """Say whether a check was parsed whole, and has only substitutes that can be made."""
    if "%" in _SUBSTITUTE.sub("", parsed):
        return False
    return len(_NEVER.findall(parsed)) == len(_NEVER.findall(_flat(written)))


def _flat(written: str | list[Any]) -> str:
    return written if isinstance(written, str) else " ".join(_flat(part) for part in written)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep oslo.policy from logging what is said here with file and line."""
    parser = logging.getLogger("oslo_policy._parser")
    level = parser.level
    parser.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        parser.setLevel(level)


def _enforcer(rules: Any) -> Any:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    return policy.Enforcer(conf, rules=rules, use_conf=False)


def _similar(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
