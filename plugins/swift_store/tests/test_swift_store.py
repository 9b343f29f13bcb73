# SPDX-License-Identifier: Apache-2.0
"""What is the Swift store's own: locations, accounts, containers, segments, leftovers, quotas."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from glancekit_swift_store.accounts import OwnAccounts
from glancekit_swift_store.driver import SwiftStore
from glancekit_swift_store.options import MB
from glancekit_swift_store.testing import KEY, READER, READER_KEY, USER, RealSwift
from glancekit_swift_store.upload import MOST_SEGMENTS, Upload

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    ByteStream,
    ConfigError,
    FileStream,
    IteratorStream,
    Location,
    Remnant,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
    Usage,
)

DATA = bytes(range(256)) * 300
MIB = 1 << 20
SECRET = "correct-horse-battery"

Build = Callable[..., SwiftStore]


def put(
    driver: SwiftStore, data: bytes = DATA, image_id: str = "", *, size_known: bool = True
) -> Location:
    source = FileStream(io.BytesIO(data))
    size = len(data) if size_known else None
    return driver.write(image_id or str(uuid.uuid4()), source, size)


def in_small_segments(driver: SwiftStore, size: int = 10_000) -> SwiftStore:
    driver._settings = replace(driver._settings, segment_size=size, whole_below=0)
    return driver


def read(driver: SwiftStore, url: str) -> bytes:
    with driver.open(Location(url=url)) as opened:
        return b"".join(opened)


def remnants(driver: SwiftStore, age: float = 0) -> list[Remnant]:
    return [found for found in driver.remnants(age) if found is not None]


def make_dynamic(outside: Any, container: str, name: str, prefix: str) -> None:
    """Make an object as upstream's library makes large ones."""
    for number in range(3):
        piece = DATA[number * 30_000 : (number + 1) * 30_000]
        outside.call("PUT", f"/{container}/{name}-{number:05d}", data=piece)
    headers = {"X-Object-Manifest": f"{container}/{prefix}"}
    outside.call("PUT", f"/{container}/{name}", headers=headers, data=b"")


# -- locations


def test_a_location_names_the_account_and_no_password(driver: SwiftStore, container: str) -> None:
    image_id = str(uuid.uuid4())
    assert put(driver, image_id=image_id).url == f"swift+config://ref1/{container}/{image_id}"


@pytest.mark.parametrize(
    "form",
    [
        "swift+config://ref1/{there}",
        "swift+http://test%3Atester:testing@{host}/auth/v1.0/{there}",
        "swift+https://test%3Atester:testing@{host}/auth/v1.0/{there}",
        "swift://test%3Atester:testing@{host}/auth/v1.0/{there}",
        "swift+http://test:tester:testing@{host}/auth/v1.0/{there}",
        "swift+https://test%3Atester:testing@old.example.org:5000/v2.0/{there}",
    ],
)
def test_every_form_of_a_location_is_read(
    build: Build, container: str, site: Any, form: str
) -> None:
    driver = build(container, swift_store_former_auth_addresses=["https://old.example.org:5000"])
    image_id = str(uuid.uuid4())
    put(driver, image_id=image_id)
    host = site.swift.url.removeprefix("http://")
    url = form.format(host=host, there=f"{container}/{image_id}")
    assert read(driver, url) == DATA
    with driver.open_range(Location(url=url), 10, 100) as opened:
        assert opened.read() == DATA[10:110]
    driver.delete(Location(url=url))


def test_credentials_of_a_location_count_in_their_own_account(
    build: Build, container: str, site: Any, driver: SwiftStore
) -> None:
    theirs = {"swift_store_user": "admin:admin", "swift_store_key": "admin"}
    other = build(container, **theirs, swift_store_create_container_on_put=True)
    location = put(other, image_id="1")
    host = site.swift.url.removeprefix("http://")
    url = f"swift+http://admin%3Aadmin:admin@{host}/auth/v1.0/{container}/1"
    assert read(driver, url) == DATA
    with pytest.raises(BlobNotFound):
        driver.open(location)  # which says the same of another account
    driver.delete(Location(url=url))
    wrong = url.replace("admin:admin@", f"admin:{SECRET}@")
    with pytest.raises(StoreDenied) as refused:
        driver.open(Location(url=wrong))
    assert SECRET not in str(refused.value)


def test_the_service_s_name_does_not_give_its_rights(
    driver: SwiftStore, container: str, site: Any
) -> None:
    location = put(driver, image_id="1")
    assert read(driver, location.url) == DATA
    host = site.swift.url.removeprefix("http://")
    guessed = Location(url=f"swift+http://test%3Atester:{SECRET}@{host}/auth/v1.0/{container}/1")
    for call in (driver.open, driver.size, driver.delete):
        with pytest.raises(StoreDenied):
            call(guessed)
    assert read(driver, location.url) == DATA


@pytest.mark.parametrize(
    "key", [f"%20{SECRET}", f"{SECRET}%0A", f"{SECRET}%0D%0AX-Evil:1", f"{SECRET}-\u2713"]
)
def test_a_password_that_is_no_header_is_denied_without_being_told(
    driver: SwiftStore, container: str, site: Any, key: str
) -> None:
    """The HTTP client says in its error what it cannot send."""
    host = site.swift.url.removeprefix("http://")
    location = Location(url=f"swift+http://test%3Atester:{key}@{host}/auth/v1.0/{container}/1")
    with pytest.raises(StoreDenied) as refused:
        driver.size(location)
    told: BaseException | None = refused.value
    while told is not None:
        assert SECRET not in str(told)
        told = told.__cause__ or told.__context__


def test_of_the_accounts_of_locations_the_latest_stay_logged_in(
    driver: SwiftStore, container: str, site: Any
) -> None:
    host = site.swift.url.removeprefix("http://")
    for number in range(20):
        url = f"swift+http://u%3A{number}:{SECRET}@{host}/auth/v1.0/{container}/1"
        with pytest.raises(StoreDenied):
            driver.size(Location(url=url))
    accounts = driver._accounts
    assert isinstance(accounts, OwnAccounts)
    strangers = accounts._strangers
    assert [reference.name for reference in strangers] == [str(n) for n in range(4, 20)]
    assert SECRET not in repr(strangers)


@pytest.mark.parametrize(
    "url",
    [
        "swift+http://test%3Atester:{secret}@elsewhere.example.org/auth/v1.0/{container}/1",
        "swift+http://test%3Atester:{secret}@{host}/{container}/",
        "swift+http://test%3Atester:{secret}@{host}//1",
        "swift+http://test%3Atester:{secret}@http://{host}/auth/v1.0/{container}/1",
        "swift+http://test%3Atester:{secret}@[/auth/v1.0/{container}/1",
        "swift+https://{host}/v1/AUTH_{secret}/{container}/1",
        "swift+config://{secret}/{container}/1",
        "swift+config://ref1/{container}",
        "swift+config://ref1/path/{container}/1",
        "swift+config://ref1/{container}/..",
        "swift+config://ref1/{container}/.",
        "swift+config://ref1/../1",
        "swift+ftp://test%3Atester:{secret}@{host}/{container}/1",
        "http://{host}/{container}/1",
        "{host}/{container}/1",
    ],
)
def test_nothing_is_opened_but_objects_of_known_accounts(
    driver: SwiftStore, container: str, site: Any, url: str
) -> None:
    host = site.swift.url.removeprefix("http://")
    location = Location(url=url.format(host=host, container=container, secret=SECRET))
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
        assert "@" not in str(refused.value)
        assert f":{SECRET}" not in str(refused.value)


# -- options


@pytest.mark.parametrize(
    "options",
    [
        {"swift_store_multi_tenant": True},
        {"swift_store_auth_address": ""},
        {"swift_store_auth_address": "ftp://example.org"},
        {"swift_store_auth_address": f"https://user:{SECRET}@example.org"},
        {"swift_store_auth_address": "https://example.org:port"},
        {"swift_store_auth_version": "2"},
        {"swift_store_user": "nobody", "swift_store_key": SECRET},
        {"swift_store_key": ""},
        {"swift_store_key": f" {SECRET}"},
        {"swift_store_key": f"{SECRET}\n"},
        {"swift_store_container": ""},
        {"swift_store_container": "a/b"},
        {"swift_store_application_credential_id": "x", "swift_store_key": SECRET},
        {
            "swift_store_application_credential_id": "x",
            "swift_store_application_credential_secret": SECRET,
        },
        {"swift_store_config_file": "/nowhere"},
    ],
)
def test_options_that_make_no_sense_stop_the_driver(
    build: Build, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigError) as refused:
        build("images", **options)
    assert SECRET not in str(refused.value)
    assert "swift_store" in str(refused.value) or "address" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"key = {SECRET}\n",
        f"[ref1]\nauth_address = https://example.org\n{SECRET}\n",
        f"[ref1]\nuser = a:b\nkey = {SECRET}\n",
        f"[ref1]\nauth_address = https://example.org\nuser = a:b\nkey = {SECRET}\n[ref2]\n",
        f"[other]\nauth_address = https://example.org\nuser = a:b\nkey = {SECRET}\n",
        f"[ref1]\nauth_address = https://example.org\nauth_version = 2\nkey = {SECRET}\n",
        f"[ref1]\nauth_address = https://example.org\nuser = a:b\nkey = '{SECRET}\n",
        f"[ref1]\nauth_address = https://example.org\nuser = a:b\nkey = \"{SECRET}'\n",
    ],
)
def test_a_file_that_makes_no_sense_stops_the_driver(
    build: Build, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "references.conf"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        build("images", swift_store_config_file=str(path))
    assert str(path) in str(refused.value) or "default_swift_reference" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_file_may_name_several_accounts(
    build: Build, container: str, site: Any, tmp_path: Path
) -> None:
    path = tmp_path / "references.conf"
    users = {"one": (f"'{USER}'", f'"{KEY}"'), "two": ("admin:admin", "admin")}
    path.write_text(
        "".join(
            f"[{name}]\nauth_address = {site.swift.auth_url}\nauth_version = 1\n"
            f"user = {user}\nkey = {key}\n"
            for name, (user, key) in users.items()
        )
    )
    chosen = {"swift_store_config_file": str(path), "swift_store_create_container_on_put": True}
    first = build(container, **chosen, default_swift_reference="one")
    second = build(container, **chosen, default_swift_reference="two")
    locations = put(first, b"one", "1"), put(second, b"two", "1")
    assert [location.url for location in locations] == [
        f"swift+config://{name}/{container}/1" for name in users
    ]
    for driver in (first, second):
        assert [read(driver, location.url) for location in locations] == [b"one", b"two"]
    for location in locations:
        first.delete(location)


# -- containers


def test_a_missing_container_is_not_a_missing_image(build: Build) -> None:
    driver = build("there-is-none")
    location = Location(url="swift+config://ref1/there-is-none/1")
    calls: list[Callable[[], object]] = [
        driver.check,
        lambda: put(driver),
        lambda: driver.open(location),
        lambda: driver.delete(location),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="no container there-is-none"):
            call()


def test_a_container_is_made_when_an_image_comes(build: Build, outside: Any) -> None:
    name = f"made-{uuid.uuid4().hex}"
    driver = build(name, swift_store_create_container_on_put=True)
    driver.check()
    driver.discard(str(uuid.uuid4()))
    assert name not in outside.containers()
    location = put(driver)
    assert name in outside.containers()
    driver.delete(location)
    outside.call("DELETE", f"/{name}")


def test_a_seed_spreads_images_over_containers(build: Build, outside: Any) -> None:
    prefix = f"seeded-{uuid.uuid4().hex}"
    driver = build(
        prefix,
        swift_store_multiple_containers_seed=9,
        swift_store_create_container_on_put=True,
    )
    driver.check()
    image_id = "fdae39a1-bac5-4238-aba4-69bcc726e848"
    location = put(driver, image_id=image_id)
    assert location.url == f"swift+config://ref1/{prefix}_fdae39a1-b/{image_id}"
    with pytest.raises(BlobNotFound):
        driver.open(Location(url=f"swift+config://ref1/{prefix}_0/0"))
    driver.discard(image_id)
    assert outside.names(f"{prefix}_fdae39a1-b") == []
    outside.call("DELETE", f"/{prefix}_fdae39a1-b")


def test_a_container_of_a_seed_that_is_not_there_is_told(build: Build, outside: Any) -> None:
    """When an image comes; until then it is one that no image has come to yet."""
    prefix = f"seeded-{uuid.uuid4().hex}"
    driver = build(prefix, swift_store_multiple_containers_seed=2)
    driver.check()
    image_id = str(uuid.uuid4())
    with pytest.raises(StoreUnavailable, match=f"no container {prefix}_{image_id[:2]}"):
        put(driver, image_id=image_id)
    location = Location(url=f"swift+config://ref1/{prefix}_{image_id[:2]}/{image_id}")
    for call in (driver.open, driver.size, driver.delete):
        with pytest.raises(BlobNotFound):
            call(location)
    driver.discard(image_id)
    assert remnants(driver) == []
    assert not [name for name in outside.containers() if name.startswith(prefix)]


@pytest.mark.parametrize("kind", ["whole", "in segments"])
@pytest.mark.parametrize(
    "name", ["my images", "bilder-\u00e9-\u2713", "a%20b", "q?x=1#f", "a@b:c+d"]
)
def test_a_container_may_have_any_name(
    build: Build, outside: Any, temporary_key: str, name: str, kind: str
) -> None:
    driver = build(
        name, swift_store_create_container_on_put=True, swift_store_temp_url_key=temporary_key
    )
    if kind == "in segments":
        in_small_segments(driver, 30_000)
    location = put(driver)
    assert location.url == f"swift+config://ref1/{name}/{location.image_id}"
    assert read(driver, location.url) == DATA
    assert requests.get(driver.direct_url(location, 60), timeout=30).content == DATA
    assert [blob.url for blob in driver.contents()] == [location.url]
    assert remnants(driver) == []
    driver.delete(location)
    quoted = quote(name, safe="")
    assert outside.names(quoted) == []
    outside.call("DELETE", f"/{quoted}")


@pytest.mark.parametrize("made_on_put", [True, False])
def test_a_container_that_goes_midway_of_a_write_is_missed(
    build: Build, outside: Any, made_on_put: bool
) -> None:
    """It is not an image that is missing."""
    name = f"vanishing-{uuid.uuid4().hex}"
    outside.call("PUT", f"/{name}")
    driver = build(name, swift_store_create_container_on_put=made_on_put)

    def pieces() -> Iterator[bytes]:
        yield DATA
        outside.call("DELETE", f"/{name}")
        yield DATA

    in_small_segments(driver, 2 * len(DATA) + 1)  # begun, not there yet
    with pytest.raises(StoreUnavailable, match=f"no container {name}"):
        driver.write(str(uuid.uuid4()), IteratorStream(pieces()), None)


# -- segments


@pytest.mark.parametrize("size_known", [True, False])
@pytest.mark.parametrize("length", [1, 9_999, 10_000, 10_001, 40_000, 45_678])
def test_segments_may_end_anywhere(
    driver: SwiftStore, container: str, outside: Any, length: int, size_known: bool
) -> None:
    data = DATA[:length]
    location = put(in_small_segments(driver), data, size_known=size_known)
    image_id = location.url.rpartition("/")[2]
    names = outside.names(container)
    segments = [name for name in names if name != image_id]
    assert len(segments) == -(-length // 10_000)
    assert all(name.startswith(f"{image_id}/") for name in segments)
    headers = outside.call("HEAD", f"/{container}/{image_id}").headers
    assert headers["X-Static-Large-Object"] == "True"
    assert driver.size(location) == length
    assert read(driver, location.url) == data
    start, part = length // 3, length // 2
    if part:
        with driver.open_range(location, start, part) as opened:
            assert b"".join(opened) == data[start : start + part]
    driver.delete(location)
    assert outside.names(container) == []


def test_small_images_are_single_objects(driver: SwiftStore, container: str, outside: Any) -> None:
    location = put(driver)
    assert outside.names(container) == [location.url.rpartition("/")[2]]


def test_as_many_segments_as_a_manifest_holds_are_enough(driver: SwiftStore) -> None:
    settings = replace(driver._settings, segment_size=200 * MB)
    container: Any = None
    known = Upload(container, "1", 3 * 10**12, settings)
    assert known._segment_size(1) * MOST_SEGMENTS >= 3 * 10**12
    assert Upload(container, "1", 10**10, settings)._segment_size(1) == 200 * MB
    unknown = Upload(container, "1", None, settings)
    sizes = [unknown._segment_size(number) for number in range(1, MOST_SEGMENTS + 1)]
    assert sizes[0] == sizes[199] == 200 * MB
    assert sum(sizes) > 10**12
    assert max(sizes) < 5 * 10**9


def test_more_segments_than_a_manifest_holds_is_too_much(
    driver: SwiftStore, container: str, outside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit_swift_store.upload.MOST_SEGMENTS", 3)
    with pytest.raises(StoreFull):
        put(in_small_segments(driver), DATA[:45_000], size_known=False)
    assert outside.names(container) == []


def test_memory_is_bounded_whatever_the_size_of_a_segment(build: Build, container: str) -> None:
    driver = build(container, swift_store_large_object_size=1)
    length = 150

    def pieces() -> Iterator[bytes]:
        for number in range(length):
            yield bytes([number]) * MIB

    put(driver)  # what is imported at first use does not count
    tracemalloc.start()
    try:
        location = driver.write(str(uuid.uuid4()), IteratorStream(pieces()), length * MIB)
        peak = tracemalloc.get_traced_memory()[1]
        assert peak < 64 * MIB
        tracemalloc.reset_peak()
        with driver.open(location) as opened:
            while opened.read(MIB):
                pass
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()
    driver.delete(location)


# -- what is there already


def test_a_dynamic_large_object_is_read_and_deleted(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    make_dynamic(outside, container, "1", "1-")
    location = Location(url=f"swift+config://ref1/{container}/1")
    assert driver.size(location) == len(DATA)
    assert read(driver, location.url) == DATA
    with driver.open_range(location, 29_999, 2) as opened:
        assert b"".join(opened) == DATA[29_999:30_001]
    outside.call("PUT", f"/{container}/10", data=b"a neighbour")
    driver.delete(location)
    assert outside.names(container) == ["10"]


def test_a_dynamic_large_object_of_very_many_segments_is_read(
    build: Build, tmp_path: Path, site_of: Callable[[RealSwift], Any]
) -> None:
    """Of more than one listing has; how large it is the server does not know then."""
    with RealSwift(tmp_path / "swift", listing_limit=2) as swift:
        site = site_of(swift)
        site.outside.call("PUT", "/images")
        make_dynamic(site.outside, "images", "1", "1-")
        driver = build("images", **site.options)
        location = Location(url="swift+config://ref1/images/1")
        assert driver.size(location) is None
        assert read(driver, location.url) == DATA
        with driver.open_range(location, 29_999, 2) as opened:
            assert b"".join(opened) == DATA[29_999:30_001]
        with pytest.raises(StoreFailed, match="parts"):
            driver.open_range(location, 65_000, 2)


def test_a_manifest_that_stands_for_others_removes_nothing(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    make_dynamic(outside, container, "1", "2-")
    put(driver, image_id="2-")
    before = outside.names(container)
    with pytest.raises(StoreDenied):
        driver.delete(Location(url=f"swift+config://ref1/{container}/1"))
    assert outside.names(container) == before


def test_a_name_that_is_taken_is_found_before_the_first_byte(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    outside.call("PUT", f"/{container}/1", data=b"somebody's")

    class Untouched(ByteStream):
        def read(self, size: int = -1, /) -> bytes:
            pytest.fail("the source was read")

        def close(self) -> None:
            pass

    for way in (driver, in_small_segments(driver)):
        with pytest.raises(BlobExists):
            way.write("1", Untouched(), 10)
    assert outside.call("GET", f"/{container}/1").content == b"somebody's"


# -- what is removed behind our back


def test_a_segment_that_is_gone_is_an_error_and_the_rest_can_be_removed(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    location = put(in_small_segments(driver), DATA)
    segments = [name for name in outside.names(container) if "/" in name]
    outside.call("DELETE", f"/{container}/{segments[2]}")
    with pytest.raises(StoreFailed, match="segment"):
        read(driver, location.url)
    driver.delete(location)
    assert outside.names(container) == []


def test_segments_whose_object_is_gone_go_with_the_next_removal(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    """A server that cannot remove a segment removes the object all the same, and says so."""
    location, other = put(in_small_segments(driver)), put(driver)
    outside.call("DELETE", f"/{container}/{location.image_id}")
    with pytest.raises(BlobNotFound):
        driver.delete(location)
    left = outside.names(container)
    assert left
    assert all(name.startswith(str(other.image_id)) for name in left)


@pytest.mark.parametrize("kind", ["whole", "in segments"])
def test_several_may_discard_at_once(driver: SwiftStore, kind: str) -> None:
    if kind == "in segments":
        in_small_segments(driver, 60_000)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            image_id = str(put(driver).image_id)
            for done in [pool.submit(driver.discard, image_id) for _ in range(4)]:
                done.result()
            assert list(driver.contents()) == []


def test_nothing_read_is_not_the_end(driver: SwiftStore) -> None:
    with driver.open(put(driver)) as opened:
        assert opened.read(0) == b""
        assert b"".join(opened) == DATA
        assert opened.read(0) == opened.read() == b""


def test_an_object_that_is_gone_is_not_found(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    location = put(driver, image_id="1")
    outside.call("DELETE", f"/{container}/1")
    for call in (driver.open, driver.size, driver.delete):
        with pytest.raises(BlobNotFound):
            call(location)


# -- leftovers

_WRITER = """
import sys, os
from types import SimpleNamespace
from glancekit.plugin import IteratorStream
from glancekit_swift_store.driver import SwiftStore

values = eval(sys.argv[1])
driver = SwiftStore(SimpleNamespace(**values), name="swift")

def pieces():
    for number in range(5):
        yield bytes(1024000)
    print("half", flush=True)
    sys.stdin.read()

driver.write(sys.argv[2], IteratorStream(pieces()), None)
"""


def test_what_a_killed_writer_left_is_discarded(
    build: Build, container: str, outside: Any, site: Any
) -> None:
    image_id = str(uuid.uuid4())
    driver = build(container)
    kept = put(driver)
    values = {option.dest: option.default for option in SwiftStore.options}
    values |= {**site.options, "swift_store_container": container}
    values |= {"swift_store_large_object_chunk_size": 1}
    command = [sys.executable, "-c", _WRITER, repr(values), image_id]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        while not any(name.startswith(image_id) for name in outside.names(container)):
            assert writer.poll() is None
        writer.kill()
    driver.discard(image_id)
    driver.discard(image_id)
    assert outside.names(container) == [kept.url.rpartition("/")[2]]


def test_discard_removes_what_upstream_left(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    image_id = str(uuid.uuid4())
    make_dynamic(outside, container, image_id, f"{image_id}-")
    outside.call("DELETE", f"/{container}/{image_id}")
    driver.discard(image_id)
    assert outside.names(container) == []


# -- direct URLs


@pytest.fixture
def temporary_key(outside: Any) -> Iterator[str]:
    """The key for temporary URLs, which the account has."""
    outside.call("POST", headers={"X-Account-Meta-Temp-URL-Key": SECRET})
    yield SECRET
    outside.call("POST", headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})


def test_a_direct_url_works_for_everybody(
    build: Build, container: str, temporary_key: str, driver: SwiftStore
) -> None:
    location = put(in_small_segments(build(container)))
    for signing in (driver, build(container, swift_store_temp_url_key=temporary_key)):
        url = signing.direct_url(location, 60)
        assert temporary_key not in url
        answer = requests.get(url, timeout=30)
        assert answer.status_code == 200
        assert answer.content == DATA
        assert requests.get(url[:-1], timeout=30).status_code == 401
        assert requests.put(url, data=b"x", timeout=30).status_code == 401


def test_a_direct_url_takes_a_key(driver: SwiftStore) -> None:
    location = put(driver)
    with pytest.raises(StoreDenied, match="temp_url_key"):
        driver.direct_url(location, 60)


def test_a_direct_url_works_for_what_upstream_stored(
    driver: SwiftStore, container: str, outside: Any, temporary_key: str
) -> None:
    make_dynamic(outside, container, "1", "1-")
    url = driver.direct_url(Location(url=f"swift+config://ref1/{container}/1"), 60)
    assert requests.get(url, timeout=30).content == DATA


@pytest.fixture
def two_accounts(outside: Any, site: Any, container: str, tmp_path: Path) -> Iterator[Path]:
    """A file that names two accounts, each with a container and a key of its own."""
    headers = {"X-Auth-User": "admin:admin", "X-Auth-Key": "admin"}
    login = requests.get(site.swift.auth_url, headers=headers, timeout=30)
    other = replace(
        outside, url=login.headers["X-Storage-Url"], token=login.headers["X-Auth-Token"]
    )
    path = tmp_path / "references.conf"
    address = f"auth_address = {site.swift.auth_url}\nauth_version = 1\n"
    path.write_text(
        f"[one]\n{address}user = {USER}\nkey = {KEY}\n"
        f"[two]\n{address}user = admin:admin\nkey = admin\n"
    )
    for account, key in ((outside, "of-one"), (other, "of-two")):
        account.call("POST", headers={"X-Account-Meta-Temp-URL-Key": key})
    other.call("PUT", f"/{container}")
    yield path
    other.call("DELETE", f"/{container}")
    for account in (outside, other):
        account.call("POST", headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})


def test_a_direct_url_is_signed_with_the_key_of_its_own_account(
    build: Build, container: str, two_accounts: Path
) -> None:
    file = {"swift_store_config_file": str(two_accounts)}
    second = build(container, **file, default_swift_reference="two")
    location = put(second)
    first = build(
        container, **file, default_swift_reference="one", swift_store_temp_url_key="of-one"
    )
    answer = requests.get(first.direct_url(location, 60), timeout=30)
    assert (answer.status_code, answer.content) == (200, DATA)
    second.delete(location)


# -- quotas


def test_the_quota_of_the_container_is_its_room(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    assert driver.usage() == Usage(total=None, free=None)
    outside.call("POST", f"/{container}", headers={"X-Container-Meta-Quota-Bytes": "50000"})
    put(driver, DATA[:20_000])
    assert driver.usage().total == 50_000
    for way in (driver, in_small_segments(driver, 40_000)):
        with pytest.raises(StoreFull):
            put(way, DATA[:45_000])
    assert len(outside.names(container)) == 1
    put(driver, DATA[:10_000])


def test_the_quota_of_the_account_counts_where_it_leaves_less_room(
    driver: SwiftStore, container: str, outside: Any, site: Any
) -> None:
    """Only an administrator of Swift sets it."""
    admin = {"X-Auth-User": "admin:admin", "X-Auth-Key": "admin"}
    token = requests.get(site.swift.auth_url, headers=admin, timeout=30).headers["X-Auth-Token"]

    def limit(size: str) -> None:
        headers = {"X-Auth-Token": token, "X-Account-Meta-Quota-Bytes": size}
        requests.post(outside.url, headers=headers, timeout=30).raise_for_status()

    outside.call("POST", f"/{container}", headers={"X-Container-Meta-Quota-Bytes": str(10**12)})
    limit(str(10**9))
    try:
        assert driver.usage().total == 10**9
        limit("0")
        assert driver.usage() == Usage(total=0, free=0)
        for way in (driver, in_small_segments(driver, 40_000)):
            with pytest.raises(StoreFull):
                put(way)
        assert outside.names(container) == []
    finally:
        limit("")
    put(driver)


# -- who may


def test_wrong_credentials_are_denied_without_being_told(build: Build, container: str) -> None:
    for chosen in (
        {"swift_store_key": SECRET},
        {"swift_store_user": "test:nobody", "swift_store_key": SECRET},
        {"swift_store_user": READER, "swift_store_key": READER_KEY},
    ):
        driver = build(container, **chosen)
        calls = (driver.check, lambda driver=driver: put(driver))
        for call in calls:
            with pytest.raises(StoreDenied) as refused:
                call()
            assert chosen["swift_store_key"] not in str(refused.value)


def test_the_log_has_no_secrets_however_much_is_logged(
    build: Build,
    container: str,
    outside: Any,
    temporary_key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = build(container)
    with caplog.at_level("DEBUG"):
        for way in (driver, in_small_segments(build(container))):
            location = put(way)
            assert read(way, location.url) == DATA
            signed = way.direct_url(location, 60)
            way.delete(location)
    accounts = driver._accounts
    assert isinstance(accounts, OwnAccounts)
    token = accounts.default.session.get_token()
    signature = signed.partition("temp_url_sig=")[2].partition("&")[0]
    assert "DEBUG" in caplog.text
    for secret in (KEY, SECRET, token, signature):
        assert secret
        assert secret not in caplog.text


def test_what_talks_to_the_server_is_imported_late() -> None:
    program = (
        "import sys, glancekit_swift_store.driver; "
        "assert not {'requests', 'keystoneauth1', 'swiftclient'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# -- what was left


def test_segments_are_swept_that_no_image_is_made_of(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    """Of an image that is whole, of one that is in other segments, and of none; and no other."""
    whole, lone = put(driver), str(uuid.uuid4())
    joined = put(in_small_segments(driver))
    before = set(outside.names(container))
    ids = [str(joined.image_id), str(whole.image_id), lone]
    for image_id in ids:
        for number in (1, 2):
            name = f"{image_id}/{'0' * 32}/{number:05d}"
            outside.call("PUT", f"/{container}/{name}", data=b"half")
    outside.call("PUT", f"/{container}/{lone}-00001", data=b"upstream's")
    outside.call("PUT", f"/{container}/notes/{'0' * 32}/00001", data=b"somebody's")
    assert remnants(driver, 60) == []
    found = remnants(driver)
    assert sorted(str(each.image_id) for each in found) == sorted(ids)
    for remnant in found:
        driver.sweep(remnant)
    left = set(outside.names(container)) - before
    assert left == {f"{lone}-00001", f"notes/{'0' * 32}/00001"}
    assert remnants(driver) == []
    assert read(driver, joined.url) == DATA


def test_segments_of_an_image_are_not_swept(
    driver: SwiftStore, container: str, outside: Any
) -> None:
    """Of a static one, and of a dynamic one that somebody has made of the same segments."""
    location = put(in_small_segments(driver))
    name = next(name for name in outside.names(container) if name != location.image_id)
    prefix = name.rpartition("/")[0] + "/"
    remnant = Remnant(f"{container}/{prefix}", location.image_id)
    driver.sweep(remnant)
    assert read(driver, location.url) == DATA
    outside.call("DELETE", f"/{container}/{location.image_id}")
    manifest = {"X-Object-Manifest": f"{container}/{prefix}"}
    outside.call("PUT", f"/{container}/{location.image_id}", headers=manifest, data=b"")
    assert remnants(driver) == []
    driver.sweep(remnant)
    assert read(driver, location.url) == DATA


def test_each_of_many_containers_is_swept(build: Build, container: str, outside: Any) -> None:
    driver = build(
        container,
        swift_store_multiple_containers_seed=1,
        swift_store_create_container_on_put=True,
    )
    image_id = str(uuid.uuid4())
    own = f"{container}_{image_id[0]}"
    outside.call("PUT", f"/{own}")
    outside.call("PUT", f"/{own}/{image_id}/{'0' * 32}/00001", data=b"half")
    outside.call("PUT", f"/{container}_other")
    (remnant,) = remnants(driver)
    driver.sweep(remnant)
    assert outside.names(own) == []
    for name in (own, f"{container}_other"):
        outside.call("DELETE", f"/{name}")


def test_a_container_is_one_place_for_its_account_alone(build: Build) -> None:
    def place(container: str = "images", **chosen: object) -> str:
        options = {"swift_store_auth_address": "https://k.test/v3", "swift_store_user": "p:me"}
        options |= {"swift_store_auth_version": "3", "swift_store_key": "secret"}
        (name,) = build(container, **options | chosen).places()
        return name

    mine = place()
    assert "secret" not in mine
    assert mine == place(swift_store_user="p:you", swift_store_auth_address="https://k.test/v3/")
    others = [
        place("other"),
        place(swift_store_user="q:me"),
        place(swift_store_region="far"),
        place(swift_store_auth_address="https://other.test/v3"),
        place(swift_store_multiple_containers_seed=1),
        place(swift_store_multi_tenant=True),
        place(swift_store_project_domain_id="another"),
    ]
    assert len({mine, *others}) == 8
