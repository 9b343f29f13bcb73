# SPDX-License-Identifier: Apache-2.0
"""A file store on a file system that hangs, as a dead file server does: who notices, and how it
comes back. It is a real one of the kernel's (FUSE) whose server never answers.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

DATA = os.urandom(300_000)
LONG = 30.0
"""Seconds that no request takes, however busy the machine is: a hung one would take forever."""

CONFIG = """
[DEFAULT]
enabled_backends = net:file, local:file
[glance_store]
default_backend = local
[placement]
rules_file = {rules}
interval = 100000
[net]
filesystem_store_datadir = {folder}
weight = 10
timeout = 2
breaker_failures = 2
breaker_pause = 0.2
breaker_longest_pause = 0.4
"""

RULES = """
- name: twice
  match:
    tags: [twice]
  stores: [net, local]
"""

DETACH = 2


@contextmanager
def hung(folder: Path) -> Iterator[None]:
    """Put a file system over a folder that answers nothing, to nobody; at the end it is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"hung", bytes(folder), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mounting")
        try:
            yield
        finally:
            libc.umount2(bytes(folder), DETACH)
    finally:
        os.close(server)  # who waits is told that there is no server


@pytest.fixture
def service(make_service: Callable[..., Any], tmp_path: Path) -> Any:
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("a file system that hangs needs root, who may mount, and /dev/fuse")
    rules = tmp_path / "placement.yaml"
    rules.write_text(RULES)
    service = make_service(CONFIG.format(folder=tmp_path / "net", rules=rules))
    service.start()
    return service


def stored(service: Any, *tags: str) -> str:
    """Make an image in the store that will hang, and a copy in the other where it is tagged."""
    image_id: str = service.create(tags=list(tags))
    sent = service.upload(image_id, DATA, **{"x-image-meta-store": "net"})
    assert sent.status_code == 204
    if tags:
        command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(service.config)]
        where = os.environ | {"OS_DEFAULT__DATA_DIR": str(service.data_dir)}
        command += ["periodic", "run", "placement"]
        subprocess.run(command, check=True, capture_output=True, timeout=120, env=where)
        assert service.show(image_id)["stores"].split(",") == ["net", "local"]
    return image_id


def breaker_of(service: Any, store: str) -> str:
    answer = requests.get(
        f"{service.url}/healthcheck", headers={"Accept": "application/json"}, timeout=60
    )
    assert answer.status_code == 200, "the default store is well"
    (part,) = [part for part in answer.json()["parts"] if part["name"] == f"store:{store}"]
    return str(part["breaker"])


def passing_over(service: Any) -> int:
    """Return how many processes of the service pass the store over now: each says both in turn."""
    log = str(service.log)
    return log.count("store net is passed over") - log.count("store net answers again")


def test_a_file_system_that_hangs_is_passed_over_and_used_again(
    service: Any, tmp_path: Path
) -> None:
    twice, alone = stored(service, "twice"), stored(service)
    service.wait_for(lambda: breaker_of(service, "net") == "closed")
    queued: str = service.create()
    with hung(tmp_path / "net"):
        for _ in range(10):
            begun = time.monotonic()
            assert service.download(twice) == DATA
            assert time.monotonic() - begun < LONG
        service.wait_for(lambda: breaker_of(service, "net") in ("open", "half-open"))
        url = f"{service.url}/v2/images/{alone}/file"
        assert requests.get(url, timeout=LONG).status_code == 503
        refused = service.upload(queued, DATA, **{"x-image-meta-store": "net"})
        assert refused.status_code == 503
        assert service.status(queued) == "queued"
        other = service.create()
        assert service.upload(other, DATA).status_code == 204
        assert service.show(other)["stores"] == "local"
    # Each of the service's two processes finds out by itself, and says so.
    service.wait_for(lambda: passing_over(service) == 0)
    for _ in range(5):
        assert service.download(alone) == DATA
    service.wait_for(
        lambda: service.upload(queued, DATA, **{"x-image-meta-store": "net"}).status_code == 204
    )
    there = {path.name for path in (tmp_path / "net").rglob("*") if path.is_file()}
    assert there == {twice, alone, queued}


def test_an_upload_that_hangs_stops_nobody_else(service: Any, tmp_path: Path) -> None:
    """It hangs where the file gets its name, until the file system is gone."""
    image_id: str = service.create()
    hanging = ExitStack()

    def pieces() -> Iterator[bytes]:
        yield DATA
        hanging.enter_context(hung(tmp_path / "net"))
        yield DATA

    with ThreadPoolExecutor(1) as pool, hanging:
        sent = pool.submit(service.upload, image_id, pieces(), **{"x-image-meta-store": "net"})
        service.wait_for(lambda: is_hung(tmp_path / "net"))
        for _ in range(5):
            other = service.create()
            assert service.upload(other, DATA).status_code == 204
            assert service.download(other) == DATA
        assert not sent.done()
        hanging.close()
        answer = sent.result(LONG)
    assert answer.status_code == 503, answer.text
    assert service.status(image_id) == "queued"
    to_net = {"x-image-meta-store": "net"}
    service.wait_for(lambda: service.upload(image_id, DATA, **to_net).status_code == 204)
    there = {path.name for path in (tmp_path / "net").rglob("*") if path.is_file()}
    assert there == {image_id}


def is_hung(folder: Path) -> bool:
    return f" {folder} fuse" in Path("/proc/mounts").read_text()
