# SPDX-License-Identifier: Apache-2.0
"""Real disk images through the real qemu-img, and such as lead elsewhere, lie or are damaged."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from glancekit_image_steps import child
from glancekit_image_steps.conversion import Conversion

from glancekit.plugin import (
    Invalid,
    LimitExceeded,
    StagedImage,
    UnacceptableFormat,
)
from glancekit.testing import ImportStepConformance
from glancekit.testing.importing import silent, stage
from glancekit.testing.samples import Samples
from glancekit.testing.store import assert_same

if shutil.which("qemu-img") is None:
    pytest.skip(
        "qemu-img is not installed; on Debian: apt install qemu-utils", allow_module_level=True
    )

MIB = 1 << 20

Build = Callable[..., Conversion]
Make = Callable[[Samples], Path]

FORMATS: dict[str, Make] = {
    "raw": Samples.raw,
    "qcow2": Samples.qcow2,
    "vmdk": Samples.vmdk,
    "vhd": Samples.vhd,
    "vhdx": Samples.vhdx,
    "vdi": Samples.vdi,
}


@pytest.fixture
def staging(tmp_path: Path) -> Callable[..., StagedImage]:
    """Stages files, each time in a folder of its own."""
    count = iter(range(1000))

    def staging(path: Path, disk_format: str, **known: Any) -> StagedImage:
        folder = tmp_path / f"staging-{next(count)}"
        return stage(path, folder, disk_format=disk_format, **known)

    return staging


def info(path: Path, disk_format: str) -> dict[str, Any]:
    done = subprocess.run(
        ["qemu-img", "info", "-f", disk_format, "--output=json", path],
        capture_output=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


class TestConformance(ImportStepConformance):
    """The promises of every step."""

    @pytest.fixture
    def step(self, build: Build) -> Conversion:
        return build(Conversion)

    @pytest.fixture
    def staged(self, samples: Samples, staging: Callable[..., StagedImage]) -> StagedImage:
        return staging(samples.qcow2(), "qcow2")

    @pytest.fixture
    def unconcerned(
        self, samples: Samples, staging: Callable[..., StagedImage]
    ) -> Collection[StagedImage]:
        raw, qcow2 = samples.raw(), samples.qcow2()
        return (
            staging(raw, "raw"),
            staging(raw, "aki"),
            staging(samples.iso(), "iso"),
            staging(qcow2, "qcow2", container_format="compressed"),
            staging(qcow2, "qcow2", container_format="ova"),
        )

    @pytest.fixture
    def refused(
        self, samples: Samples, staging: Callable[..., StagedImage]
    ) -> Collection[StagedImage]:
        hostile = [
            (samples.qcow2_with_backing_file(), "qcow2"),
            (samples.qcow2_with_data_file(), "qcow2"),
            (samples.vmdk_with_path(), "vmdk"),
            (samples.vmdk("monolithicFlat"), "vmdk"),
            (samples.raw(), "qcow2"),
            (samples.iso(), "qcow2"),
            (samples.qed(), "qcow2"),
        ]
        return [staging(path, disk_format) for path, disk_format in hostile]


@pytest.mark.parametrize("disk_format", [name for name in FORMATS if name != "raw"])
def test_a_disk_comes_out_raw_bit_for_bit(
    build: Build, samples: Samples, staging: Callable[..., StagedImage], disk_format: str
) -> None:
    path = FORMATS[disk_format](samples)
    content = samples.raw().read_bytes()
    done = build(Conversion).execute(staging(path, disk_format), silent)
    came = done.path.read_bytes()
    assert_same(came[: len(content)], content)
    assert not any(came[len(content) :])  # vhd rounds up to cylinders
    image = done.image
    assert (image.disk_format, image.container_format) == ("raw", "bare")
    assert image.virtual_size == image.size == len(came)
    assert done.digests == {
        name: hashlib.new(name, came).hexdigest() for name in ("md5", "sha512")
    }


@pytest.mark.parametrize("output", ["qcow2", "vmdk"])
@pytest.mark.parametrize("disk_format", ["raw", "qcow2", "vmdk"])
def test_a_disk_comes_out_in_the_operator_s_format(
    build: Build,
    samples: Samples,
    staging: Callable[..., StagedImage],
    disk_format: str,
    output: str,
) -> None:
    step = build(Conversion, output_format=output)
    staged = staging(FORMATS[disk_format](samples), disk_format)
    assert step.applies_to(staged) is (disk_format != output)
    if disk_format == output:
        return
    done = step.execute(staged, silent)
    assert done.image.disk_format == info(done.path, output)["format"] == output
    assert done.image.virtual_size == len(samples.raw().read_bytes())
    back = build(Conversion).execute(done, silent)
    assert_same(back.path.read_bytes(), samples.raw().read_bytes())


def test_a_disk_with_a_partition_table_is_raw(
    build: Build, samples: Samples, staging: Callable[..., StagedImage]
) -> None:
    step = build(Conversion, output_format="qcow2")
    assert step.execute(staging(samples.gpt(), "raw"), silent).image.disk_format == "qcow2"


def test_holes_stay_holes(
    build: Build, samples: Samples, staging: Callable[..., StagedImage]
) -> None:
    path = samples.folder / "sparse.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1G"]
    subprocess.run(command, check=True)
    done = build(Conversion).execute(staging(path, "qcow2"), silent)
    assert done.image.size == 1 << 30
    assert done.path.stat().st_blocks * 512 < 8 * MIB


def test_progress_is_told_in_bytes_of_the_disk(
    build: Build, samples: Samples, staging: Callable[..., StagedImage]
) -> None:
    path = samples.qcow2(64 * MIB)
    told: list[tuple[int, int | None]] = []
    build(Conversion).execute(
        staging(path, "qcow2"), lambda done, total: told.append((done, total))
    )
    assert told[-1] == (64 * MIB, 64 * MIB)


# -- what is refused

HOSTILE: dict[str, tuple[str, Make, str]] = {
    "backing file": ("qcow2", Samples.qcow2_with_backing_file, "backing"),
    "external data file": ("qcow2", Samples.qcow2_with_data_file, "data"),
    "path in an extent": ("vmdk", Samples.vmdk_with_path, "extent|path|descriptor"),
    "qed": ("qcow2", Samples.qed, "qed"),
    "qcow2 said to be raw": ("raw", Samples.qcow2, "qcow2"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_leads_to_another(
    build: Build, samples: Samples, staging: Callable[..., StagedImage], name: str
) -> None:
    disk_format, make, words = HOSTILE[name]
    output = "qcow2" if disk_format == "raw" else "raw"
    staged = staging(make(samples), disk_format)
    with pytest.raises(UnacceptableFormat, match=f"(?i){words}"):
        build(Conversion, output_format=output).execute(staged, silent)
    assert list(staged.path.parent.iterdir()) == [staged.path]


def patched(path: Path, offset: int, layout: str, value: int) -> Path:
    """Write a big-endian number into the head of a copy."""
    copy = path.with_name(f"patched-{path.name}")
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, offset, value)
    copy.write_bytes(content)
    return copy


L1_SIZE, L1_OFFSET, REFCOUNT_OFFSET, REFCOUNT_CLUSTERS, SNAPSHOTS = 36, 40, 48, 56, 60
ABSURD = {
    "cluster bits": (20, ">I", 62),
    "disk size": (24, ">Q", (1 << 64) - 512),
    "table size": (L1_SIZE, ">I", 0xFFFFFFFF),
    "table offset": (L1_OFFSET, ">Q", 1 << 62),
    "refcount offset": (REFCOUNT_OFFSET, ">Q", 1 << 60),
    "refcount clusters": (REFCOUNT_CLUSTERS, ">I", 0xFFFFFFFF),
    "snapshots": (SNAPSHOTS, ">I", 0xFFFFFFFF),
    "unknown features": (72, ">Q", 1 << 62),
}


@pytest.mark.parametrize("what", ABSURD)
def test_absurd_tables_are_refused(
    build: Build, samples: Samples, staging: Callable[..., StagedImage], what: str
) -> None:
    staged = staging(patched(samples.qcow2(), *ABSURD[what]), "qcow2")
    with pytest.raises((Invalid, LimitExceeded)):
        build(Conversion).execute(staged, silent)
    assert list(staged.path.parent.iterdir()) == [staged.path]


@pytest.mark.parametrize("disk_format", [name for name in FORMATS if name != "raw"])
@pytest.mark.parametrize("at", [0, 3, 511, 700, 4096, 400_000, -1_000_000, -200_000])
def test_truncated_files_are_refused_unless_nothing_of_the_disk_is_missing(
    build: Build,
    samples: Samples,
    staging: Callable[..., StagedImage],
    disk_format: str,
    at: int,
) -> None:
    """What of a disk is not in the file would be zeros to qemu-img for most formats."""
    path = FORMATS[disk_format](samples)
    path.write_bytes(path.read_bytes()[:at])
    staged = staging(path, disk_format)
    try:
        done = build(Conversion).execute(staged, silent)
    except (Invalid, LimitExceeded):
        assert list(staged.path.parent.iterdir()) == [staged.path]
    else:
        disk = samples.raw().read_bytes()
        assert_same(done.path.read_bytes()[: len(disk)], disk)


def test_a_disk_that_is_larger_than_images_may_be_is_refused(
    build: Build, samples: Samples, staging: Callable[..., StagedImage]
) -> None:
    staged = staging(samples.qcow2(), "qcow2")
    with pytest.raises(LimitExceeded):
        build(Conversion, cap=4 * MIB - 1).execute(staged, silent)
    assert build(Conversion, cap=4 * MIB).execute(staged, silent).image.size == 4 * MIB


# -- the program's bounds


def python(code: str, limits: child.Limits, hear: Callable[[bytes], object] = len) -> bytes:
    return child.run([sys.executable, "-c", code], limits, hear)


MOST = 20 * MIB
WIDE = child.Limits(memory=4 << 30, cpu=60, clock=60.0, file_size=MOST)


def test_a_program_has_no_network_where_that_can_be() -> None:
    said = python("import os; print(os.stat('/proc/self/ns/net').st_ino)", WIDE).decode()
    own = os.stat("/proc/self/ns/net").st_ino
    if "unshare" not in child._fence():
        pytest.skip("this system lets nobody make an empty network")
    assert said.strip() != str(own)


def test_a_program_has_the_memory_that_it_is_given() -> None:
    with pytest.raises(child.ProgramFailed, match=r"Traceback|memory"):
        python("bytearray(1 << 30)", child.Limits(memory=512 * MIB, cpu=60, clock=60.0))


def test_a_program_has_the_time_that_it_is_given() -> None:
    with pytest.raises(child.ProgramFailed, match="signal"):
        python("while True: pass", child.Limits(memory=4 << 30, cpu=1, clock=60.0))
    with pytest.raises(child.ProgramFailed, match="within"):
        python("import time; time.sleep(60)", child.Limits(memory=4 << 30, cpu=60, clock=0.5))


def test_a_program_writes_no_larger_files_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with pytest.raises(child.ProgramFailed):
        python(f"open({str(path)!r}, 'wb').write(bytes({2 * MOST}))", WIDE)
    assert path.stat().st_size <= MOST


def test_a_program_ends_when_nobody_waits_for_it_any_more() -> None:
    pids: list[int] = []

    def hear(said: bytes) -> None:
        pids.extend(int(line) for line in said.split())
        if pids:
            raise KeyboardInterrupt

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        python(code, WIDE, hear)
    assert not alive(pids[0])


def test_a_program_ends_with_the_process_that_started_it() -> None:
    inner = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    outer = (
        "import sys; from glancekit_image_steps import child\n"
        f"child.run([sys.executable, '-c', {inner!r}],\n"
        "  child.Limits(memory=4 << 30, cpu=60, clock=60.0),\n"
        "  lambda said: print(said.decode(), flush=True) if said else None)"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    for _ in range(200):
        if not alive(pid):
            return
        time.sleep(0.05)
    pytest.fail("it goes on for nobody")


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_memory_is_flat(
    build: Build, samples: Samples, staging: Callable[..., StagedImage]
) -> None:
    path = samples.qcow2(200 * MIB)
    staged = staging(path, "qcow2")
    path.unlink()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    build(Conversion).execute(staged, silent)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
