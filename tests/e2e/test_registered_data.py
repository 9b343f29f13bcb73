# SPDX-License-Identifier: Apache-2.0
"""Registered data is verified to the end although the process that began is killed midway."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import requests

SIZE = 1 << 30
CONFIG = "[auth]\ndriver = trusted\n"
NOVA = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "nova",
    "X-Project-Id": "demo",
    "X-Roles": "member,reader,service",
}


def test_a_kill_midway_costs_time_and_nothing_else(make_service: Callable[..., Any]) -> None:
    service = make_service(CONFIG)
    service.start()

    def ask(method: str, path: str, **body: Any) -> requests.Response:
        return requests.request(
            method, service.url + path, json=body or None, headers=NOVA, timeout=60
        )

    def show() -> dict[str, Any]:
        return dict(ask("GET", f"/v2/images/{image_id}").json())

    formats = {"disk_format": "raw", "container_format": "bare"}
    image_id = ask("POST", "/v2/images", **formats).json()["id"]
    folder = service.data_dir / "stores" / "local"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "snapshot").open("wb") as file:
        file.truncate(SIZE)
    digest, piece = hashlib.sha512(), bytes(1 << 20)
    for _ in range(SIZE >> 20):
        digest.update(piece)
    said = {"os_hash_algo": "sha512", "os_hash_value": digest.hexdigest()}
    answer = ask(
        "POST",
        f"/v2/images/{image_id}/locations",
        url=f"file://{folder}/snapshot",
        validation_data=said,
    )
    assert answer.status_code == 202, answer.text
    assert show()["status"] == "importing"
    service.kill()
    service.start()
    service.wait_for(lambda: show()["status"] == "active")
    image = show()
    assert (image["size"], image["os_hash_value"]) == (SIZE, digest.hexdigest())
    (task,) = ask("GET", f"/v2/images/{image_id}/tasks").json()["tasks"]
    assert task["status"] == "success"
