# SPDX-License-Identifier: Apache-2.0
"""On the way of a download: from the cache, along with whoever fills it, or past it.

Who may have the image has been decided before. However many ask for an image that is not there,
it is fetched once: the first to come has a thread fetch it that does not end with the request, and
reads along like all others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from glancekit.core.cache.content import Content, content_of
from glancekit.core.cache.filling import Following, fill
from glancekit.core.cache.folder import Fill
from glancekit.core.cache.image_cache import ImageCache
from glancekit.core.errors import ImageNotFound, MetadataError
from glancekit.core.model.image import Image
from glancekit.core.stream import ByteStream, FileStream
from glancekit.services import acting, copies
from glancekit.services.copies import Download, Redirect
from glancekit.services.world import World

log = logging.getLogger(__name__)


def open_cached(
    world: World, image: Image, offset: int, length: int | None, *, redirect: Redirect
) -> Download | None:
    """Open an image's bytes from the cache, or from what is being fetched into it.

    ``world`` has its stores as they are for the caller: a fill that he begins asks in his name.

    None when they are to come from a store: there is no cache, the image is not worth one or has
    no room in it, a part of it is asked for that is not there yet, or the client is to be sent to
    the store itself.

    :raises StoreError: when a fill fails at its first byte, and no store can give it either.
    """
    cache, content = world.cache, content_of(image)
    if cache is None or content is None or length is None:
        return None
    if copies.may_be_elsewhere(world, image, redirect):
        return None
    found = Download(image=image, offset=offset, length=length, total=image.size)
    try:
        if file := cache.folder.open_hit(content):
            return replace(found, file=file)
        file = _growing(world, cache, image, content, offset, length)
    except OSError as error:
        log.error("the image cache cannot be used: %s", error)
        return None
    if file is None:
        return None
    following = Following(file, offset, length, partial(_open_rest, world, image))
    try:
        following.begin()
    except BaseException:
        following.close()
        raise
    return replace(found, stream=following)


def fetch(world: World, cache: ImageCache, image: Image, *, may_evict: bool = True) -> bool:
    """Fetch an image into the cache, here and now, unless it is there or on its way.

    Return whether it is there now; what kept it out is in the log.
    """
    content = content_of(image)
    if content is None or not image.is_active:
        log.warning("image %s cannot be cached: not active, or without a digest", image.id)
        return False
    claimed = cache.folder.claim(content, may_evict=may_evict)
    if claimed is None and may_evict:
        log.warning("image %s is not cached: there is no room for it", image.id)
    if isinstance(claimed, Fill):
        claimed.follower.close()
        _fill(acting.as_service(world, image.owner), cache, image, claimed)
    elif claimed is not None:
        claimed.close()
    return content.name in cache.folder.names()


def forget(world: World, image_id: str) -> None:
    """Take an image out of this host's cache, as it is being deleted.

    Nobody is given it any more; where this fails, and on other hosts, the cleaner sees to it.
    """
    if world.cache is None:
        return
    try:
        world.cache.folder.drop(image_id)
        world.cache.folder.dequeue(image_id)
    except OSError as error:
        log.warning("image %s stays in the cache for now: %s", image_id, error)


def is_worth_caching(world: World, cache: ImageCache, image: Image) -> bool:
    """Say whether plugins and the policy want an image in the cache."""
    return world.hooks.should_cache(image, world.stores) and cache.admits(image)


def _growing(
    world: World, cache: ImageCache, image: Image, content: Content, offset: int, length: int
) -> BinaryIO | None:
    """Return a file to read along with, of a fill that goes on or that begins now."""
    if length < content.size:
        return _part(cache, content, offset)
    claimed: BinaryIO | Fill | None
    if image.is_active and is_worth_caching(world, cache, image):
        claimed = cache.folder.claim(content)
    else:
        claimed = cache.folder.open_growing(content)
    if isinstance(claimed, Fill):
        return _begin(world, cache, image, claimed)
    cache.folder.count("passed" if claimed is None else "followed")
    return claimed


def _part(cache: ImageCache, content: Content, offset: int) -> BinaryIO | None:
    """Return a file that is being filled if it has come to where the wanted part begins."""
    file = cache.folder.open_growing(content)
    if file is None:
        return None
    if file.seek(0, 2) <= offset:
        file.close()
        return None
    cache.folder.count("followed")
    return file


def _begin(world: World, cache: ImageCache, image: Image, claimed: Fill) -> BinaryIO | None:
    """Have a thread fetch the image; None when there is none to be had."""
    work = partial(_fill, world, cache, image, claimed)
    if cache.fills.start(f"cache {image.id}", work):
        cache.folder.count("misses")
        return claimed.follower
    cache.folder.abandon(claimed)
    cache.folder.count("passed")
    claimed.file.close()
    claimed.follower.close()
    return None


def _fill(world: World, cache: ImageCache, image: Image, claimed: Fill) -> None:
    stopping = (cache.fills.stopping, cache.fetching.stopping)
    fill(
        cache.folder,
        claimed,
        partial(_open_rest, world, image, 0, claimed.content.size),
        is_wanted=_still_there(world, claimed.content),
        is_stopping=lambda: any(event.is_set() for event in stopping),
    )


def _still_there(world: World, content: Content) -> Callable[[], bool]:
    """Return what says whether an image is there still, with the same bytes."""

    def ask() -> bool:
        try:
            with world.metadata.unit_of_work(read_only=True) as work:
                return content_of(work.images.get(content.image_id)) == content
        except ImageNotFound:
            return False
        except MetadataError as error:
            log.warning("image %s was not cached: %s", content.image_id, error)
            return False

    return ask


def _open_rest(world: World, image: Image, offset: int, length: int) -> ByteStream:
    """Open a part of an image in the stores."""
    found = copies.open_best(world, image, offset, length, redirect=Redirect.NEVER)
    if found.file is not None:
        found.file.seek(offset)
        return FileStream(found.file, length=length)
    assert found.stream is not None  # with Redirect.NEVER there is one of the two
    return found.stream
