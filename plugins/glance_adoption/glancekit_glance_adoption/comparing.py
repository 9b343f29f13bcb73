# SPDX-License-Identifier: Apache-2.0
"""Two services held against each other over their APIs: what one shows and the other does not.

Where taking over changes something on purpose (see findings.py), that is no difference.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from glancekit.plugin import GlancekitError, TaskStatus, TaskType
from glancekit_glance_adoption.endpoint import AT_ONCE, PAGE, Endpoint
from glancekit_glance_adoption.progress import Tally, untold
from glancekit_glance_adoption.reading import IN_FLIGHT, NOT_ENDED, NOTES

Record = dict[str, Any]
Pair = tuple[Record, Record]

COMPARED = ("images", "tasks", "namespaces", "definitions")
"""What is counted."""

_LINKS = frozenset({"self", "file", "schema", "direct_url", "locations", "stores", "tags"})
"""What follows from other things, or is compared for itself."""

_FOUND_OUT = ("virtual_size", "checksum", "os_hash_algo", "os_hash_value")
"""What the updater finds out about images of which nobody knew it."""

_CREDENTIALS = re.compile(r"//[^/@]+@")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same; None stands for what is not there at all."""

    kind: str
    thing: str
    what: str
    there: Any
    here: Any

    def row(self) -> dict[str, Any]:
        """Return it for a table or a program; no credential is shown."""
        there, here = (_shown(value) for value in (self.there, self.here))
        row = {"kind": self.kind, "thing": self.thing, "what": self.what}
        return {**row, "there": there, "here": here}


class Comparison:
    """One run over everything; ``compared`` counts what was looked at."""

    def __init__(self, there: Endpoint, here: Endpoint, tally: Tally = untold) -> None:
        self._there = there
        self._here = here
        self._tally = tally
        self._locations_told = False
        self.compared: Counter[str] = Counter()

    def run(self) -> Iterator[Difference]:
        """Yield every difference.

        :raises GlancekitError: when one of them does not answer.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for hidden in (False, True):
                yield from self._images(threads, hidden)
            yield from self._tasks(threads)
        yield from self._namespaces()
        yield from self._resource_types()

    # -- images

    def _images(self, threads: ThreadPoolExecutor, hidden: bool) -> Iterator[Difference]:
        there = self._there.images(hidden=hidden)
        here = self._here.images(hidden=hidden)
        pairs = self._paired("image", "id", there, here)
        while batch := list(islice(pairs, PAGE)):
            both = [item for item in batch if not isinstance(item, Difference)]
            yield from (item for item in batch if isinstance(item, Difference))
            for found in threads.map(self._image, both):
                yield from found
            self._count("images", len(batch))

    def _image(self, pair: Pair) -> list[Difference]:
        there, here = as_taken_over(pair[0]), as_taken_over(pair[1])
        here = _without_news(there, here)
        name = there["id"]
        found = list(_fields("image", name, there, here, _LINKS))
        if set(there["tags"]) != set(here["tags"]):
            found.append(Difference("tag", name, "tags", there["tags"], here["tags"]))
        found += self._members(name)
        if there["status"] != "queued":
            found += self._locations(name, pair)
        return found

    def _members(self, image_id: str) -> list[Difference]:
        path = f"/v2/images/{image_id}/members"
        (status, there), (our_status, here) = self._there.ask(path), self._here.ask(path)
        if status != our_status:
            return [Difference("member", image_id, "answer", status, our_status)]
        if there is None:
            return []
        theirs, ours = (
            {one["member_id"]: one for one in content["members"]} for content in (there, here)
        )
        return list(_keyed("member", f"{image_id}: ", theirs, ours, {"schema"}))

    def _locations(self, image_id: str, pair: Pair) -> list[Difference]:
        answers = []
        for service, image in zip((self._there, self._here), pair, strict=True):
            if "locations" in image:
                answers.append(image["locations"])
                continue
            status, content = service.ask(f"/v2/images/{image_id}/locations")
            if status != 200:
                return self._locations_not_shown(service, status)
            answers.append(content)
        theirs, ours = _by_store(answers[0]), _by_store(answers[1])
        if "" in theirs:  # one that does not say in which store it is; ours always do
            same = sorted(map(str, theirs.values())) == sorted(map(str, ours.values()))
        else:
            same = theirs == ours
        if same:
            return []
        return [Difference("location", image_id, "locations", theirs, ours)]

    def _locations_not_shown(self, service: Endpoint, status: int) -> list[Difference]:
        if self._locations_told:
            return []
        self._locations_told = True
        what = f"not compared: {service.name} does not show them; give the caller the role service"
        there, here = (status if service is one else None for one in (self._there, self._here))
        return [Difference("location", "all", what, there, here)]

    # -- tasks

    def _tasks(self, threads: ThreadPoolExecutor) -> Iterator[Difference]:
        now = datetime.now(UTC).isoformat()
        there = (one for one in self._there.tasks() if _lives_on(one, now))
        here = (one for one in self._here.tasks() if _lives_on(one, now))
        pairs = self._paired("task", "id", there, here)
        while batch := list(islice(pairs, PAGE)):
            both = [item for item in batch if not isinstance(item, Difference)]
            yield from (item for item in batch if isinstance(item, Difference))
            for found in threads.map(self._task, both):
                yield from found
            self._count("tasks", len(batch))

    def _task(self, pair: Pair) -> list[Difference]:
        path = f"/v2/tasks/{pair[0]['id']}"
        there, here = (service.read(path) for service in (self._there, self._here))
        return list(_fields("task", there["id"], _task_as_taken_over(there), here, _LINKS))

    # -- metadata definitions

    def _namespaces(self) -> Iterator[Difference]:
        there, here = self._there.namespaces(), self._here.namespaces()
        theirs, ours = ({one["namespace"] for one in found} for found in (there, here))
        for name in sorted(theirs | ours):
            if name not in theirs or name not in ours:
                yield _missing("namespace", name, name in theirs)
            else:
                yield from self._namespace(name)
            self._count("namespaces", 1)

    def _namespace(self, name: str) -> Iterator[Difference]:
        there, here = self._there.namespace(name), self._here.namespace(name)
        if there is None or here is None:
            # A Glance cannot show one whose name is not ASCII, though it lists it.
            what = "not compared: it is listed and cannot be shown"
            yield Difference("namespace", name, what, there and "shown", here and "shown")
            return
        parts = {"properties", "objects", "tags", "resource_type_associations"}
        times = {"created_at", "updated_at"}
        yield from _fields("namespace", name, there, here, parts | times | _LINKS)
        for part in sorted(parts):
            theirs, ours = (_definitions(one.get(part) or ()) for one in (there, here))
            yield from _keyed(part, f"{name}: ", theirs, ours, times | {"self", "schema"})
            self._count("definitions", len(theirs))

    def _resource_types(self) -> Iterator[Difference]:
        theirs = {one["name"] for one in self._there.resource_types()}
        ours = {one["name"] for one in self._here.resource_types()}
        for name in sorted(theirs ^ ours):
            yield _missing("resource type", name, name in theirs)

    # -- how

    def _paired(
        self, kind: str, key: str, there: Iterable[Record], here: Iterable[Record]
    ) -> Iterator[Pair | Difference]:
        """Walk along both, which are in the same order, and yield what belongs together."""
        theirs = _ordered(self._there.name, key, there)
        ours = _ordered(self._here.name, key, here)
        left, right = next(theirs, None), next(ours, None)
        while left is not None or right is not None:
            if left is not None and right is not None and left[key] == right[key]:
                yield left, right
                left, right = next(theirs, None), next(ours, None)
            elif right is None or (left is not None and left[key] < right[key]):
                assert left is not None
                yield _missing(kind, left[key], True)
                left = next(theirs, None)
            else:
                yield _missing(kind, right[key], False)
                right = next(ours, None)

    def _count(self, kind: str, more: int) -> None:
        self.compared[kind] += more
        self._tally(kind, more)


def _without_news(there: Record, here: Record) -> Record:
    """Return our record of an image without what was found out since it was taken over.

    That we know more of it, and since when, is no difference.
    """
    news = [name for name in _FOUND_OUT if there.get(name) is None and here.get(name) is not None]
    if not news:
        return here
    return {**here, **dict.fromkeys(news), "updated_at": there.get("updated_at")}


def as_taken_over(image: Mapping[str, Any]) -> Record:
    """Return an image as it is when it was taken over; one that was looks the same."""
    taken = {key: value for key, value in image.items() if key not in NOTES}
    if taken["status"] in IN_FLIGHT:
        taken.update(status="queued", size=None, virtual_size=None)
    return taken


def _task_as_taken_over(task: Mapping[str, Any]) -> Record:
    if task["status"] in (TaskStatus.SUCCESS, TaskStatus.FAILURE):
        return dict(task)
    return {**task, "status": "failure", "message": NOT_ENDED}


def _lives_on(task: Mapping[str, Any], now: str) -> bool:
    return task["type"] in frozenset(TaskType) and (task.get("expires_at") or "9") > now


def _ordered(service: str, key: str, records: Iterable[Record]) -> Iterator[Record]:
    last = ""
    for record in records:
        if record[key] < last:
            raise GlancekitError(f"{service} does not list its records in the order of their ids")
        last = record[key]
        yield record


def _fields(
    kind: str, name: str, there: Record, here: Record, besides: Iterable[str]
) -> Iterator[Difference]:
    """Yield the fields that differ; one that is not there is the same as one without a value."""
    for field in sorted((there.keys() | here.keys()) - set(besides)):
        theirs, ours = there.get(field), here.get(field)
        if (theirs or None) != (ours or None) and theirs != ours:
            yield Difference(kind, name, field, theirs, ours)


def _keyed(
    kind: str,
    prefix: str,
    there: Mapping[str, Record],
    here: Mapping[str, Record],
    besides: Iterable[str],
) -> Iterator[Difference]:
    for name in sorted(there.keys() | here.keys()):
        if name not in there or name not in here:
            yield _missing(kind, f"{prefix}{name}", name in there)
        else:
            yield from _fields(kind, f"{prefix}{name}", there[name], here[name], besides)


def _missing(kind: str, name: str, is_there: bool) -> Difference:
    there, here = ("is there", None) if is_there else (None, "is there")
    return Difference(kind, name, "all of it", there, here)


def _by_store(locations: Iterable[Record]) -> dict[str, Any]:
    """Return the first location of each store, without the store."""
    found: dict[str, Any] = {}
    for location in locations:
        metadata = dict(location.get("metadata") or {})
        store = metadata.pop("store", metadata.pop("backend", ""))
        found.setdefault(store, {"url": location["url"], "metadata": metadata})
    return found


def _definitions(part: Any) -> dict[str, Record]:
    """Return definitions by name, whichever way they are listed."""
    named = part if isinstance(part, Mapping) else {one["name"]: one for one in part}
    return {name: _plain(dict(one)) for name, one in named.items()}


def _plain(definition: Record) -> Record:
    """Return a definition as both say it: the other service makes a text of every default."""
    plain = dict(definition)
    plain.pop("name", None)
    if plain.get("default") is not None:
        plain["default"] = str(plain["default"])
    if isinstance(plain.get("properties"), Mapping):
        plain["properties"] = {key: _plain(one) for key, one in plain["properties"].items()}
    return plain


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _CREDENTIALS.sub("//***@", str(value))
