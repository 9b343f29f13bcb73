# SPDX-License-Identifier: Apache-2.0
"""Images in a folder: dumped, resumed, loaded, damaged, and as upstream wrote them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from glancekit_site_replication import work
from glancekit_site_replication.folder import Folder
from glancekit_site_replication.records import MARK
from glancekit_site_replication.running import Report
from glancekit_site_replication.selection import Selection
from glancekit_site_replication.site import Site
from glancekit_site_replication.testing import CountingProxy, Place, run
from glancekit_site_replication.work import Manner

from glancekit.plugin import Invalid

DATA = bytes(range(256)) * 1000

SiteOf = Callable[[str, Place], Site]


def manner(folder: Path, tag: str, **more: Any) -> Manner:
    return Manner(spool=folder, selection=Selection(tags=frozenset({tag})), **more)


def done(report: Report) -> dict[str, str]:
    return {outcome.finding.id: outcome.done for outcome in report.outcomes}


def test_what_was_dumped_is_loaded(
    north: Place, south: Place, tmp_path: Path, tag: str, site_of: SiteOf
) -> None:
    image_id = north.make(DATA, name="Grüße", tags=[tag], visibility="shared", os_distro="x")
    north.call("POST", f"/images/{image_id}/members", json={"member": "friend"})
    folder = tmp_path / "dump"
    how = manner(folder, tag, members=True)
    assert done(work.dump(site_of("n", north), folder, how)) == {image_id: "dumped"}
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{image_id}.json", f"{image_id}.img"}
    again = work.dump(site_of("n", north), folder, how)
    assert (done(again), again.moved) == ({image_id: ""}, {})
    loaded = work.sync(Folder(folder), site_of("s", south), how)
    assert done(loaded)[image_id] == "sent"
    assert south.data(image_id) == DATA
    assert south.show(image_id)[MARK] == f"n of {tag}"
    assert south.show(image_id)["os_distro"] == "x"
    assert south.call("GET", f"/images/{image_id}/members")["members"]
    # It counts as brought from where it was dumped.
    synced = work.sync(site_of("n", north), site_of("s", south), how)
    assert (done(synced)[image_id], synced.moved) == ("", {})


def test_a_dump_goes_on_where_it_was_cut_off(
    north: Place, tmp_path: Path, tag: str, site_of: SiteOf
) -> None:
    image_id = north.make(DATA, tags=[tag])
    content = f"{north.show(image_id)['os_hash_value']} {len(DATA)}".encode()
    name = f"{image_id}.{hashlib.sha256(content).hexdigest()[:16]}.part"
    (tmp_path / name).write_bytes(DATA[:200_000])
    proxy = CountingProxy(north)
    site = site_of("n", Place(proxy.url))
    work.dump(site, tmp_path, manner(tmp_path, tag))
    proxy.close()
    assert proxy.received[image_id] == len(DATA) - 200_000
    assert (tmp_path / f"{image_id}.img").read_bytes() == DATA


def test_what_is_gone_is_pruned_when_asked(
    north: Place, tmp_path: Path, tag: str, site_of: SiteOf
) -> None:
    image_id, kept = north.make(DATA, tags=[tag]), north.make(DATA, tags=[tag])
    work.dump(site_of("n", north), tmp_path, manner(tmp_path, tag))
    north.call("DELETE", f"/images/{image_id}")
    work.dump(site_of("n", north), tmp_path, manner(tmp_path, tag))
    assert (tmp_path / f"{image_id}.img").exists()
    work.dump(site_of("n", north), tmp_path, manner(tmp_path, tag, delete=True))
    assert {path.name for path in tmp_path.iterdir()} == {f"{kept}.json", f"{kept}.img"}


def test_a_damaged_dump_is_not_loaded(
    north: Place, south: Place, tmp_path: Path, tag: str, site_of: SiteOf
) -> None:
    image_id = north.make(DATA, tags=[tag])
    work.dump(site_of("n", north), tmp_path, manner(tmp_path, tag))
    file = tmp_path / f"{image_id}.img"
    file.write_bytes(b"X" + DATA[1:])
    damaged = run("load", tmp_path, south.url)
    assert damaged.returncode == 8, damaged.stdout + damaged.stderr
    assert south.show(image_id)["status"] == "queued"
    file.write_bytes(DATA)
    loaded = run("load", tmp_path, south.url)
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert south.data(image_id) == DATA


def test_what_upstream_dumped_is_loaded(south: Place, tmp_path: Path, site_of: SiteOf) -> None:
    image_id = str(uuid.uuid4())
    record = {
        "id": image_id,
        "name": "old",
        "status": "active",
        "is_public": True,
        "deleted": False,
        "size": len(DATA),
        "checksum": None,
        "disk_format": "raw",
        "container_format": "bare",
        "min_ram": 5,
        "protected": False,
        "properties": {"os_distro": "debian"},
        "updated_at": "2013-01-01T00:00:00",
    }
    (tmp_path / image_id).write_text(json.dumps(record))
    (tmp_path / f"{image_id}.img").write_bytes(DATA)
    folder = Folder(tmp_path, name="museum")
    report = work.sync(folder, site_of("s", south), Manner(spool=tmp_path))
    assert done(report)[image_id] == "sent"
    shown = south.show(image_id)
    assert (shown["visibility"], shown["os_distro"], shown["min_ram"]) == ("public", "debian", 5)
    assert (south.data(image_id), shown[MARK]) == (DATA, "museum")


def test_a_folder_is_of_one_site(tmp_path: Path) -> None:
    Folder(tmp_path, name="a").write({"id": "i"}, {})
    with pytest.raises(Invalid, match="several sites: a, b"):
        Folder(tmp_path, name="b")
    (tmp_path / "j.json").write_text("[]")
    with pytest.raises(Invalid, match="no record"):
        Folder(tmp_path)
