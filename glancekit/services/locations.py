# SPDX-License-Identifier: Apache-2.0
"""Where an image's data is: shown to services, and registered when it is in its store already.

The older way, by PATCH, is the business of ``location_changes``; reading what was registered, of
``digests``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import hexdigits
from typing import Any
from urllib.parse import urlsplit

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Forbidden, Invalid, LimitExceeded, StatusConflict, StoreError
from glancekit.core.model.changes import NewLocation
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus
from glancekit.core.model.task import Task, TaskStatus, TaskType
from glancekit.core.quota import Quota
from glancekit.services import acting, digests
from glancekit.services.images import find_for
from glancekit.services.notices import about, about_task
from glancekit.services.quotas import allowance_for
from glancekit.services.tasks import ended, new_task
from glancekit.services.world import World

log = logging.getLogger(__name__)

HASH_ALGORITHMS = ("sha1", "sha256", "sha512", "md5")
"""What a caller may give a digest in."""

_WEB = frozenset({"http", "https"})

_HEXADECIMAL = frozenset(hexdigits)

NAMES_CREDENTIALS = "swift+config"
"""The scheme of URLs that stand for credentials in the service's own configuration."""


def show(world: World, caller: Identity, image_id: str) -> Sequence[Location]:
    """Return where an image's data is, what is read first in front.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller is neither a service nor an administrator.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_for(world, work, caller, image_id, "fetch_image_location")
    return world.stores.by_preference(image.locations)


def register(world: World, caller: Identity, image_id: str, new: NewLocation) -> None:
    """Take data that is in a store already as the data of a queued image.

    Without a digest the image is active at once, and its digests follow. With one it is
    ``importing`` until the data was found to have it, and ``queued`` again when it does not.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or not with such a URL.
    :raises StatusConflict: when the image is not queued.
    :raises Invalid: when no store has data at that place, or the digest is none.
    :raises UriRefused: when the operator's filter has something against the URL.
    :raises LimitExceeded: when there is too much of it.
    """
    require_digest(new)
    with world.metadata.unit_of_work(read_only=True) as work:
        _require_ready(find_for(world, work, caller, image_id, "add_image_location"))
    _require_own_kind_of_url(world, caller, new.url)
    location = locate(acting.with_caller(world, caller, None), image_id, new)
    allowed = allowance_for(world, image_id)
    with world.metadata.unit_of_work() as work:
        image = find_for(world, work, caller, image_id, "add_image_location")
        _require_ready(image)
        require_room(world, image, [location])
        if world.settings.do_secure_hash and new.hash_value:
            task = _keep_task(world, work, caller, digests.task_input(location, new), True)
            waiting = replace(image, status=ImageStatus.IMPORTING)
            saved = work.images.save(waiting, expect_status={ImageStatus.QUEUED})
            work.events.append(about(saved, "image.prepare", caller))
        else:
            is_unknown = world.settings.do_secure_hash
            algorithm = world.settings.hashing_algorithm if is_unknown else new.hash_algo
            said = replace(new, hash_algo=algorithm)  # which the digest will be of is known now
            activate(work, caller, Placed(image, (location,), said))
            task = _keep_task(world, work, caller, digests.task_input(location, new), is_unknown)
            allowed.require(work, image.owner, Quota.IMAGE_SIZE_TOTAL)
        work.commit()
    if task is not None:
        digests.begin(world, task)


def _require_ready(image: Image) -> None:
    if image.status is not ImageStatus.QUEUED:
        raise StatusConflict(image_id=image.id, status=image.status, wanted=ImageStatus.QUEUED)
    require_formats(image)


def require_formats(image: Image) -> None:
    """Insist on an image that says what its data is.

    :raises Invalid: when it does not.
    """
    if image.disk_format is None or image.container_format is None:
        raise Invalid(
            "Properties disk_format, container_format must be set before image data is registered"
        )


def require_digest(new: NewLocation) -> None:
    """Insist on a digest that its algorithm can give.

    :raises Invalid: when it is another's, or none's.
    """
    if new.hash_algo is None or new.hash_value is None:
        return
    digits = 2 * hashlib.new(new.hash_algo, usedforsecurity=False).digest_size
    if len(new.hash_value) != digits or not set(new.hash_value) <= _HEXADECIMAL:
        raise Invalid(f"os_hash_value of {new.hash_algo} has {digits} hexadecimal digits")


def _require_own_kind_of_url(world: World, caller: Identity, url: str) -> None:
    """Let only services name what lies inside the cloud; others may name what the web has."""
    scheme = scheme_of(url)
    if "service" in caller.roles | caller.service_roles:
        return
    if scheme not in _WEB:
        raise Forbidden(action="register other locations than http(s) URLs; services may")
    if not stores_for(world, scheme):
        raise Forbidden(action=f"register {scheme} URLs: no store here serves them")


def scheme_of(url: str) -> str:
    """Return the scheme of a location's URL.

    :raises Invalid: when there is none, or none that a caller may name.
    """
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        scheme = ""
    if not scheme or scheme == NAMES_CREDENTIALS:
        raise Invalid("Invalid location: it must be the URL of data in a store of this service")
    return scheme


def stores_for(world: World, scheme: str) -> list[str]:
    """Return the ids of the stores that serve URLs of a scheme."""
    return [store.id for store in world.stores if scheme in store.driver.schemes]


def locate(world: World, image_id: str, new: NewLocation) -> Location:
    """Return a location with its store and size, as the stores that it can be of find it.

    What is wrong is told in the log alone, so that nobody can explore with it what the service
    can reach.

    :raises Invalid: when no store has data there.
    :raises UriRefused: when the operator's filter has something against the URL.
    """
    metadata = dict(new.metadata)
    wanted = metadata.pop("store", None)
    scheme = scheme_of(new.url)
    if scheme in _WEB and world.web_filter is not None:
        # A name without an address may be known to a store's proxy.
        world.web_filter.judge(new.url, is_resolved_elsewhere=True)
    for store_id in stores_for(world, scheme):
        if wanted not in (None, store_id):
            continue
        place = Location(url=new.url, metadata=metadata, store=store_id, image_id=image_id)
        try:
            size = world.stores.get(store_id).size(place)
        except StoreError as error:
            log.info("store %s does not have what was registered: %s", store_id, error)
            continue
        if size != 0:
            return replace(place, size=size)
    raise Invalid(f"Invalid location: no store here has data at that {scheme} URL")


def require_room(world: World, image: Image, new: Sequence[Location]) -> None:
    """Hold new locations against what an image may have.

    :raises LimitExceeded: when they are too many or too large.
    """
    limit, asked = world.settings.image_location_quota, len(image.locations) + len(new)
    if 0 <= limit < asked:
        raise LimitExceeded(what="locations for one image", limit=limit, asked=asked)
    size = max((location.size or 0 for location in new), default=0)
    if size > world.settings.image_size_cap:
        raise LimitExceeded(
            what="bytes for one image", limit=world.settings.image_size_cap, asked=size
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """An image, where its data turned out to be, and what the caller said about it."""

    image: Image
    locations: tuple[Location, ...]
    said: NewLocation


def activate(work: UnitOfWork, caller: Identity, placed: Placed) -> None:
    """Make a queued image active with data that is in its store.

    The digests are those that the caller said, or None.
    """
    image, location = placed.image, placed.locations[0]
    require_formats(image)
    for one in placed.locations:
        work.locations.add(one)
    known = replace(
        image,
        status=ImageStatus.ACTIVE,
        size=location.size,
        checksum=placed.said.checksum,
        os_hash_algo=placed.said.hash_algo,
        os_hash_value=placed.said.hash_value,
    )
    work.images.save(known, expect_status={ImageStatus.QUEUED})
    active = work.images.get(image.id)
    work.events.append(about(active, "image.update", caller))
    work.events.append(about(active, "image.activate", caller))


def _keep_task(
    world: World, work: UnitOfWork, caller: Identity, given: Mapping[str, Any], is_to_read: bool
) -> Task | None:
    """Write down the task of a registration; None when it was over with that."""
    task = new_task(caller, TaskType.LOCATION_IMPORT, str(given["image_id"]), given)
    work.events.append(about_task(task, "task.create"))
    if not is_to_read:
        over = ended(task, TaskStatus.SUCCESS, hours=world.settings.task_time_to_live)
        work.tasks.add(over)
        work.events.append(about_task(over, "task.success"))
        return None
    begun = replace(task, status=TaskStatus.PROCESSING, holder=world.lease.holder)
    work.tasks.add(begun)
    work.events.append(about_task(task, "task.run"))
    work.events.append(about_task(begun, "task.processing"))
    return begun
