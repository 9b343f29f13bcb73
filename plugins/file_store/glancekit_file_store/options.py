# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about a file store. Names are upstream's where possible."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glancekit.plugin import BoolOpt, ConfigError, IntOpt, MultiStrOpt, StrOpt

DEFAULT_MODE = 0o640

OPTIONS: Sequence[Any] = (
    StrOpt(
        "filesystem_store_datadir",
        default="$data_dir/stores/$store_id",
        help="The directory that holds the images. A start of the service makes it while no "
        "record leads into the store; when it is missing or empty later, it is not mounted.",
    ),
    MultiStrOpt(
        "filesystem_store_datadirs",
        default=[],
        help="Several directories instead of one, each as 'path' or 'path:priority'. New images "
        "go to the highest priority that has room, among equals to the one with the most. When "
        "given, filesystem_store_datadir is not used. One that is added to a store in use is made "
        "by hand: mkdir -p DIRECTORY/.writing",
    ),
    IntOpt(
        "filesystem_store_file_perm",
        default=0,
        help="Permissions of the image files, as octal digits (say 644); 0 means 640. Where group "
        "or others may read, they are also let through the directory.",
    ),
    IntOpt(
        "filesystem_store_chunk_size",
        default=1 << 20,
        min=4096,
        help="Bytes taken and written at a time.",
    ),
    BoolOpt(
        "filesystem_thin_provisioning",
        default=False,
        help="Leave holes in the files where images have zeros.",
    ),
    IntOpt(
        "filesystem_store_free_reserve",
        default=64 << 20,
        min=0,
        help="Bytes that stay free in each directory's file system, for whatever else lives there "
        "(a database, logs).",
    ),
)


@dataclass(frozen=True, slots=True, order=True)
class DataDir:
    """One directory for images."""

    path: Path
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in the form in which the driver uses them."""

    directories: tuple[DataDir, ...]
    mode: int
    chunk_size: int
    thin: bool
    reserve: int
    read_only: bool


def settings_of(options: Any) -> Settings:
    """Read the options.

    :raises ConfigError: when they contradict each other or make no sense.
    """
    return Settings(
        directories=_directories(options),
        mode=_mode(options.filesystem_store_file_perm),
        chunk_size=options.filesystem_store_chunk_size,
        thin=options.filesystem_thin_provisioning,
        reserve=options.filesystem_store_free_reserve,
        read_only=getattr(options, "read_only", False),
    )


def _directories(options: Any) -> tuple[DataDir, ...]:
    entries = options.filesystem_store_datadirs or [options.filesystem_store_datadir]
    if not all(entries):
        raise ConfigError("filesystem_store_datadir is empty: name a directory for the images")
    if not options.filesystem_store_datadirs:
        return (DataDir(_absolute(entries[0])),)
    found: dict[Path, int] = {}
    for entry in entries:
        path, priority = _split(entry)
        if found.setdefault(path, priority) != priority:
            raise ConfigError(
                f"filesystem_store_datadirs names {path} twice with different priorities; "
                "remove one of the two lines"
            )
    return tuple(DataDir(path, priority) for path, priority in found.items())


def _split(entry: str) -> tuple[Path, int]:
    path, colon, priority = entry.rpartition(":")
    if not colon:
        return _absolute(entry), 0
    try:
        return _absolute(path), int(priority)
    except ValueError:
        raise ConfigError(
            f"filesystem_store_datadirs: the priority in '{entry}' is no number; "
            "write a line as /a/directory:100"
        ) from None


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path.strip()))


def _mode(digits: int) -> int:
    if digits == 0:
        return DEFAULT_MODE
    try:
        mode = int(str(digits), 8)
    except ValueError:
        mode = -1
    if not 0o600 <= mode <= 0o777 or mode & 0o600 != 0o600:
        raise ConfigError(
            f"filesystem_store_file_perm = {digits} cannot be used: it is octal digits by which "
            "the service itself may read and write, say 640"
        )
    return mode
