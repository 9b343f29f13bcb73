# SPDX-License-Identifier: Apache-2.0
"""Data of the upstream service's store library and of this store are each other's: the shared
tests, in one bucket, whole objects and parts. What either does alone is not the business here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from glancekit_s3_store.driver import S3Store

from glancekit.testing.upstream_store import UpstreamConformance, UpstreamStore, missing


@pytest.fixture(scope="module", params=["moto", "moto_with_tls", "deployed"])
def both(request: pytest.FixtureRequest) -> Any:
    """The server that both libraries use."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def shared_bucket(both: Any) -> Iterator[str]:
    name = f"shared-{uuid.uuid4().hex}"
    client = both.client()
    client.create_bucket(Bucket=name)
    yield name
    assert not client.list_objects_v2(Bucket=name).get("Contents")
    assert not client.list_multipart_uploads(Bucket=name).get("Uploads")
    client.delete_bucket(Bucket=name)
    client.close()


@pytest.fixture(scope="module")
def options(both: Any, shared_bucket: str) -> dict[str, Any]:
    """Both libraries are given the same, in parts where an image has more than 5 MiB."""
    return {
        "s3_store_host": both.url,
        "s3_store_access_key": both.access_key,
        "s3_store_secret_key": both.secret_key,
        "s3_store_bucket": shared_bucket,
        "s3_store_region_name": "us-east-1",
        "s3_store_bucket_url_format": "path",
        "s3_store_cacert": both.cacert,
        "s3_store_large_object_size": 5,
        "s3_store_large_object_chunk_size": 5,
    }


@pytest.fixture(scope="module")
def upstream(options: dict[str, Any]) -> Iterator[UpstreamStore]:
    wanted = missing()
    if wanted is not None:
        pytest.skip(wanted)
    given = {name: str(value) for name, value in options.items()}
    with UpstreamStore("s3", given) as upstream:
        yield upstream


@pytest.fixture
def driver(build: Callable[..., S3Store], options: dict[str, Any], shared_bucket: str) -> S3Store:
    return build(shared_bucket, **options)


class TestUpstream(UpstreamConformance):
    """One bucket, two libraries; images that both send in one request."""

    data = bytes(range(256)) * 1000


class TestUpstreamInParts(UpstreamConformance):
    """The same with images that both send in parts."""

    data = bytes(range(256)) * (45 << 10)
