# SPDX-License-Identifier: Apache-2.0
"""What the operating system's errors mean for a store."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    GlancekitError,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
)

_MEANING: Mapping[int | None, type[GlancekitError]] = {
    errno.ENOENT: BlobNotFound,
    errno.ENOTDIR: BlobNotFound,
    errno.EEXIST: BlobExists,
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EFBIG: StoreFull,
    errno.EACCES: StoreDenied,
    errno.EPERM: StoreDenied,
    errno.EROFS: StoreDenied,
    errno.ELOOP: StoreDenied,  # a symbolic link where an image should be
    errno.ESTALE: StoreUnavailable,
    errno.ENODEV: StoreUnavailable,
    errno.ENXIO: StoreUnavailable,
    errno.ENOTCONN: StoreUnavailable,
    errno.ESHUTDOWN: StoreUnavailable,
    errno.EHOSTDOWN: StoreUnavailable,
    errno.EHOSTUNREACH: StoreUnavailable,
    errno.ETIMEDOUT: StoreUnavailable,
}
"""What is not here (EIO, say) the core reports as StoreFailed, with the original."""

_SELF_EXPLAINING = (BlobNotFound, BlobExists, StoreFull)


@contextmanager
def translated(deed: str, *, of_directory: bool = False) -> Iterator[None]:
    """Turn an OSError into ours; ``deed`` says what was going on.

    :param of_directory: it is not an image's file that is missing or in the way, but the place.
    """
    try:
        yield
    except OSError as error:
        kind = _MEANING.get(error.errno)
        if of_directory and kind in (BlobNotFound, BlobExists):
            kind = StoreUnavailable
        if kind is None:
            raise
        detail = "" if kind in _SELF_EXPLAINING else f"{deed}: {error.strerror}: {error.filename}"
        raise kind(detail) from error
