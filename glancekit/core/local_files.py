# SPDX-License-Identifier: Apache-2.0
"""Opening the plain file of this host that a store's image is. Where it is its driver's business.

How long that may take is the business of whoever calls this: it hangs where the disk does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from glancekit.core.errors import (
    BlobNotFound,
    StoreDenied,
    StoreError,
    StoreFailed,
    StoreUnavailable,
)

_MEANING: Mapping[int | None, type[StoreError]] = {
    errno.ENOENT: BlobNotFound,
    errno.EACCES: StoreDenied,
    errno.EPERM: StoreDenied,
    errno.ESTALE: StoreUnavailable,
    errno.ENODEV: StoreUnavailable,
    errno.ENXIO: StoreUnavailable,
    errno.ENOTCONN: StoreUnavailable,
    errno.ESHUTDOWN: StoreUnavailable,
    errno.EHOSTDOWN: StoreUnavailable,
    errno.EHOSTUNREACH: StoreUnavailable,
    errno.ETIMEDOUT: StoreUnavailable,
    errno.EIO: StoreUnavailable,
}
"""What is not here is a failure, told as it came."""


def open_whole(path: Path, size: int | None) -> BinaryIO:
    """Open a file, if it has so many bytes; None: however many it has.

    :raises StoreError: when it cannot be opened, or has not.
    """
    try:
        file = path.open("rb", buffering=0)
        try:
            _require_size(file, size)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise _MEANING.get(error.errno, StoreFailed)(f"opening: {error}") from error
    return file


def _require_size(file: BinaryIO, size: int | None) -> None:
    found = os.fstat(file.fileno()).st_size
    if size is not None and found != size:
        raise StoreFailed(f"the file has {found} bytes, the image {size}")
