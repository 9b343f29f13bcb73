# SPDX-License-Identifier: Apache-2.0
"""The list of an image's locations as a PATCH changes it, where the operator still lets clients.

What a location must be is the business of ``locations``; taking copies away, of ``stores``.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from glancekit.core.errors import Conflict, Forbidden, Invalid, SizeMismatch, StatusConflict
from glancekit.core.model.changes import LocationChange, NewLocation, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.quota import Quota
from glancekit.services import acting
from glancekit.services.images import find_visible, show
from glancekit.services.locations import (
    Placed,
    activate,
    locate,
    require_digest,
    require_room,
    scheme_of,
)
from glancekit.services.notices import about
from glancekit.services.quotas import allowance_for
from glancekit.services.stores import remove_copies
from glancekit.services.world import World

_OF_THIS_HOST = frozenset({"file", "filesystem"})
"""Schemes of URLs that would show a client what lies on the disks of the service."""

_CHANGEABLE = (ImageStatus.ACTIVE, ImageStatus.QUEUED)

_TRIES = 5
"""How often a change is begun anew when others change the image meanwhile."""


def change(
    world: World, caller: Identity, image_id: str, changes: Sequence[LocationChange]
) -> Image:
    """Apply all operations of a PATCH on locations, or none, and return the image.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, clients may not at all, or no location would stay.
    :raises StatusConflict: when the image is not in a state for it.
    :raises Conflict: when it was changed meanwhile, or has data in that store already.
    :raises Invalid: when no store has data at that place.
    :raises LimitExceeded: when it would have too many.
    """
    require_offered(world)
    removals = [change.position for change in changes if change.op is Op.REMOVE]
    if not removals:
        _place(world, caller, image_id, changes)
    elif len(removals) == len(changes):
        remove_copies(world, caller, image_id, lambda image: _at(world, image, removals))
    else:
        raise Invalid("Add locations and remove them in a PATCH each")
    return show(world, caller, image_id)


def require_offered(world: World) -> None:
    """Insist on the operator's leave to change locations this way at all.

    :raises Forbidden: when there is none.
    """
    if not world.settings.show_multiple_locations:
        raise Forbidden(
            action="change an image's locations: show_multiple_locations is off here; see "
            "POST /v2/images/{image_id}/locations"
        )


def _at(world: World, image: Image, positions: Sequence[int | None]) -> list[Location]:
    """Return what a row of removals takes, each counted on what the one before has left.

    Positions are those of the list as clients are shown it.
    """
    left, going = world.stores.by_preference(image.locations), []
    for position in positions:
        if position is None or position >= len(left):
            raise Invalid(f"Image {image.id} has no location at position {position}")
        going.append(left.pop(position))
    return going


@dataclass(slots=True)
class _Wanted:
    """What an image's locations shall be: those it has, with their metadata, and new ones."""

    kept: list[Location]
    new: list[NewLocation] = field(default_factory=list)

    def apply(self, change: LocationChange) -> None:
        """Apply one operation."""
        if change.op is Op.REPLACE:
            self._replace(change.locations)
            return
        count = len(self.kept) + len(self.new)
        if change.position is not None and change.position > count:
            raise Invalid(f"There is no position {change.position} in a list of {count} locations")
        for one in change.locations:
            if one.url in self._urls():
                raise Invalid("The image has a location with that URL already")
            self.new.append(one)

    def _replace(self, wanted: Sequence[NewLocation]) -> None:
        if not wanted:
            raise Forbidden(action="replace an image's locations by none")
        if len({one.url for one in wanted}) != len(wanted):
            raise Invalid("Two of the locations have the same URL")
        if not self._urls():
            self.new = list(wanted)
            return
        described = {one.url: one.metadata for one in wanted}
        urls = [_named_in(described, location) for location in self.kept]
        if described.keys() != set(urls) or self.new:
            raise Invalid("The image has locations; replacing them can change their metadata only")
        self.kept = [
            _described(location, described[url])
            for location, url in zip(self.kept, urls, strict=True)
        ]

    def _urls(self) -> set[str]:
        return {one.url for one in self.kept} | {one.url for one in self.new}


def _named_in(wanted: Container[str], location: Location) -> str:
    """Return the URL that a client has a location by: what it was shown, or what it gave."""
    return location.url if location.url in wanted else location.shown_url


def _described(location: Location, metadata: object) -> Location:
    own = dict(metadata) if isinstance(metadata, dict) else {}
    if own.pop("store", location.store) != location.store:
        raise Invalid("The store of a location cannot be changed")
    return replace(location, metadata=own)


def _place(
    world: World, caller: Identity, image_id: str, changes: Sequence[LocationChange]
) -> None:
    for _ in range(_TRIES):
        if _is_placed(world, caller, image_id, changes):
            return
    raise Conflict(f"Image {image_id} was changed by somebody else meanwhile")


def _is_placed(
    world: World, caller: Identity, image_id: str, changes: Sequence[LocationChange]
) -> bool:
    """Do it, unless the image was changed while the stores were asked."""
    with world.metadata.unit_of_work(read_only=True) as work:
        before = find_visible(world, work, caller, image_id)
        _require_changeable(world, caller, before)
    wanted = _Wanted(list(before.locations))
    for one in changes:
        wanted.apply(one)
    for new in wanted.new:
        _require_fit(world, before, new)
    asking = acting.with_caller(world, caller, before.owner)
    found = tuple(locate(asking, image_id, new) for new in wanted.new)
    _require_same_size(before, found)
    allowed = allowance_for(world, image_id)
    with world.metadata.unit_of_work() as work:
        image = find_visible(world, work, caller, image_id)
        _require_changeable(world, caller, image)
        if image.version != before.version:
            return False
        require_room(world, image, found)
        for location in wanted.kept:
            work.locations.save(location, expect_status=LocationStatus.ACTIVE)
        if image.status is ImageStatus.QUEUED and found:
            activate(work, caller, Placed(image, found, wanted.new[0]))
        else:
            for location in found:
                work.locations.add(location)
            work.images.save(image, expect_status={image.status})
            work.events.append(about(work.images.get(image_id), "image.update", caller))
        if found:
            allowed.require(work, image.owner, Quota.IMAGE_SIZE_TOTAL)
        work.commit()
    return True


def _require_changeable(world: World, caller: Identity, image: Image) -> None:
    for action in ("modify_image", "set_image_location"):
        world.access.require(caller, action, owner=image.owner, image=image)
    if image.status not in _CHANGEABLE:
        wanted = " or ".join(_CHANGEABLE)
        raise StatusConflict(image_id=image.id, status=image.status, wanted=wanted)


def _require_fit(world: World, image: Image, new: NewLocation) -> None:
    """Refuse what a client may not name, and digests where they would not be believed."""
    scheme = scheme_of(new.url)
    if scheme in _OF_THIS_HOST:
        raise Invalid(f"Invalid location: clients cannot name {scheme} URLs")
    if new.hash_value is None:
        return
    if image.status is not ImageStatus.QUEUED:
        _require_same_digests(image, new)
        return
    require_digest(new)
    if new.hash_algo != world.settings.hashing_algorithm:
        raise Invalid(f"os_hash_algo must be {world.settings.hashing_algorithm} here")


def _require_same_digests(image: Image, new: NewLocation) -> None:
    said = (new.checksum or image.checksum, new.hash_algo, new.hash_value)
    if said != (image.checksum, image.os_hash_algo, image.os_hash_value):
        raise Conflict(f"Image {image.id} has other digests than this location is said to have")


def _require_same_size(image: Image, found: Sequence[Location]) -> None:
    sizes = {location.size for location in found} | {image.size}
    known = sizes - {None}
    if len(known) > 1:
        expected = image.size if image.size is not None else found[0].size
        received = next(one.size for one in found if one.size not in (None, expected))
        raise SizeMismatch(expected=expected, received=received)
