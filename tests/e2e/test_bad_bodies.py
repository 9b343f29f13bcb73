# SPDX-License-Identifier: Apache-2.0
"""Bodies that are cut off, lie or are dangerous: no active image, nothing kept, a clear answer."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20


def assert_nothing_kept_and_second_try_works(service: Any, image_id: str, data: bytes) -> None:
    service.wait_for(lambda: service.status(image_id) == "queued")
    assert service.files() == []
    answer = service.upload(image_id, data)
    assert answer.status_code == 204, answer.text
    assert service.download(image_id) == data


HEAD = "PUT /v2/images/{id}/file HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ("Content-Length: 4194304", b"x" * MIB),
        ("Transfer-Encoding: chunked", b"100000\r\n" + b"x" * MIB + b"\r\n"),
        ("Transfer-Encoding: chunked", b"100000\r\n" + b"x" * 1000),
        ("Transfer-Encoding: chunked", b"10"),
    ],
    ids=["content-length", "between-chunks", "inside-a-chunk", "inside-a-chunk-size"],
)
def test_a_body_cut_off_midway_never_makes_an_active_image(
    service: Any, framing: str, body: bytes
) -> None:
    image_id = service.create()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as line:
        line.sendall(f"{HEAD.format(id=image_id)}{framing}\r\n\r\n".encode() + body)
        service.wait_for(lambda: service.status(image_id) == "saving")
    assert_nothing_kept_and_second_try_works(service, image_id, b"second")


def test_a_declared_size_that_is_wrong_is_refused(service: Any) -> None:
    image_id = service.create()
    for declared in ("3", "5"):
        answer = service.upload(image_id, b"four", **{"x-openstack-image-size": declared})
        assert answer.status_code == 400
        assert "size" in answer.text
    assert_nothing_kept_and_second_try_works(service, image_id, b"four")


def qemu_img(*arguments: str | Path, cwd: Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], cwd=cwd, check=True, capture_output=True)


def dangerous(kind: str, folder: Path) -> Path:
    """Make a file that would have its opener read other files of the host."""
    base = folder / "base.raw"
    base.write_bytes(os.urandom(MIB))
    if kind == "backing":
        qemu_img("create", "-f", "qcow2", "-b", base, "-F", "raw", "bad", cwd=folder)
    elif kind == "data_file":
        option = f"data_file={folder / 'outside.raw'}"
        qemu_img("create", "-f", "qcow2", "-o", option, "bad", "1M", cwd=folder)
    else:
        qemu_img("create", "-f", "vmdk", "-o", "subformat=monolithicFlat", "bad", "1M", cwd=folder)
    return folder / "bad"


@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        ("backing", "qcow2"),
        ("backing", "raw"),
        ("data_file", "qcow2"),
        ("data_file", "raw"),
        ("flat", "vmdk"),
    ],
)
def test_a_file_that_points_to_others_is_refused(
    service: Any, tmp_path: Path, kind: str, declared: str
) -> None:
    bad = dangerous(kind, tmp_path).read_bytes()
    good = tmp_path / "good"
    qemu_img("create", "-f", declared, good, "1M", cwd=tmp_path)
    image_id = service.create(declared)
    answer = service.upload(image_id, bad)
    assert answer.status_code == 415, answer.text
    assert_nothing_kept_and_second_try_works(service, image_id, good.read_bytes())


@pytest.mark.parametrize("declared", ["qcow2", "vmdk", "vhdx", "vdi", "iso"])
def test_a_file_that_is_not_what_it_says_is_refused(service: Any, declared: str) -> None:
    image_id = service.create(declared)
    answer = service.upload(image_id, b"plain text" * 100_000)
    assert answer.status_code == 415, answer.text
    assert declared in answer.text
    assert service.status(image_id) == "queued"
    assert service.files() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"needs root to mount a small tmpfs: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("known", [True, False], ids=["known-size", "unknown-size"])
def test_a_full_disk_is_a_413_and_keeps_nothing(
    make_service: Callable[..., Any], small_disk: Path, known: bool
) -> None:
    service = make_service(
        "[local]\nfilesystem_store_free_reserve = 0\n"
        f"filesystem_store_datadir = {small_disk}/images\n"
    )
    service.start()
    image_id = service.create()
    data = b"x" * (32 * MIB)
    body: Any = data if known else iter([data[i : i + MIB] for i in range(0, len(data), MIB)])
    answer = service.upload(image_id, body)
    assert answer.status_code == 413, answer.text
    assert service.status(image_id) == "queued"
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    assert service.upload(image_id, b"small").status_code == 204
