# SPDX-License-Identifier: Apache-2.0
"""A read or write that is under way in librbd, awaited with a time-out. What it is for, is not its
business."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from glancekit.plugin import StoreUnavailable
from glancekit_rbd_store.bindings import meaning_of, translated

GRACE = 0.5
"""Seconds that Ceph's own time-out is given to come first: it knows more."""


class Flight:
    """One asynchronous request.

    Ceph's own time-out does not do alone: it is one for each of the requests that librbd makes of
    this one, and some of them it makes again and again.
    """

    def __init__(self, deed: str, submit: Callable[[Callable[..., None]], Any]) -> None:
        self._deed = deed
        self._submit = submit  # librbd reads what is to be written until it is done
        self._landed = threading.Event()
        self._data = b""
        with translated(deed):
            self._completion: Any = submit(self._land)

    def wait(self, timeout: float) -> bytes:
        """Return what was read, or raise what went wrong; 0 waits for ever."""
        if not self._landed.wait(timeout + GRACE if timeout > 0 else None):
            raise StoreUnavailable(f"{self._deed}: no answer of Ceph after {timeout:g} s")
        data, self._data = self._data, b""
        completion, self._completion = self._completion, None  # it refers back to this object
        result = completion.get_return_value()
        if result < 0:
            raise meaning_of(result, self._deed)
        return data

    def settle(self) -> None:
        """Wait until librbd is done with it, whatever comes of it."""
        if self._completion is not None:
            self._completion.wait_for_complete_and_cb()
            self._completion = None

    def _land(self, completion: Any, data: bytes | None = None) -> None:
        self._data = data or b""
        self._landed.set()
