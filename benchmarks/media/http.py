# SPDX-License-Identifier: Apache-2.0
"""HTTP: an nginx from which the service reads, beside reading from it directly."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from benchmarks.media.medium import Medium
from benchmarks.running import Service
from benchmarks.transfers import download, nginx


class Http(Medium):
    """A web server's folder."""

    driver = "http"
    tool = "curl"
    writable = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "web"
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self._base = self._open.enter_context(nginx(self._folder))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def options(self) -> dict[str, str]:
        """There is nothing to say."""
        return {}

    def settings(self) -> str:
        """Let the service read from this machine's ports."""
        port = self._base.rpartition(":")[2]
        return (
            "[DEFAULT]\nshow_multiple_locations = true\ndo_secure_hash = false\n"
            f"[import_filtering_opts]\nallowed_ports = {port}\nallowed_hosts = 127.0.0.1\n"
        )

    def put(self, source: Path) -> None:
        """Lay the file where the web server finds it."""
        shutil.copy(source, self._folder / "image")

    def get(self, to: BinaryIO) -> None:
        """Fetch it."""
        download(f"{self._base}/image", to)

    def remove(self) -> None:
        """Remove it."""
        (self._folder / "image").unlink()

    def register(self, running: Service) -> str:
        """Register it by its URL."""
        image_id = running.create_image("on the web")
        path = f"/v2/images/{image_id}"
        running.call("POST", f"{path}/locations", {"url": f"{self._base}/image"})
        for _ in range(600):
            if running.call("GET", path)["status"] == "active":
                return image_id
            time.sleep(0.1)
        raise RuntimeError("the location was not taken within a minute")
