# SPDX-License-Identifier: Apache-2.0
"""Errors carry facts, and say what happened to which thing."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from glancekit.core import errors
from glancekit.core.errors import (
    BlobNotFound,
    Forbidden,
    GlancekitError,
    ImageNotFound,
    StoreDenied,
    StoreError,
    StoreFull,
    translating,
)

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, GlancekitError)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_the_tree_is_drawn_with_every_class_and_its_parent(kind: type[GlancekitError]) -> None:
    drawn = [line for line in (errors.__doc__ or "").splitlines() if "──" in line]
    depths = {line.split("── ")[1].split()[0]: line.index("──") for line in drawn}
    if kind is GlancekitError:
        return
    parent = kind.__bases__[0]
    expected = 4 if parent is GlancekitError else depths[parent.__name__] + 4
    assert depths[kind.__name__] in (expected, expected + 1)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_a_message_is_made_though_facts_are_missing(kind: type[GlancekitError]) -> None:
    assert "{" not in str(kind())
    assert "because" in str(kind("because"))


def test_facts_are_attributes() -> None:
    error = ImageNotFound(image_id="42")
    assert error.image_id == "42"
    assert "42" in str(error)
    with pytest.raises(AttributeError):
        error.colour  # noqa: B018


def test_a_stamp_adds_and_does_not_replace() -> None:
    error = StoreFull(store="inner")
    error.stamp(store="outer", operation="write")
    assert (error.store, error.operation) == ("inner", "write")
    bare = BlobNotFound()
    bare.stamp(store="fast")
    assert "'fast'" in str(bare)


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_a_journey(again) -> None:
    error = again(Forbidden("not you", action="delete"))
    assert isinstance(error, Forbidden)
    assert (error.facts["detail"], error.action) == ("not you", "delete")


def test_translating_takes_the_most_specific_class() -> None:
    table = {OSError: StoreError, PermissionError: StoreDenied}
    with pytest.raises(StoreDenied) as denied, translating(table):
        raise PermissionError("keep out")
    assert isinstance(denied.value.__cause__, PermissionError)
    assert "keep out" in str(denied.value)
    with pytest.raises(StoreError) as other, translating(table):
        raise FileNotFoundError
    assert type(other.value) is StoreError


def test_translating_leaves_alone_what_is_ours_or_unknown() -> None:
    with pytest.raises(BlobNotFound), translating({Exception: StoreDenied}):
        raise BlobNotFound
    with pytest.raises(KeyError), translating({OSError: StoreDenied}):
        raise KeyError("x")
