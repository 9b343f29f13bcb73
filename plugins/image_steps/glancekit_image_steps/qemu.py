# SPDX-License-Identifier: Apache-2.0
"""qemu-img: asked what a file is and told to convert it, its format always given, never guessed.

What formats an image may have is not its business.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from glancekit.plugin import ConfigError, Invalid, Unavailable
from glancekit_image_steps.child import Limits, ProgramFailed, run
from glancekit_image_steps.receiving import receiving

NAMES: Mapping[str, str] = {
    "raw": "raw",
    "qcow2": "qcow2",
    "vmdk": "vmdk",
    "vdi": "vdi",
    "vhd": "vpc",
    "vhdx": "vhdx",
}
"""What disk formats are called by qemu-img."""

_INFO_SECONDS = 10
"""To look at a head. Upstream gives 2, which a busy machine may take to start the program."""

_LEAKS, _CANNOT = 3, 63
_NOTHING_WRONG = (0, _LEAKS, _CANNOT)
"""What ``qemu-img check`` ends with where no data is lost: leaks waste room, and some formats have
nothing to check."""

_VDI_HEAD = struct.Struct("<344xI28xI8xI")
"""Of a VDI file's head: where its data begins, how large a block is, how many it has. ``qemu-img
check`` does not hold that against the file's size."""

_PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")


class QemuImg:
    """The program, bounded."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def info(self, path: Path, disk_format: str) -> Mapping[str, Any]:
        """Return what it says of a file as JSON.

        :raises Invalid: when it cannot read it as what it is said to be.
        """
        bounds = replace(
            self._limits, cpu=_INFO_SECONDS, clock=_INFO_SECONDS * 3.0, file_size=None
        )
        kind = NAMES[disk_format]
        said = self._run(
            ["info", "-f", kind, "--output=json", str(path)], bounds, lambda piece: None, (path,)
        )
        found: Mapping[str, Any] = json.loads(said)
        return found

    def check(self, path: Path, disk_format: str) -> None:
        """Insist that all is there that its tables speak of: converting would make zeros of it.

        :raises Invalid: when something is missing or wrong.
        """
        if disk_format == "vdi":
            _require_whole_vdi(path)
        command = ["check", "-f", NAMES[disk_format], str(path)]
        self._run(command, self._limits, lambda piece: None, (path,), fine=_NOTHING_WRONG)

    def convert(
        self,
        source: Path,
        target: Path,
        formats: tuple[str, str],
        *,
        most: int,
        percent: Callable[[float], object],
    ) -> None:
        """Write ``source`` as ``target``, from one format to another, holes kept.

        :param most: bytes that the target may have.
        :param percent: told how far it is, also when that has not changed.
        """
        first, second = (NAMES[name] for name in formats)
        command = ["convert", "-p", "-f", first, "-O", second, str(source), str(target)]
        bounds = replace(self._limits, file_size=most)
        self._run(command, bounds, _hearing(percent), (source, target))

    def convert_to_raw(
        self,
        source: Path,
        target: Path,
        disk_format: str,
        *,
        size: int,
        algorithms: Collection[str],
        percent: Callable[[float], object],
    ) -> Mapping[str, str]:
        """Write the disk in ``source``, of so many bytes, as a raw file, holes kept.

        qemu-img writes in the order of the disk unless it is told otherwise (``-W``), so that the
        digests are known along with the file.

        :return: the digests by algorithm, or none if it did not keep that order.
        """
        with receiving(target, size, algorithms, lambda: percent(100.0)) as (disk, line):
            to = f"driver=raw,file.driver=nbd,file.server.type=fd,file.server.str={line}"
            command = ["convert", "-p", "-n", "--target-is-zero", "-f", NAMES[disk_format]]
            command += ["--target-image-opts", str(source), to]
            self._run(command, self._limits, _hearing(percent), (source,), lent=(line,))
        return disk.digests

    def _run(
        self,
        command: list[str],
        limits: Limits,
        hear: Callable[[bytes], object],
        paths: tuple[Path, ...],
        *,
        fine: Collection[int] = (0,),
        lent: Collection[int] = (),
    ) -> bytes:
        program = shutil.which("qemu-img")
        if program is None:
            raise ConfigError("qemu-img cannot be found; install the package qemu-utils")
        try:
            return run([program, *command], limits, hear, fine=fine, lent=lent)
        except ProgramFailed as error:
            if os.strerror(errno.ENOSPC) in str(error):
                raise Unavailable("there is no room left where images are staged") from error
            raise Invalid(f"qemu-img cannot read the image: {_without(paths, error)}") from error


def _hearing(percent: Callable[[float], object]) -> Callable[[bytes], object]:
    """Return what hears qemu-img tell how far it is."""
    so_far = 0.0

    def hear(piece: bytes) -> None:
        nonlocal so_far
        found = _PERCENT.findall(piece)
        so_far = float(found[-1]) if found else so_far
        percent(so_far)

    return hear


def _without(paths: tuple[Path, ...], error: ProgramFailed) -> str:
    """Return a message in which nobody learns where this service keeps its files."""
    text = str(error)
    for path in sorted(map(str, paths), key=len, reverse=True):
        text = text.replace(path, "the image")
    return text.replace("qemu-img: ", "")


def _require_whole_vdi(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(_VDI_HEAD.size)
    if len(head) == _VDI_HEAD.size:
        start, block, count = _VDI_HEAD.unpack(head)
        if start + block * count <= path.stat().st_size:
            return
    raise Invalid("the image is shorter than its tables say; it was cut off")
