# SPDX-License-Identifier: Apache-2.0
"""Trying in a process of its own whether the service can be built, before any worker is made.

What is tried is the caller's business. A child, because what a try leaves behind (threads,
connections) must not be inherited by the workers.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from glancekit.core.errors import ConfigError, GlancekitError, Unavailable

INTERRUPTED = 130
"""What a shell makes of Ctrl-C."""


@contextmanager
def check_in_child(check: Callable[[], None]) -> Iterator[None]:
    """Run ``check`` in a child process beside the block, at whose end it is waited for.

    :raises ConfigError: with the message of the glancekit error that it raised.
    :raises Unavailable: when that was one of something that may be there a moment later.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _run(check, writer)
    os.close(writer)
    try:
        yield
    finally:
        with os.fdopen(reader, encoding="utf-8") as pipe:
            message = pipe.read()
        _, status = os.waitpid(pid, 0)
    _require_passed(message, os.waitstatus_to_exitcode(status))


def _require_passed(message: str, code: int) -> None:
    if message and code == os.EX_TEMPFAIL:
        raise Unavailable(message)
    if message:
        raise ConfigError(message)
    if code != 0:
        raise ConfigError(f"The start check ended with code {code}; the log above says why")


def _run(check: Callable[[], None], writer: int) -> None:
    """The child's whole life: it never returns."""
    code = os.EX_OK
    try:
        check()
    except GlancekitError as error:
        os.write(writer, str(error).encode())
        code = os.EX_TEMPFAIL if isinstance(error, Unavailable) else os.EX_CONFIG
    except KeyboardInterrupt:  # the terminal told the parent as well, who ends for it
        code = INTERRUPTED
    except BaseException:  # the child must end here, whatever happens
        traceback.print_exc()
        code = os.EX_SOFTWARE
    finally:
        logging.shutdown()
        os._exit(code)
