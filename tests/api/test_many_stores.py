# SPDX-License-Identifier: Apache-2.0
"""Several stores as clients see them: which there are, which can be named, which is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from glancekit.core.errors import ConfigError
from glancekit.testing.client import OCTETS, Client

Build = Callable[..., Client]

STORES: Mapping[tuple[str, str], Any] = {
    ("glance_store", "default_backend"): "fast",
    ("fast", "store_description"): "on SSDs",
    ("old", "drain"): True,
    ("old", "weight"): 20,
    ("kept", "read_only"): True,
    ("heavy", "weight"): 9,
}


@pytest.fixture
def service(build: Build) -> Build:
    """Build a service with five stores; further options by section and name."""

    def build_one(**others: Any) -> Client:
        chosen = {tuple(name.split("__")): value for name, value in others.items()}
        backends = {name: "file" for name in ("fast", "old", "kept", "heavy")}
        backends["web"] = "http"
        return build({**STORES, **chosen}, enabled_backends=backends)

    return build_one


def test_they_are_listed_for_users_and_in_detail_for_administrators(service: Build) -> None:
    client = service()
    shown = client.as_project("p").get("/v2/info/stores").json["stores"]
    assert shown == [
        {"id": "fast", "description": "on SSDs", "default": "true"},
        {"id": "old", "read-only": "true"},
        {"id": "kept", "read-only": "true"},
        {"id": "heavy"},
        {"id": "web", "read-only": "true"},
    ]
    admin = client.as_project("ops", roles="admin,member,reader")
    details = admin.get("/v2/info/stores/detail").json["stores"]
    assert [(store["weight"], store.get("draining")) for store in details] == [
        (0, None),
        (20, "true"),
        (0, None),
        (9, None),
        (0, None),
    ]
    assert not any("unavailable" in store for store in details)
    told = {store["id"]: store["properties"] for store in details}
    assert "data_dir" in told["fast"]
    assert told["web"] == {}, "its driver has nothing to tell"


def test_a_new_image_comes_with_the_stores_that_its_upload_may_name(service: Build) -> None:
    answer = service().as_project("p").post("/v2/images", {})
    assert answer.headers["openstack-image-store-ids"] == "fast,heavy"


def test_the_health_check_says_which_is_drained(service: Build) -> None:
    parts = service().get("/healthcheck", accept="application/json").json["parts"]
    found = {part["name"]: part for part in parts}
    assert found["store:old"]["ok"]
    assert "drained" in found["store:old"]["detail"]
    assert [found[f"store:{name}"]["breaker"] for name in ("fast", "old")] == ["closed"] * 2
    assert "breaker" not in found["metadata"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("heavy", 204),
        ("old", 410),
        ("kept", 410),
        ("nowhere", 400),
        ("os_glance_staging_store", 400),
        ("os_glance_tasks_store", 400),
    ],
)
def test_one_can_be_named(service: Build, name: str, status: int) -> None:
    client = service().as_project("p")
    image_id = client.create()["id"]
    assert client.upload(image_id, b"data", x_image_meta_store=name).status == status
    assert client.get(f"/v2/images/{image_id}").json["status"] == (
        "active" if status == 204 else "queued"
    )


@pytest.mark.parametrize(
    ("choose_by", "chosen"), [("default", "fast"), ("weight", "heavy"), ("free_space", None)]
)
def test_without_a_name_the_operator_s_choice_counts(
    service: Build, choose_by: str, chosen: str | None
) -> None:
    client = service(glance_store__choose_by=choose_by).as_project("p")
    image = client.create_active()
    assert image["stores"] in ((chosen,) if chosen else ("fast", "heavy"))


@pytest.mark.parametrize(("choose_by", "chosen"), [("default", "fast"), ("weight", "heavy")])
def test_it_counts_for_imports_too(service: Build, choose_by: str, chosen: str) -> None:
    client = service(glance_store__choose_by=choose_by).as_project("p")
    image_id = client.create()["id"]
    octets = {"Content-Type": OCTETS}
    staged = client.request("PUT", f"/v2/images/{image_id}/stage", headers=octets, body=b"data")
    assert staged.status == 204
    body = {"method": {"name": "glance-direct"}}
    assert client.post(f"/v2/images/{image_id}/import", body).status == 202
    shown = client.get(f"/v2/images/{image_id}").json
    assert shown["os_glance_importing_to_stores"] == chosen


@pytest.mark.parametrize(
    "wrong",
    [
        {"glance_store__choose_by": "luck"},
        {"fast__direct_transfer": "true"},
        {"fast__direct_transfer_ttl": 0},
        {"fast__breaker_failures": -1},
        {"fast__breaker_pause": 0},
    ],
)
def test_what_makes_no_sense_stops_the_start(service: Build, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        service(**wrong)
    ((name, _),) = wrong.items()
    assert refused.value.option == name.split("__")[1]
