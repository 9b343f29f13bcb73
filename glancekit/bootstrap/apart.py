# SPDX-License-Identifier: Apache-2.0
"""No two stores on one place, and none where the service keeps other things.

What is a store's place is its driver's business.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from glancekit.bootstrap.settings import staging_of
from glancekit.core.config import Configuration
from glancekit.core.contracts.store import place_of_folder
from glancekit.core.errors import ConfigError, StoreError
from glancekit.core.options import DEFAULT, STAGING_STORE
from glancekit.core.stores import Store

log = logging.getLogger(__name__)


def require_apart(config: Configuration, stores: Iterable[Store]) -> None:
    """Insist that each store has its place for itself.

    Whatever is done to an image in one of two stores on one place happens to it in both: a copy
    from the one to the other fails and is taken back, and that was the only one.

    :raises ConfigError: when two share one.
    """
    taken = dict(_own_folders(config))
    for store in stores:
        places = _places_of(store)
        if shared := sorted(places & taken.keys()):
            raise ConfigError(
                f"store '{store.id}' and {taken[shared[0]]} are one place, {shared[0]}: what is "
                "removed from the one would be gone from the other; give each a place of its own"
            )
        taken |= dict.fromkeys(places, f"store '{store.id}'")


def _own_folders(config: Configuration) -> Iterator[tuple[str, str]]:
    """Yield the folders in which the service itself removes files, and what they are."""
    yield place_of_folder(staging_of(config)), f"[{STAGING_STORE}] filesystem_store_datadir"
    cache = config.get(DEFAULT, "image_cache_dir")
    if cache:
        yield place_of_folder(Path(cache)), "[DEFAULT] image_cache_dir"


def _places_of(store: Store) -> frozenset[str]:
    try:
        return store.places()
    except StoreError as error:  # it is used all the same, and tells then what is wrong
        log.warning("no telling whether store %s is another's place, too: %s", store.id, error)
        return frozenset()
