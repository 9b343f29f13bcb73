# SPDX-License-Identifier: Apache-2.0
"""Swift: as one object and in segments, beside ``swift upload`` and ``swift download``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from glancekit_swift_store.options import MB, OPTIONS
from glancekit_swift_store.testing import KEY, USER, RealSwift

from benchmarks.media.medium import Medium, run_and_digest

CONTAINER = "images"
OBJECT = "by-the-tool"


class Swift(Medium):
    """A container of a Swift, each image one object."""

    driver = "swift"
    tool = "swift upload/download"

    def __init__(self, folder: Path) -> None:
        self._swift = RealSwift(folder / "swift")
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._swift)
        self._call("post", CONTAINER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def options(self) -> dict[str, str]:
        """Return how the service reaches it."""
        return {
            "swift_store_auth_address": self._swift.auth_url,
            "swift_store_auth_version": "1",
            "swift_store_user": USER,
            "swift_store_key": KEY,
            "swift_store_container": CONTAINER,
        }

    def put(self, source: Path) -> None:
        """Upload with the tool, and digest the file meanwhile."""
        more = self._segmenting()
        upload = ["upload", *more, "--object-name", OBJECT, CONTAINER, str(source)]
        run_and_digest(self._command(*upload), source)

    def get(self, to: BinaryIO) -> None:
        """Download with the tool."""
        command = self._command("download", "--output", "-", CONTAINER, OBJECT)
        subprocess.run(command, check=True, stdout=to)

    def remove(self) -> None:
        """Delete the object with its segments."""
        self._call("delete", CONTAINER, OBJECT)

    def _segmenting(self) -> list[str]:
        return []

    def _call(self, *arguments: str) -> None:
        subprocess.run(self._command(*arguments), check=True, stdout=subprocess.DEVNULL)

    def _command(self, *arguments: str) -> list[str]:
        beside = Path(sys.executable).with_name("swift")
        program = str(beside) if beside.exists() else shutil.which("swift") or "swift"
        login = ["--auth-version", "1", "-A", self._swift.auth_url, "-U", USER, "-K", KEY]
        return [program, "--quiet", *login, *arguments]


class SwiftInSegments(Swift):
    """The same with segments of the size that the store's option has by default."""

    tool = "swift upload -S/download"

    def options(self) -> dict[str, str]:
        """Return how the service reaches it."""
        return {**super().options(), "swift_store_large_object_size": "0"}

    def _segmenting(self) -> list[str]:
        defaults = {option.name: option.default for option in OPTIONS}
        size = int(defaults["swift_store_large_object_chunk_size"]) * MB
        return ["--segment-size", str(size), "--use-slo"]
