# SPDX-License-Identifier: Apache-2.0
"""Uploads in parts to the running service, which is killed between and in parts."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from typing import Any

import pytest
import requests

from glancekit.services.staging import MARK_EVERY, PARTIAL

MIB = 1 << 20


def head(port: int, image_id: str, first: int, end: int, total: int) -> socket.socket:
    """Begin to send a part, and keep the line open."""
    line = socket.create_connection(("127.0.0.1", port), timeout=60)
    lines = [
        f"PUT /v2/images/{image_id}/stage HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/octet-stream",
        f"Content-Length: {end - first}",
        f"Content-Range: bytes {first}-{end - 1}/{total}",
    ]
    line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return line


def send(service: Any, image_id: str, data: bytes, first: int, end: int) -> requests.Response:
    return requests.put(
        f"{service.url}/v2/images/{image_id}/stage",
        data=data[first:end],
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {first}-{end - 1}/{len(data)}",
        },
        timeout=60,
    )


def offset(service: Any, image_id: str) -> int:
    answer = requests.get(f"{service.url}/v2/images/{image_id}/stage", timeout=60)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["offset"])


def imported(service: Any, image_id: str) -> dict[str, Any]:
    answer = requests.post(
        f"{service.url}/v2/images/{image_id}/import",
        json={"method": {"name": "glance-direct"}},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    service.wait_for(lambda: service.status(image_id) == "active")
    return dict(service.show(image_id))


def test_a_kill_between_two_parts_loses_nothing(service: Any) -> None:
    data = os.urandom(3 * MIB)
    image_id = service.create()
    assert send(service, image_id, data, 0, MIB + 5).headers["Upload-Offset"] == str(MIB + 5)
    service.kill()
    service.start()
    assert service.status(image_id) == "uploading"
    assert offset(service, image_id) == MIB + 5
    assert send(service, image_id, data, MIB + 5, len(data)).status_code == 204
    service.kill()
    service.start()
    shown = imported(service, image_id)
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert service.download(image_id) == data


def test_a_kill_in_a_part_costs_what_was_not_durable(service: Any) -> None:
    data = os.urandom(MARK_EVERY + 8 * MIB)
    image_id = service.create()
    line = head(service.port, image_id, 0, len(data), len(data))
    line.sendall(data[: MARK_EVERY + 4 * MIB])
    service.wait_for(lambda: offset(service, image_id) >= MARK_EVERY)
    durable = offset(service, image_id)
    service.kill()
    line.close()
    service.start()
    assert offset(service, image_id) == durable
    assert send(service, image_id, data, durable, len(data)).status_code == 204
    assert imported(service, image_id)["checksum"] == hashlib.md5(data).hexdigest()


def test_a_client_that_vanishes_loses_nothing_that_came(service: Any) -> None:
    data = os.urandom(3 * MIB)
    image_id = service.create()
    line = head(service.port, image_id, 0, len(data), len(data))
    line.sendall(data[: MIB + 17])
    line.close()
    service.wait_for(lambda: service.status(image_id) == "uploading")
    service.wait_for(lambda: offset(service, image_id) == MIB + 17)
    assert send(service, image_id, data, MIB + 17, len(data)).status_code == 204
    assert imported(service, image_id)["checksum"] == hashlib.md5(data).hexdigest()


def test_one_of_two_writers_is_refused_whichever_worker_has_it(service: Any) -> None:
    data = os.urandom(2 * MIB)
    image_id = service.create()
    line = head(service.port, image_id, 0, MIB, len(data))
    line.sendall(data[:1000])
    service.wait_for(lambda: service.status(image_id) == "uploading")
    partial = service.data_dir / "staging" / image_id / PARTIAL
    service.wait_for(partial.exists)  # the lock follows the record, and this the lock
    for _ in range(6):  # some of them at the other worker
        refused = send(service, image_id, data, 0, MIB)
        assert refused.status_code == 409, refused.text
        assert "Upload-Offset" not in refused.headers
    line.sendall(data[1000:MIB])
    assert b" 204 " in line.recv(1000)
    line.close()
    assert send(service, image_id, data, MIB, len(data)).status_code == 204


def test_many_writers_at_once_make_one_image(service: Any) -> None:
    """Whoever is refused asks where to go on, as clients do; each byte is written once."""
    data = os.urandom(8 * MIB)
    image_id = service.create()
    answers: list[int] = []

    def work() -> None:
        at = 0
        while at < len(data):
            answer = send(service, image_id, data, at, min(at + MIB, len(data)))
            answers.append(answer.status_code)
            if answer.status_code not in (204, 409):
                return
            if "Upload-Offset" not in answer.headers:
                time.sleep(0.05)
                status = service.show(image_id)
                if status["size"] is not None:
                    return
            at = int(answer.headers.get("Upload-Offset", at))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(answers) <= {204, 409}
    assert answers.count(204) == 8
    assert imported(service, image_id)["checksum"] == hashlib.md5(data).hexdigest()


def test_the_import_of_parts_moves_no_byte(service: Any) -> None:
    data = os.urandom(MIB)
    image_id = service.create()
    for first in range(0, MIB, MIB // 4):
        assert send(service, image_id, data, first, first + MIB // 4).status_code == 204
    staged = service.data_dir / "staging" / image_id / "data"
    inode = staged.stat().st_ino
    imported(service, image_id)
    (stored,) = [path for path in service.files() if image_id in path.name]
    assert stored.stat().st_ino == inode


@pytest.mark.parametrize("size", [96 * MIB])
def test_memory_does_not_grow_with_a_part(service: Any, size: int) -> None:
    image_id = service.create()
    first = b"\0" * MIB
    line = head(service.port, image_id, 0, size, size)
    for _ in range(8):
        line.sendall(first)
    before = resident(service.process.pid)
    for _ in range(size // MIB - 8):
        line.sendall(first)
    assert b" 204 " in line.recv(1000)
    line.close()
    assert resident(service.process.pid) - before < 24 * MIB


def resident(pid: int) -> int:
    """Return the most that any process of the service has ever had, in bytes."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        pids = [pid, *map(int, children.read().split())]
    peaks = []
    for one in pids:
        with open(f"/proc/{one}/status") as status:
            lines = [line for line in status if line.startswith("VmHWM")]
        peaks.append(int(lines[0].split()[1]) * 1024)
    return max(peaks)
