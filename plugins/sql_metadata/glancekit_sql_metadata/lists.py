# SPDX-License-Identifier: Apache-2.0
"""Which lists an image is in, and which lists together answer a query. No SQL in here.

Every list that can be asked for is a range of one index, in order. A list is *a scope*, or a scope
with *a label*. Scopes: all images of a visibility; a project's images of a visibility; the images
shared with a project, by its answer. Labels: a name, a tag, a property with its value, a status
other than active. A query is a merge of a handful of scopes, so a page costs the same however long
the lists are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

from glancekit.plugin import (
    Comparison,
    Condition,
    ImageQuery,
    MemberStatus,
    Visibility,
)

Words = tuple[str, ...]


class Scope(NamedTuple):
    """The part of a list's name that says whose images it shows.

    ``kind`` is ``all``, ``owner`` or ``member``; ``project`` is empty for ``all``; ``of`` is a
    visibility, for ``member`` a member's status.
    """

    kind: str
    project: str
    of: str
    hidden: bool


def list_id(scope: Scope, label: Words = ()) -> bytes:
    """Return the name of a list as it is stored: short, and equal for equal words only."""
    words = (scope.kind, scope.project, scope.of, str(int(scope.hidden)), *label)
    text = "".join(f"{len(word)}:{word}" for word in words)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def labels_of(
    status: str | None,
    name: str | None,
    properties: Mapping[str, str],
    tags: Collection[str],
) -> Iterator[Words]:
    """Yield what an image can be filtered by inside a scope.

    Nearly every image is active, so a list of those would be the scope once more.
    """
    if status is not None and status != "active":
        yield ("status", status)
    if name is not None:
        yield ("name", name)
    for tag in tags:
        yield ("tag", tag)
    for key, value in properties.items():
        yield ("property", key, value)


def scopes_of(owner: str | None, visibility: str, hidden: bool) -> Iterator[Scope]:
    """Yield the scopes whose lists show an image with all its labels."""
    yield Scope("all", "", visibility, hidden)
    if owner is not None:
        yield Scope("owner", owner, visibility, hidden)


def lists_with(scopes: Iterable[Scope], labels: Iterable[Words]) -> set[bytes]:
    """Return the lists of scopes, plain and with each label."""
    every = ((), *labels)
    return {list_id(scope, label) for scope in scopes for label in every}


def member_list(project_id: str, status: MemberStatus, hidden: bool) -> bytes:
    """Return the list of what was shared with a project and has this answer of it."""
    return list_id(Scope("member", project_id, status.value, hidden))


@dataclass(frozen=True, slots=True)
class Branch:
    """One list to walk, others in which its images must be as well, and an owner to look at.

    ``is_plain`` says that the list is the whole scope, without a label.
    """

    scope: Scope
    walked: bytes
    also: tuple[bytes, ...] = ()
    owner: str | None = None
    is_plain: bool = True

    def choices(self) -> tuple[bytes, ...]:
        """Return the lists of which any could be the one to walk, when there are several."""
        return (self.walked, *self.also) if self.also else ()

    def walking_the_shortest(self, length: Mapping[bytes, int]) -> Branch:
        """Return the branch with its choices in the order of their lengths."""
        if not self.choices():
            return self
        walked, *also = sorted(self.choices(), key=lambda name: length[name])
        return replace(self, walked=walked, also=tuple(also))


@dataclass(frozen=True, slots=True)
class Plan:
    """The branches that together answer a query, and the conditions that no list stands for."""

    branches: tuple[Branch, ...]
    conditions: tuple[Condition, ...]


def plan(query: ImageQuery) -> Plan:
    """Return which lists answer a query."""
    listed, conditions = _listed_conditions(query.conditions)
    owner, status, name = (listed.get(column) for column in ("owner", "status", "name"))
    labels = tuple(labels_of(status, name, query.properties or {}, sorted(query.tags)))
    branches = (
        branch
        for hidden in ((False, True) if query.os_hidden is None else (query.os_hidden,))
        for scope in _scopes(query, hidden)
        if (branch := _branch(scope, labels, owner)) is not None
    )
    return Plan(tuple(dict.fromkeys(branches)), conditions)


def _listed_conditions(
    conditions: tuple[Condition, ...],
) -> tuple[dict[str, str], tuple[Condition, ...]]:
    """Take out the values for which there are lists: the first owner, status and name."""
    listed: dict[str, str] = {}
    rest = []
    for condition in conditions:
        column, value = condition.column, condition.value
        if (
            column in ("owner", "status", "name")
            and column not in listed
            and condition.comparison is Comparison.EQ
            and isinstance(value, str)
            and (column, value) != ("status", "active")
        ):
            listed[column] = value
        else:
            rest.append(condition)
    return listed, tuple(rest)


def _scopes(query: ImageQuery, hidden: bool) -> Iterator[Scope]:
    """Yield the scopes that the viewer sees under the query's visibility."""
    me = query.viewer.project_id
    for visibility in Visibility if query.visibility is None else (query.visibility,):
        of = visibility.value
        if _is_open(query, visibility):
            yield Scope("all", "", of, hidden)
            continue
        if me is not None:
            yield Scope("owner", me, of, hidden)
        if me is not None and visibility is Visibility.SHARED:
            statuses = MemberStatus if query.member_status is None else (query.member_status,)
            for status in statuses:
                yield Scope("member", me, status.value, hidden)


def _is_open(query: ImageQuery, visibility: Visibility) -> bool:
    """Say whether the viewer sees everybody's images of a visibility."""
    if visibility is Visibility.COMMUNITY:
        return query.all_visibilities or query.visibility is Visibility.COMMUNITY
    return query.viewer.is_admin or visibility is Visibility.PUBLIC


def _branch(scope: Scope, labels: tuple[Words, ...], owner: str | None) -> Branch | None:
    """Return how a scope is walked under labels and an owner; None when nothing can be in it."""
    if scope.kind == "member":
        # Entering an image under each label for each of its members would cost members times
        # labels rows, so these lists are plain; what is shared has its labels in the scope "all".
        everybody = Scope("all", "", Visibility.SHARED.value, scope.hidden)
        also = tuple(list_id(everybody, label) for label in labels)
        return Branch(scope, list_id(scope), also, owner, is_plain=not labels)
    if owner is not None:
        if scope.kind == "owner" and scope.project != owner:
            return None
        scope = Scope("owner", owner, scope.of, scope.hidden)
    if not labels:
        return Branch(scope, list_id(scope))
    walked, *also_in = (list_id(scope, label) for label in labels)
    return Branch(scope, walked, tuple(also_in), is_plain=False)
