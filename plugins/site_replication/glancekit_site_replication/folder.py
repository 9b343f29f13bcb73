# SPDX-License-Identifier: Apache-2.0
"""A folder with images of one site: ``<id>.json`` with the record, ``<id>.img`` with the bytes.

What upstream's replicator wrote (``<id>`` with the record of the Images API v1) is read, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glancekit.plugin import Invalid
from glancekit_site_replication.failures import Damaged, ReplicationError
from glancekit_site_replication.records import Record
from glancekit_site_replication.spool import digest_of, digest_of_file

_OF_V1 = frozenset({"properties", "is_public", "deleted", "deleted_at", "uri"})
"""What a record of the older API has that ours does not."""


class Folder:
    """What was dumped. ``name`` is the site that it was dumped from."""

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        """Look who it is of.

        :param name: the site, where the folder does not say so.
        :raises Invalid: when the folder has nothing of it, or images of somebody else.
        """
        self.path = path
        names = {str(entry["from"]) for entry in self._entries() if entry.get("from")}
        names |= {name} if name else set()
        if len(names) > 1:
            raise Invalid(f"{path} has images of several sites: {', '.join(sorted(names))}")
        self.name = next(iter(names), "dump")

    def images(self) -> Iterator[Record]:
        """Yield the record of every image."""
        for entry in self._entries():
            yield entry["image"]

    def find(self, image_id: str) -> Record | None:
        """Return an image, None where there is none."""
        entry = self._entry(image_id)
        return None if entry is None else entry["image"]

    def named(self, name_or_id: str) -> list[Record]:
        """Return the image of an id, or else all of a name."""
        if "/" not in name_or_id and (found := self.find(name_or_id)) is not None:
            return [found]
        return [image for image in self.images() if image.get("name") == name_or_id]

    def members(self, image_id: str) -> Mapping[str, str]:
        """Return with whom an image was shared, as far as that was dumped."""
        entry = self._entry(image_id) or {}
        return dict(entry.get("members") or {})

    def data(self, record: Record) -> Path:
        """Return the file with an image's bytes, verified.

        :raises Damaged: when they are not what the record says.
        """
        path = self.path / f"{record['id']}.img"
        digest, expected = digest_of(record)
        try:
            size = path.stat().st_size
            if size != record.get("size") or (
                expected is not None and digest_of_file(digest.name, path) != expected
            ):
                raise Damaged(f"{path} is not what its record says; nothing of it is used")
        except FileNotFoundError as error:
            raise ReplicationError(f"there is no {path}") from error
        return path

    def has(self, record: Record) -> bool:
        """Tell whether the bytes of an image are here, as they were verified when they came."""
        found = self.find(record["id"])
        path = self.path / f"{record['id']}.img"
        return (
            found is not None
            and path.exists()
            and path.stat().st_size == record.get("size")
            and all(
                found.get(name) == record.get(name)
                for name in ("checksum", "os_hash_algo", "os_hash_value")
            )
        )

    def write(self, record: Record, members: Mapping[str, str]) -> bool:
        """Write a record, in one step; tell whether that changed anything."""
        entry = {"from": self.name, "image": dict(record), "members": dict(members)}
        if self._entry(record["id"]) == entry:
            return False
        path = self.path / f"{record['id']}.json"
        own = path.with_name(f"{path.name}.part")
        with own.open("w") as file:
            json.dump(entry, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        own.replace(path)
        self._sync()
        return True

    def take(self, record: Record, file: Path) -> None:
        """Make a file, which is durable, an image's data."""
        file.replace(self.path / f"{record['id']}.img")
        self._sync()

    def remove(self, image_id: str) -> None:
        """Remove an image; its record goes first, so that none is left without bytes."""
        for kind in ("json", "img"):
            (self.path / f"{image_id}.{kind}").unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        """Make names durable."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _entries(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_dir():
            return
        for path in sorted(self.path.iterdir()):
            image_id = path.name.removesuffix(".json")
            if path.suffix == ".json" or (not path.suffix and path.with_suffix(".img").exists()):
                entry = self._entry(image_id)
                if entry is not None:
                    yield entry

    def _entry(self, image_id: str) -> dict[str, Any] | None:
        for path in (self.path / f"{image_id}.json", self.path / image_id):
            try:
                found = json.loads(path.read_text())
            except (FileNotFoundError, IsADirectoryError):
                continue
            except ValueError as error:
                raise Invalid(f"{path} is no JSON: {error}") from error
            if not isinstance(found, dict):
                raise Invalid(f"{path} is no record of an image")
            entry = found if "image" in found else {"image": _of_v1(found)}
            if entry["image"].get("id") != image_id:
                raise Invalid(f"{path} is not the record of image {image_id}")
            return entry
        return None


def _of_v1(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of the older API as the newer one would show it."""
    image = {name: value for name, value in record.items() if name not in _OF_V1}
    properties = record.get("properties") or {}
    visibility = "public" if record.get("is_public") else "private"
    return {"visibility": visibility} | {k: str(v) for k, v in properties.items()} | image
