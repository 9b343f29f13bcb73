# SPDX-License-Identifier: Apache-2.0
"""``glancekit worker``: a process that runs imports. What an import is, is the flows' business."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import replace

import click

from glancekit.cli import Invocation
from glancekit.cli.stopping import Stopping

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that the steps at hand have to end. What does not is gone on with by another worker."""

IDLE = 600.0
"""Seconds without an import after which a worker of the service's own ends."""

_LOOK = 1.0


@click.command()
@click.option(
    "--config-file", "config_files", multiple=True, metavar="FILE", help="As before the command."
)
@click.option("--data-dir", metavar="FOLDER", help="Where everything is kept.")
@click.option("--attached", is_flag=True, hidden=True)
@click.pass_obj
def worker(
    invocation: Invocation, config_files: tuple[str, ...], data_dir: str | None, attached: bool
) -> None:
    """Run imports until told to stop (SIGTERM).

    'glancekit serve' runs a worker of its own. More of them, on this host or others, share the
    work; on others they need a jobboard and records of flows that all reach ([taskflow]).
    """
    from glancekit.api.metrics import Metrics
    from glancekit.bootstrap import bootstrap
    from glancekit.bootstrap.workers import import_worker

    files = (*invocation.config_files, *config_files)
    overrides = {("DEFAULT", "data_dir"): data_dir} if data_dir else {}
    config = replace(invocation, config_files=files).load_config(overrides)
    stopping = Stopping()
    stopping.listen()
    if attached:
        threading.Thread(target=_wait_for_end, args=(stopping,), daemon=True).start()
    with bootstrap(config, Metrics.of(config)) as world:
        running = import_worker(world, config)
        running.start()
        log.info("this worker runs imports")
        busy_at = time.monotonic()
        while not stopping.wait(_LOOK):
            if not attached or not running.is_idle:
                busy_at = time.monotonic()
            if time.monotonic() - busy_at > IDLE:
                break
        if running.stop(PATIENCE):
            running.close()
            return
        # Steps that go on would keep the process: it leaves them as a kill would.
        log.info("this worker leaves its imports to others")
        logging.shutdown()
        os._exit(0)


def _wait_for_end(stopping: Stopping) -> None:
    """Notice that the service is gone, by the end of our standard input."""
    while sys.stdin.buffer.read(1):
        pass
    stopping.say()
