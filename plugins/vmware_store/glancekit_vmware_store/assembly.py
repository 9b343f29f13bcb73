# SPDX-License-Identifier: Apache-2.0
"""The parts that a store works with, put together. Importing it imports pyVmomi."""

from __future__ import annotations

from glancekit.plugin import ByteStream
from glancekit_vmware_store.folder import Folder
from glancekit_vmware_store.listing import Listing
from glancekit_vmware_store.options import Settings
from glancekit_vmware_store.places import Place
from glancekit_vmware_store.reading import Download
from glancekit_vmware_store.vcenter import VCenter
from glancekit_vmware_store.writing import Writer


class Parts:
    """A vCenter, its web interface to files, and what writes to it."""

    def __init__(self, settings: Settings) -> None:
        self.vcenter = VCenter(settings)
        self.folder = Folder(self.vcenter, settings)
        self.listing = Listing(self.vcenter, settings)
        self.writer = Writer(self.vcenter, self.folder, settings)

    def download(self, place: Place, *, offset: int = 0, length: int | None = None) -> ByteStream:
        """Open a file, or a part of it."""
        return Download(self.folder, place, offset=offset, length=length)
