# SPDX-License-Identifier: Apache-2.0
"""What is the S3 store's own: locations, buckets, parts, credentials, signed URLs, leftovers."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.awsrequest import AWSResponse
from glancekit_s3_store.driver import S3Store

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    ByteStream,
    ConfigError,
    FileStream,
    IteratorStream,
    Location,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)

DATA = bytes(range(256)) * 300
MIB = 1 << 20
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

Build = Callable[..., S3Store]


def put(driver: S3Store, data: bytes = DATA, image_id: str | None = None) -> Location:
    source = FileStream(io.BytesIO(data))
    return driver.write(image_id or str(uuid.uuid4()), source, len(data))


def in_small_parts(driver: S3Store, size: int = 10_000) -> S3Store:
    driver._settings = replace(driver._settings, part_size=size, whole_below=0)
    return driver


def read(driver: S3Store, url: str) -> bytes:
    with driver.open(Location(url=url)) as opened:
        return b"".join(opened)


def asked_of(client: Any, call: Callable[[], object]) -> list[Any]:
    """Return the requests as they would go out; the answer to each is the plainest."""
    asked: list[Any] = []

    def keep(request: Any, **more: Any) -> AWSResponse:
        asked.append(request)
        return AWSResponse(request.url, 200, {"ETag": "1"}, Silent())

    client.meta.events.register("before-send.s3", keep)
    call()
    return asked


class Silent(io.BytesIO):
    """A body without a word in it."""

    def stream(self) -> Iterator[bytes]:
        yield b""


# -- locations


def test_a_location_is_byte_for_byte_upstream_s(build: Build, bucket: str, server: Any) -> None:
    image_id, host = str(uuid.uuid4()), server.url.removeprefix("http://")
    driver = build(bucket, s3_store_host=f"{server.url}/")
    assert put(driver, image_id=image_id).url == f"s3://{host}/{bucket}/{image_id}"


def test_old_locations_are_read_and_their_credentials_are_not_used(
    build: Build, bucket: str, server: Any, client: Any
) -> None:
    client.put_object(Bucket=bucket, Key="1", Body=DATA)  # as another service has left it
    host = server.url.removeprefix("http://")
    driver = build(bucket, s3_store_former_hosts=["Old.example.org"])
    for url in (
        f"s3://{host}/{bucket}/1",
        f"s3+https://{host}/{bucket}/1",
        f"s3://AKIA:{SECRET}@{host}/{bucket}/1",
        f"s3+http://old.example.org/{bucket}/1",
    ):
        assert read(driver, url) == DATA


@pytest.mark.parametrize(
    "url",
    [
        "s3+http://{host}/other/1",
        "s3+http://{host}/{bucket}x/1",
        "s3+http://elsewhere.example.org/{bucket}/1",
        "s3+http://key:{secret}@elsewhere.example.org/{bucket}/1",
        "s3+http://{host}/{bucket}/",
        "s3+http://{host}/{bucket}",
        "s3+http://{host}/path/{bucket}/1",
        "s3://http://{host}/{bucket}/1",
        "http://{host}/{bucket}/1",
        "{host}/{bucket}/1",
    ],
)
def test_nothing_is_opened_but_objects_in_the_bucket(
    build: Build, bucket: str, server: Any, url: str
) -> None:
    driver, host = build(bucket), server.url.removeprefix("http://")
    location = Location(url=url.format(host=host, bucket=bucket, secret=SECRET))
    calls: list[Callable[[], object]] = [
        lambda: driver.open(location),
        lambda: driver.open_range(location, 0, 1),
        lambda: driver.size(location),
        lambda: driver.delete(location),
        lambda: driver.direct_url(location, 60),
    ]
    for call in calls:
        with pytest.raises(StoreDenied) as refused:
            call()
        assert SECRET not in str(refused.value)


# -- options


@pytest.mark.parametrize(
    "options",
    [
        {"s3_store_bucket": ""},
        {"s3_store_bucket": "My bucket"},
        {"s3_store_bucket": "images/glance"},
        {"s3_store_host": "ftp://example.org"},
        {"s3_store_host": "http://s3 example.org"},
        {"s3_store_host": "http://s3_example.org"},
        {"s3_store_host": "http://example.org:port"},
        {"s3_store_region_name": "eu west"},
        {"s3_store_cacert": __file__},
        {"s3_store_cacert": "/nonexistent/ca.pem"},
        {"s3_store_host": f"https://key:{SECRET}@example.org"},
        {"s3_store_access_key": ""},
        {"s3_store_sse_kms_key_id": "key"},
    ],
)
def test_options_that_make_no_sense_stop_the_driver(
    build: Build, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigError) as refused:
        build("images", **options)
    assert next(iter(options)) in str(refused.value)
    assert SECRET not in str(refused.value)


def test_aws_needs_no_address(build: Build) -> None:
    driver = build("images", s3_store_host="", s3_store_region_name="eu-west-1")
    url = driver.direct_url(Location(url="s3+https://s3.eu-west-1.amazonaws.com/images/1"), 60)
    assert url.startswith("https://images.s3.eu-west-1.amazonaws.com/1?")
    path = build(
        "images",
        s3_store_host="",
        s3_store_region_name="eu-west-1",
        s3_store_bucket_url_format="path",
    )
    url = path.direct_url(Location(url="s3+https://s3.eu-west-1.amazonaws.com/images/1"), 60)
    assert url.startswith("https://s3.eu-west-1.amazonaws.com/images/1?")


def test_credentials_come_from_the_usual_chain(
    build: Build, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROM-THE-ENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    driver = build(bucket, s3_store_access_key="", s3_store_secret_key="")
    assert "FROM-THE-ENVIRONMENT" in driver.direct_url(put(driver), 60)


def test_where_there_are_no_credentials_the_store_says_so(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    driver = build("images", s3_store_access_key="", s3_store_secret_key="")
    with pytest.raises(StoreDenied):
        driver.check()


def test_without_boto3_the_driver_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['boto3'] = None\n"
        "from types import SimpleNamespace as N; from glancekit_s3_store.driver import S3Store\n"
        "values = {o.dest: o.default for o in S3Store.options} | {'s3_store_bucket': 'x'}\n"
        "try: S3Store(N(**values), name='cloud').check()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("ConfigError the store 'cloud'"), done.stderr
    assert "pip install boto3" in done.stdout


def test_boto3_is_not_loaded_before_it_is_needed() -> None:
    script = (
        "import sys; import glancekit_s3_store.driver;"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


# -- buckets


def test_the_first_upload_makes_the_bucket_when_asked_to(build: Build, client: Any) -> None:
    for make in (lambda driver: driver, in_small_parts):
        name = f"new-{uuid.uuid4().hex}"
        driver = make(build(name, s3_store_create_bucket_on_put=True))
        driver.check()
        driver.discard(str(uuid.uuid4()))
        assert driver.remnants(0) == []
        location = put(driver)
        assert read(driver, location.url) == DATA
        driver.delete(location)
        client.delete_bucket(Bucket=name)


@pytest.mark.parametrize(
    ("host", "chosen", "named"),
    [
        ("", "", b"eu-west-1"),  # of the environment
        ("", "eu-central-1", b"eu-central-1"),
        ("", "us-east-1", b""),
        ("https://s3.eu-west-1.amazonaws.com", "", b"eu-west-1"),
        ("https://s3.test", "", b""),
        ("https://s3.test", "far", b"far"),
    ],
)
def test_a_bucket_is_made_in_the_region_that_is_asked(
    build: Build, host: str, chosen: str, named: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    bucket = build("images", s3_store_host=host, s3_store_region_name=chosen)._bucket()
    (asked,) = asked_of(bucket._client, bucket._create)
    said = asked.body or b""
    assert (b"<LocationConstraint>" + named + b"<" in said) if named else b"Location" not in said


@pytest.mark.parametrize("is_made", [False, True])
def test_a_missing_bucket_is_not_a_missing_image(build: Build, server: Any, is_made: bool) -> None:
    """Neither where the first upload may make it: whoever looks for an image had one there."""
    driver = build("there-is-none", s3_store_create_bucket_on_put=is_made)
    host = server.url.removeprefix("http://")
    location = Location(url=f"s3://{host}/there-is-none/{uuid.uuid4()}")
    calls: list[Callable[[], object]] = [
        lambda: driver.open(location),
        lambda: driver.open_range(location, 10, 10),
        lambda: driver.size(location),
        lambda: driver.blob(location),
        lambda: driver.delete(location),
    ]
    if not is_made:
        calls += [driver.check, lambda: put(driver), lambda: put(in_small_parts(driver))]
        calls += [lambda: driver.discard(str(uuid.uuid4()))]
    for call in calls:
        with pytest.raises(StoreUnavailable) as raised:
            call()
        assert "bucket" in str(raised.value)


# -- uploads


def test_parts_are_those_of_the_options(build: Build, bucket: str, client: Any) -> None:
    driver = in_small_parts(build(bucket))
    image_id = str(uuid.uuid4())
    driver.write(image_id, FileStream(io.BytesIO(DATA)), None)
    found = client.head_object(Bucket=bucket, Key=image_id)
    assert found["ETag"].endswith('-8"')
    assert found["ContentLength"] == len(DATA)


def test_small_images_are_one_request(build: Build, bucket: str, client: Any) -> None:
    image_id = str(uuid.uuid4())
    put(build(bucket), image_id=image_id)
    found = client.head_object(Bucket=bucket, Key=image_id)
    assert found["ETag"].strip('"') == hashlib.md5(DATA).hexdigest()


def test_parts_of_unknown_number_grow(
    build: Build, bucket: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit_s3_store.upload.GROWTH", 2)
    driver, image_id = in_small_parts(build(bucket)), str(uuid.uuid4())
    location = driver.write(image_id, FileStream(io.BytesIO(DATA)), None)
    assert read(driver, location.url) == DATA
    found = client.head_object(Bucket=bucket, Key=image_id)
    assert found["ETag"].endswith('-5"')  # 10, 10, 20, 20 and the rest


def test_more_than_so_many_parts_are_too_much(
    build: Build, bucket: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And exactly as many are not."""
    monkeypatch.setattr("glancekit_s3_store.upload.MOST_PARTS", 8)
    driver, image_id = in_small_parts(build(bucket)), str(uuid.uuid4())
    with pytest.raises(StoreFull):
        driver.write(image_id, FileStream(io.BytesIO(DATA + bytes(3201))), None)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    data = DATA + bytes(3200)
    assert len(data) == 80_000
    location = driver.write(image_id, FileStream(io.BytesIO(data)), None)
    assert read(driver, location.url) == data
    assert client.head_object(Bucket=bucket, Key=image_id)["ETag"].endswith('-8"')


@pytest.mark.parametrize("parts", [0, 1, 2])
@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("is_told", [True, False])
def test_sizes_around_those_of_parts(
    build: Build, bucket: str, parts: int, more: int, is_told: bool
) -> None:
    size = max(0, parts * 10_000 + more)
    driver, data = in_small_parts(build(bucket)), (DATA * 2)[:size]
    source = FileStream(io.BytesIO(data))
    location = driver.write(str(uuid.uuid4()), source, size if is_told else None)
    assert driver.size(location) == size
    assert read(driver, location.url) == data


def test_parts_of_a_known_number_are_large_enough_from_the_beginning(
    build: Build, bucket: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit_s3_store.upload.MOST_PARTS", 2)
    driver, image_id, data = in_small_parts(build(bucket)), str(uuid.uuid4()), DATA * 40
    location = put(driver, data, image_id)
    assert read(driver, location.url) == data
    assert client.head_object(Bucket=bucket, Key=image_id)["ETag"].endswith('-2"')


def test_an_upload_holds_its_parts_and_no_more(build: Build, bucket: str) -> None:
    driver = build(bucket)
    limit = 64 * MIB  # 5 parts, and what the client keeps for a while
    driver.check()  # what boto3 itself takes is not the upload's
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew from here
    before = peak()

    def source() -> Iterator[bytes]:
        for _ in range(160):
            yield bytes(MIB)

    location = driver.write(str(uuid.uuid4()), IteratorStream(source()), None)
    assert peak() - before < limit
    assert driver.size(location) == 160 * MIB
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    with driver.open(location) as opened:
        assert sum(len(chunk) for chunk in opened) == 160 * MIB
    assert peak() - before < limit


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_a_failed_upload_leaves_no_parts(build: Build, bucket: str, client: Any) -> None:
    class Breaks(ByteStream):
        left = 5

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("the source broke")
            return bytes(10_000)

        def close(self) -> None:
            pass

    with pytest.raises(RuntimeError):
        in_small_parts(build(bucket)).write(str(uuid.uuid4()), Breaks(), None)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_what_killed_writers_left_can_be_discarded(build: Build, bucket: str, client: Any) -> None:
    image_id, other = str(uuid.uuid4()), str(uuid.uuid4())
    for key in (image_id, image_id, f"{image_id}x", other):
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=DATA)
    build(bucket).discard(image_id)
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert {upload["Key"] for upload in left} == {f"{image_id}x", other}
    for upload in left:
        client.abort_multipart_upload(
            Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )


def test_uploads_of_others_are_not_swept(build: Build, bucket: str, client: Any) -> None:
    image_id = str(uuid.uuid4())
    for key in (image_id, image_id.upper(), f"{image_id}.iso", f"backups/{image_id}"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    driver = build(bucket)
    (remnant,) = driver.remnants(3600)  # moto says that all began in 2010
    assert remnant.image_id == image_id
    driver.sweep(remnant)
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert image_id not in {upload["Key"] for upload in left}
    assert len(left) == 3
    for upload in left:
        client.abort_multipart_upload(
            Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )


def test_an_object_that_came_meanwhile_is_not_replaced(
    build: Build, bucket: str, client: Any
) -> None:
    image_id = str(uuid.uuid4())

    class Meanwhile(FileStream):
        def read(self, size: int = -1, /) -> bytes:
            client.put_object(Bucket=bucket, Key=image_id, Body=b"another's")
            return super().read(size)

    for driver in (build(bucket), in_small_parts(build(bucket))):
        with pytest.raises(BlobExists):
            driver.write(image_id, Meanwhile(io.BytesIO(DATA)), None)
        found = client.get_object(Bucket=bucket, Key=image_id)["Body"]
        with found:
            assert found.read() == b"another's"
        client.delete_object(Bucket=bucket, Key=image_id)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_what_had_the_name_before_is_not_discarded(build: Build, bucket: str, client: Any) -> None:
    """Whoever was refused a name takes back what it has written: nothing."""
    image_id = str(uuid.uuid4())
    client.put_object(Bucket=bucket, Key=image_id, Body=b"another's")
    for driver in (build(bucket), in_small_parts(build(bucket))):
        with pytest.raises(BlobExists):
            put(driver, image_id=image_id)
        driver.discard(image_id)
        found = client.get_object(Bucket=bucket, Key=image_id)["Body"]
        with found:
            assert found.read() == b"another's"


def test_each_kind_of_write_can_be_discarded(build: Build, bucket: str, client: Any) -> None:
    drivers = build(bucket), in_small_parts(build(bucket))
    for driver, size in ((driver, size) for driver in drivers for size in (0, len(DATA), None)):
        image_id = str(uuid.uuid4())
        driver.write(image_id, FileStream(io.BytesIO(DATA[:size])), size)
        assert client.head_object(Bucket=bucket, Key=image_id)["Metadata"]["glancekit-write"]
        build(bucket).discard(image_id)  # after a restart, too
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_encryption_is_asked_for(build: Build, bucket: str, client: Any) -> None:
    asked = {
        "s3_store_server_side_encryption": "aws:kms",
        "s3_store_sse_kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/1",
    }
    for driver in (build(bucket, **asked), in_small_parts(build(bucket, **asked))):
        image_id = str(uuid.uuid4())
        location = put(driver, image_id=image_id)
        found = client.head_object(Bucket=bucket, Key=image_id)
        assert found["ServerSideEncryption"] == "aws:kms"
        assert found["SSEKMSKeyId"] == asked["s3_store_sse_kms_key_id"]
        assert read(driver, location.url) == DATA


def test_checksums_of_the_sdk_are_sent_and_kept(build: Build, bucket: str, client: Any) -> None:
    asked = {f"s3_store_{of}": "when_supported" for of in CHECKSUMS}
    image_id = str(uuid.uuid4())
    location = put(build(bucket, **asked), image_id=image_id)
    found = client.head_object(Bucket=bucket, Key=image_id, ChecksumMode="ENABLED")
    assert base64.b64decode(found["ChecksumCRC32"]) == zlib.crc32(DATA).to_bytes(4)
    parts = in_small_parts(build(bucket, **asked))
    for driver, url in ((parts, put(parts).url), (parts, location.url)):
        assert read(driver, url) == DATA


@pytest.mark.parametrize(
    ("host", "with_md5"),
    [
        (f"{scheme}://s3.test", with_md5)
        for scheme in ("http", "https")
        for with_md5 in (False, True)
    ],
)
def test_a_part_s_sha256_is_signed_with_an_md5_or_without(
    build: Build, host: str, with_md5: bool
) -> None:
    chosen = {"s3_store_host": host, "s3_store_enable_data_integrity_protection": with_md5}
    bucket = build("images", **chosen)._bucket()
    data = bytearray(DATA)
    (asked,) = asked_of(bucket._sending, lambda: bucket.put_part("1", "upload", 1, data))
    assert asked.headers["X-Amz-Content-SHA256"].decode() == hashlib.sha256(DATA).hexdigest()
    assert ("Content-MD5" in asked.headers) == with_md5


CHECKSUMS = ("request_checksum_calculation", "response_checksum_validation")


# -- downloads


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ranges that small data has many of."""
    monkeypatch.setattr("glancekit_s3_store.download.RANGE", 10_000)


def test_ranges_come_in_order(build: Build, bucket: str, small_ranges: None) -> None:
    driver = build(bucket)
    location = put(driver)
    assert read(driver, location.url) == DATA
    for offset, length in ((5_001, 60_000), (0, 1), (7, 0), (len(DATA) - 1, 1)):
        with driver.open_range(location, offset, length) as opened:
            assert b"".join(opened) == DATA[offset : offset + length]


def test_as_many_ranges_as_are_read_are_asked_for(
    build: Build, bucket: str, small_ranges: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = build(bucket)
    location = put(driver, DATA * 10)
    asked, get = [], driver._bucket().get

    def counted(key: str, *, offset: int = 0, length: int = 0, etag: str | None = None) -> object:
        asked.append(offset)
        return get(key, offset=offset, length=length, etag=etag)

    monkeypatch.setattr(driver._bucket(), "get", counted)
    with driver.open_range(location, 100, 9_000) as opened:
        assert len(b"".join(opened)) == 9_000
    assert asked == [100]
    asked.clear()
    with driver.open(location) as opened:
        taken = opened.read(10_000)
        assert asked == [0]
        while len(taken) < 20_000:
            taken += opened.read(20_000 - len(taken))
    assert taken == DATA[:20_000]
    assert len(asked) < 20  # of 76


def test_a_range_of_what_was_replaced_meanwhile_is_an_error(
    build: Build, bucket: str, client: Any, small_ranges: None
) -> None:
    driver, image_id = build(bucket), str(uuid.uuid4())
    location = put(driver, image_id=image_id)
    with driver.open(location) as opened:
        assert opened.read(100) == DATA[:100]
        client.put_object(Bucket=bucket, Key=image_id, Body=DATA[::-1])
        for _ in range(2):  # and it is not passed over by whoever reads on
            with pytest.raises(StoreFailed, match="replaced"):
                b"".join(opened)


# -- signed URLs


def test_a_signed_url_is_read_by_whoever_has_it(build: Build, bucket: str) -> None:
    driver = build(bucket, s3_store_secret_key=SECRET)
    url = driver.direct_url(put(driver), 60)
    with urlopen(url, timeout=60) as answer:
        assert answer.read() == DATA
    assert SECRET not in url
    assert "X-Amz-Signature=" in url
    assert "X-Amz-Expires=60" in url


def test_a_signature_for_more_than_a_week_is_refused(build: Build, bucket: str) -> None:
    driver = build(bucket)
    with pytest.raises(StoreDenied):
        driver.direct_url(put(driver), 8 * 24 * 3600)


# -- removing


def test_another_service_s_removal_is_told(build: Build, bucket: str, client: Any) -> None:
    driver, image_id = build(bucket), str(uuid.uuid4())
    location = put(driver, image_id=image_id)
    client.delete_object(Bucket=bucket, Key=image_id)
    for call in (driver.open, driver.size, driver.delete):
        with pytest.raises(BlobNotFound):
            call(location)


def test_settings_are_told_in_upstream_s_units(build: Build, bucket: str) -> None:
    assert build(bucket, s3_store_large_object_size=100).details() == {
        "s3_store_large_object_size": 100,
        "s3_store_large_object_chunk_size": 10,
        "s3_store_thread_pools": 4,
    }


def test_a_bucket_is_one_place_for_its_account_alone(build: Build) -> None:
    def place(bucket: str = "images", **chosen: str) -> str:
        (name,) = build(bucket, s3_store_secret_key="s", **chosen).places()
        return name

    here, aws = {"s3_store_host": "https://s3.test"}, {"s3_store_host": ""}
    mine = place(**here, s3_store_access_key="me")
    assert "me" not in mine.split("/")
    assert mine == place(**here, s3_store_access_key="me", s3_store_bucket_url_format="path")
    others = [
        place("other", **here, s3_store_access_key="me"),
        place(**here, s3_store_access_key="you"),
        place(s3_store_host="https://another.test", s3_store_access_key="me"),
        place(**aws, s3_store_access_key="me"),
    ]
    assert len({mine, *others}) == 5
    # AWS has one bucket of that name in the world, whoever comes to it and by which address.
    far = place(s3_store_host="https://s3.eu-central-1.amazonaws.com", s3_store_access_key="you")
    assert far == others[-1]


@pytest.mark.parametrize(
    ("spelt", "others"),
    [
        (
            [
                "https://s3.example.org",
                "s3.example.org",
                "https://S3.Example.org",
                "HTTPS://s3.example.org/",
            ],
            ["https://s3.example.org:8443", "https://s3.example.org/s3", "https://example.org"],
        ),
        (
            ["https://s3.example.org", "https://s3.example.org:443", "https://s3.example.org."],
            ["https://s3.example.org:80", "http://s3.example.org:443"],
        ),
        (["http://s3.example.org", "http://s3.example.org:80"], ["http://s3.example.org:8080"]),
        (["http://[::1]:9000", "http://[::1]:9000/"], ["http://[::1]:9001", "http://[::2]:9000"]),
        (
            [
                "",
                "https://s3.eu-west-1.amazonaws.com",
                "https://s3.eu-west-1.amazonaws.com:443",
                "https://S3.us-east-1.AmazonAWS.com.",
                "http://s3.amazonaws.com",
            ],
            [
                "https://s3.cn-north-1.amazonaws.com.cn",
                "https://s3.us-gov-west-1.amazonaws.com",
                "https://s3.amazonaws.com.example.org",
                "https://s3.myamazonaws.com",
            ],
        ),
        (
            ["https://s3.cn-north-1.amazonaws.com.cn", "s3.cn-northwest-1.amazonaws.com.cn:443"],
            ["", "https://s3.us-gov-west-1.amazonaws.com"],
        ),
    ],
)
def test_a_place_has_one_name_however_it_is_spelt(
    build: Build, spelt: list[str], others: list[str]
) -> None:
    def place(host: str) -> str:
        (name,) = build("images", s3_store_host=host).places()
        return name

    assert len({place(host) for host in spelt}) == 1
    assert place(spelt[0]) not in {place(host) for host in others}


def test_a_region_tells_which_part_of_aws_a_bucket_is_in(build: Build) -> None:
    def place(region: str) -> list[str]:
        return build("images", s3_store_host="", s3_store_region_name=region).places()

    assert place("") == place("eu-west-1") == place("us-east-1")
    assert place("cn-north-1") == place("cn-northwest-1")
    there = build("images", s3_store_host="https://s3.cn-north-1.amazonaws.com.cn")
    assert place("cn-north-1") == there.places() != place("eu-west-1")


def test_credentials_are_secret_options() -> None:
    secret = {option.name for option in S3Store.options if option.secret}
    assert secret == {"s3_store_access_key", "s3_store_secret_key"}
