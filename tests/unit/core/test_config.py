# SPDX-License-Identifier: Apache-2.0
"""Reading the configuration: where values come from, and what a bad one is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from oslo_config import cfg

from glancekit.core.config import FILES_FROM, Configuration, StoreEntry, find_files
from glancekit.core.errors import ConfigError
from glancekit.core.options import DEFAULT

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "glancekit.conf") -> Path:
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def test_without_a_file_everything_has_a_default() -> None:
    config = Configuration([])
    assert config.stores == (StoreEntry("local", "file"),)
    assert config.default_store == "local"
    assert config.get("metadata", "driver") == "sqlite"
    assert config.get("auth", "driver") == "none"
    assert config.section("image_format").require_image_format_match is True


def test_later_files_count_more_and_overrides_most(write: Write) -> None:
    first = write("[DEFAULT]\nimage_tag_quota = 1\nimage_member_quota = 1\napi_limit_max = 1\n")
    second = write("[DEFAULT]\nimage_member_quota = 2\napi_limit_max = 2\n", "second.conf")
    overrides = {(DEFAULT, "api_limit_max"): 3}
    section = Configuration([first, second], overrides=overrides).section(DEFAULT)
    assert section.image_tag_quota == 1
    assert section.image_member_quota == 2
    assert section.api_limit_max == 3


def test_the_environment_counts_more_than_a_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_DEFAULT__API_LIMIT_MAX", "7")
    config = Configuration([write("[DEFAULT]\napi_limit_max = 2\n")])
    assert config.get(DEFAULT, "api_limit_max") == 7


@pytest.mark.parametrize(
    ("text", "section", "option", "remedy"),
    [
        ("[DEFAULT]\nimage_size_cap = big", DEFAULT, "image_size_cap", "integer"),
        ("[DEFAULT]\nimage_size_cap = 0", DEFAULT, "image_size_cap", "at least 1"),
        ("[DEFAULT]\nlog_format = xml", DEFAULT, "log_format", "auto, plain, json"),
        ("[DEFAULT]\ndebug = perhaps", DEFAULT, "debug", "default: False"),
        ("[plugins]\nplugin_start_timeout = x", "plugins", "plugin_start_timeout", "5.0"),
        ("[DEFAULT]\nenabled_backends = fast", DEFAULT, "enabled_backends", "local"),
        ("[DEFAULT]\nenabled_backends =", DEFAULT, "enabled_backends", "local:file"),
        ("[DEFAULT]\npublic_endpoint = x", DEFAULT, "public_endpoint", "uri"),
    ],
)
def test_a_bad_value_is_named_with_its_section_and_a_remedy(
    write: Write, text: str, section: str, option: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Configuration([write(text + "\n")])
    assert (caught.value.section, caught.value.option) == (section, option)
    assert f"[{section}] {option}" in str(caught.value)
    assert remedy in str(caught.value)


def test_a_bad_value_says_where_it_was_found(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("[DEFAULT]\napi_limit_max = many\n")
    with pytest.raises(ConfigError, match="many") as caught:
        Configuration([file])
    assert str(file) in str(caught.value)
    monkeypatch.setenv("OS_DEFAULT__API_LIMIT_MAX", "few")
    with pytest.raises(ConfigError, match="few") as caught:
        Configuration([])
    assert "OS_DEFAULT__API_LIMIT_MAX" in str(caught.value)
    with pytest.raises(ConfigError, match="command line"):
        Configuration([], overrides={(DEFAULT, "image_tag_quota"): "none"})


@pytest.mark.parametrize("id", ["a b", "os_glance_staging", "metadata", "Auth", "default", "ü"])
def test_a_store_cannot_have_just_any_id(write: Write, id: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Configuration([write(f"[DEFAULT]\nenabled_backends = {id}:file\n")])
    assert caught.value.value == id


def test_stores_that_differ_in_case_only_would_share_a_section(write: Write) -> None:
    with pytest.raises(ConfigError, match="upper and lower case"):
        Configuration([write("[DEFAULT]\nenabled_backends = a:file, A:file\n")])


def test_the_default_store_must_be_told_among_several(write: Write) -> None:
    text = "[DEFAULT]\nenabled_backends = a:file, b:file\n[glance_store]\ndefault_backend = {}\n"
    assert Configuration([write(text.format("b"))]).default_store == "b"
    for missing in (text.format("c"), text.partition("[glance_store]")[0]):
        config = Configuration([write(missing)])
        with pytest.raises(ConfigError, match="a, b") as caught:
            _ = config.default_store
        assert caught.value.option == "default_backend"


DRIVER_OPTIONS = [
    cfg.StrOpt("folder", default="$data_dir/stores/$store_id"),
    cfg.StrOpt("bucket", required=True, help="Where to put things."),
    cfg.StrOpt("password", secret=True, default="hunter2"),
]


def test_a_store_has_its_own_section_and_folder(write: Write, tmp_path: Path) -> None:
    config = Configuration(
        [write("[fast]\nbucket = b\nweight = 7\n")],
        overrides={(DEFAULT, "data_dir"): str(tmp_path)},
    )
    options = config.register_store("fast", DRIVER_OPTIONS)
    assert options.folder == f"{tmp_path}/stores/fast"
    assert (options.bucket, options.weight, options.read_only) == ("b", 7, False)
    assert not hasattr(options, "store_id")


def test_a_required_option_that_is_missing_is_named(write: Write) -> None:
    with pytest.raises(ConfigError, match="Where to put things") as caught:
        Configuration([]).register_store("fast", DRIVER_OPTIONS)
    assert (caught.value.section, caught.value.option) == ("fast", "bucket")


def test_a_driver_cannot_redefine_an_option_of_the_service() -> None:
    with pytest.raises(ConfigError, match="declared twice") as caught:
        Configuration([]).register_store("fast", [cfg.StrOpt("weight")])
    assert caught.value.option == "weight"


def test_a_secret_is_not_in_the_error() -> None:
    options = [cfg.IntOpt("pin", secret=True)]
    config = Configuration([], overrides={("fast", "pin"): "hunter2"})
    with pytest.raises(ConfigError) as caught:
        config.register_store("fast", options)
    assert "hunter2" not in str(caught.value)
    assert caught.value.option == "pin"


def test_data_dir_means_the_same_wherever_the_process_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Configuration([], overrides={(DEFAULT, "data_dir"): "x"}).data_dir == tmp_path / "x"
    home = Configuration([], overrides={(DEFAULT, "data_dir"): "~/x"})
    assert home.data_dir == Path("/home/somebody/x")


def test_what_nobody_reads_is_named_with_what_was_meant(write: Write) -> None:
    file = write(
        "[DEFAULT]\nimage_size_capp = 3\n[local]\nwieght = 1\n[broken]\nx = 1\n[metdata]\ny = 1\n"
    )
    config = Configuration([file])
    config.register_store("local", [])
    assert config.unknown(unread=["broken"]) == [
        "[DEFAULT] image_size_capp is not known; did you mean image_size_cap?",
        "[local] wieght is not known; did you mean weight?",
        "section [metdata] is not known; did you mean metadata?",
    ]


def test_settings_tell_where_each_value_comes_from(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_DEFAULT__IMAGE_TAG_QUOTA", "1")
    file = write("[DEFAULT]\nimage_member_quota = 2\n")
    config = Configuration([file], overrides={(DEFAULT, "api_limit_max"): 3})
    origins = {setting.option.name: setting.origin for setting in config.settings()}
    assert origins["image_tag_quota"] == "environment"
    assert origins["image_member_quota"] == str(file)
    assert origins["api_limit_max"] == "command line"
    assert origins["image_size_cap"] == "default"


def test_a_file_that_is_none_is_an_error(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"glancekit\.conf:1"):
        Configuration([write("hello\n")])
    binary = tmp_path / "binary.conf"
    binary.write_bytes(b"[DEFAULT]\nx = \xff\n")
    with pytest.raises(ConfigError):
        Configuration([binary])


def test_files_are_those_named_else_the_environments_else_the_usual(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(FILES_FROM, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    one, two = write("", "one.conf"), write("", "two.conf")
    (tmp_path / "glancekit").mkdir()
    usual = write("", "glancekit/glancekit.conf")
    if not Path("/etc/glancekit/glancekit.conf").exists():
        assert find_files() == (usual,)
    monkeypatch.setenv(FILES_FROM, f"{one}:{two}")
    assert find_files() == (one, two)
    assert find_files([str(two)]) == (two,)
    with pytest.raises(ConfigError, match=r"nowhere\.conf"):
        find_files([str(tmp_path / "nowhere.conf")])
