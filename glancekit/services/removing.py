# SPDX-License-Identifier: Apache-2.0
"""Removing the bytes of one copy, for whoever wants them gone, and what a refusal means for it.

What becomes of the records is the business of whoever asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from glancekit.core.errors import (
    BlobInUse,
    BlobNotFound,
    CapabilityMissing,
    StoreError,
    StoreNotFound,
)
from glancekit.core.model.image import Location

log = logging.getLogger(__name__)


def is_removed(copy: Location, remove: Callable[[], None]) -> bool:
    """Have a copy's bytes removed by ``remove``; False when its store cannot do it now.

    What is in a store that never deletes is not ours, and stays.

    :raises BlobInUse: when others depend on it.
    """
    try:
        remove()
    except BlobNotFound:
        log.info("the data of image %s was gone from store %s", copy.image_id, copy.store)
    except CapabilityMissing:
        log.info("the data of image %s stays in store %s", copy.image_id, copy.store)
    except BlobInUse:
        raise
    except (StoreError, StoreNotFound) as error:
        log.warning(
            "could not remove the data of image %s, will try again: %s", copy.image_id, error
        )
        return False
    return True
