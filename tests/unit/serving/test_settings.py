# SPDX-License-Identifier: Apache-2.0
"""From the options of ``[server]`` to what the server is told."""

from __future__ import annotations

import pytest

from glancekit.bootstrap import load_config
from glancekit.core.errors import ConfigError
from glancekit.serving.options import SERVER_OPTIONS
from glancekit.serving.server import ServerSettings, default_workers


def settings(tmp_path, text=""):
    file = tmp_path / "glancekit.conf"
    file.write_text(f"[server]\n{text}\n")
    return ServerSettings.of(load_config([str(file)]).section("server"))


def test_without_a_word_it_listens_on_loopback(tmp_path):
    chosen = settings(tmp_path)
    assert str(chosen.address) == "127.0.0.1:9292"
    assert chosen.address.is_local
    assert chosen.workers == default_workers() >= 2


def test_every_option_has_a_reader(tmp_path):
    """What the command line reads itself is the exception."""
    read = set(ServerSettings.__dataclass_fields__) | {"host", "port", "unix_socket"}
    assert {option.dest for option in SERVER_OPTIONS} - read == {
        "unsafe_allow_unauthenticated_access"
    }


def test_what_is_written_counts(tmp_path):
    chosen = settings(tmp_path, "host = ::1\nport = 9999\nworkers = 3\nidle_timeout = 7")
    assert str(chosen.address) == "[::1]:9999"
    assert (chosen.workers, chosen.idle_timeout) == (3, 7)


def test_transfers_must_be_left_a_thread(tmp_path):
    with pytest.raises(ConfigError, match="reserved_threads"):
        settings(tmp_path, "threads = 8\nreserved_threads = 8")


def test_a_certificate_needs_its_key(tmp_path):
    with pytest.raises(ConfigError, match="certfile and keyfile"):
        settings(tmp_path, "certfile = /etc/ssl/cert.pem")
