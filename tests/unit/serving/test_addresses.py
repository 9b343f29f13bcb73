# SPDX-License-Identifier: Apache-2.0
"""Which addresses only this machine reaches, and what is said about those that cannot be had."""

from __future__ import annotations

import pytest

from glancekit.core.errors import ConfigError
from glancekit.serving.addresses import Address, listen, require_local


@pytest.mark.parametrize(
    "address",
    [
        Address(),
        Address(host="127.8.0.1"),
        Address(host="::1"),
        Address(host="localhost"),
        Address(host="0.0.0.0", unix_socket="/run/glancekit.sock"),
    ],
    ids=str,
)
def test_this_machine_alone_reaches_it(address):
    require_local(address)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "image.example"])
def test_others_reach_it(host):
    with pytest.raises(ConfigError, match="unsafe-allow-unauthenticated-access"):
        require_local(Address(host=host))


def test_a_file_that_is_no_socket_is_not_touched(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ConfigError, match="in use"), listen(Address(unix_socket=str(path))):
        pass
    assert path.read_text() == "data"


def test_a_socket_that_answers_is_left_to_its_owner(tmp_path):
    address = Address(unix_socket=str(tmp_path / "socket"))
    with listen(address):
        with pytest.raises(ConfigError, match="in use"), listen(address):
            pass
        assert (tmp_path / "socket").exists()
    assert not (tmp_path / "socket").exists()


def test_an_address_of_another_machine_is_said():
    with (
        pytest.raises(ConfigError, match="does not have that address"),
        listen(Address(host="192.0.2.1", port=0)),
    ):
        pass
