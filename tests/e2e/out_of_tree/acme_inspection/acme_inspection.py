# SPDX-License-Identifier: Apache-2.0
"""Refuses images that are too large for ACME's machines, and notes that it has looked."""

from dataclasses import replace

from glancekit import plugin as gk


class Inspection(gk.ImportStep):
    api_level = 1
    section = "acme_inspection"
    options = (gk.IntOpt("largest", default=1024, min=1, help="Largest image, in MiB."),)

    def __init__(self, options, *, name):
        self._largest = options.largest << 20

    def applies_to(self, staged):
        return "acme_inspected" not in staged.image.properties

    def execute(self, staged, progress):
        size = staged.path.stat().st_size
        progress(0, size)
        if size > self._largest:
            raise gk.Invalid(f"The image has {size} bytes; ACME takes {self._largest}")
        progress(size, size)
        properties = {**staged.image.properties, "acme_inspected": "yes"}
        return replace(staged, image=replace(staged.image, size=size, properties=properties))

    def revert(self, staged):
        pass
