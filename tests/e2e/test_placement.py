# SPDX-License-Identifier: Apache-2.0
"""Stores that are added, drained and lost while clients download: the rules come true again.

Two services share one data directory, as behind a load balancer; one after the other is started
again with the new configuration. The S3 server is a real one, behind a proxy that can be cut off.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.timeout(300)  # services are started four times, slowly if it is busy

SIZES = (1, 300_000, 2 << 20, (2 << 20) + 1)

CONFIG = """
[DEFAULT]
enabled_backends = {stores}
[glance_store]
default_backend = {default}
[placement]
rules_file = {rules}
interval = 1
lost_after = 0
[a]
drain = {drain}
[cloud]
weight = 10
breaker_failures = 1
breaker_pause = 0.2
breaker_longest_pause = 0.4
s3_store_host = {url}
s3_store_bucket = images
s3_store_access_key = key
s3_store_secret_key = a-secret-that-nobody-sees
s3_store_bucket_url_format = path
"""

RULES = """
- name: twice
  stores: [{stores}]
  copies: 2
"""
PUBLIC_TOO = """
- name: public also in the cloud
  match:
    visibility: public
  stores: [cloud]
"""


class Load:
    """Clients that download all images again and again, and hold them to their digests."""

    def __init__(self, digests: dict[str, str]) -> None:
        self._digests = digests
        self._urls: Sequence[str] = ()
        self._stopping = threading.Event()
        self._busy = [threading.Lock() for _ in range(2)]
        self._threads = [threading.Thread(target=self._run, args=(lock,)) for lock in self._busy]
        self.count = 0
        self.failures: list[str] = []

    def start(self, urls: Sequence[str]) -> None:
        self._urls = urls
        for thread in self._threads:
            thread.start()

    def send_to(self, urls: Sequence[str]) -> None:
        """Send new requests to these services only, and wait for those under way."""
        self._urls = urls
        for lock in self._busy:
            with lock:
                pass

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, lock: threading.Lock) -> None:
        while not self._stopping.is_set():
            for image_id, digest in self._digests.items():
                with lock:
                    self._download(image_id, digest)
                time.sleep(0.01)

    def _download(self, image_id: str, digest: str) -> None:
        url = self._urls[self.count % len(self._urls)]
        try:
            answer = requests.get(f"{url}/v2/images/{image_id}/file", timeout=60)
            found = (answer.status_code, hashlib.sha512(answer.content).hexdigest())
        except requests.RequestException as error:
            found = (0, str(error))
        if found != (200, digest):
            self.failures.append(f"{image_id}: {found[0]} {found[1][:200]}")
        self.count += 1


class Cluster:
    """Two services on one data directory, and where images have copies by now."""

    def __init__(self, make: Callable[..., Any], folder: Path, s3: Any) -> None:
        self._folder = folder
        self._url = s3.url
        self._rules = folder / "placement.yaml"
        first = make("", data_dir=folder / "data")
        self.services = [first, make("", data_dir=folder / "data")]

    @property
    def urls(self) -> list[str]:
        return [service.url for service in self.services]

    def write(self, stores: str, rules: str, *, drain: bool, default: str) -> None:
        """Write configuration and rules."""
        self._rules.write_text(rules)
        text = CONFIG.format(
            stores=stores, rules=self._rules, url=self._url, drain=drain, default=default
        )
        for service in self.services:
            service.config.write_text(text)

    def roll(self, load: Load) -> None:
        """Start one service after the other again, while clients are sent to the other."""
        for service in self.services:
            load.send_to([url for url in self.urls if url != service.url])
            service.stop()
            service.start()
        load.send_to(self.urls)

    def stores_of(self, image_id: str) -> set[str]:
        return {*self.services[0].show(image_id)["stores"].split(",")}

    def wait_for(self, is_true: Callable[[set[str]], bool], image_ids: Iterable[str]) -> None:
        """Wait until the stores of every image are as they should be."""
        self.services[0].wait_for(lambda: all(is_true(self.stores_of(one)) for one in image_ids))


def test_rules_come_true_again_and_no_download_is_interrupted(
    make_service: Callable[..., Any], tmp_path: Path, s3: Any
) -> None:
    cluster = Cluster(make_service, tmp_path, s3)
    rules = RULES.format(stores="a, b")
    cluster.write("a:file, b:file", rules, drain=False, default="a")
    for service in cluster.services:
        service.start()
    front = cluster.services[0]
    digests: dict[str, str] = {}
    for number, size in enumerate(SIZES):
        content = os.urandom(size)
        image_id = front.create(visibility="public" if number % 2 else "private")
        assert front.upload(image_id, content).status_code == 204
        digests[image_id] = hashlib.sha512(content).hexdigest()
    cluster.wait_for(lambda stores: stores == {"a", "b"}, digests)
    load = Load(digests)
    load.start(cluster.urls)
    try:
        # Two stores are added and one is drained; a rule asks for one of the new ones.
        rules = RULES.format(stores="a, b, cloud, d") + PUBLIC_TOO
        cluster.write("a:file, b:file, cloud:s3, d:file", rules, drain=True, default="b")
        cluster.roll(load)
        cluster.wait_for(lambda stores: "a" not in stores and len(stores) >= 2, digests)
        cluster.wait_for(lambda stores: "cloud" in stores, list(digests)[1::2])
        assert not any(file.is_file() for file in (tmp_path / "data/stores/a").rglob("*"))
        # A store is lost.
        s3.is_gone = True
        cluster.wait_for(lambda stores: len(stores - {"cloud"}) >= 2, digests)
        before = load.count
        front.wait_for(lambda: load.count > before + 20)
    finally:
        load.stop()
        s3.is_gone = False
    assert load.failures == []
    assert load.count > 50
