# SPDX-License-Identifier: Apache-2.0
"""The Swift store keeps the promises of a store: as one object, and in segments."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from glancekit_swift_store.driver import SwiftStore

from glancekit.plugin import (
    Caller,
    SupportsAcl,
    SupportsCaller,
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsListing,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsUsage,
    SupportsWrite,
)
from glancekit.testing import StoreConformance


class TestSwiftStore(StoreConformance):
    capabilities: ClassVar = {
        SupportsWrite,
        SupportsDelete,
        SupportsRange,
        SupportsDirectUrl,
        SupportsAcl,
        SupportsUsage,
        SupportsHealth,
        SupportsDetails,
        SupportsSweep,
        SupportsListing,
        SupportsPlaces,
        SupportsCaller,
    }

    @pytest.fixture
    def driver(self, build: Callable[..., SwiftStore], container: str) -> SwiftStore:
        return build(container, swift_store_temp_url_key="signed")

    @pytest.fixture
    def twin(self, build: Callable[..., SwiftStore], container: str) -> SwiftStore:
        return build(container, swift_store_upload_threads=2)

    @pytest.fixture
    def leftovers(self, outside: Any, container: str) -> Callable[[], list[str]]:
        return lambda: outside.names(container)

    @pytest.fixture
    def abandon(self, outside: Any, container: str) -> Callable[[str], object]:
        """Leave a segment of a write that nobody goes on with."""
        return lambda image_id: leave_segment(outside, container, image_id)

    @pytest.fixture
    def stranger(self, outside: Any, container: str) -> Iterator[Callable[[str], object]]:
        """Leave segments of upstream's and of ours, and an object of somebody else."""
        left: list[str] = []

        def leave(image_id: str) -> None:
            left.extend(("README", f"{image_id}-00001", f"{image_id}/{uuid.uuid4().hex}/00001"))
            for name in left:
                outside.call("PUT", f"/{container}/{name}", data=b"part")

        yield leave
        for name in left:
            outside.call("DELETE", f"/{container}/{name}")


def leave_segment(account: Any, container: str, image_id: str) -> None:
    account.call("PUT", f"/{container}/{image_id}/{uuid.uuid4().hex}/00001", data=b"half")


class TestSwiftStoreInSegments(TestSwiftStore):
    """With segments smaller than an option allows, so that small data comes in several."""

    @pytest.fixture
    def driver(self, build: Callable[..., SwiftStore], container: str) -> SwiftStore:
        driver = build(container, swift_store_temp_url_key="signed")
        driver._settings = replace(driver._settings, segment_size=400_000, whole_below=0)
        return driver


class TestSwiftStoreWithKeystone(TestSwiftStore):
    @pytest.fixture
    def site(self, with_keystone: Any) -> Any:
        return with_keystone


class TestSwiftStoreOfProjects(TestSwiftStore):
    """In the accounts of the images' owners, with a caller's token."""

    @pytest.fixture
    def site(self, with_keystone: Any) -> Any:
        return with_keystone

    @pytest.fixture
    def caller(self, caller_of: Callable[..., Caller]) -> Caller:
        return caller_of("demo-member", "demo")

    @pytest.fixture
    def driver(
        self,
        build: Callable[..., SwiftStore],
        container: str,
        caller: Caller,
        account_of: Callable[..., Any],
    ) -> Iterator[SwiftStore]:
        account = account_of("demo-member", "demo")
        account.call("POST", headers={"X-Account-Meta-Temp-URL-Key": "of-the-owner"})
        yield build(container, swift_store_multi_tenant=True).acting_for(caller)
        account.call("POST", headers={"X-Remove-Account-Meta-Temp-URL-Key": "x"})

    @pytest.fixture
    def twin(self, build: Callable[..., SwiftStore], container: str, caller: Caller) -> SwiftStore:
        return build(container, swift_store_multi_tenant=True).acting_for(caller)

    @pytest.fixture
    def leftovers(self, container: str, account_of: Callable[..., Any]) -> Callable[[], list[str]]:
        account = account_of("demo-member", "demo")
        return lambda: [name for name in account.containers() if name.startswith(container)]

    @pytest.fixture
    def stranger(
        self, container: str, account_of: Callable[..., Any]
    ) -> Iterator[Callable[[str], object]]:
        """Leave a container as an image's, with a segment and an object of somebody else."""
        account, left = account_of("demo-member", "demo"), list[str]()

        def leave(image_id: str) -> None:
            own = f"{container}_{image_id}"
            left.extend((f"{own}/README", f"{own}/{image_id}/{uuid.uuid4().hex}/00001", own))
            account.call("PUT", f"/{own}")
            for name in left[:2]:
                account.call("PUT", f"/{name}", data=b"part")

        yield leave
        for name in left:
            account.call("DELETE", f"/{name}")

    @pytest.fixture
    def abandon(self, container: str, account_of: Callable[..., Any]) -> Callable[[str], object]:
        account = account_of("demo-member", "demo")

        def abandon(image_id: str) -> None:
            own = f"{container}_{image_id}"
            account.call("PUT", f"/{own}")
            leave_segment(account, own, image_id)

        return abandon
