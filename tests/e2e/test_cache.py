# SPDX-License-Identifier: Apache-2.0
"""The image cache before a real Swift: fifty ask for a cold image, Swift gives it once.

What Swift gives is counted in front of it, byte for byte. ``GLANCEKIT_TEST_CACHE_MB`` is the size
of the image (default 128; the claim is made for 1024).
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any

import pytest
import requests
from glancekit_swift_store.testing import KEY, USER, RealSwift

MB = 1 << 20
SIZE = int(os.environ.get("GLANCEKIT_TEST_CACHE_MB", "128")) * MB
READERS = 50
HEAD = 64 << 10
"""More than the heads of all answers to one download take."""

CONFIG = """
[DEFAULT]
enabled_backends = objects:swift
image_cache_dir = {cache}
image_cache_max_size = 3GB
image_cache_free_reserve = 100MB
[glance_store]
default_backend = objects
[objects]
swift_store_auth_address = {auth}
swift_store_auth_version = 1
swift_store_user = {user}
swift_store_key = {key}
swift_store_container = {container}
swift_store_create_container_on_put = true
swift_store_large_object_size = 5120
"""


class Counter:
    """A proxy in front of the Swift that counts what comes out of it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._carriers: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._serve)
        self.port = int(self._socket.getsockname()[1])
        self.given = 0
        self._accepting.start()

    def close(self) -> None:
        """Take no more, and wait for those that are there: the service has closed its ends."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._socket.close()
        for carrier in self._carriers:
            carrier.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._carriers.append(threading.Thread(target=self._carry, args=(client,)))
            self._carriers[-1].start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            back = threading.Thread(target=self._pump, args=(server, client, self._count))
            back.start()
            self._pump(client, server, lambda size: None)
            back.join()

    def _pump(
        self, source: socket.socket, sink: socket.socket, tell: Callable[[int], None]
    ) -> None:
        try:
            while chunk := source.recv(1 << 18):
                tell(len(chunk))
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one end went away; so does the other
            for one in (source, sink):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _count(self, size: int) -> None:
        with self._lock:
            self.given += size


@pytest.fixture
def counter(swift: RealSwift) -> Iterator[Counter]:
    counter = Counter(swift.port)
    yield counter
    counter.close()


@pytest.fixture
def cached(
    swift: RealSwift, counter: Counter, make_service: Callable[..., Any], tmp_path: Path
) -> Iterator[Any]:
    """A service of two processes with a cold cache, all of whose reads pass the counter."""
    service = make_service(
        CONFIG.format(
            auth=swift.auth_url.replace(f":{swift.port}/", f":{counter.port}/"),
            user=USER,
            key=KEY,
            container=uuid.uuid4().hex,
            cache=tmp_path / "cache",
        )
    )
    service.start()
    yield service
    service.stop()


@pytest.fixture
def content(tmp_path: Path) -> Iterator[mmap]:
    """The image's bytes, in a file."""
    block = os.urandom(MB)
    with (tmp_path / "image").open("w+b") as file:
        for number in range(SIZE // MB):
            file.write(number.to_bytes(8) + block[8:])
        file.flush()
        with mmap(file.fileno(), SIZE) as mapped:
            yield mapped


def is_right(url: str, content: mmap) -> bool:
    """Download all of it and say whether each byte is the right one."""
    done = 0
    with requests.get(url, stream=True, timeout=300) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Length"] == str(SIZE)
        while chunk := answer.raw.read(MB):
            if chunk != content[done : done + len(chunk)]:
                return False
            done += len(chunk)
    return done == SIZE


def cut_off(url: str) -> None:
    """Download a tenth and go away."""
    with requests.get(url, stream=True, timeout=300) as answer:
        assert answer.status_code == 200, answer.text
        left = SIZE // 10
        while left > 0:
            chunk = answer.raw.read(min(left, MB))
            assert chunk, "the answer ended early"
            left -= len(chunk)


@pytest.mark.timeout(400)  # fifty readers at once, twice
def test_fifty_cold_readers_cost_swift_one(cached: Any, counter: Counter, content: mmap) -> None:
    for first_is_cut_off in (False, True):
        image_id = cached.create()
        content.seek(0)
        assert cached.upload(image_id, content).status_code == 204
        url = f"{cached.url}/v2/images/{image_id}/file"
        before, began = counter.given, time.monotonic()
        with ThreadPoolExecutor(READERS + 1) as pool:
            if first_is_cut_off:
                first = pool.submit(cut_off, url)
                cached.wait_for(lambda before=before: counter.given - before > MB)
            readers = [pool.submit(is_right, url, content) for _ in range(READERS)]
            assert all(reader.result(300) for reader in readers), cached.log
            if first_is_cut_off:
                first.result(300)
        given, took = counter.given - before, time.monotonic() - began
        print(f"\n{READERS} readers: {given / SIZE:.5f} times its size from Swift, {took:.1f} s")
        assert SIZE <= given <= SIZE + HEAD
        before = counter.given
        assert is_right(url, content)
        assert counter.given == before
