# SPDX-License-Identifier: Apache-2.0
"""The one connection to the cluster, kept and shared by all calls. Images are not its business."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from glancekit.plugin import GlancekitError, StoreUnavailable
from glancekit_rbd_store.bindings import ConnectionLost, bindings, meaning_of, translated
from glancekit_rbd_store.options import Settings

LOG = logging.getLogger(__name__)


class Connection:
    """A connected client, how many use it, and the cluster's id."""

    def __init__(self, client: Any, fsid: str) -> None:
        self.client = client
        self.fsid = fsid
        self.users = 0
        self.wanted = True


class Cluster:
    """Hands out pools over one connection, which is made at the first use and after a loss."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._process = 0
        self._connecting = threading.Lock()
        self._renewing = threading.Lock()
        self._failures = 0
        self._failure: GlancekitError | None = None

    @property
    def fsid(self) -> str:
        """The cluster's id."""
        with self.connected() as connection:
            return connection.fsid

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Lend the connection; it stays up until all who have it gave it back."""
        connection = self._taken() or self._made()
        try:
            yield connection
        except ConnectionLost:
            self._forget(connection)
            raise
        finally:
            with self._lock:
                connection.users -= 1
                self._end_unused(connection)

    @contextmanager
    def pool(self, name: str) -> Iterator[Any]:
        """Open a pool; in it a full cluster says so at once instead of making us wait."""
        with self.connected() as connection:
            with translated(f"opening pool {name}", of_cluster=True):
                pool = connection.client.open_ioctx(name)
            try:
                pool.set_osdmap_full_try()
                yield pool
            finally:
                pool.close()

    @contextmanager
    def session(self) -> Iterator[ExitStack]:
        """A stack for what a call opens.

        When the cluster does not answer it is unwound in the background, because that waits for
        answers, too: the caller learns of it after one time-out and not after a row of them. What
        another store raises in it must be ``set_apart``: it is no reason to wait less.
        """
        with ExitStack() as stack:
            try:
                yield stack
            except StoreUnavailable as error:
                self.let_go(stack.pop_all(), error)
                raise

    def let_go(self, stack: ExitStack, error: StoreUnavailable) -> None:
        """Unwind a stack in the background, after an error of the cluster."""
        if isinstance(error, ConnectionLost):
            self.forget()
        work = partial(self._clean_up, stack)
        threading.Thread(target=work, name="rbd-cleanup", daemon=True).start()

    def ask_monitor(self) -> None:
        """Insist on an answer of the monitor, which is what snapshots come and go by.

        librbd waits for it without a time-out when it looks for clones or takes back a snapshot,
        and meanwhile all other calls over the same connection wait, too.
        """
        deed = "asking the monitor"
        with self.connected() as connection, translated(deed):
            code, _, _ = connection.client.mon_command(json.dumps({"prefix": "fsid"}), b"")
            if code:
                raise meaning_of(code, deed)

    def forget(self) -> None:
        """Use the connection for nothing new; the next call makes another one."""
        with self._lock:
            connection = self._connection
        if connection is not None:
            self._forget(connection)

    def _clean_up(self, stack: ExitStack) -> None:
        try:
            stack.close()
        except GlancekitError as error:
            LOG.warning("rbd: what an interrupted call left is not removed yet: %s", error)
        if self._renewing.acquire(blocking=False):
            try:
                self._renew_if_cut_off()
            finally:
                self._renewing.release()

    def _renew_if_cut_off(self) -> None:
        """Connect anew where the monitors answer everybody but the connection there is.

        So it is once the user has another key: a connection goes on with the one it was made with,
        and asks in vain for ever. Where they answer nobody it stays: images are read by it.
        """
        with self._lock:
            connection = self._connection
        if connection is None:
            return
        try:
            self.ask_monitor()
            return
        except GlancekitError as error:
            LOG.info("rbd: connecting anew after: %s", error)
        try:
            another = self._connect()
        except GlancekitError as error:
            LOG.warning("rbd: the old connection is kept: %s", error)
            return
        with self._lock:
            if self._connection is connection:
                self._connection, connection.wanted = another, False
                self._end_unused(connection)
                return
        another.client.shutdown()

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            if self._connection is connection:
                self._connection = None
            connection.wanted = False
            self._end_unused(connection)

    def _taken(self) -> Connection | None:
        """Return the connection that there is, one user more."""
        with self._lock:
            if self._process != os.getpid():
                # Made before a fork, its threads are not in this process: nothing to shut down.
                self._process, self._connection = os.getpid(), None
            if self._connection is not None:
                self._connection.users += 1
            return self._connection

    def _made(self) -> Connection:
        """Return a connection, new or just made by somebody else, one user more.

        Whoever waits while another tries in vain does not try after it: with monitors that do not
        answer, one after the other would.
        """
        failures = self._failures
        with self._connecting:
            connection = self._taken()
            if connection is not None:
                return connection
            if self._failure is not None and self._failures != failures:
                raise type(self._failure)(self._failure.facts["detail"]) from self._failure
            try:
                connection = self._connect()
            except GlancekitError as error:
                self._failures += 1
                self._failure = error
                raise
            self._failure = None
            connection.users = 1
            with self._lock:
                self._connection = connection
            return connection

    def _connect(self) -> Connection:
        rados = bindings().rados
        with translated("connecting to Ceph", of_cluster=True):
            client = rados.Rados(
                conffile=self._settings.conf,
                rados_id=self._settings.user,
                conf=_configuration(self._settings),
            )
            try:
                client.connect()
                return Connection(client, client.get_fsid())
            except BaseException:
                client.shutdown()
                raise

    def _end_unused(self, connection: Connection) -> None:
        if not connection.wanted and connection.users == 0:
            connection.client.shutdown()


def _configuration(settings: Settings) -> dict[str, str]:
    """What of Ceph's own options matters here.

    The time-outs are these, as the argument that ``connect`` has for that is ignored. Transfers
    have several whole objects under way, to which a cache adds nothing but a copy; nor need
    librbd copy what is written, as bytes do not change.
    """
    chosen = {"rbd_cache": "false", "rbd_disable_zero_copy_writes": "false"}
    if settings.connect_timeout > 0:
        seconds = str(max(1, round(settings.connect_timeout)))
        chosen |= {"client_mount_timeout": seconds, "rados_mon_op_timeout": seconds}
    if settings.operation_timeout > 0:
        chosen["rados_osd_op_timeout"] = str(max(1, round(settings.operation_timeout)))
    return chosen
