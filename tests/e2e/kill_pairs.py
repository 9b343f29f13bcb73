# SPDX-License-Identifier: Apache-2.0
"""Kills one of two live workers at one point after another of an import, and counts the outcomes.

All is as it is shipped: the engine, web-download from an nginx, glance-download from a running
service, unpacking, qemu-img, injection, several stores at a time, one of which may be full. The
points are put around that here; whoever of the two comes to the chosen one dies there, and the
other one, which was alive all the time, goes on. See --help.
"""

from __future__ import annotations

import argparse
import fcntl
import gzip
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from glancekit_image_steps import receiving, writing
from glancekit_web_reading.testing import Nginx
from kill_imports import ADMIN, pointed

from glancekit.bootstrap import bootstrap, load_config
from glancekit.bootstrap.settings import flow_settings
from glancekit.cli.stopping import Stopping
from glancekit.core.model.changes import NewImage
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import UNFINISHED, TaskStatus
from glancekit.core.stream import ByteStream, FileStream
from glancekit.flows.engine import Board, Worker
from glancekit.services import data, images, imports, staging
from glancekit.services.importing.records import FAILED, LOCK
from glancekit.services.importing.work import Work
from glancekit.services.imports import ImportRequest
from glancekit.services.recovery import recover
from glancekit.services.staging import Staging
from glancekit.testing.servers import free_port

PATIENCE = 150.0
GRACE = 1.0
"""Seconds after an import's end in which a worker may still pass the last of its points."""

MIB = 1 << 20
DISK = b"".join(hashlib.sha256(str(n).encode()).digest() * 32 for n in range(4096)) + bytes(
    2 * MIB
)
"""Four MiB of data and two of zeros."""

CONFIG = """
[DEFAULT]
data_dir = {folder}/data
enabled_backends = near:file, far:file, away:file, full:file
enabled_import_methods = glance-direct, web-download, glance-download, copy-image
[glance_store]
default_backend = near
[near]
filesystem_store_datadir = {folder}/data/stores/near
[far]
filesystem_store_datadir = {other}/far
[away]
filesystem_store_datadir = {other}/away
[full]
filesystem_store_datadir = {other}/full
filesystem_store_free_reserve = 4611686018427387904
[taskflow]
max_tries = 1000
{board}
[image_import_opts]
image_import_plugins = image_decompression, image_conversion, inject_image_metadata
max_parallel_stores = 3
[inject_metadata_properties]
inject = imported:yes
ignore_user_roles = nobody
[import_filtering_opts]
allowed_hosts = 127.0.0.1
allowed_ports = []
[glance_download_properties]
endpoints = north:{remote}
[plugins]
plugin_start_timeout = 60
"""


class Point:
    """Counts the points that both workers pass, and kills who comes to the chosen one."""

    def __init__(self, folder: Path) -> None:
        self._state, self._log = folder / "points", folder / "killed-at"
        self._lock = threading.Lock()
        self._file = (folder / "points.lock").open("w")

    @staticmethod
    def choose(folder: Path, at: int) -> None:
        """Begin to count anew."""
        (folder / "killed-at").write_text("")
        (folder / "points").write_text(json.dumps([at, 0]))

    @staticmethod
    def killed_at(folder: Path) -> str:
        """Return the name of the point, empty while nobody came to it."""
        return (folder / "killed-at").read_text()

    def __call__(self, name: str) -> None:
        # A file's lock goes with its holder, unlike all that lives in shared memory.
        with self._lock:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            at, passed = json.loads(self._state.read_text())
            self._state.write_text(json.dumps([at, passed + 1]))
            if passed + 1 == at:
                self._log.write_text(name)
                os.kill(os.getpid(), signal.SIGKILL)
            fcntl.flock(self._file, fcntl.LOCK_UN)


class Halfway(ByteStream):
    """A stream with a point in its middle."""

    def __init__(self, stream: Any, size: int, point: Point, name: str) -> None:
        self._stream, self._half, self._point, self._name = stream, size // 2, point, name
        self._received = 0
        self.size: int | None = getattr(stream, "size", None)
        self.version: str | None = getattr(stream, "version", None)

    def read(self, size: int = -1, /) -> bytes:
        before = self._received
        chunk: bytes = self._stream.read(min(size, 1 << 18) if size > 0 else size)
        self._received += len(chunk)
        if before < self._half <= self._received:
            self._point(f"amid {self._name}")
        return chunk

    def close(self) -> None:
        self._stream.close()


def put_points(world: Any, point: Point, sizes: tuple[int, int]) -> None:
    """Put points into the middle of all that moves bytes; ``sizes`` are those of the sources."""
    for name, size in zip(("web-download", "glance-download"), sizes, strict=True):
        put_into_method(world.importing.methods[name], point, size)
    for store in world.stores:
        put_into_store(store, point)
    put_into_step(writing.SparseFile, point, "decompression")
    put_into_step(receiving.Disk, point, "conversion")


def put_into_method(method: Any, point: Point, size: int) -> None:
    original = method.open

    def opened(*given: Any, **named: Any) -> Any:
        return Halfway(original(*given, **named), size, point, "fetch")

    method.open = opened


def put_into_store(store: Any, point: Point) -> None:
    original = store.driver.write

    def write(image_id: str, source: Any, size: Any) -> Any:
        return original(image_id, Halfway(source, size, point, f"write {store.id}"), size)

    store.driver.write = write


def put_into_step(kind: Any, point: Point, name: str) -> None:
    original = kind.write
    passed: dict[int, int] = {}

    def write(self: Any, *given: Any) -> Any:
        before = passed.get(id(self), 0)
        passed[id(self)] = before + len(given[-1])
        if before < len(DISK) // 4 <= passed[id(self)]:
            point(f"amid {name}")
        return original(self, *given)

    kind.write = write


class Trial:
    """Imports of one method, each of which one of two workers dies in."""

    def __init__(self, options: argparse.Namespace, folder: Path, other: Path) -> None:
        self.options, self.folder, self.other = options, folder, other
        self.method: str = options.method
        raw, self.disk = folder / "disk.raw", folder / "disk.qcow2"
        raw.write_bytes(DISK)
        command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, self.disk]
        subprocess.run(command, check=True)
        self.raw, self.packed = raw, folder / "disk.qcow2.gz"
        self.packed.write_bytes(gzip.compress(self.disk.read_bytes(), 1))
        self.url = self.remote = self.remote_image = ""

    def configure(self) -> None:
        """Write the configuration, once the servers are known."""
        board = ""
        if self.options.jobboard:
            board = f"jobboard = {self.options.jobboard}\npersistence = {self.options.persistence}"
        text = CONFIG.format(
            folder=self.folder, other=self.other, remote=self.remote or "http://x", board=board
        )
        (self.folder / "glancekit.conf").write_text(text)

    @contextmanager
    def world(self) -> Iterator[Any]:
        """Build the world."""
        staging.MARK_EVERY = MIB  # so that a fetch of this size has something to go on with
        with bootstrap(self.config()) as built:
            yield built

    def config(self) -> Any:
        return load_config([str(self.folder / "glancekit.conf")])

    # -- the import

    def begin(self, world: Any) -> str:
        """Make an image and begin its import."""
        is_copy = self.method == "copy-image"
        new = NewImage(disk_format="raw" if is_copy else "qcow2", container_format="bare")
        image = images.create(world, ADMIN, new)
        arguments: dict[str, Any] = {}
        if is_copy:
            with self.raw.open("rb") as file:
                data.upload(world, ADMIN, image.id, FileStream(file), size=len(DISK), store="near")
        elif self.method == "glance-direct":
            with self.packed.open("rb") as file:
                imports.stage(world, ADMIN, image.id, FileStream(file), size=None)
        elif self.method == "web-download":
            arguments = {"uri": self.url}
        else:
            arguments = {"glance_region": "north", "glance_image_id": self.remote_image}
        imports.begin(
            world,
            ADMIN,
            image.id,
            ImportRequest(
                method=self.method,
                arguments=arguments,
                stores=tuple(sorted(self.asked - ({"near"} if is_copy else set()))),
                all_stores_must_succeed=self.options.full != "may",
            ),
        )
        return image.id

    @property
    def asked(self) -> set[str]:
        return {"near", "far", "away"} | ({"full"} if self.options.full else set())

    def await_end(self, world: Any, image_id: str) -> None:
        """Wait until an import is over."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with world.metadata.unit_of_work(read_only=True) as work:
                tasks = work.tasks.of_image(image_id)
                image = work.images.get(image_id)
            if LOCK not in image.properties and not any(t.status in UNFINISHED for t in tasks):
                return
            time.sleep(0.1)

    def verdict(self, world: Any, image_id: str) -> str:
        """Say what became of an image."""
        with world.metadata.unit_of_work(read_only=True) as work:
            image = work.images.get(image_id)
            (task,) = work.tasks.of_image(image_id)
            rows = work.locations.of_image(image_id)
        if any(row.status is not LocationStatus.ACTIVE for row in rows):
            return f"stuck rows: {rows}"
        if LOCK in image.properties or task.status in UNFINISHED:
            return f"stuck: {image.status}, {task.status}: {task.message}"
        if self.options.full == "must":
            return self._is_back(image, task, rows)
        return self._is_imported(world, image, task, rows)

    def _is_back(self, image: Any, task: Any, rows: Any) -> str:
        is_copy = self.method == "copy-image"
        before = (ImageStatus.ACTIVE, {"near"}) if is_copy else (ImageStatus.QUEUED, set())
        found = (image.status, {row.store for row in rows})
        if found != before or task.status is not TaskStatus.FAILURE:
            return f"not back: {found}, {task.status}: {task.message}"
        return "survived"

    def _is_imported(self, world: Any, image: Any, task: Any, rows: Any) -> str:
        if (image.status, task.status) != (ImageStatus.ACTIVE, TaskStatus.SUCCESS):
            return f"failed: {image.status}, {task.status}: {task.message}"
        if {row.store for row in rows} != {"near", "far", "away"}:
            return f"not in its stores: {rows}"
        if image.properties.get(FAILED, "") != ("full" if self.options.full else ""):
            return f"failed stores are {image.properties}"
        if self.method != "copy-image" and image.properties.get("imported") != "yes":
            return "a step was left out"
        for row in rows:
            if world.stores.get(row.store).driver.local_path(row).read_bytes() != DISK:
                return f"wrong bytes in {row.store}"
        known = (image.disk_format, image.checksum, image.os_hash_value)
        if known != ("raw", hashlib.md5(DISK).hexdigest(), hashlib.sha512(DISK).hexdigest()):
            return f"wrong record: {known}"
        return "survived"

    def leftovers(self, world: Any) -> dict[str, int]:
        """Count what nobody needs, after the reapers have been."""
        recover(world)
        with world.metadata.unit_of_work(read_only=True) as work:
            stuck = work.locations.with_status(LocationStatus.WRITING, limit=1000)
            doomed = work.locations.with_status(LocationStatus.PENDING_DELETE, limit=1000)
            folders = (self.folder / "data" / "stores", self.other)
            files = [file for at in folders for file in at.rglob("*") if file.is_file()]
            orphans = [
                file
                for file in files
                if f"file://{file}" not in {row.url for row in work.locations.of_image(file.name)}
            ]
        for image_id in Staging(world.staging).images():
            orphans += (self.folder / "data" / "staging" / image_id).rglob("*")
        board = Board(flow_settings(self.config()))
        jobs = board.jobs.job_count
        board.close()
        return {
            "orphaned bytes": sum(file.stat().st_size for file in orphans),
            "rows": len(stuck) + len(doomed),
            "jobs": jobs,
        }

    # -- the processes

    def work(self) -> None:
        """Be a worker until told to stop."""
        stopping = Stopping()
        stopping.listen()
        point = Point(self.folder)
        with self.world() as world:
            put_points(world, point, (self.packed.stat().st_size, self.disk.stat().st_size))
            worker = Worker(
                flow_settings(self.config()),
                pointed(Work(world, max_tries=1000), point),
                holder=world.lease.holder,
            )
            worker.start()
            (self.folder / f"ready-{os.getpid()}").touch()
            while not stopping.wait(0.2):
                worker.tidy()
            worker.stop(10)
            worker.close()

    def clerk(self, line: Any) -> None:
        """Begin imports and judge them, until there is nothing more to do."""
        with self.world() as world:
            while (command := line.recv()) != "end":
                if command == "leftovers":
                    line.send(self.leftovers(world))
                    continue
                image_id = self.begin(world)
                self.await_end(world, image_id)
                line.send(self.verdict(world, image_id))


class Pair:
    """The two workers."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._alive: set[int] = set()

    def complete(self) -> None:
        """Start as many as are missing, and wait until they are at work."""
        while len(self._alive) < 2:
            self._alive.add(forked(self._trial.work))
        end = time.monotonic() + PATIENCE
        while not all((self._trial.folder / f"ready-{pid}").exists() for pid in self._alive):
            if time.monotonic() > end:
                raise SystemExit("a worker did not start")
            time.sleep(0.05)

    def lose_one(self) -> None:
        """Know that one was killed, and that the other is there.

        :raises SystemExit: when it is otherwise.
        """
        gone = {pid: os.waitpid(pid, os.WNOHANG)[1] for pid in self._alive}
        ended = [pid for pid in self._alive if not Path(f"/proc/{pid}").exists()]
        killed = [pid for pid in ended if os.WIFSIGNALED(gone[pid])]
        if len(ended) != 1 or killed != ended:
            raise SystemExit(f"of two workers {len(ended)} have ended: {gone}")
        self._alive -= set(ended)

    def stop(self) -> None:
        """End them in peace."""
        for pid in self._alive:
            os.kill(pid, signal.SIGTERM)
        for pid in self._alive:
            os.waitpid(pid, 0)
        self._alive.clear()


def count(trial: Trial) -> dict[str, Any]:
    """Kill at one point after the other until there are no more."""
    Point.choose(trial.folder, 0)
    here, there = multiprocessing.Pipe()
    clerk = forked(lambda: trial.clerk(there))
    pair = Pair(trial)
    outcomes: dict[str, str] = {}
    at = 1
    try:
        while True:
            Point.choose(trial.folder, at)
            pair.complete()
            here.send("import")
            verdict = here.recv()
            time.sleep(GRACE)
            killed_at = Point.killed_at(trial.folder)
            if not killed_at:
                break
            pair.lose_one()
            outcomes[f"{at} {killed_at}"] = verdict
            at += trial.options.every
        undisturbed = verdict
    finally:
        pair.stop()
    here.send("leftovers")
    left = here.recv()
    here.send("end")
    os.waitpid(clerk, 0)
    return {
        "method": trial.method,
        "full store": trial.options.full or "none",
        "survived": sum(found == "survived" for found in outcomes.values()),
        "total": len(outcomes),
        "stuck images": sum(found.startswith("stuck") for found in outcomes.values()),
        **left,
        "undisturbed": undisturbed,
        "points": list(outcomes) if trial.options.points else len(outcomes),
        "others": {name: found for name, found in outcomes.items() if found != "survived"},
    }


def forked(deed: Callable[[], None]) -> int:
    """Begin something in a process of its own, and return which."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            deed()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid


@contextmanager
def remote_service(trial: Trial) -> Iterator[None]:
    """Run a service that has the image, for glance-download."""
    folder = trial.folder / "remote"
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        port = free_port()
        program = str(Path(sys.executable).with_name("glancekit"))
        process = subprocess.Popen(
            [program, "serve", "--port", str(port), "--data-dir", str(folder / "data")],
            stdout=log,
            stderr=log,
        )
    trial.remote = f"http://127.0.0.1:{port}"
    try:
        await_answer(trial.remote, process)
        record = {"disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
        made = call(f"{trial.remote}/v2/images", "POST", json.dumps(record).encode())
        trial.remote_image = json.loads(made)["id"]
        file = f"{trial.remote}/v2/images/{trial.remote_image}/file"
        call(file, "PUT", trial.disk.read_bytes(), "application/octet-stream")
        yield
    finally:
        process.terminate()
        process.wait(30)


def await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            call(f"{url}/v2/images", "GET")
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the other service does not answer")


def call(url: str, verb: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=verb)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="where all of it is kept")
    parser.add_argument(
        "--other",
        default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None,
        help="a folder of another file system, so that data must be copied there",
    )
    parser.add_argument("--method", default="web-download")
    parser.add_argument(
        "--full",
        default="",
        choices=["may", "must"],
        help="a store that is full: it may, or must not",
    )
    parser.add_argument("--every", type=int, default=1, help="kill at every so many points")
    parser.add_argument("--points", action="store_true", help="name the points")
    parser.add_argument("--jobboard", default="")
    parser.add_argument("--persistence", default="")
    options = parser.parse_args()
    with ExitStack() as stack:
        other = stack.enter_context(tempfile.TemporaryDirectory(dir=options.other))
        trial = Trial(options, Path(options.folder).absolute(), Path(other))
        (trial.folder / "web").mkdir()
        nginx = stack.enter_context(Nginx(trial.folder / "web"))
        (nginx.root / "disk.qcow2.gz").write_bytes(trial.packed.read_bytes())
        trial.url = nginx.url("disk.qcow2.gz")
        if options.method == "glance-download":
            stack.enter_context(remote_service(trial))
        trial.configure()
        print(json.dumps(count(trial)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
