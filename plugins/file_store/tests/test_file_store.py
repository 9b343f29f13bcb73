# SPDX-License-Identifier: Apache-2.0
"""What is the file store's own: directories, permissions, room, paths, and a crash midway."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_file_store.driver import FileStore
from glancekit_file_store.failures import translated

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    BlobUnavailable,
    ConfigError,
    FileStream,
    IteratorStream,
    Location,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
)
from glancekit.testing.faults import TrickleStream

DATA = bytes(range(256)) * 300


def unbegun(**given: object) -> FileStore:
    defaults = {option.name: option.default for option in FileStore.options}
    return FileStore(SimpleNamespace(**defaults | given), name="file")


def store(**given: object) -> FileStore:
    driver = unbegun(**given)
    driver.begin()
    return driver


def one(directory: Path, **given: object) -> FileStore:
    return store(filesystem_store_datadir=str(directory), **given)


def found(directory: Path, **given: object) -> FileStore:
    """Return a store of a directory as it is."""
    return unbegun(filesystem_store_datadir=str(directory), **given)


def put(driver: FileStore, data: bytes = DATA, image_id: str | None = None) -> Location:
    source = FileStream(io.BytesIO(data))
    return driver.write(image_id or str(uuid.uuid4()), source, len(data))


def files(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if not path.is_dir()}


# -- locations


def test_a_location_is_byte_for_byte_upstream_s(tmp_path: Path) -> None:
    directory, image_id = tmp_path / "a dir" / "images", str(uuid.uuid4())
    assert put(one(directory), image_id=image_id).url == f"file://{directory}/{image_id}"
    assert (directory / image_id).read_bytes() == DATA


def test_an_existing_directory_can_be_adopted(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(DATA)
    driver = found(tmp_path)
    for url in (f"file://{tmp_path}/1", f"filesystem://{tmp_path}/1", f"file://{tmp_path}//1"):
        with driver.open(Location(url=url)) as opened:
            assert opened.read() == DATA
    assert driver.size(put(driver)) == len(DATA)


def test_an_adopted_directory_is_one_when_its_last_image_is_gone(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(DATA)
    driver = found(tmp_path)
    driver.delete(Location(url=f"file://{tmp_path}/1"))
    driver.check()
    assert driver.size(put(driver)) == len(DATA)


def test_a_directory_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    location = put(one(tmp_path / "link"))
    by_real_path = Location(url=location.url.replace("/link/", "/real/"))
    for found in (location, by_real_path):
        assert one(tmp_path / "link").size(found) == len(DATA)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "file://{dir}/../secret",
        "file://{dir}/x/../../secret",
        "file://{dir}/folder/inner",
        "file://{dir}/.writing/x",
        "file://{dir}/.hidden",
        "file://{dir}",
        "file://relative",
        "file://{dir}/nul\0",
        "http://{dir}/1",
        "{dir}/1",
        "file://{dir}/link",
        "file://{dir}/folder",
        "file://{dir}/pipe",
    ],
)
def test_nothing_is_opened_but_images_in_the_directories(tmp_path: Path, url: str) -> None:
    directory = tmp_path / "images"
    (directory / "folder").mkdir(parents=True)
    (directory / "folder" / "inner").write_bytes(b"inner")
    (directory / ".hidden").write_bytes(b"hidden")
    (tmp_path / "secret").write_bytes(b"secret")
    (directory / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(directory / "pipe")
    driver, location = one(directory), Location(url=url.format(dir=directory))
    for call in (driver.open, driver.size, driver.local_path):
        with pytest.raises(StoreDenied):
            call(location)
    with pytest.raises(StoreDenied):
        driver.open_range(location, 0, 1)


def test_a_link_in_the_directory_of_the_directory_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "out").symlink_to(tmp_path)
    (tmp_path / "secret").write_bytes(b"secret")
    with pytest.raises(StoreDenied):
        one(tmp_path / "images").open(Location(url=f"file://{tmp_path}/images/out/secret"))


# -- several directories


def test_priority_chooses_the_directory(tmp_path: Path) -> None:
    entries = [f"{tmp_path}/low:1", f"{tmp_path}/high:200", f"{tmp_path}/none"]
    location = put(store(filesystem_store_datadirs=entries))
    assert location.url.startswith(f"file://{tmp_path}/high/")


def test_an_image_is_found_taken_in_whatever_directory(tmp_path: Path) -> None:
    image_id = str(uuid.uuid4())
    put(one(tmp_path / "low"), image_id=image_id)
    driver = store(filesystem_store_datadirs=[f"{tmp_path}/low:1", f"{tmp_path}/high:2"])
    with pytest.raises(BlobExists):
        put(driver, image_id=image_id)
    driver.discard(image_id)
    assert not files(tmp_path)


def test_a_writer_steps_back_when_another_directory_has_the_image_by_then(tmp_path: Path) -> None:
    image_id = str(uuid.uuid4())
    driver = store(filesystem_store_datadirs=[f"{tmp_path}/low:1", f"{tmp_path}/high:2"])

    class Meanwhile(TrickleStream):
        def read(self, size: int = -1, /) -> bytes:
            if not files(tmp_path / "low"):
                put(one(tmp_path / "low"), image_id=image_id)
            return super().read(size)

    with pytest.raises(BlobExists):
        driver.write(image_id, Meanwhile(DATA, piece=100_000), None)
    assert files(tmp_path) == {tmp_path / "low" / image_id}


@pytest.mark.parametrize(
    "options",
    [
        {"filesystem_store_datadirs": ["/a:1", "/a:2"]},
        {"filesystem_store_datadirs": ["/a:high"]},
        {"filesystem_store_datadir": ""},
        {"filesystem_store_file_perm": 888},
        {"filesystem_store_file_perm": 44},
    ],
)
def test_options_that_make_no_sense_stop_the_driver(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as refused:
        store(**options)
    assert next(iter(options)) in str(refused.value)


# -- files


def test_permissions_are_octal_digits_and_open_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "images"
    directory.mkdir(mode=0o700)
    path = one(directory, filesystem_store_file_perm=644).local_path(
        put(one(directory, filesystem_store_file_perm=644))
    )
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(directory.stat().st_mode) == 0o711


def test_without_permissions_the_world_reads_nothing(tmp_path: Path) -> None:
    path = one(tmp_path).local_path(put(one(tmp_path)))
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_zeros_become_holes_when_asked_for(tmp_path: Path) -> None:
    data = bytes(1 << 20) + DATA + bytes(3 << 20)
    thin = put(one(tmp_path, filesystem_thin_provisioning=True), data)
    path = one(tmp_path).local_path(thin)
    assert path is not None
    assert path.read_bytes() == data
    assert path.stat().st_blocks * 512 < 1 << 20


# -- room


def test_an_image_larger_than_the_room_is_refused_before_it_is_read(tmp_path: Path) -> None:
    driver = one(tmp_path)
    free = driver.usage().free or 0
    source = FileStream(io.BytesIO(DATA))
    with pytest.raises(StoreFull):
        driver.write(str(uuid.uuid4()), source, free + (1 << 40))
    assert source.read(1) == DATA[:1]
    assert not files(tmp_path)


def test_the_reserve_is_kept_though_the_size_is_not_known(tmp_path: Path) -> None:
    driver = one(tmp_path, filesystem_store_free_reserve=1 << 60)
    with pytest.raises(StoreFull):
        driver.write(str(uuid.uuid4()), FileStream(io.BytesIO(DATA)), None)
    assert not files(tmp_path)


def test_a_file_size_limit_is_a_full_store(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[2]);"
        "import test_file_store as t; from pathlib import Path;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));\n"
        "try: t.put(t.one(Path(sys.argv[1])))\n"
        "except t.StoreFull: print('full')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "full\n", done.stderr
    assert not files(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB, which takes an administrator to make."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk of its own needs root, who may mount")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("size", [14 << 20, None])
def test_a_disk_that_fills_up_midway_is_full(small_disk: Path, size: int | None) -> None:
    """Somebody else is quicker. Nothing is left, and when there is room again there is room."""
    driver = one(small_disk / "images", filesystem_store_free_reserve=0)
    other = small_disk / "other"
    kept = put(driver)

    def chunks() -> Iterator[bytes]:
        other.write_bytes(bytes(8 << 20))
        for _ in range(14):
            yield b"x" * (1 << 20)

    with pytest.raises(StoreFull):
        driver.write(str(uuid.uuid4()), IteratorStream(chunks()), size)
    assert files(small_disk / "images") == {driver.local_path(kept)}
    with driver.open(kept) as opened:
        assert opened.read() == DATA
    other.unlink()
    whole = b"x" * (14 << 20)
    with driver.open(put(driver, whole)) as opened:
        assert opened.read() == whole


# -- behind our back


def test_what_is_deleted_behind_our_back_is_missing(tmp_path: Path) -> None:
    driver = one(tmp_path)
    location = put(driver)
    path = driver.local_path(location)
    assert path is not None
    path.unlink()
    calls: list[Callable[[], object]] = [
        lambda: driver.open(location),
        lambda: driver.open_range(location, 1, 1),
        lambda: driver.size(location),
        lambda: driver.local_path(location),
        lambda: driver.delete(location),
    ]
    for call in calls:
        with pytest.raises(BlobNotFound):
            call()
    driver.discard(path.name)
    assert driver.size(put(driver, image_id=path.name)) == len(DATA)


def test_who_reads_what_is_deleted_meanwhile_gets_all_of_it(tmp_path: Path) -> None:
    driver = one(tmp_path)
    location = put(driver)
    with driver.open(location) as opened:
        start = opened.read(1000)
        driver.delete(location)
        assert start + opened.read() == DATA


def asked_of(driver: FileStore, location: Location) -> list[Callable[[], object]]:
    """Return everything that is asked of a store about an image, or that needs its place."""
    image_id = location.url.rpartition("/")[2]
    return [
        lambda: driver.open(location),
        lambda: driver.open_range(location, 1, 1),
        lambda: driver.size(location),
        lambda: driver.local_path(location),
        lambda: driver.blob(location),
        lambda: driver.delete(location),
        lambda: driver.discard(image_id),
        lambda: list(driver.contents()),
        driver.usage,
        driver.check,
        lambda: put(driver),
        lambda: driver.adopt(Path(__file__), str(uuid.uuid4())),
    ]


@pytest.mark.parametrize("is_left", [False, True], ids=["missing", "empty"])
def test_a_directory_that_is_not_mounted_is_unavailable_and_stays_as_it_is(
    tmp_path: Path, is_left: bool
) -> None:
    """What is not there is not lost, whatever is asked meanwhile; it comes back as it was."""
    directory = tmp_path / "images"
    driver = one(directory)
    location = put(driver)
    directory.rename(tmp_path / "away")
    if is_left:
        directory.mkdir()  # a mount point is there, and nothing in it
    for call in asked_of(driver, location) * 2:
        with pytest.raises(StoreUnavailable, match="images is not there or empty: is its file"):
            call()
    assert driver.remnants(0) == []
    assert [*tmp_path.rglob("images*")] == ([directory] if is_left else [])
    assert not is_left or [*directory.iterdir()] == []
    if is_left:
        directory.rmdir()
    (tmp_path / "away").rename(directory)
    driver.check()
    with driver.open(location) as opened:
        assert opened.read() == DATA
    assert driver.size(put(driver)) == len(DATA)


def test_a_new_file_system_is_used(tmp_path: Path) -> None:
    """What its maker put there is enough to tell it from the folder that it is mounted on."""
    (tmp_path / "lost+found").mkdir()
    driver = found(tmp_path)
    driver.check()
    assert driver.size(put(driver)) == len(DATA)


def test_one_of_several_directories_may_be_away(tmp_path: Path) -> None:
    """The others are used; what may be in that one is not lost, and the check names it."""
    driver = store(filesystem_store_datadirs=[f"{tmp_path}/low:1", f"{tmp_path}/high:2"])
    there, away = put(one(tmp_path / "low")), put(driver)
    unfinished = str(uuid.uuid4())
    half = tmp_path / "low" / ".writing" / f"{unfinished}.0.part"
    half.touch()
    (tmp_path / "high").rename(tmp_path / "elsewhere")
    (tmp_path / "high").mkdir()
    calls: list[Callable[[], object]] = [
        driver.check,
        lambda: driver.open(away),
        lambda: driver.size(away),
        lambda: driver.delete(away),
        lambda: driver.discard(unfinished),
    ]
    for call in calls:
        # It is no silence, for which all of the store would be passed over.
        with pytest.raises(BlobUnavailable, match="high is not there or empty"):
            call()
    assert not half.exists(), "what can be removed is"
    listing = driver.contents()
    assert next(listing).url == there.url
    with pytest.raises(BlobUnavailable, match="high is not there"):
        next(listing)
    assert driver.usage() == one(tmp_path / "low").usage()
    with driver.open(there) as opened:
        assert opened.read() == DATA
    assert put(driver).url.startswith(f"file://{tmp_path}/low/")
    assert [*(tmp_path / "high").iterdir()] == []
    (tmp_path / "high").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "high")
    driver.check()
    assert driver.size(away) == len(DATA)


def test_a_file_system_that_is_mounted_as_it_is_asked_of_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks: the image was missing, and then the directory was there."""
    directory = tmp_path / "images"
    driver = one(directory)
    location = put(driver)
    directory.rename(tmp_path / "away")
    look = Path.lstat

    def looked_at(path: Path) -> os.stat_result:
        try:
            return look(path)
        finally:
            (tmp_path / "away").rename(directory)

    monkeypatch.setattr(Path, "lstat", looked_at)
    with pytest.raises(StoreUnavailable):
        driver.size(location)
    monkeypatch.undo()
    assert driver.size(location) == len(DATA)


def test_a_mount_that_dies_midway_of_a_read_is_unavailable(tmp_path: Path) -> None:
    class Dying(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    driver = one(tmp_path)
    with driver.open(put(driver)) as opened:
        opened._file.close()
        opened._file = Dying()
        with pytest.raises(StoreUnavailable, match="Stale"):
            opened.read(10)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EACCES, StoreDenied),
        (errno.EROFS, StoreDenied),
        (errno.ESTALE, StoreUnavailable),
        (errno.ENOENT, BlobNotFound),
        (errno.EIO, OSError),
    ],
)
def test_the_system_s_errors_have_a_meaning(number: int, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised, translated("testing"):
        raise OSError(number, os.strerror(number))
    assert isinstance(raised.value.__cause__ or raised.value, OSError)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_without_permission_is_a_denial(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreDenied):
        found(tmp_path / "images").begin()


def test_a_check_leaves_nothing_in_the_directory(tmp_path: Path) -> None:
    one(tmp_path / "a" / "b").check()
    assert (tmp_path / "a" / "b").is_dir()
    assert not files(tmp_path)


@pytest.fixture
def mount_read_only(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Show a folder once more, where it cannot be written to, which takes an administrator."""
    path = tmp_path / "shown"

    def mount(folder: Path) -> Path:
        path.mkdir()
        for words in (["--bind", str(folder), str(path)], ["-o", "remount,bind,ro", str(path)]):
            done = subprocess.run(["mount", *words], capture_output=True)
            if done.returncode != 0:
                pytest.skip("a read-only mount needs root, who may mount")
        return path

    yield mount
    # It may not have come to a mount.
    subprocess.run(["umount", "--lazy", str(path)], capture_output=True)


def test_a_read_only_medium_is_well_where_nothing_is_to_be_added(
    tmp_path: Path, mount_read_only: Callable[[Path], Path]
) -> None:
    """Be it ours or upstream's; and where something is to be, it is told."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1").write_bytes(DATA)
    directory = mount_read_only(tmp_path / "images")
    driver = found(directory, read_only=True)
    driver.check()
    with driver.open(Location(url=f"file://{directory}/1")) as opened:
        assert opened.read() == DATA
    with pytest.raises(StoreDenied, match="Read-only"):
        found(directory).check()
    with pytest.raises(StoreUnavailable, match="is not there or empty"):
        found(tmp_path / "away", read_only=True).check()


def test_a_check_fails_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("not a directory")
    driver = found(tmp_path / "images")
    for call in (driver.begin, driver.check, lambda: put(driver)):
        with pytest.raises(StoreUnavailable):
            call()


# -- crashes


def test_what_a_killed_writer_left_can_be_discarded(tmp_path: Path) -> None:
    image_id = str(uuid.uuid4())
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); import test_file_store as t;"
        "from pathlib import Path; s = t.TrickleStream(bytes(1 << 30), piece=1 << 16, pause=0.01);"
        f"t.one(Path(sys.argv[1])).write({image_id!r}, s, None)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    )
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in files(tmp_path)):
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    left = files(tmp_path)
    assert len(left) == 1
    driver = one(tmp_path)
    with pytest.raises(BlobNotFound):
        driver.open(Location(url=f"file://{tmp_path}/{image_id}"))
    other = put(driver)
    driver.discard(image_id)
    assert files(tmp_path) == {driver.local_path(other)}


def test_a_staged_file_becomes_the_image_itself(tmp_path: Path) -> None:
    """No byte moves: it is the same file, until a second store wants it, which has to copy."""
    first = one(tmp_path / "a")
    second = one(tmp_path / "b")
    staged = tmp_path / "staged"
    staged.write_bytes(b"data")
    image_id = str(uuid.uuid4())
    location = first.adopt(staged, image_id)
    assert location == Location(url=f"file://{tmp_path}/a/{image_id}")
    assert (tmp_path / "a" / image_id).samefile(staged)
    other = second.adopt(staged, image_id)
    if other is not None:  # this file system shares blocks
        assert not (tmp_path / "b" / image_id).samefile(staged)
    assert [*(tmp_path / "a" / ".writing").iterdir()] == []


def test_an_adoption_that_fails_closes_nobody_else_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that was closed is at once another thread's: here it opens a file meanwhile."""
    driver, staged = one(tmp_path / "images"), tmp_path / "staged"
    staged.write_bytes(DATA)
    others: list[int] = []

    def refuse(*_: object) -> None:
        others.append(os.open(os.devnull, os.O_RDONLY))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="Input/output"):
        driver.adopt(staged, str(uuid.uuid4()))
    (other,) = others
    os.fstat(other)
    os.close(other)
    assert not files(tmp_path / "images")
    assert staged.stat().st_nlink == 1
