# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about who sees what; ``MetadataConformance`` has it in it."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import Duplicate, ImageNotFound, MemberNotFound
from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.image import Image, Member, MemberStatus, Visibility
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.metadata_deeds import an_image, viewer_of
from glancekit.testing.metadata_samples import ME, MORNING, OTHER, STRANGER, WALKED

Expected = dict[str, set[str]]


class VisibilityConformance:
    """What every metadata driver promises about who may get and list an image, and its members."""

    def test_m11_who_may_get(self, driver: MetadataDriver) -> None:
        """M11: owner, member in any state, stranger, nobody and administrator, by visibility."""
        for visibility in Visibility:
            image = deeds.keep(driver, an_image(visibility=visibility))
            for status in MemberStatus:
                deeds.share(driver, image, f"{status}-member", status)
            members = {f"{status}-member" for status in MemberStatus}
            seeing = {ME, *(members if visibility is Visibility.SHARED else ())}
            if visibility in (Visibility.PUBLIC, Visibility.COMMUNITY):
                seeing |= {*members, STRANGER, None}
            for project in (ME, *members, STRANGER, None):
                assert _sees(driver, viewer_of(project), image) == (project in seeing), project
            assert _sees(driver, viewer_of(STRANGER, is_admin=True), image)
            assert _sees(driver, EVERYBODY, image)
        assert _sees(driver, viewer_of(STRANGER), deeds.keep(driver, an_image(owner=None)))

    @pytest.mark.parametrize("visibility", [None, *Visibility])
    def test_m12_who_may_list(self, driver: MetadataDriver, visibility: Visibility | None) -> None:
        """M12: the default view and each visibility, for each kind of viewer."""
        names = _one_of_each(driver)
        expected: Expected = {
            ME: {"mine-public", "mine-community", "mine-shared", "mine-private", "other-public"},
            "accepted": {"mine-public", "other-public", "mine-shared"},
            "pending": {"mine-public", "other-public"},
            STRANGER: {"mine-public", "other-public"},
            "admin": {name for name in names if name != "other-community"} - {"mine-community"},
            "admin-me": {name for name in names if name != "other-community"},
        }
        if visibility is not None:
            expected = {who: _of(seen, visibility) for who, seen in expected.items()}
            if visibility is Visibility.COMMUNITY:
                everybody_s = {"mine-community", "other-community"}
                expected = {who: everybody_s for who in expected}
        for who, seen in expected.items():
            found = deeds.find(driver, viewer=_named_viewer(who), visibility=visibility)
            assert sorted(image.name or "" for image in found) == sorted(seen), who

    def test_m13_all_visibilities(self, driver: MetadataDriver) -> None:
        """M13: ``all_visibilities`` adds others' community images and nothing else."""
        names = _one_of_each(driver)
        expected: Expected = {
            ME: {name for name in names if name.startswith("mine")}
            | {"other-public", "other-community"},
            STRANGER: {name for name in names if name.endswith(("public", "community"))},
            "admin": set(names),
        }
        for who, seen in expected.items():
            found = deeds.find(driver, viewer=_named_viewer(who), all_visibilities=True)
            assert sorted(image.name or "" for image in found) == sorted(seen), who

    def test_m14_membership_moves_images_between_lists(self, driver: MetadataDriver) -> None:
        """M14: by its status, its removal, and the image being shared, hidden and the like."""
        image, viewer = deeds.keep(driver, an_image()), viewer_of(OTHER)

        def lists() -> tuple[int, ...]:
            (found,) = {
                tuple(
                    len(deeds.find(driver, viewer=viewer, member_status=status, sort=sort))
                    for status in (*MemberStatus, None)
                )
                for sort in WALKED
            }
            return found

        deeds.share(driver, image, OTHER, MemberStatus.PENDING)
        assert lists() == (1, 0, 0, 1)
        with driver.unit_of_work() as work:
            member = work.members.get(image.id, OTHER)
            work.members.save(replace(member, status=MemberStatus.ACCEPTED))
            work.commit()
        assert lists() == (0, 1, 0, 1)
        private = deeds.save(driver, replace(image, visibility=Visibility.PRIVATE))
        assert lists() == (0, 0, 0, 0)
        hidden = deeds.save(driver, replace(private, visibility=Visibility.SHARED, os_hidden=True))
        assert lists() == (0, 0, 0, 0)
        assert len(deeds.find(driver, viewer=viewer_of(OTHER), os_hidden=True)) == 1
        assert len(deeds.find(driver, viewer=viewer_of(OTHER), os_hidden=None)) == 1
        deeds.save(driver, replace(hidden, os_hidden=False))
        assert lists() == (0, 1, 0, 1)
        with driver.unit_of_work() as work:
            work.members.remove(image.id, OTHER)
            work.commit()
        assert lists() == (0, 0, 0, 0)

    def test_m15_hidden_images(self, driver: MetadataDriver) -> None:
        """M15: ``os_hidden`` False, True and None (both)."""
        shown = deeds.keep(driver, an_image())
        hidden = deeds.keep(driver, an_image(os_hidden=True))
        for viewer in (EVERYBODY, viewer_of(ME)):
            by_query = {False: {shown.id}, True: {hidden.id}, None: {shown.id, hidden.id}}
            for os_hidden, expected in by_query.items():
                found = deeds.find(driver, viewer=viewer, os_hidden=os_hidden)
                assert {image.id for image in found} == expected

    def test_m29_members(self, driver: MetadataDriver) -> None:
        """M29: add, get, list, save, remove; each refusal by its name."""
        image = deeds.keep(driver, an_image())
        first = Member(image_id=image.id, project_id=OTHER, created_at=MORNING, updated_at=MORNING)
        second = replace(first, project_id="a", created_at=MORNING + timedelta(seconds=1))
        with driver.unit_of_work() as work:
            work.members.add(second)
            work.members.add(first)
            with pytest.raises(Duplicate):
                work.members.add(replace(first, status=MemberStatus.ACCEPTED))
            with pytest.raises(ImageNotFound):
                work.members.add(replace(first, image_id=str(uuid.uuid4())))
            work.commit()
        with driver.unit_of_work() as work:
            assert work.members.get(image.id, OTHER) == first
            assert list(work.members.of_image(image.id)) == [first, second]
            saved = work.members.save(replace(first, status=MemberStatus.REJECTED))
            assert saved == work.members.get(image.id, OTHER)
            assert saved.status is MemberStatus.REJECTED
            assert (saved.created_at, saved.updated_at > MORNING) == (MORNING, True)
            work.members.remove(image.id, OTHER)
            for attempt in (
                lambda: work.members.get(image.id, OTHER),
                lambda: work.members.save(first),
                lambda: work.members.remove(image.id, OTHER),
            ):
                with pytest.raises(MemberNotFound):
                    attempt()
            work.members.add(first)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.members.of_image(image.id)) == [first, second]


def _sees(driver: MetadataDriver, viewer: Viewer, image: Image) -> bool:
    with driver.unit_of_work(read_only=True) as work:
        try:
            return work.images.get(image.id, viewer=viewer) == image
        except ImageNotFound:
            return False


def _named_viewer(who: str) -> Viewer:
    if who.startswith("admin"):
        return Viewer(project_id=who.partition("-")[2] or None, is_admin=True)
    return Viewer(project_id=who)


def _one_of_each(driver: MetadataDriver) -> list[str]:
    """Keep an image of each visibility for two owners; those of ``me`` have members."""
    names = []
    for owner, visibility in itertools.product(("mine", "other"), Visibility):
        project = ME if owner == "mine" else OTHER
        image = an_image(owner=project, visibility=visibility, name=f"{owner}-{visibility}")
        deeds.keep(driver, image)
        names.append(image.name or "")
        if owner == "mine":
            deeds.share(driver, image, "accepted", MemberStatus.ACCEPTED)
            deeds.share(driver, image, "pending", MemberStatus.PENDING)
    return names


def _of(names: set[str], visibility: Visibility) -> set[str]:
    return {name for name in names if name.endswith(visibility)}
