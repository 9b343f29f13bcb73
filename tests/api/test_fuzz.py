# SPDX-License-Identifier: Apache-2.0
"""Requests that nobody would think of, as every role: no answer is a fault, and none is of a kind
that the OpenAPI document does not allow. ``make fuzz`` sends ten thousand, the suite some hundred.
"""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from glancekit.api.app import create_app
from glancekit.api.options import ApiSettings
from glancekit.bootstrap import bootstrap, load_config
from glancekit.testing.client import PATCH_V20, PATCH_V21, Client, WsgiTransport

CASES = int(os.environ.get("GLANCEKIT_FUZZ_CASES", "500"))
SEED = int(os.environ.get("GLANCEKIT_FUZZ_SEED", "20"))

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

ROLES = {
    "anonymous": None,
    "reader": "reader",
    "member": "member,reader",
    "admin": "admin,manager,member,reader",
    "service": "service",
}
OFTEN = 0.8
PROJECTS = ("ours", "theirs")

schemathesis.serializer.alias([PATCH_V21, PATCH_V20], "application/json")


class Whole:
    """Reads answers to their end and closes them, as a server does."""

    def __init__(self, application: Flask) -> None:
        self._application = application

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        chunks = self._application(environ, start_response)
        try:
            return [b"".join(chunks)]
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()


@dataclass
class Things:
    """What there is to ask about; what was deleted is made anew."""

    application: Flask
    known: dict[str, list[str]] = field(default_factory=dict)

    def client(self, project: str, roles: str = "admin,member,reader") -> Client:
        return Client(WsgiTransport(self.application)).as_project(project, roles)

    def renew(self) -> None:
        images: list[str] = []
        for project in PROJECTS:
            client = self.client(project)
            for visibility in ("private", "shared", "community", "public"):
                queued = client.create(visibility=visibility, tags=["red"], os_distro="debian")
                active = client.create_active(b"data", visibility=visibility)
                images += [queued["id"], active["id"]]
            client.post(f"/v2/images/{images[3]}/members", {"member": "elsewhere"})
            retired = client.create_active(b"data")["id"]
            client.post(f"/v2/images/{retired}/actions/deactivate", {})
            images.append(retired)
            self._define(client, f"of-{project}")
        image = self.client("ours").create()["id"]
        place = {"url": "http://127.0.0.1:1/image"}
        self.client("ours").post(f"/v2/images/{image}/locations", place)
        tasks = self.client("ours").get("/v2/tasks").json.get("tasks", [])
        self.known = {
            "image_id": images,
            "member_id": ["ours", "theirs", "elsewhere"],
            "tag": ["red", "blue"],
            "store_id": ["local", "os_glance_staging_store"],
            "task_id": [task["id"] for task in tasks] or [str(uuid.UUID(int=5))],
            "namespace": [f"of-{project}" for project in PROJECTS],
            "resource_type": ["OS::Glance::Image"],
        }

    def known_on(self, path: str, name: str) -> list[str]:
        """Return what may stand in a path for one of its parameters."""
        if name != "name":
            return self.known[name]
        kinds = {"properties": "colour", "objects": "paint", "tags": "bright"}
        kind = path.split("/")[-2]
        return [kinds[kind]] if kind in kinds else ["image", "tasks", "namespace", "objects"]

    def _define(self, client: Client, namespace: str) -> None:
        colour = {"title": "Colour", "type": "string"}
        client.post(
            "/v2/metadefs/namespaces",
            {
                "namespace": namespace,
                "visibility": "public",
                "properties": {"colour": colour},
                "objects": [{"name": "paint", "properties": {"colour": colour}}],
                "tags": [{"name": "bright"}],
                "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}],
            },
        )


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Things]:
    overrides = {
        ("DEFAULT", "data_dir"): str(tmp_path_factory.mktemp("data")),
        ("DEFAULT", "show_multiple_locations"): True,
        ("DEFAULT", "show_image_direct_url"): True,
        ("auth", "driver"): "trusted",
    }
    config = load_config([], overrides)
    with bootstrap(config) as world:
        yield Things(create_app(world, ApiSettings.of(config)))


@pytest.fixture(scope="module")
def schema(things: Things) -> Any:
    return schemathesis.openapi.from_wsgi("/openapi.json", Whole(things.application))


def identity(role: str, project: str) -> Mapping[str, str]:
    roles = ROLES[role]
    if roles is None:
        return {}
    return {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "somebody",
        "X-Project-Id": project,
        "X-Roles": roles,
    }


@dataclass
class Fuzzer:
    """Sends requests and keeps count. Everything about them is decided by one seed."""

    things: Things
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    asked: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def ask(self, operation: Any, cases: int) -> None:
        """Send requests for one operation, half of them as the document wants them."""
        modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
        requests = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

        @seed(SEED)
        @settings(
            max_examples=cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=requests, _number=st.integers())  # the number makes equal requests differ
        def send(case: Any, _number: int) -> None:
            self._send(operation, case)

        send()

    def _send(self, operation: Any, case: Any) -> None:
        role, project = self.dice.choice([*ROLES]), self.dice.choice(PROJECTS)
        for parameter in operation.path_parameters:
            if self.dice.random() < OFTEN:
                known = self.things.known_on(operation.path, parameter.name)
                case.path_parameters[parameter.name] = self.dice.choice(known)
        if self.dice.random() < OFTEN:  # the size that is generated is never that of the data
            case.headers.clear()
        accept = self.dice.choice(["application/json", "*/*", "text/plain"])
        response = case.call(headers={"Accept": accept, **identity(role, project)})
        self.asked[operation.label, role, response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as found:
            self.failures.append(f"{operation.label} as {role}\n{found}")


@pytest.mark.timeout(max(120, CASES))
def test_no_answer_is_a_fault_or_a_surprise(things: Things, schema: Any) -> None:
    every = [found.ok() for found in schema.get_all_operations()]
    fuzzer = Fuzzer(things)
    for operation in every:
        if operation.path_parameters:
            things.renew()
        fuzzer.ask(operation, -(-CASES // len(every)))
    count = Counter(label for label, _, status in fuzzer.asked.elements() if status < 400)
    print(f"{fuzzer.asked.total()} requests; successful:", *count.items(), sep="\n")
    assert not fuzzer.failures, "\n\n".join([f"{len(fuzzer.failures)} failures", *fuzzer.failures])
    assert {role for _, role, _ in fuzzer.asked} == set(ROLES)
    assert fuzzer.asked.total() >= CASES
