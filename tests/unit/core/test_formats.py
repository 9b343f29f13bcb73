# SPDX-License-Identifier: Apache-2.0
"""What is inside an image, on files that qemu-img and xorriso made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glancekit.core.errors import UnacceptableFormat
from glancekit.core.formats import FormatInspection, Verdict
from glancekit.testing.samples import SIZE, Samples

Make = Callable[[Samples], Path]


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return Samples(tmp_path)


def inspect(
    data: Path | bytes,
    disk_format: str | None,
    container_format: str = "bare",
    *,
    piece: int = 1 << 20,
    **options: Any,
) -> Verdict:
    content = data.read_bytes() if isinstance(data, Path) else data
    inspection = FormatInspection(disk_format, container_format, **options)
    for start in range(0, len(content), piece):
        inspection.feed(content[start : start + piece])
    return inspection.finish(len(content))


GOOD: list[tuple[str, Make]] = [
    ("qcow2", Samples.qcow2),
    ("vmdk", Samples.vmdk),
    ("vmdk", lambda samples: samples.vmdk("monolithicSparse")),
    ("vhd", Samples.vhd),
    ("vhdx", Samples.vhdx),
    ("vdi", Samples.vdi),
    ("iso", Samples.iso),
    ("iso", Samples.hybrid_iso),
    ("raw", Samples.raw),
]


@pytest.mark.parametrize(("kind", "make"), GOOD)
@pytest.mark.parametrize("piece", [1 << 20, 65_536, 4_097])
def test_what_is_declared_rightly_is_accepted(
    samples: Samples, kind: str, make: Make, piece: int
) -> None:
    verdict = inspect(make(samples), kind, piece=piece)
    assert verdict.detected_format == kind


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx", "vdi"])
def test_the_virtual_size_is_the_disk_s(samples: Samples, kind: str) -> None:
    assert inspect(getattr(samples, kind)(), kind).virtual_size == SIZE


def test_a_raw_image_is_as_large_as_its_bytes(samples: Samples) -> None:
    assert inspect(samples.raw(12_345), "raw") == Verdict("raw", 12_345)
    assert inspect(samples.gpt(), "raw") == Verdict("gpt", SIZE)
    assert inspect(samples.mbr(), "raw") == Verdict("gpt", SIZE)
    assert inspect(samples.qcow2(), "raw").virtual_size == samples.qcow2().stat().st_size


def test_no_bytes_are_an_image_without_a_size() -> None:
    assert inspect(b"", "raw") == Verdict("raw", None)


def test_no_bytes_are_no_qcow2() -> None:
    with pytest.raises(UnacceptableFormat):
        inspect(b"", "qcow2")


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (Samples.qcow2_with_backing_file, "backing_file"),
        (Samples.qcow2_with_data_file, "data_file"),
        (Samples.vmdk_with_path, "descriptor"),
        (Samples.qed, "banned"),
        (lambda samples: samples.mbr(boot_flag=0x33), "mbr"),
    ],
)
@pytest.mark.parametrize("declared", ["itself", "raw"])
def test_what_is_not_safe_is_refused_whatever_is_declared(
    samples: Samples, make: Make, check: str, declared: str
) -> None:
    path = make(samples)
    kind = {".img": "raw"}.get(path.suffix, path.suffix[1:]) if declared == "itself" else "raw"
    with pytest.raises(UnacceptableFormat) as refused:
        inspect(path, kind)
    assert check in refused.value.checks


def test_a_qcow2_header_in_less_than_a_sector_is_still_one(samples: Samples) -> None:
    overlay = samples.qcow2_with_backing_file().read_bytes()
    with pytest.raises(UnacceptableFormat) as refused:
        inspect(overlay[:200], "raw")
    assert refused.value.detected == "qcow2"


def test_a_mismatch_is_refused_at_the_first_chunk(samples: Samples) -> None:
    inspection = FormatInspection("qcow2", "bare")
    with pytest.raises(UnacceptableFormat) as refused:
        inspection.feed(samples.raw(1 << 20).read_bytes())
    assert (refused.value.declared, refused.value.detected) == ("qcow2", "raw")


@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse"])
def test_a_vmdk_that_needs_other_files_is_no_vmdk_for_us(samples: Samples, subformat: str) -> None:
    with pytest.raises(UnacceptableFormat):
        inspect(samples.vmdk(subformat), "vmdk")


def test_an_operator_may_allow_fewer_types_of_vmdk(samples: Samples) -> None:
    path = samples.vmdk("monolithicSparse")
    with pytest.raises(UnacceptableFormat) as refused:
        inspect(path, "vmdk", vmdk_allowed_types=("streamOptimized",))
    assert "monolithicSparse" in str(refused.value)


def test_a_match_can_be_left_to_the_operator_s_trust(samples: Samples) -> None:
    assert inspect(samples.raw(), "qcow2", require_match=False) == Verdict("raw", None)
    with pytest.raises(UnacceptableFormat):  # safety is never left
        inspect(samples.qcow2_with_backing_file(), "vmdk", require_match=False)


def test_a_format_without_marks_holds_anything_raw(samples: Samples) -> None:
    assert inspect(samples.raw(), "ploop").detected_format == "raw"
    with pytest.raises(UnacceptableFormat):
        inspect(samples.qcow2(), "ploop")


def test_kernels_may_carry_a_boot_sector_s_signature(samples: Samples) -> None:
    kernel = samples.mbr(boot_flag=0x33)
    assert inspect(kernel, "aki").detected_format == "gpt"
    assert inspect(kernel, "ari").detected_format == "gpt"


def test_an_operator_may_tolerate_strange_partition_tables(samples: Samples) -> None:
    path = samples.mbr(boot_flag=0x33)
    assert inspect(path, "raw", gpt_safety_checks_nonfatal=("mbr",)).detected_format == "gpt"


def test_an_encrypted_image_may_be_declared_raw(samples: Samples) -> None:
    assert inspect(samples.luks(), "raw").detected_format == "luks"


def test_only_bare_images_are_looked_into(samples: Samples) -> None:
    inspection = FormatInspection("qcow2", "ova")
    assert not inspection.wants_more
    assert inspect(samples.qcow2_with_backing_file(), "raw", "ova") == Verdict(None, None)


def test_what_can_be_read_in_two_ways_is_refused(samples: Samples) -> None:
    disc = bytearray(samples.iso().read_bytes())
    header = samples.qcow2().read_bytes()[:512]
    disc[: len(header)] = header
    with pytest.raises(UnacceptableFormat) as refused:
        inspect(bytes(disc), "raw")
    assert "iso and qcow2" in str(refused.value)


def test_inspectors_that_are_ruled_out_are_fed_no_more(samples: Samples) -> None:
    inspection = FormatInspection("raw", "bare")
    inspection.feed(samples.raw(1 << 20).read_bytes())
    assert not inspection.wants_more


MAGICS = [b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix", b"QED\0", b"LUKS\xba\xbe", b"\0" * 510]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(MAGICS), st.binary(max_size=2048), st.integers(0, 400_000))
def test_hostile_bytes_are_judged_or_refused_and_nothing_else(
    magic: bytes, noise: bytes, length: int
) -> None:
    data = (magic + noise).ljust(length, b"\x01")
    try:
        assert inspect(data, "raw").virtual_size in (len(data), None)
    except UnacceptableFormat as refused:
        assert str(refused)
