# SPDX-License-Identifier: Apache-2.0
"""Who the S3 store is for servers that look: wrong keys, rights that are taken away, sessions that
end, and new keys that come without a restart. The servers are a moto with users and Swift.
"""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from glancekit_s3_store.driver import S3Store

from glancekit.plugin import (
    FileStream,
    IteratorStream,
    Location,
    StoreDenied,
    StoreUnavailable,
)

DATA = bytes(range(256)) * 8192
WRONG = "a-secret-that-is-wrong"

Build = Callable[..., S3Store]
Keep = Callable[..., None]


@pytest.fixture(params=["moto", "deployed"])
def server(request: pytest.FixtureRequest) -> Any:
    """Two that check signatures, each in its own way."""
    if request.param == "moto":
        return request.getfixturevalue("strict").server
    return request.getfixturevalue("deployed")


only_moto = pytest.mark.parametrize("server", ["moto"], indirect=True)


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keep:
    """Write credentials where a machine keeps them."""
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    def keep(key: str, secret: str, token: str = "") -> None:
        lines = ["[default]", f"aws_access_key_id = {key}", f"aws_secret_access_key = {secret}"]
        path.write_text("\n".join([*lines, f"aws_session_token = {token}" if token else ""]))

    return keep


@pytest.fixture
def from_file(build: Build, bucket: str) -> Callable[..., S3Store]:
    """Build a driver with the credentials that the machine keeps."""

    def from_file(**chosen: Any) -> S3Store:
        nobody = {"s3_store_access_key": "", "s3_store_secret_key": ""}
        return in_parts(build(bucket, **nobody, **chosen))

    return from_file


def in_parts(driver: S3Store) -> S3Store:
    driver._settings = replace(driver._settings, part_size=300_000, whole_below=0, parallel=1)
    return driver


def put(driver: S3Store, data: bytes = DATA) -> Location:
    return driver.write(str(uuid.uuid4()), FileStream(io.BytesIO(data)), len(data))


def read(driver: S3Store, location: Location) -> bytes:
    with driver.open(location) as opened:
        return b"".join(opened)


def calls_of(driver: S3Store, location: Location) -> list[Callable[[], object]]:
    """Everything that asks the server."""
    return [
        driver.check,
        lambda: put(driver),
        lambda: in_parts(driver) and put(driver),
        lambda: driver.open(location),
        lambda: driver.open_range(location, 1, 10),
        lambda: driver.size(location),
        lambda: driver.delete(location),
        lambda: driver.discard(str(uuid.uuid4())),
        lambda: driver.remnants(0),
    ]


def contents(client: Any, bucket: str) -> list[str]:
    objects = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [entry["Key"] for entry in (*objects, *uploads)]


@pytest.mark.parametrize("wrong", ["key", "secret"])
def test_wrong_credentials_are_denied_and_not_shown(
    build: Build,
    server: Any,
    bucket: str,
    client: Any,
    wrong: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    location = put(build(bucket))
    given = {"s3_store_access_key" if wrong == "key" else "s3_store_secret_key": WRONG}
    driver = build(bucket, **given)
    caplog.clear()
    for call in calls_of(driver, location):
        with pytest.raises(StoreDenied) as refused:
            call()
        secret = WRONG if wrong == "secret" else server.secret_key
        assert secret not in f"{refused.value}{refused.value!r}{refused.value.__cause__!r}"
        assert secret not in caplog.text
    assert contents(client, bucket) == [location.url.rpartition("/")[2]]


@only_moto
def test_rights_that_come_and_go_count_at_once(
    build: Build, strict: Any, bucket: str, client: Any
) -> None:
    user, (key, secret) = strict.make_user()
    location = put(build(bucket))
    driver = build(bucket, s3_store_access_key=key, s3_store_secret_key=secret)
    for call in calls_of(driver, location):
        with pytest.raises(StoreDenied):
            call()
    strict.allow(user)
    assert read(driver, location) == DATA
    second = put(driver)
    image_id = str(uuid.uuid4())
    with pytest.raises(StoreDenied):
        in_parts(driver).write(image_id, midway(lambda: strict.forbid(user)), None)
    strict.allow(user)
    driver.discard(image_id)
    names = {entry.url.rpartition("/")[2] for entry in (location, second)}
    assert set(contents(client, bucket)) == names


def midway(happens: Callable[[], object]) -> IteratorStream:
    """A source in the middle of which something happens."""

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(DATA), 300_000):
            if start == 1_200_000:
                happens()
            yield DATA[start : start + 300_000]

    return IteratorStream(chunks())


@only_moto
def test_keys_are_changed_without_a_restart(
    strict: Any, keep: Keep, from_file: Callable[..., S3Store]
) -> None:
    """Also in the middle of an upload: the old one is taken away when the new one is in place."""
    user, old = strict.make_user()
    strict.allow(user)
    keep(*old)
    driver = from_file()
    assert read(driver, put(driver)) == DATA

    def change() -> None:
        nonlocal old
        new = strict.make_key(user)
        keep(*new)
        strict.drop_key(user, old[0])
        old = new

    location = driver.write(str(uuid.uuid4()), midway(change), None)
    assert read(driver, location) == DATA
    calls: list[Callable[[], object]] = [
        driver.check,
        lambda: driver.size(location),
        lambda: driver.open(location).close(),
        lambda: put(driver),
        lambda: driver.delete(location),
    ]
    for call in calls:
        change()
        call()


@only_moto
def test_a_part_that_was_signed_before_the_keys_changed_is_sent_again(
    strict: Any, keep: Keep, from_file: Callable[..., S3Store]
) -> None:
    """Also where another request has found that out."""
    user, old = strict.make_user()
    strict.allow(user)
    keep(*old)
    there = from_file()._bucket()
    upload = there.begin("1", "whose")
    signed: list[Any] = []

    def change(request: Any, **more: Any) -> None:
        signed.append(request)
        if len(signed) == 1:
            keep(*strict.make_key(user))
            strict.drop_key(user, old[0])
            there.check()

    there._sending.meta.events.register("before-send.s3.UploadPart", change)
    part = there.put_part("1", upload, 1, bytearray(DATA))
    assert len(signed) == 2
    there.complete("1", upload, [part], "whose")
    assert there.find("1").size == len(DATA)


@only_moto
def test_credentials_that_come_later_count_without_a_restart(
    strict: Any, keep: Keep, from_file: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None at first, then half of them, then a file that is none, then all of them."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    driver = from_file()
    with pytest.raises(StoreDenied, match="no credentials: give s3_store_access_key"):
        driver.check()
    file = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    for text in ("[default]\naws_access_key_id = key\n", "what is no such file"):
        file.write_text(text)
        with pytest.raises(StoreDenied):
            driver.check()
    user, pair = strict.make_user()
    strict.allow(user)
    keep(*pair)
    assert read(driver, put(driver)) == DATA


@only_moto
def test_a_profile_that_is_not_there_is_denied_until_it_is(
    strict: Any, keep: Keep, from_file: Callable[..., S3Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "images")
    driver = from_file()
    with pytest.raises(StoreDenied, match="images"):
        driver.check()
    user, pair = strict.make_user()
    strict.allow(user)
    keep(*pair)
    file = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    file.write_text(file.read_text().replace("[default]", "[images]"))
    driver.check()


@only_moto
def test_a_session_s_token_is_in_no_log_at_any_level(
    strict: Any,
    keep: Keep,
    from_file: Callable[..., S3Store],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The SDK's own DEBUG lines hold whole requests, and signatures."""
    session = strict.session()
    keep(*session)
    logging.getLogger("botocore").setLevel(logging.NOTSET)
    caplog.set_level(logging.DEBUG)
    driver = from_file()
    location = put(driver)
    assert read(driver, location) == DATA
    url = driver.direct_url(location, 60)
    for secret in (*session[1:], url.rpartition("X-Amz-Signature=")[2]):
        assert secret not in caplog.text


@only_moto
def test_a_session_whose_token_is_another_is_denied_until_it_is_right(
    strict: Any, keep: Keep, from_file: Callable[..., S3Store]
) -> None:
    key, secret, token = strict.session()
    keep(key, secret, token[::-1])
    driver = from_file()
    for call in (driver.check, lambda: put(driver)):
        with pytest.raises(StoreDenied) as refused:
            call()
        assert token[::-1] not in str(refused.value)
    keep(key, secret, token)
    assert read(driver, put(driver)) == DATA


@only_moto
def test_a_session_that_ends_is_denied_until_there_is_another(
    strict: Any,
    keep: Keep,
    from_file: Callable[..., S3Store],
    way: Any,
    client: Any,
    bucket: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Midway of a write, and of a read whose ranges come one after the other."""
    caplog.set_level(logging.INFO)
    first = strict.session()
    keep(*first)
    driver = from_file(s3_store_host=way.url)
    location = put(driver)
    image_id = str(uuid.uuid4())
    with pytest.raises(StoreDenied):
        driver.write(image_id, midway(lambda: way.ended.add(first[2].encode())), None)
    for call in calls_of(driver, location):
        with pytest.raises(StoreDenied) as refused:
            call()
        assert not [secret for secret in first[1:] if secret in str(refused.value)]
    keep(*(second := strict.session()))
    driver.discard(image_id)
    assert read(driver, location) == DATA
    assert contents(client, bucket) == [location.url.rpartition("/")[2]]
    # The next one is there in time.
    keep(*(third := strict.session()))
    way.ended.add(second[2].encode())
    assert read(driver, put(driver)) == DATA
    assert not [
        secret for secret in (*first[1:], *second[1:], *third[1:]) if secret in caplog.text
    ]


class Role:
    """What hands the credentials of a container's role out: another session each time, which is
    to be renewed at once. None while it ``is_away``.
    """

    def __init__(self, strict: Any) -> None:
        self.given: list[tuple[str, str, str]] = []
        self.is_away = False
        role = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if role.is_away:
                    self.send_error(404)
                    return
                role.given.append(strict.session())
                said = json.dumps(role.answer()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/role"

    def answer(self) -> dict[str, str]:
        """Return the newest session as a container is told of it."""
        end = datetime.now(UTC) + timedelta(minutes=5)
        names = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
        return dict(zip(names, (*self.given[-1], f"{end:%Y-%m-%dT%H:%M:%SZ}"), strict=True))


@pytest.fixture
def role(strict: Any, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> Iterator[Role]:
    """A running one; nothing is in ``~/.aws``."""
    role = Role(strict)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.url)
    thread = threading.Thread(target=role.server.serve_forever)
    thread.start()
    yield role
    role.server.shutdown()
    role.server.server_close()
    thread.join()


@only_moto
def test_a_role_s_credentials_renew_themselves(
    role: Role, from_file: Callable[..., S3Store], way: Any
) -> None:
    """Also in the middle of an upload; and once there are any where there were none at first."""
    driver = from_file(s3_store_host=way.url)
    role.is_away = True
    with pytest.raises(StoreDenied):
        driver.check()
    role.is_away = False

    def end_all() -> None:
        way.ended.update(token.encode() for _, _, token in role.given)

    location = driver.write(str(uuid.uuid4()), midway(end_all), None)
    assert len(way.ended) > 1
    assert read(driver, location) == DATA


@only_moto
def test_a_url_is_signed_with_the_session_that_counts(
    strict: Any, keep: Keep, from_file: Callable[..., S3Store], way: Any
) -> None:
    """Signing asks nobody; that a session is over is heard by what was asked before."""
    first = strict.session()
    keep(*first)
    driver = from_file(s3_store_host=way.url)
    location = put(driver)
    keep(*(second := strict.session()))
    way.ended.add(first[2].encode())
    assert driver.size(location) == len(DATA)
    (token,) = parse_qs(urlsplit(driver.direct_url(location, 60)).query)["X-Amz-Security-Token"]
    assert token == second[2]


@only_moto
def test_a_session_that_ends_midway_of_a_read_goes_on_with_the_next(
    strict: Any,
    keep: Keep,
    from_file: Callable[..., S3Store],
    way: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("glancekit_s3_store.download.RANGE", 300_000)
    first = strict.session()
    keep(*first)
    driver = from_file(s3_store_host=way.url)
    location = put(driver)
    with driver.open(location) as opened:
        got = opened.read(1000)
        keep(*strict.session())
        way.ended.add(first[2].encode())
        assert got + b"".join(opened) == DATA


@pytest.mark.parametrize("server", ["deployed"], indirect=True)
def test_a_clock_that_is_wrong_is_denied_and_told(
    build: Build, server: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = put(build(bucket))
    driver = build(bucket)
    for hours in (-1, 1):
        clock = Clock(hours)
        monkeypatch.setattr("botocore.auth.get_current_datetime", clock.now)
        monkeypatch.setattr("glancekit_s3_store.failures.datetime", clock)
        for call in (driver.check, lambda: put(driver), lambda: driver.open(location)):
            with pytest.raises(StoreDenied, match=r"clock .* 3[56]\d\d seconds apart"):
                call()
        monkeypatch.undo()
        assert read(driver, location) == DATA


class Clock:
    """One that is so many hours ahead."""

    def __init__(self, hours: float) -> None:
        self._ahead = timedelta(hours=hours)

    def now(self, zone: tzinfo | None = UTC) -> datetime:
        found = datetime.now(UTC) + self._ahead
        return found if zone is not None else found.replace(tzinfo=None)


@pytest.mark.parametrize("server", ["deployed"], indirect=True)
def test_a_wrong_region_is_denied_and_asked_after(build: Build, server: Any, bucket: str) -> None:
    driver = build(bucket, s3_store_region_name="eu-west-1")
    for call in (driver.check, lambda: put(driver)):
        with pytest.raises(StoreDenied, match="is the region right"):
            call()


@pytest.mark.parametrize("server", ["deployed"], indirect=True)
def test_a_signed_url_ends_when_its_time_is_over(build: Build, server: Any, bucket: str) -> None:
    driver = build(bucket)
    url = driver.direct_url(put(driver), 5)
    with urlopen(url, timeout=60) as answer:
        assert answer.read() == DATA
    end = time.monotonic() + 30
    while status_of(url) == 200:
        assert time.monotonic() < end, "it works for ever"
        time.sleep(0.2)
    assert status_of(url) == 403


def status_of(url: str) -> int:
    try:
        with urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize("server", ["deployed"], indirect=True)  # moto takes anything
@pytest.mark.parametrize("with_md5", [False, True])
@pytest.mark.parametrize("is_in_parts", [False, True])
def test_bytes_that_change_on_the_way_are_not_taken(
    build: Build, bucket: str, client: Any, way: Any, is_in_parts: bool, with_md5: bool
) -> None:
    """The digest of what was sent is in the signature, with or without another beside it."""
    chosen = {"s3_store_enable_data_integrity_protection": with_md5}
    driver = build(bucket, s3_store_host=way.url, **chosen)
    if is_in_parts:
        in_parts(driver)
    way.garbled = DATA[:4]
    with pytest.raises(StoreUnavailable, match=r"SHA256|BadDigest"):
        put(driver)
    assert contents(client, bucket) == []
