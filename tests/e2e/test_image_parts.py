# SPDX-License-Identifier: Apache-2.0
"""``glancekit image`` sends large files in parts, over lines that break, to services that die."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from glancekit.cli.image import parts
from glancekit.cli.image.endpoint import Target, connect
from glancekit.cli.image.failures import InConflict, Unreachable
from glancekit.testing.wire import BreakingWire

MIB = 1 << 20
PART = MIB
HEADS = 64 << 10
"""More than the heads of all requests of a test have."""


@pytest.fixture(scope="module")
def service(make_lasting_service: Callable[..., Any]) -> Any:
    service = make_lasting_service()
    service.start()
    return service


def run(url: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    command = [sys.executable, "-m", "glancekit.cli", "image", "--url", url, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=kept)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(os.urandom(10 * MIB + 17))
    return path


def send(url: str, image_id: str, path: Path, told: Callable[[int], None]) -> None:
    with path.open("rb") as source:
        size = path.stat().st_size
        parts.stage(connect(Target(url=url)), image_id, source, size, told, part=PART)


def is_whole(service: Any, image_id: str, path: Path) -> bool:
    staged: Path = service.data_dir / "staging" / image_id / "data"
    return staged.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("seed", range(3))
def test_no_byte_is_sent_twice_beyond_one_part_of_each_cut(
    service: Any, disk: Path, seed: int
) -> None:
    image_id, size, shown = service.create(), disk.stat().st_size, 0

    def told(count: int) -> None:
        nonlocal shown
        shown += count

    chance = random.Random(seed)
    cuts = [chance.randrange(1, 3 * MIB // 2) for _ in range(5)]
    with BreakingWire(service.port, cuts) as wire:
        send(wire.url, image_id, disk, told)
    assert wire.broken == len(cuts)
    assert wire.sent <= size + len(cuts) * PART + HEADS
    assert shown == size
    assert is_whole(service, image_id, disk)


def test_it_waits_for_a_service_that_is_started_again(
    make_service: Callable[..., Any], disk: Path
) -> None:
    service = make_service("")
    service.start()
    image_id = service.create()
    again: list[threading.Thread] = []

    def kill() -> None:
        service.kill()
        again.append(threading.Thread(target=service.start))
        again[-1].start()

    with BreakingWire(service.port, [4 * MIB + 5], at_cut=kill) as wire:
        send(wire.url, image_id, disk, lambda count: None)
    again[0].join()
    assert wire.sent <= disk.stat().st_size + PART + HEADS
    assert is_whole(service, image_id, disk)


def test_the_next_run_goes_on_and_other_data_are_refused(service: Any, disk: Path) -> None:
    image_id = service.create()

    class Gone(Exception):
        pass

    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if done > 3 * MIB + 100:
            raise Gone

    with pytest.raises(Gone):
        send(service.url, image_id, disk, told)
    target = f"{service.url}/v2/images/{image_id}/stage"
    service.wait_for(lambda: requests.get(target, timeout=10).json()["offset"] >= 3 * MIB)
    other = disk.with_name("other")
    other.write_bytes(disk.read_bytes())
    with pytest.raises(InConflict, match="Other data"):
        send(service.url, image_id, other, lambda count: None)
    outcome = run(service.url, "stage", image_id, other)
    assert outcome.returncode == 5, outcome.stderr
    counts: list[int] = []
    send(service.url, image_id, disk, counts.append)
    assert counts[0] >= 3 * MIB
    assert is_whole(service, image_id, disk)


def test_it_gives_up_when_nothing_gets_through(
    service: Any, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "TRIES", 3)
    image_id = service.create()
    with BreakingWire(service.port, [600] * 100) as wire, pytest.raises(Unreachable):
        send(wire.url, image_id, disk, lambda count: None)


def test_stage_and_create_go_in_parts(service: Any, tmp_path: Path) -> None:
    large = tmp_path / "large.raw"
    with large.open("wb") as file:
        file.write(os.urandom(MIB))
        file.truncate(parts.PART + 3 * MIB)
    digest = hashlib.sha512(large.read_bytes()).hexdigest()
    with BreakingWire(service.port, [parts.PART // 2, parts.PART // 4]) as wire:
        made = run(
            wire.url, *("create", "large", "--file", large, "--store", "local", "--progress"),
            *("-f", "value", "-c", "id"),
        )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert wire.broken == 2
    assert "stage" in made.stderr
    shown = service.show(made.stdout.strip())
    assert (shown["status"], shown["os_hash_value"]) == ("active", digest)

    image_id = service.create()
    with BreakingWire(service.port, [MIB]) as wire:
        staged = run(wire.url, "stage", image_id, large)
    assert staged.returncode == 0, staged.stderr
    assert wire.broken == 1
    assert is_whole(service, image_id, large)


def test_where_imports_change_data_files_are_uploaded(
    make_service: Callable[..., Any], tmp_path: Path
) -> None:
    pytest.importorskip("glancekit_image_steps")
    service = make_service(
        "[image_import_opts]\nimage_import_plugins = inject_image_metadata\n"
        "[inject_metadata_properties]\ninject = seen:yes\n"
    )
    service.start()
    large = tmp_path / "large.raw"
    with large.open("wb") as file:
        file.truncate(parts.PART + 1)
    made = run(service.url, "create", "--file", large, "-f", "value", "-c", "id")
    assert made.returncode == 0, made.stderr
    assert "seen" not in service.show(made.stdout.strip())
