# SPDX-License-Identifier: Apache-2.0
"""Between real sites: what arrives, what does not move twice, and what is left alone."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from glancekit_site_replication import work
from glancekit_site_replication.records import MARK, Translation
from glancekit_site_replication.running import Report
from glancekit_site_replication.selection import Selection
from glancekit_site_replication.testing import PROGRAM, Place, glancekit_site, run
from glancekit_site_replication.work import Manner

Sync = Callable[..., Report]
States = Callable[[Report], dict[str, Any]]

DATA = bytes(range(256)) * 1000
OURS = frozenset(
    {
        *("id", "created_at", "updated_at", "owner", "schema", "self", "file", MARK),
        *("direct_url", "locations", "stores", "virtual_size"),
    }
)
"""What is each site's own."""


def told(image: dict[str, Any]) -> dict[str, Any]:
    """Return what two sites should say alike of an image."""
    kept = {
        name: value
        for name, value in image.items()
        if name not in OURS and not name.startswith("os_glance")
    }
    return kept | {"tags": sorted(image["tags"])}


@pytest.fixture(params=["glance", "south"])
def other(request: pytest.FixtureRequest) -> Place:
    """A Glance, and a glancekit."""
    place: Place = request.getfixturevalue(request.param)
    return place


def test_all_of_an_image_arrives_once(
    other: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    tags = [tag, "ü", "two words"]
    plain = other.make(DATA, name="Grüße", tags=tags, min_disk=3, os_distro="debian")
    empty = other.make(b"", visibility="public", tags=[tag], protected=True)
    hidden = other.make(DATA[:100], visibility="shared", tags=[tag], os_hidden=True)
    other.call("POST", f"/images/{hidden}/members", json={"member": "friend"})
    other.call("PUT", f"/images/{hidden}/members/friend", json={"status": "accepted"})
    off = other.make(DATA[:7], visibility="community", tags=[tag])
    other.call("POST", f"/images/{off}/actions/deactivate")
    queued = other.make(tags=[tag])
    report = sync(("other", other), ("north", north), members=True, part=100_000)
    brought = dict.fromkeys([plain, empty, hidden, off], ("missing", "sent"))
    assert states(report) == brought | {queued: ("not ready", "")}
    assert report.exit_code(comparing=False) == 0
    for image_id in brought:
        shown = north.show(image_id)
        assert told(shown) == told(other.show(image_id))
        assert shown[MARK] == f"other of {tag}"
    assert north.data(plain) == DATA
    members = north.call("GET", f"/images/{hidden}/members")["members"]
    assert [(m["member_id"], m["status"]) for m in members] == [("friend", "accepted")]
    again = sync(("other", other), ("north", north), members=True)
    assert set(states(again).values()) == {("same", ""), ("not ready", "")}
    assert again.moved == {}


def test_what_came_from_there_is_not_sent_back(
    south: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    kept, gone = south.make(DATA, tags=[tag]), south.make(DATA, tags=[tag])
    sync(("s", south), ("north", north))
    south.call("DELETE", f"/images/{gone}")
    north.change(kept, os_distro="changed at the replica")
    back = sync(("north", north), ("s", south))
    assert states(back) == {kept: ("theirs", ""), gone: ("theirs", "")}
    assert "os_distro" not in south.show(kept)
    assert gone not in south.images()


def test_a_ring_is_not_closed(
    glance: Place, north: Place, south: Place, sync: Sync, states: States, tag: str
) -> None:
    image_id = glance.make(DATA, tags=[tag])
    sync(("a", glance), ("b", north))
    sync(("b", north), ("c", south))
    assert south.show(image_id)[MARK] == f"a of {tag},b of {tag}"
    glance.call("DELETE", f"/images/{image_id}")
    assert states(sync(("c", south), ("a", glance))) == {image_id: ("theirs", "")}
    assert states(sync(("c", south), ("b", north))) == {image_id: ("same", "")}


def test_changes_travel_without_the_bytes(
    other: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    image_id = other.make(DATA, tags=[tag, "old"], os_distro="debian", visibility="shared")
    new = other.make(DATA, tags=[tag])
    sync(("other", other), ("north", north), selection=Selection(tags=frozenset({"old"})))
    other.change(image_id, name="new name", visibility="public", os_version="13", min_ram=9)
    other.call("DELETE", f"/images/{image_id}/tags/old")
    headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    patch = '[{"op": "remove", "path": "/os_distro"}]'
    other.call("PATCH", f"/images/{image_id}", data=patch, headers=headers)
    other.call("POST", f"/images/{image_id}/actions/deactivate")
    report = sync(("other", other), ("north", north), metadata_only=True)
    fields = "min_ram, name, os_distro, os_version, tags, visibility, status"
    assert states(report) == {
        image_id: ("different", f"changed {fields}"),
        new: ("missing", ""),
    }
    assert told(north.show(image_id)) == told(other.show(image_id))
    assert report.moved == {}


def test_only_what_it_brought_is_deleted_and_only_when_asked(
    south: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    gone = south.make(DATA, tags=[tag], protected=True)
    kept = south.make(DATA, tags=[tag])
    own = north.make(DATA, tags=[tag])
    elsewhere = north.make(DATA, tags=[tag], **{MARK: "elsewhere"})
    sync(("s", south), ("north", north))
    south.change(gone, protected=False)
    south.call("DELETE", f"/images/{gone}")
    assert states(sync(("s", south), ("north", north)))[gone] == ("gone", "")
    dry = sync(("s", south), ("north", north), delete=True, dry_run=True)
    assert states(dry)[gone] == ("gone", "")
    assert gone in north.images()
    deleted = sync(("s", south), ("north", north), delete=True)
    assert states(deleted)[gone] == ("gone", "deleted")
    assert {kept, own, elsewhere} <= north.images().keys()
    assert gone not in north.images()


def test_a_source_that_shows_nothing_deletes_nothing(
    south: Place, north: Place, sync: Sync, tag: str
) -> None:
    image_id = south.make(DATA, tags=[tag])
    sync(("s", south), ("north", north))
    none = Selection(tags=frozenset({"no such tag"}))
    with pytest.raises(Exception, match="shows no image"):
        sync(("s", south), ("north", north), selection=none, delete=True)
    assert image_id in north.images()


def test_what_others_brought_is_left_alone_until_it_is_taken_over(
    south: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    image_id = south.make(DATA, tags=[tag], os_distro="debian")
    unlike = south.make(DATA, tags=[tag])
    waiting = south.make(DATA, tags=[tag])
    north.make(DATA, id=image_id)
    north.make(DATA[:10], id=unlike)
    north.make(id=waiting)
    report = sync(("s", south), ("north", north))
    left = {unlike: ("other data", ""), waiting: ("foreign", "")}
    assert states(report) == {image_id: ("foreign", "")} | left
    assert (report.moved, report.exit_code(comparing=True)) == ({}, 1)
    assert "os_distro" not in north.show(image_id)
    sync(("s", south), ("north", north), take_over=True)
    assert told(north.show(image_id)) == told(south.show(image_id))
    assert north.data(unlike) == DATA[:10]
    assert north.data(waiting) == DATA
    assert north.show(waiting)[MARK] == f"s of {tag}"


def test_an_id_that_was_used_there_is_told(
    south: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    used, fresh = south.make(DATA, tags=[tag]), south.make(DATA, tags=[tag])
    north.make(DATA, id=used)
    north.call("DELETE", f"/images/{used}")
    report = sync(("s", south), ("north", north))
    assert states(report) == {used: ("missing", ""), fresh: ("missing", "sent")}
    details = {outcome.finding.id: outcome.detail for outcome in report.outcomes}
    assert "gives no id out twice" in details[used]
    assert report.exit_code(comparing=False) == 0


def test_what_was_begun_is_taken_up(
    other: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    image_id = north.make(DATA, tags=[tag], visibility="public")
    other.make(id=image_id, disk_format="iso", visibility="private", **{MARK: f"north of {tag}"})
    assert states(sync(("north", north), ("o", other))) == {image_id: ("incomplete", "sent")}
    assert told(other.show(image_id)) == told(north.show(image_id))
    assert other.data(image_id) == DATA


def test_projects_are_translated(
    south: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    mapped = south.make(DATA, tags=[tag], owner="here", visibility="shared")
    south.call("POST", f"/images/{mapped}/members", json={"member": "friend"})
    kept = south.make(DATA, tags=[tag], owner="anybody", os_secret_key="k")
    translation = Translation(
        projects={"here": "there", "friend": "freund"}, keep_owner=True, leave=("os_secret_*",)
    )
    for _ in range(2):
        report = sync(("s", south), ("n", north), translation=translation, members=True)
    assert set(states(report).values()) == {("same", "")}
    assert north.show(mapped)["owner"] == "there"
    members = north.call("GET", f"/images/{mapped}/members")["members"]
    assert [member["member_id"] for member in members] == ["freund"]
    assert north.show(kept)["owner"] == "anybody"
    assert "os_secret_key" not in north.show(kept)


def test_a_dry_run_changes_nothing(
    south: Place, north: Place, sync: Sync, states: States, tag: str
) -> None:
    image_id = south.make(DATA, tags=[tag])
    report = sync(("s", south), ("n", north), dry_run=True)
    assert states(report) == {image_id: ("missing", "")}
    assert image_id not in north.images()


def test_certain_images_are_copied(
    glance: Place, north: Place, tmp_path: Path, states: States, tag: str, site_of: Any
) -> None:
    image_id, named = glance.make(DATA), glance.make(DATA, name=f"name: {tag}")
    here, there = site_of("g", glance), site_of("n", north)
    report = work.copy(here, there, [image_id, f"name: {tag}"], Manner(spool=tmp_path))
    assert set(states(report)) == {image_id, named}
    with pytest.raises(Exception, match="no image with the id or name 'nothing'"):
        work.copy(here, there, ["nothing"], Manner(spool=tmp_path))


PULLING = """
[DEFAULT]
enabled_import_methods = [glance-direct,glance-download]
[glance_download_properties]
endpoints = far:{url}
[import_filtering_opts]
allowed_hosts = 127.0.0.1
allowed_ports = {port}
"""


def test_a_target_fetches_by_itself(
    south: Place, sync: Sync, states: States, tag: str, tmp_path: Path
) -> None:
    pytest.importorskip("glancekit_web_download", reason="glance-download is what it offers")
    image_id = south.make(DATA, tags=[tag], visibility="public", os_distro="debian")
    config = PULLING.format(url=south.url, port=south.url.rpartition(":")[2])
    with glancekit_site(tmp_path / "site", config) as east:
        report = sync(("s", south), ("e", east), region="far")
        assert states(report) == {image_id: ("missing", "sent")}
        assert report.moved == {}
        assert told(east.show(image_id)) == told(south.show(image_id))
        assert east.data(image_id) == DATA
        lost = south.make(DATA, tags=[tag])
        wrong = sync(("s", south), ("e", east), region="near")
        failed = [outcome for outcome in wrong.outcomes if outcome.error]
        assert [outcome.finding.id for outcome in failed] == [lost]
        assert requests.get(f"{east.url}/v2/images/{lost}/file", timeout=30).status_code == 204


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs that a test starts hear SIGINT, though the shell may have told us to ignore it.

    Shells do so for what runs in the background, and a program inherits it from us.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_it_is_slow_when_told_shows_how_far_it_is_and_can_be_stopped(
    south: Place, north: Place, tag: str, tmp_path: Path
) -> None:
    image_id = south.make(DATA, tags=[tag])
    words = ["sync", south.url, north.url, "--tag", tag, "--spool", str(tmp_path), "--progress"]
    command = [*PROGRAM, "replicate", *words, "--part", "0.01", "--limit", "0.02"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        end = time.monotonic() + 60
        while not any(path.stat().st_size for path in tmp_path.iterdir()):
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert north.show(image_id)["status"] == "queued"
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "images" in done.stderr
    received = re.search(r"(\d+) bytes received", done.stdout)
    assert received
    assert int(received[1]) < len(DATA)
    assert north.data(image_id) == DATA
