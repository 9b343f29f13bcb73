# SPDX-License-Identifier: Apache-2.0
"""Images on an ACME shelf."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

from glancekit import plugin as gk

ERRORS = {FileNotFoundError: gk.BlobNotFound, FileExistsError: gk.BlobExists}


class AcmeStore(gk.StoreDriver, gk.SupportsWrite, gk.SupportsDelete):
    api_level = 1
    schemes = ("acme",)
    options = (gk.StrOpt("acme_shelf", default="$data_dir/$store_id", help="The shelf's folder."),)

    def __init__(self, options, *, name):
        self._shelf = Path(options.acme_shelf)

    def open(self, location):
        with gk.translating(ERRORS):
            return gk.FileStream(self._place(location).open("rb"))

    def size(self, location):
        with gk.translating(ERRORS):
            return self._place(location).stat().st_size

    def write(self, image_id, source, size):
        self._shelf.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._shelf, prefix=f".{image_id}.") as file:
            for chunk in source:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            with gk.translating(ERRORS):
                os.link(file.name, self._shelf / image_id)
        return gk.Location(url=f"acme:///{image_id}")

    def discard(self, image_id):
        for path in [*self._shelf.glob(f".{image_id}.*"), self._shelf / image_id]:
            path.unlink(missing_ok=True)

    def delete(self, location):
        with gk.translating(ERRORS):
            self._place(location).unlink()

    def close(self):
        pass

    def _place(self, location):
        return self._shelf / location.url.removeprefix("acme:///")
