# SPDX-License-Identifier: Apache-2.0
"""Ceph's own Python modules, and what their errors mean for a store.

They come with the distribution and not from a package index, and are imported when first used: a
host that only has this plugin installed need not have them.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import NamedTuple

from glancekit.plugin import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    ConfigError,
    GlancekitError,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)


class Bindings(NamedTuple):
    """The two modules."""

    rados: ModuleType
    rbd: ModuleType


@cache
def bindings() -> Bindings:
    """Import them.

    :raises ConfigError: when they are not there; it says where to get them.
    """
    try:
        return Bindings(importlib.import_module("rados"), importlib.import_module("rbd"))
    except ImportError as error:
        raise ConfigError(
            f"the rbd store needs Ceph's Python bindings ({error}); install the distribution's "
            "packages python3-rados and python3-rbd where this Python finds them"
        ) from error


class ConnectionLost(StoreUnavailable):
    """The cluster has shut this client out; a new connection is needed."""


_MEANING: Mapping[int, type[GlancekitError]] = {
    errno.ENOENT: BlobNotFound,
    errno.EEXIST: BlobExists,
    errno.EBUSY: BlobInUse,
    errno.ENOTEMPTY: BlobInUse,
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EACCES: StoreDenied,
    errno.EPERM: StoreDenied,
    errno.EROFS: StoreDenied,
    errno.ETIMEDOUT: StoreUnavailable,
    errno.ESTALE: StoreUnavailable,  # two were at it at once; asked again, it works
    errno.ESHUTDOWN: ConnectionLost,
    errno.ENOTCONN: ConnectionLost,
    errno.ECONNREFUSED: StoreUnavailable,
    errno.EINTR: StoreUnavailable,
}
_SELF_EXPLAINING = (BlobNotFound, BlobExists, BlobInUse, StoreFull)


def meaning_of(number: int, deed: str) -> GlancekitError:
    """Return our error for an errno; ``deed`` says what was going on."""
    kind = _MEANING.get(abs(number), StoreFailed)
    if kind in _SELF_EXPLAINING:
        return kind()
    name = errno.errorcode.get(abs(number), str(number))
    return kind(f"{deed}: Ceph answered {name}")


def require_odd(error: Exception) -> None:
    """Raise an error of Ceph's again unless it is of one odd image alone: a damaged one, say, or
    one with features that this librbd is too old for."""
    if isinstance(meaning_of(getattr(error, "errno", None) or 0, ""), StoreUnavailable):
        raise error


@contextmanager
def translated(deed: str, *, of_cluster: bool = False) -> Iterator[None]:
    """Turn Ceph's errors into ours.

    :param of_cluster: it is not an image that is missing, but a pool or a file of configuration.
    """
    rados, rbd = bindings()
    try:
        yield
    except (rados.Error, rbd.Error) as error:
        found = meaning_of(getattr(error, "errno", None) or 0, deed)
        if of_cluster and isinstance(found, BlobNotFound):
            found = StoreUnavailable(f"{deed}: {error}")
        raise found from error
