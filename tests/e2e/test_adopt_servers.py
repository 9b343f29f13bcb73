# SPDX-License-Identifier: Apache-2.0
"""A released Glance on PostgreSQL and on MariaDB, taken over into the same server, and back again.

What is in it is little here; all of it is in test_adopt.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests

from glancekit.testing import real_glance
from glancekit.testing.real_glance import ADMIN, RealGlance

pytestmark = pytest.mark.timeout(480)

TRUSTED = "\n[auth]\ndriver = trusted\n"
ENCRYPTED = "\n[DEFAULT]\nmetadata_encryption_key = 0123456789abcdef\n"
VISIBILITIES = ("public", "community", "shared", "private")


def adopt(*words: object) -> dict[str, Any]:
    """Type ``glancekit adopt``, and return its report."""
    command = [sys.executable, "-m", "glancekit.cli", "adopt", "-f", "json", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr + done.stdout
    return dict(json.loads(done.stdout))


def verify(there: str, here: str) -> dict[str, Any]:
    headers = [word for name, value in ADMIN.items() for word in ("--header", f"{name}: {value}")]
    return adopt("--verify", "--there", there, "--here", here, *headers)


def fill(glance: RealGlance) -> list[str]:
    """Make some images, the last of which is deleted again; return their ids."""
    ids = []
    for number in range(9):
        image = {
            "name": f"image {number}, Grüße",
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": VISIBILITIES[number % 4],
            "os_hidden": number == 3,
            "protected": number == 4,
            "tags": ["ü", "b"],
            "number": str(number),
        }
        made = requests.post(f"{glance.url}/v2/images", headers=ADMIN, json=image, timeout=60)
        assert made.ok, made.text
        ids.append(made.json()["id"])
        octets = {**ADMIN, "Content-Type": "application/octet-stream"}
        url = f"{glance.url}/v2/images/{ids[-1]}"
        assert requests.put(f"{url}/file", data=b"data", headers=octets, timeout=60).ok
        if number == 2:
            member = {"member": "friend"}
            assert requests.post(f"{url}/members", headers=ADMIN, json=member, timeout=60).ok
    assert requests.delete(url, headers=ADMIN, timeout=60).ok
    return ids


Make = Callable[[str], str]

THEIR_DRIVERS = {"postgresql": "psycopg2", "mysql": "pymysql"}
"""With what the other service speaks to each server."""


@pytest.fixture(params=THEIR_DRIVERS)
def server(
    request: pytest.FixtureRequest, database_server: Callable[..., AbstractContextManager[Any]]
) -> Iterator[tuple[Make, Make]]:
    """What makes databases for us, and for the other service, on one server; returns URLs."""
    with database_server(request.param) as started:

        def theirs(name: str) -> str:
            url = str(started.make_database(name))
            return url.replace("://", f"+{THEIR_DRIVERS[request.param]}://", 1)

        yield started.make_database, theirs


def test_there_and_back_again(
    server: tuple[Make, Make], make_service: Callable[..., Any], tmp_path: Path
) -> None:
    if reason := real_glance.missing():
        pytest.skip(reason)
    environment = real_glance.find_environment()
    assert environment is not None
    ours, theirs = server
    glance = RealGlance(
        environment, tmp_path / "glance", connection=theirs("glance"), more=ENCRYPTED
    )
    back = RealGlance(
        environment,
        tmp_path / "back",
        connection=theirs("back"),
        images=glance.images,
        more=ENCRYPTED,
    )
    config, data_dir = tmp_path / "adopted.conf", tmp_path / "data"
    try:
        glance.sync()
        glance.start()
        ids = fill(glance)
        source = ("--from", glance.config, "--into", config)
        report = adopt(*source, "--database", ours("ours"), "--data-dir", data_dir)
        assert report["findings"] == []
        assert report["counts"]["taken over"]["images"] == len(ids) - 1
        again = adopt(*source)
        assert not any(again["counts"]["taken over"].values())
        assert again["findings"] == []

        service = make_service(config.read_text() + TRUSTED, data_dir=data_dir)
        service.start()
        compared = verify(glance.url, service.url)["compared"]
        assert compared["images"] == len(ids) - 1
        assert compared["namespaces"] == 32

        back.sync(with_metadefs=False)
        given = adopt("--export", "--from", back.config, "--into", config)
        assert given["findings"] == []
        back.start()
        verify(service.url, back.url)
        for url in (service.url, back.url):
            file = f"{url}/v2/images/{ids[0]}/file"
            assert requests.get(file, headers=ADMIN, timeout=60).content == b"data"
        made = {"namespace": "new", "resource_type_associations": [{"name": "New::Type"}]}
        url = f"{back.url}/v2/metadefs/namespaces"
        assert requests.post(url, headers=ADMIN, json=made, timeout=60).ok
    finally:
        glance.stop()
        back.stop()
