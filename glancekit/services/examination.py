# SPDX-License-Identifier: Apache-2.0
"""Trying out the parts of a service one by one, before it is started or while it runs elsewhere.

Each part is asked as the service would ask it, in time; what is wrong is said with what to do.
Building the parts is bootstrap's business; what a running service knows of itself is health's.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from glancekit.core.contracts.auth import AuthDriver, Credentials
from glancekit.core.contracts.cache import CacheEntry, CachePolicy
from glancekit.core.contracts.importing import ImportMethod, ImportStep, StagedImage
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import MetadataDriver, SupportsMigration
from glancekit.core.contracts.store import SupportsDelete, SupportsRange, SupportsWrite
from glancekit.core.drivers import PluginReport, PluginState
from glancekit.core.errors import (
    BlobNotFound,
    GlancekitError,
    Invalid,
    MetadataUnavailable,
    SchemaMismatch,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
    Unauthenticated,
)
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location, now
from glancekit.core.stores import Store
from glancekit.core.stream import FileStream
from glancekit.core.trials import Overdue, attempt_all
from glancekit.services.beginning import is_new, may_begin

SIZE = 100_000
"""Bytes of the object with which a store is tried: more than one of any buffer's first fill."""


class Verdict(StrEnum):
    """How a step went."""

    OK = "ok"
    WRONG = "wrong"
    SKIPPED = "skipped"
    """It was not tried, and the detail says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one step with one part; ``advice`` is what to do when it is wrong."""

    part: str
    step: str
    verdict: Verdict = Verdict.OK
    detail: str = ""
    advice: str = ""
    seconds: float = 0.0


class _NotAsItShouldBe(Exception):
    """A part answered, and the answer is wrong; the message says how."""


def plugins(reports: tuple[PluginReport, ...]) -> Iterator[Finding]:
    """Yield what became of each plugin that the configuration names, or that listens."""
    for report in reports:
        part = report.use if report.use not in ("", "hooks") else f"{report.group} {report.name}"
        if report.state is PluginState.OK:
            yield Finding(part=part, step="load", detail=f"plugin {report.name}")
        else:
            yield Finding(
                part=part,
                step="load",
                verdict=Verdict.WRONG,
                detail=f"plugin {report.name} is {report.state}: {report.reason}",
                advice=_advice_on_plugin(report),
            )


def metadata(driver: MetadataDriver, *, patience: float) -> Iterator[Finding]:
    """Yield whether the records can be used. An empty database stays empty."""
    steps = _Steps("metadata", patience, _advice_on_metadata)
    if isinstance(driver, SupportsMigration):
        yield from steps.take("schema", partial(_require_schema, driver))
        if steps.has_failed or steps.last.verdict is Verdict.SKIPPED:
            return
    yield from steps.take("start", driver.start)
    yield from steps.take("check", driver.check)
    yield from steps.take("read", partial(_read_records, driver))


def auth(driver: AuthDriver, *, patience: float) -> Iterator[Finding]:
    """Yield whether a stranger is told to be one."""
    steps = _Steps("auth", patience, lambda _: "see the options in [auth] and what they point to")
    yield from steps.take("recognise", partial(_recognise, driver))
    yield from steps.take("challenge", partial(_challenge, driver))


def limits(source: LimitSource, *, patience: float) -> Iterator[Finding]:
    """Yield whether there are limits to be known."""
    steps = _Steps("quotas", patience, lambda _: "see the options in [quotas] and [oslo_limit]")
    yield from steps.take("ask", lambda: _say("limits" if source.is_limiting() else "no limits"))


def cache_policy(policy: CachePolicy, *, patience: float) -> Iterator[Finding]:
    """Yield whether a cache policy says what it has to say."""
    advice = "name another policy in [DEFAULT] image_cache_policy, or see its options"
    steps = _Steps("image cache", patience, lambda _: advice)
    yield from steps.take("admit", partial(_admit, policy))
    yield from steps.take("order", partial(_order, policy))


def import_method(name: str, method: ImportMethod, *, patience: float) -> Iterator[Finding]:
    """Yield whether an import method looks at what it is asked for; nothing is fetched."""
    steps = _Steps(f"import method {name}", patience, _advice_on_import)
    yield from steps.take("validate", partial(_validate, method))


def import_step(name: str, step: ImportStep, *, patience: float) -> Iterator[Finding]:
    """Yield whether an import step says if it has anything to do with a small raw image."""
    steps = _Steps(f"import step {name}", patience, _advice_on_import)
    yield from steps.take("applies", partial(_applies, step))


def folder(part: str, path: os.PathLike[str]) -> Finding:
    """Return whether this user can write to a folder, or to the one that it will be made in."""
    place = os.fspath(path)
    nearest = place
    while not os.path.exists(nearest):
        nearest = os.path.dirname(nearest) or os.sep
    if os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK):
        return Finding(part=part, step="write", detail=place)
    return Finding(
        part=part,
        step="write",
        verdict=Verdict.WRONG,
        detail=f"this user cannot write to {nearest}",
        advice=f"name another folder than {place}, or give this user the right to write there",
    )


def image_cache(path: Path, free: int) -> Iterator[Finding]:
    """Yield whether the image cache's folder can be used, and its disk keeps free what it must.

    :param free: bytes that must stay free.
    """
    part = "image cache"
    found = folder(part, path)
    yield found
    if found.verdict is not Verdict.OK or not path.is_dir():
        return
    disk = os.statvfs(path)
    left = disk.f_bavail * disk.f_frsize
    if left >= free:
        yield Finding(part=part, step="room", detail=f"{left} bytes are free on its disk")
        return
    yield Finding(
        part=part,
        step="room",
        verdict=Verdict.WRONG,
        detail=f"its disk has {left} bytes free, and {free} are to stay free: nothing is cached",
        advice="make room on its disk, or lower [DEFAULT] image_cache_free_reserve",
    )


def coordination(part: str, work: Callable[[], object], *, patience: float) -> Iterator[Finding]:
    """Yield whether what processes agree by can be used."""
    steps = _Steps(part, patience, lambda _: "see that it runs, and how its URL is written")
    yield from steps.take("reach", work)


def store(
    store: Store, *, patience: float, metadata: MetadataDriver | None = None
) -> Iterator[Finding]:
    """Yield how a round trip through a store goes: an object is written, read and deleted.

    Its name is a new image's; it is gone afterwards, and where it could not be removed that is a
    finding of its own.

    :param metadata: knows whether the store is new, and its place to be made as by a first start.
    """
    steps = _Steps(f"store {store.id}", patience, partial(_advice_on_store, store))
    if metadata is not None and may_begin(store):
        yield from steps.take("begin", partial(_begin, store, metadata))
    yield from steps.take("check", store.check)
    reason = _not_tried(store)
    if reason:
        yield Finding(part=steps.part, step="write", verdict=Verdict.SKIPPED, detail=reason)
        return
    trip = _RoundTrip(store)
    for step, work in trip.steps():
        yield from steps.take(step, work)
    if steps.has_failed and trip.may_have_left:
        yield from _Steps(steps.part, patience, lambda _: trip.left).take("clean up", trip.discard)


def _advice_on_import(_: BaseException) -> str:
    return "take it out of the configuration, or see its options and its package"


def _sample() -> Image:
    return Image(id=str(uuid.uuid4()), owner="doctor", disk_format="raw", container_format="bare")


def _admit(policy: CachePolicy) -> Finding:
    answer: object = policy.admits(_sample())
    if not isinstance(answer, bool):
        raise _NotAsItShouldBe(f"it says {answer!r:.80}, no yes or no")
    return _say("it takes images" if answer else "it does not take every image")


def _order(policy: CachePolicy) -> None:
    moment = now()
    entries = [
        CacheEntry(
            image_id=str(uuid.uuid4()), size=size, hits=size, cached_at=moment, last_hit_at=moment
        )
        for size in (1, 2, 3)
    ]
    ordered = list(islice(policy.eviction_order(list(entries), moment), len(entries) + 1))
    if len(ordered) != len(entries) or any(entry not in ordered for entry in entries):
        raise _NotAsItShouldBe("of three entries it does not name each once")


def _validate(method: ImportMethod) -> None:
    with suppress(Invalid):  # nothing was asked for, which it may say
        method.validate({})


def _applies(step: ImportStep) -> Finding:
    caller = Identity(user_id="doctor", project_id="doctor")
    with TemporaryDirectory(prefix="glancekit-doctor-") as folder:
        path = Path(folder) / "data"
        path.write_bytes(bytes(512))
        answer: object = step.applies_to(StagedImage(image=_sample(), path=path, caller=caller))
    if not isinstance(answer, bool):
        raise _NotAsItShouldBe(f"it says {answer!r:.80}, no yes or no")
    return _say("it would do something" if answer else "it would do nothing")


class _Steps:
    """Takes steps one after another, each in time, until one fails."""

    def __init__(self, part: str, patience: float, advice: Callable[[BaseException], str]) -> None:
        self.part = part
        self.has_failed = False
        self.last = Finding(part=part, step="")
        self._patience = patience
        self._advice = advice

    def take(self, step: str, work: Callable[[], object]) -> Iterator[Finding]:
        """Yield what came of a step; nothing when an earlier one failed."""
        if self.has_failed:
            return
        began = time.perf_counter()
        (outcome,) = attempt_all([work], deadline=self._patience)
        self.last = self._finding(step, outcome, time.perf_counter() - began)
        self.has_failed = self.last.verdict is Verdict.WRONG
        yield self.last

    def _finding(self, step: str, outcome: object, seconds: float) -> Finding:
        taken = Finding(part=self.part, step=step, seconds=seconds)
        if isinstance(outcome, Finding):
            return replace(outcome, part=self.part, step=step, seconds=seconds)
        if not isinstance(outcome, BaseException):
            return taken
        return replace(
            taken,
            verdict=Verdict.WRONG,
            detail=self._detail(outcome),
            advice=self._advice(outcome),
        )

    def _detail(self, error: BaseException) -> str:
        if isinstance(error, Overdue):
            return f"no answer within {self._patience:g} s"
        if isinstance(error, GlancekitError | _NotAsItShouldBe):
            return str(error)
        return f"{type(error).__name__}: {error}"


class _RoundTrip:
    """One small object on its way into a store and out again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._image_id = str(uuid.uuid4())
        self._data = os.urandom(SIZE)
        self._location: Location | None = None
        self.may_have_left = False

    @property
    def left(self) -> str:
        """What to do about what may be left."""
        return f"remove what there is of {self._image_id} in store {self._store.id} by hand"

    def steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what to do, by name, in order."""
        yield "write", self._write
        yield "size", self._size
        yield "read", self._read
        if self._store.supports(SupportsRange):
            yield "range", self._range
        yield "delete", self._delete
        yield "gone", self._gone

    def discard(self) -> None:
        """Remove whatever is there of the object."""
        self._store.discard(self._image_id)

    def _write(self) -> None:
        self.may_have_left = True
        source = FileStream(BytesIO(self._data))
        self._location = self._store.write(self._image_id, source, SIZE)

    def _size(self) -> None:
        size = self._store.size(self._there())
        if size not in (SIZE, None):
            raise _NotAsItShouldBe(f"{SIZE} bytes were written, it says {size}")

    def _read(self) -> None:
        with self._store.open(self._there()) as opened:
            self._require_same(b"".join(opened), self._data)

    def _range(self) -> None:
        with self._store.open_range(self._there(), 17, 4096) as opened:
            self._require_same(b"".join(opened), self._data[17 : 17 + 4096])

    def _delete(self) -> None:
        if self._store.supports(SupportsDelete):
            self._store.delete(self._there())
        else:
            self.discard()

    def _gone(self) -> None:
        try:
            self._store.open(self._there()).close()
        except BlobNotFound:
            self.may_have_left = False
            return
        raise _NotAsItShouldBe("it was deleted, and can still be opened")

    def _there(self) -> Location:
        if self._location is None:
            raise _NotAsItShouldBe("nothing was written")
        return self._location

    @staticmethod
    def _require_same(got: bytes, wanted: bytes) -> None:
        if got != wanted:
            raise _NotAsItShouldBe("other bytes came out than went in")


def _say(detail: str) -> Finding:
    return Finding(part="", step="", detail=detail)


def _skip(detail: str) -> Finding:
    return Finding(part="", step="", verdict=Verdict.SKIPPED, detail=detail)


def _begin(store: Store, metadata: MetadataDriver) -> Finding:
    """Have a new store's place made. An empty database stays empty."""
    try:
        if not isinstance(metadata, SupportsMigration) or metadata.version() is not None:
            metadata.start()
            if not is_new(metadata, store):
                return _say("it is in use: no place is made")
    except GlancekitError as error:
        return _skip(f"no telling whether it is new: {error}")
    store.begin()
    return _say("it is new: its place was made")


def _not_tried(store: Store) -> str:
    """Return why a store is not written to, if so."""
    if not store.supports(SupportsWrite):
        return "its driver only reads"
    if store.read_only:
        return f"[{store.id}] read_only"
    return "it is being drained" if store.draining else ""


def _require_schema(driver: SupportsMigration) -> Finding:
    version, head = driver.version(), driver.head()
    if version is None:
        return _skip("the database is empty; the service's first start makes the tables")
    if version != head:
        raise SchemaMismatch(f"the database is at revision {version}, this release needs {head}")
    return _say(f"revision {version}")


def _read_records(driver: MetadataDriver) -> None:
    with driver.unit_of_work(read_only=True) as work:
        work.leases.holders(alive_at=now())


def _recognise(driver: AuthDriver) -> Finding:
    try:
        found = driver.authenticate(Credentials(headers={}, peer="127.0.0.1"))
    except Unauthenticated:
        return _say("a stranger is told to be one")
    if not isinstance(found, Identity):
        raise _NotAsItShouldBe(f"it takes a stranger for a {type(found).__name__}")
    if not driver.loopback_only:
        raise _NotAsItShouldBe(f"it takes a stranger for user {found.user_id}")
    return _say("everybody is believed; the service listens on loopback only")


def _challenge(driver: AuthDriver) -> None:
    challenge = driver.challenge()
    if not isinstance(challenge, str | None):
        raise _NotAsItShouldBe(f"its challenge is a {type(challenge).__name__}")


def _advice_on_plugin(report: PluginReport) -> str:
    whose = report.distribution or f"the package of plugin {report.name}"
    if report.state is PluginState.MISSING:
        return "install the package, or name another driver"
    if report.state in (PluginState.AMBIGUOUS, PluginState.SHADOWED):
        return "uninstall one of the packages that offer this name"
    return f"mend what the reason says, update or uninstall {whose}, or name another driver"


def _advice_on_metadata(error: BaseException) -> str:
    if isinstance(error, SchemaMismatch):
        return "run 'glancekit db upgrade', or name the right database in [metadata]"
    if isinstance(error, MetadataUnavailable | Overdue):
        return "see that the database runs, and that [metadata] has its address and password"
    return "see the options in [metadata] and what they point to"


def _advice_on_store(store: Store, error: BaseException) -> str:
    if isinstance(error, StoreDenied):
        return f"give the account of [{store.id}] its rights there, or mend its credentials"
    if isinstance(error, StoreFull):
        return "make room, or drain it and name another store"
    if isinstance(error, StoreUnavailable | Overdue):
        return (
            f"see that it runs and can be reached from this host; [{store.id}] timeout is how "
            "long it may take"
        )
    if isinstance(error, BlobNotFound | _NotAsItShouldBe):
        return f"do not use it: driver '{store.kind}', or what is behind it, loses bytes"
    return f"see the options in [{store.id}], or tell whoever made driver '{store.kind}'"
