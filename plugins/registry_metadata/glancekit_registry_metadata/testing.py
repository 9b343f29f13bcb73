# SPDX-License-Identifier: Apache-2.0
"""A registry in the test's own process, on a free port of loopback. Its clients are real ones."""

from __future__ import annotations

import threading
from types import SimpleNamespace, TracebackType
from typing import Any

from glancekit.plugin import MetadataDriver
from glancekit_registry_metadata.driver import RegistryMetadata
from glancekit_registry_metadata.options import CLIENT_OPTIONS, SERVER_OPTIONS
from glancekit_registry_metadata.server import Registry

KEY = "0123456789abcdef0123456789abcdef"


def server_options(**given: Any) -> SimpleNamespace:
    """Return the options of a registry on a free port, with a key."""
    plain = {option.dest: option.default for option in SERVER_OPTIONS}
    return SimpleNamespace(**plain | {"bind_port": 0, "shared_key": KEY} | given)


def client(url: str, **given: Any) -> RegistryMetadata:
    """Return a driver for the registry at a URL, with the key, not yet started."""
    plain = {option.dest: option.default for option in CLIENT_OPTIONS}
    options = plain | {"registry_url": url, "shared_key": KEY, "timeout": 30.0} | given
    return RegistryMetadata(SimpleNamespace(**options), name="registry")


class RunningRegistry:
    """A registry in front of a started driver, from entering to leaving."""

    def __init__(self, driver: MetadataDriver, **options: Any) -> None:
        self.server = Registry(driver, server_options(**options))
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    def __enter__(self) -> RunningRegistry:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.end_connections()
        self.server.server_close()
