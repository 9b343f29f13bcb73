# SPDX-License-Identifier: Apache-2.0
"""What a proxy says is believed of trusted peers alone, in each request of a connection."""

from __future__ import annotations

import socket

import pytest
from gunicorn.config import Config
from gunicorn.http import message

from glancekit.serving.connection_requests import ConnectionRequests

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n"


def schemes(peer: tuple[str, int] | str) -> list[str]:
    """Return the scheme that each of three requests of one connection has."""
    client, server = socket.socketpair()
    with client, server:
        server.settimeout(1)
        client.sendall(3 * REQUEST)
        requests = ConnectionRequests(Config(), server, peer)
        return [next(requests).scheme for _ in range(3)]


@pytest.mark.parametrize("peer", [("127.0.0.1", 1), ("::1", 1, 0, 0), ""])
def test_a_trusted_peer_is_believed_each_time(peer):
    assert schemes(peer) == ["https"] * 3


@pytest.mark.parametrize("peer", [("192.0.2.1", 1), ("2001:db8::1", 1, 0, 0)])
def test_another_is_never_believed(peer):
    assert schemes(peer) == ["http"] * 3


def test_connections_are_judged_apart():
    assert schemes(("127.0.0.1", 1))[0] != schemes(("192.0.2.1", 1))[0]


def test_a_peer_is_judged_once_for_a_connection(monkeypatch):
    judged = []
    real = message._ip_in_allow_list

    def judge(address, *others):
        judged.append(address)
        return real(address, *others)

    monkeypatch.setattr(message, "_ip_in_allow_list", judge)
    schemes(("192.0.2.1", 1))
    assert judged == ["192.0.2.1"]
