# SPDX-License-Identifier: Apache-2.0
"""The status table, and that values are values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC

import pytest

from glancekit.core.errors import StatusConflict
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import TRANSITIONS, ImageStatus, require_transition


def test_every_status_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(ImageStatus)


@pytest.mark.parametrize("source", ImageStatus)
@pytest.mark.parametrize("target", ImageStatus)
def test_a_move_is_allowed_exactly_when_the_table_has_it(
    source: ImageStatus, target: ImageStatus
) -> None:
    if target in TRANSITIONS[source]:
        require_transition("1", source, target)
    else:
        with pytest.raises(StatusConflict) as refused:
            require_transition("1", source, target)
        assert (refused.value.image_id, refused.value.status) == ("1", source)


def test_nothing_leads_out_of_deleted_and_nothing_back_to_it_but_once() -> None:
    assert not TRANSITIONS[ImageStatus.DELETED]
    assert ImageStatus.QUEUED not in TRANSITIONS[ImageStatus.ACTIVE]


def test_images_do_not_share_what_can_change() -> None:
    image = Image(id="1", owner=None)
    with pytest.raises(FrozenInstanceError):
        image.name = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        image.properties["x"] = "y"  # type: ignore[index]
    assert replace(image, name="x").name == "x"
    assert image.name is None
    assert Location(url="file:///x") == Location(url="file:///x")


def test_only_an_active_image_is_active() -> None:
    active = [s for s in ImageStatus if Image(id="1", owner=None, status=s).is_active]
    assert active == [ImageStatus.ACTIVE]


def test_times_are_utc() -> None:
    assert now().tzinfo is UTC


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("swift+https://p%3Au:pa/ss@example.org/v3/c/o", "swift+https://example.org/v3/c/o"),
        ("swift+config://ref1/c/o", "swift+config://ref1/c/o"),
        ("s3://AKIA:se/cr+et@s3.example.org/b/k", "s3://s3.example.org/b/k"),
        ("S3+HTTPS://AKIA:secret@s3.example.org/b/k", "S3+HTTPS://s3.example.org/b/k"),
        ("http://me:secret@example.org/a", "http://example.org/a"),
        ("https://example.org/a@2x?b=c@d", "https://example.org/a@2x?b=c@d"),
        ("rbd://fsid/pool/image/snap", "rbd://fsid/pool/image/snap"),
        ("", ""),
    ],
)
def test_a_location_is_shown_without_credentials(url: str, shown: str) -> None:
    assert Location(url=url).shown_url == shown
