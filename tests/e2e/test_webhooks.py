# SPDX-License-Identifier: Apache-2.0
"""The running service and a web server that is told of events: both go away and come back."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

pytest.importorskip("glancekit_webhooks", reason="pip install glancekit-webhooks")

PATIENCE = 60.0


class Receiver:
    """Keeps the events that it was told, in the order in which they came."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    def come(self) -> None:
        kept = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kept.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def go(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def of(self, image_id: str) -> list[tuple[int, str]]:
        """The events of an image: their places, without repetitions, and their types."""
        told = [event for event in self.events if event["subject"] == image_id]
        first = {event["id"]: event for event in reversed(told)}
        in_order = sorted(first.values(), key=told.index)
        return [(int(event["sequence"]), event["type"]) for event in in_order]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.come()
    yield receiver
    receiver.go()


def live(service: Any, name: str) -> str:
    """Let an image be made, changed, filled and deleted."""
    image_id = str(service.create(name=name))
    requests.put(f"{service.url}/v2/images/{image_id}/tags/one", timeout=30).raise_for_status()
    service.upload(image_id, b"data").raise_for_status()
    requests.delete(f"{service.url}/v2/images/{image_id}", timeout=30).raise_for_status()
    return image_id


def test_every_event_comes_in_order_though_everybody_was_away(
    make_service: Callable[..., Any], receiver: Receiver
) -> None:
    service = make_service(f"[webhooks]\nreceivers = ops:http://127.0.0.1:{receiver.port}/\n")
    service.start()
    images = [live(service, "heard")]
    await_deleted(receiver, images)
    receiver.go()
    images += [live(service, f"while away {number}") for number in range(3)]
    time.sleep(2)  # long enough for it to be asked for in vain
    images += [live(service, "and then")]
    service.kill()
    receiver.come()
    service.start()
    images += [live(service, "after the kill")]
    await_deleted(receiver, images)
    kinds = defaultdict(set)
    for image_id in images:
        told = receiver.of(image_id)
        assert told == sorted(told)
        kinds[tuple(kind for _, kind in told)].add(image_id)
    (sequence,) = kinds  # the same of each
    assert sequence[0] == "glancekit.image.create"
    assert sequence[-1] == "glancekit.image.delete"
    assert "glancekit.image.upload" in sequence


def await_deleted(receiver: Receiver, images: list[str]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        gone = {e["subject"] for e in receiver.events if e["type"] == "glancekit.image.delete"}
        if set(images) <= gone:
            return
        time.sleep(0.1)
    pytest.fail(f"of {len(images)} images {len(gone)} were told to be deleted")
