# SPDX-License-Identifier: Apache-2.0
"""The service over a real database server, which is killed under load and started again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any

import pytest
import requests

CLIENTS = 6


@pytest.fixture(params=["postgresql", "mysql"])
def server(
    request: pytest.FixtureRequest, database_server: Callable[..., AbstractContextManager[Any]]
) -> Iterator[Any]:
    """A server of one's own."""
    with database_server(request.param, durable=True) as server:
        yield server


@pytest.fixture
def service_over(server: Any, make_service: Callable[..., Any]) -> Any:
    """The service with its records in that server."""
    url = server.make_database("glancekit")
    lines = ("[metadata]", f"driver = {url.partition(':')[0]}", f"connection = {url}")
    service = make_service("\n".join((*lines, "max_pool_size = 2", "max_overflow = 3")))
    with suppress(requests.Timeout):  # on a busy machine its first answer takes long
        service.start()
    return service


def test_a_database_killed_under_load_loses_nothing_and_the_service_recovers(
    server: Any, service_over: Any
) -> None:
    created: list[str] = []
    others: Counter[tuple[int, bool]] = Counter()
    over = threading.Event()

    def create() -> None:
        while not over.is_set():
            with suppress(requests.ConnectionError):
                answer = requests.post(
                    f"{service_over.url}/v2/images", json={"name": "n"}, timeout=60
                )
                if answer.status_code == 201:
                    created.append(answer.json()["id"])
                else:
                    others[answer.status_code, "Retry-After" in answer.headers] += 1

    clients = [threading.Thread(target=create) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        service_over.wait_for(lambda: len(created) >= 30)
        server.kill()
        time.sleep(1)
        server.start()
        before = len(created)
        service_over.wait_for(lambda: len(created) >= before + 30)
    finally:
        over.set()
        for client in clients:
            client.join()
    # What was under way is told to come again; nothing else happens to anybody.
    assert set(others) <= {(503, True)}
    for image_id in created:
        assert service_over.show(image_id)["status"] == "queued"
    # Both workers together have no more than they may.
    assert len(server.connections("glancekit")) <= 2 * 5 + 1
    assert "secret" not in service_over.log
