# SPDX-License-Identifier: Apache-2.0
"""Two stores, one of which is frozen, cut off or drained: who notices, and how it comes back.

The S3 server is a real one, frozen by SIGSTOP. A proxy before it counts what it is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

DATA = os.urandom(3 << 20)

CONFIG = """
[DEFAULT]
enabled_backends = cloud:s3, local:file
show_multiple_locations = true
show_image_direct_url = true
[glance_store]
default_backend = local
[cloud]
weight = 10
timeout = 4
breaker_failures = 2
breaker_pause = 0.2
breaker_longest_pause = 0.4
s3_store_host = {url}
s3_store_bucket = images
s3_store_access_key = key
s3_store_secret_key = a-secret-that-nobody-sees
s3_store_bucket_url_format = path
s3_store_read_timeout = 2
"""


@pytest.fixture(scope="module")
def service(make_lasting_service: Callable[..., Any], s3: Any) -> Any:
    """A service with a heavier store in S3 and a lighter one on this host."""
    service = make_lasting_service(CONFIG.format(url=s3.url))
    service.start()
    return service


def patch(service: Any, image_id: str, operation: dict[str, Any]) -> None:
    answer = requests.patch(
        f"{service.url}/v2/images/{image_id}",
        data=json.dumps([operation]),
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text


def stored_twice(service: Any, s3: Any) -> str:
    """Make an image with a copy in each store."""
    service.wait_for(lambda: passing_over(service) == 0)  # a busy machine has silent moments
    image_id: str = service.create()
    assert service.upload(image_id, DATA).status_code == 204
    s3.client().put_object(Bucket="images", Key=image_id, Body=DATA)
    place = {"url": f"s3://{s3.host}/images/{image_id}", "metadata": {"store": "cloud"}}
    patch(service, image_id, {"op": "add", "path": "/locations/-", "value": place})
    assert {*service.show(image_id)["stores"].split(",")} == {"cloud", "local"}
    return image_id


@pytest.fixture
def twice(service: Any, s3: Any) -> str:
    """An image with a copy in each store."""
    return stored_twice(service, s3)


def part_of(service: Any, name: str) -> dict[str, Any]:
    answer = requests.get(
        f"{service.url}/healthcheck", headers={"Accept": "application/json"}, timeout=60
    )
    assert answer.status_code == 200, "the default store is well"
    (part,) = [part for part in answer.json()["parts"] if part["name"] == f"store:{name}"]
    return dict(part)


def passing_over(service: Any) -> int:
    """Return how many processes of the service pass the store over now: each says both in turn."""
    log = str(service.log)
    return log.count("store cloud is passed over") - log.count("store cloud answers again")


def wait_until_passed_over(service: Any, image_id: str) -> None:
    """Download until each of the service's two processes has found out."""

    def do() -> bool:
        assert service.download(image_id) == DATA
        return passing_over(service) == 2

    service.wait_for(do)


def test_the_heavier_copy_is_read(service: Any, s3: Any, twice: str) -> None:
    assert service.download(twice) == DATA
    assert s3.reads(twice)


def test_a_client_may_say_which_copy_it_would_have(service: Any, s3: Any, twice: str) -> None:
    url = f"{service.url}/v2/images/{twice}/file"
    s3.asked.clear()
    answer = requests.get(url, params={"prefer": "local"}, timeout=60)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert not s3.reads(twice)
    refused = requests.get(url, params={"prefer": "local,nowhere"}, timeout=60)
    assert (refused.status_code, "nowhere" in refused.text) == (400, True)


def test_copies_are_shown_in_the_order_in_which_they_are_read(service: Any, twice: str) -> None:
    """Nova and cinder take the first that they can; administrators remove by position."""
    image = service.show(twice)
    assert image["stores"] == "cloud,local", "the lighter one is the older one"
    assert [place["metadata"]["store"] for place in image["locations"]] == ["cloud", "local"]
    assert image["direct_url"] == image["locations"][0]["url"]
    url = f"{service.url}/v2/images/{twice}/locations"
    assert requests.get(url, timeout=60).json() == image["locations"]
    patch(service, twice, {"op": "remove", "path": "/locations/0"})
    assert service.show(twice)["stores"] == "local"


def test_a_frozen_store_is_passed_over_named_and_used_again(
    service: Any, s3: Any, twice: str
) -> None:
    alone: str = service.create()
    answer = service.upload(alone, DATA, **{"x-image-meta-store": "cloud"})
    assert answer.status_code == 204
    other = stored_twice(service, s3)
    s3.server.freeze()
    try:
        wait_until_passed_over(service, twice)
        for _ in range(20):
            assert service.download(other) == DATA
        assert s3.reads(other) == [], "the store was asked for what it cannot give now"
        assert part_of(service, "cloud")["breaker"] in ("open", "half-open")
        assert not part_of(service, "cloud")["ok"]
        details = requests.get(f"{service.url}/v2/info/stores/detail", timeout=60).json()
        assert [s["id"] for s in details["stores"] if s.get("unavailable")] == ["cloud"]
        command = [sys.executable, "-m", "glancekit.cli", "--config-file", service.config]
        command += ["stores", "--url", service.url, "-f", "json"]
        shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert {row["id"]: row["answers"] for row in shown} == {"cloud": False, "local": True}

        url = f"{service.url}/v2/images/{alone}/file"
        refused = requests.get(url, timeout=60)
        assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (503, True)
        queued = service.create()
        refused = service.upload(queued, DATA, **{"x-image-meta-store": "cloud"})
        assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (503, True)
        assert service.status(queued) == "queued"
        assert service.upload(queued, DATA).status_code == 204
    finally:
        s3.server.thaw()
    service.wait_for(lambda: passing_over(service) == 0)
    assert service.download(alone) == DATA
    assert part_of(service, "cloud") == {
        "name": "store:cloud",
        "ok": True,
        "detail": "",
        "required": False,
        "breaker": "closed",
    }
    assert service.upload(service.create(), DATA, **{"x-image-meta-store": "cloud"}).ok


def test_a_store_that_hangs_does_not_keep_a_load_balancer_waiting(
    make_service: Callable[..., Any], s3: Any
) -> None:
    """It waits for some seconds, and would take every host out that has this store."""
    config = CONFIG.format(url=s3.url).replace("read_timeout = 2", "read_timeout = 60")
    service = make_service(config.replace("timeout = 4", "timeout = 60"))
    service.start()
    s3.server.freeze()
    try:
        begun = time.monotonic()
        part = part_of(service, "cloud")
        assert time.monotonic() - begun < 30
    finally:
        s3.server.thaw()
    assert (part["ok"], part["breaker"]) == (False, "closed")
    service.wait_for(lambda: bool(part_of(service, "cloud")["ok"]))


def test_a_server_that_goes_midway_costs_the_client_nothing(
    service: Any, s3: Any, twice: str
) -> None:
    s3.cut_after = len(DATA) // 3
    try:
        assert service.download(twice) == DATA
        assert f"image {twice} is read on from byte" in service.log
    finally:
        s3.cut_after = None
        s3.is_gone = False


def test_a_part_is_gone_on_with_too(service: Any, s3: Any, twice: str) -> None:
    service.wait_for(lambda: part_of(service, "cloud")["breaker"] == "closed")
    s3.cut_after = 1000
    try:
        answer = requests.get(
            f"{service.url}/v2/images/{twice}/file",
            headers={"Range": f"bytes=77-{len(DATA) - 5}"},
            timeout=60,
        )
        assert (answer.status_code, answer.content) == (206, DATA[77:-4])
    finally:
        s3.cut_after = None
        s3.is_gone = False


DRAINED = """
[DEFAULT]
enabled_backends = old:file, new:file
[glance_store]
default_backend = old
choose_by = {choose_by}
[old]
store_description = a file server
weight = 5
drain = {drain}
"""


def test_a_store_is_drained(make_service: Callable[..., Any]) -> None:
    before = make_service(DRAINED.format(choose_by="weight", drain="false"))
    before.start()
    image_id = before.create()
    assert before.upload(image_id, DATA).status_code == 204
    assert before.show(image_id)["stores"] == "old"
    before.stop()
    service = make_service(
        DRAINED.format(choose_by="weight", drain="true"), data_dir=before.data_dir
    )
    service.start()
    assert service.download(image_id) == DATA
    shown = requests.get(f"{service.url}/v2/info/stores", timeout=60).json()["stores"]
    assert [store["id"] for store in shown] == ["old", "new"]
    assert [store.get("read-only") for store in shown] == ["true", None]
    details = requests.get(f"{service.url}/v2/info/stores/detail", timeout=60).json()["stores"]
    assert [store.get("draining") for store in details] == ["true", None]
    assert "drained" in part_of(service, "old")["detail"]
    queued = service.create()
    refused = service.upload(queued, DATA, **{"x-image-meta-store": "old"})
    assert refused.status_code == 410
    assert "being drained" in refused.text
    for reserved in ("os_glance_staging_store", "os_glance_tasks_store"):
        assert service.upload(queued, DATA, **{"x-image-meta-store": reserved}).status_code == 400
    assert service.upload(queued, DATA).status_code == 204
    assert service.show(queued)["stores"] == "new"
    assert requests.delete(f"{service.url}/v2/images/{image_id}", timeout=60).status_code == 204
