# SPDX-License-Identifier: Apache-2.0
"""What a Swift's answers, and the errors on the way to them, mean for a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
import urllib3
from keystoneauth1 import exceptions as login

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    GlancekitError,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)

_BY_KIND: Mapping[type[BaseException], type[GlancekitError]] = {
    login.ClientException: StoreUnavailable,
    login.Unauthorized: StoreDenied,
    login.Forbidden: StoreDenied,
    login.NotFound: StoreDenied,  # an application credential, or the address
    login.BadRequest: StoreDenied,  # a location without a user
    login.EmptyCatalog: StoreDenied,  # one without a project
    login.AuthorizationFailure: StoreDenied,
    login.MissingRequiredOptions: StoreDenied,
    requests.RequestException: StoreUnavailable,
    urllib3.exceptions.HTTPError: StoreUnavailable,  # time-outs and broken connections, too
    OSError: StoreUnavailable,
}

_BY_STATUS: Mapping[int, type[GlancekitError]] = {
    401: StoreDenied,
    403: StoreDenied,
    404: BlobNotFound,
    408: StoreUnavailable,
    412: BlobExists,
    413: StoreFull,
    422: StoreUnavailable,  # what came was not what was sent
    429: StoreUnavailable,
    498: StoreUnavailable,
    499: StoreUnavailable,
    507: StoreFull,
}

_SELF_EXPLAINING = (BlobNotFound, BlobExists, StoreFull)


@contextmanager
def translated(deed: str) -> Iterator[None]:
    """Turn an error of the way to the server into ours; ``deed`` says what was going on."""
    try:
        yield
    except tuple(_BY_KIND) as error:
        kind = next(_BY_KIND[parent] for parent in type(error).__mro__ if parent in _BY_KIND)
        raise kind(f"{deed}: {error}") from error


def refusal(deed: str, status: int, reason: str) -> GlancekitError:
    """Return what an answer means that is not the one that was wanted."""
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = StoreUnavailable if status >= 500 else StoreFailed
    detail = "" if kind in _SELF_EXPLAINING else f"{deed}: the server answered {status} {reason}"
    return kind(detail)
