# SPDX-License-Identifier: Apache-2.0
"""Segments that no image is made of: what a writer left that died, and nobody discarded.

Which containers are looked at is the business of ``accounts``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from glancekit.plugin import Remnant
from glancekit_swift_store.objects import Container, Listed

_NAME = re.compile(
    r"(?P<image_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"(?:/(?P<write>[0-9a-f]{32})/[0-9]{5})?"
)
"""An image, or a segment of one write of it."""


@dataclass(slots=True)
class _Image:
    """What a container has of one image: the object, if it is one of segments, and when the last
    segment of each write came. Without an id: of what no write of this driver has made."""

    id: str | None = None
    is_joined: bool = False
    writes: dict[str, datetime] = field(default_factory=dict)

    def see(self, entry: Listed) -> None:
        """Note what one line of the listing says."""
        if entry.name == self.id:
            self.is_joined = entry.is_static
        elif (match := _NAME.fullmatch(entry.name)) is not None:
            write = match["write"]
            self.writes[write] = max(entry.at, self.writes.get(write, entry.at))


def leftovers(container: Container, age: float) -> Iterator[Remnant | None]:
    """Yield the segments of writes of which no segment is younger and no image is made; None after
    requests that found none.

    One listing tells of nearly all images that their segments are needed: an object of segments,
    and the segments of one write. Only where it does not, the object itself is asked.
    """
    until = datetime.now(UTC) - timedelta(seconds=age)
    image = _Image()
    for page in container.pages(""):
        for entry in page:
            if (image_id := _image_id_of(entry)) != image.id:
                yield from _left_of(image, container, until)
                image = _Image(image_id)
            image.see(entry)
        yield None
    yield from _left_of(image, container, until)


def sweep(container: Container, remnant: Remnant) -> None:
    """Remove them, unless an image is made of them after all."""
    prefix = remnant.name.removeprefix(f"{container.name}/")
    if not container.needs(str(remnant.image_id), prefix):
        container.remove_beginning_with(prefix)


def _left_of(image: _Image, container: Container, until: datetime) -> Iterator[Remnant | None]:
    if image.id is None or (image.is_joined and len(image.writes) == 1):
        return
    for write, newest in image.writes.items():
        if newest <= until:
            prefix = _prefix(image.id, write)
            is_needed = container.needs(image.id, prefix)
            yield None if is_needed else Remnant(f"{container.name}/{prefix}", image.id)


def _image_id_of(entry: Listed) -> str | None:
    """Return whose a name is; None for one that no write of this driver has.

    Names come in order, so that those of one image follow one another: an image's id, what
    upstream made of it with a dash, then with a slash what we did.
    """
    match = _NAME.match(entry.name)
    return match["image_id"] if match is not None else None


def _prefix(image_id: str, write: str) -> str:
    return f"{image_id}/{write}/"
