# SPDX-License-Identifier: Apache-2.0
"""The upstream service's store library as a peer: it stores what ours read, and reads what ours
stored; and the tests of that, to inherit. It runs in a process and an environment of its own
(tools/glance_store.sh makes it); nothing of it is imported here.
"""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pytest

from glancekit.core.contracts.store import (
    StoreDriver,
    SupportsDelete,
    SupportsRange,
    SupportsWrite,
)
from glancekit.core.errors import BlobNotFound
from glancekit.core.model.image import Location
from glancekit.core.stream import FileStream
from glancekit.testing.servers import LIFETIME, find_environment

ENVIRONMENT = ".venv-glance-store"
VARIABLE = "GLANCEKIT_TEST_GLANCE_STORE"

_CHILD = Path(__file__).with_name("upstream_store_child.py")


class UpstreamError(Exception):
    """What the library raised: the name of its class, and its message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


def missing(kind: str | None = None) -> str | None:
    """Say what has to be made before a store (of a kind) can be used; None when nothing."""
    python = _python()
    if python is None:
        return (
            "there is no upstream store library to compare with: "
            f"sh tools/glance_store.sh {ENVIRONMENT}"
        )
    if kind == "rbd" and not _imports(python, "rados", "rbd"):
        return f"{python} has no modules for Ceph: sh tools/rbd_bindings.sh {python.parent.parent}"
    return None


class UpstreamStore:
    """One store of the library: ``file``, ``swift``, ``rbd``, ``s3`` or ``vmware``.

    ``options`` are those of the store's section, as they would be written in its configuration.
    ``context`` is who asks, for stores that want to know (swift with an account for each project).
    """

    def __init__(
        self, kind: str, options: Mapping[str, str], context: Mapping[str, Any] | None = None
    ) -> None:
        python = _python()
        if python is None:
            raise RuntimeError(missing())
        self._folder = tempfile.TemporaryDirectory(prefix="upstream-store-")
        self._errors = Path(self._folder.name, "errors.log").open("w+")  # noqa: SIM115  # a process's life
        self._process = subprocess.Popen(
            ["timeout", "--signal=KILL", str(LIFETIME), str(python), "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self._call(
                "build",
                kind=kind,
                configuration=str(self._configuration(options)),
                context=None if context is None else dict(context),
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, image_id: str, data: bytes, *, size_known: bool = True) -> str:
        """Store an image's bytes; return the URL of their location."""
        path = self._path("given")
        path.write_bytes(data)
        size = len(data) if size_known else 0
        return str(self._call("add", image_id=image_id, path=str(path), size=size))

    def read(self, url: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return the bytes at a location's URL, or some of them."""
        path = self._path("taken")
        self._call("read", url=url, path=str(path), offset=offset, length=length)
        return path.read_bytes()

    def delete(self, url: str) -> None:
        """Delete what is at a location's URL."""
        self._call("delete", url=url)

    def grant(self, url: str, readers: Sequence[str] = (), *, public: bool = False) -> None:
        """Say which other projects may read what is at a location's URL, or that all may."""
        self._call("grant", url=url, readers=list(readers), public=public)

    def close(self) -> None:
        """End the process; harmless when repeated."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()
        self._folder.cleanup()

    def _path(self, name: str) -> Path:
        return Path(self._folder.name, name)

    def _configuration(self, options: Mapping[str, str]) -> Path:
        # "$" would be the name of another option there.
        lines = [f"{name} = {value.replace('$', '$$')}" for name, value in options.items()]
        path = self._path("peer.conf")
        path.write_text("\n".join(["[glance_store]", "default_backend = peer", "[peer]", *lines]))
        path.chmod(0o600)
        return path

    def _call(self, call: str, **arguments: Any) -> Any:
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None and sink is not None  # for the types
        try:
            sink.write(json.dumps({"call": call, **arguments}) + "\n")
            sink.flush()
        except BrokenPipeError as error:
            raise RuntimeError(self._end()) from error
        line = source.readline()
        if not line:
            raise RuntimeError(self._end())
        answer = json.loads(line)
        if "error" in answer:
            raise UpstreamError(answer["error"], answer["message"])
        return answer.get("result")

    def _end(self) -> str:
        return f"the upstream store has ended: {self._path('errors.log').read_text()[-2000:]}"


class FullDriver(StoreDriver, SupportsWrite, SupportsDelete, SupportsRange, Protocol):
    """What a driver can that shares its data with upstream's."""


class UpstreamConformance:
    """What makes existing data ours, and ours theirs.

    The subclass gives two fixtures: ``driver``, and ``upstream``, a store of the library for the
    same place with the same options. ``data`` is what is stored.
    """

    data = bytes(range(256)) * 12_345

    def test_ours_reads_what_upstream_stored(
        self, driver: FullDriver, upstream: UpstreamStore
    ) -> None:
        """All of it, and parts of it, however much upstream knew of its size."""
        for size_known in (True, False):
            url = upstream.add(str(uuid.uuid4()), self.data, size_known=size_known)
            there = Location(url=url)
            assert driver.size(there) == len(self.data)
            with driver.open(there) as opened:
                assert opened.read() == self.data
            for offset, length in self._ranges():
                with driver.open_range(there, offset, length) as opened:
                    assert opened.read() == self.data[offset : offset + length]
            driver.delete(there)

    def test_ours_deletes_what_upstream_stored(
        self, driver: FullDriver, upstream: UpstreamStore
    ) -> None:
        """Afterwards neither finds it."""
        url = upstream.add(str(uuid.uuid4()), self.data)
        driver.delete(Location(url=url))
        with pytest.raises(BlobNotFound):
            driver.open(Location(url=url))
        with pytest.raises(UpstreamError) as caught:
            upstream.read(url)
        assert caught.value.name == "NotFound"

    def test_upstream_reads_what_ours_stored(
        self, driver: FullDriver, upstream: UpstreamStore
    ) -> None:
        """All of it, and parts of it, however much ours knew of its size."""
        for size in (len(self.data), None):
            url = self._write(driver, str(uuid.uuid4()), size)
            assert upstream.read(url) == self.data
            # One only: where it cannot begin in the middle, it reads everything each time.
            offset, length = self._ranges()[2]
            assert upstream.read(url, offset, length) == self.data[offset : offset + length]
            upstream.delete(url)

    def test_upstream_deletes_what_ours_stored(
        self, driver: FullDriver, upstream: UpstreamStore
    ) -> None:
        """Afterwards neither finds it, and the name is free."""
        image_id = str(uuid.uuid4())
        url = self._write(driver, image_id, len(self.data))
        upstream.delete(url)
        with pytest.raises(BlobNotFound):
            driver.open(Location(url=url))
        with pytest.raises(UpstreamError):
            upstream.read(url)
        driver.delete(Location(url=self._write(driver, image_id, len(self.data))))

    def test_the_url_is_upstream_s(self, driver: FullDriver, upstream: UpstreamStore) -> None:
        """Byte for byte, for the same image and the same options."""
        image_id = str(uuid.uuid4())
        theirs = upstream.add(image_id, self.data)
        driver.delete(Location(url=theirs))
        ours = self._write(driver, image_id, len(self.data))
        driver.delete(Location(url=ours))
        assert ours == theirs

    def _ranges(self) -> tuple[tuple[int, int], ...]:
        end = len(self.data)
        return (0, 1), (1, 1000), (end // 2 - 1, end // 3), (end - 1, 1)

    def _write(self, driver: SupportsWrite, image_id: str, size: int | None) -> str:
        return driver.write(image_id, FileStream(io.BytesIO(self.data)), size).url


def _python() -> Path | None:
    """The interpreter of the environment that tools/glance_store.sh made, here or above."""
    environment = find_environment(VARIABLE, ENVIRONMENT, has="bin/python")
    return None if environment is None else environment / "bin/python"


def _imports(python: Path, *modules: str) -> bool:
    asked = subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True)
    return asked.returncode == 0
