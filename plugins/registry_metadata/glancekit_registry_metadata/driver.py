# SPDX-License-Identifier: Apache-2.0
"""The driver of API nodes: a pool of connections to the registry, and no database password."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from glancekit.plugin import MetadataDriver, UnitOfWork
from glancekit_registry_metadata.channel import Address, Pool, one_channel
from glancekit_registry_metadata.options import CLIENT_OPTIONS, client_tls, shared_key
from glancekit_registry_metadata.unit_of_work import RemoteUnitOfWork


class RegistryMetadata(MetadataDriver):
    """Records that a registry keeps, for any number of threads, processes and hosts."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = CLIENT_OPTIONS

    def __init__(self, options: Any, *, name: str) -> None:
        self._options = options
        self._made: Pool | None = None

    def start(self) -> None:
        """See the contract. The schema is the business of the registry's own driver."""
        self.check()

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        """See the contract."""
        return RemoteUnitOfWork(self._pool, read_only=read_only)

    def check(self) -> None:
        """See the contract."""
        with one_channel(self._pool) as channel:
            channel.ask({}, path="/v1/check")

    def close(self) -> None:
        """See the contract."""
        if self._made is not None:
            self._made.close()

    @property
    def _pool(self) -> Pool:
        if self._made is None:
            self._made = self._make_pool()
        return self._made

    def _make_pool(self) -> Pool:
        options = self._options
        url = options.registry_url
        address = Address(
            url=url,
            key=shared_key(options),
            tls=client_tls(options) if url.startswith("https://") else None,
            timeout=options.timeout,
        )
        address.check()
        return Pool(address, options.max_connections)
