# SPDX-License-Identifier: Apache-2.0
"""The import step ``old``: it sets a property on what is imported. Undoing the import is not its
business, undoing the step is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from glancekit.plugin import ImportStep, Progress, StagedImage, StrOpt

PROPERTY = "old"


class OldStep(ImportStep):
    """Sets the property ``old``, unless the image has it."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "old_step"
    options = (StrOpt("old_label", default="checked", help="The property's value."),)

    def __init__(self, options: Any, *, name: str) -> None:
        self._label = str(options.old_label)

    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether there is anything to do."""
        return PROPERTY not in staged.image.properties

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Set it. A step that makes a new file puts it beside ``staged.path``."""
        size = staged.path.stat().st_size
        progress(0, size)
        properties = {**staged.image.properties, PROPERTY: self._label}
        image = replace(staged.image, size=size, properties=properties)
        progress(size, size)
        return replace(staged, image=image)

    def revert(self, staged: StagedImage) -> None:
        """There is nothing to remove: the record is changed once the import has gone well."""
