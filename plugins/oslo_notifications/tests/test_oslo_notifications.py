# SPDX-License-Identifier: Apache-2.0
"""Upstream's notifications through a real RabbitMQ, which is killed midway and comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import kombu
import pytest
from glancekit_oslo_notifications.listener import OsloNotifications
from glancekit_oslo_notifications.messages import is_wanted, message, payload
from glancekit_oslo_notifications.testing import RealRabbit, missing

from glancekit.plugin import ConfigError, Event, Unavailable
from glancekit.testing import HooksConformance

AT = datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC)
IMAGE = {
    "id": "i",
    "name": "cirros",
    "status": "active",
    "properties": {"os_glance_importing_to_stores": "a,b", "os_glance_failed_import": ""},
    "tags": ["one"],
}


def event(position: int, kind: str = "image.update", said: Any = None) -> Event:
    subject = f"image-{position % 3}"
    return Event(type=kind, subject=subject, payload=said or IMAGE, at=AT, position=position)


# -- what is told


def test_a_message_has_upstream_s_fields() -> None:
    told = message(event(7), "image.host")
    assert told.pop("message_id") == message(event(7), "image.host")["message_id"]
    assert told == {
        "publisher_id": "image.host",
        "event_type": "image.update",
        "priority": "INFO",
        "payload": {**IMAGE, "deleted": False, "deleted_at": None},
        "timestamp": "2026-11-23 12:00:00.000005",
    }
    assert message(event(8), "x")["message_id"] != message(event(7), "x")["message_id"]


def test_payloads_have_what_upstream_s_have() -> None:
    deleted = payload(event(1, "image.delete"))
    assert (deleted["deleted"], deleted["deleted_at"]) == (True, AT.isoformat())
    prepared = payload(event(1, "image.prepare"))
    assert prepared["os_glance_importing_to_stores"] == ["a", "b"]
    assert prepared["os_glance_failed_import"] == []
    member = {"image_id": "i", "member_id": "m"}
    assert payload(event(1, "image.member.create", member)) == member
    task = payload(event(1, "task.success", {"id": "t", "result": None}))
    assert task == {"id": "t", "result": None, "deleted": False, "deleted_at": None}


def test_what_failed_is_an_error_of_upstream_s_type() -> None:
    failed = event(1, "image.upload.failed", {**IMAGE, "reason": "the store is full"})
    told = message(failed, "x")
    assert (told["event_type"], told["priority"]) == ("image.upload", "ERROR")
    assert told["payload"] == "the store is full"
    sent = {"bytes_sent": 3, "image_id": "i", "owner_id": "p", "receiver_tenant_id": "q"}
    cut = message(event(2, "image.send.failed", sent), "x")
    assert (cut["event_type"], cut["priority"]) == ("image.send", "ERROR")
    assert cut["payload"] == sent
    whole = message(event(3, "image.send", sent), "x")
    assert (whole["event_type"], whole["priority"]) == ("image.send", "INFO")
    assert whole["payload"] == sent


def test_a_task_that_is_forgotten_is_deleted() -> None:
    told = payload(event(1, "task.delete", {"id": "t"}))
    assert told == {"id": "t", "deleted": True, "deleted_at": AT.isoformat()}


@pytest.mark.parametrize(
    ("kind", "disabled", "wanted"),
    [
        ("image.upload.failed", [], True),
        ("image.upload.failed", ["image.upload"], False),
        ("image.send", ["image"], False),
        ("image.create", [], True),
        ("image.create", ["image.create"], False),
        ("image.update", ["image.create"], True),
        ("image.member.create", ["image"], False),
        ("task.success", ["image"], True),
        ("metadef_tag.create", ["metadef_tag"], False),
        ("store.drained", [], False),
        ("image.damaged", [], False),
        ("image.copy.repaired", [], False),
    ],
)
def test_what_is_switched_off_is_not_told(kind: str, disabled: list[str], wanted: bool) -> None:
    assert is_wanted(event(1, kind), disabled) is wanted


# -- the bus

Build = Callable[..., OsloNotifications]
DURABLE = {"driver": ["messagingv2"], "amqp_durable_queues": True}


@pytest.fixture
def build() -> Iterator[Build]:
    built: list[OsloNotifications] = []

    def build(**given: Any) -> OsloNotifications:
        defaults = {option.dest: option.default for option in OsloNotifications.options}
        options = SimpleNamespace(**defaults | DURABLE | given)
        built.append(OsloNotifications(options, name="oslo_notifications"))
        return built[-1]

    yield build
    for plugin in built:
        plugin.close()


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRabbit]:
    if reason := missing():
        pytest.skip(reason)
    with RealRabbit(tmp_path_factory.mktemp("rabbit") / "data") as broker:
        yield broker


def received(rabbit: RealRabbit, topic: str, *, different: int) -> list[dict[str, Any]]:
    """Take all of a queue, as another service of OpenStack would: so many, and some of them again.

    They are waited for; whether there are any beside them, only for a moment.
    """
    url = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
    told: list[dict[str, Any]] = []
    with kombu.Connection(url, connect_timeout=30) as connection:
        queue = connection.SimpleQueue(kombu.Queue(f"{topic}.info", durable=True, no_declare=True))
        try:
            while True:
                complete = len({one["message_id"] for one in told}) >= different
                taken = queue.get(block=True, timeout=1 if complete else 60)
                envelope = taken.payload
                assert envelope["oslo.version"] == "2.0"
                told.append(json.loads(envelope["oslo.message"]))
                taken.ack()
        except queue.Empty:
            queue.close()
    return told


def relay(plugin: OsloNotifications, events: Sequence[Event]) -> int:
    """Tell as the outbox does: again, until it does not raise."""
    for failures in range(1000):
        try:
            plugin.after_commit(events)
            return failures
        except Unavailable:
            time.sleep(0.1)
    return pytest.fail("it never ended")


class TestConformance(HooksConformance):
    """The promises of every listener, kept on a real bus."""

    @pytest.fixture
    def listener(self, rabbit: RealRabbit, build: Build) -> OsloNotifications:
        return build(transport_url=rabbit.url, topics=["kit"])


def test_another_service_receives_what_happened(rabbit: RealRabbit, build: Build) -> None:
    plugin = build(transport_url=rabbit.url, topics=["heard"], default_publisher_id="image.here")
    relay(plugin, [event(1), event(2, "store.drained"), event(3, "image.delete")])
    told = received(rabbit, "heard", different=2)
    assert [one["event_type"] for one in told] == ["image.update", "image.delete"]
    assert {one["publisher_id"] for one in told} == {"image.here"}
    assert told[0]["payload"]["name"] == "cirros"


def test_none_is_lost_though_the_broker_is_killed(rabbit: RealRabbit, build: Build) -> None:
    plugin = build(transport_url=rabbit.url, topics=["killed"])
    events = [event(position) for position in range(1, 41)]
    relay(plugin, events[:20])
    rabbit.stop()
    for _ in range(3):
        with pytest.raises(Unavailable, match="bus") as raised:
            plugin.after_commit(events)
    assert "guest" not in str(raised.value)
    rabbit.start()
    relay(plugin, events)
    told = [one["message_id"] for one in received(rabbit, "killed", different=40)]
    wanted = [message(one, plugin._publisher)["message_id"] for one in events]
    assert list(dict.fromkeys(told)) == wanted


def test_what_is_no_address_is_told(build: Build) -> None:
    with pytest.raises(ConfigError, match="transport_url") as raised:
        build(transport_url="carrier-pigeon://guest:hunter2@host/").after_commit([event(1)])
    assert "hunter" not in str(raised.value)


@pytest.mark.parametrize("driver", [[], ["noop"], ["log"]])
def test_nobody_is_told_unless_the_operator_says_so(build: Build, driver: list[str]) -> None:
    build(driver=driver, transport_url="rabbit://127.0.0.1:1").after_commit([event(1)])
