# SPDX-License-Identifier: Apache-2.0
"""Staging in parts as clients ask for it. What dies meanwhile is the business of tests/e2e."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from glancekit.testing.client import OCTETS, Answer, Client

Build = Callable[..., Client]

DATA = bytes(range(256)) * 40
TOTAL = len(DATA)
DIRECT = {"method": {"name": "glance-direct"}}


def send(
    client: Client,
    image_id: str,
    first: int,
    end: int,
    *,
    body: bytes | Iterable[bytes] | None = None,
    total: int = TOTAL,
    **headers: str,
) -> Answer:
    """Send the bytes from ``first`` to before ``end``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    said = {"Content-Type": OCTETS, "Content-Range": f"bytes {first}-{end - 1}/{total}"}
    return client.request(
        "PUT",
        f"/v2/images/{image_id}/stage",
        headers={**said, **named},
        body=DATA[first:end] if body is None else body,
    )


def cut_off(client: Client, image_id: str, first: int, end: int, came: int) -> Answer:
    """Send a part of which only so many bytes come."""
    length = str(end - first)
    return send(
        client, image_id, first, end, body=DATA[first : first + came], Content_Length=length
    )


def progress(client: Client, image_id: str) -> Any:
    answer = client.get(f"/v2/images/{image_id}/stage")
    assert answer.status == 200, answer.text
    return answer.json


def status(client: Client, image_id: str) -> str:
    return str(client.show(image_id)["status"])


def staged(tmp_path: Path, image_id: str) -> bytes:
    (data,) = tmp_path.glob(f"*/staging/{image_id}/data")
    return data.read_bytes()


@pytest.fixture
def project(build: Build) -> Client:
    return build().as_project("p")


def test_it_is_announced_where_it_can_be_done(build: Build) -> None:
    told = build().as_project("p").get("/v2/info/import").json
    assert told["stage-parts"]["value"] is True
    assert told["import-steps"]["value"] == []
    without = build(enabled_import_methods="copy-image").as_project("p")
    assert "stage-parts" not in without.get("/v2/info/import").json
    image_id = without.create()["id"]
    assert send(without, image_id, 0, 10).status == 404
    assert without.get(f"/v2/images/{image_id}/stage").status == 404


def test_steps_of_imports_are_told(build: Build) -> None:
    steps = {("image_import_opts", "image_import_plugins"): "inject_image_metadata"}
    told = build(steps).as_project("p").get("/v2/info/import").json
    assert told["import-steps"]["value"] == ["inject_image_metadata"]


def test_parts_become_the_data(project: Client, tmp_path: Path) -> None:
    image_id = project.create()["id"]
    for first, end in [(0, 1), (1, 4000), (4000, TOTAL)]:
        answer = send(project, image_id, first, end)
        assert (answer.status, answer.headers["upload-offset"]) == (204, str(end)), answer.text
        assert progress(project, image_id) == {"offset": end, "size": TOTAL, "version": None}
        shown = project.show(image_id)
        assert shown["status"] == "uploading"
        assert shown["size"] == (TOTAL if end == TOTAL else None)
        assert "os_glance_stage_host" not in shown
    assert staged(tmp_path, image_id) == DATA
    asked = project.post(f"/v2/images/{image_id}/import", DIRECT)
    assert asked.status == 202, asked.text


def test_what_came_of_a_part_stays(project: Client, tmp_path: Path) -> None:
    image_id = project.create()["id"]
    assert cut_off(project, image_id, 0, 5000, 3000).status == 400
    assert progress(project, image_id)["offset"] == 3000
    assert cut_off(project, image_id, 3000, 4000, 0).status == 400
    assert progress(project, image_id)["offset"] == 3000
    assert send(project, image_id, 3000, TOTAL).status == 204
    assert staged(tmp_path, image_id) == DATA


@pytest.mark.parametrize("first", [0, 2999, 3001, 9000])
def test_a_part_begins_where_the_last_one_ended(project: Client, first: int) -> None:
    image_id = project.create()["id"]
    assert send(project, image_id, 0, 3000).status == 204
    answer = send(project, image_id, first, TOTAL)
    assert (answer.status, answer.headers["upload-offset"]) == (409, "3000")
    assert send(project, image_id, 3000, TOTAL).status == 204


def test_the_first_part_begins_at_the_first_byte(project: Client) -> None:
    image_id = project.create()["id"]
    answer = send(project, image_id, 10, 20)
    assert (answer.status, answer.headers["upload-offset"]) == (409, "0")
    assert status(project, image_id) == "queued"


@pytest.mark.parametrize(
    "said",
    [
        *("bytes 0-9/*", "bytes */100", "bytes 9-0/100", "bytes 0-100/100", "bytes -9/100"),
        *(
            "0-9/100",
            "octets 0-9/100",
            "bytes 0-9",
            "bytes=0-9/100",
            "",
            "bytes \u0660-\u0669/100",
        ),
        "bytes 0-9/" + "9" * 30,
    ],
)
def test_a_range_that_is_none(project: Client, said: str) -> None:
    image_id = project.create()["id"]
    answer = send(project, image_id, 0, 10, Content_Range=said.encode().decode("latin-1"))
    assert answer.status == 400, answer.text
    assert status(project, image_id) == "queued"


def test_lengths_that_do_not_agree(project: Client) -> None:
    image_id = project.create()["id"]
    assert send(project, image_id, 0, 10, body=DATA[:9]).status == 400
    assert send(project, image_id, 0, 10, x_openstack_image_size="10").status == 400
    assert status(project, image_id) == "queued"
    too_many = send(project, image_id, 0, 10, body=iter([DATA[:11]]))
    assert too_many.status == 400
    assert progress(project, image_id)["offset"] == 0
    too_few = send(project, image_id, 0, 10, body=iter([DATA[:7]]))
    assert (too_few.status, progress(project, image_id)["offset"]) == (400, 7)
    sized = send(project, image_id, 7, 10, body=iter([DATA[7:10]]), x_openstack_image_size="10240")
    assert sized.status == 204, sized.text


def test_other_data_are_not_appended(project: Client) -> None:
    image_id = project.create()["id"]
    assert send(project, image_id, 0, 10, Upload_Version="one").status == 204
    assert progress(project, image_id) == {"offset": 10, "size": TOTAL, "version": "one"}
    for others in ({"Upload_Version": "two"}, {}, {"Upload_Version": "one", "total": TOTAL + 1}):
        answer = send(project, image_id, 10, 20, **others)  # type: ignore[arg-type]
        assert answer.status == 409
        assert "upload-offset" not in answer.headers
    assert send(project, image_id, 10, 20, Upload_Version="one").status == 204
    for bad in ("a b", "ä", "x" * 256, ""):
        version = bad.encode().decode("latin-1")
        assert send(project, image_id, 20, 30, Upload_Version=version).status == 400


def test_only_who_may_stage_may_stage_parts(build: Build) -> None:
    service = build()
    image_id = service.as_project("p").create(visibility="community")["id"]
    for refused, expected in (("reader", 403), ("member,reader", 403)):
        stranger = service.as_project("p" if refused == "reader" else "q", roles=refused)
        assert send(stranger, image_id, 0, 10).status == expected
        assert stranger.get(f"/v2/images/{image_id}/stage").status == expected
    assert send(service.as_project("p"), str(uuid.uuid4()), 0, 10).status == 404


def test_whole_and_in_parts_do_not_mix(project: Client) -> None:
    in_parts, whole = project.create()["id"], project.create()["id"]
    assert send(project, in_parts, 0, 10).status == 204
    octets = {"Content-Type": OCTETS}
    target = f"/v2/images/{in_parts}/stage"
    assert project.request("PUT", target, headers=octets, body=DATA).status == 409
    assert project.upload(in_parts, DATA).status == 409
    assert progress(project, in_parts)["offset"] == 10
    target = f"/v2/images/{whole}/stage"
    assert project.get(target).status == 404
    assert project.request("PUT", target, headers=octets, body=DATA).status == 204
    assert progress(project, whole) == {"offset": TOTAL, "size": TOTAL, "version": None}
    assert send(project, whole, 0, TOTAL).status == 409


def test_what_is_not_whole_is_not_imported(project: Client) -> None:
    image_id = project.create()["id"]
    assert send(project, image_id, 0, 10).status == 204
    assert project.post(f"/v2/images/{image_id}/import", DIRECT).status == 409
    assert send(project, image_id, 10, TOTAL).status == 204
    assert project.post(f"/v2/images/{image_id}/import", DIRECT).status == 202
    assert project.get(f"/v2/images/{image_id}/stage").status == 404
    assert send(project, image_id, 0, 10).status == 409


def test_the_cap_counts_at_the_first_part(build: Build) -> None:
    client = build(image_size_cap=TOTAL - 1).as_project("p")
    image_id = client.create()["id"]
    assert send(client, image_id, 0, 10).status == 413
    assert status(client, image_id) == "queued"


def test_the_quota_counts_all_of_it_at_the_first_part(build: Build) -> None:
    client = build({("quotas", "image_stage_total"): 2}).as_project("p")
    total = 2 << 20
    first, second = client.create()["id"], client.create()["id"]
    assert send(client, first, 0, 10, total=total).status == 204
    assert client.get("/v2/info/usage").json["usage"]["image_stage_total"]["usage"] == 2
    assert send(client, second, 0, 10, total=total).status == 413
    assert status(client, second) == "queued"
    assert client.delete(f"/v2/images/{first}").status == 204
    assert send(client, second, 0, 10, total=total).status == 204


def test_an_image_of_one_part_needs_no_second_reading(project: Client, tmp_path: Path) -> None:
    one, two = project.create()["id"], project.create()["id"]
    assert send(project, one, 0, TOTAL).status == 204
    assert send(project, two, 0, 9).status == 204
    assert send(project, two, 9, TOTAL).status == 204
    (known,) = tmp_path.glob("*/staging/*/receipt.json")
    assert known.parent.name == one
    assert json.loads(known.read_text())["size"] == TOTAL
