# SPDX-License-Identifier: Apache-2.0
"""Downloads through the cache: one fetch for all, verified before it is kept, in bounded room."""

from __future__ import annotations

import copy
import errno
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_cache_policies.lru import LeastRecentlyUsed
from glancekit_cache_policies.ttl import TimeToLive

from glancekit.core.asking import Asked as Asking
from glancekit.core.background import Background
from glancekit.core.cache.folder import CacheFolder, Limits
from glancekit.core.cache.guarded_policy import GuardedPolicy
from glancekit.core.cache.image_cache import ImageCache, PrefetchRule
from glancekit.core.contracts.store import Caller, SupportsCaller
from glancekit.core.deadline import Deadline
from glancekit.core.errors import ConfigError, Forbidden, StoreUnavailable
from glancekit.core.hookspecs import hookimpl
from glancekit.core.model.changes import ByteRange, NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.services import actions, data, health, images
from glancekit.services.builtins import cache as builtin
from glancekit.services.cache import asking, keeping
from glancekit.services.copies import Download
from glancekit.services.world import Settings, World
from glancekit.testing.cache_liars import HonestPolicy
from glancekit.testing.memory_store import MemoryStore
from glancekit.testing.store import sample

MB = 1 << 20
SIZE = 3 * MB + 77
DATA = sample(SIZE)
PATIENCE = 20.0

Upload = Callable[..., Image]


class Gate(MemoryStore):
    """Gives its bytes a megabyte at a time, each when it is let through; counts what it gave."""

    def __init__(self) -> None:
        super().__init__(name="gate")
        self.opened: list[tuple[int, int]] = []
        self.given = 0
        self.passes = threading.Semaphore(0)
        self.is_open = True
        self.fails_at: int | None = None
        self.waits = 0

    def open(self, location: Location) -> ByteStream:
        return self.open_range(location, 0, len(self._blob(location)))

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        self.opened.append((offset, length))
        return IteratorStream(self._chunks(self._blob(location)[offset : offset + length]))

    def _chunks(self, blob: bytes) -> Iterator[bytes]:
        for start in range(0, len(blob), MB):
            if not self.is_open:
                self.waits += 1
                assert self.passes.acquire(timeout=PATIENCE)
            if self.fails_at == start:
                raise StoreUnavailable("gone")
            chunk = blob[start : start + MB]
            self.given += len(chunk)
            yield chunk

    def close_gate(self) -> None:
        self.is_open = False

    def open_gate(self) -> None:
        self.is_open = True
        self.passes.release(100)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open_gate()


def new_cache(folder: Path, size: int = 100 * MB, policy: Any = None, **known: Any) -> ImageCache:
    chosen = policy or LeastRecentlyUsed(None, name="lru")
    policy = GuardedPolicy(chosen, Asking("cache policies", "one", seconds=5.0))
    limits = Limits(size=size)
    return ImageCache(
        folder=CacheFolder(folder, limits, policy), policy=policy, fills=Background(8), **known
    )


@pytest.fixture
def cached(world: World, gate: Gate, tmp_path: Path) -> Iterator[World]:
    """The world with a cache before the gate."""
    world.hooks.add("cache", builtin)
    stores = Stores([Store("gate", gate)], "gate")
    made = replace(
        world,
        cache=new_cache(tmp_path / "cache"),
        stores=stores,
        settings=Settings(image_size_cap=64 * MB),
    )
    yield made
    gate.open_gate()
    assert made.cache is not None
    made.cache.close()


@pytest.fixture
def upload(cached: World, member: Identity) -> Upload:
    def upload(content: bytes = DATA, **known: Any) -> Image:
        new = NewImage(disk_format="raw", container_format="bare", **known)
        image = images.create(cached, member, new)
        source = IteratorStream(iter([content]))
        return data.upload(cached, member, image.id, source, size=len(content), store=None)

    return upload


def read(found: Download) -> bytes:
    if found.file is not None:
        with found.file as file:
            file.seek(found.offset)
            return file.read(found.length or 0)
    assert found.stream is not None
    with found.stream as stream:
        return b"".join(stream)


def get(world: World, who: Identity, image: Image, wanted: ByteRange | None = None) -> bytes:
    return read(data.download(world, who, image.id, wanted))


def until(claim: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not claim():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def counts(world: World) -> dict[str, int]:
    assert world.cache is not None
    return world.cache.folder.counts()


def entries(world: World) -> Sequence[str]:
    assert world.cache is not None
    return sorted(entry.image_id for entry in world.cache.folder.entries())


def settled(world: World) -> None:
    """Wait for all fills to end."""
    assert world.cache is not None
    folder = world.cache.folder
    until(lambda: not folder.incomplete())
    counted = ("filled", "failed", "invalid")
    until(lambda: sum(folder.counts()[w] for w in counted) >= folder.counts()["misses"])


# -- one fetch for all


def test_a_second_download_comes_from_a_file(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    first = data.download(cached, member, image.id, None)
    assert (first.length, first.total) == (SIZE, SIZE)
    assert read(first) == DATA
    settled(cached)
    second = data.download(cached, member, image.id, None)
    assert second.file is not None
    assert read(second) == DATA
    assert get(cached, member, image, ByteRange(first=MB, last=MB + 9)) == DATA[MB : MB + 10]
    assert gate.opened == [(0, SIZE)]
    assert (counts(cached)["filled"], counts(cached)["hits"]) == (1, 2)


def test_however_many_ask_it_is_fetched_once(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    gate.close_gate()
    with ThreadPoolExecutor(20) as pool:
        readers = [pool.submit(get, cached, member, image) for _ in range(20)]
        until(lambda: gate.waits)
        gate.open_gate()
        assert all(reader.result(PATIENCE) == DATA for reader in readers)
    assert gate.given == SIZE


def test_a_fill_survives_the_first_reader(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    gate.close_gate()
    gate.passes.release()
    first = data.download(cached, member, image.id, None)
    assert first.stream is not None
    assert first.stream.read(1000) == DATA[:1000]
    first.stream.close()
    gate.open_gate()
    settled(cached)
    assert entries(cached) == [image.id]
    assert gate.given == SIZE


def test_a_part_that_is_there_comes_from_the_growing_file_another_from_the_store(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    gate.close_gate()
    gate.passes.release()
    first = data.download(cached, member, image.id, None)
    assert first.stream is not None
    until(lambda: gate.waits == 2)
    assert get(cached, member, image, ByteRange(first=10, last=99)) == DATA[10:100]
    assert gate.opened == [(0, SIZE)]
    gate.passes.release()  # for the one that goes to the store itself
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(get, cached, member, image, ByteRange(first=3 * MB, last=3 * MB + 9))
        until(lambda: len(gate.opened) == 2)
        gate.open_gate()
        assert later.result(PATIENCE) == DATA[3 * MB : 3 * MB + 10]
    assert gate.opened[1] == (3 * MB, 10)
    first.stream.close()


def test_a_part_alone_fills_nothing(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    assert get(cached, member, image, ByteRange(first=0, last=9)) == DATA[:10]
    assert gate.opened == [(0, 10)]
    assert entries(cached) == []


# -- only what is right


def test_what_has_not_its_digest_is_served_as_it_is_and_not_kept(
    cached: World,
    gate: Gate,
    member: Identity,
    upload: Upload,
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = upload()
    wrong = bytes([DATA[0] ^ 1]) + DATA[1:]
    gate.blobs[image.id] = wrong
    assert get(cached, member, image) == wrong
    settled(cached)
    assert entries(cached) == []
    assert counts(cached)["invalid"] == 1
    assert "not its digest" in caplog.text


def test_a_fill_that_fails_midway_is_read_on_from_the_store(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    gate.close_gate()
    gate.passes.release()
    found = data.download(cached, member, image.id, None)
    assert found.stream is not None
    head = found.stream.read(MB)
    gate.fails_at = MB
    gate.passes.release()
    settled(cached)
    gate.fails_at = None
    gate.open_gate()
    assert head + b"".join(found.stream) == DATA
    found.stream.close()
    assert gate.opened == [(0, SIZE), (MB, SIZE - MB)]
    assert entries(cached) == []
    assert counts(cached)["failed"] == 1


def test_a_store_that_cannot_give_the_first_byte_is_said_to_before_an_answer(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    del gate.blobs[image.id]
    with pytest.raises(Exception, match=r"gate|no data"):
        data.download(cached, member, image.id, None)
    settled(cached)
    assert entries(cached) == []


def test_an_image_without_a_digest_is_not_cached(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    with cached.metadata.unit_of_work() as work:
        bare = replace(
            work.images.get(image.id), checksum=None, os_hash_algo=None, os_hash_value=None
        )
        work.images.save(bare, expect_status={ImageStatus.ACTIVE})
        work.commit()
    assert get(cached, member, image) == DATA
    assert get(cached, member, image) == DATA
    assert len(gate.opened) == 2


def test_an_md5_will_do(cached: World, gate: Gate, member: Identity, upload: Upload) -> None:
    image = upload()
    with cached.metadata.unit_of_work() as work:
        old = replace(work.images.get(image.id), os_hash_algo=None, os_hash_value=None)
        assert old.checksum == hashlib.md5(DATA).hexdigest()
        work.images.save(old, expect_status={ImageStatus.ACTIVE})
        work.commit()
    assert get(cached, member, image) == DATA
    settled(cached)
    assert entries(cached) == [image.id]


def test_a_file_that_is_not_whole_is_dropped_and_fetched_again(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    get(cached, member, image)
    settled(cached)
    (file,) = (cached.cache.folder.path / "images").iterdir()  # type: ignore[union-attr]
    os.truncate(file, SIZE - 1)
    assert get(cached, member, image) == DATA
    settled(cached)
    assert get(cached, member, image) == DATA
    assert len(gate.opened) == 2
    assert counts(cached)["invalid"] == 1


def test_a_file_that_has_changed_is_found_when_it_is_read_again(
    cached: World, member: Identity, upload: Upload
) -> None:
    images_ = [upload(), upload(DATA[:MB])]
    for image in images_:
        get(cached, member, image)
    settled(cached)
    cache = cached.cache
    assert cache is not None
    (file,) = (cache.folder.path / "images").glob(f"{images_[0].id}.*")
    with file.open("r+b") as changed:
        changed.write(b"\0\1\2\3")
    always = replace(cache, verify_after=timedelta(seconds=-5))
    assert keeping.clean(cached, cache) == 0
    assert keeping.clean(cached, always) == 1
    assert entries(cached) == [images_[1].id]
    assert keeping.clean(cached, replace(cache, verify_after=timedelta(hours=1))) == 0


# -- for whom


def test_a_deactivated_image_is_for_administrators_from_the_cache_too(
    cached: World, gate: Gate, admin: Identity, member: Identity, upload: Upload
) -> None:
    image = upload()
    get(cached, member, image)
    settled(cached)
    actions.deactivate(cached, admin, image.id)
    with pytest.raises(Forbidden):
        data.download(cached, member, image.id, None)
    assert get(cached, admin, image) == DATA
    assert len(gate.opened) == 1


def test_a_deleted_image_goes_at_once(cached: World, member: Identity, upload: Upload) -> None:
    image, other = upload(), upload(DATA[:MB])
    for each in (image, other):
        get(cached, member, each)
    settled(cached)
    images.delete(cached, member, image.id)
    assert entries(cached) == [other.id]


def test_an_image_that_is_deleted_while_it_is_fetched_is_not_kept(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    image = upload()
    gate.close_gate()
    gate.passes.release()
    found = data.download(cached, member, image.id, None)
    assert found.stream is not None
    images.delete(cached, member, image.id)
    gate.open_gate()
    settled(cached)
    found.stream.close()
    assert entries(cached) == []


def test_the_cleaner_finds_what_was_deleted_elsewhere(
    cached: World, member: Identity, upload: Upload
) -> None:
    image, other = upload(), upload(DATA[:MB])
    for each in (image, other):
        get(cached, member, each)
    settled(cached)
    images.delete(replace(cached, cache=None), member, image.id)
    assert cached.cache is not None
    assert keeping.clean(cached, cached.cache) == 1
    assert entries(cached) == [other.id]


# -- in bounded room


def test_what_has_no_room_is_served_past_the_cache(
    cached: World, gate: Gate, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    small = replace(cached, cache=new_cache(tmp_path / "small", size=SIZE - 1))
    image = upload()
    assert get(small, member, image) == DATA
    assert get(small, member, image) == DATA
    assert len(gate.opened) == 2
    assert counts(small)["passed"] == 2


def test_the_limit_holds_while_many_are_fetched(
    cached: World, gate: Gate, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    small = replace(cached, cache=new_cache(tmp_path / "small", size=5 * MB))
    several = [upload(bytes([number]) * (2 * MB)) for number in range(5)]
    gate.close_gate()
    with ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(get, small, member, image) for image in several]
        until(lambda: gate.waits == 5)
        assert small.cache is not None
        assert small.cache.folder.used() == 4 * MB
        gate.open_gate()
        for number, reader in enumerate(readers):
            assert reader.result(PATIENCE) == bytes([number]) * (2 * MB)
    settled(small)
    assert len(entries(small)) == 2
    assert counts(small)["passed"] == 3


def test_room_is_made_by_the_policy(
    cached: World, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    small = replace(cached, cache=new_cache(tmp_path / "small", size=2 * SIZE))
    first, second, third = upload(), upload(DATA[1:]), upload(DATA[2:])
    for image in (first, second):
        get(small, member, image)
        settled(small)
    get(small, member, first)
    get(small, member, third)
    settled(small)
    assert entries(small) == sorted([first.id, third.id])
    assert counts(small)["evicted"] == 1


def test_the_disk_keeps_what_must_stay_free(
    cached: World, gate: Gate, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    policy = new_cache(tmp_path / "other").policy
    folder = CacheFolder(tmp_path / "full", Limits(size=1 << 50, free=1 << 60), policy)
    full = replace(cached, cache=ImageCache(folder=folder, policy=policy, fills=Background(1)))
    assert get(full, member, upload()) == DATA
    assert entries(full) == []
    assert counts(full)["passed"] == 1


def test_a_policy_that_fails_costs_no_download(
    cached: World, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    class Broken(HonestPolicy):
        def admits(self, image: Image) -> bool:
            return True

        def eviction_order(self, entries: Any, now: Any) -> Any:
            raise ZeroDivisionError

    class Refuses(Broken):
        def admits(self, image: Image) -> bool:
            raise ZeroDivisionError

    for number, policy in enumerate((Broken(), Refuses())):
        made = new_cache(tmp_path / str(number), size=SIZE, policy=policy)
        odd = replace(cached, cache=made)
        for content in (DATA, DATA[1:]):
            assert get(odd, member, upload(content)) == content
            settled(odd)


# -- what is cached


def test_hook_should_cache_decides(
    cached: World, gate: Gate, member: Identity, upload: Upload
) -> None:
    class Golden:
        @hookimpl
        def should_cache(self, image: Image, stores: Stores) -> bool | None:
            assert [store.id for store in stores] == ["gate"]
            return None if "odd" in image.tags else "golden" in image.tags

    cached.hooks.add("golden", Golden())
    usual, golden = upload(), upload(tags=frozenset({"golden"}))
    odd = upload(DATA[:MB], tags=frozenset({"odd"}))
    for image in (usual, golden, odd):
        get(cached, member, image)
        settled(cached)
    assert entries(cached) == sorted([golden.id, odd.id])


@pytest.mark.parametrize("answer", ["yes", 1, OSError("no")])
def test_an_answer_that_makes_no_sense_costs_a_line_in_the_log(
    cached: World,
    member: Identity,
    upload: Upload,
    answer: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd:
        @hookimpl
        def should_cache(self) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    cached.hooks.add("odd", Odd())
    image = upload()
    get(cached, member, image)
    settled(cached)
    assert entries(cached) == [image.id]
    assert "plugin odd" in caplog.text


def test_local_files_are_left_out(world: World, active: Image) -> None:
    """The fixture's store says of itself that its data may be files of this host."""
    assert builtin.should_cache(active, world.stores) is False


# -- in advance, and afterwards


def test_what_the_rules_mean_is_fetched_before_anybody_asks(
    cached: World, gate: Gate, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    rules = [PrefetchRule.parse("tag:golden"), PrefetchRule.parse("os_distro=debian")]
    cache = new_cache(tmp_path / "ahead", prefetch=rules)
    ahead = replace(cached, cache=cache)
    upload()
    golden = upload(DATA[1:], tags=frozenset({"golden"}))
    debian = upload(DATA[2:], properties={"os_distro": "debian"})
    assert keeping.prefetch(ahead, cache) == 2
    assert keeping.prefetch(ahead, cache) == 0
    assert entries(ahead) == sorted([golden.id, debian.id])


def test_nothing_goes_for_what_nobody_asked_for_yet(
    cached: World, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    cache = new_cache(tmp_path / "ahead", size=SIZE, prefetch=[PrefetchRule(tag="golden")])
    ahead = replace(cached, cache=cache)
    wanted = upload()
    upload(DATA[1:], tags=frozenset({"golden"}))
    get(ahead, member, wanted)
    settled(ahead)
    assert keeping.prefetch(ahead, cache) == 0
    assert entries(ahead) == [wanted.id]


@pytest.mark.parametrize("rule", ["", "golden", "tag:", "=x", "os_distro="])
def test_a_rule_that_makes_no_sense_is_refused(rule: str) -> None:
    with pytest.raises(ConfigError, match="image_cache_prefetch"):
        PrefetchRule.parse(rule)


def test_the_pruner_has_go_what_expired_and_what_is_beyond_a_lower_limit(
    cached: World, member: Identity, upload: Upload
) -> None:
    for content in (DATA, DATA[1:], DATA[2:]):
        get(cached, member, upload(content))
        settled(cached)
    cache = cached.cache
    assert cache is not None
    assert keeping.prune(cache) == (0, 0)
    lower = new_cache(cache.folder.path, size=2 * SIZE)
    assert keeping.prune(lower) == (1, SIZE)
    ttl = TimeToLive(SimpleNamespace(age=-1.0), name="ttl")
    assert keeping.prune(new_cache(cache.folder.path, policy=ttl))[0] == 2
    assert entries(cached) == []


def test_each_host_looks_after_its_own(world: World, cached: World) -> None:
    assert builtin.register_periodic_tasks(world) == []
    tasks = builtin.register_periodic_tasks(cached)
    assert all(task.everywhere for task in tasks)
    for task in tasks:
        task.run()
        list(task.explain()) if task.explain else None


# -- between hosts


def test_hosts_tell_each_other_what_they_have(
    cached: World, admin: Identity, member: Identity, upload: Upload, tmp_path: Path
) -> None:
    here = new_cache(tmp_path / "here", node="here")
    there = new_cache(tmp_path / "there", node="there")
    image, other = upload(), upload(DATA[:MB])
    for cache in (here, there):
        world = replace(cached, cache=cache)
        get(world, member, image)
        settled(world)
    keeping.report(cached, there)
    assert asking.nodes(cached, here, admin, image.id) == ["here", "there"]
    assert asking.nodes(cached, there, admin, image.id) == ["there"]
    assert asking.nodes(cached, here, admin, other.id) == []
    there.folder.clear()
    keeping.report(cached, there)
    assert asking.nodes(cached, here, admin, image.id) == ["here"]
    with pytest.raises(Forbidden):
        asking.nodes(cached, here, member, image.id)


class Asked(Gate, SupportsCaller):
    """Remembers in whose name its data were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[tuple[str | None, str | None]] = []
        self.caller = Caller(owner=None)

    def acting_for(self, caller: Caller) -> Asked:
        acting = copy.copy(self)
        acting.caller = caller
        return acting

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        self.names.append((self.caller.owner, self.caller.project_id))
        return super().open_range(location, offset, length)


def test_a_fill_asks_in_the_name_of_who_began_it_and_the_prefetcher_in_the_service_s(
    cached: World, member: Identity, upload: Upload
) -> None:
    driver = Asked()
    acting = replace(cached, stores=Stores([Store("gate", driver)], "gate"))
    image, other = upload(), upload(DATA[:MB])
    driver.blobs.update({image.id: DATA, other.id: DATA[:MB]})
    assert get(acting, member, image) == DATA
    settled(acting)
    assert acting.cache is not None
    acting.cache.folder.enqueue(other.id)
    assert keeping.fetch_queued(acting, acting.cache) == 1
    assert driver.names == [("p1", "p1"), ("p1", None)]


# -- a folder that cannot be used


def _gone(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    assert world.cache is not None
    path = world.cache.folder.path
    shutil.rmtree(path)
    return path.mkdir


def _full(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    assert world.cache is not None
    folder = world.cache.folder
    before = folder.limits
    folder.limits = Limits(size=before.size, free=1 << 62)
    return lambda: setattr(folder, "limits", before)


def _read_only(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the kernel refuse what it refuses on a disk that is mounted read-only."""
    assert world.cache is not None
    root, is_writable = str(world.cache.folder.path), [False]
    real_open, real_access = os.open, os.access

    def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        writes = str(path).startswith(root) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not is_writable[0]:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real_open(path, flags, *rest, **named)

    def access(path: Any, mode: int) -> bool:
        is_refused = str(path).startswith(root) and mode & os.W_OK and not is_writable[0]
        return not is_refused and real_access(path, mode)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", access)
    return lambda: is_writable.__setitem__(0, True)


@pytest.mark.parametrize(
    ("breaking", "said"),
    [(_gone, "gone"), (_full, "are to stay free"), (_read_only, "cannot be written to")],
    ids=["gone", "full", "read_only"],
)
def test_a_folder_that_cannot_be_used_is_named_and_costs_no_download(
    cached: World,
    gate: Gate,
    member: Identity,
    upload: Upload,
    monkeypatch: pytest.MonkeyPatch,
    breaking: Callable[[World, pytest.MonkeyPatch], Callable[[], None]],
    said: str,
) -> None:
    image = upload()
    mend = breaking(cached, monkeypatch)
    for _ in range(2):
        assert get(cached, member, image) == DATA
    assert gate.given == 2 * len(DATA)
    found = health.check(cached)
    (part,) = [part for part in found.parts if part.name == "cache"]
    assert (part.ok, part.required, found.ok) == (False, False, True)
    assert said in part.detail
    assert "downloads come from the stores" in part.detail
    report = {task.name: task for task in builtin.register_periodic_tasks(cached)}["cache report"]
    assert said in str(report.run())
    mend()
    (part,) = [part for part in health.check(cached).parts if part.name == "cache"]
    assert (part.ok, part.detail) == (True, "")
    assert get(cached, member, image) == DATA
    settled(cached)
    assert get(cached, member, image) == DATA
    assert gate.given == 3 * len(DATA), "it is cached again"


def test_a_check_that_hangs_is_a_folder_that_cannot_be_used(
    cached: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cached.cache is not None
    released = threading.Event()
    hanging = replace(cached.cache, checking=Deadline("image cache", 0.1))
    monkeypatch.setattr(CacheFolder, "check", lambda _: released.wait(PATIENCE))
    assert "no answer" in hanging.problem()
    released.set()
    hanging.checking.close()
