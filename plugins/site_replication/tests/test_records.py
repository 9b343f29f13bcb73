# SPDX-License-Identifier: Apache-2.0
"""What is decided without asking anybody: differences, selections, marks, pace."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from glancekit_site_replication.endpoint import Address, site_name
from glancekit_site_replication.pace import Pace
from glancekit_site_replication.records import MARK, Translation, is_ours, mark, same_data
from glancekit_site_replication.selection import Selection, moment, pairs
from glancekit_site_replication.spool import Spool, digest_of

from glancekit.plugin import Invalid

HERE = {
    "id": "i",
    "name": "n",
    "status": "active",
    "visibility": "public",
    "tags": ["b", "a"],
    "owner": "p",
    "a/b~c": "x",
    "os_glance_importing": "y",
    "stores": "fast",
    "updated_at": "2026-03-01T00:00:00Z",
}


def test_what_is_each_sites_own_is_no_difference() -> None:
    there = HERE | {"tags": ["a", "b"], "owner": "q", "stores": "slow", MARK: "h"}
    assert Translation().differences(HERE, there) == []


def test_a_patch_says_exactly_what_differs() -> None:
    there = {**HERE, "name": "old", "more": "z", "tags": ["a", "b"]}
    del there["a/b~c"]
    translation = Translation()
    names = translation.differences(HERE, there)
    assert translation.patch(HERE, there, names) == [
        {"op": "add", "path": "/a~1b~0c", "value": "x"},
        {"op": "remove", "path": "/more"},
        {"op": "replace", "path": "/name", "value": "n"},
    ]


def test_an_owner_counts_where_one_was_asked_for() -> None:
    there = HERE | {"owner": "q"}
    assert Translation(projects={"other": "x"}).differences(HERE, there) == []
    assert Translation(projects={"p": "q"}).differences(HERE, there) == []
    assert Translation(keep_owner=True).differences(HERE, there) == ["owner"]


def test_a_mark_tells_the_way() -> None:
    first = {MARK: mark(HERE, "a")}
    second = {MARK: mark(first, "b")}
    assert second == {MARK: "a,b"}
    assert is_ours(second, "b")
    assert not is_ours(second, "a")
    assert not is_ours(HERE, "a")


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ({"os_hash_algo": "sha512", "os_hash_value": "x", "checksum": "m"}, {}, None),
        ({"os_hash_value": "x"}, {"os_hash_value": "y"}, False),
        ({"os_hash_algo": "sha256", "os_hash_value": "y"}, {}, True),
        ({"checksum": None}, {"size": 1, "checksum": None}, None),
        ({"size": 1, "checksum": None}, {"size": 2, "checksum": None}, False),
    ],
)
def test_data_are_compared_by_the_best_that_both_have(
    one: dict[str, str], two: dict[str, str], same: bool | None
) -> None:
    usual = {"os_hash_algo": "sha512", "os_hash_value": "x", "checksum": "m"}
    if "checksum" in one and one["checksum"] is None:
        usual = {}
    expected = True if same is None and not two and usual else same
    assert same_data(usual | one, usual | two) is expected


def test_selections() -> None:
    assert Selection().takes(HERE)
    taken = Selection(
        fields={"a/b~c": "x"},
        tags=frozenset({"a"}),
        name="n*",
        visibility=frozenset({"public"}),
        owners=frozenset({"p"}),
        newer_than=moment("2026-02-01T00:00:00Z"),
    )
    assert taken.takes(HERE)
    for other in ("a/b~c", "tags", "name", "visibility", "owner"):
        assert not taken.takes(HERE | {other: ""})
    assert not taken.takes(HERE | {"updated_at": "2026-01-01T00:00:00Z"})
    assert Selection(fields={"protected": "true"}).takes(HERE | {"protected": True})


def test_times_and_ages() -> None:
    assert moment("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert abs(datetime.now(UTC) - timedelta(days=7) - moment("7d")) < timedelta(minutes=1)
    for wrong in ("7 days", "soon"):
        with pytest.raises(Invalid, match="no time"):
            moment(wrong)
    with pytest.raises(Invalid, match="KEY=VALUE"):
        pairs(["a"])


def test_names_and_tokens() -> None:
    assert site_name("https://user:pass@images.example:9292/image/v2/") == (
        "images.example:9292/image"
    )
    assert "secret" not in repr(Address(name="n", url="http://h", token="secret"))


def test_a_pace_is_kept_by_all_threads_together() -> None:
    pace = Pace(1_000_000)
    begun = time.monotonic()
    threads = [threading.Thread(target=pace.wait, args=(100_000,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun >= 0.4
    Pace().wait(1 << 40)


def test_a_spool_forgets_its_own_files_alone(tmp_path: Path) -> None:
    kept = {"i.json", "i.img", "j.0123456789abcdef"}
    for name in (*kept, "i.0123456789abcdef", "i.0123456789abcdef.part"):
        (tmp_path / name).touch()
    spool = Spool(folder=tmp_path, pace=Pace(), told=lambda direction, count: None)
    spool.forget("i")
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_digest_is_one_that_can_be_computed() -> None:
    digest, expected = digest_of({"os_hash_algo": "shake_128", "os_hash_value": "x"})
    assert (digest.name, expected) == ("md5", None)
