# SPDX-License-Identifier: Apache-2.0
"""A database as it comes from elsewhere, over a real S3 whose store was renamed, is brought up to
date by a running service; and what its projects took of the stores can be asked for.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from glancekit.core.storage_use import BYTE_HOUR

pytestmark = pytest.mark.timeout(240)

CONFIG = """
[DEFAULT]
enabled_backends = local:file, {cloud}:s3
[glance_store]
default_backend = {cloud}
[{cloud}]
s3_store_host = {url}
s3_store_bucket = images
s3_store_access_key = key
s3_store_secret_key = secret
s3_store_bucket_url_format = path
"""
DATA = b"0123456789abcdef" * 4096


def typed(service: Any, *words: str) -> str:
    """Type a command of ``glancekit``."""
    where = service.data_dir / "where.conf"
    where.write_text(f"[DEFAULT]\ndata_dir = {service.data_dir}\n")
    command = [sys.executable, "-m", "glancekit.cli"]
    command += ["--config-file", str(service.config), "--config-file", str(where)]
    done = subprocess.run(
        [*command, *words], capture_output=True, timeout=60, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def forget(service: Any, image_id: str, *columns: str) -> None:
    """Take away what a Glance of old did not write down."""
    values = ", ".join(f"{column} = NULL" for column in columns)
    with closing(sqlite3.connect(service.data_dir / "glancekit.sqlite")) as database, database:
        changed = database.execute(f"UPDATE images SET {values} WHERE id = ?", (image_id,))
        assert changed.rowcount == 1


def test_old_records_of_a_renamed_store_are_brought_up_to_date(
    make_service: Callable[..., Any], s3: Any
) -> None:
    service = make_service(CONFIG.format(cloud="cloud", url=s3.url))
    service.start()
    here, there = service.create(), service.create()
    assert service.upload(here, DATA, **{"X-Image-Meta-Store": "local"}).status_code == 204
    assert service.upload(there, DATA).status_code == 204
    sent = service.show(here)
    service.stop()
    forget(service, here, "os_hash_algo", "os_hash_value", "virtual_size")
    service.config.write_text(service.config.read_text().replace("cloud", "vault"))

    service.start()
    told = typed(service, "periodic", "run", "--dry-run", "updater: store ids")
    assert f"image {there}: no store is called cloud" in told
    for duty in ("store ids", "digests", "formats"):
        typed(service, "periodic", "run", f"updater: {duty}")
    assert service.show(there)["stores"] == "vault"
    image = service.show(here)
    known = {name: image[name] for name in ("checksum", "os_hash_algo", "os_hash_value", "size")}
    assert known == {name: sent[name] for name in known}
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert image["virtual_size"] == len(DATA)
    assert service.download(there) == DATA

    rows = json.loads(typed(service, "usage", "-f", "json"))
    assert [(row["project"], row["store"]) for row in rows] == [
        (image["owner"], "cloud"),
        (image["owner"], "local"),
        (image["owner"], "vault"),
    ]
    daily = list(csv.DictReader(typed(service, "usage", "--daily", "-f", "csv").splitlines()))
    assert {row["store"] for row in daily} == {"cloud", "local", "vault"}
    with closing(sqlite3.connect(service.data_dir / "glancekit.sqlite")) as database:
        (kept,) = database.execute("SELECT SUM(byte_hours), SUM(rest) FROM storage_use")
        (accounts,) = database.execute("SELECT SUM(amount) FROM storage_accounts")
    assert kept[0] * BYTE_HOUR + kept[1] > len(DATA) * 1_000_000
    assert accounts[0] == 2 * len(DATA)
