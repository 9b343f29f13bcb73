# SPDX-License-Identifier: Apache-2.0
"""Every way to name a version becomes one path."""

from __future__ import annotations

import pytest

from glancekit.api.versions import listed, negotiate

MEDIA = "application/vnd.openstack.images-"


@pytest.mark.parametrize(
    ("path", "accept", "meant"),
    [
        ("/v2/images", "", "/v2/images"),
        ("/v2.0/images", "", "/v2/images"),
        ("/v2.9/images/x", "*/*", "/v2/images/x"),
        ("/v2.13/images", "", "/v2/images"),
        ("/v2", "", "/v2"),
        ("/v2.17", "", "/v2"),
        ("/images", MEDIA + "v2.3", "/v2/images"),
        ("/images", MEDIA + "v2", "/v2/images"),
        ("/images", MEDIA + "v2.3;q=1, */*", "/v2/images"),
        ("/versions", "", "/versions"),
        ("/healthcheck", "", "/healthcheck"),
        ("/", "", "/"),
        ("", "", "/"),
        ("/nope", "", "/"),
        ("/images", "", "/"),
        ("/v1/images", "", "/"),
        ("/v3/", "", "/"),
        ("/v2.99/images", "", "/"),
        ("/v2.18/images", "", "/"),
        ("/images", MEDIA + "v2.99", "/"),
        ("/images", MEDIA + "v1", "/"),
        ("/images", MEDIA + "v2x", "/"),
    ],
)
def test_negotiation(path: str, accept: str, meant: str) -> None:
    assert negotiate(path, accept, {"v2", *listed(with_cache=False)}) == meant


def test_some_are_there_with_a_cache_alone() -> None:
    with_cache = listed(with_cache=True)
    assert with_cache[:5] == ("v2.18", "v2.17", "v2.16", "v2.15", "v2.14")
    assert listed(with_cache=False)[0] == "v2.17"
    assert set(with_cache) - set(listed(with_cache=False)) == {"v2.14", "v2.16", "v2.18"}
    assert negotiate("/v2.18/cache", "", {"v2", *with_cache}) == "/v2/cache"
