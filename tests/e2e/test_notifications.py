# SPDX-License-Identifier: Apache-2.0
"""The running service tells a real RabbitMQ what happens, which is killed midway: none is lost."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("glancekit_oslo_notifications", reason="its package is not installed")

kombu = pytest.importorskip("kombu")

pytestmark = pytest.mark.timeout(300)

CONFIG = """
[oslo_messaging_notifications]
driver = messagingv2
transport_url = {url}
amqp_durable_queues = true
"""
PATIENCE = 90.0
"""Seconds: the service asks a broker that was away again after up to a minute."""

LIFE = ["image.create", "image.update", "image.prepare", "image.upload", "image.activate"]


@pytest.fixture
def rabbit(tmp_path: Path) -> Iterator[Any]:
    testing = pytest.importorskip("glancekit_oslo_notifications.testing")
    if reason := testing.missing():
        pytest.skip(reason)
    with testing.RealRabbit(tmp_path / "rabbit") as broker:
        yield broker


def live(service: Any) -> str:
    """Let an image be made, changed, filled, shared and deleted."""
    image_id = str(service.create())
    image = f"{service.url}/v2/images/{image_id}"
    requests.put(f"{image}/tags/one", timeout=30).raise_for_status()
    service.upload(image_id, b"data").raise_for_status()
    requests.post(f"{image}/members", json={"member": "p"}, timeout=30).raise_for_status()
    requests.delete(f"{image}/members/p", timeout=30).raise_for_status()
    requests.delete(image, timeout=30).raise_for_status()
    return image_id


def opened(connection: Any) -> Any:
    """Open the queue, which is there once the service has told something."""
    end = time.monotonic() + PATIENCE
    while True:
        queue = kombu.Queue("notifications.info", durable=True, no_declare=True)
        try:
            with connection.channel() as channel:
                queue(channel).queue_declare(passive=True)
            return connection.SimpleQueue(queue)
        except connection.channel_errors:
            assert time.monotonic() < end, "nothing was told"
            time.sleep(0.2)


def received(rabbit: Any, images: list[str]) -> dict[str, list[str]]:
    """Take what comes until every image is told to be deleted; return each one's events once."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    url = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
    with kombu.Connection(url, connect_timeout=30) as connection:
        queue = opened(connection)
        while not all("image.delete" in told[image].values() for image in images):
            taken = queue.get(block=True, timeout=PATIENCE)
            one = json.loads(taken.payload["oslo.message"])
            about = one["payload"].get("id") or one["payload"]["image_id"]
            told[about].setdefault(one["message_id"], one["event_type"])
            taken.ack()
        queue.close()
    return {image: list(told[image].values()) for image in images}


def taken(rabbit: Any, queue_name: str, kind: str, count: int) -> list[Any]:
    """Take what comes until so many of a kind have come; return their payloads."""
    url = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
    found: list[Any] = []
    end = time.monotonic() + PATIENCE
    with kombu.Connection(url, connect_timeout=30) as connection:
        while True:
            queue = kombu.Queue(queue_name, durable=True, no_declare=True)
            try:
                with connection.channel() as channel:
                    queue(channel).queue_declare(passive=True)
                break
            except connection.channel_errors:
                assert time.monotonic() < end, "nothing was told"
                time.sleep(0.2)
        waiting = connection.SimpleQueue(queue)
        while len(found) < count:
            one = waiting.get(block=True, timeout=PATIENCE)
            content = json.loads(one.payload["oslo.message"])
            if content["event_type"] == kind:
                found.append(content["payload"])
            one.ack()
        waiting.close()
    return found


def test_downloads_and_failures_are_told(make_service: Callable[..., Any], rabbit: Any) -> None:
    service = make_service("[DEFAULT]\ntell_downloads = true\n" + CONFIG.format(url=rabbit.url))
    service.start()
    size = 64 << 20
    image_id = service.create()
    refused = service.upload(image_id, b"data", **{"x-openstack-image-size": "5"})
    assert refused.status_code == 400
    service.upload(image_id, bytes(size)).raise_for_status()
    assert len(service.download(image_id)) == size
    target = f"{service.url}/v2/images/{image_id}/file"
    part = requests.get(target, headers={"Range": "bytes=5-14"}, timeout=30)
    assert len(part.content) == 10
    with requests.get(target, stream=True, timeout=30) as cut:
        cut.raw.read(1000)
    sent = taken(rabbit, "notifications.info", "image.send", 2)
    assert [one["bytes_sent"] for one in sent] == [size, 10]
    assert {one["image_id"] for one in sent} == {image_id}
    (cut_off,) = taken(rabbit, "notifications.error", "image.send", 1)
    assert 0 < cut_off["bytes_sent"] < size
    other = service.create()
    assert service.upload(other, b"data", **{"x-openstack-image-size": "5"}).status_code == 400
    (reason,) = taken(rabbit, "notifications.error", "image.upload", 1)
    assert "5 bytes were declared" in reason


def test_none_is_lost_though_the_broker_is_killed_midway(
    make_service: Callable[..., Any], rabbit: Any
) -> None:
    service = make_service(CONFIG.format(url=rabbit.url))
    service.start()
    images = [live(service) for _ in range(3)]
    rabbit.stop()
    images += [live(service) for _ in range(3)]
    rabbit.start()
    images += [live(service)]
    told = received(rabbit, images)
    (life,) = {tuple(events) for events in told.values()}  # the same of each, in order
    assert life[0] == "image.create"
    assert life[-3:] == ("image.member.create", "image.member.delete", "image.delete")
    assert set(life) >= set(LIFE)
