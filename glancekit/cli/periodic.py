# SPDX-License-Identifier: Apache-2.0
"""``glancekit periodic``: a process that runs periodic tasks, and commands to see and drive them.

What runs them is the business of services/periodic; what they do, their plugins'.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.cli.stopping import Stopping
from glancekit.cli.tables import Shape, format_option, show
from glancekit.core.model.periodic import PeriodicState
from glancekit.core.periodic import PeriodicTask

if TYPE_CHECKING:
    from glancekit.core.contracts.metadata import MetadataDriver
    from glancekit.services.periodic import PeriodicWork
    from glancekit.services.world import World

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that what runs has to end after SIGTERM; what does not is cut off with the process."""

_LOOK = 0.5
"""Seconds between looks whether a run that was asked for has ended."""

_ROW = (
    *("name", "host", "state", "interval", "jitter", "deadline", "last_start", "seconds"),
    *("result", "error", "next_run", "runner"),
)
_RUN = ("started_at", "seconds", "host", "result", "error", "runner")


@click.group(invoke_without_command=True)
@click.option(
    "--config-file", "config_files", multiple=True, metavar="FILE", help="As before the command."
)
@click.option("--data-dir", metavar="FOLDER", help="Where everything of this host is kept.")
@click.pass_context
def periodic(ctx: click.Context, config_files: tuple[str, ...], data_dir: str | None) -> None:
    """Run periodic tasks until told to stop (SIGTERM); or see and drive them.

    'glancekit serve' runs them, too, in one of its processes. On several hosts they take turns
    where [periodic] coordination says; a second process on one host waits for the first to end.
    """
    invocation: Invocation = ctx.obj
    ctx.obj = _Configured(
        replace(invocation, config_files=(*invocation.config_files, *config_files)), data_dir
    )
    if ctx.invoked_subcommand is None:
        _run_until_told(ctx.obj)


class _Configured:
    """What was typed before the subcommand, as a configuration when one is needed."""

    def __init__(self, invocation: Invocation, data_dir: str | None) -> None:
        self._invocation = invocation
        self._overrides = {("DEFAULT", "data_dir"): data_dir} if data_dir else {}

    @contextmanager
    def work(self) -> Iterator[tuple[World, PeriodicWork]]:
        """Build the world and what runs its tasks, not started."""
        from glancekit.bootstrap import bootstrap
        from glancekit.bootstrap.workers import periodic_work

        config = self._invocation.load_config(self._overrides)
        with bootstrap(config) as world:
            yield world, periodic_work(world, config)


def _run_until_told(configured: _Configured) -> None:
    stopping = Stopping()
    stopping.listen()
    with configured.work() as (_, work):
        work.start()
        log.info("this process runs periodic tasks")
        stopping.wait()
        if not work.stop(PATIENCE):
            # What goes on would keep the process: it is left as a kill would leave it.
            logging.shutdown()
            os._exit(0)


@periodic.command("list")
@format_option
@click.pass_obj
def list_tasks(configured: _Configured, shape: Shape) -> None:
    """Show every task: when it runs, how the last run went, when the next is."""
    with configured.work() as (_, work):
        standings = work.ledger.standings()
        rows = []
        for task in sorted(work.tasks, key=lambda task: task.name):
            own = work.ledger.key_of(task)
            hosts = {host for name, host in standings if name == task.name} | {own[1]}
            for host in sorted(hosts if task.everywhere else {""}):
                found = standings.get((task.name, host))
                state = PeriodicState(name=task.name, host=host) if found is None else found.state
                rows.append(_row(task, state, is_cut_off=bool(found and found.is_cut_off)))
    show(_ROW, rows, shape)


@periodic.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Tell what it would do, and why; do nothing.")
@click.option("--no-wait", is_flag=True, help="Do not wait for it to end where others run it.")
@click.pass_obj
def run(configured: _Configured, name: str, dry_run: bool, no_wait: bool) -> None:
    """Run a task now, due or not, and show how it went.

    Where a service or 'glancekit periodic' runs on this host, that is asked to; else it runs here.
    """
    from glancekit.services import periodic as asked

    with configured.work() as (world, work):
        task = work.task(name)
        if dry_run:
            for sentence in asked.explain(task):
                click.echo(sentence)
            return
        done = work.run_here(task)
        if done is not None:
            _tell(done.result, done.error)
            return
        key = work.ledger.key_of(task)
        before = _state(world.metadata, key)
        asked.request(world.metadata, name, [key[1]])
        if no_wait:
            click.echo(f"The periodic task '{name}' was asked for.")
            return
        state = _ended_after(world.metadata, key, before)
    _tell(state.result, state.error)


@periodic.command()
@click.argument("name")
@click.pass_obj
def pause(configured: _Configured, name: str) -> None:
    """Let a task rest, on every host, until it is resumed. A run that began goes on to its end."""
    from glancekit.services import periodic as asked

    with configured.work() as (world, work):
        asked.pause(world.metadata, name, _hosts(work, work.task(name)))
    click.echo(f"The periodic task '{name}' is paused.")


@periodic.command()
@click.argument("name")
@click.pass_obj
def resume(configured: _Configured, name: str) -> None:
    """Let a task run again when it is due."""
    from glancekit.services import periodic as asked

    with configured.work() as (world, work):
        asked.resume(world.metadata, name, _hosts(work, work.task(name)))
    click.echo(f"The periodic task '{name}' runs again when it is due.")


@periodic.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@format_option
@click.pass_obj
def history(configured: _Configured, name: str, limit: int, shape: Shape) -> None:
    """Show the last runs that had something to say, the newest first."""
    with configured.work() as (world, work):
        work.task(name)
        with world.metadata.unit_of_work(read_only=True) as records:
            found = records.periodic.history(name, limit=limit)
    rows = [
        {
            "started_at": run.started_at,
            "seconds": _seconds(run.started_at, run.ended_at),
            "host": run.host or None,
            "result": run.result,
            "error": run.error,
            "runner": run.runner,
        }
        for run in found
    ]
    show(_RUN, rows, shape)


@periodic.command()
@click.argument("name")
@click.option("--host", default="", help="The host, for a task that runs on each.")
@click.pass_obj
def forget(configured: _Configured, name: str, host: str) -> None:
    """Drop what is kept of a task: of a host or a plugin that is no more. It is due at once."""
    with configured.work() as (world, _), world.metadata.unit_of_work() as records:
        records.periodic.forget(name, host)
        records.commit()
    click.echo(f"Nothing is kept of '{name}'{f' on {host}' if host else ''} any more.")


def _hosts(work: PeriodicWork, task: PeriodicTask) -> Sequence[str]:
    """Return where a task stands: everywhere it ever ran, and here."""
    own = work.ledger.key_of(task)[1]
    return sorted({host for name, host in work.ledger.standings() if name == task.name} | {own})


def _state(metadata: MetadataDriver, key: tuple[str, str]) -> PeriodicState:
    with metadata.unit_of_work(read_only=True) as work:
        return work.periodic.get(*key)


def _ended_after(
    metadata: MetadataDriver, key: tuple[str, str], before: PeriodicState
) -> PeriodicState:
    """Wait until a task has begun again and ended."""
    while True:
        state = _state(metadata, key)
        is_later = state.started_at != before.started_at and state.requested_at is None
        if is_later and not state.is_under_way:
            return state
        time.sleep(_LOOK)


def _tell(result: object, error: str | None) -> None:
    if error is not None:
        raise click.ClickException(error)
    click.echo("done" if result is None else str(result))


def _row(task: PeriodicTask, state: PeriodicState, *, is_cut_off: bool) -> dict[str, Any]:
    return {
        "name": task.name,
        "host": state.host or None,
        "state": _standing(state, is_cut_off=is_cut_off),
        "interval": task.interval,
        "jitter": task.jitter,
        "deadline": task.deadline,
        "last_start": state.started_at,
        "seconds": _seconds(state.started_at, state.ended_at),
        "result": state.result,
        "error": state.error,
        "next_run": None if state.is_paused else state.due_at,
        "runner": state.runner or None,
    }


def _standing(state: PeriodicState, *, is_cut_off: bool) -> str:
    if is_cut_off:
        return "cut off"
    if state.is_under_way:
        return "running"
    if state.requested_at is not None:
        return "asked for"
    return "paused" if state.is_paused else "waiting"


def _seconds(began: datetime | None, ended: datetime | None) -> float | None:
    if began is None or ended is None:
        return None
    return round((ended - began).total_seconds(), 3)
