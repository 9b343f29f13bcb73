# SPDX-License-Identifier: Apache-2.0
"""Servers that lie, trickle, reset, lead inside or change their mind, and what users are told."""

from __future__ import annotations

import gzip
import hashlib
import logging
import resource
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from glancekit_web_download.web import WebDownload
from glancekit_web_reading.testing import TAG, BadServer, Behaviour, File, Request, head, reset

from glancekit.plugin import (
    CHUNK_SIZE,
    Fetched,
    Invalid,
    LimitExceeded,
    SourceChanged,
    SourceStream,
    Unavailable,
    UriRefused,
)
from glancekit.testing.importing import CALLER, new_image
from glancekit.testing.store import assert_same, sample

DATA = sample(3_000_000)
OTHER = sample(3_000_000, seed=1)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"

Build = Callable[..., WebDownload]
Misbehave = Callable[[Behaviour], BadServer]


def start(
    method: WebDownload, url: str, fetched: Fetched | None = None, **more: Any
) -> SourceStream:
    return method.open(new_image(), {"uri": url, **more}, caller=CALLER, fetched=fetched)


def fetch(method: WebDownload, url: str, fetched: Fetched | None = None, **more: Any) -> bytes:
    with start(method, url, fetched, **more) as stream:
        return b"".join(stream)


# -- going on


def test_a_fetch_that_is_reset_midway_goes_on(misbehave: Misbehave, build: Build) -> None:
    file = File(DATA, most=1_000_000)

    def behave(request: Request, connection: socket.socket) -> None:
        file(request, connection)
        if request.start < 2_000_000:
            reset(connection)

    server = misbehave(behave)
    assert_same(fetch(build(), server.url(), checksum=DIGEST), DATA)
    assert [request.start for request in server.requests[1:]] == [1_000_000, 2_000_000]


def test_another_process_goes_on_with_the_digest_of_the_whole(
    misbehave: Misbehave, build: Build, tmp_path: Path
) -> None:
    url = misbehave(File(DATA)).url()
    with start(build(), url) as stream:
        version = stream.version
    assert version is not None
    path = tmp_path / "staged"
    path.write_bytes(DATA[:1_000_000] + b"what was written behind counts for nothing")
    fetched = Fetched(path=path, size=1_000_000, version=version)
    assert_same(fetch(build(), url, fetched, checksum=DIGEST), DATA[1_000_000:])
    path.write_bytes(OTHER[:1_000_000])
    with pytest.raises(Invalid, match="sha256"):
        fetch(build(), url, fetched, checksum=DIGEST)


@pytest.mark.parametrize("checksum", [None, DIGEST])
def test_content_that_changes_between_two_ranges_is_noticed(
    misbehave: Misbehave, build: Build, checksum: str | None
) -> None:
    file = File(DATA, most=1_500_000)

    def behave(request: Request, connection: socket.socket) -> None:
        file(request, connection)
        file.data = OTHER
        file.headers["ETag"] = '"two"'

    with pytest.raises(SourceChanged, match="changed"):
        fetch(build(), misbehave(behave).url(), checksum=checksum)


def test_a_source_without_versions_is_not_gone_on_with(misbehave: Misbehave, build: Build) -> None:
    with start(build(), misbehave(File(DATA, ETag="W/weak")).url()) as stream:
        assert stream.version is None


# -- lies


def test_bytes_that_are_not_the_expected_ones_do_not_all_come_out(
    misbehave: Misbehave, build: Build
) -> None:
    came = b""
    stream = start(build(), misbehave(File(OTHER)).url(), checksum=DIGEST)
    with pytest.raises(Invalid, match=r"sha256.*was expected"):
        for chunk in stream:
            came += chunk
    assert len(came) < len(OTHER)


def test_a_length_that_is_too_large_is_found_out(misbehave: Misbehave, build: Build) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Content_Length=len(DATA) + 1) + DATA)

    with pytest.raises(Unavailable):
        fetch(build(http_read_retries=1), misbehave(behave).url())


def test_a_length_that_is_too_small_ends_it_there_and_the_digest_tells(
    misbehave: Misbehave, build: Build
) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", ETag=TAG, Content_Length=1000) + DATA)

    server = misbehave(behave)
    assert fetch(build(), server.url()) == DATA[:1000]
    with pytest.raises(Invalid, match="sha256"):
        fetch(build(), server.url(), checksum=DIGEST)


def test_what_is_compressed_on_the_way_is_not_asked_for_and_not_unpacked(
    misbehave: Misbehave, build: Build
) -> None:
    packed = gzip.compress(bytes(1000))
    server = misbehave(File(packed, Content_Encoding="gzip"))
    assert fetch(build(), server.url()) == packed
    assert server.requests[0].headers["accept-encoding"] == "identity"


# -- too much, too slow


def test_more_than_may_come_is_refused_before_it_comes(misbehave: Misbehave, build: Build) -> None:
    with pytest.raises(LimitExceeded):
        start(build(cap=len(DATA) - 1), misbehave(File(DATA)).url())
    assert_same(fetch(build(cap=len(DATA)), misbehave(File(DATA)).url()), DATA)


def test_a_server_that_does_not_stop_is_stopped(misbehave: Misbehave, build: Build) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Transfer_Encoding="chunked"))
        while True:
            connection.sendall(b"%x\r\n%b\r\n" % (CHUNK_SIZE, bytes(CHUNK_SIZE)))

    with pytest.raises(LimitExceeded):
        fetch(build(cap=5 * CHUNK_SIZE), misbehave(behave).url())


def test_a_server_that_trickles_is_given_up(misbehave: Misbehave, build: Build) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Content_Length=100_000, ETag=TAG))
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.01)

    server = misbehave(behave)
    with pytest.raises(Unavailable, match="fewer than"):
        fetch(build(min_rate=5000.0, min_rate_time=0.3), server.url())
    with pytest.raises(Unavailable, match="not here within"):
        fetch(build(max_time=1.0), server.url())


def test_a_slow_reader_is_no_slow_server(misbehave: Misbehave, build: Build) -> None:
    method = build(min_rate=1_000_000.0, min_rate_time=2.0)
    with start(method, misbehave(File(DATA)).url()) as stream:
        came = stream.read(1000)
        time.sleep(3.5)  # counted in, it would be fewer bytes a second than must come
        came += b"".join(stream)
    assert_same(came, DATA)


def test_a_server_that_says_nothing_any_more_is_given_up(
    misbehave: Misbehave, build: Build
) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Content_Length=10) + b"12345")
        connection.recv(1)

    with pytest.raises(Unavailable, match="nothing came"):
        fetch(build(http_idle_timeout=0.2, http_read_retries=0), misbehave(behave).url())


def test_memory_is_flat(misbehave: Misbehave, build: Build) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        connection.sendall(head("200 OK", Content_Length=300 * CHUNK_SIZE))
        for _ in range(300):
            connection.sendall(bytes(CHUNK_SIZE))

    digest = hashlib.sha256()
    for _ in range(300):
        digest.update(bytes(CHUNK_SIZE))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = 0
    with start(
        build(), misbehave(behave).url(), checksum=f"sha256:{digest.hexdigest()}"
    ) as stream:
        for chunk in stream:
            size += len(chunk)
    assert size == 300 * CHUNK_SIZE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


# -- where it may not go

INSIDE = [
    "http://127.0.0.1:80/x",
    "http://127.1/x",
    "http://0177.0.0.1/x",
    "http://0x7f000001/x",
    "http://2130706433/x",
    "http://[::1]/x",
    "http://[::ffff:127.0.0.1]/x",
    "http://[64:ff9b::127.0.0.1]/x",
    "http://127.0.0.1./x",
    "http://localhost/x",
    "http://①②⑦.0.0.1/x",
    "http://169.254.169.254/latest",
    "gopher://example.org:70/",
    "http://example.org:22/",
]
ANYWHERE = {"allowed_hosts": [], "allowed_ports": [80, 443]}


@pytest.mark.parametrize("url", INSIDE)
def test_no_url_leads_inside(build: Build, url: str) -> None:
    with pytest.raises(UriRefused):
        build(ANYWHERE).validate({"uri": url})
    with pytest.raises(Invalid):
        start(build(ANYWHERE), url)


@pytest.mark.parametrize("url", [*INSIDE[1:8], INSIDE[11]])
def test_no_redirect_leads_inside(misbehave: Misbehave, build: Build, url: str) -> None:
    def behave(request: Request, connection: socket.socket) -> None:
        written = url.encode()
        connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ")
        connection.sendall(written + b"\r\n\r\n")

    with pytest.raises(Invalid, match="redirects"):
        start(build(), misbehave(behave).url())


def test_private_networks_are_the_operator_s_choice(build: Build) -> None:
    build(ANYWHERE).validate({"uri": "http://192.168.7.7/image"})
    with pytest.raises(UriRefused):
        build(ANYWHERE | {"allow_private": False}).validate({"uri": "http://192.168.7.7/image"})


def test_a_name_without_an_address_is_the_caller_s_mistake(build: Build) -> None:
    with pytest.raises(Invalid, match="address"):
        build(ANYWHERE).validate({"uri": "http://nowhere.invalid/image"})


def test_certificates_are_looked_at(nginx: Any, build: Build) -> None:
    Path(nginx.root, "signed").write_bytes(DATA)
    url = nginx.tls_url("signed")
    with pytest.raises(Unavailable, match="certificate"):
        start(build(), url)
    trusting = build(https_ca_certificates_file=str(nginx.authority))
    assert_same(fetch(trusting, url), DATA)
    with pytest.raises(Unavailable):
        start(trusting, nginx.tls_url("signed", host="127.0.0.1"))


# -- what is told


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("nothing", Invalid, "nothing is there"),
        ("refused/", Invalid, "refuses"),
        ("locked/x", Invalid, "404"),
        ("busy/", Unavailable, "503"),
        ("inside/", Invalid, "redirects"),
        ("round/", Invalid, "redirects"),
    ],
)
def test_what_is_wrong_is_said_without_credentials(
    nginx: Any,
    build: Build,
    caplog: pytest.LogCaptureFixture,
    path: str,
    kind: type[Exception],
    words: str,
) -> None:
    caplog.set_level(logging.INFO)
    url = nginx.url(f"{path}?key=hunter3", who="user:hunter2@")
    with pytest.raises(kind, match=words) as raised:
        start(build(), url)
    told = [*traceback.format_exception(raised.value), caplog.text]
    assert not any("hunter" in line for line in told)


def test_a_body_that_breaks_is_told_without_credentials(
    misbehave: Misbehave, build: Build
) -> None:
    server = misbehave(File(DATA, most=10))
    with pytest.raises(Unavailable, match="broke off") as raised:
        fetch(
            build(http_read_retries=1),
            server.url("image?key=hunter3", who="user:hunter2@"),
            checksum=DIGEST,
        )
    assert "hunter" not in str(raised.value)
