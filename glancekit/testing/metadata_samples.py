# SPDX-License-Identifier: Apache-2.0
"""Random records and queries for the metadata suite, the same for the same seed. No tests here."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from glancekit.core.model.identity import Viewer
from glancekit.core.model.image import Image, MemberStatus, Visibility
from glancekit.core.model.listing import SORT_KEYS, Comparison, Condition, ImageQuery, SortKey
from glancekit.core.model.status import ImageStatus

MORNING = datetime(2024, 2, 29, 6, 30, 0, 123456, tzinfo=UTC)
"""When the images of the tests were made, the first of them."""

ME, OTHER, STRANGER = "me", "other", "stranger"
"""The projects of the tests."""

UNICODE = "Grüße, 世界 🐧 \\ \" ' % _ \t\n é e\u0301"
"""A text that goes wrong wherever text can."""

WALKED = [
    (SortKey(column, descending),)
    for column in ("created_at", "name", "updated_at")
    for descending in (False, True)
]
"""The orders in which clients usually ask for pages."""


def sample_images(choose: random.Random, count: int, **facts: Any) -> list[Image]:
    """Return images with nulls, ties in time, odd words, and everything else that sorts badly."""
    return [
        Image(
            **{
                "id": str(uuid.UUID(int=choose.getrandbits(128), version=4)),
                "owner": choose.choice([ME, OTHER, STRANGER, None]),
                "status": choose.choice([ImageStatus.ACTIVE, ImageStatus.QUEUED]),
                "visibility": choose.choice(
                    [Visibility.PUBLIC, Visibility.SHARED, Visibility.PRIVATE]
                ),
                "name": choose.choice([None, "", "a", "A", "b", "ä", "z ", "世界"]),
                "disk_format": choose.choice([None, "raw", "qcow2"]),
                "container_format": choose.choice([None, "bare", "ovf"]),
                "size": choose.choice([None, 0, 1, 1 << 40]),
                "min_ram": choose.choice([0, 1, 512]),
                "protected": choose.random() < 0.3,
                "os_hidden": choose.random() < 0.2,
                "created_at": MORNING + timedelta(seconds=choose.randrange(8)),
                "updated_at": MORNING + timedelta(seconds=choose.randrange(8)),
                "tags": frozenset(choose.sample("stuvw", choose.randrange(3))),
                "properties": {key: choose.choice("12") for key in choose.sample("pqr", 2)},
                **facts,
            }
        )
        for _ in range(count)
    ]


def a_query(choose: random.Random, sample: Sequence[Image]) -> ImageQuery:
    """Return a query of any kind, often of the usual one."""
    conditions = conditions_on(sample)
    sort = tuple(
        SortKey(column, choose.random() < 0.5)
        for column in choose.sample(SORT_KEYS, choose.choice((1, 1, 2)))
    )
    return ImageQuery(
        viewer=Viewer(project_id=choose.choice([ME, OTHER, None]), is_admin=choose.random() < 0.3),
        limit=choose.choice([1, 4, 50]),
        sort=choose.choice([(SortKey("created_at", choose.random() < 0.7),), sort]),
        conditions=tuple(choose.sample(conditions, choose.choice((0, 0, 1, 2)))),
        properties=choose.choice([None, None, {"p": "1"}, {"p": "1", "q": "2"}]),
        tags=choose.choice([frozenset(), frozenset(), frozenset("s"), frozenset("st")]),
        visibility=choose.choice([None, None, *Visibility]),
        all_visibilities=choose.random() < 0.2,
        member_status=choose.choice([MemberStatus.ACCEPTED, None, MemberStatus.PENDING]),
        os_hidden=choose.choice([False, None, True]),
    )


def conditions_on(sample: Sequence[Image]) -> list[Condition]:
    """Return conditions of each kind on values that some of these images have."""
    one = sample[0]
    texts: dict[str, tuple[str, ...]] = {
        "id": (one.id, sample[1].id),
        "name": ("a", "ä"),
        "owner": (ME, OTHER),
        "status": (ImageStatus.ACTIVE.value, ImageStatus.SAVING.value),
        "disk_format": ("raw", "iso"),
        "container_format": ("bare", "ovf"),
    }
    found = [Condition(column, Comparison.IN, words) for column, words in texts.items()]
    found += [Condition("name", Comparison.IN, ("nothing",))]
    for column, words in texts.items():
        found += [Condition(column, kind, words[0]) for kind in (Comparison.EQ, Comparison.NEQ)]
    for column, value in (
        ("size", 1),
        ("min_ram", 1),
        ("created_at", one.created_at),
        ("updated_at", one.updated_at),
    ):
        kinds = (kind for kind in Comparison if kind is not Comparison.IN)
        found += [Condition(column, kind, value) for kind in kinds]
    found += [Condition("protected", Comparison.EQ, value) for value in (True, False)]
    return found


def meets(image: Image, condition: Condition) -> bool:
    """Say whether a list of images that are not hidden has this one under a condition."""
    if image.os_hidden:
        return False
    value: Any = getattr(image, condition.column)
    wanted: Any = condition.value
    if value is None:
        return False
    match condition.comparison:
        case Comparison.EQ:
            return bool(value == wanted)
        case Comparison.NEQ:
            return bool(value != wanted)
        case Comparison.IN:
            return value in wanted
        case Comparison.GT:
            return bool(value > wanted)
        case Comparison.GTE:
            return bool(value >= wanted)
        case Comparison.LT:
            return bool(value < wanted)
        case Comparison.LTE:
            return bool(value <= wanted)


def rank(value: Any) -> tuple[bool, Any]:
    """Return what sorts a value before every null."""
    return (True, 0) if value is None else (False, value)
