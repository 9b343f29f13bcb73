# SPDX-License-Identifier: Apache-2.0
"""Properties that the operator gives to imported images, and whose images are left alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
from glancekit_image_steps.injection import MetadataInjection

from glancekit.plugin import StagedImage
from glancekit.testing import ImportStepConformance
from glancekit.testing.importing import CALLER, silent, stage

Build = Callable[..., MetadataInjection]

GIVEN = {'"os_type"': '"linux"', "imported": "yes", "os_glance_import_task": "none"}


@pytest.fixture
def staged(tmp_path: Path) -> StagedImage:
    path = tmp_path / "sent"
    path.write_bytes(b"data")
    return stage(path, tmp_path / "staging", properties={"imported": "no", "colour": "green"})


class TestConformance(ImportStepConformance):
    """The promises of every step."""

    @pytest.fixture
    def step(self, build: Build) -> MetadataInjection:
        return build(MetadataInjection, inject=GIVEN)

    @pytest.fixture
    def staged(self, staged: StagedImage) -> StagedImage:
        return staged

    @pytest.fixture
    def unconcerned(self, staged: StagedImage) -> Collection[StagedImage]:
        return [replace(staged, caller=replace(CALLER, roles=frozenset({"member", "admin"})))]


def test_properties_are_set_and_others_kept(build: Build, staged: StagedImage) -> None:
    done = build(MetadataInjection, inject=GIVEN).execute(staged, silent)
    assert done.image.properties == {"imported": "yes", "colour": "green", "os_type": "linux"}
    assert done.path == staged.path


def test_nothing_to_set_is_nothing_to_do(build: Build, staged: StagedImage) -> None:
    for inject in ({}, {"os_glance_stage_host": "mine"}):
        assert not build(MetadataInjection, inject=inject).applies_to(staged)


def test_whose_images_are_left_alone_is_the_operator_s_choice(
    build: Build, staged: StagedImage
) -> None:
    step = build(MetadataInjection, inject=GIVEN, ignore_user_roles=["Member ", "x"])
    assert not step.applies_to(staged)
