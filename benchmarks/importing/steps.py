# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.importing.steps``: unpacking and converting beside the usual programs.

Each result is on the disk when its time ends, by fsync on both sides. The rounds alternate, so
that a busy moment of the machine hits both.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from glancekit_image_steps.conversion import Conversion
from glancekit_image_steps.decompression import Decompression

from benchmarks.report import Row, table
from glancekit.plugin import Identity, Image, ImportStep, StagedImage

MIB = 1 << 20
AIM = 1.15
"""Times as long as the program alone."""

CALLER = Identity(user_id="u", project_id="p")


def main() -> int:
    """Measure and print; 1 when an aim was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.importing.steps", description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the disk (2048)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (3)")
    parser.add_argument("--folder", help="where to work; it should be on a real disk")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="glancekit-bench-", dir=chosen.folder) as folder:
        rows = list(run(Path(folder), size=chosen.size << 20, rounds=chosen.rounds))
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def run(folder: Path, *, size: int, rounds: int) -> Iterator[Row]:
    """Measure each packing, and conversion both ways."""
    disk = folder / "disk.raw"
    make_disk(disk, size)
    for program in ("zstd", "gzip", "xz"):
        if shutil.which(program) is None:
            print(f"no {program} here", file=sys.stderr)
            continue
        packed = folder / f"packed.{program}"
        with packed.open("wb") as file:
            fast = [program, "-c", "-1", "-T2"] if program != "gzip" else [program, "-c", "-1"]
            subprocess.run([*fast, disk], stdout=file, check=True)
        step = build(Decompression)
        yield compare(f"unpack {program}", step, packed, "raw", by(program, "-d", "-c"), rounds)
        packed.unlink()
    yield from conversions(folder, disk, rounds)


def conversions(folder: Path, disk: Path, rounds: int) -> Iterator[Row]:
    """Measure qcow2 to raw and back."""
    qcow2 = folder / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, qcow2], check=True)
    for given, source, wanted in (("qcow2", qcow2, "raw"), ("raw", disk, "qcow2")):
        step = build(Conversion, output_format=wanted)
        convert = converter(given, wanted)
        yield compare(f"convert {given} to {wanted}", step, source, given, convert, rounds)


def make_disk(path: Path, size: int, *, holes: int = 40) -> None:
    """Write a disk like those that people make: some holes, some text, some that nothing packs.

    :param holes: how many per cent of it, in tens.
    """
    chance = random.Random(1)
    noise = chance.randbytes(MIB)
    text = noise.hex().encode()[:MIB]
    with path.open("wb") as file:
        for at in range(0, size, MIB):
            kind = (at // MIB) % 10
            if kind < holes // 10:
                continue
            block = text if kind < 7 else noise
            turn = chance.randrange(MIB)
            file.seek(at)
            file.write(block[turn:] + block[:turn])
        file.truncate(size)
    os.sync()


def compare(
    what: str,
    step: ImportStep,
    source: Path,
    disk_format: str,
    program: Callable[[Path, Path], None],
    rounds: int,
) -> Row:
    """Measure a step beside a program that makes the same of the same file."""
    ours: list[float] = []
    theirs: list[float] = []
    out = source.with_name("by-program")
    image = Image(id="i", owner="p", disk_format=disk_format, container_format="bare")
    staged = StagedImage(image=image, path=source, caller=CALLER)
    for _ in range(rounds):
        theirs.append(timed(lambda: program(source, out)))
        out.unlink()
        ours.append(timed(lambda: step.execute(staged, lambda done, total: None)))
        step.revert(staged)
    mine, floor = statistics.median(ours), statistics.median(theirs)
    ratio = mine / floor
    return Row(
        what=what,
        measured=f"{mine:.2f} s",
        beside=f"{floor:.2f} s",
        ratio=ratio,
        aim=f"<= {AIM}",
        reached=ratio <= AIM,
    )


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def by(*command: str) -> Callable[[Path, Path], None]:
    """Return what a person would type, with the result on the disk."""

    def run_it(source: Path, out: Path) -> None:
        with out.open("wb") as file:
            subprocess.run([*command, str(source)], stdout=file, check=True)
            os.fsync(file.fileno())

    return run_it


def converter(given: str, wanted: str) -> Callable[[Path, Path], None]:
    """Return the conversion that a person would type, with the result on the disk."""

    def run_it(source: Path, out: Path) -> None:
        command = ["qemu-img", "convert", "-f", given, "-O", wanted, str(source), str(out)]
        subprocess.run(command, check=True)
        with out.open("rb") as file:
            os.fsync(file.fileno())

    return run_it


def build(kind: Any, **given: Any) -> ImportStep:
    """Build a step with its defaults."""
    defaults = {option.dest: option.default for option in kind.options}
    shared = {
        "DEFAULT": SimpleNamespace(image_size_cap=1 << 40, hashing_algorithm="sha512"),
        "image_format": SimpleNamespace(
            vmdk_allowed_types=["streamOptimized"], gpt_safety_checks_nonfatal=[]
        ),
    }
    step: ImportStep = kind(SimpleNamespace(**defaults | given | shared), name="step")
    return step


if __name__ == "__main__":
    sys.exit(main())
