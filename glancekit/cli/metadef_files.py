# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions in files, one for each namespace. Keeping them: the services' business."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from glancekit.core.errors import Duplicate, Invalid, InvalidField
from glancekit.core.model.metadef import Contents
from glancekit.services.metadefs import forms
from glancekit.services.metadefs.documents import contents_of, document_of

DEFAULT_OWNER = "admin"
"""Whose a namespace is when its file does not say, as it always was."""

_MAX_STEM = 200
"""Bytes of a file's name besides its ending."""


class BadFiles(Invalid):
    """Facts: ``problems``, one sentence for each file."""

    template = "{problems}\nNothing was changed; mend what is named and load again"


@dataclass(frozen=True, slots=True)
class File:
    """What one file says."""

    name: str
    contents: Contents


def read(path: Path) -> list[File]:
    """Return the namespaces of all files.

    :raises BadFiles: naming each file that cannot be used, and the place in it.
    """
    form = forms.FormChecker(forms.without_limits(forms.NAMESPACE))
    files: list[File] = []
    problems: list[str] = []
    with _telling(path):
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
    for one in paths:
        if one == path or one.suffix == ".json":
            try:
                files.append(File(one.name, _contents(one, form)))
            except _Unusable as error:
                problems.append(f"{one.name}: {error}")
    problems += _named_twice(files)
    if problems:
        raise BadFiles(problems="\n".join(problems))
    if not files:
        raise BadFiles(f"There are no .json files in {path}; name another directory with --path")
    return files


class _Unusable(Exception):
    """A file cannot be used; the message says where and why."""


def _contents(path: Path, form: forms.FormChecker) -> Contents:
    try:
        text = path.read_bytes()
        document = orjson.loads(text)
        if b"\\u0000" in text:
            raise _Unusable("it has a NUL character in a string")
        if not isinstance(document, Mapping):
            raise _Unusable("it is no JSON object")
        form.check(document)
        return contents_of(document, owner=DEFAULT_OWNER)
    except OSError as error:
        raise _Unusable(f"it cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise _Unusable(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except InvalidField as error:
        raise _Unusable(f"at {error.field}: {error.reason}") from error
    except Duplicate as error:
        raise _Unusable(f"it names the {error.kind} '{error.key}' twice") from error


def _named_twice(files: Collection[File]) -> Iterable[str]:
    first: dict[str, str] = {}
    for file in files:
        name = file.contents.namespace.name
        if name in first:
            yield f"{file.name}: namespace {name} is in {first[name]} already"
        first.setdefault(name, file.name)


def write(folder: Path, contents: Contents) -> str:
    """Write a namespace to a file of its own, over what is there; return the file's name.

    :raises BadFiles: when it cannot be written.
    """
    name = _file_name(contents.namespace.name)
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    with _telling(folder / name):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / name, orjson.dumps(document_of(contents), option=options))
    return name


def _file_name(namespace: str) -> str:
    """Return a name that file systems take: a namespace's may have more bytes than they do."""
    encoded = namespace.encode()
    if len(encoded) <= _MAX_STEM:
        return f"{namespace}.json"
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: _MAX_STEM - 17].decode(errors='ignore')}-{digest}.json"


def _write(file: Path, text: bytes) -> None:
    """Write a file whole or not at all."""
    partial = file.with_name(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(text)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadFiles(f"{path}: {error.strerror}") from error
