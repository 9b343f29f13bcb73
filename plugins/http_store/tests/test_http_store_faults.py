# SPDX-License-Identifier: Apache-2.0
"""What becomes of the http store when a real web server, or the way to it, fails: cut, killed,
frozen, its file replaced or gone. What a server must not do at all is ``test_broken_reads``.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from glancekit_http_store.driver import HttpStore
from glancekit_web_reading.testing import Nginx, missing

from glancekit.plugin import (
    BlobNotFound,
    ByteStream,
    Location,
    StoreDenied,
    StoreFailed,
    StoreUnavailable,
)
from glancekit.testing.store import assert_same, sample
from glancekit.testing.wire import FaultyWire

DATA = sample(24 << 20)
"""More than the buffers of a connection hold."""

Build = Callable[..., HttpStore]


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """One of our own: it is frozen and killed."""
    if reason := missing():
        pytest.skip(reason)
    with Nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def file(nginx: Nginx) -> Iterator[Path]:
    """A file of the server with DATA in it, older than a moment."""
    path = nginx.root / uuid.uuid4().hex
    replace(path, DATA, at=time.time() - 60)
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def way(nginx: Nginx) -> Iterator[FaultyWire]:
    with FaultyWire(nginx.port) as way:
        yield way


def replace(path: Path, data: bytes, *, at: float) -> None:
    """Put other content in a file's place, as a mirror does: whoever reads the old goes on."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    os.utime(new, (at, at))
    new.replace(path)


def rest_of(opened: ByteStream, begun: bytes) -> bytes:
    return begun + b"".join(opened)


# -- the way


def test_a_read_is_taken_up_again_where_it_broke_off(
    nginx: Nginx, build: Build, file: Path, way: FaultyWire
) -> None:
    way.cut_back = 5_000_000
    url = f"{way.url}/{file.name}"
    with build().open(Location(url=url, size=len(DATA))) as opened:
        assert_same(b"".join(opened), DATA)
    assert way.happened == 1
    first, second = nginx.asked(file.name, 2)
    assert '"-"' in first
    begin = int(second.partition("bytes=")[2].partition("-")[0])
    assert begin > 4_000_000
    assert " 206 " in second


@pytest.mark.parametrize("other", [DATA[::-1], DATA[:-1]], ids=["other bytes", "fewer bytes"])
def test_content_that_changed_meanwhile_is_not_taken_for_the_rest(
    build: Build, file: Path, way: FaultyWire, other: bytes
) -> None:
    way.cut_back = 5_000_000
    with build().open(Location(url=f"{way.url}/{file.name}", size=len(DATA))) as opened:
        opened.read(1000)
        replace(file, other, at=time.time() - 30)
        with pytest.raises(StoreFailed, match="changed"):
            b"".join(opened)
    assert way.happened == 1


def test_a_file_that_is_gone_meanwhile_is_not_there(
    build: Build, file: Path, way: FaultyWire
) -> None:
    way.cut_back = 5_000_000
    with build().open(Location(url=f"{way.url}/{file.name}", size=len(DATA))) as opened:
        opened.read(1000)
        file.unlink()
        with pytest.raises(BlobNotFound):
            b"".join(opened)


# -- the server


def test_a_server_that_is_killed_and_started_again_midway(
    nginx: Nginx, build: Build, file: Path
) -> None:
    driver, location = build(), Location(url=nginx.url(file.name), size=len(DATA))
    with driver.open(location) as opened:
        begun = opened.read(1000)
        nginx.stop()
        nginx.start()
        assert_same(rest_of(opened, begun), DATA)


def test_a_server_that_is_killed_for_good_ends_the_read_until_it_is_back(
    nginx: Nginx, build: Build, file: Path
) -> None:
    driver = build(http_read_retries=1)
    location = Location(url=nginx.url(file.name), size=len(DATA))
    with driver.open(location) as opened:
        opened.read(1000)
        nginx.stop()
        try:
            with pytest.raises(StoreUnavailable, match="broke off at byte"):
                b"".join(opened)
            for call in (driver.open, driver.size):
                with pytest.raises(StoreUnavailable, match="refused"):
                    call(location)
        finally:
            nginx.start()
    with driver.open(location) as opened:
        assert_same(b"".join(opened), DATA)


def test_a_server_that_freezes_ends_the_read_in_time(
    nginx: Nginx, build: Build, file: Path
) -> None:
    driver = build(http_idle_timeout=0.8, http_read_retries=1)
    location = Location(url=nginx.url(file.name), size=len(DATA))
    begun = time.monotonic()
    with driver.open(location) as opened:
        opened.read(1000)
        nginx.freeze()
        try:
            with pytest.raises(StoreUnavailable, match="nothing came"):
                b"".join(opened)
            for call in (driver.open, driver.size):
                with pytest.raises(StoreUnavailable, match="nothing came"):
                    call(location)
        finally:
            nginx.thaw()
    assert time.monotonic() - begun < 30
    with driver.open(location) as opened:
        assert_same(b"".join(opened), DATA)


def test_a_server_that_freezes_for_a_moment_is_waited_for(
    nginx: Nginx, build: Build, file: Path
) -> None:
    """Shorter than nothing may come: it is the same connection that goes on."""
    with build().open(Location(url=nginx.url(file.name), size=len(DATA))) as opened:
        begun = opened.read(1000)
        nginx.freeze()
        time.sleep(0.2)
        nginx.thaw()
        assert_same(rest_of(opened, begun), DATA)
    assert len(nginx.asked(file.name, 1)) == 1


# -- redirects, by the same filter as for web-download


def test_a_redirect_away_from_tls_is_the_operator_s_choice(
    nginx: Nginx, build: Build, file: Path
) -> None:
    """Credentials are not taken along: it is another server."""
    trusting = {"https_ca_certificates_file": str(nginx.authority)}
    url = nginx.tls_url(f"plain/{file.name}").replace("localhost", "user:hunter2@localhost")
    location = Location(url=url, size=len(DATA))
    with build(**trusting).open(location) as opened:
        assert_same(b"".join(opened), DATA)
    assert nginx.asked(file.name, 1)[0].endswith('"-"')
    strict = build({"allowed_schemes": ["https"]}, **trusting)
    for call in (strict.open, strict.size):
        with pytest.raises(StoreDenied, match="scheme"):
            call(location)
