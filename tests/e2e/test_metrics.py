# SPDX-License-Identifier: Apache-2.0
"""The numbers of a service with several processes are those of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

REQUESTS = 40


def total(service: Any, name: str, **labels: str) -> float:
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_all_processes_count_together(make_service: Callable[..., Any]) -> None:
    service = make_service("[metrics]\nenabled = true\n")
    service.start()
    for _ in range(REQUESTS):  # each on a connection of its own, for whichever process takes it
        requests.get(f"{service.url}/v2/images", timeout=30).raise_for_status()
    counted = [
        total(service, "glancekit_requests_total", route="/v2/images", status="200")
        for _ in range(6)
    ]
    assert counted == [REQUESTS] * 6
    image = service.create()
    assert service.upload(image, b"data").status_code == 204
    assert total(service, "glancekit_plugin_calls_total", operation="write", plugin="file") == 1
    service.stop()
    service.start()
    assert total(service, "glancekit_requests_total", route="/v2/images", status="200") == 0
