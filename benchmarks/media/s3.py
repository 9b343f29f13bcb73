# SPDX-License-Identifier: Apache-2.0
"""S3: Swift's own S3 API, beside boto3's transfer manager with parts of the same size."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from glancekit_s3_store.options import OPTIONS
from glancekit_swift_store.testing import KEY, USER, RealSwift

from benchmarks.media.medium import MIB, Medium, digested

BUCKET = "images"
OBJECT = "by-the-tool"


class InOrder(io.RawIOBase):
    """A pipe that takes the parts of a file as they come, and passes them on in their order.

    To a file that says it cannot seek, the transfer manager waits for ever.
    """

    def __init__(self, to: BinaryIO) -> None:
        super().__init__()
        self._to = to
        self._passed = self._at = 0
        self._early: dict[int, bytes] = {}

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, in a way."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Say where the next piece belongs."""
        self._at = offset
        return offset

    def write(self, data: Any, /) -> int:
        """Pass it on, now or when it is its turn."""
        self._early[self._at] = bytes(data)
        self._at += len(data)
        while (piece := self._early.pop(self._passed, None)) is not None:
            self._to.write(piece)
            self._passed += len(piece)
        return len(data)


class S3(Medium):
    """A bucket of a Swift."""

    driver = "s3"
    tool = "boto3"

    def __init__(self, folder: Path) -> None:
        self._swift = RealSwift(folder / "swift")
        self._open = ExitStack()
        defaults = {option.name: option.default for option in OPTIONS}
        self._part = int(defaults["s3_store_large_object_chunk_size"]) * MIB
        self._parallel = int(defaults["s3_store_thread_pools"])

    def __enter__(self) -> Self:
        self._open.enter_context(self._swift)
        self._client = self._connect()
        self._open.callback(self._client.close)
        self._client.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def options(self) -> dict[str, str]:
        """Return how the service reaches it."""
        return {
            "s3_store_host": self._swift.url,
            "s3_store_access_key": USER,
            "s3_store_secret_key": KEY,
            "s3_store_bucket": BUCKET,
            "s3_store_bucket_url_format": "path",
            "s3_store_region_name": "us-east-1",
        }

    def put(self, source: Path) -> None:
        """Upload with the transfer manager."""
        with digested(source) as data:
            self._client.upload_fileobj(data, BUCKET, OBJECT, Config=self._transfer())

    def get(self, to: BinaryIO) -> None:
        """Download with the transfer manager."""
        self._client.download_fileobj(BUCKET, OBJECT, InOrder(to), Config=self._transfer())

    def remove(self) -> None:
        """Delete the object."""
        self._client.delete_object(Bucket=BUCKET, Key=OBJECT)

    def _transfer(self) -> TransferConfig:
        return TransferConfig(
            multipart_threshold=self._part,
            multipart_chunksize=self._part,
            max_concurrency=self._parallel,
        )

    def _connect(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self._swift.url,
            aws_access_key_id=USER,
            aws_secret_access_key=KEY,
            region_name="us-east-1",
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
