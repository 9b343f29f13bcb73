# SPDX-License-Identifier: Apache-2.0
"""The import method ``old``: a user names a file of the operator's folder. What becomes of the
bytes is not its business.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from glancekit.plugin import (
    Fetched,
    Identity,
    Image,
    ImportMethod,
    Invalid,
    SourceChanged,
    SourceStream,
    StrOpt,
)


class FolderStream(SourceStream):
    """A file's bytes, from where ``file`` is at."""

    def __init__(self, file: BinaryIO, size: int, version: str) -> None:
        self.size: int | None = size
        self.version: str | None = version
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next."""
        return b"" if self._file.closed else self._file.read(size)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class OldMethod(ImportMethod):
    """A source of bytes: ``{"name": "old", "file": "cirros.img"}``."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "old_import"
    options = (StrOpt("old_folder", default="/srv/old", help="Folder of the files."),)

    def __init__(self, options: Any, *, name: str) -> None:
        self._folder = Path(options.old_folder)

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Insist on a file's name."""
        name = arguments.get("file")
        if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
            raise Invalid("the method's 'file' must be the name of a file")
        if "\0" in name or not (self._folder / name).is_file():
            raise Invalid("there is no such 'file'")

    def open(
        self,
        image: Image,
        arguments: Mapping[str, Any],
        *,
        caller: Identity,
        fetched: Fetched | None,
    ) -> SourceStream:
        """Open the file, behind what was fetched of it before."""
        self.validate(arguments)
        path = self._folder / arguments["file"]
        about = path.stat()
        version = f"{about.st_mtime_ns}-{about.st_size}"
        if fetched is not None and fetched.version != version:
            raise SourceChanged("the file is another one by now")
        file = path.open("rb")
        file.seek(0 if fetched is None else fetched.size)
        return FolderStream(file, about.st_size, version)
