# SPDX-License-Identifier: Apache-2.0
"""What botocore's errors mean for a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore import exceptions as sdk

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    GlancekitError,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
    translating,
)

_BY_KIND: Mapping[type[BaseException], type[GlancekitError]] = {
    sdk.NoCredentialsError: StoreDenied,
    sdk.PartialCredentialsError: StoreDenied,
    sdk.CredentialRetrievalError: StoreDenied,
    sdk.TokenRetrievalError: StoreDenied,
    sdk.ConnectionError: StoreUnavailable,
    sdk.HTTPClientError: StoreUnavailable,  # time-outs and broken connections are of this kind
    sdk.IncompleteReadError: StoreUnavailable,
}

_BY_CODE: Mapping[str, type[GlancekitError]] = {
    "NoSuchKey": BlobNotFound,
    "NoSuchVersion": BlobNotFound,
    # Not BlobNotFound: an image is not lost because the bucket's name is mistyped.
    "NoSuchBucket": StoreUnavailable,
    "NoSuchUpload": StoreUnavailable,
    "PreconditionFailed": BlobExists,
    "ConditionalRequestConflict": StoreUnavailable,
    "EntityTooLarge": StoreFull,
    "InsufficientStorage": StoreFull,
    "QuotaExceeded": StoreFull,
    "XMinioStorageFull": StoreFull,
    "ExpiredToken": StoreDenied,
    "400": StoreDenied,  # without a body, so to HEAD: there it is how a token is refused
    "InvalidToken": StoreDenied,
    "InvalidObjectState": StoreDenied,  # it is in an archive, from which it must be fetched first
    "PermanentRedirect": StoreDenied,  # the bucket is in another region
    "AuthorizationHeaderMalformed": StoreDenied,
    "XAmzContentSHA256Mismatch": StoreUnavailable,  # what arrived is not what was sent
    "BadDigest": StoreUnavailable,
    "RequestTimeout": StoreUnavailable,
    "SlowDown": StoreUnavailable,
    "Throttling": StoreUnavailable,
    "RequestLimitExceeded": StoreUnavailable,
}
"""What is neither here nor below the core reports as StoreFailed, with the original."""

_BY_STATUS: Mapping[int, type[GlancekitError]] = {
    301: StoreDenied,
    401: StoreDenied,
    403: StoreDenied,
    404: BlobNotFound,
    412: BlobExists,
    413: StoreFull,
    429: StoreUnavailable,
    500: StoreUnavailable,
    502: StoreUnavailable,
    503: StoreUnavailable,
    504: StoreUnavailable,
    507: StoreFull,
}

_SELF_EXPLAINING = (BlobNotFound, BlobExists, StoreFull)


@contextmanager
def translated(deed: str) -> Iterator[None]:
    """Turn an error of the SDK into ours; ``deed`` says what was going on."""
    try:
        with translating(_BY_KIND):
            yield
    except sdk.ClientError as error:
        kind = _BY_CODE.get(code_of(error)) or _BY_STATUS.get(_status_of(error))
        if kind is None:
            raise
        detail = "" if kind in _SELF_EXPLAINING else f"{deed}: {error}"
        raise kind(detail) from error


def code_of(error: sdk.ClientError) -> str:
    """Return the server's own word for an error; an answer without a body has only a number."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _status_of(error: sdk.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
