# SPDX-License-Identifier: Apache-2.0
"""An operator's rules as clients meet them: policy files and protections of properties."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from glancekit.core.errors import ConfigError
from glancekit.testing.client import Client

Build = Callable[..., Client]

PROTECTIONS = """
[^secret_]
create = keeper
read = keeper
update = keeper
delete = keeper

[.*]
create = @
read = @
update = @
delete = @
"""


@pytest.fixture
def protected(build: Build, tmp_path: Path) -> Client:
    file = tmp_path / "protections.conf"
    file.write_text(PROTECTIONS)
    return build(
        {("glance_store", "default_backend"): "local"},
        property_protection_file=str(file),
        show_multiple_locations=True,
    )


def test_a_property_that_may_not_be_read_is_in_no_answer(protected: Client) -> None:
    keeper = protected.as_project("p1", roles="member,reader,keeper")
    member = protected.as_project("p1")
    made = keeper.create_active(secret_code="7", colour="blue")
    assert made["secret_code"] == "7"
    image_id = made["id"]
    answers = [
        member.get(f"/v2/images/{image_id}"),
        member.patch(image_id, [{"op": "add", "path": "/name", "value": "x"}]),
        member.patch(image_id, []),
        member.patch(image_id, [{"op": "replace", "path": "/locations", "value": []}]),
        member.page(),
        member.page("colour=blue"),
    ]
    for answer in answers:
        assert "secret_code" not in answer.text
    assert [answer.status for answer in answers] == [200, 200, 200, 403, 200, 200]
    assert [image["colour"] for image in answers[-1].json["images"]] == ["blue"]
    assert member.page("secret_code=7").json["images"] == []
    assert len(keeper.page("secret_code=7").json["images"]) == 1


def test_a_change_of_locations_shows_no_more_than_any_other(protected: Client) -> None:
    keeper = protected.as_project("p1", roles="member,reader,keeper")
    image = keeper.create_active(secret_code="7")
    same = [{"url": place["url"], "metadata": {"seen": "yes"}} for place in image["locations"]]
    change = [{"op": "replace", "path": "/locations", "value": same}]
    answer = protected.as_project("p1").patch(image["id"], change)
    assert answer.status == 200
    assert "secret_code" not in answer.text
    assert keeper.show(image["id"])["secret_code"] == "7"


def test_properties_are_refused_with_403(protected: Client) -> None:
    member = protected.as_project("p1")
    assert member.post("/v2/images", {"secret_code": "7"}).status == 403
    image_id = member.create()["id"]
    change = [{"op": "add", "path": "/secret_code", "value": "8"}]
    answer = member.patch(image_id, change)
    assert answer.status == 403
    assert "create property 'secret_code'" in answer.text


def test_a_policy_file_counts_and_is_named_by_its_option(build: Build, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text('"publicize_image": "role:publisher"\n"context_is_admin": "role:root"')
    client = build({("oslo_policy", "policy_file"): str(file)})
    public = {"visibility": "public"}
    publisher = client.as_project("p1", roles="member,reader,publisher")
    assert publisher.post("/v2/images", public).status == 201
    private = publisher.create(visibility="private")["id"]
    for roles, status in (("root", 200), ("admin,member,reader", 404)):
        caller = client.as_project("ops", roles=roles)
        assert caller.get(f"/v2/images/{private}").status == status
    file.write_text('"publicize_image": "role:publisher"\n"x": "role:')
    with pytest.raises(ConfigError, match=r"rules\.yaml:2: "):
        build({("oslo_policy", "policy_file"): str(file)})
