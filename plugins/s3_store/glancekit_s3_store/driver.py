# SPDX-License-Identifier: Apache-2.0
"""The driver ``s3``: an image is the object ``<image_id>`` of a bucket, complete or not there.

Digests and limits are the core's business. boto3 is imported by the first call, not with this
module: a service whose stores are others does without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from glancekit.plugin import (
    Blob,
    BlobNotFound,
    ByteStream,
    ConfigError,
    Location,
    Remnant,
    StoreDenied,
    StoreDriver,
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsListing,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsWrite,
    is_image_id,
)
from glancekit_s3_store.options import OPTIONS, Settings, settings_of

if TYPE_CHECKING:
    from glancekit_s3_store.bucket import Bucket

_MIB = 1 << 20


class S3Store(
    StoreDriver,
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsDetails,
    SupportsSweep,
    SupportsListing,
    SupportsPlaces,
):
    """Images as objects of an S3 bucket."""

    api_level: ClassVar[int] = 1
    options = OPTIONS
    schemes = ("s3", "s3+http", "s3+https")

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings: Settings = settings_of(options)
        self._lock = threading.Lock()
        self._made: Bucket | None = None

    # -- reading

    def open(self, location: Location) -> ByteStream:
        """Open the object."""
        return self._download(location)

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open a part of the object."""
        return self._download(location, offset=offset, length=length)

    def size(self, location: Location) -> int | None:
        """Return the object's length."""
        return self._bucket().find(self._key(location)).size

    def direct_url(self, location: Location, ttl: int) -> str:
        """Return a signed URL."""
        return self._bucket().signed_url(self._key(location), ttl)

    # -- writing

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Send the bytes, and only when all are there give them their name."""
        bucket = self._bucket()
        from glancekit_s3_store.upload import Upload

        bucket.require_unused(image_id)  # before the first byte; it is asked again at the end
        Upload(bucket, image_id, size, self._settings).run(source)
        return Location(url=self._url_of(image_id))

    def discard(self, image_id: str) -> None:
        """Give up the unfinished uploads of this image; remove the object, if a write made it."""
        self._bucket().discard(image_id)

    def delete(self, location: Location) -> None:
        """Remove the object. S3 itself does not say whether there was one."""
        key = self._key(location)
        bucket = self._bucket()
        bucket.find(key)
        bucket.delete(key)

    def remnants(self, age: float) -> list[Remnant]:
        """Return the unfinished uploads that began so long ago and were to become images."""
        return [
            Remnant(f"{upload} {key}", key)
            for key, upload in self._bucket().uploads(age=age)
            if is_image_id(key)  # others may use the bucket, too
        ]

    def sweep(self, remnant: Remnant) -> None:
        """Give up an unfinished upload."""
        upload, _, key = remnant.name.rpartition(" ")
        self._bucket().abort(key, upload)

    # -- what is there

    def contents(self) -> Iterator[Blob]:
        """Yield the objects whose keys are ids of images; others may use the bucket, too."""
        for found in self._bucket().objects():
            if is_image_id(found.key):
                yield Blob(self._url_of(found.key), found.key, found.size, found.at)

    def blob(self, location: Location) -> Blob:
        """Look at the object."""
        key = self._key(location)
        if not is_image_id(key):
            raise BlobNotFound
        found = self._bucket().find(key)
        return Blob(self._url_of(key), key, found.size, found.at)

    # -- questions

    def check(self) -> None:
        """Ask for the bucket."""
        self._bucket().check()

    def details(self) -> dict[str, Any]:
        """Return how objects are written, under upstream's names and in its units."""
        return {
            "s3_store_large_object_size": self._settings.whole_below // _MIB,
            "s3_store_large_object_chunk_size": self._settings.part_size // _MIB,
            "s3_store_thread_pools": self._settings.parallel,
        }

    def places(self) -> list[str]:
        """Return the bucket."""
        return [self._settings.place]

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    # -- where things are

    def _bucket(self) -> Bucket:
        with self._lock:
            if self._made is None:
                try:
                    module = import_module("glancekit_s3_store.bucket")
                except ImportError as error:
                    raise ConfigError(
                        f"the store '{self.name}' needs boto3 ({error}); install it with: "
                        "pip install boto3"
                    ) from error
                self._made = module.Bucket(self._settings)
            return self._made

    def _download(
        self, location: Location, *, offset: int = 0, length: int | None = None
    ) -> ByteStream:
        bucket = self._bucket()
        from glancekit_s3_store.download import Download

        return Download(
            bucket,
            self._key(location),
            offset=offset,
            length=length,
            parallel=self._settings.parallel,
        )

    def _url_of(self, image_id: str) -> str:
        bucket = self._bucket()
        scheme = "s3+https" if bucket.is_secure else "s3"
        return f"{scheme}://{bucket.host}/{self._settings.bucket}/{image_id}"

    def _key(self, location: Location) -> str:
        """Return the object's key, if the location is one in our bucket.

        Old locations carry credentials. They are not looked at: which ones the service uses is
        its configuration's decision.
        """
        scheme, separator, rest = location.url.partition("://")
        parts = rest.rpartition("@")[2].split("/")
        if scheme not in self.schemes or not separator or "://" in rest or len(parts) < 3:
            raise StoreDenied("the location's URL is not one of an object in S3")
        host, bucket, key = "/".join(parts[:-2]).lower(), parts[-2], parts[-1]
        if host != self._bucket().host.lower() and host not in self._settings.former_hosts:
            raise StoreDenied(f"{host} is not this store's server")
        if bucket != self._settings.bucket or not key:
            raise StoreDenied(f"{bucket} is not this store's bucket")
        return key
