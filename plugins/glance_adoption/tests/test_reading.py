# SPDX-License-Identifier: Apache-2.0
"""What is read of a Glance database, and what is told of what cannot be as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from glancekit_glance_adoption.database import GlanceDatabase
from glancekit_glance_adoption.encryption import decrypt, encrypt, require_key
from glancekit_glance_adoption.findings import Reason
from glancekit_glance_adoption.reading import NOT_ENDED

from glancekit.plugin import GlancekitError, ImageStatus, MemberStatus, TaskStatus

KEY = "0123456789abcdef"
AT = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


class TestImages:
    """What becomes of an image and what belongs to it."""

    def test_it_is_as_it_was(self, writer, records):
        writer.image("i", name="n", size=5, checksum="c", os_hash_algo="sha512", protected=True)
        writer.property("i", "a", "1")
        writer.property("i", "gone", "1", deleted=True)
        writer.location("i", "file:///srv/slow/i", meta_data=json.dumps({"store": "slow", "x": 1}))
        writer.member("i", "p", status="accepted")
        ([found], findings) = records("images")
        image = found.image
        assert (image.id, image.name, image.size, image.owner) == ("i", "n", 5, "me")
        assert (image.created_at, image.protected, image.properties) == (AT, True, {"a": "1"})
        assert [(one.store, one.url, one.metadata) for one in found.locations] == [
            ("slow", "file:///srv/slow/i", {"x": 1})
        ]
        assert [(one.project_id, one.status) for one in found.members] == [
            ("p", MemberStatus.ACCEPTED)
        ]
        assert not findings.things

    @pytest.mark.parametrize("status", ["saving", "uploading", "importing"])
    def test_what_waits_for_data_is_queued(self, writer, records, status):
        writer.image("i", status=status, size=7)
        ([found], findings) = records("images")
        assert (found.image.status, found.image.size) == (ImageStatus.QUEUED, None)
        assert findings.things == {Reason.IN_FLIGHT: ["i"]}

    @pytest.mark.parametrize("strange", [{"status": "frozen"}, {"visibility": "secret"}])
    def test_a_strange_one_blocks(self, writer, records, strange):
        writer.image("i", **strange)
        (found, findings) = records("images")
        assert found == []
        assert findings.blocking == [Reason.STRANGE_IMAGE]

    def test_notes_and_properties_without_value(self, writer, records):
        writer.image("i")
        writer.property("i", "os_glance_import_task", "t")
        writer.property("i", "os_glance_failed_import", "")
        writer.property("i", "empty", None)
        ([found], findings) = records("images")
        assert found.image.properties == {"os_glance_failed_import": "", "empty": ""}
        assert findings.things == {
            Reason.PROCESS_PROPERTY: ["i os_glance_import_task"],
            Reason.EMPTY_PROPERTY: ["i empty"],
        }

    def test_every_batch_is_read(self, writer, records):
        ids = [f"{number:04}" for number in range(7)]
        for image_id in ids:
            writer.image(image_id)
        (found, _) = records("images", batch=3)
        assert [one.image.id for one in found] == ids

    def test_a_member_twice(self, writer, records):
        writer.image("i")
        writer.member("i", "p", status="rejected", can_share=True)
        writer.member("i", "p", status="accepted")
        writer.member("i", "q", status="perhaps")
        ([found], findings) = records("images")
        assert [(one.project_id, one.status) for one in found.members] == [
            ("p", MemberStatus.ACCEPTED),
            ("q", MemberStatus.PENDING),
        ]
        assert findings.things == {
            Reason.SHARES_ON: ["p of i"],
            Reason.MEMBER_TWICE: ["p of i"],
            Reason.STRANGE_MEMBER: ["q of i"],
        }


class TestLocations:
    """In which store a location is, and which are left out."""

    @pytest.mark.parametrize(
        ("url", "store"),
        [
            ("file:///srv/slow/i", "slow"),
            ("file:///srv/slower/i", "fast"),
            ("file:///elsewhere/i", "fast"),
            ("https://host/i", "web"),
            ("rbd://fsid/pool/i/snap", "rbd"),
            ("swift+https://u:p@host/c/i", "swift"),
        ],
    )
    def test_one_without_store(self, writer, records, url, store):
        writer.image("i")
        writer.location("i", url)
        ([found], findings) = records("images")
        assert [one.store for one in found.locations] == [store]
        is_known = store in ("slow", "fast", "web")
        assert findings.things == ({} if is_known else {Reason.UNKNOWN_STORE: [f"i in {store}"]})

    def test_the_second_in_a_store_is_told(self, writer, records):
        writer.image("i")
        writer.location("i", "http://a/1")
        writer.location("i", "http://a/2")
        writer.location("i", "http://a/3", deleted=True)
        ([found], findings) = records("images")
        assert [one.url for one in found.locations] == ["http://a/1"]
        assert findings.things == {Reason.SECOND_IN_STORE: ["i in web (row 2)"]}

    def test_an_older_name_of_the_store(self, writer, records):
        writer.image("i")
        writer.location("i", "http://a/1", meta_data=json.dumps({"backend": "slow"}))
        ([found], _) = records("images")
        assert [(one.store, one.metadata) for one in found.locations] == [("slow", {})]

    def test_one_that_is_damaged(self, writer, records):
        writer.image("i")
        writer.location("i", "http://a/1", meta_data="{")
        with pytest.raises(GlancekitError, match=r"damaged.*location of image i"):
            records("images")

    def test_an_encrypted_one(self, writer, records):
        writer.image("i")
        writer.location("i", encrypt("file:///srv/slow/i", KEY))
        writer.image("plain")
        writer.location("plain", "file:///srv/slow/plain")
        (found, findings) = records("images", key=KEY)
        assert [one.locations[0].url for one in found] == [
            "file:///srv/slow/i",
            "file:///srv/slow/plain",
        ]
        assert not findings.things

    @pytest.mark.parametrize("key", [None, "another key 1234"])
    def test_an_encrypted_one_without_its_key_blocks(self, writer, records, key):
        writer.image("i")
        writer.location("i", encrypt("file:///srv/slow/i", KEY))
        (_, findings) = records("images", key=key)
        assert findings.blocking == [Reason.UNREADABLE_LOCATION]


class TestDeleted:
    """Ids that were used, and data that wait."""

    def test_ids_are_kept(self, writer, records):
        writer.image("i", status="deleted", deleted=True, deleted_at=AT.replace(tzinfo=None))
        ([buried], findings) = records("buried")
        assert (buried.tombstone.id, buried.tombstone.deleted_at) == ("i", AT)
        assert not buried.waiting
        assert not findings.things

    def test_data_that_wait_for_the_scrubber(self, writer, records):
        writer.image("i", status="pending_delete", deleted=True)
        writer.location("i", "http://a/1", status="pending_delete", deleted=True)
        ([buried], findings) = records("buried")
        assert [one.url for one in buried.waiting] == ["http://a/1"]
        assert findings.things == {Reason.PENDING_DELETE: ["i"]}


class TestTasks:
    """Tasks that ended, and others."""

    def test_which_are_taken_over(self, writer, records):
        now = datetime.now(UTC).replace(tzinfo=None)
        writer.task("ended", expires_at=now + timedelta(hours=1))
        writer.task("expired", expires_at=now - timedelta(hours=1))
        writer.task("running", status="processing")
        writer.task("strange", type="clone")
        writer.task("gone", deleted=True)
        (found, findings) = records("tasks")
        assert [(one.id, one.status, one.message) for one in found] == [
            ("ended", TaskStatus.SUCCESS, ""),
            ("running", TaskStatus.FAILURE, NOT_ENDED),
        ]
        assert findings.things == {
            Reason.EXPIRED_TASK: ["expired"],
            Reason.UNFINISHED_TASK: ["running"],
            Reason.STRANGE_TASK: ["strange (clone)"],
        }


class TestDatabase:
    """Which databases are read."""

    def test_another_s_is_refused(self, empty_database):
        reading = GlanceDatabase(empty_database).reading()
        with pytest.raises(GlancekitError, match="no Glance's"), reading:
            pass

    def test_an_older_one_is_refused(self, writer):
        writer.revision("zed_contract01")
        reading = GlanceDatabase(writer.url).reading()
        with pytest.raises(GlancekitError, match=r"zed_contract01.*db sync"), reading:
            pass

    def test_one_that_is_not_there_is_not_made(self, tmp_path):
        path = tmp_path / "nothing.sqlite"
        reading = GlanceDatabase(f"sqlite:///{path}").reading()
        with pytest.raises(GlancekitError, match="no database file"), reading:
            pass
        assert not path.exists()

    def test_it_cannot_be_changed(self, writer):
        reading = GlanceDatabase(writer.url).reading()
        with pytest.raises(GlancekitError, match="readonly"), reading as connection:
            connection.exec_driver_sql("DELETE FROM images")

    @pytest.mark.parametrize("url", ["oracle://h/d", "no url"])
    def test_what_is_no_database_of_a_glance(self, url):
        with pytest.raises(GlancekitError):
            GlanceDatabase(url)

    def test_no_password_is_told(self):
        database = GlanceDatabase("mysql+pymysql://glance:very-secret@host/glance?charset=utf8")
        assert "very-secret" not in database.name


class TestEncryption:
    """The cipher of locations."""

    @pytest.mark.parametrize("length", [16, 24, 32])
    def test_there_and_back(self, length):
        for size in range(1, 40):
            url = "file:///" + "ü" * size
            assert decrypt(encrypt(url, "k" * length), "k" * length) == url

    def test_what_another_service_has_encrypted(self):
        # Made by glance 33: crypt.urlsafe_encrypt("0123456789abcdef", "file:///a", 16)
        sealed = "Olmq747jID7Udb79_42WQdiwLfhPIwC3q2rwRdjlnrU="
        assert decrypt(sealed, KEY) == "file:///a"

    @pytest.mark.parametrize("stored", ["", "!", "AAAA", "A" * 64])
    def test_what_is_not_encrypted(self, stored):
        assert decrypt(stored, KEY) is None

    def test_a_key_of_another_length(self):
        with pytest.raises(GlancekitError, match="16, 24 or 32"):
            require_key("short")
        require_key(None)
