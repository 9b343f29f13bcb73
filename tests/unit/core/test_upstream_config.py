# SPDX-License-Identifier: Apache-2.0
"""An operator's glance-api.conf means what it meant, or says why it does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from oslo_config import cfg

from glancekit.bootstrap import FURTHER_SECTIONS, bootstrap, load_config
from glancekit.bootstrap.parts import load_parts, unread_sections
from glancekit.core import drivers
from glancekit.core.config import Configuration
from glancekit.core.errors import ConfigError, PluginMissing
from glancekit.core.options import service_options
from glancekit.core.options.stores import store_options
from glancekit.core.survey import installed
from glancekit.core.upstream_config import BECOMES, IGNORED, IGNORED_SECTIONS, STORE, translate

FULL = Path(__file__).with_name("glance-api.conf")
HOWTO = Path(__file__).parents[3] / "docs" / "howto" / "from-glance-conf.rst"

Write = Callable[..., Configuration]


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """Read a file of upstream's."""

    def read(text: str) -> Configuration:
        file = tmp_path / "glance-api.conf"
        file.write_text(text)
        return load_config([str(file)], {("DEFAULT", "data_dir"): str(tmp_path / "data")})

    return read


def becomes(text: str) -> dict[tuple[str, str], str]:
    """Return what a file's options become, as text."""
    sections: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1:-1]
            sections.setdefault(section, {})
        else:
            name, _, value = line.partition(" = ")
            sections[section].setdefault(name, []).append(value)
    values = translate(sections).values
    return {place: taken.values[-1] for place, taken in values.items()}


# -- a whole file


@pytest.fixture
def full(tmp_path: Path) -> Configuration:
    file = tmp_path / "glance-api.conf"
    file.write_text(FULL.read_text().replace("{folder}", str(tmp_path)))
    return load_config([str(file)])


def test_a_whole_file_is_understood(full: Configuration, tmp_path: Path) -> None:
    load_parts(full)
    server, auth = full.section("server"), full.section("auth")
    assert (server.host, server.port, server.workers) == ("127.0.0.1", 9393, 3)
    assert server.idle_timeout == 900
    assert (auth.driver, auth.auth_url) == ("keystone", "http://controller:5000")
    assert auth.www_authenticate_uri == "http://controller:5000"
    assert (auth.username, auth.password) == ("glance", "hunter2")
    metadata = full.section("metadata")
    assert (metadata.driver, metadata.path) == ("sqlite", f"{tmp_path}/records.sqlite")
    fast, slow = full.section("fast"), full.section("slow")
    assert (fast.filesystem_store_datadir, fast.weight) == (f"{tmp_path}/fast", 10)
    assert (fast.timeout, slow.timeout) == (12, 30)
    assert (fast.filesystem_store_chunk_size, slow.filesystem_store_chunk_size) == (131072, 65536)
    assert fast.filesystem_thin_provisioning and slow.filesystem_thin_provisioning
    assert len(slow.filesystem_store_datadirs) == 2
    default = full.section("DEFAULT")
    assert (default.api_limit_max, default.log_format) == (500, "json")
    assert full.get("cors", "allowed_origin") == ["https://dashboard.example"]
    assert full.get("oslo_middleware", "enable_proxy_headers_parsing") is True
    assert full.get("image_format", "disk_formats") == ["raw", "qcow2"]


def test_nothing_in_it_is_passed_over_in_silence(full: Configuration) -> None:
    parts = load_parts(full)
    unread = unread_sections(parts)
    assert full.unknown(unread=unread) == []
    told = {(use.section, use.option): use for use in full.upstream(unread=unread)}
    assert all(bool(use.sets) != bool(use.reason) for use in told.values())
    assert told["DEFAULT", "bind_port"].sets == (("server", "port"),)
    bus = told["DEFAULT", "transport_url"]
    assert bus.sets == (("oslo_messaging_notifications", "transport_url"),) or bus.reason
    assert told["backend_defaults", "rbd_store_pool"].reason.endswith("no such option here")
    assert told["keystone_authtoken", "service_type"].reason == "[auth] has no such option here"
    assert told["cors.other", "allowed_origin"].reason
    assert ("DEFAULT", "debug") not in told
    assert not any("hunter2" in use.reason for use in told.values())


def test_values_say_where_they_come_from(full: Configuration) -> None:
    load_parts(full)
    origins = {
        (setting.section, setting.option.name): setting.origin for setting in full.settings()
    }
    assert origins["server", "port"] == "upstream's [DEFAULT] bind_port"
    assert origins["auth", "password"] == "upstream's [keystone_authtoken] password"
    assert origins["DEFAULT", "api_limit_max"].endswith("glance-api.conf")
    assert origins["server", "threads"] == "default"


def test_the_service_starts_with_it(full: Configuration, tmp_path: Path) -> None:
    world = bootstrap(full)
    with world:
        assert sorted(store.id for store in world.stores.all) == ["fast", "slow"]
        assert world.stores.default.id == "fast"
        assert world.settings.api_limit_max == 500
    assert (tmp_path / "records.sqlite").exists()


# -- what counts more


def test_our_own_option_counts_more_and_so_does_the_environment(
    read: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "[DEFAULT]\nbind_port = 1111\nbind_host = 127.0.0.2\n[server]\nport = 2222\n"
    monkeypatch.setenv("OS_SERVER__HOST", "127.0.0.3")
    config = read(text)
    assert (config.get("server", "port"), config.get("server", "host")) == (2222, "127.0.0.3")


def test_a_value_that_makes_no_sense_is_told_under_the_name_that_was_written(read: Write) -> None:
    with pytest.raises(ConfigError, match=r"upstream's \[DEFAULT\] bind_port"):
        read("[DEFAULT]\nbind_port = many\n")


# -- who is calling


@pytest.mark.parametrize(
    "text",
    [
        "[paste_deploy]\nflavor = keystone\n",
        "[paste_deploy]\nflavor = keystone+caching\n",
        "[keystone_authtoken]\nauth_url = http://controller:5000\n",
        "[paste_deploy]\nflavor = caching\n[keystone_authtoken]\nauth_url = http://c:5000\n",
    ],
)
def test_who_configured_keystone_is_never_served_without_it(text: str) -> None:
    assert becomes(text)["auth", "driver"] == "keystone"


def test_without_keystone_the_driver_stays_the_default() -> None:
    assert ("auth", "driver") not in becomes("[paste_deploy]\nflavor = caching\n")


def test_the_section_that_is_named_is_read_too() -> None:
    text = (
        "[keystone_authtoken]\nauth_section = creds\nauth_url = http://a\n"
        "[creds]\nusername = u\npassword = p\n"
    )
    found = becomes(text)
    assert (found["auth", "username"], found["auth", "password"]) == ("u", "p")
    assert found["auth", "auth_url"] == "http://a"


def test_old_names_count_where_new_ones_are_missing() -> None:
    old, new = "auth_uri = http://old\n", "www_authenticate_uri = http://new\n"
    place = ("auth", "www_authenticate_uri")
    assert becomes(f"[keystone_authtoken]\n{old}")[place] == "http://old"
    for text in (old + new, new + old):
        assert becomes(f"[keystone_authtoken]\n{text}")[place] == "http://new"


def test_other_regions_are_found_by_the_same_user() -> None:
    text = (
        "[DEFAULT]\nenabled_import_methods = [web-download,glance-download]\n"
        "[keystone_authtoken]\nauth_url = http://a\nusername = u\npassword = p\n"
        "project_domain_id = default\ncafile = /etc/ca.pem\nregion_name = north\n"
    )
    section = "glance_download_properties"
    assert {name: value for (group, name), value in becomes(text).items() if group == section} == {
        "auth_url": "http://a",
        "username": "u",
        "password": "p",
        "project_domain_id": "default",
        "https_ca_certificates_file": "/etc/ca.pem",
    }
    without = text.replace(",glance-download", "")
    assert not any(group == section for group, _ in becomes(without))


# -- records


@pytest.mark.parametrize(
    ("url", "driver", "option", "value"),
    [
        ("sqlite:////var/lib/g.sqlite", "sqlite", "path", "/var/lib/g.sqlite"),
        ("sqlite:///g.sqlite?timeout=3", "sqlite", "path", "g.sqlite"),
        ("mysql+pymysql://u:p@h/glance?charset=utf8", "mysql", "connection", None),
        ("mariadb://u:p@h/glance", "mysql", "connection", None),
        ("postgresql+psycopg2://u:p@h/glance", "postgresql", "connection", None),
    ],
)
def test_a_database_is_a_metadata_driver(
    url: str, driver: str, option: str, value: str | None
) -> None:
    found = becomes(f"[database]\nconnection = {url}\n")
    assert found["metadata", "driver"] == driver
    assert found["metadata", option] == (value or url)


@pytest.mark.parametrize("url", ["mysql://u:p@h/glance", "sqlite:////g.sqlite"])
def test_a_server_may_see_as_many_connections_as_before(url: str) -> None:
    lines = ["max_pool_size = 7", "max_overflow = -1", "pool_timeout = 9", "max_retries = 3"]
    found = becomes(f"[database]\nconnection = {url}\n" + "\n".join(lines))
    counted = {"max_pool_size": "7", "pool_timeout": "9"} if url.startswith("mysql") else {}
    names = ("max_pool_size", "max_overflow", "pool_timeout", "max_retries")
    assert {n: found["metadata", n] for n in names if ("metadata", n) in found} == counted


def test_a_database_that_needs_another_plugin_says_which(read: Write) -> None:
    config = read("[database]\nconnection = nosuch+driver://u:hunter2@h/glance\n")
    with pytest.raises(PluginMissing, match="glancekit-nosuch-metadata") as caught:
        bootstrap(config)
    assert "hunter2" not in str(caught.value)


def test_a_database_in_memory_is_none(read: Write) -> None:
    config = read("[database]\nconnection = sqlite://\n")
    (use,) = config.upstream()
    assert "in memory" in use.reason
    assert config.get("metadata", "driver") == "sqlite"


# -- the old form with one store of each kind


def test_stores_without_names_are_named_after_their_kind(read: Write, tmp_path: Path) -> None:
    config = read(
        "[glance_store]\nstores = file,http\ndefault_store = file\n"
        f"filesystem_store_datadir = {tmp_path}/images\n"
    )
    assert [(store.id, store.driver) for store in config.stores] == [
        ("file", "file"),
        ("http", "http"),
    ]
    assert config.default_store == "file"
    load_parts(config)
    assert config.section("file").filesystem_store_datadir == f"{tmp_path}/images"


@pytest.mark.parametrize(
    ("text", "backends", "default"),
    [
        ("filesystem_store_datadir = /x", "file:file", "file"),
        ("default_store = rbd", "rbd:rbd", "rbd"),
        ("stores = rbd, file\ndefault_store = rbd", "rbd:rbd, file:file", "rbd"),
        ("stores = glance.store.filesystem.Store", "file:file", "file"),
        ("default_store = swift+https\nstores = swift,http", "swift:swift, http:http", "swift"),
        ("default_store = vsphere", "vmware:vmware", "vmware"),
    ],
)
def test_their_old_names(text: str, backends: str, default: str) -> None:
    found = becomes(f"[glance_store]\n{text}\n")
    assert found["DEFAULT", "enabled_backends"] == backends
    assert found["glance_store", "default_backend"] == default


def test_a_single_default_backend_is_no_old_form() -> None:
    assert becomes("[glance_store]\ndefault_backend = fast\nchoose_by = weight\n") == {}


# -- the tables


def known() -> set[tuple[str, str]]:
    sections = {**service_options(), **FURTHER_SECTIONS}
    return {
        (section, option.dest) for section, options in sections.items() for option in options
    } | {(STORE, option.dest) for option in _of_stores()}


def _of_stores() -> list[cfg.Opt]:
    kinds = installed(drivers.STORES, deadline=30.0).values()
    return [*store_options(), *(option for kind in kinds for option in kind.options)]


def test_what_is_said_to_be_missing_is_missing() -> None:
    """An option that has arrived since needs its row no more."""
    arrived = (IGNORED.keys() | BECOMES.keys()) & known()
    arrived_sections = IGNORED_SECTIONS.keys() & {section for section, _ in known()}
    assert (arrived, arrived_sections) == (set(), set())


def test_what_options_become_is_there() -> None:
    assert {(row.section, row.option) for row in BECOMES.values()} <= known() | _of_hooks()


def _of_hooks() -> set[tuple[str, str]]:
    kinds = installed(drivers.HOOKS, deadline=30.0).values()
    classes = [kind for kind in kinds if hasattr(kind, "section")]
    return {(kind.section, option.dest) for kind in classes for option in kind.options}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workers = 0", {}),
        ("workers = None", {}),
        ("workers = 4", {("server", "workers"): "4"}),
        ("http_keepalive = False", {("server", "keep_alive"): "0"}),
        ("http_keepalive = True", {}),
        ("client_socket_timeout = 0", {}),
        ("use_json = true", {("DEFAULT", "log_format"): "json"}),
        ("use_json = false", {}),
        (
            "node_staging_uri = file:///var/stage/",
            {("os_glance_staging_store", "filesystem_store_datadir"): "/var/stage/"},
        ),
        ("node_staging_uri = swift://x", {}),
    ],
)
def test_values_that_are_written_differently(
    text: str, expected: dict[tuple[str, str], str]
) -> None:
    assert becomes(f"[DEFAULT]\n{text}\n") == expected


def test_the_howto_names_every_option() -> None:
    text = HOWTO.read_text()
    named = set(re.findall(r"^   \* - ``(?:\[(.+?)\] )?(\S+?)``$", text, re.MULTILINE))
    rows = {*BECOMES, *IGNORED} | {(section, "*") for section in IGNORED_SECTIONS}
    assert {("a store" if section == STORE else section, name) for section, name in rows} == named
