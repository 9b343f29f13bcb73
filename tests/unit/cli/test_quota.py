# SPDX-License-Identifier: Apache-2.0
"""``glancekit quota``: usage beside limits, and a recount that mends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.model.image import Image


@pytest.fixture
def two_images(config_file: Path) -> None:
    """A database in which project ``p`` has an image, and project ``q`` another."""
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    with metadata.unit_of_work() as work:
        work.images.add(Image(id="1", owner="p"))
        work.images.add(Image(id="2", owner="q"))
        work.commit()
    metadata.close()


def shown(outcome: Any) -> dict[tuple[str, str], tuple[int, int | None]]:
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)
    return {(row["project"], row["quota"]): (row["usage"], row["limit"]) for row in rows}


@pytest.mark.usefixtures("two_images")
def test_show_has_usage_and_limits_of_each_project(
    run: Callable[..., Any], config_file: Path
) -> None:
    written = "[quotas]\nimage_count_total = 5\noverrides = q:image_count_total=-1\n"
    config_file.write_text(config_file.read_text() + written)
    found = shown(run("quota", "show", "-f", "json"))
    assert found["p", "image_count_total"] == (1, 5)
    assert found["q", "image_count_total"] == (1, None)
    assert found["p", "image_size_total"] == (0, None)
    only = shown(run("quota", "show", "--project", "q", "-f", "json"))
    assert {project for project, _ in only} == {"q"}
    assert "image_count_uploading" in run("quota", "show").out


@pytest.mark.usefixtures("two_images")
def test_recount_mends_and_says_so(run: Callable[..., Any], config_file: Path) -> None:
    file = config_file.parent / "data" / "glancekit.sqlite"
    with sqlite3.connect(file) as meddling:
        meddling.execute("UPDATE project_usage SET images = 7 WHERE project_id = 'p'")
        meddling.execute("DELETE FROM project_usage WHERE project_id = 'q'")
    meddling.close()
    for mended in (True, False):
        outcome = run("quota", "recount", "-f", "json")
        rows = json.loads(outcome.out)
        assert [(row["project"], row["mended"]) for row in rows] == [("p", mended), ("q", mended)]
        assert all("image_count_total=1" in row["true"] for row in rows)
    assert shown(run("quota", "show", "-f", "json"))["p", "image_count_total"] == (1, None)
