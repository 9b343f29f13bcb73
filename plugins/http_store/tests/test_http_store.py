# SPDX-License-Identifier: Apache-2.0
"""What is the http store's own: sizes, credentials, redirects, certificates, kept connections."""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_http_store.driver import HttpStore
from glancekit_web_reading.connections import Connections
from glancekit_web_reading.failures import Unreachable
from glancekit_web_reading.fetching import Fetcher
from glancekit_web_reading.options import settings_of

from glancekit.plugin import (
    BlobNotFound,
    ConfigError,
    Location,
    StoreDenied,
    StoreFailed,
    StoreUnavailable,
    UriFilter,
)
from glancekit.testing.store import assert_same, sample

DATA = sample(300_000)

Build = Callable[..., HttpStore]


@pytest.fixture
def name(nginx: Any) -> str:
    """A file of the web server with DATA in it."""
    chosen = uuid.uuid4().hex
    Path(nginx.root, chosen).write_bytes(DATA)
    return chosen


def read(driver: HttpStore, url: str, **known: Any) -> bytes:
    with driver.open(Location(url=url, **known)) as opened:
        return b"".join(opened)


# -- sizes


@pytest.mark.parametrize("folder", ["", "get-alone/", "no-ranges/", "moved/"])
def test_the_size_is_told_by_head_or_get(nginx: Any, build: Build, name: str, folder: str) -> None:
    assert build().size(Location(url=nginx.url(folder + name))) == len(DATA)


def test_an_empty_file_has_no_bytes_by_get_either(nginx: Any, build: Build) -> None:
    Path(nginx.root, "empty").write_bytes(b"")
    assert build().size(Location(url=nginx.url("get-alone/empty"))) == 0


def test_a_file_of_another_size_than_was_registered_is_not_read(
    nginx: Any, build: Build, name: str
) -> None:
    driver, url = build(), nginx.url(name)
    for size in (len(DATA) - 1, len(DATA) + 1):
        with pytest.raises(StoreFailed, match="when registered"):
            driver.open(Location(url=url, size=size))
        with pytest.raises(StoreFailed, match="when registered"):
            driver.open_range(Location(url=url, size=size), 10, 10)
    assert_same(read(driver, url, size=len(DATA)), DATA)


# -- refusals


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("nothing", BlobNotFound),
        ("refused/x", StoreDenied),
        ("locked/x", StoreDenied),
        ("busy/x", StoreUnavailable),
    ],
)
def test_a_status_has_a_meaning(nginx: Any, build: Build, path: str, kind: type) -> None:
    driver, location = build(), Location(url=nginx.url(path))
    for call in (driver.open, driver.size, lambda at: driver.open_range(at, 5, 5)):
        with pytest.raises(kind):
            call(location)


def test_a_server_that_is_not_there_is_unavailable(nginx: Any, build: Build) -> None:
    driver = build()
    with pytest.raises(StoreUnavailable, match="refused"):
        driver.open(Location(url="http://127.0.0.1:1/image"))


# -- redirects


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("inside/x", StoreDenied),
        ("metadata/x", StoreDenied),
        ("round/", StoreFailed),
    ],
)
def test_a_redirect_leads_nowhere_that_the_filter_forbids(
    nginx: Any, build: Build, path: str, kind: type
) -> None:
    driver, location = build(), Location(url=nginx.url(path))
    for call in (driver.open, driver.size):
        with pytest.raises(kind):
            call(location)


def test_no_redirect_is_followed_where_none_may_be(nginx: Any, build: Build, name: str) -> None:
    with pytest.raises(StoreFailed, match="redirects"):
        build(http_max_redirects=0).open(Location(url=nginx.url(f"moved/{name}")))
    assert_same(read(build(http_max_redirects=1), nginx.url(f"moved/{name}")), DATA)


def test_a_redirect_may_lead_to_another_scheme(nginx: Any, build: Build, name: str) -> None:
    driver = build(https_ca_certificates_file=str(nginx.authority))
    assert_same(read(driver, nginx.url(f"tls/{name}")), DATA)


# -- the filter


@pytest.mark.parametrize("host", ["127.1", "2130706433", "[::ffff:127.0.0.1]", "127.0.0.2"])
def test_loopback_is_refused_in_every_spelling(nginx: Any, build: Build, host: str) -> None:
    driver = build()
    for call in (driver.open, driver.size):
        with pytest.raises(StoreDenied):
            call(Location(url=f"http://{host}:{nginx.port}/x"))


def test_without_a_word_from_the_operator_loopback_is_refused(
    nginx: Any, build: Build, name: str
) -> None:
    with pytest.raises(StoreDenied):
        build({"allowed_hosts": []}).open(Location(url=nginx.url(name)))
    with pytest.raises(StoreDenied):
        build({"allowed_ports": [80, 443]}).open(Location(url=nginx.url(name)))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://[::1", "x"])
def test_what_is_no_web_url_is_refused(build: Build, url: str) -> None:
    with pytest.raises(StoreDenied):
        build().size(Location(url=url))


def test_a_connection_goes_to_the_judged_address(nginx: Any, build: Build, name: str) -> None:
    """The host in the request is the URL's, though the connection was made by address."""
    url = nginx.url(name).replace("127.0.0.1", "localhost")
    assert_same(read(build(), url), DATA)
    assert all(" localhost " in line for line in nginx.asked(name, 1))


def fetcher(known: list[str]) -> Fetcher:
    """Ask servers as the driver does, with a name that is known to the filter alone."""
    defaults = {option.dest: option.default for option in HttpStore.options}
    lists = ("schemes", "ports", "hosts")
    filtering = {f"{kind}_{what}": [] for kind in ("allowed", "disallowed") for what in lists}
    filtering["allowed_hosts"] = ["pinned.invalid"]
    options = SimpleNamespace(**filtering, allow_private=True)
    allowed = UriFilter(options, resolve=lambda host, port: known)
    return Fetcher(Connections(settings_of(SimpleNamespace(**defaults))), allowed, redirects=0)


@pytest.mark.parametrize("known", [["127.0.0.1"], ["127.0.0.3", "127.0.0.1"]])
def test_a_name_is_looked_up_once_and_its_addresses_tried_in_turn(
    nginx: Any, name: str, known: list[str]
) -> None:
    """What the name meant when it was judged counts, whatever it may mean a moment later."""
    url = nginx.url(name).replace("127.0.0.1", "pinned.invalid")
    assert fetcher(known).size(url) == len(DATA)
    assert " pinned.invalid " in nginx.asked(name, 1)[0]


def test_where_no_address_answers_the_first_one_says_why(nginx: Any, name: str) -> None:
    url = nginx.url(name).replace("127.0.0.1", "pinned.invalid")
    with pytest.raises(Unreachable, match=r"pinned\.invalid.*refused"):
        fetcher(["127.0.0.3", "127.0.0.4"]).size(url)


# -- credentials


def test_credentials_are_sent_and_never_shown(
    nginx: Any, build: Build, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    driver = build()
    assert_same(read(driver, nginx.url(f"locked/{name}", who="user:hunter2@")), DATA)
    told = []
    for path, who in (
        (f"locked/{name}?key=hunter3", "user:hunter4@"),
        ("nothing?key=hunter3", "user:hunter2@"),
        ("busy/?key=hunter3", "user:hunter2@"),
        ("metadata/?key=hunter3", "user:hunter2@"),
        ("a b?key=hunter3", "user:hunter2@"),
    ):
        for call in (driver.open, driver.size):
            try:
                call(Location(url=nginx.url(path, who=who)))
            except Exception as error:
                told += traceback.format_exception(error)
    dead = "http://user:hunter2@127.0.0.1:1/image?key=hunter3"
    with pytest.raises(StoreUnavailable) as refused:
        driver.open(Location(url=dead))
    told += traceback.format_exception(refused.value)
    # The lines of this file itself come with a traceback.
    shown = [line for text in told for line in text.splitlines() if "nginx.url" not in line]
    assert not any("hunter" in line for line in [*shown, caplog.text])


def test_credentials_stay_with_the_server_that_they_are_for(
    nginx: Any, misbehave: Any, build: Build, name: str
) -> None:
    def redirect(request: Any, connection: Any) -> None:
        where = nginx.url(name).encode()
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % where
        )

    server = misbehave(redirect)
    assert_same(read(build(), server.url(who="user:hunter2@")), DATA)
    assert "authorization" in server.requests[0].headers
    assert nginx.asked(name, 1)[0].endswith('"-"')
    own = nginx.url(f"moved/{name}", who="user:hunter2@")
    assert_same(read(build(), own), DATA)
    assert "Basic" in nginx.asked(name, 2)[1]


# -- certificates


def test_a_certificate_is_checked_by_default(nginx: Any, build: Build, name: str) -> None:
    with pytest.raises(StoreUnavailable, match="certificate"):
        build().open(Location(url=nginx.tls_url(name)))


def test_a_certificate_must_be_the_host_s(nginx: Any, build: Build, name: str) -> None:
    driver = build(https_ca_certificates_file=str(nginx.authority))
    assert_same(read(driver, nginx.tls_url(name)), DATA)
    with pytest.raises(StoreUnavailable, match="certificate"):
        driver.open(Location(url=nginx.tls_url(name, host="127.0.0.1")))


def test_an_operator_may_do_without(nginx: Any, build: Build, name: str) -> None:
    assert_same(read(build(https_insecure=True), nginx.tls_url(name)), DATA)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates_stops_the_driver(
    build: Build, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="https_ca_certificates_file"):
        build(https_ca_certificates_file=str(file))


# -- proxies


def test_a_proxy_is_asked_in_the_place_of_the_server(misbehave: Any, build: Build) -> None:
    def proxy(request: Any, connection: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata")

    server = misbehave(proxy)
    driver = build(
        {"allowed_hosts": ["images.invalid"]},
        http_proxy_information={"http": f"user:hunter2@127.0.0.1:{server.port}"},
    )
    assert read(driver, "http://images.invalid/image?a=b") == b"data"
    assert server.requests[0].line == "GET http://images.invalid/image?a=b HTTP/1.1"
    assert server.requests[0].headers["host"] == "images.invalid"
    assert server.requests[0].headers["proxy-authorization"].startswith("Basic ")
    with pytest.raises(StoreDenied):
        driver.open(Location(url="http://127.0.0.1/image"))


@pytest.mark.parametrize("address", ["", "10.0.0.1", "10.0.0.1:port", "ftp://10.0.0.1:3128"])
def test_a_proxy_needs_an_address(build: Build, address: str) -> None:
    with pytest.raises(ConfigError, match="http_proxy_information"):
        build(http_proxy_information={"http": address})


# -- connections


def test_connections_are_kept(nginx: Any, build: Build, name: str) -> None:
    driver, location = build(), Location(url=nginx.url(name), size=len(DATA))
    for _ in range(3):
        assert driver.size(location) == len(DATA)
        assert_same(read(driver, location.url, size=len(DATA)), DATA)
        with driver.open_range(location, 5, 5) as opened:
            assert b"".join(opened) == DATA[5:10]
    with pytest.raises(BlobNotFound):
        driver.size(Location(url=nginx.url("nothing-either")))
    lines = [*nginx.asked(name, 9), *nginx.asked("nothing-either", 1)]
    assert len({line.split()[0] for line in lines}) == 1


def test_a_stream_that_is_left_midway_does_not_spoil_the_next(nginx: Any, build: Build) -> None:
    data = sample(4_000_000)
    Path(nginx.root, "large").write_bytes(data)
    driver = build()
    for _ in range(3):
        with driver.open(Location(url=nginx.url("large"))) as opened:
            assert opened.read(10) == data[:10]
    assert_same(read(driver, nginx.url("large")), data)


def test_a_closed_driver_keeps_no_connection(nginx: Any, build: Build, name: str) -> None:
    driver = build()
    read(driver, nginx.url(name))
    driver.close()
    driver.close()
