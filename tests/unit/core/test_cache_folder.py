# SPDX-License-Identifier: Apache-2.0
"""The cache's folder between processes: one of them fills, any may die, nothing half is served."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from glancekit.core.cache.content import Content, content_of
from glancekit.core.cache.filling import Following
from glancekit.core.cache.folder import CacheFolder, Fill, Limits
from glancekit.core.model.image import Image
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.testing.cache_liars import HonestPolicy
from glancekit.testing.store import sample

DATA = sample(300_000)
CONTENT = Content("image-1", len(DATA), "sha256", hashlib.sha256(DATA).hexdigest())

OTHER = """
    import sys
    from pathlib import Path
    from glancekit.core.cache.content import Content
    from glancekit.core.cache.folder import CacheFolder, Limits
    from glancekit.testing.cache_liars import HonestPolicy

    folder = CacheFolder(Path(sys.argv[1]), Limits(size=1 << 30), HonestPolicy())
    fill = folder.claim(Content("image-1", 300_000, "sha256", sys.argv[2]))
    fill.file.write(b"x" * int(sys.argv[3]))
    print("filling", flush=True)
    sys.stdin.read()
"""


BUSY = """
    import hashlib, sys
    from pathlib import Path
    from glancekit.core.cache.content import Content
    from glancekit.core.cache.filling import fill
    from glancekit.core.cache.folder import CacheFolder, Limits
    from glancekit.core.stream import IteratorStream
    from glancekit.testing.cache_liars import HonestPolicy
    from glancekit.testing.store import sample

    folder = CacheFolder(Path(sys.argv[1]), Limits(size=1 << 20), HonestPolicy())
    print("busy", flush=True)
    for number in range(10_000):
        data = sample(300_000, seed=number % 7)
        digest = hashlib.sha256(data).hexdigest()
        content = Content(f"image-{number % 7}", len(data), "sha256", digest)
        pieces = (data[start : start + 10_000] for start in range(0, len(data), 10_000))
        claimed = folder.claim(content)
        if hasattr(claimed, "follower"):
            claimed.follower.close()
            fill(
                folder,
                claimed,
                lambda: IteratorStream(pieces),
                is_wanted=lambda: True,
                is_stopping=lambda: False,
            )
        if number % 3 == 0:
            folder.drop(f"image-{number % 5}")
"""


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "cache", Limits(size=1 << 30), HonestPolicy())


class Filler:
    """Another process, which has claimed the image and written some of it."""

    def __init__(self, folder: CacheFolder, written: int) -> None:
        command = [sys.executable, "-c", textwrap.dedent(OTHER), str(folder.path)]
        self.process = subprocess.Popen(
            [*command, CONTENT.digest, str(written)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        out: IO[bytes] | None = self.process.stdout
        assert out is not None
        assert out.readline() == b"filling\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def filler(folder: CacheFolder) -> Iterator[Filler]:
    filler = Filler(folder, 1000)
    yield filler
    filler.kill()


def never(offset: int, length: int) -> ByteStream:
    raise AssertionError("the store was asked")


def publish(folder: CacheFolder) -> None:
    claimed = folder.claim(CONTENT)
    assert isinstance(claimed, Fill)
    claimed.file.write(DATA)
    assert folder.publish(claimed)
    claimed.file.close()
    claimed.follower.close()


def test_another_process_reads_along(folder: CacheFolder, filler: Filler) -> None:
    growing = folder.claim(CONTENT)
    assert growing is not None
    assert not isinstance(growing, Fill)
    following = Following(growing, 0, 1000, never)
    assert b"".join(following) == b"x" * 1000
    following.close()
    assert folder.used() == len(DATA)


def test_who_reads_along_goes_to_the_store_when_the_filler_dies(
    folder: CacheFolder, filler: Filler
) -> None:
    growing = folder.claim(CONTENT)
    assert growing is not None
    assert not isinstance(growing, Fill)
    asked: list[tuple[int, int]] = []

    def rest(offset: int, length: int) -> ByteStream:
        asked.append((offset, length))
        return IteratorStream(iter([b"y" * length]))

    following = Following(growing, 0, 5000, rest)
    assert following.read(1000) == b"x" * 1000
    filler.kill()
    assert following.read(4000) == b"y" * 4000
    assert asked == [(1000, 4000)]
    following.close()


def test_who_reads_along_with_a_filler_that_is_stuck_goes_to_the_store(
    folder: CacheFolder, filler: Filler
) -> None:
    growing = folder.open_growing(CONTENT)
    assert growing is not None
    following = Following(
        growing, 1000, 5, lambda offset, length: IteratorStream(iter([b"store"])), patience=0.05
    )
    assert following.read(5) == b"store"
    following.close()


def test_what_a_dead_filler_left_is_neither_served_nor_in_the_way(
    folder: CacheFolder, filler: Filler
) -> None:
    growing = folder.open_growing(CONTENT)
    assert growing is not None
    growing.close()
    filler.kill()
    assert folder.open_growing(CONTENT) is None
    assert folder.open_hit(CONTENT) is None
    publish(folder)
    whole = folder.open_hit(CONTENT)
    assert whole is not None
    with whole:
        assert whole.read() == DATA


def test_the_cleaner_removes_what_is_dead_at_once_and_what_lives_when_it_stalls(
    folder: CacheFolder, filler: Filler
) -> None:
    assert folder.clear_stalled(3600) == 0
    (path,) = (folder.path / "incomplete").iterdir()
    os.utime(path, (1, 1))
    assert folder.clear_stalled(3600) == 1
    again = Filler(folder, 10)
    again.kill()
    assert folder.clear_stalled(3600) == 1
    assert folder.incomplete() == []


def test_what_was_taken_away_while_it_was_filled_is_not_published(folder: CacheFolder) -> None:
    claimed = folder.claim(CONTENT)
    assert isinstance(claimed, Fill)
    claimed.file.write(DATA)
    assert folder.drop(CONTENT.image_id)
    assert not folder.publish(claimed)
    claimed.file.close()
    claimed.follower.close()
    assert folder.entries() == []


def test_hits_are_counted_by_all_and_begin_anew_with_the_file(folder: CacheFolder) -> None:
    publish(folder)
    again = CacheFolder(folder.path, folder.limits, HonestPolicy())
    for each in (folder, again, folder):
        file = each.open_hit(CONTENT)
        assert file is not None
        file.close()
    (entry,) = again.entries()
    assert (entry.image_id, entry.size, entry.hits) == ("image-1", len(DATA), 3)
    assert entry.last_hit_at >= entry.cached_at
    assert folder.clear() == 1
    publish(folder)
    assert folder.entries()[0].hits == 0


def test_other_bytes_of_an_image_are_another_file(folder: CacheFolder) -> None:
    publish(folder)
    other = Content("image-1", len(DATA), "sha256", hashlib.sha256(b"other").hexdigest())
    assert folder.open_hit(other) is None


def test_the_queue_keeps_its_order_and_knows_each_once(folder: CacheFolder) -> None:
    for number, image_id in enumerate(("b", "a", "c")):
        folder.enqueue(image_id)
        os.utime(folder.path / "queue" / image_id, (number, number))
    folder.enqueue("c")
    assert folder.queued() == ["b", "a", "c"]
    assert folder.dequeue("a")
    assert not folder.dequeue("a")


def test_what_is_fetched_while_the_queue_is_looked_at_is_not_in_it(
    folder: CacheFolder,
) -> None:
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            folder.enqueue("a")
            folder.dequeue("a")

    folder.enqueue("b")
    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert all("b" in folder.queued() for _ in range(2000))
    finally:
        over.set()
        other.join()


@pytest.mark.parametrize(
    "known",
    [
        {"size": None, "checksum": "0" * 32},
        {"size": 0, "checksum": "0" * 32},
        {"size": 7},
        {"size": 7, "os_hash_algo": "of another planet", "os_hash_value": "0"},
        {"size": 7, "checksum": "0" * 32, "id": "../../etc/passwd"},
    ],
)
def test_what_could_not_be_checked_has_no_file(known: dict[str, object]) -> None:
    image = Image(**{"id": "image-1", "owner": None, **known})  # type: ignore[arg-type]
    assert content_of(image) is None


def test_a_kill_at_any_moment_leaves_nothing_that_is_served_or_in_the_way(
    folder: CacheFolder,
) -> None:
    """Five times a process that fills, evicts and drops all the time is killed somewhere."""
    choose = random.Random(7)
    for _ in range(5):
        command = [sys.executable, "-c", textwrap.dedent(BUSY), str(folder.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as busy:
            assert busy.stdout is not None
            assert busy.stdout.readline() == b"busy\n"
            time.sleep(choose.uniform(0.01, 0.2))
            busy.kill()
        for path in (folder.path / "images").iterdir():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert path.name == f"{path.name.partition('.')[0]}.{digest[:32]}"
        folder.clear_stalled(3600)
        assert folder.incomplete() == []
        assert folder.used() <= 1 << 20
        names = set(folder.names())
        assert {path.name for path in (folder.path / "hits").iterdir()} <= names
    folder.clear()
    publish(folder)
