# SPDX-License-Identifier: Apache-2.0
"""Which process of this machine does the periodic work: the one that holds a file lock (tooz).

What the work is, and when it is due, is not its business.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from glancekit.core.periodic import Election


class FileElection(Election):
    """A lock in the data directory. The kernel releases it when its process dies, however it dies.

    Nothing happens before ``won`` is called for the first time: tooz takes a fifth of a second to
    import, which the start of the service need not wait for.
    """

    def __init__(self, data_dir: Path, name: str = "periodic") -> None:
        self._folder = data_dir / "coordination"
        self._name = name.encode()
        self._coordinator: Any = None
        self._lock: Any = None
        self._held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._held:
            self._lock.release()
            self._held = False
        if self._coordinator is not None:
            self._coordinator.stop()
            self._coordinator = None

    def won(self) -> bool:
        """Take the lock if it is free; True when this process has it."""
        if self._coordinator is None:
            self._connect()
        if not self._held:
            self._held = bool(self._lock.acquire(blocking=False))
        return self._held

    def _connect(self) -> None:
        from tooz import coordination

        self._folder.mkdir(parents=True, exist_ok=True)
        member = f"{os.getpid()}-{uuid.uuid4().hex[:8]}".encode()
        coordinator = coordination.get_coordinator(f"file://{self._folder}", member)
        coordinator.start()
        self._lock = coordinator.get_lock(self._name)
        self._coordinator = coordinator
