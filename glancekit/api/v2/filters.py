# SPDX-License-Identifier: Apache-2.0
"""The query string of a list of images, as a query of the model. Answering is the services'."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from werkzeug.exceptions import BadRequest

from glancekit.api.paging import Params, page_limit
from glancekit.core.model.image import MemberStatus, Visibility
from glancekit.core.model.listing import SORT_KEYS, Comparison, Condition, ImageQuery, SortKey
from glancekit.services.world import Settings

_PAGING = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir"})
_VIEW = frozenset({"visibility", "member_status", "os_hidden", "tag"})
_IGNORED = frozenset({"deleted"})
"""Sent by old clients; deleted images are never listed."""

_WITH_SETS = frozenset({"id", "name", "status", "container_format", "disk_format"})
"""Columns whose values may begin with ``in:`` or ``eq:``."""

_TEXTS = _WITH_SETS | {"owner", "checksum", "os_hash_algo", "os_hash_value"}
_INTEGERS = frozenset({"size", "virtual_size", "min_ram", "min_disk"})
_TIMES = frozenset({"created_at", "updated_at"})

_SET_ITEM = re.compile(r'(?:"([^"]*)"|([^",]*))(?:,|\Z)')

_INTEGER = re.compile(r"-?\d{1,18}\Z", re.ASCII)

_ORDERED = frozenset(comparison.value for comparison in Comparison) - {"in"}
"""Operators of times."""

_Choice = TypeVar("_Choice", Visibility, MemberStatus)

_SECOND = timedelta(seconds=1)
_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 58, tzinfo=UTC)
"""Beyond it there is no next second to compare with."""


def parse_filters(params: Params, settings: Settings) -> ImageQuery:
    """Return the query that a list request asks for; the viewer is filled in by the service."""
    single = {name: value for name, value in params if name != "tag"}
    if "changes-since" in single:
        raise BadRequest("The filter changes-since is not supported; use updated_at=gte:...")
    conditions: list[Condition] = []
    properties: dict[str, str] = {}
    for name, value in single.items():
        if name in _PAGING or name in _VIEW or name in _IGNORED:
            continue
        found = _conditions(name, value)
        if found is None:
            properties[name] = value
        else:
            conditions.extend(found)
    visibility, all_visibilities = _visibility(single.get("visibility"))
    return ImageQuery(
        limit=page_limit(
            single.get("limit"),
            default=settings.limit_param_default,
            maximum=settings.api_limit_max,
        ),
        marker=single.get("marker"),
        sort=parse_sort(params),
        conditions=tuple(conditions),
        properties=properties or None,
        tags=frozenset(value for name, value in params if name == "tag"),
        visibility=visibility,
        all_visibilities=all_visibilities,
        member_status=_member_status(single.get("member_status", "accepted")),
        os_hidden=_flag("os_hidden", single.get("os_hidden", "false").lower()),
    )


# -- conditions on columns ---------------------------------------------------------------------


def _conditions(name: str, value: str) -> Iterable[Condition] | None:
    """Return what a parameter asks of a column, None when it names no column."""
    if name in _WITH_SETS:
        return (_set_condition(name, value),)
    if name in _TEXTS:
        return (Condition(name, Comparison.EQ, value),)
    if name in _TIMES:
        return _time_conditions(name, value)
    if name in _INTEGERS:
        return (_integer_condition(name, value),)
    if name == "protected":
        return (Condition(name, Comparison.EQ, _flag(name, value)),)
    if name.endswith(("_min", "_max")):
        return (_bound(name, value),)
    return None


def _set_condition(name: str, text: str) -> Condition:
    operator, colon, value = text.partition(":")
    if not colon:
        return Condition(name, Comparison.EQ, text)
    if operator == "in":
        return Condition(name, Comparison.IN, _set_items(name, value))
    if operator == "eq":
        return Condition(name, Comparison.EQ, value)
    raise BadRequest(
        f"The filter {name} knows the operators in: and eq:, not '{operator[:40]}:'; "
        f"a value with a colon in it is written {name}=eq:{text[:80]}"
    )


def _set_items(name: str, text: str) -> tuple[str, ...]:
    """Split at commas; what is in double quotes may have commas in it."""
    items: list[str] = []
    position = 0
    while position < len(text):
        match = _SET_ITEM.match(text, position)
        if match is None:
            raise BadRequest(f"The quotes in the filter {name}=in:{text[:80]} are not balanced.")
        items.append(match[2] if match[1] is None else match[1])
        position = match.end()
    return tuple(items)


def _time_conditions(name: str, text: str) -> tuple[Condition, ...]:
    """Compare as clients see times: in whole seconds, though records keep microseconds."""
    operator, _, rest = text.partition(":")
    if operator in _ORDERED:
        comparison, text = Comparison(operator), rest
    else:
        comparison = Comparison.EQ
    moment = _time(name, text)
    if moment.microsecond:
        return (Condition(name, comparison, moment),)
    end = moment + _SECOND
    if comparison is Comparison.EQ:
        return (Condition(name, Comparison.GTE, moment), Condition(name, Comparison.LT, end))
    if comparison is Comparison.GT:
        return (Condition(name, Comparison.GTE, end),)
    if comparison is Comparison.LTE:
        return (Condition(name, Comparison.LT, end),)
    return (Condition(name, comparison, moment),)


def _time(name: str, text: str) -> datetime:
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"The filter {name} needs a time such as 2024-05-01T12:00:00Z."
        ) from error
    return min(moment, _LAST_MOMENT)


def _integer_condition(name: str, text: str) -> Condition:
    if _INTEGER.match(text):
        return Condition(name, Comparison.EQ, int(text))
    # Not a number, so no image has it. Upstream answers with an empty list, and so do we; no
    # column holds a negative number.
    return Condition(name, Comparison.EQ, -1)


def _bound(name: str, text: str) -> Condition:
    column = name[:-4]
    if column not in _INTEGERS:
        raise BadRequest(
            f"There is no filter {name}: '{column[:80]}' is not a number of an image."
        )
    if not _INTEGER.match(text):
        raise BadRequest(f"The filter {name} needs an integer.")
    comparison = Comparison.GTE if name.endswith("_min") else Comparison.LTE
    return Condition(column, comparison, int(text))


# -- the view ----------------------------------------------------------------------------------


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise BadRequest(f"The filter {name} is 'true' or 'false', not '{text[:40]}'.")
    return text == "true"


def _visibility(text: str | None) -> tuple[Visibility | None, bool]:
    if text is None:
        return None, False
    if text == "all":
        return None, True
    return _one_of("visibility", Visibility, text), False


def _member_status(text: str) -> MemberStatus | None:
    return None if text == "all" else _one_of("member_status", MemberStatus, text)


def _one_of(name: str, kind: type[_Choice], text: str) -> _Choice:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join([choice.value for choice in kind] + ["all"])
        raise BadRequest(f"The filter {name} is one of {known}, not '{text[:40]}'.") from None


# -- the order ---------------------------------------------------------------------------------


def parse_sort(params: Params) -> tuple[SortKey, ...]:
    """Return the order: ``sort=name:asc,size``, or pairs of ``sort_key`` and ``sort_dir``."""
    sorts = [value for name, value in params if name == "sort"]
    keys = [value for name, value in params if name == "sort_key"]
    directions = [value for name, value in params if name == "sort_dir"]
    if sorts and (keys or directions):
        raise BadRequest("sort cannot be mixed with sort_key and sort_dir.")
    pairs = _new_style(sorts[-1]) if sorts else _old_style(keys, directions)
    order: dict[str, bool] = {}
    for key, direction in pairs:
        if key not in SORT_KEYS:
            raise BadRequest(f"Cannot sort by '{key[:40]}'; there are {', '.join(SORT_KEYS)}.")
        if direction not in ("asc", "desc"):
            raise BadRequest(f"A sort direction is asc or desc, not '{direction[:40]}'.")
        order.setdefault(key, direction == "desc")
    return tuple(SortKey(key, descending) for key, descending in order.items())


def _new_style(text: str) -> list[tuple[str, str]]:
    pairs = []
    for item in text.split(","):
        key, colon, direction = item.strip().partition(":")
        pairs.append((key.strip(), direction.strip() if colon else "desc"))
    return pairs


def _old_style(keys: list[str], directions: list[str]) -> list[tuple[str, str]]:
    keys = keys or ["created_at"]
    directions = directions or ["desc"]
    if len(directions) == 1:
        directions = directions * len(keys)
    if len(directions) != len(keys):
        raise BadRequest("There must be one sort_dir for all, or as many as there are sort_keys.")
    return list(zip(keys, directions, strict=True))
