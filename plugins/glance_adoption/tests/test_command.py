# SPDX-License-Identifier: Apache-2.0
"""``glancekit adopt`` as it is typed: configurations read and written, and what blocks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from glancekit_glance_adoption.encryption import encrypt

pytestmark = pytest.mark.timeout(300)  # each command is a process of its own

for needed in ("glancekit_file_store", "glancekit_sqlite_metadata", "glancekit_keystone_auth"):
    pytest.importorskip(needed, reason=f"what is configured here needs {needed}")

KEY = "0123456789abcdef"


def adopt(*words: object) -> Any:
    command = [sys.executable, "-m", "glancekit.cli", "adopt", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@pytest.fixture
def source(tmp_path: Path, writer: Any) -> Path:
    """The other service's configuration, with an image in its database."""
    writer.image("i", size=5)
    writer.location("i", encrypt("file:///srv/fast/i", KEY))
    writer.close()
    file = tmp_path / "theirs" / "glance-api.conf"
    file.parent.mkdir()
    (file.parent / "policy.yaml").write_text("{}")
    file.write_text(
        f"""
        [DEFAULT]
        enabled_backends = fast:file, old:cinder
        metadata_encryption_key = {KEY}
        image_size_cap = 123456
        workers = 3
        use_syslog = true
        [glance_store]
        default_backend = fast
        [old]
        cinder_volume_type = x
        [database]
        connection = {writer.url}
        max_pool_size = 7
        [keystone_authtoken]
        auth_url = http://keystone/v3
        password = a$$b
        """.replace("\n        ", "\n")
    )
    return file


def test_from_one_configuration_to_the_other(source: Path, tmp_path: Path) -> None:
    into, data = tmp_path / "ours" / "glancekit.conf", tmp_path / "data"
    words = ("--from", source, "--into", into, "--data-dir", data, "-f", "json")
    done = adopt(*words)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["counts"]["taken over"]["images"] == 1
    (unusable,) = report["unusable"]
    assert unusable.startswith("store old:")
    ignored = {row["option"] for row in report["ignored_options"]}
    assert {"[DEFAULT] use_syslog", "[database] max_pool_size"} <= ignored
    lines = into.read_text().splitlines()
    for line in (
        f"data_dir = {data}",
        "image_size_cap = 123456",
        "workers = 3",
        "enabled_backends = fast:file, old:cinder",
        "filesystem_store_datadir = /var/lib/glance/images",
        f"policy_file = {source.parent}/policy.yaml",
        "driver = keystone",
        "password = a$$b",
    ):
        assert line in lines
    assert lines.count("filesystem_store_datadir = /var/lib/glance/images") == 1
    assert not [line for line in lines if "glance.sqlite" in line and not line.startswith("#")]
    assert into.stat().st_mode & 0o007 == 0
    before = into.read_text()
    again = adopt("--from", source, "--into", into)
    assert again.returncode == 0, again.stderr
    assert into.read_text() == before
    same = adopt(*words)
    assert same.returncode == 0, same.stderr
    refused = adopt("--from", source, "--into", into, "--data-dir", tmp_path / "elsewhere")
    assert refused.returncode == 1
    assert "is there already" in refused.stderr


def test_another_key_blocks_everything(source: Path, tmp_path: Path) -> None:
    source.write_text(source.read_text().replace(KEY, "fedcba9876543210"))
    into, data = tmp_path / "glancekit.conf", tmp_path / "data"
    for mode in ((), ("--dry-run",)):
        done = adopt("--from", source, "--into", into, "--data-dir", data, *mode)
        assert done.returncode == 1
        assert "BLOCKS" in done.stdout
        assert "metadata_encryption_key" in done.stdout
        assert not into.exists()
        assert not data.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--from is missing"),
        (("--verify",), "--there and --here"),
        (("--from", "nothing.conf", "--into", "x"), "nothing.conf"),
    ],
)
def test_what_is_typed_wrongly(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    done = adopt(*words)
    assert done.returncode not in (0, 1)
    assert told in done.stderr


def test_our_own_database_is_not_taken_for_theirs(source: Path, tmp_path: Path) -> None:
    into = tmp_path / "glancekit.conf"
    text = source.read_text()
    into.write_text(text)
    done = adopt("--from", source, "--into", into)
    assert done.returncode == 1
    assert "not glancekit's" in done.stderr
