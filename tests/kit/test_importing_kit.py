# SPDX-License-Identifier: Apache-2.0
"""The kit for imports itself: who is honest passes it, and every liar is caught by its test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from glancekit.plugin import Fetched, SourceStream, StagedImage
from glancekit.testing.importing import (
    CALLER,
    ImportMethodConformance,
    ImportStepConformance,
    new_image,
    silent,
    stage,
    undone,
)
from glancekit.testing.importing_liars import (
    CONTENT,
    METHOD_LIARS,
    STEP_LIARS,
    HonestMethod,
    HonestStep,
)

ARGUMENTS = {"key": "image"}


class OfMethods(ImportMethodConformance):
    content = CONTENT
    bad_arguments = ({}, {"key": 7})


class TestHonestMethod(OfMethods):
    @pytest.fixture
    def method(self) -> HonestMethod:
        return HonestMethod()

    @pytest.fixture
    def arguments(self) -> dict[str, str]:
        return ARGUMENTS

    @pytest.fixture
    def change(self, method: HonestMethod) -> Callable[[], None]:
        return method.change


def staged_as(data: bytes, folder: Path) -> StagedImage:
    path = folder / "sent"
    path.write_bytes(data)
    return stage(path, folder / f"staging-{data[:4].decode()}")


class TestHonestStep(ImportStepConformance):
    @pytest.fixture
    def step(self) -> HonestStep:
        return HonestStep()

    @pytest.fixture
    def staged(self, tmp_path: Path) -> StagedImage:
        return staged_as(b"DATA and more", tmp_path)

    @pytest.fixture
    def unconcerned(self, tmp_path: Path) -> Collection[StagedImage]:
        return [staged_as(b"TEXT", tmp_path)]

    @pytest.fixture
    def refused(self, tmp_path: Path) -> Collection[StagedImage]:
        return [staged_as(b"BAD!", tmp_path)]


def run(kit: object, name: str, parts: dict[str, Any]) -> None:
    test = getattr(kit, name)
    test(**{part: parts[part] for part in inspect.signature(test).parameters})


@pytest.mark.parametrize("liar", METHOD_LIARS, ids=lambda liar: liar.__name__)
def test_every_liar_about_sources_is_caught(liar: type[HonestMethod], tmp_path: Path) -> None:
    method = liar()

    def start(fetched: Fetched | None) -> SourceStream:
        return method.open(new_image(), ARGUMENTS, caller=CALLER, fetched=fetched)

    parts = {"method": method, "arguments": ARGUMENTS, "start": start}
    parts |= {"change": method.change, "tmp_path": tmp_path}
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        run(OfMethods(), liar.caught_by, parts)
    assert not isinstance(caught.value, pytest.skip.Exception)


@pytest.mark.parametrize("liar", STEP_LIARS, ids=lambda liar: liar.__name__)
def test_every_liar_about_what_it_does_is_caught(liar: type[HonestStep], tmp_path: Path) -> None:
    step, staged = liar(), staged_as(b"DATA and more", tmp_path)
    parts = {"step": step, "staged": staged, "tmp_path": tmp_path}
    parts |= {"unconcerned": [staged_as(b"TEXT", tmp_path)]}
    parts |= {"refused": [staged_as(b"BAD!", tmp_path)]}
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        if liar.caught_by == "undone":
            with undone(step, staged):
                step.execute(staged, silent)
        else:
            run(ImportStepConformance(), liar.caught_by, parts)
    assert not isinstance(caught.value, pytest.skip.Exception)


@pytest.mark.parametrize(
    ("kit", "liars"),
    [(ImportMethodConformance, METHOD_LIARS), (ImportStepConformance, STEP_LIARS)],
)
def test_every_test_catches_a_liar(kit: type, liars: Collection[Any]) -> None:
    asked = {name for name in vars(kit) if name.startswith("test_i")}
    assert asked <= {liar.caught_by for liar in liars}


def test_every_promise_is_described() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs/reference/contracts/importing.rst").read_text()
    assert all(f"**I{number}** " in text for number in range(1, 20))
