# SPDX-License-Identifier: Apache-2.0
"""``glancekit metadefs``: metadata definitions in files, and whether images are held to them.

What loading or enforcing means is the services' business.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.model.metadef import Contents, DefinitionKind

DEFAULT_PATH = "/etc/glance/metadefs"
"""Where operators have them."""

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
    from glancekit.cli import metadef_files
    from glancekit.services.metadefs import bulk

    if (prefer_new or overwrite) and not merge:
        raise click.UsageError("--prefer-new and --overwrite need --merge.")
    if prefer_new and overwrite:
        raise click.UsageError("--prefer-new and --overwrite exclude each other.")
    mode = bulk.Merge.PREFER_OLD if merge else bulk.Merge.SKIP
    mode = bulk.Merge.PREFER_NEW if prefer_new else mode
    mode = bulk.Merge.OVERWRITE if overwrite else mode
    files = metadef_files.read(path)
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
    from glancekit.cli import metadef_files
    from glancekit.services.metadefs import bulk

    files = None if path is None else metadef_files.read(path)
    names = None if files is None else {file.contents.namespace.name for file in files}
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
    from glancekit.cli import metadef_files
    from glancekit.services.metadefs import bulk

    with _metadata(invocation) as metadata:
        found = bulk.every(metadata)
    for contents in found:
        click.echo(f"{metadef_files.write(path, contents)}: {_size(contents)}")
    click.echo(f"{_counted(len(found), 'namespace')} written to {path}.")


@metadefs.command("list")
@format_option
@click.pass_obj
def list_(invocation: Invocation, shape: Shape) -> None:
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
    from glancekit.bootstrap.parts import load_metadata

    driver = load_metadata(invocation.load_config())
    try:
        driver.start()
        yield driver
    finally:
        driver.close()
