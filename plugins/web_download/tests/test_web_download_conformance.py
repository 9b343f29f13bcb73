# SPDX-License-Identifier: Apache-2.0
"""The import methods against the kit; what web servers may do besides is tried next door."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from glancekit_web_download.web import WebDownload

from glancekit.plugin import CHUNK_SIZE
from glancekit.testing import ImportMethodConformance
from glancekit.testing.store import sample

CONTENT = sample(2 * CHUNK_SIZE + 777)
OLD, NEW = 1_700_000_000, 1_700_000_099


def set_time(path: Path, when: int) -> None:
    os.utime(path, (when, when))


class TestWebDownload(ImportMethodConformance):
    """Against nginx, whose files have an ETag."""

    content = CONTENT
    bad_arguments = (
        {},
        {"uri": 7},
        {"uri": ""},
        {"uri": "images.example.org/cirros"},
        {"uri": "ftp://127.0.0.1/image"},
        {"uri": "http://127.1/image"},
        {"uri": "http://169.254.169.254/latest"},
        {"uri": "http://user:hunter2@10.0.0.1/image"},
        {"uri": "http://127.0.0.1/image", "checksum": "9f86d08"},
        {"uri": "http://127.0.0.1/image", "checksum": "sha256:9f86d08"},
        {"uri": "http://127.0.0.1/image", "checksum": 7},
        {"uri": "http://127.0.0.1/image", "sha256": "9f86d08"},
    )

    @pytest.fixture
    def method(self, build: Callable[[], WebDownload]) -> WebDownload:
        return build()

    @pytest.fixture
    def path(self, nginx: Any) -> Path:
        path = Path(nginx.root, uuid.uuid4().hex)
        path.write_bytes(CONTENT)
        set_time(path, OLD)
        return path

    @pytest.fixture
    def arguments(self, nginx: Any, path: Path) -> Mapping[str, Any]:
        return {"name": "web-download", "uri": nginx.url(path.name)}

    @pytest.fixture
    def change(self, path: Path) -> Callable[[], object]:
        def change() -> None:
            path.write_bytes(sample(len(CONTENT), seed=1))
            set_time(path, NEW)

        return change


class TestWebDownloadWithChecksum(TestWebDownload):
    """The same where bytes are held back until they are known to be the right ones."""

    @pytest.fixture
    def arguments(self, nginx: Any, path: Path) -> Mapping[str, Any]:
        digest = hashlib.sha256(CONTENT).hexdigest()
        return {"uri": nginx.url(path.name), "checksum": f"SHA256:{digest.upper()}"}


class TestWebDownloadWithoutRanges(TestWebDownload):
    """A server that knows no ranges is read anew up to where the fetch was."""

    @pytest.fixture
    def arguments(self, nginx: Any, path: Path) -> Mapping[str, Any]:
        return {"uri": nginx.url(f"no-ranges/{path.name}")}
