# SPDX-License-Identifier: Apache-2.0
"""Which finished images are in the datastores. What is left of broken attempts is the writer's
business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from glancekit.plugin import Blob, BlobNotFound, is_image_id
from glancekit_vmware_store.options import Settings
from glancekit_vmware_store.places import Place, place_of
from glancekit_vmware_store.vcenter import Seen, VCenter

_FIRST_DIGITS = "0123456789abcdef"
"""The server answers a search as a whole, so a folder is searched in as many parts."""

_REST = "???????-????-????-????-????????????"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the images' folder that has an image's name."""

    image_id: str
    seen: Seen

    def blob(self, url: str) -> Blob:
        """Describe it, with a time by this host's clock."""
        came = datetime.now(UTC) - timedelta(seconds=self.seen.left_alone)
        return Blob(url, self.image_id, self.seen.size, came)


class Listing:
    """Looks for files of images."""

    def __init__(self, vcenter: VCenter, settings: Settings) -> None:
        self._vcenter = vcenter
        self._settings = settings

    def files(self) -> Iterator[tuple[Place, File]]:
        """Yield all that there are, a sixteenth of a datastore at a time."""
        for datastore in self._vcenter.rooms():
            for digit in _FIRST_DIGITS:
                found = self._vcenter.files_like(datastore, [f"{digit}{_REST}"])
                for name, seen in found.items():
                    if is_image_id(name):
                        yield place_of(datastore, name, self._settings), File(name, seen)

    def file(self, place: Place) -> File:
        """Return one.

        :raises BlobNotFound: when it is not there.
        """
        name = place.path.removeprefix(f"{self._settings.folder}/")
        seen = self._vcenter.files_like(place.datastore, [name]) if is_image_id(name) else {}
        if name not in seen:
            raise BlobNotFound
        return File(name, seen[name])
