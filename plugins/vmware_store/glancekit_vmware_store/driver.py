# SPDX-License-Identifier: Apache-2.0
"""The driver ``vmware``: an image is the file ``<image_id>`` of a datastore, complete or not
there.

Digests and limits are the core's business. pyVmomi is imported by the first call, not with this
module: a service whose stores are others does without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from glancekit.plugin import (
    Blob,
    ByteStream,
    ConfigError,
    Location,
    Remnant,
    StoreDriver,
    SupportsDelete,
    SupportsDetails,
    SupportsHealth,
    SupportsListing,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsUsage,
    SupportsWrite,
    Usage,
)
from glancekit_vmware_store.options import OPTIONS, Settings, settings_of
from glancekit_vmware_store.places import SCHEME, place_at, url_of

if TYPE_CHECKING:
    from glancekit_vmware_store.assembly import Parts


class VmwareStore(
    StoreDriver,
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsUsage,
    SupportsHealth,
    SupportsDetails,
    SupportsSweep,
    SupportsListing,
    SupportsPlaces,
):
    """Images as files of vSphere datastores."""

    api_level: ClassVar[int] = 1
    options = OPTIONS
    schemes = (SCHEME,)

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings: Settings = settings_of(options)
        self._lock = threading.Lock()
        self._made: Parts | None = None

    # -- reading

    def open(self, location: Location) -> ByteStream:
        """Open the file."""
        return self._parts().download(place_at(location, self._settings))

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open a part of the file."""
        place = place_at(location, self._settings)
        return self._parts().download(place, offset=offset, length=length)

    def size(self, location: Location) -> int | None:
        """Return the file's length."""
        return self._parts().folder.size(place_at(location, self._settings))

    # -- writing

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Write the bytes, and only when all are there give them their name."""
        place = self._parts().writer.write(image_id, source, size)
        return Location(url=url_of(place, self._settings))

    def discard(self, image_id: str) -> None:
        """Remove the image and what is left of attempts at it, in all datastores."""
        self._parts().writer.discard(image_id)

    def delete(self, location: Location) -> None:
        """Remove the file."""
        self._parts().vcenter.delete(place_at(location, self._settings))

    def remnants(self, age: float) -> list[Remnant]:
        """Return the partial files that nobody has written to for so long."""
        return [
            Remnant(url_of(place, self._settings), image_id)
            for place, image_id in self._parts().writer.partial_files(age)
        ]

    def sweep(self, remnant: Remnant) -> None:
        """Remove a partial file."""
        place = place_at(Location(url=remnant.name), self._settings)
        self._parts().writer.remove_partial(place)

    # -- what is there

    def contents(self) -> Iterator[Blob]:
        """Yield the files of the images' folder whose names are ids of images."""
        for place, found in self._parts().listing.files():
            yield found.blob(url_of(place, self._settings))

    def blob(self, location: Location) -> Blob:
        """Look at the file."""
        place = place_at(location, self._settings)
        return self._parts().listing.file(place).blob(url_of(place, self._settings))

    # -- questions

    def usage(self) -> Usage:
        """Add up the room in the datastores that can be used."""
        rooms = self._parts().vcenter.rooms().values()
        return Usage(
            total=sum(room.total for room in rooms), free=sum(room.free for room in rooms)
        )

    def check(self) -> None:
        """Insist that a datastore can be used. Which others are away the log tells."""
        self._parts().vcenter.rooms(anew=True)

    def details(self) -> dict[str, Any]:
        """Return where files are, under the names of the options."""
        return {
            "vmware_server_host": self._settings.netloc,
            "vmware_datastores": [
                f"{datastore.datacenter}:{datastore.name}:{weight}"
                for datastore, weight in self._settings.datastores.items()
            ],
            "vmware_store_image_dir": f"/{self._settings.folder}",
        }

    def places(self) -> list[str]:
        """Return the folder in each datastore, however the server's address is written."""
        server, folder = f"{self._settings.host}:{self._settings.port}", self._settings.folder
        return [
            f"vsphere:{server}/{datastore.datacenter}/{datastore.name}/{folder}"
            for datastore in self._settings.datastores
        ]

    def close(self) -> None:
        """End the session."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.vcenter.close()

    def _parts(self) -> Parts:
        with self._lock:
            if self._made is None:
                try:
                    module = import_module("glancekit_vmware_store.assembly")
                except ImportError as error:
                    raise ConfigError(
                        f"the store '{self.name}' needs pyVmomi ({error}); install it with: "
                        "pip install pyVmomi"
                    ) from error
                self._made = module.Parts(self._settings)
            return self._made
