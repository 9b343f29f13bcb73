# SPDX-License-Identifier: Apache-2.0
"""Servers that lie, reset, stop and change their mind: the same bytes come out, or an error."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any

import pytest
from glancekit_http_store.driver import HttpStore
from glancekit_web_reading.testing import TAG, File, head, reset

from glancekit.plugin import Location, StoreDenied, StoreFailed, StoreUnavailable
from glancekit.testing.store import assert_same, sample

DATA = sample(3_000_000)
OTHER = sample(3_000_000, seed=1)

Build = Callable[..., HttpStore]


def read(driver: HttpStore, url: str, size: int | None = None) -> bytes:
    with driver.open(Location(url=url, size=size)) as opened:
        return b"".join(opened)


# -- going on


def test_a_read_goes_on_where_it_broke_off(misbehave: Any, build: Build) -> None:
    server = misbehave(File(DATA, most=1_200_000))
    assert_same(read(build(), server.url()), DATA)
    first, *later = server.requests
    assert "range" not in first.headers
    assert [request.start for request in later] == [1_200_000, 2_400_000]
    assert {request.headers["if-range"] for request in later} == {TAG}


def test_a_range_goes_on_where_it_broke_off(misbehave: Any, build: Build) -> None:
    server = misbehave(File(DATA, most=700_000))
    location = Location(url=server.url(), size=len(DATA))
    with build().open_range(location, 100, 2_000_000) as opened:
        assert_same(b"".join(opened), DATA[100:2_000_100])
    starts = [request.start for request in server.requests]
    assert starts == [100, 700_100, 1_400_100]


def test_a_reset_is_a_break_like_others(misbehave: Any, build: Build) -> None:
    file = File(DATA, most=1_000_000)

    def behave(request: Any, connection: socket.socket) -> None:
        file(request, connection)
        if request.start < 2_000_000:
            reset(connection)

    assert_same(read(build(), misbehave(behave).url()), DATA)


def test_a_date_names_a_content_when_it_is_old_enough(misbehave: Any, build: Build) -> None:
    modified = "Mon, 05 Oct 2026 10:00:00 GMT"
    old = File(DATA, most=1_200_000, ETag='W/"weak"', Last_Modified=modified)
    old.headers["Date"] = "Mon, 05 Oct 2026 10:00:01 GMT"
    server = misbehave(old)
    assert_same(read(build(), server.url()), DATA)
    assert server.requests[1].headers["if-range"] == modified
    old.headers["Date"] = modified
    with pytest.raises(StoreUnavailable, match="version"):
        read(build(), server.url())


def test_a_server_without_ranges_is_read_again_from_the_start(
    misbehave: Any, build: Build
) -> None:
    file = File(DATA, most=1_500_000)
    file.has_ranges = False

    def behave(request: Any, connection: socket.socket) -> None:
        file(request, connection)
        file.most = len(DATA)

    assert_same(read(build(), misbehave(behave).url()), DATA)


def test_what_breaks_before_the_first_byte_is_asked_again(misbehave: Any, build: Build) -> None:
    file, asked = File(DATA, ETag="W/x"), []

    def behave(request: Any, connection: socket.socket) -> None:
        asked.append(request)
        if len(asked) == 1:
            connection.sendall(head("200 OK", Content_Length=len(DATA)))
        elif len(asked) == 2:
            connection.sendall(head("503 Not now", Content_Length=0))
        else:
            file(request, connection)

    assert_same(read(build(), misbehave(behave).url()), DATA)


def test_a_connection_that_is_closed_without_an_answer_is_made_anew(
    misbehave: Any, build: Build
) -> None:
    """A kept one may be closed by the server in the very moment in which it is used again."""
    file, asked = File(DATA), []

    def behave(request: Any, connection: socket.socket) -> None:
        asked.append(request)
        if len(asked) % 2 == 0:
            file(request, connection)

    server = misbehave(behave)
    assert build().size(Location(url=server.url())) == len(DATA)
    assert_same(read(build(), server.url()), DATA)


def test_a_server_that_is_restarted_meanwhile_is_waited_for(misbehave: Any, build: Build) -> None:
    file, asked = File(DATA, most=1_500_000), []

    def behave(request: Any, connection: socket.socket) -> None:
        asked.append(request)
        if len(asked) in (1, 4):
            file(request, connection)

    assert_same(read(build(), misbehave(behave).url()), DATA)


# -- mirrors


def test_a_read_goes_on_at_the_mirror_where_it_was(misbehave: Any, build: Build) -> None:
    """Another one knows the same bytes by a tag of its own."""
    first, second = misbehave(File(DATA, most=1_200_000)), misbehave(File(DATA, ETag='"two"'))
    mirrors = itertools.cycle([first, second])

    def redirect(request: Any, connection: socket.socket) -> None:
        where = next(mirrors).url("image?key=hunter3")
        connection.sendall(head("302 Found", Location=where, Content_Length=0))

    redirector = misbehave(redirect)
    assert_same(read(build(), redirector.url(who="user:hunter2@")), DATA)
    assert [request.start for request in first.requests] == [0, 1_200_000, 2_400_000]
    assert not any("authorization" in request.headers for request in first.requests)
    assert second.requests == []
    assert len(redirector.requests) == 1


@pytest.mark.parametrize("refusal", ["400 Expired", "403 Expired", "404 Gone", "503 Not now", ""])
def test_a_mirror_that_does_not_go_on_is_asked_for_anew(
    misbehave: Any, build: Build, refusal: str
) -> None:
    """Where it led to may have been signed for a while, or be away by now."""
    file = File(DATA, most=1_200_000)

    def once(request: Any, connection: socket.socket) -> None:
        if [asked.line for asked in mirror.requests].count(request.line) == 1:
            file(request, connection)
        elif refusal:
            connection.sendall(head(refusal, Content_Length=0))

    def redirect(request: Any, connection: socket.socket) -> None:
        where = mirror.url(f"image?signature={len(redirector.requests)}")
        connection.sendall(head("302 Found", Location=where, Content_Length=0))

    mirror, redirector = misbehave(once), misbehave(redirect)
    assert_same(read(build(http_read_retries=2), redirector.url()), DATA)
    assert len(redirector.requests) == 3
    assert len({request.line for request in mirror.requests}) == 3
    assert len(mirror.requests) >= 5


def test_a_mirror_whose_file_is_another_by_now_is_told(misbehave: Any, build: Build) -> None:
    file = File(DATA, most=1_500_000)

    def change(request: Any, connection: socket.socket) -> None:
        file(request, connection)
        file.data, file.headers["ETag"] = OTHER, '"two"'

    mirror = misbehave(change)

    def redirect(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("302 Found", Location=mirror.url(), Content_Length=0))

    with pytest.raises(StoreFailed, match="changed"):
        read(build(), misbehave(redirect).url())


# -- giving up


def test_a_server_that_always_breaks_off_is_given_up(misbehave: Any, build: Build) -> None:
    server = misbehave(File(DATA, most=10))
    with pytest.raises(StoreUnavailable, match="broke off at byte 40") as raised:
        read(build(http_read_retries=3), server.url("image?key=hunter3", who="user:hunter2@"))
    assert len(server.requests) == 4
    assert "hunter" not in str(raised.value)


def test_a_server_that_goes_away_is_told_once(misbehave: Any, build: Build) -> None:
    file = File(DATA, most=10)

    def behave(request: Any, connection: socket.socket) -> None:
        if "range" in request.headers:
            connection.sendall(head("503 Not now", Content_Length=0))
        else:
            file(request, connection)

    with pytest.raises(StoreUnavailable, match=r"503.*broke off at byte 10") as raised:
        read(build(http_read_retries=2), misbehave(behave).url())
    assert str(raised.value).count("image") == 1


def test_without_a_version_nothing_is_pieced_together(misbehave: Any, build: Build) -> None:
    server = misbehave(File(DATA, most=1_000_000, ETag="W/weak"))
    with pytest.raises(StoreUnavailable, match="version"):
        read(build(), server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize("tag", ['"two"', TAG])
def test_changed_content_is_noticed(misbehave: Any, build: Build, tag: str) -> None:
    """By its tag; and by its length, where the tag stays the same."""
    file = File(DATA, most=1_500_000)

    def behave(request: Any, connection: socket.socket) -> None:
        file(request, connection)
        file.data = OTHER if tag != TAG else OTHER[:-1]
        file.headers["ETag"] = tag

    with pytest.raises(StoreFailed, match="changed"):
        read(build(), misbehave(behave).url())


def test_a_file_that_is_shorter_by_now_is_noticed(misbehave: Any, build: Build) -> None:
    file, asked = File(DATA, most=1_500_000), []

    def behave(request: Any, connection: socket.socket) -> None:
        asked.append(request)
        if len(asked) == 1:
            file(request, connection)
        else:
            connection.sendall(head("416 No", Content_Range="bytes */5", Content_Length=0))

    with pytest.raises(StoreFailed, match="shorter"):
        read(build(), misbehave(behave).url())


def test_a_server_that_says_nothing_any_more_is_given_up(misbehave: Any, build: Build) -> None:
    file = File(DATA, most=1000)

    def behave(request: Any, connection: socket.socket) -> None:
        file(request, connection)
        connection.recv(1)  # until the client has had enough

    with pytest.raises(StoreUnavailable, match="nothing came"):
        read(build(http_idle_timeout=0.2, http_read_retries=1), misbehave(behave).url())


def test_a_server_that_never_answers_is_given_up(misbehave: Any, build: Build) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.recv(1)

    driver, server = build(http_idle_timeout=0.2), misbehave(behave)
    for call in (driver.open, driver.size):
        with pytest.raises(StoreUnavailable, match="nothing came"):
            call(Location(url=server.url()))


# -- lies


@pytest.mark.parametrize("cut", [False, True])
def test_a_body_in_chunks_has_an_end(misbehave: Any, build: Build, cut: bool) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Transfer_Encoding="chunked"))
        connection.sendall(b"%x\r\n%b\r\n" % (len(DATA), DATA))
        if not cut:
            connection.sendall(b"0\r\n\r\n")

    driver, server = build(), misbehave(behave)
    assert driver.size(Location(url=server.url())) is None
    if cut:
        with pytest.raises(StoreUnavailable):
            read(driver, server.url())
    else:
        assert_same(read(driver, server.url()), DATA)


def test_a_body_without_an_end_is_read_when_its_size_is_known(
    misbehave: Any, build: Build
) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Connection="close") + DATA)

    server = misbehave(behave)
    with pytest.raises(StoreFailed, match="ends"):
        read(build(), server.url())
    assert_same(read(build(), server.url(), size=len(DATA)), DATA)
    with pytest.raises(StoreUnavailable):
        read(build(), server.url(), size=len(DATA) + 1)


@pytest.mark.parametrize("length", ["", "many", "-5", "0x10", "3e6"])
def test_a_length_that_is_no_number_is_none(misbehave: Any, build: Build, length: str) -> None:
    """What was cut off must not pass for the whole."""

    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Content_Length=length, Connection="close") + DATA)

    driver, server = build(), misbehave(behave)
    assert driver.size(Location(url=server.url())) is None
    with pytest.raises(StoreFailed, match="ends"):
        read(driver, server.url())
    assert_same(read(driver, server.url(), size=len(DATA)), DATA)


@pytest.mark.parametrize(
    "to_head",
    [
        *("400 Bad", "401 Who", "403 No", "404 No", "405 No", "406 No", "410 No", "500 Oops"),
        *("501 No", "204 Nothing", "302 Found", "200 OK", None),
    ],
)
def test_what_a_server_makes_of_head_does_not_count(
    misbehave: Any, build: Build, to_head: str | None
) -> None:
    """Not even that there are no bytes, and that it says nothing at all."""
    file = File(DATA)

    def behave(request: Any, connection: socket.socket) -> None:
        if not request.line.startswith("HEAD "):
            file(request, connection)
        elif to_head is not None:
            connection.sendall(head(to_head, Content_Length=0))

    assert build().size(Location(url=misbehave(behave).url())) == len(DATA)


@pytest.mark.parametrize("status", ["429 Too many", "503 Not now"])
def test_a_server_that_has_enough_is_not_asked_again_by_get(
    misbehave: Any, build: Build, status: str
) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head(status, Content_Length=0))

    server = misbehave(behave)
    with pytest.raises(StoreUnavailable):
        build().size(Location(url=server.url()))
    assert [request.line.split()[0] for request in server.requests] == ["HEAD"]


def test_where_length_and_chunks_differ_the_chunks_count(misbehave: Any, build: Build) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Transfer_Encoding="chunked", Content_Length=2))
        connection.sendall(b"4\r\ndata\r\n0\r\n\r\n")

    assert read(build(), misbehave(behave).url()) == b"data"


def test_more_bytes_than_announced_are_not_taken(misbehave: Any, build: Build) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Content_Length=4, ETag=TAG) + b"data" + b"HTTP/1.1 200")
        connection.recv(1)

    driver, server = build(), misbehave(behave)
    for _ in range(3):
        assert read(driver, server.url()) == b"data"


@pytest.mark.parametrize(
    "part",
    ["bytes 7-9/10", "bytes 5-", "", "bytes */10", "bytes 5-4/10", "bytes 5-10/10", "bytes 5-9/7"],
)
def test_another_part_than_asked_is_refused(misbehave: Any, build: Build, part: str) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("206 Partial", Content_Length=3, Content_Range=part) + b"abc")

    with pytest.raises(StoreFailed):
        build().open_range(Location(url=misbehave(behave).url(), size=10), 5, 3)


def test_what_is_no_http_is_unavailable(misbehave: Any, build: Build) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(b"220 ftp.example.org\r\n" * 10)

    driver, server = build(), misbehave(behave)
    for call in (driver.open, driver.size):
        with pytest.raises(StoreUnavailable):
            call(Location(url=server.url()))


def test_bytes_that_trickle_are_a_stream_all_the_same(misbehave: Any, build: Build) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head("200 OK", Content_Length=500))
        for at in range(500):
            connection.sendall(DATA[at : at + 1])

    assert read(build(), misbehave(behave).url()) == DATA[:500]


@pytest.mark.parametrize(
    "where", ["http://127.1/x", "//localhost.:1\\@x", "http://[::1", "gopher://127.0.0.1:70/"]
)
def test_a_redirect_is_judged_as_it_is_written(misbehave: Any, build: Build, where: str) -> None:
    def behave(request: Any, connection: socket.socket) -> None:
        connection.sendall(head("302 Found", Location=where, Content_Length=0))

    driver, server = build(), misbehave(behave)
    for call in (driver.open, driver.size):
        with pytest.raises(StoreDenied):
            call(Location(url=server.url()))


def test_a_redirect_midway_is_judged_too(misbehave: Any, build: Build) -> None:
    file = File(DATA, most=1_500_000)

    def behave(request: Any, connection: socket.socket) -> None:
        if "range" in request.headers:
            where = "http://169.254.169.254/latest"
            connection.sendall(head("302 Found", Location=where, Content_Length=0))
        else:
            file(request, connection)

    with pytest.raises(StoreDenied):
        read(build(), misbehave(behave).url())
