# SPDX-License-Identifier: Apache-2.0
"""The step ``inject_image_metadata``: properties that the operator gives to what users import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from glancekit.plugin import DictOpt, ImportStep, ListOpt, Progress, StagedImage

_RESERVED = "os_glance"
"""How the names of properties begin that are the service's own."""


class MetadataInjection(ImportStep):
    """Set properties on the image, whatever they were before."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "inject_metadata_properties"
    options: ClassVar[Sequence[Any]] = (
        ListOpt(
            "ignore_user_roles",
            default=["admin"],
            help="Roles whose images are left alone.",
        ),
        DictOpt(
            "inject",
            default={},
            help="Properties to set, as name:value pairs with commas between them.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._spared = {role.strip().lower() for role in options.ignore_user_roles}
        self._properties = _properties(options.inject)

    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether there is something to set, and the caller is none of those left alone."""
        return bool(self._properties) and not self._spared & staged.caller.roles

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Set them."""
        properties = {**staged.image.properties, **self._properties}
        return replace(staged, image=replace(staged.image, properties=properties))

    def revert(self, staged: StagedImage) -> None:
        """Do nothing: the record is the flow's, and as it was."""


def _properties(given: Mapping[str, str]) -> dict[str, str]:
    # Upstream's documentation writes them with quotes around, which its reader leaves on.
    pairs = ((_bare(name), _bare(str(value))) for name, value in given.items())
    return {name: value for name, value in pairs if not name.startswith(_RESERVED)}


def _bare(text: str) -> str:
    text = text.strip()
    is_quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text
