# SPDX-License-Identifier: Apache-2.0
"""Links of a configuration: synced by a running service, explained, and wrong."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from glancekit_site_replication.links import Links
from glancekit_site_replication.options import OPTIONS, address_of, link_of
from glancekit_site_replication.testing import Place, glancekit_site, run

from glancekit.plugin import ConfigError, Configuration, GlancekitError
from glancekit.testing import HooksConformance

DATA = bytes(range(256)) * 100

CONFIG = """
[site_replication]
links = nightly
[site_here]
url = {here}
token = secret-token
[site_there]
url = {there}
[replication_nightly]
source = here
target = there
interval = 1
filters = os_distro=debian
limit = 100
"""


def reader_of(text: str, folder: Path) -> Any:
    """Return what reads sections of a configuration."""
    file = folder / "glancekit.conf"
    file.write_text(text)
    config = Configuration([file])

    def read_section(section: str, options: Sequence[Any]) -> Any:
        config.register(section, options)
        return config.section(section)

    return read_section


def links_of(text: str, folder: Path) -> Links:
    read_section = reader_of(text, folder)
    options = read_section("site_replication", OPTIONS)
    return Links(options, name="site_replication", read_section=read_section)


class TestConformance(HooksConformance):
    """The promises of every plugin that listens."""

    @pytest.fixture
    def listener(self, tmp_path: Path) -> Links:
        text = CONFIG.format(here="http://127.0.0.1:9", there="http://127.0.0.1:9")
        return links_of(text, tmp_path)


def test_a_running_service_keeps_a_link(north: Place, south: Place, tmp_path: Path) -> None:
    image_id = north.make(DATA, os_distro="debian")
    other = north.make(DATA, os_distro="alpine")
    config = CONFIG.format(here=north.url, there=south.url)
    with glancekit_site(tmp_path / "keeper", config):
        end = time.monotonic() + 60
        while south.images().get(image_id, {}).get("status") != "active":
            assert time.monotonic() < end, (tmp_path / "keeper" / "serve.log").read_text()
            time.sleep(0.1)
    assert south.data(image_id) == DATA
    assert other not in south.images()
    assert "secret-token" not in (tmp_path / "keeper" / "serve.log").read_text()


def test_a_link_is_explained_run_and_typed(
    north: Place, south: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image_id = north.make(DATA, os_distro="debian", name="explained")
    text = CONFIG.format(here=north.url, there=south.url)
    text += f"[DEFAULT]\ndata_dir = {tmp_path}\n"
    (task,) = links_of(text, tmp_path).register_periodic_tasks()
    assert (task.name, task.interval) == ("replicate-nightly", 1.0)
    assert task.explain is not None
    assert f"{image_id}: missing" in list(task.explain())
    assert image_id not in south.images()
    with caplog.at_level(logging.INFO):
        assert "here to there: " in str(task.run())
    assert "secret-token" not in caplog.text
    assert south.data(image_id) == DATA
    north.change(image_id, name="new")
    typed = run("sync", "--link", "nightly", "-f", "json", config=tmp_path / "glancekit.conf")
    assert typed.returncode == 0, typed.stderr
    assert json.loads(typed.stdout)["counts"]["changed"] == 1
    assert south.show(image_id)["name"] == "new"


def test_a_link_that_fails_says_so(
    north: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = CONFIG.format(here=north.url, there="http://127.0.0.1:9")
    (task,) = links_of(text, tmp_path).register_periodic_tasks()
    with pytest.raises(GlancekitError, match="there does not list images"):
        task.run()
    assert "secret-token" not in caplog.text


def test_what_makes_no_sense_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[replication_a\] needs a source and a target"):
        links_of("[site_replication]\nlinks = a\n", tmp_path)
    wrong = CONFIG.format(here="x", there="y").replace("os_distro=debian", "os_distro")
    with pytest.raises(ConfigError, match=r"\[replication_nightly\] 'os_distro' is not"):
        links_of(wrong, tmp_path)


def test_words_for_sites(tmp_path: Path) -> None:
    read_section = reader_of(CONFIG.format(here="http://h:1", there="http://t:2"), tmp_path)
    assert address_of("http://a:1/image/v2", read_section).name == "a:1/image"
    assert address_of("env", read_section).cloud == "env"
    assert address_of("here", read_section).token == "secret-token"
    assert address_of("devstack", read_section).cloud == "devstack"
    link = link_of("nightly", read_section)
    assert (link.source.name, link.target.name, link.manner.limit) == ("here", "there", 100 << 20)
