# SPDX-License-Identifier: Apache-2.0
"""A staging folder without room: the step says that it may be tried again, and keeps nothing."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from glancekit_image_steps.conversion import Conversion
from glancekit_image_steps.decompression import Decompression

from glancekit.plugin import Unavailable
from glancekit.testing.importing import silent, stage
from glancekit.testing.samples import Samples
from glancekit.testing.store import sample


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can be mounted by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_there_is_no_room_to_unpack(
    small: Path, tmp_path: Path, build: Callable[..., Any]
) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(sample(16 << 10) * 600))
    staged = stage(packed, small)
    with pytest.raises(Unavailable, match="no room"):
        build(Decompression).execute(staged, silent)
    assert list(small.iterdir()) == [staged.path]


def test_there_is_no_room_to_convert(
    small: Path, samples: Samples, build: Callable[..., Any]
) -> None:
    staged = stage(samples.qcow2(), small, disk_format="qcow2")
    with pytest.raises(Unavailable, match="no room"):
        build(Conversion).execute(staged, silent)
    assert list(small.iterdir()) == [staged.path]
