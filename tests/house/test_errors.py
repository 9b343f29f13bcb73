# SPDX-License-Identifier: Apache-2.0
"""Every error has a status that somebody chose, and a place in the tree's drawing."""

from __future__ import annotations

import pytest

from glancekit.api.errors import TABLE
from glancekit.core import errors


def below(kind: type) -> list[type]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))]


OURS = [kind for kind in below(errors.GlancekitError) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OURS[1:], ids=lambda kind: kind.__name__)
def test_it_has_a_status(kind):
    assert any(parent in TABLE for parent in kind.__mro__), f"{kind.__name__} needs a row in TABLE"


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_it_is_in_the_drawing(kind):
    assert f" {kind.__name__}" in errors.__doc__
    assert kind.__doc__


def test_every_row_is_an_error_of_ours():
    assert set(TABLE) <= set(OURS)
