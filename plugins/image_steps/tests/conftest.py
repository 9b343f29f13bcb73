# SPDX-License-Identifier: Apache-2.0
"""Real image files, and steps built with their defaults and what a test wants otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit.testing.samples import Samples


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """Makes image files."""
    folder = tmp_path / "samples"
    folder.mkdir()
    return Samples(folder)


@pytest.fixture
def build() -> Callable[..., Any]:
    """Build a step."""

    def build(kind: Any, *, cap: int = 1 << 40, **given: Any) -> Any:
        defaults = {option.dest: option.default for option in kind.options}
        sections = {
            "DEFAULT": SimpleNamespace(image_size_cap=cap, hashing_algorithm="sha512"),
            "image_format": SimpleNamespace(
                vmdk_allowed_types=["streamOptimized", "monolithicSparse"],
                gpt_safety_checks_nonfatal=[],
            ),
        }
        return kind(SimpleNamespace(**defaults | given | sections), name="step")

    return build
