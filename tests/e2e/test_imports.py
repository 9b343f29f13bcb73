# SPDX-License-Identifier: Apache-2.0
"""Imports by the running service, with the worker that it runs beside itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

DATA = b"data" * 250_000
TWO_STORES = """
[DEFAULT]
enabled_backends = local:file, other:file
[glance_store]
default_backend = local
"""


def ask(service: Any, method: str, path: str, project: str = "p", **more: Any) -> Any:
    headers = {
        "X-Identity-Status": "Confirmed",
        "X-Project-Id": project,
        "X-User-Id": "u",
        "X-Roles": "admin,member,reader",
        **more.pop("headers", {}),
    }
    answer = requests.request(method, f"{service.url}{path}", headers=headers, timeout=60, **more)
    assert answer.ok, answer.text
    return answer


def stage(service: Any, image_id: str, data: bytes = DATA, project: str = "p") -> None:
    octets = {"Content-Type": "application/octet-stream"}
    ask(service, "PUT", f"/v2/images/{image_id}/stage", project, data=data, headers=octets)


def begin(service: Any, image_id: str, project: str = "p", **body: Any) -> None:
    asked = {"method": {"name": "glance-direct"}, **body}
    ask(service, "POST", f"/v2/images/{image_id}/import", project, json=asked)


def companions(service: Any) -> list[int]:
    """Return the workers that the service runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"worker" in words and str(service.config).encode() in words:
            found.append(int(path.parent.name))
    return found


def test_an_import_needs_nothing_besides(make_service: Any) -> None:
    service = make_service(TWO_STORES)
    service.start()
    image_id = service.create()
    assert companions(service) == []
    stage(service, image_id)
    begin(service, image_id, all_stores=True)
    service.wait_for(lambda: service.status(image_id) == "active")
    assert service.download(image_id) == DATA
    service.wait_for(lambda: "os_glance_import_task" not in service.show(image_id))
    shown = service.show(image_id)
    assert set(shown["stores"].split(",")) == {"local", "other"}
    assert (shown["os_glance_importing_to_stores"], shown["os_glance_failed_import"]) == ("", "")
    (staged,) = (service.data_dir / "staging").iterdir()
    assert staged.name == ".place"
    (task,) = ask(service, "GET", f"/v2/images/{image_id}/tasks").json()["tasks"]
    assert (task["status"], task["message"]) == ("success", "")
    (worker,) = companions(service)
    service.stop()
    assert not Path(f"/proc/{worker}").exists()


def test_nova_s_way_to_copy(make_service: Any) -> None:
    """Import to the one store, then look until it is neither being imported nor failed."""
    service = make_service(TWO_STORES)
    service.start()
    image_id = service.create()
    assert service.upload(image_id, DATA).status_code == 204
    begin(service, image_id, method={"name": "copy-image"}, stores=["other"])

    def is_there() -> bool:
        shown = service.show(image_id)
        assert "other" not in shown["os_glance_failed_import"].split(",")
        going = shown["os_glance_importing_to_stores"].split(",")
        assert ("other" in going) != ("other" in shown["stores"].split(","))
        return "other" not in going

    service.wait_for(is_there)
    assert service.show(image_id)["status"] == "active"


def test_a_killed_worker_is_replaced_and_its_import_ends(service: Any) -> None:
    first, second = service.create(), service.create()
    stage(service, first)
    begin(service, first)
    service.wait_for(lambda: len(companions(service)) == 1)
    (worker,) = companions(service)
    os.kill(worker, signal.SIGKILL)
    stage(service, second)
    begin(service, second)
    for image_id in (first, second):
        service.wait_for(lambda one=image_id: service.status(one) == "active")
        assert service.download(image_id) == DATA
    assert companions(service) != [worker]


def test_a_power_cut_during_an_import(service: Any) -> None:
    image_id = service.create()
    stage(service, image_id)
    begin(service, image_id)
    service.kill()
    service.start()
    service.wait_for(lambda: service.status(image_id) == "active")
    assert service.download(image_id) == DATA


@pytest.mark.timeout(300)
def test_one_project_s_many_do_not_starve_another_s_one(make_service: Any) -> None:
    service = make_service("[auth]\ndriver = trusted\n[taskflow]\nmax_workers = 2\n")
    service.start()
    owners = {}
    for project in ["many"] * 49 + ["one"]:
        new = {"disk_format": "raw", "container_format": "bare"}
        image = ask(service, "POST", "/v2/images", project, json=new).json()
        stage(service, image["id"], b"data", project)
        owners[image["id"]] = project
    for image_id, project in owners.items():
        begin(service, image_id, project)

    def tasks() -> list[dict[str, Any]]:
        listed = ask(service, "GET", "/v2/tasks?limit=100&sort_key=updated_at&sort_dir=asc")
        found: list[dict[str, Any]] = listed.json()["tasks"]
        return found

    slowest = 0.0

    def is_over() -> bool:
        nonlocal slowest
        answer = ask(service, "GET", "/v2/images?limit=5")
        slowest = max(slowest, answer.elapsed.total_seconds())
        return all(task["status"] == "success" for task in tasks())

    service.wait_for(is_over, seconds=240)
    order = [task["owner"] for task in tasks()]
    place = order.index("one") + 1
    print(
        f"the single import ended as number {place} of {len(order)}; the slowest list meanwhile "
        f"took {slowest:.3f} s"
    )
    assert place < len(order)
