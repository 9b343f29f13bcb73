# SPDX-License-Identifier: Apache-2.0
"""A ``glancekit.conf`` that says what a ``glance-api.conf`` said, as far as that means something.

Which option is which is the business of glancekit's core; here its answer is written down.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glancekit.plugin import Configuration, GlancekitError, StrOpt
from glancekit_glance_adoption.placing import ConfiguredStore, Places

UPSTREAM_FOLDER = "/var/lib/glance/images"
"""Where the other service keeps files when nobody says; here that has to be said."""

_FOLDER, _FOLDERS = "filesystem_store_datadir", "filesystem_store_datadirs"

_BESIDE = {
    ("oslo_policy", "policy_file"): "policy.yaml",
    ("DEFAULT", "schema_image_file"): "schema-image.json",
    ("DEFAULT", "property_protection_file"): None,
}
"""Files that are looked for beside the configuration, and under which name without an option."""

_OWN = frozenset({"metadata", "database"})
"""Sections that say where the other service's records are, not where ours are to be."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What the other service's configuration says about its records."""

    connection: str
    encryption_key: str | None
    places: Places


def origin_of(config: Configuration, *, connection: str | None) -> Origin:
    """Return what there is to know of the other service.

    :param connection: the URL of its database, where the files do not count.
    :raises GlancekitError: when nothing says where the database is.
    """
    config.register("database", [StrOpt("connection", secret=True)])
    config.register("DEFAULT", [StrOpt("metadata_encryption_key", secret=True)])
    url = connection or config.get("database", "connection")
    if not url:
        names = ", ".join(map(str, config.files))
        raise GlancekitError(
            f"[database] connection is not in {names}; name the database with --connection"
        )
    return Origin(
        connection=url,
        encryption_key=config.get("DEFAULT", "metadata_encryption_key") or None,
        places=places_of(config),
    )


def places_of(config: Configuration) -> Places:
    """Return the stores of a configuration, as far as they tell which locations are theirs."""
    folders: dict[str, tuple[str, ...]] = {}
    for setting in config.settings():
        name, value = setting.option.dest, setting.value
        if name == _FOLDERS and value:
            folders[setting.section] = tuple(str(line).partition(":")[0] for line in value)
        elif name == _FOLDER:
            folder = UPSTREAM_FOLDER if setting.origin == "default" else str(value)
            folders.setdefault(setting.section, (folder,))
    return Places(
        [
            ConfiguredStore(
                entry.id,
                entry.driver,
                folders.get(entry.id, ()),
                is_default=entry.id == config.default_store,
            )
            for entry in config.stores
        ]
    )


def write(text: str, path: Path) -> None:
    """Write a configuration where there is none yet; it is there whole or not at all.

    :raises GlancekitError: when it cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # There are passwords in it.
        with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        finally:
            new.unlink()
    except OSError as error:
        raise GlancekitError(f"{path} cannot be written: {error.strerror}") from error


def compose(
    config: Configuration, *, database: str | None, data_dir: Path | None
) -> tuple[str, list[dict[str, str]]]:
    """Return the text of the new configuration, and a row for each option that does nothing here.

    :param database: the URL of glancekit's own database; None is its embedded one.
    """
    sections: dict[str, list[str]] = {"DEFAULT": []}
    if data_dir:
        sections["DEFAULT"].append(f"data_dir = {_line(data_dir.absolute())}")
    for section, option, lines in _settings(config, without_data_dir=bool(data_dir)):
        sections.setdefault(section, []).extend(f"{option} = {line}" for line in lines)
    if database:
        sections["metadata"] = list(_metadata(database))
    ignored = [
        {"option": f"[{use.section}] {use.option}", "why": use.reason}
        for use in config.upstream()
        if not use.sets and (use.section, use.option) != ("database", "connection")
    ]
    names = ", ".join(map(str, config.files))
    text = [f"# Written by 'glancekit adopt' from {names}."]
    for row in ignored:
        text += textwrap.wrap(
            f"{row['option']}: {row['why']}",
            width=98,
            initial_indent="# ",
            subsequent_indent="#   ",
        )
    for section, options in sections.items():
        text += ["", f"[{section}]", *options]
    return "\n".join(text) + "\n", ignored


def _settings(
    config: Configuration, *, without_data_dir: bool
) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield what the files say, with what counted there without being said."""
    folders = {(entry.id, _FOLDER) for entry in config.stores}
    for setting in config.settings():
        section, option = setting.section, setting.option
        place = (section, option.dest)
        skipped = section in _OWN or (without_data_dir and place == ("DEFAULT", "data_dir"))
        if skipped or setting.origin in ("environment", "command line"):
            continue
        if place in _BESIDE:
            found = _beside(config.files, setting.value or _BESIDE[place])
            if found is not None:
                yield section, option.name, [str(found)]
        elif setting.origin != "default" and setting.value is not None:
            yield section, option.name, _written(option, setting.value)
        elif place in folders and not vars(config.section(section)).get(_FOLDERS):
            yield section, option.name, [UPSTREAM_FOLDER]


def _beside(files: Sequence[Path], name: Any) -> Path | None:
    """Return a file of this name, absolute: the new configuration lies elsewhere."""
    if name is None:
        return None
    candidates = [file.absolute().parent / str(name) for file in reversed(files)]
    return next((file for file in candidates if file.is_file()), None)


def _written(option: Any, value: Any) -> Sequence[str]:
    """Return a value as one would write it, a line for each of several."""
    if option.multi:
        return [_line(one) for one in value]
    if isinstance(value, Mapping):
        return [_line(", ".join(f"{key}:{part}" for key, part in value.items()))]
    if isinstance(value, list | tuple):
        return [_line(", ".join(str(part) for part in value))]
    return [_line(value)]


def _line(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("$", "$$")  # what is left of these is meant as it is


def _metadata(database: str) -> Iterator[str]:
    kind = database.partition(":")[0].partition("+")[0]
    if kind == "sqlite":
        yield "driver = sqlite"
        yield f"path = {_line(database.partition('///')[2])}"
    else:
        yield f"driver = {({'postgres': 'postgresql', 'mariadb': 'mysql'}).get(kind, kind)}"
        yield f"connection = {_line(database)}"
