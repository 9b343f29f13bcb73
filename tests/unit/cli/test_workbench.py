# SPDX-License-Identifier: Apache-2.0
"""What commands of packages may use: configurations to read, and the metadata backend to open."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from glancekit.cli import Invocation
from glancekit.cli.workbench import LateWorkbench
from glancekit.core.errors import ConfigError
from glancekit.core.model.image import Image


@pytest.fixture
def workbench(config_file: Path) -> LateWorkbench:
    ctx = click.Context(click.Command("x"), obj=Invocation((str(config_file),)))
    return LateWorkbench(ctx)


def test_the_configuration_of_the_command_line(
    workbench: LateWorkbench, config_file: Path
) -> None:
    config, unusable = workbench.configuration()
    assert config.files == (config_file,)
    assert not unusable
    assert any(setting.option.name == "busy_timeout" for setting in config.settings())


def test_another_one_with_a_part_that_cannot_be_used(
    workbench: LateWorkbench, tmp_path: Path
) -> None:
    file = tmp_path / "other.conf"
    file.write_text(
        "[DEFAULT]\nenabled_backends = a:file, b:nonsense\n[glance_store]\ndefault_backend = a\n"
    )
    config, unusable = workbench.configuration([str(file)])
    assert [entry.id for entry in config.stores] == ["a", "b"]
    assert [(report.use, report.name) for report in unusable] == [("store b", "nonsense")]
    with pytest.raises(ConfigError, match=r"nowhere\.conf"):
        workbench.configuration([str(tmp_path / "nowhere.conf")])


def test_the_metadata_backend(workbench: LateWorkbench) -> None:
    config, _ = workbench.configuration()
    with workbench.metadata(config) as metadata, metadata.unit_of_work() as work:
        work.images.add(Image(id="i", owner="me"))
        work.commit()
    with workbench.metadata(config) as metadata, metadata.unit_of_work(read_only=True) as work:
        assert work.images.get("i").owner == "me"
