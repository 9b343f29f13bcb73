# SPDX-License-Identifier: Apache-2.0
"""Reads that another process has begun, and what is for one server's eyes only.

How streams go on by themselves is shown by the tests of the http store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from glancekit_web_reading.answers import Version
from glancekit_web_reading.connections import Connections
from glancekit_web_reading.failures import Changed, NotThere
from glancekit_web_reading.fetching import Fetcher
from glancekit_web_reading.reading import Wanted, WebStream
from glancekit_web_reading.settings import Settings
from glancekit_web_reading.testing import TAG, BadServer, Behaviour, File, bad_servers, head

from glancekit.plugin import UriFilter
from glancekit.testing.store import assert_same, sample

DATA = sample(300_000)
SETTINGS = Settings(None, False, {}, connect_timeout=5, idle_timeout=5, retries=2, redirects=2)

Misbehave = Callable[[Behaviour], BadServer]


@pytest.fixture
def misbehave() -> Iterator[Misbehave]:
    with bad_servers() as start:
        yield start


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    names = [f"{which}_{what}" for which in ("allowed", "disallowed") for what in WHAT]
    options = SimpleNamespace(**{name: [] for name in names}, allow_private=True)
    options.allowed_hosts = ["127.0.0.1"]
    connections = Connections(SETTINGS)
    yield Fetcher(connections, UriFilter(options), redirects=2)
    connections.close()


WHAT = ("schemes", "ports", "hosts")


def read(fetcher: Fetcher, wanted: Wanted) -> bytes:
    with WebStream(fetcher, wanted, retries=2) as stream:
        return b"".join(stream)


def test_a_read_goes_on_in_another_process(misbehave: Misbehave, fetcher: Fetcher) -> None:
    server = misbehave(File(DATA))
    wanted = Wanted(server.url(), start=100_000, of=Version(TAG, None))
    assert_same(read(fetcher, wanted), DATA[100_000:])
    assert server.requests[0].headers["if-range"] == TAG


@pytest.mark.parametrize("has_ranges", [True, False])
def test_of_another_content_nothing_is_read(
    misbehave: Misbehave, fetcher: Fetcher, has_ranges: bool
) -> None:
    file = File(DATA)
    file.has_ranges = has_ranges
    with pytest.raises(Changed):
        read(fetcher, Wanted(misbehave(file).url(), start=1, of=Version('"two"', None)))


def test_a_stream_knows_how_much_there_is_and_of_what(
    misbehave: Misbehave, fetcher: Fetcher
) -> None:
    with WebStream(fetcher, Wanted(misbehave(File(DATA)).url()), retries=0) as stream:
        assert (stream.total, stream.version.condition) == (len(DATA), TAG)


def test_headers_of_a_url_do_not_follow_it_elsewhere(
    misbehave: Misbehave, fetcher: Fetcher
) -> None:
    there = misbehave(File(DATA))

    def redirect(request: object, connection: object) -> None:
        connection.sendall(head("302 Found", Location=there.url(), Content_Length=0))  # type: ignore[attr-defined]

    here = misbehave(redirect)
    assert_same(read(fetcher, Wanted(here.url(), headers={"X-Auth-Token": "hunter2"})), DATA)
    assert here.requests[0].headers["x-auth-token"] == "hunter2"
    assert "x-auth-token" not in there.requests[0].headers


def test_what_is_not_there_is_told_without_the_query(
    misbehave: Misbehave, fetcher: Fetcher
) -> None:
    def nothing(request: object, connection: object) -> None:
        connection.sendall(head("404 No", Content_Length=0))  # type: ignore[attr-defined]

    with pytest.raises(NotThere) as raised:
        read(fetcher, Wanted(misbehave(nothing).url("image?key=hunter3", who="me:hunter2@")))
    assert "hunter" not in str(raised.value)
