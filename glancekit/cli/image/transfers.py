# SPDX-License-Identifier: Apache-2.0
"""An image's bytes between here and the service, with progress, resumed and verified.

A broken download goes on from where it was by Range (RFC 9110, section 14), also in a later run:
what came so far is beside the wanted file under the image's id.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import requests
import urllib3

from glancekit.cli.image.calls import Record, path_of
from glancekit.cli.image.endpoint import Endpoint, ask
from glancekit.cli.image.failures import Broken, Damaged, Unreachable

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK = 1 << 17
"""Bytes moved at once, at most."""

TRIES = 6
"""Attempts to go on with a download during which not a byte came."""

LONGEST_PAUSE = 10.0
"""Seconds between two of them, at most."""

Told = Callable[[int], None]


def upload(
    endpoint: Endpoint,
    image_id: str,
    source: BinaryIO,
    *,
    size: int | None,
    store: str | None,
    stage: bool,
    progress: bool,
) -> None:
    """Send an image's bytes, to its store or to the staging area.

    :raises Failed: when the service does not take them.
    """
    headers = {"Content-Type": "application/octet-stream"}
    if store:
        headers["x-image-meta-store"] = store
    if size is not None:
        headers["x-openstack-image-size"] = str(size)
    with progress_bar("stage" if stage else "upload", size, shown=progress) as told:
        ask(
            endpoint,
            "PUT",
            path_of(image_id, "stage" if stage else "file"),
            f"{'stage' if stage else 'upload'} data of image {image_id}",
            headers=headers,
            data=_Body(source, size, told),
        )


class _Body:
    """A file as ``requests`` sends it: with its length where that is known, else in chunks."""

    def __init__(self, source: BinaryIO, size: int | None, told: Told) -> None:
        self._source = source
        self._told = told
        if size is not None:
            self.len = size

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(CHUNK):
            yield chunk

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(CHUNK if size < 0 else size)
        self._told(len(chunk))
        return chunk


def save(endpoint: Endpoint, image: Record, target: Path, *, progress: bool) -> None:
    """Download an image into a file, which appears under its name when it is whole and verified.

    :raises Unreachable: when it does not come whole; the next time goes on from there.
    :raises Damaged: when it is not what its digest says; it is not kept.
    """
    part = target.with_name(f"{target.name}.{image['id']}.part")
    digest, expected = _digest(image)
    with part.open("a+b") as file:
        done = _reread(file, digest)
        with progress_bar("save", image.get("size"), shown=progress) as told:
            told(done)
            _fetch_all(endpoint, image, file, digest, told)
        file.flush()
        os.fsync(file.fileno())
    if expected is not None and digest.hexdigest() != expected:
        part.unlink()
        raise _damaged(image, digest.name)
    part.replace(target)


def save_to(endpoint: Endpoint, image: Record, output: BinaryIO, *, progress: bool) -> None:
    """Download an image into a pipe.

    :raises Unreachable: when it does not come whole.
    :raises Damaged: when it was not what its digest says.
    """
    digest, expected = _digest(image)
    with progress_bar("save", image.get("size"), shown=progress) as told:
        _fetch_all(endpoint, image, output, digest, told)
    output.flush()
    if expected is not None and digest.hexdigest() != expected:
        raise _damaged(image, digest.name)


def _fetch_all(
    endpoint: Endpoint, image: Record, output: BinaryIO, digest: _Hash, told: Told
) -> None:
    """Write what is missing of an image, going on after each break."""
    size = image.get("size")
    done = output.tell() if output.seekable() else 0
    failures = 0
    while size is None or done < size:
        before = done
        try:
            for chunk in _chunks(endpoint, image["id"], done):
                output.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                told(len(chunk))
            if size is None or done == before:
                break
        except Unreachable as error:
            has_begun = done > 0 or isinstance(error, Broken)
            if size is None or not has_begun:
                raise
        failures = 0 if done > before else failures + 1
        if failures == TRIES:
            break
        time.sleep(min(0.2 * 2**failures, LONGEST_PAUSE) if failures else 0)
    if size is not None and done != size:
        raise Unreachable(
            f"{done} of {size} bytes of image {image['id']} came; the same command goes on there."
        )


def _chunks(endpoint: Endpoint, image_id: str, offset: int) -> Iterator[bytes]:
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    what = f"download image {image_id}"
    path = path_of(image_id, "file")
    with ask(endpoint, "GET", path, what, headers=headers, stream=True) as answer:
        chunks = _as_they_come(answer)
        if offset and answer.status_code != 206:
            chunks = _without(chunks, offset)
        try:
            yield from chunks
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Broken(f"The download of image {image_id} broke.") from error


def _as_they_come(answer: requests.Response) -> Iterator[bytes]:
    """Yield what has come as soon as it has, so that a connection that breaks costs nothing."""
    while chunk := answer.raw.read1(CHUNK):
        yield chunk


def _without(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Leave out the first bytes: not every service in between knows ranges."""
    for chunk in chunks:
        if len(chunk) > count:
            yield chunk[count:]
        count = max(0, count - len(chunk))


def _digest(image: Record) -> tuple[_Hash, str | None]:
    """Return what to compute, and what it should come to (None: the service does not say)."""
    name, value = image.get("os_hash_algo"), image.get("os_hash_value")
    if name and value and name in hashlib.algorithms_available:
        return hashlib.new(name), str(value)
    checksum = image.get("checksum")
    return hashlib.md5(usedforsecurity=False), None if checksum is None else str(checksum)


def _reread(file: BinaryIO, digest: _Hash) -> int:
    """Take into the digest what an earlier run left; return how many bytes that is."""
    file.seek(0)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return file.tell()


def _damaged(image: Record, name: str) -> Damaged:
    return Damaged(
        f"What came of image {image['id']} is not what its {name} says; nothing of it was kept. "
        "Try again; if it stays so, the image is damaged where it is stored."
    )


@contextmanager
def progress_bar(title: str, size: int | None, *, shown: bool) -> Iterator[Told]:
    """Show bytes, rate and time left on the error output while bytes move."""
    if not shown:
        yield lambda count: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns: tuple[Any, ...] = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.DownloadColumn(binary_units=True),
        rich.TransferSpeedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=size)
        yield lambda count: bars.advance(task, count)


def wants_progress(asked: bool | None) -> bool:
    """Decide whether to show a bar: where it was asked for, else where a person looks on."""
    return sys.stderr.isatty() if asked is None else asked
