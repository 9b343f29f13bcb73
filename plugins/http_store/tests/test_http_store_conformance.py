# SPDX-License-Identifier: Apache-2.0
"""The http store keeps the promises of a store, on a real web server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from glancekit_http_store.driver import HttpStore

from glancekit.plugin import Location, SupportsRange
from glancekit.testing import StoreConformance


class TestHttpStore(StoreConformance):
    capabilities: ClassVar = {SupportsRange}

    @pytest.fixture
    def url_of(self, nginx: Any) -> Callable[[str], str]:
        return nginx.url  # type: ignore[no-any-return]

    @pytest.fixture
    def driver(self, build: Callable[..., HttpStore]) -> HttpStore:
        return build()

    @pytest.fixture
    def put(self, nginx: Any, url_of: Callable[[str], str]) -> Callable[[bytes], Location]:
        def put(data: bytes) -> Location:
            name = uuid.uuid4().hex
            Path(nginx.root, name).write_bytes(data)
            return Location(url=url_of(name))

        return put

    @pytest.fixture
    def missing(self, url_of: Callable[[str], str]) -> Location:
        return Location(url=url_of("nothing-here"), size=15)


class TestHttpStoreByTls(TestHttpStore):
    @pytest.fixture
    def url_of(self, nginx: Any) -> Callable[[str], str]:
        return nginx.tls_url  # type: ignore[no-any-return]

    @pytest.fixture
    def driver(self, nginx: Any, build: Callable[..., HttpStore]) -> HttpStore:
        return build(https_ca_certificates_file=str(nginx.authority))


class TestHttpStoreWithoutRanges(TestHttpStore):
    """The server knows no ranges; the driver does it in its place."""

    @pytest.fixture
    def url_of(self, nginx: Any) -> Callable[[str], str]:
        return lambda name: nginx.url(f"no-ranges/{name}")


class TestHttpStoreRedirected(TestHttpStore):
    @pytest.fixture
    def url_of(self, nginx: Any) -> Callable[[str], str]:
        return lambda name: nginx.url(f"moved/{name}")


class TestHttpStoreWithoutHead(TestHttpStore):
    @pytest.fixture
    def url_of(self, nginx: Any) -> Callable[[str], str]:
        return lambda name: nginx.url(f"get-alone/{name}")
