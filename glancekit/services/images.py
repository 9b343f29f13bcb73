# SPDX-License-Identifier: Apache-2.0
"""Image records: create, show, list, change, delete. Moving their bytes is data's business."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import (
    BlobInUse,
    BlobNotFound,
    Forbidden,
    ImageNotFound,
    Protected,
    StoreError,
    StoreNotFound,
)
from glancekit.core.model.changes import Change, NewImage
from glancekit.core.model.identity import Identity, Viewer
from glancekit.core.model.image import Image, Location, Visibility
from glancekit.core.model.listing import Condition, ImageQuery, Page
from glancekit.core.model.status import ImageStatus, LocationStatus, require_transition
from glancekit.core.quota import Quota
from glancekit.services import acting, attributes, readers, restoring
from glancekit.services.cache.serving import forget
from glancekit.services.importing import records
from glancekit.services.metadefs import enforcement
from glancekit.services.notices import about
from glancekit.services.permitted import READ_AHEAD, fill_page
from glancekit.services.protections import Operation, View
from glancekit.services.quotas import allowance
from glancekit.services.removing import is_removed
from glancekit.services.world import World

log = logging.getLogger(__name__)

NO_IMAGES = Page((), is_full=False)

_WIDENING = {
    Visibility.PUBLIC: "publicize_image",
    Visibility.COMMUNITY: "communitize_image",
}
"""What making an image this visible needs, besides the right to change it."""


def create(world: World, caller: Identity, new: NewImage) -> Image:
    """Make a record without data, in status ``queued``.

    :raises Forbidden: when the caller may not, or not for that owner or visibility.
    :raises Invalid: when an attribute is not fit.
    :raises Duplicate: when the caller's id is or was in use.
    :raises LimitExceeded: when it has too many properties or tags, or its project too many images.
    """
    owner = new.owner if new.owner is not None else caller.project_id
    world.access.require(caller, "add_image", owner=owner)
    view = world.protections.view(caller)
    image = Image(
        id=attributes.image_id_text(new.id) if new.id else str(uuid.uuid4()),
        name=new.name,
        owner=owner,
        visibility=new.visibility,
        disk_format=new.disk_format,
        container_format=new.container_format,
        min_disk=new.min_disk,
        min_ram=new.min_ram,
        protected=new.protected,
        os_hidden=new.os_hidden,
        properties=new.properties,
        tags=frozenset(attributes.tag_text(tag) for tag in new.tags),
    )
    _require_visibility(world, caller, image)
    for name, value in image.properties.items():
        attributes.check_property(name, value)
        view.require(Operation.CREATE, name)
    attributes.check_whole(image, world.settings)
    allowed = allowance(world, owner)
    with world.metadata.unit_of_work() as work:
        enforcement.check(work, image)
        work.images.add(image)
        allowed.require(work, owner, Quota.IMAGE_COUNT_TOTAL)
        work.events.append(about(image, "image.create", caller))
        work.commit()
    return view.of(image)


def show(world: World, caller: Identity, image_id: str) -> Image:
    """Return one image, with the properties that the caller may read.

    :raises ImageNotFound: when there is none that the caller may see.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_visible(world, work, caller, image_id)
    return world.protections.view(caller).of(image)


def find_visible(world: World, work: UnitOfWork, caller: Identity, image_id: str) -> Image:
    """Return an image inside a unit of work, if the caller may see it.

    :raises ImageNotFound: when there is none, or it is on its way out.
    """
    image = work.images.get(image_id, viewer=Viewer.of(caller))
    hidden = image.status is ImageStatus.PENDING_DELETE
    if hidden or not _may_see(world, caller, image):
        raise ImageNotFound(image_id=image_id)
    return image


def find_permitted(
    world: World, work: UnitOfWork, caller: Identity, image_id: str, action: str
) -> Image:
    """Return an image inside a unit of work, if the caller may see it and do something to it.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may see it, but not do this.
    """
    image = find_visible(world, work, caller, image_id)
    world.access.require(caller, action, owner=image.owner, image=image)
    return image


def find_for(
    world: World, work: UnitOfWork, caller: Identity, image_id: str, action: str
) -> Image:
    """Return an image inside a unit of work, for something that asks for no right to see it.

    So services do what is theirs to do without being readers, too.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may see it, but not do this.
    """
    image = work.images.get(image_id, viewer=Viewer.of(caller))
    gone = image.status is ImageStatus.PENDING_DELETE
    if gone or not world.access.may(caller, action, owner=image.owner, image=image):
        return find_permitted(world, work, caller, image_id, action)
    return image


def find(world: World, caller: Identity, query: ImageQuery) -> Page:
    """Return a page of the images that the caller may see; the query's viewer is theirs.

    :raises Forbidden: when the caller may not list at all.
    :raises ImageNotFound: when the marker is unknown.
    """
    world.access.require(caller, "get_images", owner=caller.project_id)
    view = world.protections.view(caller)
    if not all(view.may(Operation.READ, name) for name in query.properties or ()):
        return NO_IMAGES  # what a caller may not read, no image has
    query = replace(query, viewer=Viewer.of(caller))
    with world.metadata.unit_of_work(read_only=True) as work:
        page = _find_permitted(world, work, caller, query)
    return Page(tuple(view.of(image) for image in page.images), page.is_full)


def _find_permitted(world: World, work: UnitOfWork, caller: Identity, query: ImageQuery) -> Page:
    """Return a page of what ``get_image`` permits.

    By the default rule a reader may see all that the viewer does, and nobody else anything.
    """
    if world.access.is_changed("get_image"):
        return _find_one_by_one(world, work, caller, query)
    if not world.access.may(caller, "get_image", owner=caller.project_id):
        return NO_IMAGES
    page = work.images.find(query)
    if all(_is_listed(caller, query, image) for image in page.images):
        return page
    return _find_one_by_one(world, work, caller, query)


def _find_one_by_one(world: World, work: UnitOfWork, caller: Identity, query: ImageQuery) -> Page:
    """Ask an operator's rule about each image; read on until the page is full or all is read."""
    if query.marker is not None:
        _require_marker(world, work, caller, query)
    ahead = replace(query, limit=max(query.limit, READ_AHEAD))

    def read(last: Image | None) -> tuple[Sequence[Image], bool]:
        page = work.images.find(ahead if last is None else replace(ahead, marker=last.id))
        return page.images, page.is_full

    def permits(image: Image) -> bool:
        return _is_listed(caller, query, image) and _may_see(world, caller, image)

    found, is_full = fill_page(query.limit, read, permits)
    return Page(found, is_full)


def _require_marker(world: World, work: UnitOfWork, caller: Identity, query: ImageQuery) -> None:
    image = work.images.get(query.marker or "", viewer=Viewer.of(caller))
    if not (_is_listed(caller, query, image) and _may_see(world, caller, image)):
        raise ImageNotFound(image_id=image.id)


def _is_listed(caller: Identity, query: ImageQuery, image: Image) -> bool:
    """Say whether an image is alive, or deleted and asked for by whoever may restore it."""
    if image.status is not ImageStatus.PENDING_DELETE:
        return True
    asked = any(
        condition.column == "status" and ImageStatus.PENDING_DELETE in _values(condition)
        for condition in query.conditions
    )
    return asked and restoring.may_list(caller, image)


def _values(condition: Condition) -> Collection[object]:
    value = condition.value
    return value if isinstance(value, tuple) else (value,)


def _may_see(world: World, caller: Identity, image: Image) -> bool:
    return world.access.may(caller, "get_image", owner=image.owner, image=image)


def update(world: World, caller: Identity, image_id: str, changes: Sequence[Change]) -> Image:
    """Apply all changes or none, and return the image as it then is.

    Every right is decided before anything is written, in the transaction that writes.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not change it, or not this way.
    :raises Conflict: when an attribute had to be there and is not, or the other way round.
    :raises Invalid: when a value is not fit.
    """
    view = world.protections.view(caller)
    with world.metadata.unit_of_work() as work:
        before = find_permitted(world, work, caller, image_id, "modify_image")
        seen = view.of(before)
        changed = _apply(view, seen, changes)
        if changed == seen:
            return seen
        after = view.restored(changed, before)
        _require_changes(world, caller, before, after)
        attributes.check_whole(after, world.settings, before=before)
        enforcement.check(work, after, before=before)
        saved = work.images.save(after, expect_status={before.status})
        work.events.append(about(saved, "image.update", caller))
        work.commit()
    if saved.visibility is not before.visibility:
        readers.follow(world, caller, saved)
    return view.of(saved)


def _apply(view: View, image: Image, changes: Sequence[Change]) -> Image:
    """Return an image as it is after the changes; it is the one that the caller sees."""
    for change in changes:
        changed = attributes.apply(image, change)
        if change.name not in attributes.WRITABLE:
            view.require_change(change.name, image, changed)
        image = changed
    return image


def _require_changes(world: World, caller: Identity, before: Image, after: Image) -> None:
    if after.owner != before.owner and not caller.is_admin:
        raise Forbidden(action="give an image to another owner")
    if after.visibility is not before.visibility:
        _require_visibility(world, caller, after)


def _require_visibility(world: World, caller: Identity, image: Image) -> None:
    action = _WIDENING.get(image.visibility)
    if action:
        world.access.require(caller, action, owner=image.owner, image=image)


def delete(world: World, caller: Identity, image_id: str) -> None:
    """Delete an image and its data, for good; its id stays taken.

    With ``delayed_delete`` the data stays for a while, and the image can be restored.

    A store that cannot remove its copy now does not keep the image alive: the reaper tries again.
    Only data that others depend on does.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises Protected: when the image is protected.
    :raises BlobInUse: when clones or snapshots depend on its data; everything is as it was.
    """

    def find(work: UnitOfWork) -> Image:
        image = find_permitted(world, work, caller, image_id, "delete_image")
        if image.protected:
            raise Protected(image_id=image_id)
        return image

    _delete(world, caller, find)


def delete_when(world: World, image_id: str, is_due: Callable[[Image], bool]) -> bool:
    """Delete an image in the service's own name, and return whether that was done.

    It is if the image, as it is then, is not protected and ``is_due`` says so.

    :raises ImageNotFound: when there is none.
    :raises BlobInUse: when clones or snapshots depend on its data; everything is as it was.
    """

    def find(work: UnitOfWork) -> Image | None:
        image = work.images.get(image_id)
        is_deleted = image.status is ImageStatus.PENDING_DELETE
        return None if is_deleted or image.protected or not is_due(image) else image

    return _delete(world, None, find)


def _delete(
    world: World, caller: Identity | None, find: Callable[[UnitOfWork], Image | None]
) -> bool:
    """Delete the image that ``find`` returns; False when that is none."""
    with world.metadata.unit_of_work() as work:
        image = find(work)
        if image is None:
            return False
        if not image.locations:
            _finish_delete(work, image, caller)
            work.commit()
            return True
        is_kept = world.settings.delayed_delete
        if is_kept:
            restoring.put_away(work, image, caller)
        condemned = [] if is_kept else _condemn(world, work, image)
        work.commit()
    forget(world, image.id)
    if is_kept:
        return True
    asking = world if caller is None else acting.with_caller(world, caller, image.owner)
    try:
        left = [location for location in condemned if not remove_bytes(asking, location)]
    except BlobInUse:
        _reprieve(asking, image, condemned)
        raise
    with world.metadata.unit_of_work() as work:
        for location in condemned:
            if location in left:
                abandoned = replace(location, holder=None)
                work.locations.save(abandoned, expect_status=LocationStatus.PENDING_DELETE)
            elif location.id is not None:
                work.locations.remove(location.id)
        _finish_delete(work, work.images.get(image.id), caller)
        work.commit()
    return True


def _condemn(world: World, work: UnitOfWork, image: Image) -> list[Location]:
    """Write down that image and bytes are about to go, before the first byte does.

    Returns the copies whose bytes are the caller's to remove. One that is being repaired is not:
    whoever is at it lets go of it when it sees, and the reaper removes it then.
    """
    require_transition(image.id, image.status, ImageStatus.PENDING_DELETE)
    doomed = replace(image, status=ImageStatus.PENDING_DELETE)
    work.images.save(doomed, expect_status={image.status})
    condemned = [
        replace(
            location,
            status=LocationStatus.PENDING_DELETE,
            holder=location.holder or world.lease.holder,
        )
        for location in image.locations
    ]
    for location in condemned:
        work.locations.save(location, expect_status=LocationStatus.ACTIVE)
    repaired = {location.id for location in image.locations if location.holder is not None}
    return [location for location in condemned if location.id not in repaired]


def _reprieve(world: World, image: Image, condemned: Sequence[Location]) -> None:
    """Put back what ``_condemn`` wrote; copies that were removed before the refusal stay away."""
    with world.metadata.unit_of_work() as work:
        kept = [location for location in condemned if _still_there(world, location)]
        for location in condemned:
            if location in kept:
                alive = replace(location, status=LocationStatus.ACTIVE, holder=None)
                work.locations.save(alive, expect_status=LocationStatus.PENDING_DELETE)
            elif location.id is not None:
                work.locations.remove(location.id)
        doomed = work.images.get(image.id)
        restored = replace(doomed, status=image.status)
        work.images.save(restored, expect_status={ImageStatus.PENDING_DELETE})
        work.commit()


def _still_there(world: World, location: Location) -> bool:
    try:
        world.stores.get(location.store).size(location)
    except BlobNotFound:
        return False
    except (StoreError, StoreNotFound):
        return True
    return True


def remove_bytes(world: World, location: Location) -> bool:
    """Remove one copy; False when its store cannot do it now.

    :raises BlobInUse: when others depend on it.
    """
    return is_removed(location, lambda: world.stores.get(location.store).delete(location))


def _finish_delete(work: UnitOfWork, image: Image, caller: Identity | None) -> None:
    require_transition(image.id, image.status, ImageStatus.DELETED)
    if image.status is ImageStatus.UPLOADING:
        records.abandon_parts(work, image.id)
    gone = replace(image, status=ImageStatus.DELETED)
    work.images.save(gone, expect_status={image.status})
    work.events.append(about(gone, "image.delete", caller))
