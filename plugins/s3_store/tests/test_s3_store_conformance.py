# SPDX-License-Identifier: Apache-2.0
"""The S3 store keeps the promises of a store: with moto, and with whatever server runs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from glancekit_s3_store.driver import S3Store

from glancekit.plugin import (
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsListing,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsWrite,
)
from glancekit.testing import StoreConformance


def in_small_parts(driver: S3Store) -> S3Store:
    """Have parts smaller than an option allows, so that small data comes in several."""
    driver._settings = replace(driver._settings, part_size=400_000, whole_below=0)
    return driver


def all_that_is_in(client: Any, bucket: str) -> list[str]:
    """List objects and unfinished uploads."""
    objects = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [entry["Key"] for entry in (*objects, *uploads)]


class TestS3Store(StoreConformance):
    capabilities: ClassVar = {
        SupportsWrite,
        SupportsDelete,
        SupportsRange,
        SupportsDirectUrl,
        SupportsHealth,
        SupportsDetails,
        SupportsSweep,
        SupportsListing,
        SupportsPlaces,
    }

    @pytest.fixture
    def driver(self, build: Callable[..., S3Store], bucket: str) -> S3Store:
        return build(bucket)

    @pytest.fixture
    def twin(self, build: Callable[..., S3Store], bucket: str) -> S3Store:
        return build(bucket, s3_store_thread_pools=2)

    @pytest.fixture
    def leftovers(self, client: Any, bucket: str) -> Callable[[], list[str]]:
        return lambda: all_that_is_in(client, bucket)

    @pytest.fixture
    def abandon(self, client: Any, bucket: str, driver: S3Store) -> Callable[[str], object]:
        """Begin an upload that nobody goes on with."""
        self.correct_times(driver)
        return lambda image_id: client.create_multipart_upload(Bucket=bucket, Key=image_id)

    @pytest.fixture
    def stranger(self, client: Any, bucket: str) -> Iterator[Callable[[str], object]]:
        """Leave objects that have nothing to do with images."""
        left: list[str] = []

        def leave(image_id: str) -> None:
            left.extend(("README", f"{image_id}-00001", f"{image_id}/part", "old/" + image_id))
            for key in left:
                client.put_object(Bucket=bucket, Key=key, Body=b"somebody else's")

        yield leave
        for key in left:
            client.delete_object(Bucket=bucket, Key=key)

    def correct_times(self, driver: S3Store) -> None:
        """Have moto's answers say that uploads began now: it says 2010 of all of them."""

        def correct(parsed: dict[str, Any], **more: Any) -> None:
            for upload in parsed.get("Uploads", ()):
                upload["Initiated"] = datetime.now(UTC)

        events = driver._bucket()._client.meta.events
        events.register("after-call.s3.ListMultipartUploads", correct)


class TestS3StoreInParts(TestS3Store):
    @pytest.fixture
    def driver(
        self, build: Callable[..., S3Store], bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> S3Store:
        monkeypatch.setattr("glancekit_s3_store.download.RANGE", 300_000)
        return in_small_parts(build(bucket))


class TestS3StoreByHostName(TestS3Store):
    """The bucket is in the host's name, which leads to the server as a DNS of its own would do."""

    @pytest.fixture
    def driver(
        self,
        build: Callable[..., S3Store],
        bucket: str,
        server: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> S3Store:
        find = socket.getaddrinfo

        def found(host: Any, *more: Any, **others: Any) -> Any:
            is_ours = host in (f"{bucket}.s3.test", f"{bucket}.s3.test".encode())
            return find("127.0.0.1" if is_ours else host, *more, **others)

        monkeypatch.setattr(socket, "getaddrinfo", found)
        port = server.url.rpartition(":")[2]
        host = f"http://s3.test:{port}"  # which itself leads nowhere
        return build(bucket, s3_store_host=host, s3_store_bucket_url_format="virtual")

    @pytest.fixture
    def twin(self, build: Callable[..., S3Store], bucket: str, driver: S3Store) -> S3Store:
        host = driver._settings.endpoint
        return build(bucket, s3_store_host=host, s3_store_bucket_url_format="virtual")


class TestS3StoreOfADeployedServer(TestS3Store):
    @pytest.fixture
    def server(self, deployed: Any) -> Any:
        return deployed

    def correct_times(self, driver: S3Store) -> None:
        """Nothing is to be corrected."""
