# SPDX-License-Identifier: Apache-2.0
"""``glancekit db dump`` and ``db load``, with files that are whole, cut off and in the way."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.model.image import Image

Run = Callable[..., Any]


@pytest.fixture
def filled(config_file: Path) -> Path:
    """The configuration of a service with some images."""
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    with metadata.unit_of_work() as work:
        for number in range(50):
            work.images.add(Image(id=str(number), owner="me", properties={"n": "x" * number}))
        work.commit()
    metadata.close()
    return config_file


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The configuration of a service without records."""
    file = tmp_path / "other.conf"
    file.write_text(f"[DEFAULT]\ndata_dir = {tmp_path / 'other'}\n")
    return file


def lines_of(file: Path) -> list[bytes]:
    """Return the records of a dump, without the header's time and the digest of all."""
    return gzip.decompress(file.read_bytes()).splitlines()[1:-1]


def test_there_and_back(filled: Path, other: Path, run: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("db", "dump", str(first)).err == "Wrote 50 records (50 image).\n"
    assert first.stat().st_mode & 0o077 == 0
    filled.write_text(other.read_text())
    done = run("db", "load", str(first))
    assert (done.code, done.err) == (0, "Read 50 records (50 image).\n")
    run("db", "dump", str(second))
    assert lines_of(second) == lines_of(first)
    again = run("db", "load", str(first))
    assert again.code == 1
    assert "has records already" in again.err


def test_nothing_is_overwritten(filled: Path, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_text("precious")
    done = run("db", "dump", str(file))
    assert done.code == 1
    assert "is there already" in done.err
    assert file.read_text() == "precious"


def test_a_folder_that_is_not_there(filled: Path, run: Run, tmp_path: Path) -> None:
    done = run("db", "dump", str(tmp_path / "nowhere" / "dump"))
    assert done.code == 1
    assert "cannot be written" in done.err


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_what_is_cut_off_is_refused(
    filled: Path, other: Path, run: Run, tmp_path: Path, part: float
) -> None:
    file = tmp_path / "dump"
    run("db", "dump", str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * part)])
    filled.write_text(other.read_text())
    assert run("db", "load", str(file)).code == 1
    file.write_bytes(whole)
    assert run("db", "load", str(file)).code == 0


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b"no dump\n", mtime=0)])
def test_what_is_no_dump_is_refused(run: Run, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "dump"
    file.write_bytes(content)
    done = run("db", "load", str(file))
    assert done.code == 1
    assert "no dump" in done.err
