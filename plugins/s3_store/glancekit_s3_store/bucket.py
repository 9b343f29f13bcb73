# SPDX-License-Identifier: Apache-2.0
"""A bucket and the requests that are made of it. The only module that knows boto3's client."""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.handlers import add_expect_header

from glancekit.plugin import BlobExists, BlobNotFound, StoreDenied, StoreFailed, StoreUnavailable
from glancekit_s3_store.body import Body
from glancekit_s3_store.credentials import found_by, renew_when_refused
from glancekit_s3_store.failures import code_of, translated
from glancekit_s3_store.options import Settings
from glancekit_s3_store.patience import wait_when_told_to

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 3
"""How often a request is made in all; botocore waits longer each time."""

_CONNECTIONS = 64
"""Connections that are kept for the next request; beyond these they are made and closed again."""

_WRITE = "glancekit-write"
"""An object's metadata entry that says which write it is from."""

_LONGEST_SIGNATURE = 7 * 24 * 3600

_REGION_WITHOUT_NAME = "us-east-1"
"""The one region that a bucket's creation must not name."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an upload, as the server has acknowledged it."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object, as the server tells of it."""

    key: str
    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to a read: the body, its length, and which object of which size it is of."""

    body: Any
    length: int
    etag: str
    total: int


class Bucket:
    """Requests to one bucket, with errors of ours."""

    def __init__(self, settings: Settings) -> None:
        """Look for credentials and prepare requests; none is made.

        :raises StoreDenied: when there are no credentials, as yet.
        """
        self._name = settings.bucket
        self._settings = settings
        _keep_requests_out_of_logs()
        with translated("preparing requests"):
            session = _session(settings)
            credentials = found_by(session)
            self._client = _client(session, settings)
            # While a body is sent, what counts as silence is the time-out of its connection.
            patient = replace(settings, connect_timeout=settings.read_timeout)
            self._sending = _client(session, patient)
        if settings.access_key is None:
            renew_when_refused(credentials, self._client, self._sending)
        self._conditional = True
        self._lock = threading.Lock()
        self._being_published: set[str] = set()

    @property
    def host(self) -> str:
        """The server, as locations name it."""
        return str(self._client.meta.endpoint_url).partition("://")[2]

    @property
    def is_secure(self) -> bool:
        """The connection is encrypted."""
        return str(self._client.meta.endpoint_url).startswith("https://")

    # -- questions

    def check(self) -> None:
        """Return when the bucket is there and may be used, or made by the first upload."""
        if not self._is_there() and not self._settings.create_bucket:
            raise StoreUnavailable(f"there is no bucket {self._name}")

    def find(self, key: str) -> Listed:
        """Return what is known of an object.

        :raises BlobNotFound: when the bucket is there, and the object is not.
        """
        try:
            found = self._head(key)
        except BlobNotFound as error:
            # An answer to HEAD has no body, and so does not say what is missing. An image is not
            # lost because the bucket's name is mistyped, or the server is another.
            if not self._is_there():
                raise StoreUnavailable(f"there is no bucket {self._name}") from error
            raise
        return Listed(key, int(found["ContentLength"]), found["LastModified"])

    def objects(self) -> Iterator[Listed]:
        """List the objects that are in no folder, a page of a thousand at a time."""
        pages = self._client.get_paginator("list_objects_v2")
        listing = iter(pages.paginate(Bucket=self._name, Delimiter="/"))
        while True:
            try:
                with translated("listing"):
                    page = next(listing, None)
            except StoreUnavailable as error:
                if self._settings.create_bucket and _said(error, "NoSuchBucket"):
                    return  # the first upload will make it
                raise
            if page is None:
                return
            for entry in page.get("Contents", ()):
                yield Listed(str(entry["Key"]), int(entry["Size"]), entry["LastModified"])

    def writer_of(self, key: str) -> str | None:
        """Return which write the object is from: "" for a stranger's, None when there is none, be
        it for want of the bucket.
        """
        try:
            return str(self._head(key).get("Metadata", {}).get(_WRITE, ""))
        except BlobNotFound:
            return None

    def signed_url(self, key: str, ttl: int) -> str:
        """Return a URL by which everybody can read the object."""
        if ttl > _LONGEST_SIGNATURE:
            raise StoreDenied("a signed URL works for seven days at most")
        with translated("signing a URL"):
            return str(
                self._client.generate_presigned_url(
                    "get_object", Params=self._object(key), ExpiresIn=ttl
                )
            )

    def uploads(self, prefix: str = "", *, age: float = 0) -> list[tuple[str, str]]:
        """Return key and id of the unfinished uploads that are at least ``age`` seconds old."""
        until = datetime.now(UTC) - timedelta(seconds=age)
        pages = self._client.get_paginator("list_multipart_uploads")
        try:
            with translated("looking for unfinished uploads"):
                return [
                    (str(upload["Key"]), str(upload["UploadId"]))
                    for page in pages.paginate(Bucket=self._name, Prefix=prefix)
                    for upload in page.get("Uploads", ())
                    if age <= 0 or upload["Initiated"] <= until
                ]
        except StoreUnavailable as error:
            if self._settings.create_bucket and _said(error, "NoSuchBucket"):
                return []  # the first upload will make it
            raise

    # -- reading

    def get(
        self, key: str, *, offset: int = 0, length: int | None = None, etag: str | None = None
    ) -> Opened:
        """Open an object, from ``offset`` on, to its end or for ``length`` bytes at most.

        With ``etag`` only if that is still its ETag.

        :raises StoreFailed: when it is another by now, or not what was asked for.
        """
        asked = self._object(key)
        if offset or length is not None:
            last = "" if length is None else offset + length - 1
            asked["Range"] = f"bytes={offset}-{last}"
        if etag is not None:
            asked["IfMatch"] = etag
        try:
            with translated("opening"):
                answer = self._get(asked, offset)
        except BlobExists as error:  # what was asked of its ETag does not hold
            raise StoreFailed("the object was replaced while it was being read") from error
        return _opened(answer, offset)

    def _get(self, asked: dict[str, Any], offset: int) -> dict[str, Any]:
        try:
            return dict(self._client.get_object(**asked))
        except ClientError as error:
            if code_of(error) != "InvalidRange" or offset:
                raise
        del asked["Range"]  # the object is empty, which has no first byte
        return dict(self._client.get_object(**asked))

    # -- writing

    def require_unused(self, key: str) -> None:
        """Insist on that nothing has this name.

        :raises BlobExists: when something has.
        """
        if self.writer_of(key) is not None:
            raise BlobExists

    def put(self, key: str, data: bytearray, write: str) -> None:
        """Make an object of data that is in memory."""
        asked = self._object(key) | self._kind(write)

        def request(more: dict[str, str]) -> None:
            with self._content(data) as content:  # from its beginning, also when it is made again
                self._sending.put_object(**asked, **content, **more)

        self._publish(key, write, request)

    def begin(self, key: str, write: str) -> str:
        """Begin an upload in parts and return its id."""
        asked = self._object(key) | self._kind(write)
        with translated("beginning an upload"):
            answer = self._in_bucket(lambda: self._client.create_multipart_upload(**asked))
        return str(answer["UploadId"])

    def put_part(self, key: str, upload: str, number: int, data: bytearray) -> Part:
        """Send one part."""
        asked = self._object(key) | {"UploadId": upload, "PartNumber": number}
        with translated(f"sending part {number}"), self._content(data) as content:
            answer = self._sending.upload_part(**asked, **content)
        return Part(number, str(answer["ETag"]))

    def complete(self, key: str, upload: str, parts: list[Part], write: str) -> None:
        """Make an object of the parts."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        asked = self._object(key) | {"UploadId": upload, "MultipartUpload": {"Parts": listed}}
        complete = self._client.complete_multipart_upload
        self._publish(key, write, lambda more: complete(**asked, **more))

    def abort(self, key: str, upload: str) -> None:
        """Give up an upload, its parts included; also one that is gone by now."""
        try:
            with translated("giving an upload up"):
                self._client.abort_multipart_upload(**self._object(key), UploadId=upload)
        except StoreUnavailable as error:
            if not _said(error, "NoSuchUpload"):
                raise

    # -- removing

    def discard(self, key: str) -> None:
        """Give up all unfinished uploads of an object and remove it, if a write of ours made it.

        All of these say so of themselves. What does not was there before: the write was refused
        because of it, and it is another's image.
        """
        for found, upload in self.uploads(key):
            if found == key:
                self.abort(key, upload)
        if self.writer_of(key):
            self.delete(key)

    def delete(self, key: str) -> None:
        """Remove an object; also when there is none."""
        with translated("deleting"):
            self._client.delete_object(**self._object(key))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._sending.close()

    # -- what requests are made of

    def _is_there(self) -> bool:
        """Tell whether there is such a bucket."""
        try:
            with translated(f"looking for the bucket {self._name}"):
                self._client.head_bucket(Bucket=self._name)
        except BlobNotFound:
            return False
        return True

    def _object(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._name, "Key": key}

    def _kind(self, write: str) -> dict[str, Any]:
        return {
            "ContentType": "application/octet-stream",
            "Metadata": {_WRITE: write},
            **self._settings.encryption,
        }

    @contextmanager
    def _content(self, data: bytearray) -> Iterator[dict[str, Any]]:
        """Lend data to a request; afterwards it may be filled with other."""
        with Body(data) as body:
            if not self._settings.send_md5:
                yield {"Body": body}
                return
            digest = hashlib.md5(data, usedforsecurity=False).digest()
            yield {"Body": body, "ContentMD5": base64.b64encode(digest).decode()}

    def _head(self, key: str) -> dict[str, Any]:
        with translated("looking up"):
            return dict(self._client.head_object(**self._object(key)))

    def _publish(self, key: str, write: str, request: Callable[[dict[str, str]], object]) -> None:
        """Make the request that gives an object its name, and be sure of what came of it.

        botocore repeats a request whose answer was lost; the repetition is then refused because
        of the first one's own success. Whose object it is tells its metadata.

        :raises BlobExists: when another write was quicker.
        """
        with self._claim(key):
            self.require_unused(key)
            try:
                with translated("publishing"):
                    self._in_bucket(lambda: self._if_unused(request))
            except (BlobExists, StoreUnavailable):
                writer = self.writer_of(key)
                if writer is None:
                    raise
                if writer != write:
                    raise BlobExists from None

    @contextmanager
    def _claim(self, key: str) -> Iterator[None]:
        """Keep other threads from publishing under the same name.

        Some servers pay no regard to the condition that is sent with the request, and say nothing
        of that. There, what is left between processes is one look just before the request; that
        an image has one writer at a time is the service's own promise.
        """
        with self._lock:
            if key in self._being_published:
                raise BlobExists
            self._being_published.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._being_published.discard(key)

    def _if_unused(self, request: Callable[[dict[str, str]], T]) -> T:
        """Make a request on the condition that the name is free, where the server knows that."""
        if self._conditional:
            try:
                return request({"IfNoneMatch": "*"})
            except ClientError as error:
                if code_of(error) != "NotImplemented":
                    raise
                log.info("%s does not know conditional writes", self.host)
                self._conditional = False
        return request({})

    def _in_bucket(self, request: Callable[[], T]) -> T:
        """Make a request; where it fails for want of the bucket, make that first, if we may."""
        try:
            return request()
        except ClientError as error:
            if code_of(error) != "NoSuchBucket" or not self._settings.create_bucket:
                raise
        self._create()
        return request()

    def _create(self) -> None:
        region = self._client.meta.region_name
        asked: dict[str, Any] = {"Bucket": self._name}
        has_regions = self._settings.is_aws or self._settings.region
        if has_regions and region != _REGION_WITHOUT_NAME:
            asked["CreateBucketConfiguration"] = {"LocationConstraint": region}
        try:
            self._client.create_bucket(**asked)
        except ClientError as error:
            if code_of(error) != "BucketAlreadyOwnedByYou":  # another upload did it meanwhile
                raise
        else:
            log.info("made the bucket %s", self._name)


def _opened(answer: dict[str, Any], offset: int) -> Opened:
    """Read an answer; that of a server that knows no ranges is the whole object."""
    begin, total = 0, int(answer["ContentLength"])
    if "ContentRange" in answer:
        span, _, of_all = str(answer["ContentRange"]).removeprefix("bytes ").partition("/")
        begin, total = int(span.partition("-")[0]), int(of_all)
    if begin != offset:
        answer["Body"].close()
        raise StoreFailed(f"the server answered from byte {begin} on, not from {offset}")
    return Opened(answer["Body"], int(answer["ContentLength"]), str(answer.get("ETag", "")), total)


def _said(error: BaseException, code: str) -> bool:
    """Tell whether an error of ours is what the server's word became."""
    return isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == code


def _addressing(settings: Settings) -> str:
    """Return how to address the bucket. 'auto' signs URLs for a host that no region of AWS but the
    first one answers at."""
    is_auto_on_aws = settings.endpoint is None and settings.addressing == "auto"
    return "virtual" if is_auto_on_aws else settings.addressing


def _keep_requests_out_of_logs() -> None:
    """Have the SDK tell no details: its requests carry images and session tokens, and answers new
    keys."""
    sdk = logging.getLogger("botocore")
    sdk.setLevel(max(logging.INFO, sdk.getEffectiveLevel()))


def _session(settings: Settings) -> Any:
    return boto3.session.Session(
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        region_name=settings.region,
    )


def _client(session: Any, settings: Settings) -> Any:
    config = Config(
        signature_version="s3v4",
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        # Else over https an MD5 is sent in place of the SHA-256 in the signature.
        s3={"addressing_style": _addressing(settings), "payload_signing_enabled": True},
        request_checksum_calculation=settings.request_checksums,
        response_checksum_validation=settings.response_checksums,
    )
    client = session.client(
        "s3",
        endpoint_url=settings.endpoint,
        # A server of one's own seldom has a region; signatures must name one all the same.
        region_name=session.region_name or _REGION_WITHOUT_NAME,
        verify=settings.cacert,
        config=config,
    )
    wait_when_told_to(client)
    # A server that does not know the question would be waited for a second before each part.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client
