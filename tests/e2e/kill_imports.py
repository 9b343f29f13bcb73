# SPDX-License-Identifier: Apache-2.0
"""Kills workers at one point after another of an import and counts what became of the images.

A program of its own: it forks each worker, so that a hundred of them take minutes and not hours.
What it kills is the shipped engine; the points are put around it here. See --help.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from glancekit.bootstrap import bootstrap, load_config
from glancekit.bootstrap.settings import flow_settings
from glancekit.core.contracts.importing import ImportMethod, ImportStep
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import UNFINISHED, TaskStatus
from glancekit.core.stream import ByteStream, FileStream
from glancekit.flows.engine import Board, Worker
from glancekit.services import data, images, imports
from glancekit.services.importing.records import LOCK
from glancekit.services.importing.work import Work
from glancekit.services.imports import ImportRequest
from glancekit.services.recovery import recover
from glancekit.services.staging import Staging

SIZE = 3 << 20
PATIENCE = 90.0
ADMIN = Identity(
    user_id="u", project_id="p", roles=frozenset({"admin", "member", "reader"}), request_id="r"
)
CONTENT = bytes(hashlib.sha256(str(n).encode()).digest()[0] for n in range(4096)) * (SIZE // 4096)

DEEDS = (
    *("take", "fetch", "apply", "measure", "describe", "write", "activate", "unstage", "finish"),
    *("unapply", "unwrite", "fail"),
)


class Point:
    """Counts the points that a worker passes, and kills it at one of them."""

    def __init__(self, at: int, log: Path) -> None:
        self.at, self.passed, self.armed = at, 0, False
        self._log = log

    def __call__(self, name: str) -> None:
        if not self.armed:
            return
        self.passed += 1
        if self.passed == self.at:
            self._log.write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)


class Halfway(ByteStream):
    """A stream with a point in its middle."""

    def __init__(self, stream: ByteStream, point: Point, name: str) -> None:
        self._stream, self._point, self._name = stream, point, name
        self._received = 0
        self.size: int | None = getattr(stream, "size", None)
        self.version: str | None = getattr(stream, "version", None)

    def read(self, size: int = -1, /) -> bytes:
        before = self._received
        chunk = self._stream.read(size)
        self._received += len(chunk)
        if before < SIZE // 2 <= self._received:
            self._point(f"amid {self._name}")
        return chunk

    def close(self) -> None:
        self._stream.close()


class OpenFile(FileStream):
    """What the method below opens."""

    size: int | None = SIZE
    version: str | None = "1"


class FromFile(ImportMethod):
    """A method whose source is a file: the arguments' ``uri``."""

    api_level = 1

    def __init__(self, point: Point) -> None:
        self._point = point

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Take all."""

    def open(self, image: Any, arguments: Any, *, caller: Any, fetched: Any) -> Any:
        """Open the file behind what was fetched."""
        file = open(arguments["uri"], "rb")  # noqa: SIM115
        file.seek(0 if fetched is None else fetched.size)
        return Halfway(OpenFile(file), self._point, "fetch")


class Reverse(ImportStep):
    """A step that turns the data round, in halves."""

    api_level = 1

    def __init__(self, point: Point) -> None:
        self._point = point

    def applies_to(self, staged: Any) -> bool:
        """Always."""
        return True

    def execute(self, staged: Any, progress: Any) -> Any:
        """Write the new file."""
        turned = staged.path.read_bytes()[::-1]
        made = staged.path.with_name("turned")
        with made.open("wb") as file:
            file.write(turned[: len(turned) // 2])
            file.flush()
            self._point("amid apply")
            file.write(turned[len(turned) // 2 :])
        progress(len(turned), len(turned))
        properties = {**staged.image.properties, "turned": "yes"}
        return replace(staged, path=made, image=replace(staged.image, properties=properties))

    def revert(self, staged: Any) -> None:
        """Remove it."""
        staged.path.with_name("turned").unlink(missing_ok=True)


def pointed(work: Work, point: Point) -> Work:
    """Put points before and behind each deed."""

    def around(name: str, deed: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            point(f"before {name}")
            found = deed(*arguments)
            point(f"behind {name}")
            return found

        return call

    for name in DEEDS:
        setattr(work, name, around(name, getattr(work, name)))
    return work


def point_at_commits(world: Any, point: Point) -> None:
    """Put points before and behind each commit of records, and each save of flows."""
    from taskflow.persistence.backends.impl_sqlalchemy import Connection

    unit = type(world.metadata.unit_of_work())
    for kind, name in (
        (unit, "commit"),
        (Connection, "update_atom_details"),
        (Connection, "update_flow_details"),
    ):
        original = getattr(kind, name)

        def call(
            self: Any, *given: Any, _original: Any = original, _name: str = name, **more: Any
        ) -> Any:
            point(f"before {_name}")
            found = _original(self, *given, **more)
            point(f"behind {_name}")
            return found

        setattr(kind, name, call)


def point_amid_writes(world: Any, point: Point) -> None:
    """Put a point into the middle of each store's write."""
    for store in world.stores:
        original = store.driver.write

        def write(image_id: str, source: Any, size: Any, _original: Any = original) -> Any:
            return _original(image_id, Halfway(source, point, "write"), size)

        store.driver.write = write


class Trial:
    """Imports of one method, each of which a worker dies in."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folder = Path(options.folder)
        self.source = self.folder / "source"
        self.source.write_bytes(CONTENT)
        overrides: dict[tuple[str, str], Any] = {
            ("DEFAULT", "data_dir"): str(self.folder / "data"),
            ("DEFAULT", "enabled_backends"): "a:file,b:file",
            ("glance_store", "default_backend"): "a",
            ("DEFAULT", "enabled_import_methods"): ["glance-direct", "copy-image"],
            ("taskflow", "max_tries"): 1000,
            ("plugins", "plugin_start_timeout"): 60.0,
        }
        if options.jobboard:
            overrides["taskflow", "jobboard"] = options.jobboard
            overrides["taskflow", "persistence"] = options.persistence
        self.config = load_config([], overrides)

    @contextmanager
    def world(self, point: Point) -> Iterator[Any]:
        """Build the world with the method and the step."""
        with bootstrap(self.config) as built:
            steps = {"reverse": Reverse(point)} if self.options.steps else {}
            methods = {**built.importing.methods, "web-download": FromFile(point)}
            importing = replace(built.importing, methods=methods, steps=steps)
            yield replace(built, importing=importing)

    def begin(self, world: Any) -> str:
        """Make an image and begin its import."""
        new = NewImage(disk_format="raw", container_format="bare")
        image = images.create(world, ADMIN, new)
        method = self.options.method
        stores: tuple[str, ...] = ("a", "b")
        if method == "glance-direct":
            with self.source.open("rb") as file:
                imports.stage(world, ADMIN, image.id, FileStream(file), size=SIZE)
        if method == "copy-image":
            with self.source.open("rb") as file:
                data.upload(world, ADMIN, image.id, FileStream(file), size=SIZE, store="a")
            stores = ("b",)
        uri = self.source if not self.options.missing else self.folder / "missing"
        imports.begin(
            world,
            ADMIN,
            image.id,
            ImportRequest(method=method, arguments={"uri": str(uri)}, stores=stores),
        )
        return image.id

    def run_and_die(self, at: int, note: Path, log: Path) -> None:
        """Begin an import and run a worker that dies at a point."""
        point = Point(at, log)
        with self.world(point) as world:
            note.write_text(self.begin(world))
            point_amid_writes(world, point)
            if self.options.commits:
                point_at_commits(world, point)
            self._work(world, note.read_text(), point)
            log.write_text("")

    def go_on(self, image_id: str) -> None:
        """Run a worker that lives."""
        point = Point(-1, Path(os.devnull))
        with self.world(point) as world:
            self._work(world, image_id, point)

    def _work(self, world: Any, image_id: str, point: Point) -> None:
        work = pointed(Work(world, max_tries=1000), point)
        worker = Worker(flow_settings(self.config), work, holder=world.lease.holder)
        point.armed = True
        worker.start()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self._is_over(world, image_id):
            worker.tidy()
            time.sleep(0.1)
        worker.stop(10)
        worker.close()

    def _is_over(self, world: Any, image_id: str) -> bool:
        with world.metadata.unit_of_work(read_only=True) as work:
            tasks = work.tasks.of_image(image_id)
            image = work.images.get(image_id)
        return LOCK not in image.properties and not any(t.status in UNFINISHED for t in tasks)

    def verdict(self, image_id: str) -> str:
        """Say what became of an image."""
        with self.world(Point(-1, Path(os.devnull))) as world:
            with world.metadata.unit_of_work(read_only=True) as work:
                image = work.images.get(image_id)
                (task,) = work.tasks.of_image(image_id)
                rows = work.locations.of_image(image_id)
            if any(row.status is not LocationStatus.ACTIVE for row in rows):
                return f"stuck rows: {rows}"
            if LOCK in image.properties or task.status in UNFINISHED:
                return f"stuck: {image.status}, {task.status}: {task.message}"
            if self.options.missing:
                is_back = image.status is ImageStatus.QUEUED and not rows
                return "survived" if is_back else f"not back: {image.status}"
            if (image.status, task.status) != (ImageStatus.ACTIVE, TaskStatus.SUCCESS):
                return f"failed: {image.status}, {task.status}: {task.message}"
            if {row.store for row in rows} != {"a", "b"}:
                return f"not in both stores: {rows}"
            wanted = CONTENT[::-1] if self._is_turned else CONTENT
            for row in rows:
                path = world.stores.get(row.store).driver.local_path(row)
                if path.read_bytes() != wanted:
                    return f"wrong bytes in {row.store}"
            if image.checksum != hashlib.md5(wanted).hexdigest():
                return "wrong digest"
        return "survived"

    @property
    def _is_turned(self) -> bool:
        return bool(self.options.steps) and self.options.method != "copy-image"

    def leftovers(self) -> dict[str, Any]:
        """Count what nobody needs, after the reapers have been."""
        with self.world(Point(-1, Path(os.devnull))) as world:
            recover(world)
            staged = Staging(world.staging).images()
            with world.metadata.unit_of_work(read_only=True) as work:
                stuck = work.locations.with_status(LocationStatus.WRITING, limit=1000)
                doomed = work.locations.with_status(LocationStatus.PENDING_DELETE, limit=1000)
                known = set()
                for path in (self.folder / "data" / "stores").glob("*/*"):
                    if path.is_file():
                        rows = work.locations.of_image(path.name)
                        known |= {row.url for row in rows if row.url == f"file://{path}"}
            files = [
                path for path in (self.folder / "data" / "stores").rglob("*") if path.is_file()
            ]
            orphans = [str(path) for path in files if f"file://{path}" not in known]
            board = Board(flow_settings(self.config))
            jobs = board.jobs.job_count
            board.close()
        return {
            "orphaned bytes": sum(Path(path).stat().st_size for path in orphans)
            + sum(
                path.stat().st_size
                for image in staged
                for path in (self.folder / "data" / "staging" / image).rglob("*")
            ),
            "rows": len(stuck) + len(doomed),
            "jobs": jobs,
        }


def in_child(deed: Callable[[], None]) -> int:
    """Do something in a process of its own; return how that ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            deed()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def say(file: Path, text: str) -> None:
    """Hand something on to the parent."""
    file.write_text(text)


def one_kill(trial: Trial, at: int) -> dict[str, str] | None:
    """Kill one worker and let another go on; None when there were not so many points."""
    note, log, verdict = (trial.folder / name for name in ("image", "point", "verdict"))
    log.write_text("")
    code = in_child(lambda: trial.run_and_die(at, note, log))
    if code == 0:
        return None
    if code != -signal.SIGKILL:
        raise SystemExit(f"a worker ended with {code}")
    image_id = note.read_text()
    in_child(lambda: trial.go_on(image_id))
    verdict.write_text("stuck: nobody could tell")
    in_child(lambda: say(verdict, trial.verdict(image_id)))
    return {f"{at} {log.read_text()}": verdict.read_text()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="where all of it is kept")
    parser.add_argument("--method", default="glance-direct")
    parser.add_argument("--steps", action="store_true", help="with a step that rewrites the data")
    parser.add_argument("--commits", action="store_true", help="also at each commit and save")
    parser.add_argument("--missing", action="store_true", help="with a source that is not there")
    parser.add_argument("--every", type=int, default=1, help="kill at every so many points")
    parser.add_argument("--jobboard", default="")
    parser.add_argument("--persistence", default="")
    trial = Trial(parser.parse_args())
    outcomes: dict[str, str] = {}
    at = 1
    while (found := one_kill(trial, at)) is not None:
        outcomes.update(found)
        at += trial.options.every
    left = trial.folder / "left"
    in_child(lambda: say(left, json.dumps(trial.leftovers())))
    told = {
        "method": trial.options.method,
        "survived": sum(found == "survived" for found in outcomes.values()),
        "total": len(outcomes),
        "stuck images": sum(found.startswith("stuck") for found in outcomes.values()),
        **json.loads(left.read_text()),
        "others": {name: found for name, found in outcomes.items() if found != "survived"},
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
