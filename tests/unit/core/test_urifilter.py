# SPDX-License-Identifier: Apache-2.0
"""What URLs the service may be sent to: spellings, lists, names and what they resolve to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit.bootstrap import load_config
from glancekit.core.errors import ConfigError, Unavailable, UriRefused
from glancekit.core.urifilter import FILTER_SECTION, UriFilter

PUBLIC = "93.184.215.14"


def names(**known: Sequence[str]) -> Any:
    """A resolver that knows these hosts, ``_`` for a dot, and gives others a public address."""
    table = {name.replace("_", "."): found for name, found in known.items()}

    def resolve(host: str, port: int) -> Sequence[str]:
        found = table.get(host, [PUBLIC])
        if not found:
            raise OSError("no such host")
        return found

    return resolve


def filter_of(resolve: Any = None, **given: Any) -> UriFilter:
    defaults = vars(load_config([]).section(FILTER_SECTION))
    return UriFilter(SimpleNamespace(**defaults | given), resolve=resolve or names())


# -- what is taken


def test_a_destination_says_what_to_connect_to_and_what_to_ask_for() -> None:
    found = filter_of().judge("HTTPS://us%40er:p%3Aw@Images.Example.ORG./a%20b?sig=s#part")
    assert (found.scheme, found.host, found.port) == ("https", "images.example.org", 443)
    assert found.addresses == (PUBLIC,)
    assert (found.username, found.password) == ("us@er", "p:w")
    assert found.target == "/a%20b?sig=s"
    assert found.url == "https://images.example.org/a%20b?sig=s"


def test_neither_credentials_nor_query_are_shown() -> None:
    found = filter_of().judge("http://user:hunter2@example.org/image?signature=hunter3")
    for text in (repr(found), found.shown):
        assert "hunter" not in text
    assert found.shown == "http://example.org/image"


def test_a_url_without_a_path_asks_for_the_root() -> None:
    assert filter_of().judge("http://example.org?a").target == "/?a"


@pytest.mark.parametrize("url", ["http://[2606:4700::6810:84e5]/i", "http://8.8.8.8./i"])
def test_an_address_is_its_own_destination(url: str) -> None:
    found = filter_of().judge(url)
    assert found.addresses == (found.host,)
    assert found.authority in ("[2606:4700::6810:84e5]", "8.8.8.8")


def test_all_addresses_of_a_name_are_pinned_in_their_order() -> None:
    found = filter_of(names(two_org=["8.8.8.8", "2606:4700::1", "8.8.8.8"])).judge(
        "http://two.org"
    )
    assert found.addresses == ("8.8.8.8", "2606:4700::1")


# -- what leads inside

LOOPBACK = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.255.255.254",
    "127.1",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "127.0.0.1..",
    "0.0.0.0",
    "0",
    "0.1.2.3",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "%31%32%37.0.0.1",
]
LINK_LOCAL = [
    "169.254.169.254",
    "0xa9fea9fe",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "[fec0::1]",
]
OTHERS = ["224.0.0.1", "[ff02::1]", "255.255.255.255", "240.0.0.1", "168.63.129.16"]


@pytest.mark.parametrize("host", [*LOOPBACK, *LINK_LOCAL, *OTHERS])
def test_no_spelling_of_an_address_leads_inside(host: str) -> None:
    with pytest.raises(UriRefused):
        filter_of().judge(f"http://{host}/")


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"], [PUBLIC, "127.0.0.1"]],
)
def test_no_name_leads_inside(found: list[str]) -> None:
    with pytest.raises(UriRefused) as refused:
        filter_of(names(sly_org=found)).judge("http://sly.org/")
    assert not any(address in str(refused.value) for address in found)


def test_localhost_is_found_out_by_the_system_s_resolver() -> None:
    options = load_config([]).section(FILTER_SECTION)
    with pytest.raises(UriRefused):
        UriFilter(options).judge("http://localhost/")


PRIVATE = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fc00::1]"]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_networks_are_the_operator_s_choice(host: str) -> None:
    assert filter_of().judge(f"http://{host}/").addresses
    with pytest.raises(UriRefused):
        filter_of(allow_private=False).judge(f"http://{host}/")
    assert filter_of(allow_private=False).judge(f"http://{PUBLIC}/").addresses


# -- what the operator says


@pytest.mark.parametrize("url", ["http://example.org:8080/", "http://example.org:22"])
def test_only_usual_ports_by_default(url: str) -> None:
    with pytest.raises(UriRefused):
        filter_of().judge(url)
    assert filter_of(allowed_ports=[], disallowed_ports=[25]).judge(url).port in (8080, 22)


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher"])
def test_only_web_schemes_by_default(scheme: str) -> None:
    with pytest.raises(UriRefused):
        filter_of().judge(f"{scheme}://example.org:80/")
    with pytest.raises(UriRefused):
        filter_of(allowed_schemes=[], disallowed_schemes=[scheme]).judge(f"{scheme}://x.org:80/")


def test_allowed_hosts_are_all_there_are_and_may_be_loopback() -> None:
    chosen = filter_of(
        names(inner_example=["127.0.0.1"]),
        allowed_hosts=["Inner.Example.", "127.0.0.1", "[::1]", "192.0.2.0/24"],
        disallowed_hosts=["inner.example"],
    )
    allowed = ["inner.example", "127.0.0.1", "[::1]", "[0:0::1]", "192.0.2.77"]
    for host in allowed:
        assert chosen.judge(f"http://{host}/").addresses
    for host in ("example.org", "127.0.0.2", "127.1", "192.0.3.1"):
        with pytest.raises(UriRefused):
            chosen.judge(f"http://{host}/")


def test_disallowed_hosts_are_refused_by_name_and_by_address() -> None:
    chosen = filter_of(
        names(alias_org=["10.9.8.7"]), disallowed_hosts=["bad.org", "10.9.0.0/16", "2.2.2.2"]
    )
    for host in ("BAD.org", "bad.org.", "10.9.8.7", "alias.org", "2.2.2.2", "[64:ff9b::2.2.2.2]"):
        with pytest.raises(UriRefused):
            chosen.judge(f"http://{host}/")
    assert chosen.judge("http://good.bad.org/").addresses


@pytest.mark.parametrize("entry", ["http://x", "1.2", "a..b", "10.0.0.1/8", "x y", ""])
def test_an_entry_that_is_no_host_is_told_at_the_start(entry: str) -> None:
    with pytest.raises(ConfigError) as refused:
        filter_of(allowed_hosts=[entry])
    assert "allowed_hosts" in str(refused.value)


def test_the_section_is_upstream_s(tmp_path: Path) -> None:
    file = tmp_path / "glance-api.conf"
    file.write_text(
        "[import_filtering_opts]\nallowed_schemes = [https]\nallowed_ports = [443, 8443]\n"
        "disallowed_hosts = 10.0.0.0/8,bad.example\n"
    )
    config = load_config([str(file)])
    assert config.unknown() == []
    chosen = UriFilter(config.section(FILTER_SECTION), resolve=names())
    assert chosen.judge("https://example.org:8443/").port == 8443
    for url in ("http://example.org/", "https://bad.example/", "https://10.0.0.1/"):
        with pytest.raises(UriRefused):
            chosen.judge(url)


# -- what is no URL


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "/path",
        "http://",
        "http:///path",
        "http://:80/",
        "http://example.org:port/",
        "http://example.org:0/",
        "http://example.org:70000/",
        "http://exa mple.org/",
        "http://example.org/\r\nHost: evil",
        "http://example.org\\@127.0.0.1/",
        "http://exam%70le.org/",
        "http://[::1",
        "http://a..b/",
        "http://ex$ample.org/",
        "http://" + "é" * 70 + ".org/",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UriRefused):
        filter_of().judge(url)


def test_the_host_is_what_stands_behind_the_last_at_sign() -> None:
    assert filter_of().judge("http://allowed.org@evil.org/").host == "evil.org"


# -- names without an address


def test_a_name_without_an_address_is_a_matter_of_now() -> None:
    with pytest.raises(Unavailable):
        filter_of(names(gone_org=[])).judge("http://gone.org/")


def test_a_proxy_may_know_names_that_we_do_not() -> None:
    chosen = filter_of(names(far_org=[], sly_org=["127.0.0.1"]))
    assert chosen.judge("http://far.org/", is_resolved_elsewhere=True).addresses == ()
    with pytest.raises(UriRefused):
        chosen.judge("http://sly.org/", is_resolved_elsewhere=True)
