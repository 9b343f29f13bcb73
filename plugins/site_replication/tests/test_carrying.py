# SPDX-License-Identifier: Apache-2.0
"""In which order an image is brought, and whose images nothing is done to.

The target is one in memory: of a real one, nobody sees what was so between two of its answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from glancekit_site_replication.carrying import Bytes, Carrier
from glancekit_site_replication.endpoint import Address
from glancekit_site_replication.failures import Clash
from glancekit_site_replication.findings import Judge
from glancekit_site_replication.pace import Pace
from glancekit_site_replication.records import MARK, Translation
from glancekit_site_replication.site import Site

DATA = b"official"
DIGESTS = {
    "size": len(DATA),
    "checksum": hashlib.md5(DATA).hexdigest(),
    "os_hash_algo": "sha512",
    "os_hash_value": hashlib.sha512(DATA).hexdigest(),
}
ID = "11111111-2222-3333-4444-555555555555"
ALIKE = {
    "id": ID,
    "name": "debian",
    "tags": [],
    "container_format": "bare",
    "disk_format": "raw",
    "updated_at": "2026-01-01T00:00:00Z",
}
THERE = {**ALIKE, "status": "active", "visibility": "public", "owner": "north-ops", **DIGESTS}
"""What the source has."""

BEGUN = {**ALIKE, "status": "queued", "visibility": "private", "owner": "ops", MARK: "north"}
"""What a run that was cut off has left at the target."""


class North(Site):
    """The source, of which nothing is asked here but who it is."""

    def __init__(self) -> None:
        super().__init__(Address(name="north", url="http://north.example"))


class South(Site):
    """A target with one image, that notes what is done to it."""

    def __init__(self, image: Mapping[str, Any], *, project: str | None = "ops") -> None:
        headers = {} if project is None else {"x-project-id": project}
        super().__init__(Address(name="south", url="http://south.example", headers=headers))
        self.image = dict(image)
        self.done: list[str] = []
        self.was: list[tuple[str, str]] = []

    def find(self, image_id: str) -> dict[str, Any]:
        """Return the image."""
        return dict(self.image)

    def create(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse: it is there already."""
        raise Clash("it is there already")

    def takes_parts(self) -> bool:
        """Take no parts."""
        return False

    def change(self, image_id: str, operations: Sequence[Mapping[str, Any]]) -> None:
        """Change the image."""
        names = [operation["path"][1:] for operation in operations]
        self.image |= {name: one.get("value") for name, one in zip(names, operations, strict=True)}
        self._note(f"change {', '.join(names)}")

    def upload(self, image_id: str, body: Any, size: int) -> None:
        """Take the bytes as those that they should be."""
        self.image |= {"status": "active", **DIGESTS}
        self._note("upload")

    def act(self, image_id: str, action: str) -> None:
        """Deactivate or reactivate it."""
        self.image["status"] = "deactivated" if action == "deactivate" else "active"
        self._note(action)

    def _note(self, done: str) -> None:
        self.done.append(done)
        self.was.append((self.image["status"], self.image["visibility"]))


Carrying = Callable[..., Carrier]


@pytest.fixture
def carrying(tmp_path: Path) -> Iterator[Carrying]:
    """Carriers to a target."""
    file = tmp_path / "data"
    file.write_bytes(DATA)
    data = Bytes(
        fetch=lambda record: file,
        forget=lambda image_id: None,
        pace=Pace(),
        told=lambda direction, count: None,
    )

    def carrying(target: Site, translation: Translation | None = None, **how: Any) -> Carrier:
        judge = Judge(North(), target, translation or Translation(), **how)
        return Carrier("north", target, judge, data)

    yield carrying


INCOMPLETE = {**BEGUN, "owner": "mallory"}
DIFFERENT = {**INCOMPLETE, "status": "active", **DIGESTS}


@pytest.mark.parametrize("image", [INCOMPLETE, DIFFERENT], ids=["incomplete", "different"])
@pytest.mark.parametrize(
    "translation",
    [
        Translation(),
        Translation(projects={"north-ops": "images"}),
        Translation(keep_owner=True),
    ],
    ids=["own", "mapped", "kept"],
)
def test_a_mark_on_somebody_elses_image_brings_it_nothing(
    carrying: Carrying, image: dict[str, Any], translation: Translation
) -> None:
    south = South(image)
    with pytest.raises(Clash, match=f"image {ID} at south has our mark, and belongs to mallory"):
        carrying(south, translation).bring(THERE)
    assert (south.done, south.image) == ([], image)


def test_an_image_that_appears_while_it_is_made_is_looked_at_too(
    carrying: Carrying, monkeypatch: pytest.MonkeyPatch
) -> None:
    south = South(INCOMPLETE)
    answers: list[dict[str, Any] | None] = [None]

    def find(image_id: str) -> dict[str, Any] | None:
        return answers.pop() if answers else dict(south.image)

    monkeypatch.setattr(south, "find", find)
    with pytest.raises(Clash, match="belongs to mallory"):
        carrying(south).bring(THERE)
    assert south.done == []


@pytest.mark.parametrize("owner", ["ops", "images"])
def test_what_belongs_to_whom_it_is_given_is_gone_on_with(carrying: Carrying, owner: str) -> None:
    south = South({**BEGUN, "owner": owner})
    translation = Translation(projects={"north-ops": "images"})
    assert carrying(south, translation).bring(THERE)[1] == "sent"
    assert (south.image["visibility"], south.image["owner"]) == ("public", "images")


def test_what_belongs_to_others_can_be_taken_over(carrying: Carrying) -> None:
    south = South(INCOMPLETE)
    assert carrying(south, take_over=True).bring(THERE)[1] == "sent"
    assert south.image["visibility"] == "public"


def test_whose_a_token_is_only_its_service_knows() -> None:
    headers = {"X-Project-Id": "ops"}
    assert Site(Address(name="s", url="http://h", headers=headers)).project() == "ops"
    assert Site(Address(name="s", url="http://h", headers=headers, token="t")).project() is None
    assert Site(Address(name="s", url="http://h")).project() is None


@pytest.mark.parametrize("image", [BEGUN, {**DIFFERENT, "owner": "ops"}])
def test_what_is_not_to_be_used_is_deactivated_before_it_is_shown(
    carrying: Carrying, image: dict[str, Any]
) -> None:
    south = South(image)
    carrying(south).bring({**THERE, "status": "deactivated"})
    assert south.done[-2:] == ["deactivate", "change visibility"]
    assert ("active", "public") not in south.was


def test_what_is_to_be_used_by_fewer_is_reactivated_last(carrying: Carrying) -> None:
    south = South({**DIFFERENT, "owner": "ops", "status": "deactivated", "visibility": "public"})
    _, done = carrying(south).bring({**THERE, "visibility": "private"})
    assert south.done == ["change visibility", "reactivate"]
    assert done == "changed visibility, status"
    assert ("active", "public") not in south.was
