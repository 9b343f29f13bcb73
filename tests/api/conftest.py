# SPDX-License-Identifier: Apache-2.0
"""The API as a black box: in-process on the embedded default drivers, or a deployed service.

With ``GLANCEKIT_TEST_URL`` the same tests ask that service, which must believe identity headers
from here (auth driver ``trusted``); what needs a configuration of its own is then left out.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from glancekit.api.app import create_app
from glancekit.api.options import ApiSettings
from glancekit.bootstrap import bootstrap, load_config
from glancekit.testing.client import Client, HttpTransport, WsgiTransport

URL = os.environ.get("GLANCEKIT_TEST_URL")

Build = Callable[..., Client]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Build services with options of DEFAULT and others; all are closed at the end."""
    if URL:
        pytest.skip("needs a service of its own")
    worlds = []

    def build_one(
        others: Mapping[tuple[str, str], Any] | None = None,
        *,
        peer: str = "127.0.0.1",
        **options: Any,
    ) -> Client:
        data_dir = tmp_path / uuid.uuid4().hex
        overrides = {("DEFAULT", name): value for name, value in options.items()}
        config = load_config(
            [],
            {
                ("DEFAULT", "data_dir"): str(data_dir),
                ("auth", "driver"): "trusted",
                **overrides,
                **(others or {}),
            },
        )
        world = bootstrap(config)
        worlds.append(world)
        return Client(WsgiTransport(create_app(world, ApiSettings.of(config)), peer=peer))

    yield build_one
    for world in worlds:
        world.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service under test, as a caller without any identity."""
    if URL:
        yield Client(HttpTransport(URL))
        return
    data_dir = tmp_path_factory.mktemp("data")
    overrides = {("DEFAULT", "data_dir"): str(data_dir), ("auth", "driver"): "trusted"}
    with bootstrap(load_config([], overrides)) as world:
        yield Client(WsgiTransport(create_app(world)))


@pytest.fixture
def project(service: Client) -> Client:
    """A member of a project that nobody else is in."""
    return service.as_project(uuid.uuid4().hex)


@pytest.fixture
def admin(service: Client) -> Iterator[Client]:
    """An administrator, in a project that nobody else is in; what it makes public goes again."""
    project_id = uuid.uuid4().hex
    client = service.as_project(project_id, roles="admin,member,reader")
    yield client
    for image in client.page(f"owner={project_id}&visibility=public").json["images"]:
        client.delete(f"/v2/images/{image['id']}")
