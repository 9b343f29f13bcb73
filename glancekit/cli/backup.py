# SPDX-License-Identifier: Apache-2.0
"""``glancekit db dump`` and ``db load``: all records in a file. What is in it is services'."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from glancekit.cli import Invocation
from glancekit.core.errors import GlancekitError, Invalid

if TYPE_CHECKING:
    from glancekit.core.contracts.metadata import MetadataDriver

LEVEL = 6
"""How hard gzip tries; more costs time and saves little of such text."""

LONGEST = 1 << 28
"""Bytes of the longest line that is read: far more than an image may have of everything."""


@click.command()
@click.argument("file", metavar="FILE|-")
@click.pass_obj
def dump(invocation: Invocation, file: str) -> None:
    """Write all records to a file, or to the standard output.

    The service may go on meanwhile: what is written is as of one moment. Bytes of images are not
    in it, and neither are events. The file is compressed with gzip.
    """
    from glancekit.services.backup import dumping

    with ExitStack() as stack:
        metadata = stack.enter_context(_opened(invocation))
        target = stack.enter_context(_written(file))
        packed = stack.enter_context(gzip.GzipFile(fileobj=target, mode="wb", compresslevel=LEVEL))
        tally = stack.enter_context(_counter("written"))
        counts = dumping.dump(metadata, packed.write, tally)
    _tell("Wrote", counts)


@click.command()
@click.argument("file", metavar="FILE|-")
@click.pass_obj
def load(invocation: Invocation, file: str) -> None:
    """Read all records of a file, or of the standard input, into an empty database.

    Either all of it is there afterwards or nothing. The database may be of another kind than the
    one that was dumped.
    """
    from glancekit.services.backup import loading

    with ExitStack() as stack:
        source = stack.enter_context(_read(file))
        metadata = stack.enter_context(_opened(invocation))
        tally = stack.enter_context(_counter("read"))
        counts = loading.load(metadata, _lines(source), tally)
    _tell("Read", counts)


@contextmanager
def _opened(invocation: Invocation) -> Iterator[MetadataDriver]:
    from glancekit.bootstrap.parts import load_metadata

    driver = load_metadata(invocation.load_config())
    try:
        driver.start()
        yield driver
    finally:
        driver.close()


@contextmanager
def _written(file: str) -> Iterator[BinaryIO]:
    """Give what to write to; a file is there when it is whole, and not before."""
    if file == "-":
        if sys.stdout.isatty():
            raise click.UsageError("a dump is nothing to look at: name a file, or use a pipe")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    if path.exists():
        raise GlancekitError(f"{path} is there already; name another file, or move it away")
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # In the records are locations, and in some of these are credentials.
        with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        os.link(new, path)
    except OSError as error:
        raise GlancekitError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _read(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with open(file, "rb") as opened:
            yield opened
    except OSError as error:
        raise GlancekitError(f"{file} cannot be read: {error.strerror}") from error


def _lines(source: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that were packed.

    :raises Invalid: when they end early, or were not packed by a dump.
    """
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as packed:
            reader = io.BufferedReader(packed)
            while line := reader.readline(LONGEST):
                yield line
    except EOFError as error:
        raise Invalid(
            "The dump ends early, so nothing of it was kept; take another copy of it"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Invalid(f"This is no dump of glancekit, or it is damaged: {error}") from error


@contextmanager
def _counter(done: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal how many records are done; their number is not known beforehand."""
    if not sys.stderr.isatty():
        yield lambda kind: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.completed:,} records " + done), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(done, total=None)
        yield lambda kind: progress.advance(task)


def _tell(done: str, counts: Mapping[str, int]) -> None:
    said = [f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(counts.items())]
    kinds = f" ({', '.join(said)})" if said else ""
    click.echo(f"{done} {sum(counts.values())} records{kinds}.", err=True)
