# SPDX-License-Identifier: Apache-2.0
"""What becomes of the Swift store when its server, or the way to it, fails: stopped, frozen, cut,
full, damaged. Each time with the right error, nothing left, and working again afterwards.
"""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_swift_store.driver import SwiftStore
from glancekit_swift_store.failures import refusal
from glancekit_swift_store.logins import log_in
from glancekit_swift_store.references import plain_reference
from glancekit_swift_store.testing import RealSwift
from keystoneauth1.session import Session

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    FileStream,
    IteratorStream,
    Location,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from glancekit.testing.wire import FaultyWire, Line, Wire

MIB = 1 << 20
DATA = bytes(range(256)) * 65_536
"""16 MiB: more than is kept for a second attempt, and than the buffers of a connection hold."""

SMALL = DATA[: 2 * MIB]
PATIENCE = 30.0
"""Seconds after which a call that was to fail in time has not."""

Build = Callable[..., SwiftStore]


@pytest.fixture
def way(site: Any) -> Iterator[FaultyWire]:
    with FaultyWire(site.swift.port) as way:
        yield way


@pytest.fixture
def driver(build: Build, container: str, way: FaultyWire, site: Any) -> SwiftStore:
    """A driver whose requests go that way; the login does not."""
    account = site.outside.url.partition("/v1/")[2]
    return build(container, swift_store_endpoint=f"{way.url}/v1/{account}")


def put(driver: SwiftStore, data: bytes = DATA, image_id: str = "") -> Location:
    source = FileStream(io.BytesIO(data))
    return driver.write(image_id or str(uuid.uuid4()), source, len(data))


def read(driver: SwiftStore, location: Location) -> bytes:
    with driver.open(location) as opened:
        return b"".join(opened)


def in_segments(driver: SwiftStore, size: int = 3_000_000) -> SwiftStore:
    driver._settings = replace(driver._settings, segment_size=size, whole_below=0)
    return driver


def happening_midway(deed: Callable[[], object], data: bytes = DATA) -> IteratorStream:
    """Return a source in whose middle something happens."""

    def pieces() -> Iterator[bytes]:
        for offset in range(0, len(data), MIB):
            if offset == len(data) // 2:
                deed()
            yield data[offset : offset + MIB]

    return IteratorStream(pieces())


# -- reading


def test_a_broken_read_goes_on_where_it_was(driver: SwiftStore, way: FaultyWire) -> None:
    for location in (put(driver), put(in_segments(driver))):
        way.happened = 0
        way.cut_back = 7_000_000
        assert read(driver, location) == DATA
        way.cut_back = 7_000_000
        with driver.open_range(location, 1000, 15_000_000) as opened:
            assert b"".join(opened) == DATA[1000:15_001_000]
        assert way.happened == 2


def test_a_dynamic_large_object_goes_on_too(
    driver: SwiftStore, way: FaultyWire, outside: Any, container: str
) -> None:
    for number in range(2):
        piece = DATA[number * 8 * MIB : (number + 1) * 8 * MIB]
        outside.call("PUT", f"/{container}/1-{number}", data=piece)
    outside.call("PUT", f"/{container}/1", headers={"X-Object-Manifest": f"{container}/1-"})
    way.cut_back = 9_000_000
    assert read(driver, Location(url=f"swift+config://ref1/{container}/1")) == DATA
    assert way.happened == 1


def test_what_replaced_an_object_is_not_given_out_as_its_rest(
    driver: SwiftStore, way: FaultyWire, outside: Any, container: str
) -> None:
    location = put(driver, image_id="1")
    way.cut_back = 7_000_000
    with driver.open(location) as opened:
        opened.read(1000)
        outside.call("PUT", f"/{container}/1", data=bytes(len(DATA)))
        with pytest.raises(StoreFailed, match="replaced"):
            b"".join(opened)
    assert way.happened == 1


def test_an_object_that_goes_midway_of_a_read_is_not_found(
    driver: SwiftStore, way: FaultyWire, outside: Any, container: str
) -> None:
    location = put(driver, image_id="1")
    way.cut_back = 7_000_000
    with driver.open(location) as opened:
        opened.read(1000)
        outside.call("DELETE", f"/{container}/1")
        with pytest.raises(BlobNotFound):
            b"".join(opened)


def test_how_often_a_read_is_taken_up_again_is_an_option(
    build: Build, container: str, way: FaultyWire, site: Any
) -> None:
    account = site.outside.url.partition("/v1/")[2]
    driver = build(
        container,
        swift_store_endpoint=f"{way.url}/v1/{account}",
        swift_store_retry_get_count=0,
    )
    location = put(driver)
    way.cut_back = 7_000_000
    with driver.open(location) as opened, pytest.raises(StoreUnavailable):
        b"".join(opened)


# -- answers that get lost, bytes that change


@pytest.mark.parametrize("kind", ["whole", "small", "in segments"])
def test_an_upload_whose_last_answer_is_lost_is_one(
    driver: SwiftStore, way: FaultyWire, kind: str, outside: Any, container: str
) -> None:
    """When asked again the server says that the name is taken: by this very upload."""
    image_id = str(uuid.uuid4())
    data = SMALL if kind == "small" else DATA
    way.lost = lambda request: request.startswith(b"PUT ") and image_id.encode() in request
    if kind == "in segments":
        in_segments(driver)
        way.lost = lambda request: b"multipart-manifest=put" in request
    location = put(driver, data, image_id)
    assert way.happened == 1
    assert read(driver, location) == data
    driver.delete(location)
    assert outside.names(container) == []


def test_a_segment_whose_answer_is_lost_is_sent_again(driver: SwiftStore, way: FaultyWire) -> None:
    in_segments(driver)
    way.lost = lambda request: b"/00003 HTTP" in request
    location = put(driver)
    assert way.happened == 1
    assert read(driver, location) == DATA


class LyingWire(Wire):
    """One on which the server's ETags are others than those that it said."""

    def back(self, line: Line, chunk: bytes) -> bytes | None:
        if not chunk.startswith(b"HTTP/1.1 201"):
            return chunk
        return re.sub(rb"(?i)(etag: \"?)[0-9a-f]{4}", rb"\1f00d", chunk)


@pytest.mark.parametrize("kind", ["small", "whole", "in segments"])
def test_an_etag_of_other_bytes_is_not_taken(
    build: Build, site: Any, container: str, kind: str, outside: Any
) -> None:
    account = site.outside.url.partition("/v1/")[2]
    with LyingWire(site.swift.port) as way:
        driver = build(container, swift_store_endpoint=f"{way.url}/v1/{account}")
        if kind == "in segments":
            in_segments(driver)
        with pytest.raises(StoreUnavailable, match="damaged"):
            put(driver, SMALL if kind == "small" else DATA)
    assert outside.names(container) == []


@pytest.mark.parametrize("deed", ["replaced", "removed"])
def test_a_segment_that_changes_before_all_are_there_is_found(
    driver: SwiftStore, outside: Any, container: str, deed: str
) -> None:
    """Changed by somebody else, behind our back."""

    def change() -> None:
        while not (names := outside.names(container)):
            time.sleep(0.05)
        data = {"data": b"other"} if deed == "replaced" else {}
        outside.call("PUT" if data else "DELETE", f"/{container}/{names[0]}", **data)

    with pytest.raises(StoreFailed, match="joining"):
        in_segments(driver).write(str(uuid.uuid4()), happening_midway(change), len(DATA))
    assert outside.names(container) == []


@pytest.mark.parametrize("kind", ["whole", "in segments"])
def test_what_is_damaged_on_the_way_is_not_kept(
    driver: SwiftStore, way: FaultyWire, kind: str, outside: Any, container: str
) -> None:
    if kind == "in segments":
        in_segments(driver)
    way.damaged = lambda request: request.startswith(b"PUT ")
    with pytest.raises(StoreUnavailable, match="damaged"):
        put(driver)
    assert way.happened == 1
    assert outside.names(container) == []
    assert read(driver, put(driver)) == DATA


# -- answers that take their time


class SlowWire(Wire):
    """One on which the answer to some requests takes a while, as a large cluster's may."""

    def __init__(self, port: int, slow: bytes, seconds: float) -> None:
        self._slow = slow
        self._seconds = seconds
        self.happened = 0
        super().__init__(port)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        if self._slow in chunk:
            line.marks.add("slow")
        return chunk

    def back(self, line: Line, chunk: bytes) -> bytes | None:
        if "slow" in line.marks:
            line.marks.remove("slow")
            self.happened += 1
            time.sleep(self._seconds)
        return chunk


@pytest.mark.parametrize("deed", ["put", "delete"])
def test_what_concerns_all_segments_may_take_longer_than_an_answer(
    build: Build, site: Any, container: str, outside: Any, deed: str
) -> None:
    """The server asks for each of them before it answers at all."""
    account = site.outside.url.partition("/v1/")[2]
    with SlowWire(site.swift.port, b"multipart-manifest=" + deed.encode(), 3.5) as way:
        driver = build(
            container,
            swift_store_endpoint=f"{way.url}/v1/{account}",
            swift_store_read_timeout=2.5,
        )
        location = put(in_segments(driver, MIB))
        assert read(driver, location) == DATA
        driver.delete(location)
        assert way.happened == 1
    assert outside.names(container) == []


def test_a_store_is_looked_through_in_steps_of_few_requests(
    build: Build, site: Any, container: str, outside: Any
) -> None:
    """Each has the store's deadline; all together may need much more."""
    image_id = str(uuid.uuid4())
    own = [f"{container}_{number}" for number in range(4)]
    for name in own:
        outside.call("PUT", f"/{name}")
    outside.call("PUT", f"/{own[-1]}/{image_id}/{'0' * 32}/00001", data=b"half")
    account = site.outside.url.partition("/v1/")[2]
    with SlowWire(site.swift.port, b"GET /v1/", 0) as way:
        driver = build(
            container,
            swift_store_endpoint=f"{way.url}/v1/{account}",
            swift_store_multiple_containers_seed=1,
        )
        found, listings = list[Any](), [0]
        for step in driver.remnants(0):
            found.append(step)
            listings.append(way.happened)
        assert max(after - before for before, after in pairwise(listings)) <= 2
        (remnant,) = filter(None, found)
        assert remnant.image_id == image_id
        driver.sweep(remnant)
    assert outside.names(own[-1]) == []
    for name in own:
        outside.call("DELETE", f"/{name}")


# -- tokens in many threads


class HoldingWire(Wire):
    """One that holds back the second refusal of a token until what was refused first is done."""

    def __init__(self, port: int) -> None:
        self.logins = 0
        self.refused = 0
        self._both = threading.Barrier(2)
        self._done = threading.Event()
        self._counting = threading.Lock()
        super().__init__(port)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        self.logins += chunk.startswith(b"GET /auth/")
        return chunk

    def back(self, line: Line, chunk: bytes) -> bytes | None:
        if chunk.startswith(b"HTTP/1.1 401"):
            with self._counting:
                self.refused += 1
                is_first = self.refused == 1
            self._both.wait(PATIENCE)
            if not is_first:
                self._done.wait(PATIENCE)
        elif self.refused and b"X-Account-Container-Count" in chunk:
            self._done.set()
        return chunk


def test_a_fresh_token_is_not_given_up_for_an_old_one(build: Build, private: Any) -> None:
    account = private.outside.url.partition("/v1/")[2]
    with HoldingWire(private.swift.port) as way:
        own = {
            "swift_store_auth_address": f"{way.url}/auth/v1.0",
            "swift_store_endpoint": f"{way.url}/v1/{account}",
        }
        driver = build("images", **private.options | own)
        driver.check()
        private.swift.forget_tokens()
        with ThreadPoolExecutor(2) as pool:
            for asked in [pool.submit(driver._accounts.default.check) for _ in range(2)]:
                asked.result()
    assert (way.refused, way.logins) == (2, 2)


def test_a_token_is_not_taken_from_who_is_being_given_it(site: Any) -> None:
    """Another thread finds it refused between the login and its use."""
    options = {option.dest: option.default for option in SwiftStore.options} | site.options
    login = log_in(plain_reference(SimpleNamespace(**options)))

    class Forgetful:
        """A lock at whose end another thread comes first, if it may."""

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            other = threading.Thread(target=login.invalidate)
            others.append(other)
            other.start()
            other.join(0.5)

    others: list[threading.Thread] = []
    login._lock = Forgetful()
    assert login.get_access(Session()).auth_token
    for other in others:
        other.join()
    assert login.auth_ref is None


# -- the server itself


def test_nobody_listening_is_unavailable(build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    login = build("images", swift_store_auth_address=url)
    beyond = build("images", swift_store_endpoint=f"{url}/v1/AUTH_test")
    for driver in (login, beyond):
        for call in (driver.check, lambda d=driver: put(d), lambda d=driver: d.discard("x")):
            with pytest.raises(StoreUnavailable) as raised:
                call()
            assert "testing" not in str(raised.value)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A host that does not even take connections: its queue of them is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("what", ["login", "account"])
def test_a_host_that_takes_no_connection_is_not_waited_for_as_for_an_answer(
    build: Build, nowhere: str, what: str
) -> None:
    address = {
        "login": {"swift_store_auth_address": nowhere},
        "account": {"swift_store_endpoint": f"{nowhere}/v1/AUTH_test"},
    }[what]
    times = {"swift_store_connect_timeout": 0.3, "swift_store_read_timeout": 2 * PATIENCE}
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        build("images", **address, **times).check()
    assert time.monotonic() - begun < PATIENCE


class StuckWire(Wire):
    """One on which nothing more of a body goes over."""

    def __init__(self, port: int) -> None:
        self.is_over = threading.Event()
        self.requests = 0
        super().__init__(port)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        if chunk.startswith(b"PUT "):
            self.requests += 1
            self.is_over.wait(PATIENCE)
            return None
        return chunk


def test_a_body_that_is_not_taken_in_is_not_sent_again(
    build: Build, site: Any, container: str
) -> None:
    """Each attempt would take as long as the first."""
    account = site.outside.url.partition("/v1/")[2]
    with StuckWire(site.swift.port) as way:
        driver = build(
            container,
            swift_store_endpoint=f"{way.url}/v1/{account}",
            swift_store_read_timeout=1.0,
        )
        try:
            with pytest.raises(StoreUnavailable):
                put(driver, DATA[: 8 * MIB])  # all of which is kept
        finally:
            way.is_over.set()
    assert way.requests == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSwift]:
    """A Swift of this module's own, which a test may stop."""
    with RealSwift(tmp_path_factory.mktemp("private")) as swift:
        yield swift


@pytest.fixture
def private(server: RealSwift, site_of: Callable[[RealSwift], Any]) -> Iterator[Any]:
    """A site on it, with an empty container."""
    private = site_of(server)
    private.outside.call("PUT", "/images")
    yield private
    private = site_of(server)  # its tokens may be new ones
    for name in private.outside.names("images"):
        private.outside.call("DELETE", f"/images/{name}")


@pytest.fixture
def own(build: Build, private: Any) -> SwiftStore:
    """A driver for it, with little patience."""
    return build("images", **private.options, swift_store_read_timeout=1.0)


@pytest.mark.parametrize("kind", ["whole", "in segments"])
@pytest.mark.parametrize("deed", ["stop", "freeze"])
def test_a_server_that_fails_midway_of_a_write(
    own: SwiftStore, private: Any, kind: str, deed: str
) -> None:
    if kind == "in segments":
        in_segments(own)
    swift, image_id = private.swift, str(uuid.uuid4())
    fail = swift.stop if deed == "stop" else swift.freeze
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        own.write(image_id, happening_midway(fail), len(DATA))
    assert time.monotonic() - begun < PATIENCE
    if deed == "stop":
        swift.start()
    else:
        swift.thaw()
    end = time.monotonic() + PATIENCE
    own.discard(image_id)
    while private.outside.names("images"):
        # A server that hung goes on with what it had taken in, whoever still waits for it.
        assert time.monotonic() < end
        own.discard(image_id)
    location = put(own, DATA, image_id)
    assert read(own, location) == DATA


@pytest.mark.parametrize("deed", ["stop", "freeze"])
def test_a_server_that_fails_midway_of_a_read(own: SwiftStore, private: Any, deed: str) -> None:
    swift = private.swift
    location = put(own)
    with own.open(location) as opened:
        opened.read(1000)
        if deed == "stop":
            swift.stop()
        else:
            swift.freeze()
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            b"".join(opened)
        assert time.monotonic() - begun < PATIENCE
    if deed == "stop":
        swift.start()
    else:
        swift.thaw()
    assert read(own, location) == DATA


def test_a_read_survives_a_restart_of_the_server(own: SwiftStore, private: Any) -> None:
    location = put(own)
    with own.open(location) as opened:
        first = opened.read(1000)
        private.swift.stop("proxy")
        private.swift.start("proxy")
        assert first + b"".join(opened) == DATA


def test_a_read_waits_for_a_server_that_is_started_again(own: SwiftStore, private: Any) -> None:
    """As often as ``swift_store_retry_get_count`` says, with more time each time."""
    location = put(own)
    with own.open(location) as opened:
        first = opened.read(1000)
        private.swift.stop("proxy")
        starting = threading.Timer(1.5, private.swift.start, ["proxy"])
        starting.start()
        try:
            assert first + b"".join(opened) == DATA
        finally:
            starting.join()


def test_a_disk_server_that_is_gone(own: SwiftStore, private: Any) -> None:
    location = put(own)
    private.swift.stop("object")
    for call in (lambda: own.open(location), lambda: put(own)):
        with pytest.raises(StoreUnavailable):
            call()
    private.swift.start("object")
    assert read(own, location) == DATA


@pytest.fixture
def stuck(server: RealSwift) -> Iterator[Callable[[str], Callable[[], None]]]:
    """Make an object one that the server cannot remove; what is returned ends that."""
    with ExitStack() as mounted:

        def stuck(name: str) -> Callable[[], None]:
            [path] = {found.parent for found in server.devices.rglob("*.data") if _is(found, name)}
            if os.geteuid() != 0 or not _mounted("--bind", str(path), str(path)):
                pytest.skip("an object that cannot be removed needs root, who may mount")
            one = mounted.enter_context(ExitStack())
            one.callback(subprocess.run, ["umount", "--lazy", str(path)], check=True)
            assert _mounted("-o", "remount,bind,ro", str(path))
            return one.close

        yield stuck


def _is(found: Path, name: str) -> bool:
    """Say whether a file of the server's is an object of that name."""
    told = os.getxattr(found, "user.swift.metadata")
    return re.search(f"/{re.escape(name)}(?!/)".encode(), told) is not None


def _mounted(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


def test_a_segment_that_the_server_cannot_remove_at_once(
    own: SwiftStore, private: Any, stuck: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It removes the object all the same, and tries no segment twice."""
    location = put(in_segments(own))
    segment = next(name for name in private.outside.names("images") if name.endswith("00003"))
    end = stuck(segment)

    class Noticing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "is tried again" in record.getMessage():
                end()

    noticing = Noticing()
    log = logging.getLogger("glancekit_swift_store.account")
    log.addHandler(noticing)
    try:
        with caplog.at_level(logging.INFO, log.name):
            own.delete(location)
    finally:
        log.removeHandler(noticing)
    assert "removing is tried again" in caplog.text
    assert private.outside.names("images") == []


@pytest.mark.parametrize("kind", ["segment", "object"])
def test_what_the_server_cannot_remove_goes_with_the_next_removal(
    own: SwiftStore, private: Any, stuck: Any, kind: str
) -> None:
    location = put(in_segments(own))
    names = private.outside.names("images")
    kept = str(location.image_id) if kind == "object" else names[2]
    end = stuck(kept)
    with pytest.raises(StoreUnavailable, match="503"):
        own.delete(location)
    assert private.outside.names("images") == [kept]
    end()
    with suppress(BlobNotFound):  # when it is the object that is gone
        own.delete(location)
    assert private.outside.names("images") == []


def test_accounts_that_do_not_answer_are_not_taken_for_missing_containers(
    build: Build, private: Any
) -> None:
    """Which is what the server says: what is to be discarded would be left for good."""
    driver = build(
        "images",
        **private.options,
        swift_store_read_timeout=1.0,
        swift_store_create_container_on_put=True,
    )
    image_id = str(uuid.uuid4())
    segment = f"{image_id}/{uuid.uuid4().hex}/00001"
    private.outside.call("PUT", f"/images/{segment}", data=b"half")
    container = driver._accounts.to_discard(image_id)[0]
    private.swift.stop("account")
    calls: list[Callable[[], object]] = [
        lambda: driver.discard(image_id),
        lambda: list(driver.remnants(0)),
        lambda: list(driver.contents()),
        lambda: put(driver, SMALL),
        lambda: container.drop(),
        lambda: container.let_in("*:*", ""),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match="account"):
            call()
    private.swift.start("account")
    assert private.outside.names("images") == [segment]
    driver.discard(image_id)
    assert private.outside.names("images") == []


def test_tokens_that_are_forgotten_are_renewed(own: SwiftStore, private: Any) -> None:
    location = put(own)
    private.swift.forget_tokens()
    assert read(own, location) == DATA
    private.swift.forget_tokens()
    put(own)
    private.swift.forget_tokens()
    own.delete(location)


def test_tokens_may_expire_midway(
    build: Build, tmp_path: Path, site_of: Callable[[RealSwift], Any]
) -> None:
    """Between two segments, and between the two halves of a read that breaks."""
    with RealSwift(tmp_path / "swift", token_lifetime=2) as swift, FaultyWire(swift.port) as way:
        site = site_of(swift)
        account = site.outside.url.partition("/v1/")[2]
        driver = build(
            "images",
            **site.options,
            swift_store_endpoint=f"{way.url}/v1/{account}",
            swift_store_create_container_on_put=True,
            swift_store_expire_soon_interval=0,
        )
        in_segments(driver, 9 * MIB)  # more than is kept for a second attempt
        location = driver.write(
            str(uuid.uuid4()), happening_midway(lambda: time.sleep(2.5)), len(DATA)
        )
        with driver.open(location) as opened:
            first = opened.read(1000)
            time.sleep(2.5)
            way.cut_back = 0
            assert first + b"".join(opened) == DATA
        assert way.happened == 1
        driver.delete(location)
        assert site_of(swift).outside.names("images") == []


@pytest.mark.parametrize("kind", ["whole", "in segments"])
def test_a_full_disk(
    build: Build,
    tmp_path: Path,
    kind: str,
    small_disk: Path,
    site_of: Callable[[RealSwift], Any],
) -> None:
    with RealSwift(tmp_path / "swift", devices=small_disk) as swift:
        options = {"swift_store_auth_address": swift.auth_url, "swift_store_read_timeout": 10.0}
        driver = build("images", **options, swift_store_create_container_on_put=True)
        if kind == "in segments":
            in_segments(driver)
        kept = put(driver, SMALL)
        with pytest.raises((StoreUnavailable, StoreFull)):
            driver.write(str(uuid.uuid4()), IteratorStream(iter([DATA] * 5)), 5 * len(DATA))
        left = site_of(swift).outside.names("images")
        assert all(name.startswith(str(kept.image_id)) for name in left)
        assert read(driver, kept) == SMALL
        assert read(driver, put(driver)) == DATA


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MiB, which takes an administrator to make."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0 or not _mounted("-t", "tmpfs", "-o", "size=48m", "tmpfs", str(path)):
        pytest.skip("a small disk of its own needs root, who may mount")
    try:
        if not _knows_attributes(path):
            pytest.skip("this system's tmpfs knows no extended attributes")
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _knows_attributes(path: Path) -> bool:
    try:
        os.setxattr(path, "user.test", b"1")
    except OSError:
        return False
    return True


# -- what the server says


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, StoreDenied),
        (403, StoreDenied),
        (404, BlobNotFound),
        (408, StoreUnavailable),
        (409, StoreFailed),
        (412, BlobExists),
        (413, StoreFull),
        (422, StoreUnavailable),
        (429, StoreUnavailable),
        (498, StoreUnavailable),
        (499, StoreUnavailable),
        (500, StoreUnavailable),
        (503, StoreUnavailable),
        (507, StoreFull),
        (418, StoreFailed),
    ],
)
def test_the_server_s_answers_have_a_meaning(status: int, kind: type[Exception]) -> None:
    assert type(refusal("testing", status, "no")) is kind


def test_the_descriptors_are_given_back(driver: SwiftStore) -> None:
    location = put(driver)
    folder = Path("/proc/self/fd")
    with driver.open(location) as opened:
        opened.read(10)
    before = len(list(folder.iterdir()))
    for _ in range(10):
        with driver.open(location) as opened:
            opened.read(10)
    assert len(list(folder.iterdir())) <= before + 2
