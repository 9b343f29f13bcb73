# SPDX-License-Identifier: Apache-2.0
"""Packed files of every kind: unpacked bit for bit, with holes, or refused with nothing kept."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Collection
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from glancekit_image_steps.decompression import Decompression

from glancekit.plugin import CHUNK_SIZE, Invalid, LimitExceeded, StagedImage
from glancekit.testing import ImportStepConformance
from glancekit.testing.importing import silent, stage
from glancekit.testing.store import assert_same, sample

MIB = 1 << 20
HOLE = 3 * MIB
DATA = sample(200_005) + bytes(HOLE) + sample(CHUNK_SIZE, seed=1) + bytes(777)

Build = Callable[..., Decompression]


def zipped(data: bytes, *names: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in names or ("disk.raw",):
            archive.writestr(name, data)
    return file.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": cache(gzip.compress),
    "bzip2": cache(bz2.compress),
    "xz": cache(partial(lzma.compress, preset=1)),
    "zstd": cache(partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1})),
    "zip": cache(zipped),
}


@pytest.fixture
def step(build: Build) -> Decompression:
    return build(Decompression)


@pytest.fixture
def staging(tmp_path: Path) -> Callable[..., StagedImage]:
    """Stages bytes, each time in a folder of its own."""
    count = iter(range(1000))

    def staging(data: bytes, **known: Any) -> StagedImage:
        path = tmp_path / "sent"
        path.write_bytes(data)
        return stage(path, tmp_path / f"staging-{next(count)}", **known)

    return staging


@pytest.mark.parametrize("kind", PACK)
class TestConformance(ImportStepConformance):
    """The promises of every step, for each kind of packing."""

    @pytest.fixture
    def step(self, build: Build) -> Decompression:
        return build(Decompression)

    @pytest.fixture
    def staged(self, kind: str, staging: Callable[..., StagedImage]) -> StagedImage:
        return staging(PACK[kind](DATA))

    @pytest.fixture
    def unconcerned(
        self, kind: str, staging: Callable[..., StagedImage]
    ) -> Collection[StagedImage]:
        packed = PACK[kind](DATA)
        return (
            staging(DATA),
            staging(b""),
            staging(packed[:1]),
            staging(packed, container_format="compressed"),
        )

    @pytest.fixture
    def refused(self, kind: str, staging: Callable[..., StagedImage]) -> Collection[StagedImage]:
        packed = PACK[kind](DATA)
        damaged = bytearray(packed)
        damaged[len(damaged) // 2] ^= 0xFF
        nested = [PACK[kind](pack(b"small")) for pack in PACK.values()]
        cut = [packed[:at] for at in (10, len(packed) // 2, len(packed) - 1)]
        more = [] if kind == "zip" else [packed + b"and more"]
        return [staging(data) for data in (*cut, bytes(damaged), *nested, *more)]


@pytest.mark.parametrize("kind", PACK)
def test_what_was_packed_comes_out_with_its_holes(
    step: Decompression, staging: Callable[..., StagedImage], kind: str
) -> None:
    done = step.execute(staging(PACK[kind](DATA)), silent)
    assert_same(done.path.read_bytes(), DATA)
    assert done.path.stat().st_blocks * 512 <= len(DATA) - HOLE + MIB


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_several_streams_one_behind_the_other_are_one_image(
    step: Decompression, staging: Callable[..., StagedImage], kind: str
) -> None:
    """As pigz, pbzip2, ``xz -T`` and ``zstd -T`` write them; padding may follow."""
    parts = [DATA[:MIB], b"", DATA[MIB:]]
    packed = b"".join(PACK[kind](part) for part in parts) + bytes(2 * MIB)
    assert_same(step.execute(staging(packed), silent).path.read_bytes(), DATA)


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("tail", [b"", b"end", sample(3 * CHUNK_SIZE)])
def test_what_packs_very_well_comes_out_whole(
    build: Build, staging: Callable[..., StagedImage], kind: str, tail: bytes
) -> None:
    """Much comes out of few bytes, at every place where a piece of the output may end."""
    data = b"".join(bytes([n]) * (CHUNK_SIZE // 3 + n) for n in range(30)) + tail
    step = build(Decompression, max_ratio=1e9)
    assert_same(step.execute(staging(PACK[kind](data)), silent).path.read_bytes(), data)


@pytest.mark.parametrize("kind", PACK)
def test_an_empty_file_may_be_packed(
    step: Decompression, staging: Callable[..., StagedImage], kind: str
) -> None:
    done = step.execute(staging(PACK[kind](b"")), silent)
    assert (done.image.size, done.path.read_bytes()) == (0, b"")


@pytest.mark.parametrize(
    ("program", "options"),
    [("gzip", ["-c"]), ("bzip2", ["-c"]), ("xz", ["-c", "-T2"]), ("zstd", ["-q", "-c", "-19"])],
)
def test_what_the_usual_programs_pack_is_unpacked(
    step: Decompression,
    staging: Callable[..., StagedImage],
    program: str,
    options: list[str],
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed; on Debian: apt install {program}")
    packed = subprocess.run(
        [program, *options], input=DATA, stdout=subprocess.PIPE, check=True
    ).stdout
    assert_same(step.execute(staging(packed), silent).path.read_bytes(), DATA)


# -- bombs


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_a_bomb_is_refused_before_it_is_large(
    build: Build, staging: Callable[..., StagedImage], kind: str
) -> None:
    """10 GiB of zeros, of many streams: making them takes longer than refusing them."""
    staged = staging(PACK[kind](bytes(16 * MIB)) * 640)
    before = peak()
    with pytest.raises(LimitExceeded, match="max_ratio"):
        build(Decompression, max_ratio=20.0).execute(staged, silent)
    assert [path.name for path in staged.path.parent.iterdir()] == [staged.path.name]
    assert peak() - before < 128 * MIB


def test_nothing_comes_to_be_larger_than_images_may_be(
    build: Build, staging: Callable[..., StagedImage]
) -> None:
    staged = staging(gzip.compress(DATA))
    with pytest.raises(LimitExceeded):
        build(Decompression, cap=len(DATA) - 1).execute(staged, silent)
    assert build(Decompression, cap=len(DATA)).execute(staged, silent).image.size == len(DATA)


def test_memory_that_a_file_asks_for_is_not_given(
    step: Decompression, staging: Callable[..., StagedImage]
) -> None:
    filters = [
        {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}
    ]
    greedy = lzma.compress(b"small", format=lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(Invalid, match="xz"):
        step.execute(staging(greedy), silent)
    window = {
        zstd.CompressionParameter.window_log: 30,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    packer = zstd.ZstdCompressor(options=window)
    greedy = packer.compress(b"small") + packer.flush()
    with pytest.raises(Invalid, match="zstd"):
        step.execute(staging(greedy), silent)


# -- zip


def test_a_zip_file_has_one_member(
    step: Decompression, staging: Callable[..., StagedImage]
) -> None:
    for data in (
        zipped(DATA, "a", "b"),
        zipped(b"", "folder/"),
        zipped(DATA, method=zipfile.ZIP_LZMA),
        zipped(b"", *(f"{n}".zfill(600) for n in range(2000))),
    ):
        with pytest.raises(Invalid, match="zip"):
            step.execute(staging(data), silent)


def test_a_zip_file_s_member_has_no_say_in_where_it_goes(
    step: Decompression, staging: Callable[..., StagedImage], tmp_path: Path
) -> None:
    staged = staging(zipped(DATA, "../../etc/passwd"))
    done = step.execute(staged, silent)
    assert done.path.parent == staged.path.parent
    assert_same(done.path.read_bytes(), DATA)


def test_an_encrypted_zip_file_is_refused_in_words(
    step: Decompression, staging: Callable[..., StagedImage]
) -> None:
    packed = bytearray(zipped(DATA))
    directory = packed.rindex(b"PK\x01\x02")
    for at in (6, directory + 8):
        (flags,) = struct.unpack_from("<H", packed, at)
        struct.pack_into("<H", packed, at, flags | 1)
    with pytest.raises(Invalid, match="encrypted"):
        step.execute(staging(bytes(packed)), silent)
