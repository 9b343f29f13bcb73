# SPDX-License-Identifier: Apache-2.0
"""A released Glance with some hundred images, taken over by glancekit, and back again.

The one is asked as clients ask it, the other as operators type it; what is in between is the
business of plugins/glance_adoption and its own tests.
"""

from __future__ import annotations

import functools
import http.server
import json
import random
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from glancekit.testing import real_glance
from glancekit.testing.real_glance import ADMIN, RealGlance

pytestmark = pytest.mark.timeout(300)  # the other service is slow to fill on a busy machine

IMAGES = 300
MADE = 30
"""How many are made over the API; the others are copies of these."""

COPIED = {
    "images": "id",
    "image_properties": "image_id",
    "image_tags": "image_id",
    "image_locations": "image_id",
    "image_members": "image_id",
}
"""Tables that have rows of an image, and the column that has its id."""

VISIBILITIES = ("public", "community", "shared", "private")
TRUSTED = "\n[auth]\ndriver = trusted\n"
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
OCTETS = {"Content-Type": "application/octet-stream"}


class Web(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...


@dataclass
class Filled:
    """A Glance with images of every kind; ``deleted`` are ids that it gave out once."""

    glance: RealGlance
    web: str
    data: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, project: str = "p0", **options: Any) -> Any:
        """Ask as an administrator of a project."""
        headers = {**ADMIN, "X-Project-Id": project, **options.pop("headers", {})}
        answer = requests.request(
            method, f"{self.glance.url}/v2{path}", headers=headers, timeout=60, **options
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else None

    def fill(self) -> None:
        """Make everything."""
        for number in range(MADE):
            self.make(number)
        for image_id in (self.make(number) for number in range(MADE, MADE + 6)):
            self.call("DELETE", f"/images/{image_id}")
            self.deleted.append(image_id)
            self.data.pop(image_id, None)
        self.make_tasks()
        self.make_metadefs()
        for _ in range(IMAGES // MADE - 1):
            self.double()

    def double(self) -> None:
        """Make every image once more, row for row as the service wrote it: that is quick."""
        with closing(sqlite3.connect(self.glance.connection.partition("///")[2])) as database:
            database.row_factory = sqlite3.Row
            for old in self.made:
                new = str(uuid.uuid4())
                for table, key in COPIED.items():
                    self._copy(database, table, key, old, new)
                if old in self.data:
                    self.data[new] = self.data[old]
                    (self.glance.images / new).hardlink_to(self.glance.images / old)
            database.commit()

    def _copy(
        self, database: sqlite3.Connection, table: str, key: str, old: str, new: str
    ) -> None:
        for row in database.execute(f"SELECT * FROM {table} WHERE {key} = ?", (old,)).fetchall():
            values = {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118
            values[key] = new
            if table == "image_locations":
                values["value"] = values["value"].replace(old, new)
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"
            database.execute(insert, tuple(values.values()))

    def make(self, number: int) -> str:
        """Make one image: what it has follows from its number."""
        chance = random.Random(number)
        project = f"p{number % 3}"
        image = {
            "name": f"image {number}, Grüße",
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": VISIBILITIES[number % 4],
            "protected": number % 11 == 0,
            "os_hidden": number % 13 == 0,
            "min_ram": number % 5,
            "tags": chance.sample(["a", "b", "c", "ü", "x y"], number % 4),
            "hw_disk_bus": "virtio",
            "number": str(number),
        }
        if number % 10 == 9:
            image["os_distro"] = "debian"
        if number >= MADE:
            image["protected"] = False
        made = self.call("POST", "/images", project, json=image)
        if number < MADE:
            self.made.append(made["id"])
        if number % 2 == 0:
            self.upload(made["id"], number)
        if number % 4 == 2:
            for member in range(number % 3 + 1):
                self.share(made["id"], project, f"friend{member}", member)
        return str(made["id"])

    def upload(self, image_id: str, number: int) -> None:
        """Give an image data, some in the web besides, and deactivate some."""
        data = b"%d" % number * 100
        self.call("PUT", f"/images/{image_id}/file", data=data, headers=OCTETS)
        self.data[image_id] = data
        if number % 12 == 0:
            place = {"url": f"{self.web}/{number}", "metadata": {"store": "web", "note": "n"}}
            self.patch(image_id, {"op": "add", "path": "/locations/-", "value": place})
        if number % 14 == 0:
            self.call("POST", f"/images/{image_id}/actions/deactivate")

    def patch(self, image_id: str, *operations: dict[str, Any]) -> None:
        self.call("PATCH", f"/images/{image_id}", data=json.dumps(operations), headers=PATCH)

    def share(self, image_id: str, project: str, member: str, answer: int) -> None:
        path = f"/images/{image_id}/members"
        self.call("POST", path, project, json={"member": member})
        if answer:
            status = {"status": "accepted" if answer == 1 else "rejected"}
            self.call("PUT", f"{path}/{member}", member, json=status)

    def make_tasks(self) -> None:
        """Make one with an image of its own; whether it ends, and how, is not ours to say."""
        image = {"name": "located", "disk_format": "raw", "container_format": "bare"}
        image_id = self.call("POST", "/images", json=image)["id"]
        self.call("POST", f"/images/{image_id}/locations", json={"url": f"{self.web}/0"})
        for _ in range(100):
            tasks = self.call("GET", "/tasks")["tasks"]
            if all(task["status"] in ("success", "failure") for task in tasks):
                return
            threading.Event().wait(0.05)

    def make_metadefs(self) -> None:
        """Make a namespace that has some of each."""
        text = {"title": "T", "type": "string", "enum": ["a", "b"]}
        number = {"title": "N", "type": "integer", "minimum": 1, "default": 3}
        namespace = {
            "namespace": "Ours::Sizes",
            "display_name": "Ours",
            "visibility": "private",
            "properties": {"size": number, "kind": text},
            "objects": [
                {"name": "o", "required": ["kind"], "properties": {"kind": text, "n": number}}
            ],
            "tags": [{"name": "t1"}, {"name": "t2"}],
            "resource_type_associations": [
                {"name": "OS::Glance::Image", "prefix": "our_"},
                {"name": "Ours::Thing", "properties_target": "here"},
            ],
        }
        self.call("POST", "/metadefs/namespaces", "p1", json=namespace)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server with the data of some images."""
    folder = tmp_path_factory.mktemp("web")
    for number in range(0, MADE + 6, 12):
        (folder / str(number)).write_bytes(b"%d" % number * 100)
    handler = functools.partial(Web, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, web: str) -> Iterator[Filled]:
    """A running Glance that has everything, and is read from now on."""
    if reason := real_glance.missing():
        pytest.skip(reason)
    environment = real_glance.find_environment()
    assert environment is not None
    with RealGlance(environment, tmp_path_factory.mktemp("glance") / "service") as glance:
        filled = Filled(glance, web)
        filled.fill()
        yield filled


@dataclass
class Outcome:
    code: int
    out: str
    err: str


def adopt(*words: str | Path) -> Outcome:
    """Type ``glancekit adopt``."""
    command = [sys.executable, "-m", "glancekit.cli", "adopt", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return Outcome(done.returncode, done.stdout, done.stderr)


def verify(there: str, here: str) -> tuple[int, dict[str, Any]]:
    """Hold two services against each other, and return the exit code and the report."""
    headers = [word for name, value in ADMIN.items() for word in ("--header", f"{name}: {value}")]
    done = adopt("--verify", "--there", there, "--here", here, "-f", "json", *headers)
    assert done.out, done.err
    return done.code, json.loads(done.out)


@dataclass
class Adopted:
    """What was taken over: a configuration, a folder of data, and the report."""

    config: Path
    data_dir: Path
    report: dict[str, Any]


@pytest.fixture(scope="module")
def adopted(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    """Everything taken over into an embedded database."""
    folder = tmp_path_factory.mktemp("adopted")
    config, data_dir = folder / "glancekit.conf", folder / "data"
    source = ("--from", filled.glance.config, "--into", config, "--data-dir", data_dir)
    dry = adopt(*source, "--dry-run", "-f", "json")
    assert dry.code == 0, dry.err
    assert not config.exists()
    assert not data_dir.exists()
    done = adopt(*source, "-f", "json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["findings"] == json.loads(dry.out)["findings"]
    return Adopted(config, data_dir, report)


@pytest.fixture(scope="module")
def service(adopted: Adopted, make_lasting_service: Callable[..., Any]) -> Any:
    """glancekit on what was taken over, which believes the same headers as the other service."""
    service = make_lasting_service(adopted.config.read_text() + TRUSTED, data_dir=adopted.data_dir)
    service.start()
    return service


def test_everything_is_there(filled: Filled, adopted: Adopted, service: Any) -> None:
    taken = adopted.report["counts"]["taken over"]
    assert taken["images"] == IMAGES + 1
    assert taken["deleted images"] == len(filled.deleted)
    code, report = verify(filled.glance.url, service.url)
    assert (code, report["differences"]) == (0, [])
    counts = report["compared"]
    assert counts["images"] == IMAGES + 1
    assert counts["namespaces"] == 33
    assert counts["definitions"] > 200
    assert counts["tasks"] == 1


def test_the_data_are_where_they_were(filled: Filled, service: Any) -> None:
    for image_id, data in filled.data.items():
        url = f"{service.url}/v2/images/{image_id}/file"
        answer = requests.get(url, headers=ADMIN, timeout=60)
        assert (answer.status_code, answer.content) == (200, data)


def test_ids_that_were_used_are_not_given_out_again(filled: Filled, service: Any) -> None:
    for image_id in (*filled.deleted, next(iter(filled.data))):
        answer = requests.post(
            f"{service.url}/v2/images", headers=ADMIN, json={"id": image_id}, timeout=60
        )
        assert answer.status_code == 409, answer.text


def test_again_changes_nothing(filled: Filled, adopted: Adopted, service: Any) -> None:
    again = adopt("--from", filled.glance.config, "--into", adopted.config, "-f", "json")
    assert again.code == 0, again.err
    counts = json.loads(again.out)["counts"]
    assert not any(counts["taken over"].values())
    assert counts["here already"]["images"] == IMAGES + 1


@pytest.fixture(scope="module")
def back(
    filled: Filled, adopted: Adopted, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealGlance]:
    """Another Glance on the same data, with the records that glancekit gave back."""
    environment = real_glance.find_environment()
    assert environment is not None
    glance = RealGlance(
        environment,
        tmp_path_factory.mktemp("back") / "service",
        images=filled.glance.images,
        with_metadefs=False,
    )
    words = ("--export", "--from", glance.config, "--into", adopted.config, "-f", "json")
    done = adopt(*words)
    assert done.code == 0, done.err
    again = adopt(*words)
    assert again.code == 1
    assert "just made" in again.err
    glance.start()
    try:
        yield glance
    finally:
        glance.stop()


def test_back_again(filled: Filled, back: RealGlance) -> None:
    code, report = verify(filled.glance.url, back.url)
    assert (code, report["differences"]) == (0, [])
    image_id, data = next(iter(filled.data.items()))
    url = f"{back.url}/v2/images"
    assert requests.get(f"{url}/{image_id}/file", headers=ADMIN, timeout=60).content == data
    taken = requests.post(url, headers=ADMIN, json={"id": filled.deleted[0]}, timeout=60)
    assert taken.status_code == 409


def test_its_clients_carry_on(
    filled: Filled, adopted: Adopted, make_service: Callable[..., Any], programs: Any
) -> None:
    service = make_service(adopted.config.read_text(), data_dir=adopted.data_dir)
    service.start()
    image_id = filled.made[2]
    data = filled.data[image_id]

    def ask(*words: str) -> str:
        printed, failed, _ = programs.run(*words)
        assert not failed, failed
        return str(printed)

    openstack = ("openstack", "--os-auth-type", "none", "--os-endpoint", service.url)
    glance = ("glance", "--os-auth-token", "none", "--os-image-url", service.url)
    shown = json.loads(ask(*openstack, "image", "show", image_id, "-f", "json"))
    assert (shown["id"], shown["size"]) == (image_id, len(data))
    assert image_id in ask(*glance, "image-list", "--limit", str(IMAGES))
    copy = adopted.data_dir / "copy"
    ask(*glance, "image-download", "--file", str(copy), image_id)
    assert copy.read_bytes() == data
    created = ask(*openstack, "image", "create", "new", "--file", str(copy), "-f", "json")
    new = json.loads(created)["id"]
    assert (filled.glance.images / new).read_bytes() == data
    ask(*openstack, "image", "delete", new)
    assert "OS::Compute::Hypervisor" in ask(*glance, "md-namespace-list")


def test_a_difference_is_found(filled: Filled, service: Any) -> None:
    image_id = next(iter(filled.data))
    headers = {**ADMIN, **PATCH}
    change = [{"op": "add", "path": "/tags", "value": ["only here"]}]
    url = f"{service.url}/v2/images/{image_id}"
    before = requests.get(url, headers=ADMIN, timeout=60).json()["tags"]
    assert requests.patch(url, data=json.dumps(change), headers=headers, timeout=60).ok
    code, report = verify(filled.glance.url, service.url)
    assert code == 1
    assert {(one["thing"], one["what"]) for one in report["differences"]} == {
        (image_id, "tags"),
        (image_id, "updated_at"),
    }
    restore = [{"op": "add", "path": "/tags", "value": before}]
    assert requests.patch(url, data=json.dumps(restore), headers=headers, timeout=60).ok
