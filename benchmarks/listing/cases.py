# SPDX-License-Identifier: Apache-2.0
"""The list pages that are measured: who asks, for what, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from glancekit.plugin import Comparison, Condition, ImageQuery, SortKey, Viewer

_VIEWERS = {
    "administrator": Viewer(project_id="operators", is_admin=True),
    "owner of few": Viewer(project_id="few"),
    "owner of many": Viewer(project_id="many"),
    "ordinary project": Viewer(project_id="project-7"),
}

_MIXED = ImageQuery(viewer=Viewer(project_id="mixed"), all_visibilities=True)
"""A member who asks for everything it may see: public, its own, accepted and community images."""

_FILTERS = {
    "common tag": ImageQuery(tags=frozenset({"production"})),
    "rare tag": ImageQuery(tags=frozenset({"rare"})),
    "common name": ImageQuery(conditions=(Condition("name", Comparison.EQ, "backup"),)),
    "rare name": ImageQuery(conditions=(Condition("name", Comparison.EQ, "rare"),)),
    "common property": ImageQuery(properties={"os_distro": "ubuntu"}),
    "rare property": ImageQuery(properties={"hw_rare": "yes"}),
    "status active": ImageQuery(conditions=(Condition("status", Comparison.EQ, "active"),)),
}

_SORTS = {
    "by name": (SortKey("name", False),),
    "by updated_at": (SortKey("updated_at"),),
}


def cases() -> Iterator[tuple[str, ImageQuery]]:
    """Yield names and queries of a first page of 25."""
    for who, viewer in _VIEWERS.items():
        yield who, ImageQuery(viewer=viewer)
    yield from _mixed_cases()
    for who in ("administrator", "owner of many", "ordinary project"):
        for name, query in _FILTERS.items():
            yield f"{who}, {name}", replace(query, viewer=_VIEWERS[who])
    for who in ("administrator", "owner of many", "ordinary project"):
        for name, sort in _SORTS.items():
            yield f"{who}, {name}", ImageQuery(viewer=_VIEWERS[who], sort=sort)


def _mixed_cases() -> Iterator[tuple[str, ImageQuery]]:
    yield "public, own, accepted, community", _MIXED
    for name, query in _FILTERS.items():
        asked = replace(query, viewer=_MIXED.viewer, all_visibilities=True)
        yield f"public, own, accepted, community, {name}", asked
    for name, sort in _SORTS.items():
        yield f"public, own, accepted, community, {name}", replace(_MIXED, sort=sort)
