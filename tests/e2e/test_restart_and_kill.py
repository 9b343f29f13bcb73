# SPDX-License-Identifier: Apache-2.0
"""What survives a stop, a power cut, a killed worker: all that was acknowledged, nothing else."""

from __future__ import annotations

import os
import signal
import socket
import time
from functools import partial
from typing import Any

import pytest
import requests

MIB = 1 << 20


def begin_upload(port: int, image_id: str, *, total: int, sent: int) -> socket.socket:
    """Send the head of an upload and so many of its bytes, and keep the line open."""
    line = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = (
        f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {total}\r\n\r\n"
    )
    line.sendall(head.encode() + os.urandom(sent))
    return line


def workers_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


def test_a_restart_loses_nothing(service: Any) -> None:
    data = os.urandom(3 * MIB)
    image_id = service.create(name="kept", tags=["a"], colour="blue")
    assert service.upload(image_id, data).status_code == 204
    before = service.show(image_id)
    service.stop()
    service.start()
    assert service.show(image_id) == before
    assert before["status"] == "active"
    assert service.download(image_id) == data


@pytest.mark.parametrize("sent", [0, 1, MIB, 8 * MIB])
def test_a_power_cut_during_an_upload_leaves_the_image_queued_and_no_byte(
    service: Any, sent: int
) -> None:
    image_id = service.create()
    line = begin_upload(service.port, image_id, total=16 * MIB, sent=sent)
    service.wait_for(lambda: service.status(image_id) == "saving")
    if sent:
        service.wait_for(lambda: bool(service.files()))
    service.kill()
    line.close()
    service.start()
    service.wait_for(lambda: service.status(image_id) == "queued")
    service.wait_for(lambda: service.files() == [])
    assert service.upload(image_id, b"again").status_code == 204


def test_a_killed_worker_is_replaced_and_its_upload_undone(service: Any) -> None:
    image_id = service.create()
    line = begin_upload(service.port, image_id, total=16 * MIB, sent=MIB)
    service.wait_for(lambda: service.status(image_id) == "saving")
    for worker in workers_of(service.process.pid):
        os.kill(worker, signal.SIGKILL)
    line.close()
    service.wait_for(lambda: service.status(image_id) == "queued")
    service.wait_for(lambda: service.files() == [])


def _is_settled(service: Any, image_id: str) -> bool:
    return service.status(image_id) in ("queued", "active")


@pytest.mark.timeout(400)  # the service is started eleven times
def test_kills_at_random_moments_of_a_whole_upload_never_leave_half_an_image(
    service: Any,
) -> None:
    """From before the first byte until after the commit: ten cuts over one upload's time."""
    data = os.urandom(12 * MIB)
    probe = service.create()
    began = time.monotonic()
    assert service.upload(probe, data).status_code == 204
    whole = time.monotonic() - began
    for cut in range(10):
        image_id = service.create()
        line = begin_upload(service.port, image_id, total=len(data), sent=0)
        line.setblocking(False)
        until = time.monotonic() + whole * cut / 8
        rest = memoryview(data)
        while time.monotonic() < until and rest:
            try:
                rest = rest[line.send(rest[:65536]) :]
            except BlockingIOError:
                time.sleep(0.001)
        service.kill()
        line.close()
        service.start()
        service.wait_for(partial(_is_settled, service, image_id))
        if service.status(image_id) == "active":
            assert service.download(image_id) == data
    actives = requests.get(f"{service.url}/v2/images?status=active", timeout=30).json()["images"]
    service.wait_for(lambda: len(service.files()) == len(actives))


def test_a_stop_lets_an_upload_end(service: Any) -> None:
    data = os.urandom(4 * MIB)
    image_id = service.create()
    line = begin_upload(service.port, image_id, total=len(data), sent=0)
    line.sendall(data[:MIB])
    service.wait_for(lambda: service.status(image_id) == "saving")
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    line.sendall(data[MIB:])
    assert line.recv(64).startswith(b"HTTP/1.1 204")
    line.close()
    service.process.wait(30)
    service.process = None
    service.start()
    assert service.status(image_id) == "active"


def test_ctrl_c_is_told_to_every_process_and_ends_them_without_noise(service: Any) -> None:
    """As a terminal does it, which tells master and workers; the master tells them, too."""
    service.create()
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.process.wait(30) == 0
    service.process = None
    for noise in ("Traceback", "eventlet", "Eventlet"):
        assert noise not in service.log
