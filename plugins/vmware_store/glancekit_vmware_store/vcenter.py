# SPDX-License-Identifier: Apache-2.0
"""A vCenter and the calls that are made of it: sessions that end are begun anew, tasks are waited
for. Bytes of files are not its business."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import Any, TypeVar

from pyVmomi import SoapStubAdapter, vim, vmodl

from glancekit.plugin import (
    BlobNotFound,
    BlobUnavailable,
    GlancekitError,
    StoreDenied,
    StoreUnavailable,
)
from glancekit_vmware_store.connection import Connection
from glancekit_vmware_store.failures import translated
from glancekit_vmware_store.options import Datastore, Settings
from glancekit_vmware_store.places import Place

log = logging.getLogger(__name__)

T = TypeVar("T")

_VERSION = "vim.version.version9"
"""Of the protocol: that of vSphere 5.5. It has all that is asked for, newer servers know it."""

_CONNECTIONS = 8
"""Connections that are kept for the next call."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds before a call is repeated, three times as many each time."""

_DENIED = 60.0
"""Seconds for which who was denied does not log in again: a vCenter locks an account out for five
minutes after five attempts in three."""

_FIRST_LOOK = 0.02
"""Seconds before a task is looked at for the first time, twice as many each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """One login: what calls are made with, and the cookie that proves it."""

    stub: Any
    content: Any
    cookie: str = field(repr=False)
    process: int


@dataclass(frozen=True, slots=True)
class Found:
    """The server's own names of a datastore and what belongs to it."""

    datacenter: str
    datastore: str
    browser: str


@dataclass(frozen=True, slots=True)
class Room:
    """How large a datastore is and how much is free, in bytes."""

    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as the server tells of it: its bytes, and for how many seconds it was left alone."""

    size: int
    left_alone: float


class VCenter:
    """Calls of a vCenter, with errors of ours."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._logging_in = threading.Lock()
        self._session: Session | None = None
        self._tried = 0
        self._failure: GlancekitError | None = None
        self._denied_until = 0.0
        self._finding = threading.Lock()
        self._found: dict[Datastore, Found] = {}
        self._away: set[Datastore] = set()

    # -- sessions

    def session(self) -> Session:
        """Return the session there is, or begin one.

        Whoever waits while another begins one in vain does not try after it: with a server that
        hangs, one after the other would.
        """
        tried = self._tried
        with self._logging_in:
            # What a parent process has is left to it, its connections above all.
            if self._session is None or self._session.process != os.getpid():
                is_denied = time.monotonic() < self._denied_until
                if self._failure is not None and (self._tried != tried or is_denied):
                    raise type(self._failure)(self._failure.detail) from self._failure
                self._session = self._begin()
            return self._session

    def forget(self, session: Session) -> None:
        """Take note that the server does not know a session any more."""
        with self._logging_in:
            if self._session is session:
                log.info("the session with %s has ended", self._settings.netloc)
                self._session = None
        session.stub.DropConnections()

    def close(self) -> None:
        """End the session; the server would keep it for half an hour."""
        with self._logging_in:
            session, self._session = self._session, None
        if session is not None and session.process == os.getpid():
            # It may be gone, or the server: there is nothing left to be done about it.
            with suppress(GlancekitError), translated("logging out"):
                session.content.sessionManager.Logout()
            session.stub.DropConnections()

    def call(self, deed: str, ask: Callable[[Session], T]) -> T:
        """Make a call; anew where the session has ended, or the connection broke.

        It may have been carried out when it is repeated.
        """
        renewed, failures = False, 0
        while True:
            session = self.session()
            try:
                with translated(deed):
                    return self._ask(session, ask)
            except _SessionEnded as error:
                self.forget(session)
                if renewed:
                    raise StoreUnavailable(f"{deed}: a new session ended at once") from error
                renewed = True
            except StoreUnavailable as error:
                failures += 1
                if not _is_broken(error.__cause__) or failures > self._settings.retries:
                    raise
                log.info("%s is tried again after: %s", deed, error)
                time.sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 3 ** (failures - 1)))

    # -- datastores

    def find(self, datastore: Datastore) -> Found:
        """Return the server's names for a datastore.

        :raises BlobUnavailable: when there is none of this name.
        """
        with self._finding:
            found = self._found.get(datastore)
        if found is None:
            found = self.call("looking for a datastore", lambda s: _find(s, datastore))
            with self._finding:
                self._found[datastore] = found
        return found

    def rooms(self, *, anew: bool = False) -> dict[Datastore, Room]:
        """Return how much room there is in each datastore that can be used.

        :param anew: look for each, too.
        :raises StoreUnavailable: when none can.
        """
        rooms = {}
        away: BlobUnavailable | None = None
        for datastore in self._settings.datastores:
            try:
                rooms[datastore] = self.room(datastore, anew=anew)
            except BlobUnavailable as error:
                away = error
        if not rooms and away is not None:
            raise StoreUnavailable(away.detail) from away
        return rooms

    def room(self, datastore: Datastore, *, anew: bool = False) -> Room:
        """Return how much room there is in a datastore, as of when the server last looked.

        :param anew: look for it, too: it may be elsewhere by now.
        :raises BlobUnavailable: when it cannot be used, which the log tells when it begins.
        """
        if anew:
            self._lose(datastore)
        try:
            room = self._room(datastore)
        except BlobUnavailable as error:
            self._note(datastore, error)
            raise
        self._note(datastore, None)
        return room

    # -- files, by tasks

    def make_folder(self, datastore: Datastore) -> None:
        """Make the images' folder; also when it is there."""
        name = f"[{datastore.name}] {self._settings.folder}"

        def make(session: Session, found: Found) -> None:
            datacenter = vim.Datacenter(found.datacenter, session.stub)
            with suppress(vim.fault.FileAlreadyExists):
                session.content.fileManager.MakeDirectory(name, datacenter, True)

        self._call_in(datastore, "making the folder", make)

    def delete(self, place: Place) -> None:
        """Remove a file.

        :raises BlobNotFound: when there is none.
        """
        asked = 0

        def begin(session: Session, found: Found) -> Any:
            nonlocal asked
            asked += 1
            datacenter = vim.Datacenter(found.datacenter, session.stub)
            return session.content.fileManager.DeleteDatastoreFile_Task(place.name, datacenter)

        try:
            self._run(place.datastore, "deleting", begin)
        except BlobNotFound:
            if asked == 1:
                self.room(place.datastore, anew=True)
                raise
            log.info("%s was deleted by a call whose answer was lost", place.name)

    def rename(self, old: Place, new: Place) -> None:
        """Give a file another name in its datastore.

        :raises BlobExists: when the name is taken; or it was done by a call whose answer was lost.
        """

        def begin(session: Session, found: Found) -> Any:
            datacenter = vim.Datacenter(found.datacenter, session.stub)
            return session.content.fileManager.MoveDatastoreFile_Task(
                old.name, datacenter, new.name, datacenter, False
            )

        self._run(old.datastore, "publishing", begin)

    def files_like(self, datastore: Datastore, patterns: list[str]) -> dict[str, Seen]:
        """Return which files of the images' folder match; none where there is no folder."""
        browsing = vim.host.DatastoreBrowser
        details = browsing.FileInfo.Details(
            fileType=False, fileSize=True, modification=True, fileOwner=False
        )
        wanted = browsing.SearchSpec(matchPattern=patterns, details=details)
        folder = f"[{datastore.name}] {self._settings.folder}"

        def begin(session: Session, found: Found) -> Any:
            browser = browsing(found.browser, session.stub)
            return browser.SearchDatastore_Task(folder, wanted)

        try:
            result = self._run(datastore, "looking for files", begin)
        except BlobNotFound:
            self.room(datastore, anew=True)
            return {}
        now = self.call("asking for the time", _time)
        return {
            file.path: Seen(file.fileSize, (now - file.modification).total_seconds())
            for file in result.file
        }

    # -- how

    def _begin(self) -> Session:
        """Log in, and take note of how it went."""
        try:
            with translated("logging in"):
                session = self._log_in()
        except GlancekitError as error:
            self._tried += 1
            self._failure = error
            if isinstance(error, StoreDenied):
                self._denied_until = time.monotonic() + _DENIED
            raise
        self._failure = None
        return session

    def _log_in(self) -> Session:
        settings = self._settings
        stub = SoapStubAdapter(
            host=settings.host,
            port=settings.port,
            version=_VERSION,
            poolSize=_CONNECTIONS,
        )
        stub.scheme = lambda **_: Connection(settings)  # of which it asks no more than we do
        try:
            content: Any = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
            content.sessionManager.Login(settings.username, settings.password, None)
        except BaseException:
            stub.DropConnections()
            raise
        log.info("logged in to %s", settings.netloc)
        return Session(stub, content, str(stub.cookie).partition(";")[0], os.getpid())

    def _ask(self, session: Session, ask: Callable[[Session], T]) -> T:
        try:
            return ask(session)
        except vim.fault.NotAuthenticated as error:
            raise _SessionEnded from error

    def _call_in(self, datastore: Datastore, deed: str, ask: Callable[[Session, Found], T]) -> T:
        """Make a call about a datastore; once more where the server has another name for it."""
        found = self.find(datastore)
        try:
            return self.call(deed, lambda session: ask(session, found))
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, vmodl.fault.ManagedObjectNotFound):
                raise
        self._lose(datastore)  # it was taken away and put back
        found = self.find(datastore)
        return self.call(deed, lambda session: ask(session, found))

    def _room(self, datastore: Datastore) -> Room:
        seen = self._summary_of(datastore)
        if seen["name"] != datastore.name:  # it is called otherwise now, and may be another's
            self._lose(datastore)
            seen = self._summary_of(datastore)
        if not seen["summary.accessible"]:
            raise BlobUnavailable(f"the datastore {datastore.name} is not accessible")
        return Room(total=seen["summary.capacity"], free=seen["summary.freeSpace"])

    def _summary_of(self, datastore: Datastore) -> dict[str, Any]:
        def look(session: Session, found: Found) -> dict[str, Any]:
            seen = vim.Datastore(found.datastore, session.stub)
            of = ["capacity", "freeSpace", "accessible"]
            return _properties(session, seen, ["name", *(f"summary.{name}" for name in of)])

        return self._call_in(datastore, "asking for the room", look)

    def _note(self, datastore: Datastore, away: BlobUnavailable | None) -> None:
        """Tell the log when a datastore goes away and when it comes back."""
        with self._finding:
            if (datastore in self._away) == (away is not None):
                return
            self._away ^= {datastore}
        if away is None:
            log.warning("the datastore %s can be used again", datastore.name)
        else:
            log.warning("the store does without the datastore %s: %s", datastore.name, away.detail)

    def _lose(self, datastore: Datastore) -> None:
        """Look for a datastore anew when it is needed next."""
        with self._finding:
            self._found.pop(datastore, None)

    def _run(self, datastore: Datastore, deed: str, begin: Callable[[Session, Found], Any]) -> Any:
        """Begin a task in a datastore, wait for its end and return what came of it."""
        task = self._call_in(
            datastore, deed, lambda session, found: str(begin(session, found)._GetMoId())
        )
        end = time.monotonic() + self._settings.task_timeout
        pause = _FIRST_LOOK
        while True:
            seen = self.call(deed, lambda session: _look_at(session, task))
            state = seen["info.state"]
            if state == vim.TaskInfo.State.success:
                return seen.get("info.result")
            if state == vim.TaskInfo.State.error:
                with translated(deed):
                    raise seen["info.error"]
            if time.monotonic() > end:
                raise StoreUnavailable(f"{deed}: the server has not done it in time")
            time.sleep(pause)
            pause = min(2 * pause, self._settings.task_poll)


class _SessionEnded(Exception):
    """The server does not know who is asking."""


def _is_broken(error: BaseException | None) -> bool:
    """Tell whether a connection broke; who does not answer, or is not trusted, is left alone."""
    is_final = isinstance(error, TimeoutError | ssl.SSLCertVerificationError)
    return isinstance(error, OSError | HTTPException) and not is_final


def _time(session: Session) -> datetime:
    """Return the server's own time: files are as old as it says."""
    now: datetime = vim.ServiceInstance("ServiceInstance", session.stub).CurrentTime()
    return now


def _find(session: Session, datastore: Datastore) -> Found:
    datacenter = session.content.searchIndex.FindByInventoryPath(datastore.datacenter)
    if not isinstance(datacenter, vim.Datacenter):
        raise BlobUnavailable(f"there is no datacenter {datastore.datacenter}")
    for candidate, name in _datastores_of(session, datacenter):
        if name == datastore.name:
            browser = _properties(session, candidate, ["browser"])["browser"]
            return Found(datacenter._GetMoId(), candidate._GetMoId(), browser._GetMoId())
    raise BlobUnavailable(f"{datastore.datacenter} has no datastore {datastore.name}")


def _datastores_of(session: Session, datacenter: Any) -> Iterator[tuple[Any, str]]:
    """Yield a datacenter's datastores with their names, by one call for however many there are.

    Those whose names are not for this user are left out: they are nothing to a store.
    """
    collector = vmodl.query.PropertyCollector
    each = collector.TraversalSpec(type=vim.Datacenter, path="datastore", skip=False)
    wanted = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=datacenter, skip=True, selectSet=[each])],
        propSet=[collector.PropertySpec(type=vim.Datastore, pathSet=["name"])],
    )
    for answer in session.content.propertyCollector.RetrieveContents([wanted]):
        for found in answer.propSet:
            yield answer.obj, found.val


def _look_at(session: Session, task: str) -> dict[str, Any]:
    # Not all of 'info': in some servers' answers it names things that the SDK finds no sense in.
    names = ["info.state", "info.error", "info.result"]
    return _properties(session, vim.Task(task, session.stub), names)


def _properties(session: Session, of: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return what the server says of an object; what is not set is left out."""
    collector = vmodl.query.PropertyCollector
    wanted = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=of)],
        propSet=[collector.PropertySpec(type=type(of), pathSet=list(names))],
    )
    answers = session.content.propertyCollector.RetrieveContents([wanted])
    for answer in answers:
        for missing in answer.missingSet:
            raise missing.fault
    return {found.name: found.val for answer in answers for found in answer.propSet}
