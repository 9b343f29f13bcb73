# SPDX-License-Identifier: Apache-2.0
"""Receivers that listen, refuse, are away and come back: in order, at least once, and by whom."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from glancekit_webhooks import commands
from glancekit_webhooks.dead_letters import DeadLetters
from glancekit_webhooks.listener import Listener, Webhooks
from glancekit_webhooks.receiver import Refused

from glancekit.plugin import ConfigError, Event, Invalid, Unavailable
from glancekit.testing import MemoryMetadata

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def events(count: int, *, first: int = 1, kind: str = "image.update") -> list[Event]:
    return [
        Event(
            type=kind,
            subject=f"image-{number % 3}",
            project_id="p",
            user_id="u",
            request_id="req-1",
            payload={"id": f"image-{number % 3}", "size": number},
            at=AT,
            position=number,
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def listen(options_of: Callable[..., Any], hook: Any) -> Callable[..., Listener]:
    """Builds the plugin for one receiver, and returns the listener that tells it."""

    def listen(**given: Any) -> Listener:
        plugin = Webhooks(options_of(receivers={"ops": hook.url}, **given), name="webhooks")
        return plugin.listeners()["ops"]

    return listen


def sequences(hook: Any) -> list[int]:
    return [int(event["sequence"]) for event in hook.events]


# -- what is told


def test_an_event_is_a_cloud_event(listen: Callable[..., Listener], hook: Any) -> None:
    listen(source="images.example.org").after_commit(events(1))
    assert hook.events == [
        {
            "specversion": "1.0",
            "id": "1",
            "source": "images.example.org",
            "type": "glancekit.image.update",
            "subject": "image-1",
            "time": "2026-11-23T12:00:00Z",
            "datacontenttype": "application/json",
            "sequence": "00000000000000000001",
            "projectid": "p",
            "userid": "u",
            "requestid": "req-1",
            "data": {"id": "image-1", "size": 1},
        }
    ]
    assert hook.messages[0][0]["content-type"].startswith("application/cloudevents+json")


def test_the_specification_s_own_library_reads_it(
    listen: Callable[..., Listener], hook: Any
) -> None:
    bindings = pytest.importorskip(
        "cloudevents.core.bindings.http", reason="pip install 'cloudevents>=2'"
    )
    listen().after_commit(events(1))
    headers, body = hook.messages[0]
    event = bindings.from_http_event(bindings.HTTPMessage(headers=headers, body=body))
    assert (event.get_id(), event.get_subject()) == ("1", "image-1")
    assert event.get_data() == {"id": "image-1", "size": 1}


def test_a_message_is_signed(listen: Callable[..., Listener], hook: Any) -> None:
    library = pytest.importorskip("standardwebhooks", reason="pip install standardwebhooks")
    listen(secrets={"ops": SECRET}).after_commit(events(1))
    headers, body = hook.messages[0]
    assert library.Webhook(SECRET).verify(body, headers)["id"] == "1"
    with pytest.raises(library.WebhookVerificationError):
        library.Webhook(SECRET).verify(body.replace(b"image-1", b"image-2"), headers)
    with pytest.raises(library.WebhookVerificationError):
        library.Webhook("whsec_" + "A" * 32).verify(body, headers)


def test_only_what_is_asked_for_is_told(listen: Callable[..., Listener], hook: Any) -> None:
    listener = listen(types=["image.", "task.success"])
    for first, kind in enumerate(["image.create", "task.create", "task.success", "metadef.x"], 1):
        listener.after_commit(events(1, first=first, kind=kind))
    assert [event["type"] for event in hook.events] == [
        "glancekit.image.create",
        "glancekit.task.success",
    ]


# -- a receiver that is away


def relay(listener: Listener, batch: Sequence[Event], *, tries: int = 1000) -> int:
    """Tell as the outbox does: all that failed again, first of all what failed."""
    for failures in range(tries):
        try:
            listener.after_commit(batch)
            return failures
        except (Unavailable, Refused):
            continue
    return pytest.fail("it never ended")


def test_a_receiver_that_was_away_hears_all_in_order(
    listen: Callable[..., Listener], hook: Any
) -> None:
    listener, batch = listen(), events(60)
    heard = threading.Event()

    def count(event: dict[str, Any]) -> int:
        if int(event["id"]) == 20:
            heard.set()
        return 204

    hook.answer = count

    def be_away() -> None:
        heard.wait(30)
        hook.stop()
        hook.start()

    away = threading.Thread(target=be_away)
    away.start()
    relay(listener, batch, tries=100_000)
    away.join()
    told = sequences(hook)
    assert sorted(set(told)) == list(range(1, 61))
    assert told == sorted(told)


def test_a_receiver_that_is_not_there_is_waited_for(
    listen: Callable[..., Listener], hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    listener = listen()
    hook.stop()
    for _ in range(20):
        with pytest.raises(Unavailable) as raised:
            listener.after_commit(events(3))
    assert "hunter" not in str(raised.value) + caplog.text
    hook.start()
    listener.after_commit(events(3))
    assert sequences(hook) == [1, 2, 3]


@pytest.mark.parametrize("status", [500, 503, 408, 429])
def test_not_now_is_no_refusal(listen: Callable[..., Listener], hook: Any, status: int) -> None:
    hook.answer = lambda event: status
    listener = listen(attempts=1)
    for _ in range(3):
        with pytest.raises(Unavailable):
            listener.after_commit(events(1))
    assert hook.messages == []


def test_what_was_told_of_a_batch_is_not_told_again(
    listen: Callable[..., Listener], hook: Any
) -> None:
    failing = iter([204, 204, 503, 204, 204])
    hook.answer = lambda event: next(failing)
    assert relay(listen(), events(4)) == 1
    assert sequences(hook) == [1, 2, 3, 4]


def test_a_receiver_that_hangs_does_not_hold_us_for_ever(
    listen: Callable[..., Listener], hook: Any
) -> None:
    release = threading.Event()

    def hang(event: dict[str, Any]) -> int:
        release.wait(30)
        return 204

    hook.answer = hang
    with pytest.raises(Unavailable):
        listen(timeout=0.2).after_commit(events(1))
    release.set()


# -- a receiver that refuses, and dead letters


def test_what_is_refused_too_often_is_a_dead_letter(
    listen: Callable[..., Listener], hook: Any, options_of: Callable[..., Any]
) -> None:
    hook.answer = lambda event: 422 if event["id"] == "2" else 204
    assert relay(listen(attempts=3), events(3)) == 2
    assert sequences(hook) == [1, 3]
    (letter,) = DeadLetters(Path(options_of().dead_letters)).all()
    assert (letter.receiver, letter.event) == ("ops", events(3)[1])
    assert "422" in letter.reason
    assert "hunter" not in letter.reason


def test_redirects_are_not_followed(listen: Callable[..., Listener], hook: Any) -> None:
    hook.answer = lambda event: 307
    with pytest.raises(Refused, match="307"):
        listen().after_commit(events(1))


def test_a_receiver_that_is_away_for_too_long_holds_nothing_back(
    listen: Callable[..., Listener], hook: Any, options_of: Callable[..., Any]
) -> None:
    hook.stop()
    relay(listen(give_up=0.0), events(3))
    assert len(DeadLetters(Path(options_of().dead_letters)).all()) == 3


def test_dead_letters_outlive_a_crash_in_the_middle_of_a_line(
    listen: Callable[..., Listener], hook: Any, options_of: Callable[..., Any]
) -> None:
    hook.answer = lambda event: 400
    relay(listen(attempts=1), events(2))
    path = Path(options_of().dead_letters)
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("a") as file:
        file.write('{"receiver": "ops", "rea')
    assert len(DeadLetters(path).all()) == 2


# -- the command line


class Bench:
    """As much of the workbench as these commands use."""

    def __init__(self, metadata: MemoryMetadata) -> None:
        self._metadata = metadata

    def configuration(self, files: Sequence[str] = ()) -> tuple[object, Sequence[object]]:
        return object(), ()

    @contextmanager
    def metadata(self, config: object) -> Iterator[MemoryMetadata]:
        yield self._metadata


def run(options: Any, *words: str, metadata: MemoryMetadata | None = None) -> Any:
    bench: Any = Bench(metadata or MemoryMetadata())
    (command,) = commands.register_commands(lambda section, declared: options, bench)
    return CliRunner().invoke(command, words)


def test_dead_letters_are_listed_and_sent_again(
    listen: Callable[..., Listener], hook: Any, options_of: Callable[..., Any]
) -> None:
    options = options_of(receivers={"ops": hook.url})
    assert run(options, "dead").output == ""
    hook.answer = lambda event: 400
    relay(listen(attempts=1), events(3))
    listed = [json.loads(line) for line in run(options, "dead").output.splitlines()]
    assert [(line["receiver"], line["position"]) for line in listed] == [
        ("ops", 1),
        ("ops", 2),
        ("ops", 3),
    ]
    hook.answer = lambda event: 400 if event["id"] == "2" else 204
    assert "2 sent, 1 left" in run(options, "retry").output
    assert sequences(hook) == [1, 3]
    assert "0 sent, 1 left" in run(options_of(), "retry").output
    hook.answer = lambda event: 204
    assert "1 sent, 0 left" in run(options, "retry").output
    assert run(options, "dead").output == ""


def test_events_are_told_again_from_a_place_on(hook: Any, options_of: Callable[..., Any]) -> None:
    metadata = MemoryMetadata()
    with metadata.unit_of_work() as work:
        for event in events(250):
            work.events.append(event)
        work.commit()
    options = options_of(receivers={"ops": hook.url})
    replayed = run(options, "replay", "ops", "--from", "7", "--to", "220", metadata=metadata)
    assert "214 events told" in replayed.output
    assert sequences(hook) == list(range(7, 221))
    assert isinstance(run(options, "replay", "nobody", "--from", "1").exception, Invalid)


# -- the configuration


def test_what_makes_no_sense_is_told_at_the_start(options_of: Callable[..., Any]) -> None:
    for wrong in (
        {"receivers": {"ops": "ops.example.org"}},
        {"receivers": {"ops": "ftp://ops.example.org"}},
        {"secrets": {"ops": "x"}},
        {"receivers": {"ops": "https://x"}, "secrets": {"ops": "whsec_!!"}},
    ):
        with pytest.raises(ConfigError, match="webhooks"):
            Webhooks(options_of(**wrong), name="webhooks")
    assert Webhooks(options_of(), name="webhooks").listeners() == {}


def test_receivers_do_not_wait_for_one_another(
    options_of: Callable[..., Any], hook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="glancekit_webhooks")
    receivers = {"gone": "http://127.0.0.1:1/", "ops": hook.url}
    listeners = Webhooks(options_of(receivers=receivers), name="webhooks").listeners()
    with pytest.raises(Unavailable):
        listeners["gone"].after_commit(events(1))
    listeners["ops"].after_commit(events(1))
    assert sequences(hook) == [1]
