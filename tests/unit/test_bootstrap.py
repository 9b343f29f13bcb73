# SPDX-License-Identifier: Apache-2.0
"""Building the world: what is needed stops the start, all else is left out and named."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from glancekit.bootstrap import bootstrap, load_config
from glancekit.bootstrap.parts import preload
from glancekit.bootstrap.settings import settings_of
from glancekit.bootstrap.workers import periodic_work
from glancekit.core.config import Configuration
from glancekit.core.contracts.auth import Credentials
from glancekit.core.drivers import PluginReport, PluginState
from glancekit.core.errors import ConfigError, PluginError, PluginMissing, StoreUnavailable
from glancekit.core.model.events import Event
from glancekit.core.model.image import Image, Location
from glancekit.core.stores import ChooseBy, DirectTransfer
from glancekit.services.world import Settings

Install = Callable[..., str]
Configure = Callable[..., Configuration]

PATIENCE = 30.0


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Make a configuration of some text, with everything kept in the test's own folder."""

    def configure(text: str = "") -> Configuration:
        file = tmp_path / "glancekit.conf"
        file.write_text(text)
        return load_config([str(file)], {("DEFAULT", "data_dir"): str(tmp_path / "data")})

    return configure


def report_of(reports: tuple[PluginReport, ...], use: str) -> PluginReport:
    (found,) = [report for report in reports if report.use == use]
    return found


def test_out_of_the_box_there_is_a_whole_world(configure: Configure, tmp_path: Path) -> None:
    with bootstrap(configure()) as world:
        assert [store.id for store in world.stores] == ["local"]
        assert world.stores.default.is_default
        assert world.auth.loopback_only
        assert {report.state for report in world.plugins} == {PluginState.OK}
        with world.metadata.unit_of_work(read_only=True) as work:
            assert work.leases.holders(alive_at=Event(type="", subject="").at) == {
                world.lease.holder
            }
    assert (tmp_path / "data" / "glancekit.sqlite").exists()


def test_without_an_auth_plugin_everybody_is_one_administrator(configure: Configure) -> None:
    with bootstrap(configure()) as world:
        identity = world.auth.authenticate(Credentials(headers={}, peer="127.0.0.1"))
        assert identity.is_admin
        assert (identity.user_id, identity.project_id) == ("admin", "admin")
        assert world.auth.challenge() is None


def test_a_configuration_can_be_used_again(configure: Configure) -> None:
    config = configure()
    for _ in range(2):
        with bootstrap(config) as world:
            assert world.stores.default.id == "local"


CLOSING = """
from glancekit.plugin import StoreDriver

CLOSED = []

class Store(StoreDriver):
    api_level = 1

    def __init__(self, options, *, name):
        self.name = name

    def open(self, location):
        raise NotImplementedError

    def size(self, location):
        return None

    def close(self):
        CLOSED.append(self.name)
"""


def test_closing_closes_the_drivers(configure: Configure, install_store: Install) -> None:
    module = install_store("closing", CLOSING)
    bootstrap(configure("[DEFAULT]\nenabled_backends = fast:closing\n")).close()
    assert sys.modules[module].CLOSED == ["fast"]


def test_preloading_imports_and_builds_nothing(
    configure: Configure, install_store: Install
) -> None:
    module = install_store("eager", CLOSING.replace("self.name = name", "raise OSError"))
    preload(configure("[DEFAULT]\nenabled_backends = fast:eager\n[auth]\ndriver = gone\n"))
    assert module in sys.modules


def test_a_fork_never_has_half_a_module(configure: Configure, install_store: Install) -> None:
    """One that is still being imported ends the start, and not with the error of a circle."""
    install_store("slow", "import threading\nthreading.Event().wait()\n")
    text = "[DEFAULT]\nenabled_backends = fast:slow\n[plugins]\nplugin_start_timeout = 3\n"
    with pytest.raises(PluginError, match="not ready within 3 s"):
        preload(configure(text))


def test_a_failed_start_closes_the_drivers(configure: Configure, install_store: Install) -> None:
    module = install_store("closing", CLOSING)
    text = "[DEFAULT]\nenabled_backends = fast:closing\n[auth]\ndriver = kerberos\n"
    with pytest.raises(PluginMissing):
        bootstrap(configure(text))
    assert sys.modules[module].CLOSED == ["fast"]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("[metadata]\ndriver = oracle\n", "pip install glancekit-oracle-metadata"),
        ("[auth]\ndriver = kerberos\n", "pip install glancekit-kerberos-auth"),
        ("[DEFAULT]\nenabled_backends = tape:tape\n", "pip install glancekit-tape-store"),
    ],
)
def test_what_the_service_needs_must_be_there(
    configure: Configure, text: str, advice: str
) -> None:
    with pytest.raises(PluginMissing) as caught:
        bootstrap(configure(text))
    assert advice in str(caught.value)


def test_a_broken_default_store_stops_the_start_and_says_what_to_do(
    configure: Configure, install_store: Install
) -> None:
    install_store("acme", "import nowhere_to_be_found")
    with pytest.raises(PluginError) as caught:
        bootstrap(configure("[DEFAULT]\nenabled_backends = fast:acme\n"))
    for part in ("nowhere_to_be_found", "default store 'fast'", "acme-acme", "enabled_backends"):
        assert part in str(caught.value)


OTHER_STORES = """
[DEFAULT]
enabled_backends = local:file, gone:nowhere, broken:broken, slow:slow, odd:odd
[glance_store]
default_backend = local
[plugins]
plugin_start_timeout = 6
[odd]
weight = heavy
"""


def test_other_stores_may_fail_and_are_reported(
    configure: Configure, install_store: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install_store("broken", "import nowhere_to_be_found")
    install_store("slow", "import threading\nthreading.Event().wait()")
    install_store("odd")
    with bootstrap(configure(OTHER_STORES)) as world:
        assert [store.id for store in world.stores] == ["local"]
        reports = world.plugins
    expected = {
        "store gone": (PluginState.MISSING, "glancekit-nowhere-store"),
        "store broken": (PluginState.BROKEN, "nowhere_to_be_found"),
        "store slow": (PluginState.BROKEN, "not ready within 6 s"),
        "store odd": (PluginState.BROKEN, "[odd] weight = heavy"),
    }
    for use, (state, reason) in expected.items():
        report = report_of(reports, use)
        assert report.state is state
        assert reason in report.reason
        assert f"{use} goes without plugin" in caplog.text
        assert reason in caplog.text


def test_stores_are_mounted_as_their_sections_say(
    configure: Configure, install_store: Install
) -> None:
    install_store("acme")
    text = (
        "[DEFAULT]\nenabled_backends = local:file, cheap:acme\n"
        "[glance_store]\ndefault_backend = local\n"
        "choose_by = weight\n"
        "[cheap]\nstore_description = on tape\nweight = -3\nread_only = true\ndrain = true\n"
        "direct_transfer = asked\ndirect_transfer_ttl = 7\n"
    )
    with bootstrap(configure(text)) as world:
        store = world.stores.get("cheap")
        assert (store.description, store.weight, store.read_only) == ("on tape", -3, True)
        assert (store.draining, store.direct_transfer_ttl) == (True, 7)
        assert store.direct_transfer is DirectTransfer.ASKED
        assert not store.is_default
        assert world.stores.choose_by is ChooseBy.WEIGHT


ON_ONE_PLACE = {
    "two stores": "[b]\nfilesystem_store_datadir = {folder}/link\n",
    "a store and staging": "[os_glance_staging_store]\nfilesystem_store_datadir = {folder}/link\n",
    "a store and the cache": "[DEFAULT]\nimage_cache_dir = {folder}/link\n",
}


@pytest.mark.parametrize("case", ON_ONE_PLACE)
def test_no_two_stores_are_one_place(configure: Configure, tmp_path: Path, case: str) -> None:
    """A copy from one to the other would cost the image its only one."""
    (tmp_path / "link").symlink_to(tmp_path / "images")
    text = (
        "[DEFAULT]\nenabled_backends = a:file, b:file\n[glance_store]\ndefault_backend = a\n"
        f"[a]\nfilesystem_store_datadir = {tmp_path}/images\n"
    )
    bootstrap(configure(text)).close()
    with pytest.raises(ConfigError, match=r"one place, file:.*images: what is removed"):
        bootstrap(configure(text + ON_ONE_PLACE[case].format(folder=tmp_path)))


def test_a_start_makes_a_folder_for_images_but_never_again(
    configure: Configure, tmp_path: Path
) -> None:
    """A folder that is missing, or empty, later on may be one whose file system is not mounted."""
    folder = tmp_path / "data" / "stores" / "local"
    with bootstrap(configure()) as world:
        assert folder.is_dir()
        world.stores.default.check()
        with world.metadata.unit_of_work() as work:
            work.images.add(Image(id="i", owner="p"))
            work.locations.add(Location(url=f"file://{folder}/i", store="local", image_id="i"))
            work.commit()
    folder.rename(tmp_path / "away")
    folder.mkdir()
    with bootstrap(configure()) as world:
        with pytest.raises(StoreUnavailable, match="is its file system mounted"):
            world.stores.default.check()
        assert [*folder.iterdir()] == []


PLACELESS = """
from glancekit.plugin import SupportsPlaces
from glancekit.testing.memory_store import MemoryStore
class Store(MemoryStore, SupportsPlaces):
    def places(self):
        return 7
"""


def test_a_store_that_cannot_tell_its_place_is_used_all_the_same(
    configure: Configure, install_store: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install_store("odd", PLACELESS)
    text = (
        "[DEFAULT]\nenabled_backends = local:file, odd:odd\n"
        "[glance_store]\ndefault_backend = local\n"
    )
    with bootstrap(configure(text)) as world:
        assert [store.id for store in world.stores] == ["local", "odd"]
    assert "no telling whether store odd is another's place" in caplog.text


def test_what_users_would_tell_the_operator_is_told_before(
    configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap(configure("[local]\ndrain = true\ndirect_transfer = always\n")).close()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [sentence.split(",")[0].split(":")[0] for sentence in warnings] == [
        "default store local is being drained",
        "[local] direct_transfer does nothing",
    ]
    caplog.clear()
    bootstrap(configure("[local]\nread_only = true\n")).close()
    assert "default store local can only be read" in caplog.text
    caplog.clear()
    bootstrap(configure("[local]\ndrain = true\n[glance_store]\nchoose_by = weight\n")).close()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", "data/staging"),
        ("[os_glance_staging_store]\nfilesystem_store_datadir = {0}/on\n", "on"),
        ("[DEFAULT]\nnode_staging_uri = file://{0}/old\n", "old"),
        (
            "[DEFAULT]\nnode_staging_uri = file://{0}/old\n"
            "[os_glance_staging_store]\nfilesystem_store_datadir = {0}/new\n",
            "new",
        ),
    ],
)
def test_where_data_on_their_way_in_are(
    configure: Configure, tmp_path: Path, text: str, folder: str
) -> None:
    with bootstrap(configure(text.format(tmp_path))) as world:
        assert world.staging == tmp_path / folder
        assert [store.id for store in world.stores] == ["local"]


def test_options_that_nobody_reads_are_warned_about(
    configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap(configure("[local]\nweigth = 3\n")).close()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == "[local] weigth is not known; did you mean weight?"


def test_every_setting_comes_from_the_configuration(configure: Configure) -> None:
    assert settings_of(configure()) == Settings()
    text = "[DEFAULT]\nimage_tag_quota = 3\n[image_format]\ndisk_formats = raw, qcow2\n"
    settings = settings_of(configure(text))
    assert settings.image_tag_quota == 3
    assert settings.disk_formats == ("raw", "qcow2")
    for field in fields(settings):
        assert not isinstance(getattr(settings, field.name), list)


def test_a_data_dir_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = load_config(overrides={("DEFAULT", "data_dir"): str(tmp_path / "file" / "below")})
    with pytest.raises(ConfigError, match="--data-dir") as caught:
        bootstrap(config)
    assert caught.value.option == "data_dir"


LISTENER = """
import threading
from glancekit.plugin import hookimpl
api_level = 1
heard, subjects = threading.Event(), []

@hookimpl
def after_commit(events):
    subjects.extend(event.subject for event in events)
    heard.set()
"""


def test_a_listener_hears_of_what_is_committed(configure: Configure, install: Install) -> None:
    module = install("acme-listener", LISTENER, {"glancekit.hooks": {"acme": ""}})
    config = configure()
    with bootstrap(config) as world:
        runner = periodic_work(world, config)
        runner.start()
        try:
            with world.metadata.unit_of_work() as work:
                work.events.append(Event(type="image.create", subject="the image"))
                work.commit()
            listener = sys.modules[module]
            assert listener.heard.wait(PATIENCE)
            assert listener.subjects == ["the image"]
        finally:
            runner.stop(PATIENCE)
