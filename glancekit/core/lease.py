# SPDX-License-Identifier: Apache-2.0
"""A process's sign of life in the metadata, by which others see that its unfinished work is dead.

What is done about dead work is the reaper's business (services/builtins).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue

from glancekit.core.background import Background
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import MetadataError
from glancekit.core.model.image import now

log = logging.getLogger(__name__)

LIFETIME = timedelta(seconds=60)
"""How long a process lives after its last sign: above any pause that a healthy one makes."""

RENEWAL = 10.0
"""Seconds between signs; several may be missed before the lease runs out."""


def _host() -> str:
    """Name the host and the process-id space, in which alone a process id means anything."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # not Linux: no process id is ever taken as a proof of death
        return f"{socket.gethostname()}.{uuid.getnode():x}.{uuid.uuid4().hex[:8]}"
    return f"{socket.gethostname()}.{boot[:8]}.{space}"


HOST = _host()
"""This host, since it booted, as this process sees its neighbours."""


class Lease:
    """The lease of this process. ``holder`` is its name: host, process id and a random part."""

    def __init__(
        self,
        metadata: MetadataDriver,
        *,
        lifetime: timedelta = LIFETIME,
        renewal: float = RENEWAL,
    ) -> None:
        self._lifetime = lifetime
        self._renewal = renewal
        self.holder = f"{HOST}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._metadata = metadata
        self._chores: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._at_chores = Background(at_once=1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self) -> None:
        """Take the lease and keep renewing it in a thread."""
        self._renew()
        self._thread.start()

    def stop(self) -> None:
        """Give it up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._at_chores.stop()
        with self._metadata.unit_of_work() as work:
            work.leases.release(self.holder)
            work.commit()

    def later(self, chore: Callable[[], None]) -> None:
        """Do something after the next renewal: clean-up that only a working database allows.

        Nobody else does it while this process lives, since its unfinished work counts as going on.
        It has a thread of its own: what it hangs or breaks at must not cost the process its life.
        """
        self._chores.put(chore)

    def _keep(self) -> None:
        while not self._stopping.wait(self._renewal):
            try:
                self._renew()
            except MetadataError as error:
                log.warning("could not renew the lease of this process, will try again: %s", error)
            except Exception:  # whatever it was, without a sign all work here would count as dead
                log.exception("could not renew the lease of this process, will try again")
            else:
                if not self._chores.empty():
                    self._at_chores.start("clean-up", self._do_chores)

    def _do_chores(self) -> None:
        for _ in range(self._chores.qsize()):
            chore = self._chores.get()
            try:
                chore()
            except MetadataError as error:
                log.warning("could not clean up, will try again: %s", error)
                self._chores.put(chore)
            except Exception:  # the other chores are other people's
                log.exception("could not clean up; the reaper does after this process has ended")

    def _renew(self) -> None:
        with self._metadata.unit_of_work() as work:
            work.leases.renew(self.holder, now() + self._lifetime)
            work.commit()


def is_gone(holder: str) -> bool:
    """Say whether a holder is a process of this host that surely does not exist any more."""
    host, _, rest = holder.partition("/")
    pid = rest.partition("/")[0]
    if host != HOST or not pid.isdigit():
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    # The state follows the command's name in brackets; a zombie writes no more.
    return stat.rpartition(")")[2].split()[0] in "ZX"
