# SPDX-License-Identifier: Apache-2.0
"""Kills processes while they upload, delete, restore, scrub, reap and remove stray data, and looks
what is left.

A program of its own: it forks each process. Records are in SQLite, data in files. What every
process does, and at which point it is killed, follows from a seed. See --help.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from glancekit.bootstrap import bootstrap, load_config
from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import GlancekitError
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import EVERYBODY, Identity
from glancekit.core.model.listing import ImageQuery
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.stream import IteratorStream
from glancekit.services import data, images
from glancekit.services.keeping.orphan_rounds import remove_all
from glancekit.services.keeping.orphans import Look
from glancekit.services.recovery import recover
from glancekit.services.restoring import is_restorable, restore
from glancekit.services.scrubbing import scrub
from glancekit.services.world import World

ADMIN = Identity(user_id="u", project_id="p", roles=frozenset({"admin", "member", "reader"}))
STRAY = "00000000"
"""How the ids of data begin that no record leads to, from the start."""

POINTS = 40
"""A process is killed at one of so many, and does other things in between."""


class Point:
    """Counts what a process passes, and kills it at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call with a point before and one behind it."""

        def passed(*arguments: Any, **named: Any) -> Any:
            self._pass()
            try:
                return call(*arguments, **named)
            finally:
                self._pass()

        return passed

    def _pass(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Doomed:
    """One process: it does one thing after another to random images until it is killed."""

    def __init__(self, world: World, chance: random.Random) -> None:
        settings = replace(world.settings, delayed_delete=True, scrub_time=0, scrub_rate=1e6)
        self._world = replace(world, settings=settings)
        self._chance = chance
        point = Point(chance.randint(1, POINTS))
        driver = world.stores.get("local").driver
        for name in ("write", "delete", "discard"):
            setattr(driver, name, point.around(getattr(driver, name)))
        begin = world.metadata.unit_of_work

        @contextmanager
        def unit_of_work(*, read_only: bool = False) -> Iterator[UnitOfWork]:
            with begin(read_only=read_only) as work:
                if not read_only:
                    work.commit = point.around(work.commit)  # type: ignore[method-assign]
                yield work

        world.metadata.unit_of_work = unit_of_work  # type: ignore[method-assign]

    def live(self) -> None:
        """Go on until the end."""
        deeds = (self._upload, self._upload, self._delete, self._delete_at_once, self._restore)
        further = (self._scrub, self._reap, self._leave_stray, self._remove_orphans)
        while True:
            with suppress(GlancekitError):
                self._chance.choice((*deeds, *further))()

    def _upload(self) -> None:
        wanted = NewImage(disk_format="raw", container_format="bare")
        made = images.create(self._world, ADMIN, wanted)
        source = IteratorStream(iter([made.id.encode()] * 100))
        data.upload(self._world, ADMIN, made.id, source, size=None, store=None)

    def _delete(self) -> None:
        images.delete(self._world, ADMIN, self._any(ImageStatus.ACTIVE))

    def _delete_at_once(self) -> None:
        settings = replace(self._world.settings, delayed_delete=False)
        world = replace(self._world, settings=settings)
        images.delete(world, ADMIN, self._any(ImageStatus.ACTIVE))

    def _restore(self) -> None:
        restore(self._world, ADMIN, self._any(ImageStatus.PENDING_DELETE))

    def _scrub(self) -> None:
        scrub(self._world)

    def _reap(self) -> None:
        recover(self._world)

    def _leave_stray(self) -> None:
        image_id = STRAY + str(uuid.UUID(int=self._chance.getrandbits(128)))[8:]
        store = self._world.stores.get("local")
        store.write(image_id, IteratorStream(iter([b"stray"])), 5)

    def _remove_orphans(self) -> None:
        remove_orphans(self._world)

    def _any(self, status: ImageStatus) -> str:
        found = [one.id for one in everything(self._world) if one.status is status]
        return self._chance.choice(found) if found else "none"


def everything(world: World) -> Any:
    """Return all images that there are."""
    query = ImageQuery(viewer=EVERYBODY, limit=100_000, os_hidden=None, all_visibilities=True)
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.images.find(query).images


def remove_orphans(world: World) -> None:
    """Remove what has no record, however new it is."""
    for _ in remove_all(world, world.stores.get("local"), timedelta(0), per_second=1e6):
        continue


def look(world: World, folder: Path) -> dict[str, int]:
    """Let the reaper do its work, and count what must not be: bytes lost, and bytes left."""
    while recover(world):
        pass
    lost, pointed_to, kept = 0, set(), 0
    for image in everything(world):
        if image.status is ImageStatus.ACTIVE or is_restorable(image):
            kept += 1
            for place in image.locations:
                with world.stores.get(place.store).open(place) as stream:
                    lost += b"".join(iter(lambda: stream.read(1 << 16), b"")) != (
                        image.id.encode() * 100
                    )
                pointed_to.add(image.id)
    with world.metadata.unit_of_work(read_only=True) as work:
        rows = sum(
            len(work.locations.with_status(status, limit=1000))
            for status in (LocationStatus.WRITING, LocationStatus.PENDING_DELETE)
        )
    saving = sum(image.status is ImageStatus.SAVING for image in everything(world))
    left = {path.name for path in folder.rglob("*") if path.is_file()} - pointed_to
    remove_orphans(world)
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    return {
        "stray left": len(list(Look(world, world.stores.get("local"), timedelta(0)).orphans())),
        "kept": kept,
        "lost": lost,
        "missing": len(pointed_to - files),
        "left over": sum(not name.startswith(STRAY) for name in left),
        "unsettled rows": rows,
        "saving": saving,
    }


def main() -> None:
    """Kill one process after another, look after each, and print the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="An empty one.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    chosen = parser.parse_args()
    file = chosen.folder / "glancekit.conf"
    file.write_text(
        f"[DEFAULT]\ndata_dir = {chosen.folder / 'data'}\n"
        "[plugins]\nplugin_start_timeout = 60\n"  # the machine may be busy
    )
    sums: dict[str, int] = {}
    for number in range(chosen.kills):
        child = os.fork()
        if child == 0:
            chance = random.Random(f"{chosen.seed} {number}")
            Doomed(bootstrap(load_config([str(file)])), chance).live()
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, f"it ended by itself: {status}"
        seer = os.fork()
        if seer == 0:
            with bootstrap(load_config([str(file)])) as world:
                found = look(world, chosen.folder / "data" / "stores")
            (chosen.folder / "found").write_text(json.dumps(found))
            os._exit(0)
        assert os.waitpid(seer, 0)[1] == 0
        for name, count in json.loads((chosen.folder / "found").read_text()).items():
            sums[name] = sums.get(name, 0) + count
    print(json.dumps({"kills": chosen.kills, **sums}))


if __name__ == "__main__":
    main()
