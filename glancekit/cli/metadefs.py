# SPDX-License-Identifier: Apache-2.0
"""``glancekit metadefs``: metadata definitions in files, and whether images are held to them.

What loading or enforcing means is the services' business.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import format_option, show
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import Duplicate, Invalid, InvalidField
from glancekit.core.model.metadef import Contents, DefinitionKind

if TYPE_CHECKING:
    from glancekit.services.metadefs.forms import FormChecker

DEFAULT_PATH = "/etc/glance/metadefs"
"""Where operators have them."""

DEFAULT_OWNER = "admin"
"""Whose a namespace is when its file does not say, as it always was."""

_COLUMNS = (
    *("namespace", "visibility", "protected", "owner", "enforced", "resource_types"),
    *("properties", "objects", "tags"),
)

_path = click.option(
    "--path",
    type=click.Path(path_type=Path),
    default=DEFAULT_PATH,
    show_default=True,
    help="A directory of JSON files, one for each namespace; or one such file.",
)


class BadFiles(Invalid):
    """Facts: ``problems``, one sentence for each file."""

    template = "{problems}\nNothing was changed; mend what is named and load again"


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    contents: Contents


@click.group()
def metadefs() -> None:
    """Load, unload, export and enforce metadata definitions."""


@metadefs.command()
@_path
@click.option("--merge", is_flag=True, help="Add to namespaces that are there what they lack.")
@click.option(
    "--prefer-new",
    "--prefer_new",
    is_flag=True,
    help="With --merge: what is in the files replaces what is there of the same name.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="With --merge: namespaces become what is in the files, and nothing else of them remains.",
)
@click.pass_obj
def load(
    invocation: Invocation, path: Path, merge: bool, prefer_new: bool, overwrite: bool
) -> None:
    """Load namespaces from files: all of them or, when one cannot be used, none.

    A namespace that is there already is skipped unless --merge is given.
    """
    from glancekit.services.metadefs import bulk

    if (prefer_new or overwrite) and not merge:
        raise click.UsageError("--prefer-new and --overwrite need --merge.")
    if prefer_new and overwrite:
        raise click.UsageError("--prefer-new and --overwrite exclude each other.")
    mode = bulk.Merge.PREFER_OLD if merge else bulk.Merge.SKIP
    mode = bulk.Merge.PREFER_NEW if prefer_new else mode
    mode = bulk.Merge.OVERWRITE if overwrite else mode
    files = _read(path)
    with _metadata(invocation) as metadata:
        done = bulk.load(metadata, (file.contents for file in files), mode)
    for file, loaded in zip(files, done, strict=True):
        hint = "; it is there already (--merge)" if loaded.outcome is bulk.Outcome.SKIPPED else ""
        name = loaded.contents.namespace.name
        click.echo(f"{file.name}: {name} {loaded.outcome}, {_size(file.contents)}{hint}")
    counts = Counter(loaded.outcome for loaded in done)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in bulk.Outcome)
    click.echo(f"{_counted(len(done), 'namespace')}: {told}.")


@metadefs.command()
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="Remove only the namespaces that the files of this directory name.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def unload(invocation: Invocation, path: Path | None, yes: bool) -> None:
    """Remove all namespaces with all that is in them, protected ones too."""
    from glancekit.services.metadefs import bulk

    names = None if path is None else {file.contents.namespace.name for file in _read(path)}
    if not yes and sys.stdin.isatty():
        which = "ALL metadata definitions" if names is None else f"{len(names)} namespaces"
        click.confirm(f"Remove {which} from the database?", abort=True)
    with _metadata(invocation) as metadata:
        gone = bulk.unload(metadata, names)
    for name in gone:
        click.echo(f"{name} removed")
    click.echo(f"{_counted(len(gone), 'namespace')} removed.")


@metadefs.command()
@_path
@click.pass_obj
def export(invocation: Invocation, path: Path) -> None:
    """Write every namespace to a file of its own, in the form that load reads."""
    import orjson

    from glancekit.services.metadefs import bulk
    from glancekit.services.metadefs.documents import document_of

    with _metadata(invocation) as metadata:
        found = bulk.every(metadata)
    with _telling(path):
        path.mkdir(parents=True, exist_ok=True)
    for contents in found:
        file = path / f"{contents.namespace.name}.json"
        text = orjson.dumps(
            document_of(contents), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
        with _telling(file):
            partial = file.with_name(f".{os.getpid()}.partial")
            partial.write_bytes(text)
            partial.replace(file)
        click.echo(f"{file.name}: {_size(contents)}")
    click.echo(f"{_counted(len(found), 'namespace')} written to {path}.")


@metadefs.command("list")
@format_option
@click.pass_obj
def list_(invocation: Invocation, shape: str) -> None:
    """Show every namespace, what is in it, and whether images are held to it."""
    from glancekit.services.metadefs import bulk

    with _metadata(invocation) as metadata:
        found = bulk.every(metadata)
    show(_COLUMNS, [_row(contents) for contents in found], shape)


@metadefs.command()
@click.argument("namespace")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.pass_obj
def enforce(invocation: Invocation, namespace: str, state: str) -> None:
    """Switch on or off that image properties must keep to a namespace's definitions."""
    from glancekit.services.metadefs import enforcement

    with _metadata(invocation) as metadata:
        saved = enforcement.enforce(metadata, namespace, state == "on")
        speaks = enforcement.speaks_of_images(metadata, namespace)
    if not saved.enforced:
        click.echo(f"Images are not held to {namespace}.")
    elif speaks:
        click.echo(
            f"Images must keep to {namespace} from now on when they are created or changed; "
            "those that are there stay as they are."
        )
    else:
        click.echo(
            f"{namespace} is enforced, but it is not associated with OS::Glance::Image, "
            "so it says nothing about images yet."
        )


def _row(contents: Contents) -> dict[str, Any]:
    namespace = contents.namespace
    return {
        "namespace": namespace.name,
        "visibility": namespace.visibility.value,
        "protected": namespace.protected,
        "owner": namespace.owner,
        "enforced": namespace.enforced,
        "resource_types": [one.resource_type for one in contents.associations],
        "properties": len(contents.of_kind(DefinitionKind.PROPERTY)),
        "objects": len(contents.of_kind(DefinitionKind.OBJECT)),
        "tags": len(contents.of_kind(DefinitionKind.TAG)),
    }


def _size(contents: Contents) -> str:
    return ", ".join(_counted(len(contents.of_kind(kind)), kind.value) for kind in DefinitionKind)


def _counted(count: int, thing: str) -> str:
    if count == 1:
        return f"1 {thing}"
    return f"{count} {thing.removesuffix('y')}ies" if thing.endswith("y") else f"{count} {thing}s"


@contextmanager
def _metadata(invocation: Invocation) -> Iterator[MetadataDriver]:
    from glancekit.bootstrap import load_metadata

    driver = load_metadata(invocation.load_config())
    try:
        driver.start()
        yield driver
    finally:
        driver.close()


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadFiles(f"{path}: {error.strerror}") from error


# -- reading files


def _read(path: Path) -> list[_File]:
    """Return the namespaces of all files.

    :raises BadFiles: naming each file that cannot be used, and the place in it.
    """
    from glancekit.services.metadefs import forms

    form = forms.FormChecker(forms.without_limits(forms.NAMESPACE))
    files: list[_File] = []
    problems: list[str] = []
    with _telling(path):
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
    for one in paths:
        if one == path or one.suffix == ".json":
            try:
                files.append(_File(one.name, _contents(one, form)))
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


def _contents(path: Path, form: FormChecker) -> Contents:
    import orjson

    from glancekit.services.metadefs.documents import contents_of

    try:
        document = orjson.loads(path.read_bytes())
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


def _named_twice(files: Collection[_File]) -> Iterable[str]:
    first: dict[str, str] = {}
    for file in files:
        name = file.contents.namespace.name
        if name in first:
            yield f"{file.name}: namespace {name} is in {first[name]} already"
        first.setdefault(name, file.name)
