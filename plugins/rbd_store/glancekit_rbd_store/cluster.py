# SPDX-License-Identifier: Apache-2.0
"""The one connection to the cluster, kept and shared by all calls. Images are not its business."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from glancekit.plugin import GlancekitError, StoreUnavailable
from glancekit_rbd_store.bindings import ConnectionLost, bindings, translated
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

    @property
    def fsid(self) -> str:
        """The cluster's id."""
        with self.connected() as connection:
            return connection.fsid

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Lend the connection; it stays up until all who have it gave it back."""
        with self._lock:
            connection = self._current()
            connection.users += 1
        try:
            yield connection
        except ConnectionLost:
            self.forget()
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
        answers, too: the caller learns of it after one time-out and not after a row of them.
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
        threading.Thread(target=_unwind, args=(stack,), name="rbd-cleanup", daemon=True).start()

    def forget(self) -> None:
        """Use the connection for nothing new; the next call makes another one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.wanted = False
                self._end_unused(connection)

    def _current(self) -> Connection:
        if self._process != os.getpid():
            # Made before a fork, its threads are not in this process: nothing to shut down here.
            self._process, self._connection = os.getpid(), None
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

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


def _unwind(stack: ExitStack) -> None:
    try:
        stack.close()
    except GlancekitError as error:
        LOG.warning("rbd: what an interrupted call left is not removed yet: %s", error)
