# SPDX-License-Identifier: Apache-2.0
"""The health check, as a load balancer and as a human ask for it."""

from __future__ import annotations

from glancekit.api.health import _shown
from glancekit.services.health import Part
from glancekit.testing.client import Client


def test_in_a_word(service: Client) -> None:
    answer = service.get("/healthcheck")
    assert (answer.status, answer.body) == (200, b"OK")
    assert service.request("HEAD", "/healthcheck").status == 200


def test_part_by_part(service: Client) -> None:
    answer = service.get("/healthcheck", accept="application/json")
    assert answer.status == 200
    assert answer.json["ok"] is True
    parts = {part["name"]: part["ok"] for part in answer.json["parts"]}
    assert parts["metadata"] is True


def test_no_image_is_named_to_whoever_comes_along() -> None:
    """A store is passed over because it did not answer for one."""
    reason = "timed out: https://objects.example.org/images/71c675ab-d94f-49cd-a114-e12490b328d9"
    shown = _shown(Part(name="store:a", ok=False, detail=reason, required=False))
    assert shown["detail"] == "timed out: https://objects.example.org/images/<image>"
