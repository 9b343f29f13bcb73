# SPDX-License-Identifier: Apache-2.0
"""What botocore's errors mean for a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore import exceptions as sdk

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    ConfigError,
    GlancekitError,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
    translating,
)

_BY_KIND: Mapping[type[BaseException], type[GlancekitError]] = {
    sdk.NoCredentialsError: StoreDenied,
    sdk.PartialCredentialsError: StoreDenied,
    sdk.CredentialRetrievalError: StoreDenied,
    sdk.TokenRetrievalError: StoreDenied,
    sdk.ProfileNotFound: StoreDenied,
    sdk.ConfigParseError: StoreDenied,  # what ~/.aws/credentials holds is no such file
    sdk.InvalidRegionError: ConfigError,
    sdk.ConnectionError: StoreUnavailable,
    sdk.HTTPClientError: StoreUnavailable,  # time-outs and broken connections are of this kind
    sdk.IncompleteReadError: StoreUnavailable,
    sdk.FlexibleChecksumError: StoreFailed,  # what came is not what the server once took
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
    "XMinioAdminBucketQuotaExceeded": StoreFull,
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

_HINTS: Mapping[str, str] = {
    "400": " (is the region right, and the session still good?)",
    "403": " (are the credentials right, and what they are allowed?)",
}
"""Answers to HEAD have no body, and say no more than a number."""

_CLOCKS_AGREE = 300.0
"""Seconds by which an answer may be late, and far less than a signature may be old."""

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
        detail = "" if kind in _SELF_EXPLAINING else f"{deed}: {error}{_hint(error)}"
        raise kind(detail) from error


def code_of(error: sdk.ClientError) -> str:
    """Return the server's own word for an error; an answer without a body has only a number."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_silence(error: BaseException) -> bool:
    """Say whether an error of ours is that nobody answered."""
    was_answered = isinstance(error.__cause__, sdk.ClientError)
    return isinstance(error, StoreUnavailable) and not was_answered


def _hint(error: sdk.ClientError) -> str:
    """Return what may be behind a refusal without a word of the server's own."""
    apart = _clocks_apart(error)
    if apart >= _CLOCKS_AGREE:
        return f" (this host's clock and the server's are {apart:.0f} seconds apart)"
    return _HINTS.get(code_of(error), "")


def _clocks_apart(error: sdk.ClientError) -> float:
    """Return by how many seconds; 0 where the answer does not tell when it was given."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        then = parsedate_to_datetime(headers["date"])
        return abs((datetime.now(UTC) - then).total_seconds())
    except (KeyError, TypeError, ValueError):
        return 0.0


def _status_of(error: sdk.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
