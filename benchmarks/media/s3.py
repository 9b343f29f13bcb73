# SPDX-License-Identifier: Apache-2.0
"""S3: Swift's own S3 API, beside ``aws s3 cp`` with parts of the same size, as many at once."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from glancekit_s3_store.options import OPTIONS
from glancekit_swift_store.testing import KEY, USER, RealSwift

from benchmarks.media.medium import Medium, run_and_digest

BUCKET = "s3://images"
OBJECT = f"{BUCKET}/by-the-tool"

CONFIG = """\
[default]
region = us-east-1
request_checksum_calculation = when_required
response_checksum_validation = when_required
s3 =
    addressing_style = path
    multipart_threshold = {part}MB
    multipart_chunksize = {part}MB
    max_concurrent_requests = {parallel}
"""


class S3(Medium):
    """A bucket of a Swift."""

    driver = "s3"
    tool = "aws s3 cp"

    def __init__(self, folder: Path) -> None:
        self._swift = RealSwift(folder / "swift")
        self._open = ExitStack()
        self._config = folder / "aws.conf"

    def __enter__(self) -> Self:
        defaults = {option.name: option.default for option in OPTIONS}
        part = defaults["s3_store_large_object_chunk_size"]
        parallel = defaults["s3_store_thread_pools"]
        self._config.write_text(CONFIG.format(part=part, parallel=parallel))
        self._open.enter_context(self._swift)
        self._call("mb", BUCKET)
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
            "s3_store_host": self._swift.url,
            "s3_store_access_key": USER,
            "s3_store_secret_key": KEY,
            "s3_store_bucket": BUCKET.removeprefix("s3://"),
            "s3_store_bucket_url_format": "path",
            "s3_store_region_name": "us-east-1",
        }

    def put(self, source: Path) -> None:
        """Upload with the tool, and digest the file meanwhile."""
        command = self._command("cp", "--quiet", str(source), OBJECT)
        run_and_digest(command, source, self._told())

    def get(self, to: BinaryIO) -> None:
        """Download with the tool, which puts the parts in order."""
        command = self._command("cp", "--quiet", OBJECT, "-")
        subprocess.run(command, check=True, stdout=to, env=self._told())

    def remove(self) -> None:
        """Delete the object."""
        self._call("rm", OBJECT)

    def _call(self, *arguments: str) -> None:
        command = self._command(*arguments)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=self._told())

    def _command(self, *arguments: str) -> list[str]:
        program = shutil.which("aws")
        if program is None:
            raise SystemExit("needs aws; run: apt-get install --no-install-recommends awscli")
        return [program, "--endpoint-url", self._swift.url, "s3", *arguments]

    def _told(self) -> Mapping[str, str]:
        """Nothing of what the person at the keyboard has configured."""
        others = {name: told for name, told in os.environ.items() if not name.startswith("AWS_")}
        return others | {
            "AWS_CONFIG_FILE": str(self._config),
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": KEY,
        }
