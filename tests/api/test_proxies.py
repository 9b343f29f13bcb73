# SPDX-License-Identifier: Apache-2.0
"""Behind proxies: links are the client's, and nobody else can make them so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from glancekit.api.proxies import CLIENT, FORWARDED, Proxies, ProxySettings
from glancekit.core.errors import ConfigError
from glancekit.testing.client import Client, WsgiTransport

Build = Callable[..., Client]

PROXY = "10.0.0.7"
ON = {
    ("oslo_middleware", "enable_proxy_headers_parsing"): True,
    ("server", "forwarded_allow_ips"): ["10.0.0.0/24"],
    ("auth", "trusted_peers"): ["10.0.0.0/8"],
}
TOLD = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "images.example",
    "X-Forwarded-Prefix": "/image",
    "X-Forwarded-For": "192.0.2.9",
}


def self_link(client: Client, headers: Mapping[str, str]) -> str:
    answer = client.request("GET", "/versions", headers=headers)
    return str(answer.json["versions"][0]["links"][0]["href"])


def test_links_are_the_ones_that_the_client_can_use(build: Build) -> None:
    client = build(ON, peer=PROXY)
    assert self_link(client, TOLD) == "https://images.example/image/v2/"
    answer = client.as_project("p").request("POST", "/v2/images", headers=TOLD, body=b"{}")
    assert answer.status == 201
    assert answer.headers["location"].startswith("https://images.example/image/v2/images/")


def test_a_peer_that_is_no_proxy_is_not_believed(build: Build) -> None:
    assert self_link(build(ON, peer="10.0.1.7"), TOLD) == "http://127.0.0.1/v2/"


def test_nobody_is_believed_when_it_is_off(build: Build) -> None:
    off = {**ON, ("oslo_middleware", "enable_proxy_headers_parsing"): False}
    assert self_link(build(off, peer=PROXY), TOLD) == "http://127.0.0.1/v2/"


def test_the_public_endpoint_wins(build: Build) -> None:
    client = build(ON, peer=PROXY, public_endpoint="https://public.example:9292")
    assert self_link(client, TOLD) == "https://public.example:9292/v2/"


def test_who_authenticates_by_address_sees_the_peer(build: Build) -> None:
    """The client's address is not among the trusted peers, and need not be."""
    client = build(ON, peer=PROXY).as_project("p")
    assert client.request("GET", "/v2/images", headers=TOLD).status == 200


def test_what_makes_no_sense_is_left_out(build: Build) -> None:
    client = build(ON, peer=PROXY)
    for name, value in (
        ("X-Forwarded-Host", "evil.example/path?x="),
        ("X-Forwarded-Host", "a b"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Prefix", "//evil.example"),
        ("X-Forwarded-Prefix", "no-slash"),
        ("X-Forwarded-Prefix", "/"),
    ):
        assert self_link(client, {name: value}) == "http://127.0.0.1/v2/"


def test_a_wrong_list_of_proxies_is_told(build: Build) -> None:
    with pytest.raises(ConfigError, match="forwarded_allow_ips"):
        build({**ON, ("server", "forwarded_allow_ips"): ["proxy.example"]})


# -- several proxies in a row


def seen(peer: str, told: Mapping[str, str], **settings: str) -> tuple[str, str, str]:
    """Return client, scheme and host as the application sees them."""
    found = []

    def application(environ, start_response):
        found.append(environ)
        start_response("200 OK", [])
        return [b""]

    chosen = ProxySettings(is_on=True, trusted=("10.0.0.0/24", "fd00::/8"), **settings)
    WsgiTransport(Proxies(application, chosen), peer=peer).send("GET", "/", headers=told, body=b"")
    (environ,) = found
    return environ.get(CLIENT, ""), environ["wsgi.url_scheme"], environ["HTTP_HOST"]


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("192.0.2.9, 10.0.0.2", "192.0.2.9"),
        ("203.0.113.1, 192.0.2.9, 10.0.0.3, 10.0.0.2", "192.0.2.9"),
        ("10.0.0.4, 10.0.0.3", "10.0.0.4"),
        ("192.0.2.9:4711", "192.0.2.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("192.0.2.9, unknown", ""),
        ("", ""),
    ],
)
def test_the_client_is_the_first_who_is_no_proxy(chain: str, client: str) -> None:
    assert seen(PROXY, {"X-Forwarded-For": chain})[0] == client


def test_what_the_outermost_proxy_says_counts() -> None:
    headers = {
        "X-Forwarded-For": "203.0.113.1, 192.0.2.9, 10.0.0.3",
        "X-Forwarded-Proto": "gopher, https, http",
        "X-Forwarded-Host": "invented.example, images.example, inner.example",
    }
    assert seen(PROXY, headers) == ("192.0.2.9", "https", "images.example")
    headers["X-Forwarded-Proto"] = "https"  # by one that sets and does not add
    assert seen(PROXY, headers)[1] == "https"


def test_a_local_socket_is_a_proxys() -> None:
    assert seen("", {"X-Forwarded-For": "192.0.2.9"})[0] == "192.0.2.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (
            "for=192.0.2.9;proto=https;host=images.example",
            ("192.0.2.9", "https", "images.example"),
        ),
        ('For="[2001:db8::1]:4711"; Proto=HTTPS', ("2001:db8::1", "https", "127.0.0.1")),
        (
            "for=203.0.113.1;host=no.example, for=192.0.2.9;host=images.example, for=10.0.0.2",
            ("192.0.2.9", "http", "images.example"),
        ),
        ("for=_hidden;proto=https", ("", "https", "127.0.0.1")),
        (";;,=", ("", "http", "127.0.0.1")),
    ],
)
def test_forwarded(forwarded: str, expected: tuple[str, str, str]) -> None:
    assert seen(PROXY, {"Forwarded": forwarded}, headers=FORWARDED) == expected


def test_only_the_headers_that_the_proxy_sets_are_read() -> None:
    """A proxy passes on what it does not know, and a client may send anything."""
    invented = {"Forwarded": "host=evil.example;for=203.0.113.1"}
    assert seen(PROXY, {**invented, "X-Forwarded-For": "192.0.2.9"}) == (
        "192.0.2.9",
        "http",
        "127.0.0.1",
    )
    assert seen(PROXY, TOLD, headers=FORWARDED) == ("", "http", "127.0.0.1")
