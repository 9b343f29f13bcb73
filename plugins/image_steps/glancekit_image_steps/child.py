# SPDX-License-Identifier: Apache-2.0
"""A program run on data from strangers: bounded in memory, time and files, without a network.

It ends with the process that started it, even by ``kill -9``. Which program it is does not matter.
"""

from __future__ import annotations

import functools
import logging
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from glancekit.plugin import ConfigError

log = logging.getLogger(__name__)

_TELL = 0.5
"""Seconds between calls that let the one who waits have it ended."""

_MOST_WORDS = 64 << 10
"""Bytes of what it says on its standard output that are kept."""

_MOST_ERRORS = 16 << 20
"""Bytes of errors that it may write before it is ended; of a damaged file there can be many."""

_LONGEST_REASON = 300
"""Characters of an error that are passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use: bytes of memory, seconds of its own and of the clock's."""

    memory: int
    cpu: int
    clock: float
    file_size: int | None = None
    """Bytes that a file may come to have by its writing; None: it writes nothing but errors."""


class ProgramFailed(Exception):
    """It ended badly. The message is what it said last, and may name paths of this host."""


def run(
    command: Sequence[str],
    limits: Limits,
    hear: Callable[[bytes], object],
    *,
    fine: Collection[int] = (0,),
    lent: Collection[int] = (),
) -> bytes:
    """Run a program and return the beginning of what it said on its standard output.

    :param hear: called with each piece of that, and with ``b""`` every so often; when it raises,
        the program is ended and the error passed on.
    :param fine: the codes with which it may end.
    :param lent: file descriptors that it gets, under the same numbers.
    :raises ProgramFailed: when it does not end well, or not in time.
    """
    with tempfile.TemporaryFile() as errors, _started(command, limits, errors, lent) as process:
        said = _listen(process, limits.clock, hear)
        if process.wait() not in fine:
            raise ProgramFailed(_reason(process.returncode, errors))
    return said


@contextmanager
def _started(
    command: Sequence[str], limits: Limits, errors: IO[bytes], lent: Collection[int]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*_fence(), *_bounds(limits), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        pass_fds=tuple(lent),
        # Each thread's heap would reserve room of its own, of which the limit has little.
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "MALLOC_ARENA_MAX": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _listen(
    process: subprocess.Popen[bytes], patience: float, hear: Callable[[bytes], object]
) -> bytes:
    said = b""
    end = time.monotonic() + patience
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout or 0, selectors.EVENT_READ)
        while True:
            piece = b""
            if selector.select(_TELL):
                piece = os.read(selector.get_map()[process.stdout or 0].fd, _MOST_WORDS)
                if not piece:
                    return said
            said += piece[: _MOST_WORDS - len(said)]
            hear(piece)
            if time.monotonic() > end:
                raise ProgramFailed(f"it was not done within {patience:g} seconds")


def _reason(code: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    words = errors.read(_MOST_WORDS).decode(errors="replace").strip()
    if words:
        return words.splitlines()[0][:_LONGEST_REASON]
    return f"it ended by signal {-code}" if code < 0 else f"it ended with code {code}"


def _bounds(limits: Limits) -> Sequence[str]:
    # One second more ends it for good, should it not mind the first warning.
    return (
        *("prlimit", f"--as={limits.memory}", f"--cpu={limits.cpu}:{limits.cpu + 1}"),
        *("--core=0", "--nofile=64", f"--fsize={max(limits.file_size or 0, _MOST_ERRORS)}", "--"),
    )


@functools.cache
def _fence() -> Sequence[str]:
    """Return what keeps a program from the network, and from outliving us: as much as we may."""
    _require("prlimit", "setpriv", "unshare")
    bound = ("setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--")
    for alone in (("unshare", "--net", "--"), ("unshare", "--net", "--map-current-user", "--")):
        trial = subprocess.run(
            [*alone, *bound, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
        if trial.returncode == 0:
            return (*alone, *bound)
    log.warning(
        "qemu-img runs with the network of this service: this system lets us make no empty one "
        "(unshare --net: %s)",
        trial.stderr.decode(errors="replace").strip(),
    )
    return bound


def _require(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise ConfigError(f"{', '.join(missing)} cannot be found; install the package util-linux")
