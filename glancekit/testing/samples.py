# SPDX-License-Identifier: Apache-2.0
"""Real image files, made by qemu-img and xorriso. A test whose tool is missing is skipped."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

MIB = 1 << 20
SIZE = 4 * MIB
"""How large the disk in a sample is, unless it is said otherwise."""

LUKS_ATTEMPTS = 8
"""How often an encrypted image is tried; on a busy machine about half of the attempts fail."""

PACKAGES = {"qemu-img": "qemu-utils", "xorriso": "xorriso"}
"""The Debian package of each tool."""

_LINUX, _PROTECTIVE = 0x83, 0xEE
_BOOTABLE = 0x80


class Samples:
    """Makes image files in a folder. Each method returns the path of a new file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def raw(self, size: int = SIZE, *, seed: int = 0) -> Path:
        """Bytes that are nothing but themselves."""
        path = self.folder / f"raw-{size}-{seed}.img"
        path.write_bytes(random.Random(seed).randbytes(size))
        return path

    def qcow2(self, size: int = SIZE) -> Path:
        """A QCOW2 image that stands alone."""
        return self._converted("qcow2", size=size)

    def qcow2_with_backing_file(self) -> Path:
        """A QCOW2 image that is an overlay of another file."""
        base = self.qcow2()
        return self._created("qcow2", "overlay", "-b", str(base), "-F", "qcow2")

    def qcow2_with_data_file(self) -> Path:
        """A QCOW2 image whose data is in another file."""
        data = self.folder / "external.raw"
        return self._created("qcow2", "external", "-o", f"data_file={data},data_file_raw=on")

    def vmdk(self, subformat: str = "streamOptimized") -> Path:
        """A VMDK image of some subformat."""
        return self._converted("vmdk", subformat, "-o", f"subformat={subformat}")

    def vmdk_with_path(self, named: str = "/etc/passwd") -> Path:
        """A VMDK image whose descriptor names a file of the host that opens it."""
        path = self.vmdk("monolithicSparse")
        content = path.read_bytes()
        own = f'SPARSE "{path.name}"'.encode()
        if own not in content:
            raise ValueError("this qemu-img writes another descriptor than is known here")
        other = f'SPARSE "{named}"'.encode()
        path.write_bytes(content.replace(own, other.ljust(len(own)), 1))
        return path

    def vhd(self) -> Path:
        """A VHD image, as qemu calls vpc."""
        return self._converted("vpc")

    def vhdx(self) -> Path:
        """A VHDX image."""
        return self._converted("vhdx")

    def vdi(self) -> Path:
        """A VDI image."""
        return self._converted("vdi")

    def qed(self) -> Path:
        """A QED image, a format that nobody should use any more."""
        return self._converted("qed")

    def luks(self) -> Path:
        """An encrypted image."""
        secret = ("--object", "secret,id=key,data=secret")
        fast = "key-secret=key,iter-time=100"  # milliseconds; the default of 2 s is for real keys
        # qemu-img measures how quick this machine is, and gives up where it is interrupted.
        for _ in range(LUKS_ATTEMPTS - 1):
            with suppress(subprocess.CalledProcessError):
                return self._created("luks", "", *secret, "-o", fast)
        return self._created("luks", "", *secret, "-o", fast)

    def iso(self) -> Path:
        """An ISO 9660 image."""
        return self._burned("plain")

    def hybrid_iso(self) -> Path:
        """An ISO 9660 image with a partition table, to be booted from a stick as well."""
        return self._burned("hybrid", "--protective-msdos-label")

    def mbr(self, *, boot_flag: int = _BOOTABLE) -> Path:
        """A raw disk with one partition. A ``boot_flag`` that is neither 0 nor 0x80 is invalid."""
        return self._partitioned(f"mbr-{boot_flag}", boot_flag, _LINUX)

    def gpt(self) -> Path:
        """A raw disk with the protective MBR of a GPT."""
        return self._partitioned("gpt", 0, _PROTECTIVE)

    def _partitioned(self, name: str, boot_flag: int, kind: int) -> Path:
        sector = bytearray(512)
        first, count = 1, SIZE // 512 - 1
        entry = struct.pack("<B3sB3sII", boot_flag, b"\0\2\0", kind, b"\xff" * 3, first, count)
        sector[446 : 446 + len(entry)] = entry
        sector[510:] = b"\x55\xaa"
        path = self.folder / f"{name}.img"
        path.write_bytes(bytes(sector) + bytes(SIZE - 512))
        return path

    def _converted(self, kind: str, name: str = "", *options: str, size: int = SIZE) -> Path:
        path = self.folder / f"{name or kind}.{kind}"
        source = ("-f", "raw", str(self.raw(size)))
        _run("qemu-img", "convert", "-O", kind, *options, *source, str(path))
        return path

    def _created(self, kind: str, name: str, *options: str) -> Path:
        path = self.folder / f"{name or kind}.{kind}"
        size = () if "-b" in options else (str(SIZE),)
        _run("qemu-img", "create", "-q", "-f", kind, *options, str(path), *size)
        return path

    def _burned(self, name: str, *options: str) -> Path:
        content = self.folder / "iso-content"
        content.mkdir(exist_ok=True)
        (content / "README").write_text("a file on a disc\n")
        path = self.folder / f"{name}.iso"
        _run("xorriso", "-as", "mkisofs", "-quiet", *options, "-o", str(path), str(content))
        return path


def _run(tool: str, *arguments: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed; on Debian: apt install {PACKAGES[tool]}")
    subprocess.run([tool, *arguments], check=True, capture_output=True, timeout=60)
