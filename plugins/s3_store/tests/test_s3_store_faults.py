# SPDX-License-Identifier: Apache-2.0
"""What becomes of the S3 store when its server or the way to it fails: refused, frozen, cut."""

from __future__ import annotations

import io
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from botocore.exceptions import ClientError
from glancekit_s3_store.driver import S3Store
from glancekit_s3_store.failures import translated

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    FileStream,
    Location,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from glancekit.testing.wire import Line, Wire

DATA = bytes(range(256)) * 8192
"""2 MiB: more than the buffers of a connection hold."""

Build = Callable[..., S3Store]


@pytest.fixture
def driver(build: Build, bucket: str, way: Any) -> S3Store:
    return build(bucket, s3_store_host=way.url)


def put(driver: S3Store, data: bytes = DATA, image_id: str | None = None) -> Location:
    source = FileStream(io.BytesIO(data))
    return driver.write(image_id or str(uuid.uuid4()), source, len(data))


def in_parts(driver: S3Store) -> S3Store:
    driver._settings = replace(driver._settings, part_size=300_000, whole_below=0)
    return driver


# -- reading


def test_a_broken_read_goes_on_where_it_was(driver: S3Store, way: Any) -> None:
    location = put(driver)
    way.cut_back = 700_000
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA
    way.cut_back = 700_000
    with driver.open_range(location, 1000, 1_500_000) as opened:
        assert b"".join(opened) == DATA[1000:1_501_000]
    assert way.happened == 2


def test_a_range_that_breaks_ahead_of_the_reader_goes_on_where_it_was(
    driver: S3Store, way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit_s3_store.download.RANGE", 500_000)
    location = put(driver)
    with driver.open(location) as opened:
        taken = b""
        while len(taken) < 500_000:
            taken += opened.read(500_000 - len(taken))
        way.cut_back = 300_000
        assert taken + b"".join(opened) == DATA
    assert way.happened == 1


def test_a_reader_that_leaves_ends_what_is_read_ahead(
    driver: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit_s3_store.download.RANGE", 100_000)
    location = put(driver)
    with driver.open(location) as opened:
        for _ in range(5):
            opened.read(100_000)
    end = time.monotonic() + 60
    while any(thread.name.startswith("s3-read") for thread in threading.enumerate()):
        assert time.monotonic() < end, "threads are left behind"
        time.sleep(0.01)


def test_what_replaced_an_object_is_not_given_out_as_its_rest(
    driver: S3Store, way: Any, client: Any, bucket: str
) -> None:
    location = put(driver, image_id="1")
    way.cut_back = 700_000
    with driver.open(location) as opened:
        opened.read(1000)
        client.put_object(Bucket=bucket, Key="1", Body=bytes(len(DATA)))
        with pytest.raises(StoreFailed):
            b"".join(opened)
    assert way.happened == 1


def test_what_a_checksum_tells_of_is_not_given_out_as_the_end(
    build: Build, bucket: str, way: Any
) -> None:
    asked = {
        "s3_store_request_checksum_calculation": "when_supported",
        "s3_store_response_checksum_validation": "when_supported",
    }
    driver = build(bucket, s3_store_host=way.url, **asked)
    location = put(driver)
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA
    way.cut_back = 700_000  # what a broken read goes on with is not all that the checksum is of
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA
    way.damaged_back = 1_000_000
    given = b""
    with driver.open(location) as opened, pytest.raises(StoreFailed, match="checksum"):
        for chunk in opened:
            given += chunk
    assert way.happened == 2
    assert len(given) < len(DATA)


def test_a_server_that_goes_away_for_good_ends_the_read(driver: S3Store, way: Any) -> None:
    location = put(driver)
    way.cut_back = 700_000
    with driver.open(location) as opened:
        way.refuse()
        with pytest.raises(StoreUnavailable):
            b"".join(opened)


# -- writing


@pytest.mark.parametrize("kind", ["whole", "in parts"])
def test_an_upload_whose_last_answer_is_lost_is_one(
    driver: S3Store, way: Any, kind: str, client: Any, bucket: str
) -> None:
    """botocore asks again, and is told that the name is taken: by this very upload."""
    if kind == "whole":
        way.lost = lambda request: request.startswith(b"PUT ")
    else:
        in_parts(driver)
        way.lost = lambda request: request.startswith(b"POST ") and b"uploadId=" in request
    location = put(driver)
    assert way.happened == 1
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_a_part_whose_answer_is_lost_is_sent_again(driver: S3Store, way: Any) -> None:
    in_parts(driver)
    way.lost = lambda request: b"partNumber=3" in request
    location = put(driver)
    assert way.happened == 1
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA


class Slow(Wire):
    """A line that carries 4 MiB a second, and nothing for ``pause`` seconds, once."""

    def __init__(self, port: int) -> None:
        self.pause = 0.0
        self.lines: set[Line] = set()
        super().__init__(port)
        # Little is on its way unseen; that which is sent counts when it is over the line.
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def forth(self, line: Line, chunk: bytes) -> bytes:
        """See the base."""
        self.lines.add(line)
        time.sleep(len(chunk) / (4 << 20))
        if line.went_forth > 1 << 20:
            time.sleep(self.pause)
            self.pause = 0.0
        return chunk


@pytest.mark.parametrize("pause", [0.0, 1.5])
def test_a_part_may_take_longer_than_it_takes_to_connect(
    build: Build, server: Any, bucket: str, client: Any, pause: float
) -> None:
    """It is sent once: what counts is silence, and of that as much as with an answer."""
    with Slow(int(server.url.rpartition(":")[2])) as slow:
        times = {"s3_store_connect_timeout": 0.3, "s3_store_read_timeout": 20.0}
        there = build(bucket, s3_store_host=slow.url, **times)._bucket()
        data, slow.pause = bytearray(DATA * 4), pause
        upload = there.begin("1", "whose")
        part = there.put_part("1", upload, 1, data)
        del data[:]  # which is not held any more
        there.complete("1", upload, [part], "whose")
        assert len([line for line in slow.lines if line.went_forth > 1 << 20]) == 1
    with client.get_object(Bucket=bucket, Key="1")["Body"] as body:
        assert body.read() == DATA * 4


def test_what_is_sent_again_is_sent_from_its_beginning(
    driver: S3Store, way: Any, client: Any, bucket: str
) -> None:
    """As where a server turns out not to know the condition that the name is free."""
    way.unknown = b"If-None-Match"
    for _ in range(2):
        with driver.open(put(driver)) as opened:
            assert b"".join(opened) == DATA


class Failing(FileStream):
    """A source in the middle of which something happens."""

    def __init__(self, data: bytes, happens: Callable[[], object]) -> None:
        super().__init__(io.BytesIO(data))
        self._reads_left = 4
        self._happens = happens

    def read(self, size: int = -1, /) -> bytes:
        self._reads_left -= 1
        if self._reads_left == 0:
            self._happens()
        return super().read(min(size, 300_000))


@pytest.mark.parametrize("kind", ["whole", "in parts"])
@pytest.mark.parametrize("fault", ["stops", "hangs"])
def test_a_server_that_fails_midway_of_a_write(
    build: Build, server: Any, bucket: str, client: Any, way: Any, kind: str, fault: str
) -> None:
    """The error comes in time, discard leaves nothing, and the same driver works afterwards."""
    driver = build(bucket, s3_store_host=way.url, s3_store_read_timeout=0.3)
    if kind == "in parts":
        in_parts(driver)
    image_id = str(uuid.uuid4())
    fail = {"stops": way.stop, "hangs": server.running.freeze}[fault]
    mend = {"stops": way.start_again, "hangs": server.running.thaw}[fault]
    begun = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable):
            driver.write(image_id, Failing(DATA, fail), len(DATA))
    finally:
        mend()
    assert time.monotonic() - begun < 60
    driver.discard(image_id)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket, Prefix=image_id)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    with driver.open(put(driver, image_id=image_id)) as opened:
        assert b"".join(opened) == DATA


def test_a_server_that_hangs_is_not_waited_for_twice(
    build: Build, server: Any, bucket: str, client: Any, way: Any
) -> None:
    """The unfinished upload is left to discard, which the service calls anyway."""
    driver = in_parts(build(bucket, s3_store_host=way.url, s3_store_read_timeout=0.5))
    image_id = str(uuid.uuid4())
    with pytest.raises(StoreUnavailable):
        try:
            driver.write(image_id, Failing(DATA, server.running.freeze), len(DATA))
        finally:
            server.running.thaw()
    assert b"PUT" in way.methods
    assert b"DELETE" not in way.methods
    driver.discard(image_id)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


# -- a server that is busy


BUSY = ("GET", "HEAD", "PUT", "POST")


@pytest.mark.parametrize("method", BUSY)
def test_a_server_that_is_busy_is_waited_for(
    driver: S3Store, way: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the SDK would: that asks three times."""
    monkeypatch.setattr("glancekit_s3_store.patience.FIRST_PAUSE", 0.01)
    location = put(driver)
    driver._settings = replace(in_parts(driver)._settings, parallel=1)
    way.busy[method.encode()] = 5
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA
    assert driver.size(put(driver)) == len(DATA)
    assert way.busy[method.encode()] == 0


@pytest.mark.parametrize("method", BUSY)
def test_a_server_that_stays_busy_is_unavailable(
    driver: S3Store, way: Any, method: str, client: Any, bucket: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("glancekit_s3_store.patience.FIRST_PAUSE", 0.01)
    location, image_id = put(driver), str(uuid.uuid4())
    in_parts(driver)
    way.busy[method.encode()] = 1000
    with pytest.raises(StoreUnavailable, match=r"SlowDown|503"):
        if method in ("GET", "HEAD"):
            driver.open(location) if method == "GET" else driver.size(location)
        else:
            put(driver, image_id=image_id)
    way.busy.clear()
    driver.discard(image_id)
    left = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in left] == [location.url.rpartition("/")[2]]
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_an_object_that_is_deleted_behind_our_back_is_not_found(
    driver: S3Store, client: Any, bucket: str
) -> None:
    location = put(driver, image_id=str(uuid.uuid4()))
    client.delete_object(Bucket=bucket, Key=location.url.rpartition("/")[2])
    calls: list[Callable[[Location], object]] = [
        driver.open,
        driver.size,
        driver.delete,
        lambda there: driver.open_range(there, 10, 10),
    ]
    for call in calls:
        with pytest.raises(BlobNotFound):
            call(location)
    with driver.open(put(driver, image_id=location.url.rpartition("/")[2])) as opened:
        assert b"".join(opened) == DATA


def test_an_object_that_goes_midway_of_a_read_is_not_found(
    driver: S3Store, client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit_s3_store.download.RANGE", 500_000)
    location = put(driver)
    with driver.open(location) as opened:
        got = opened.read(1000)
        client.delete_object(Bucket=bucket, Key=location.url.rpartition("/")[2])
        with pytest.raises(BlobNotFound):
            while chunk := opened.read(100_000):
                got += chunk
    assert got == DATA[: len(got)]


# -- the server


def test_nobody_listening_is_unavailable(build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    driver = build("images", s3_store_host=url)
    for call in (driver.check, lambda: put(driver), lambda: driver.discard("x")):
        with pytest.raises(StoreUnavailable) as raised:
            call()
        assert "secret" not in str(raised.value)


def test_a_frozen_server_is_unavailable_and_works_when_it_thaws(
    build: Build, server: Any, bucket: str
) -> None:
    driver = build(bucket, s3_store_read_timeout=0.3)
    location = put(driver)
    server.running.freeze()
    try:
        for call in (driver.check, lambda: driver.open(location)):
            with pytest.raises(StoreUnavailable):
                call()
    finally:
        server.running.thaw()
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA


@pytest.mark.parametrize("kind", ["whole", "in parts"])
def test_a_server_that_freezes_midway_of_a_read(
    build: Build, server: Any, bucket: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in one long answer and in ranges that are read ahead."""
    if kind == "in parts":
        monkeypatch.setattr("glancekit_s3_store.download.RANGE", 2 << 20)
    data = DATA * 12  # more than the buffers take
    driver, location = build(bucket, s3_store_read_timeout=0.5), put(build(bucket), data)
    begun = time.monotonic()
    with driver.open(location) as opened:
        opened.read(1000)
        server.running.freeze()
        try:
            with pytest.raises(StoreUnavailable):
                b"".join(opened)
        finally:
            server.running.thaw()
    assert time.monotonic() - begun < 60
    with driver.open(location) as opened:
        assert b"".join(opened) == data


# -- a full server


def limit_room(server: Any, size: str) -> None:
    """Say as an administrator of Swift how many bytes the account may have; "" is no limit."""
    login = {"X-Auth-User": "admin:admin", "X-Auth-Key": "admin"}
    with urlopen(Request(server.swift_auth, headers=login), timeout=30) as answer:
        token, own = answer.headers["X-Auth-Token"], answer.headers["X-Storage-Url"]
    headers = {"X-Auth-Token": token, "X-Account-Meta-Quota-Bytes": size}
    url = own.replace("AUTH_admin", "AUTH_test")
    urlopen(Request(url, headers=headers, method="POST"), timeout=30).close()


class TestAFullServer:
    @pytest.fixture
    def server(self, deployed: Any) -> Iterator[Any]:
        if not deployed.swift_auth:
            pytest.skip("the server that was named is not one to be made full")
        yield deployed
        limit_room(deployed, "")

    @pytest.mark.parametrize("kind", ["whole", "in parts"])
    def test_it_says_so_and_nothing_is_left(
        self, build: Build, server: Any, bucket: str, client: Any, kind: str
    ) -> None:
        driver, data, image_id = build(bucket), DATA * 6, str(uuid.uuid4())
        if kind == "in parts":  # this server takes none that are smaller
            driver._settings = replace(driver._settings, part_size=5 << 20, whole_below=0)
        location = put(driver, data)
        for size in (len(data), None):
            source = Failing(data, lambda: limit_room(server, "1000"))
            with pytest.raises(StoreFull):
                driver.write(image_id, source, size)
            with pytest.raises(StoreFull):
                put(driver, data)
            with driver.open(location) as opened:
                assert b"".join(opened) == data
            driver.discard(image_id)
            left = client.list_objects_v2(Bucket=bucket)["Contents"]
            assert [entry["Key"] for entry in left] == [location.url.rpartition("/")[2]]
            assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
            limit_room(server, "")
        with driver.open(put(driver, data, image_id=image_id)) as opened:
            assert b"".join(opened) == data


# -- what the server says


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoSuchKey", 404, BlobNotFound),
        ("404", 404, BlobNotFound),
        ("NoSuchBucket", 404, StoreUnavailable),
        ("403", 403, StoreDenied),
        ("AccessDenied", 403, StoreDenied),
        ("InvalidAccessKeyId", 403, StoreDenied),
        ("ExpiredToken", 400, StoreDenied),
        ("400", 400, StoreDenied),
        ("PermanentRedirect", 301, StoreDenied),
        ("PreconditionFailed", 412, BlobExists),
        ("EntityTooLarge", 400, StoreFull),
        ("QuotaExceeded", 403, StoreFull),
        ("XMinioAdminBucketQuotaExceeded", 400, StoreFull),
        ("InsufficientStorage", 507, StoreFull),
        ("SlowDown", 503, StoreUnavailable),
        ("InternalError", 500, StoreUnavailable),
        ("TooManyRequests", 429, StoreUnavailable),
        ("InvalidArgument", 400, ClientError),
    ],
)
def test_the_server_s_errors_have_a_meaning(code: str, status: int, kind: type[Exception]) -> None:
    answer = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    with pytest.raises(kind) as raised, translated("testing"):
        raise ClientError(answer, "PutObject")
    assert isinstance(raised.value.__cause__ or raised.value, ClientError)


def test_the_descriptors_are_given_back(driver: S3Store) -> None:
    location = put(driver)
    folder = Path("/proc/self/fd")
    with driver.open(location) as opened:
        opened.read(10)
    before = len(list(folder.iterdir()))
    for _ in range(10):
        with driver.open(location) as opened:
            opened.read(10)
    assert len(list(folder.iterdir())) <= before + 2
