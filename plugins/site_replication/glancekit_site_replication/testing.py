# SPDX-License-Identifier: Apache-2.0
"""For tests: sites, a proxy that counts the bytes of images, and the trial of cutting off.

``python -m glancekit_site_replication.testing --images 100 --kills 20`` runs that trial between a
released Glance and a glancekit, there and back.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from glancekit.testing.real_glance import ADMIN, RealGlance, find_environment
from glancekit.testing.servers import START_LIMIT, ServerProcess, free_port

PROGRAM = (sys.executable, "-m", "glancekit.cli")
MIB = 1 << 20
_FILE = re.compile(r"/v2/images/([0-9a-f-]+)/(?:file|stage)\Z")
_PATCH = "application/openstack-images-v2.1-json-patch"


@dataclass(frozen=True, slots=True)
class Place:
    """A site as a test asks it; ``headers`` say who asks."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, **request: Any) -> Any:
        """Ask, and return the JSON of a good answer.

        :raises AssertionError: when it is no good one.
        """
        headers = {**self.headers, **request.pop("headers", {})}
        answer = requests.request(
            method, f"{self.url}/v2{path}", headers=headers, timeout=60, **request
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.json() if is_json else answer.content

    def make(self, data: bytes | None = None, **fields: Any) -> str:
        """Make an image and return its id."""
        body = {"name": "i", "disk_format": "raw", "container_format": "bare", **fields}
        image_id = str(self.call("POST", "/images", json=body)["id"])
        if data is not None:
            self.call(
                "PUT",
                f"/images/{image_id}/file",
                data=data,
                headers={"Content-Type": "application/octet-stream"},
            )
        return image_id

    def change(self, image_id: str, **fields: Any) -> None:
        """Change or add fields of an image."""
        operations = [
            {"op": "add", "path": f"/{name}", "value": value} for name, value in fields.items()
        ]
        content = json.dumps(operations)
        headers = {"Content-Type": _PATCH}
        self.call("PATCH", f"/images/{image_id}", data=content, headers=headers)

    def show(self, image_id: str) -> dict[str, Any]:
        """Return an image as it is shown."""
        return dict(self.call("GET", f"/images/{image_id}"))

    def data(self, image_id: str) -> bytes:
        """Return an image's bytes."""
        return bytes(self.call("GET", f"/images/{image_id}/file"))

    def images(self) -> dict[str, dict[str, Any]]:
        """Return all images by id, hidden ones too; there must be less than a thousand."""
        return {
            image["id"]: image
            for hidden in ("false", "true")
            for image in self.call("GET", f"/images?visibility=all&limit=1000&os_hidden={hidden}")[
                "images"
            ]
        }


@contextmanager
def glancekit_site(folder: Path, config: str = "") -> Iterator[Place]:
    """Run a glancekit with its records and files in a folder of its own."""
    folder.mkdir(parents=True)
    file = folder / "glancekit.conf"
    file.write_text(config)
    port = free_port()
    place = Place(f"http://127.0.0.1:{port}")
    command = [*PROGRAM, "serve", "--workers", "1", "--config-file", str(file)]
    process = ServerProcess(folder / "serve.log")
    process.launch([*command, "--port", str(port), "--data-dir", str(folder)])
    try:
        process.await_answer(lambda: _answers(place))
        yield place
    finally:
        process.kill()


def _answers(place: Place) -> bool:
    with suppress(requests.RequestException):
        return requests.get(f"{place.url}/healthcheck", timeout=5).ok
    return False


@contextmanager
def glance_site(folder: Path) -> Iterator[Place]:
    """Run a released Glance, and speak to it as its administrator."""
    environment = find_environment()
    assert environment is not None
    with RealGlance(environment, folder, with_metadefs=False) as glance:
        yield Place(glance.url, ADMIN)


class _Server(ThreadingHTTPServer):
    """A web server to which it is nothing new that a client is killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class CountingProxy:
    """Stands before a site and counts the bytes of images that go through, by image and way."""

    def __init__(self, place: Place) -> None:
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._address = urlsplit(place.url)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                with suppress(OSError, http.client.HTTPException):
                    proxy._pass(self)
                    return
                self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler

    def _pass(self, asked: BaseHTTPRequestHandler) -> None:
        found = _FILE.match(urlsplit(asked.path).path)
        image_id = found[1] if found else None
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "host"}
        length = int(headers.get("Content-Length", 0))
        connection = http.client.HTTPConnection(
            str(self._address.hostname), self._address.port, timeout=60
        )
        try:
            connection.putrequest(asked.command, asked.path)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            if headers.get("Transfer-Encoding", "").lower() == "chunked":
                _pass_empty_chunks(asked, connection)
            for chunk in _read(asked.rfile, length):
                connection.send(chunk)
                self._count(self.sent, image_id, len(chunk))
            self._answer(asked, connection.getresponse(), image_id)
        finally:
            connection.close()

    def _answer(
        self,
        asked: BaseHTTPRequestHandler,
        answer: http.client.HTTPResponse,
        image_id: str | None,
    ) -> None:
        asked.send_response(answer.status)
        body = None if answer.length is not None else answer.read()
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                asked.send_header(name, value)
        length = answer.length if body is None else len(body)
        asked.send_header("Content-Length", str(length))
        asked.end_headers()
        for chunk in [body] if body is not None else _read(answer, length or 0):
            asked.wfile.write(chunk)
            self._count(self.received, image_id, len(chunk))

    def _count(self, counter: Counter[str], image_id: str | None, count: int) -> None:
        if image_id is not None:
            with self._lock:
                counter[image_id] += count


def _pass_empty_chunks(
    asked: BaseHTTPRequestHandler, connection: http.client.HTTPConnection
) -> None:
    """Pass on a chunked body, which only images without a byte have here."""
    size = asked.rfile.readline()
    assert int(size, 16) == 0
    asked.rfile.readline()
    connection.send(b"0\r\n\r\n")


def _read(source: Any, length: int) -> Iterator[bytes]:
    while length:
        chunk = source.read1(min(length, 1 << 16))
        if not chunk:
            raise ConnectionError("it ended early")
        length -= len(chunk)
        yield chunk


def words_of(source: Place, target: Place) -> list[str]:
    """Return what goes behind a command so that both sites know who asks."""
    words = []
    for side, place in (("source", source), ("target", target)):
        for name, value in place.headers.items():
            words += [f"--{side}-header", f"{name}: {value}"]
    return words


def run(
    *words: str | Path, timeout: float = 120, config: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``glancekit replicate`` with nothing of OS_* in the environment."""
    before = [] if config is None else ["--config-file", str(config)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    return subprocess.run(
        [*PROGRAM, *before, "replicate", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=kept | environment,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Replication that is killed at moments that a seed decides.

    ``part`` is bytes; images are up to ``largest`` bytes long.
    """

    images: int
    kills: int
    seed: int
    largest: int = 2 * MIB
    part: int = MIB // 4
    limit: float = 24.0

    def fill(self, place: Place, count: int, first: int) -> None:
        """Make images of all kinds; every seventh is shared with somebody."""
        for number in range(first, first + count):
            chance = random.Random(self.seed * 1000 + number)
            fields = {
                "name": f"image {number}, Grüße",
                "visibility": ("public", "community", "shared", "private")[number % 4],
                "protected": number % 11 == 0,
                "os_hidden": number % 13 == 0,
                "min_ram": number % 5,
                "tags": chance.sample(["a", "b", "ü", "x y"], number % 4),
                "hw_disk_bus": "virtio",
                "number": str(number),
            }
            data = chance.randbytes(chance.randrange(self.largest))
            image_id = place.make(data, **fields)
            if number % 4 == 2:
                place.call("POST", f"/images/{image_id}/members", json={"member": "friend"})

    def bring(
        self, here: Place, there: Place, folder: Path, names: Sequence[str], *, parallel: int
    ) -> Moved:
        """Sync one way, killed again and again, then to the end; return what went over the wire.

        Each kill is so long after the first byte moves as the seed says.
        """
        before, chance = here.images(), random.Random(self.seed)
        new = before.keys() - there.images().keys()
        source, target = CountingProxy(here), CountingProxy(there)
        command = [
            *("sync", source.url, target.url, *words_of(here, there), "--members"),
            *("--source-name", names[0], "--target-name", names[1]),
            *("--spool", str(folder), "--parallel", str(parallel)),
            *("--part", str(self.part / MIB), "--limit", str(self.limit), "-f", "json"),
        ]
        try:
            cut = sum(
                self._cut(command, source, target, chance.uniform(0.0, 1.2))
                for _ in range(self.kills)
            )
            done = run(*command, timeout=600)
            assert done.returncode == 0, done.stdout + done.stderr
        finally:
            source.close()
            target.close()
        sizes = {image_id: int(before[image_id]["size"]) for image_id in new}
        takes_parts = "stage-parts" in there.call("GET", "/info/import")
        again = self.part if takes_parts else self.largest
        return Moved(sizes, cut * parallel, cut, again, source.received, target.sent)

    def _cut(
        self, command: Sequence[str], source: CountingProxy, target: CountingProxy, after: float
    ) -> bool:
        """Run it and kill it; tell whether it was still running."""
        moved = source.received.total() + target.sent.total()
        process = subprocess.Popen(
            [*PROGRAM, "replicate", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + START_LIMIT
        while process.poll() is None and time.monotonic() < end:
            if source.received.total() + target.sent.total() > moved:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(after)
                break
            time.sleep(0.005)
        was_running = process.poll() is None
        process.kill()
        process.wait()
        return was_running


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes that went over the wire, by image, and how long the images are.

    ``transfers`` is how many may have been cut off at most, and ``part`` how many bytes of one on
    the way there may come again.
    """

    sizes: Mapping[str, int]
    transfers: int
    cut: int
    part: int
    received: Counter[str]
    sent: Counter[str]

    def judge(self, trial: Trial) -> dict[str, int]:
        """Insist that nothing moved twice but what may, and return the figures.

        Of each transfer that was cut off, one part may come again: so many bytes as are asked
        for at once on the way here; on the way there as many as the target takes at once, which
        is an image to a Glance.
        """
        assert set(self.received) <= set(self.sizes), "an image was fetched that is there"
        again, resent = self._again(self.received), self._again(self.sent)
        for image_id, count in again.items():
            assert count <= self.cut * trial.part, f"{image_id}: {count} bytes came again"
        assert again.total() <= self.transfers * trial.part
        assert resent.total() <= self.transfers * self.part
        return {
            "images": len(self.sizes),
            "bytes": sum(self.sizes.values()),
            "cut": self.cut,
            "received_again": again.total(),
            "sent_again": resent.total(),
        }

    def _again(self, moved: Counter[str]) -> Counter[str]:
        for image_id, size in self.sizes.items():
            assert moved[image_id] >= size, f"{image_id} did not move whole"
        return Counter({image_id: moved[image_id] - size for image_id, size in self.sizes.items()})


def there_and_back(trial: Trial, folder: Path) -> list[dict[str, int]]:
    """Run a trial between a Glance and a glancekit which both have images of their own."""
    with glance_site(folder / "glance") as old, glancekit_site(folder / "glancekit") as new:
        share = trial.images * 3 // 5
        trial.fill(old, share, 0)
        trial.fill(new, trial.images - share, share)
        names = ("old", "new")
        spool = folder / "spool"
        figures = [trial.bring(old, new, spool, names, parallel=3).judge(trial)]
        # Of two uploads that end in the same moment, a Glance on SQLite may lose one: its record
        # stays "saving" for ever ("database is locked").
        figures.append(trial.bring(new, old, spool, names[::-1], parallel=1).judge(trial))
        for here, there, called in ((old, new, names), (new, old, names[::-1])):
            done = run(
                *("compare", here.url, there.url, *words_of(here, there), "--members"),
                *("--source-name", called[0], "--target-name", called[1], "-f", "json"),
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(done.stdout)["counts"] == {"same": trial.images}, done.stdout
        for image_id in old.images():
            assert old.data(image_id) == new.data(image_id)
        assert not list(spool.iterdir()), "something is left in the spool"
        return figures


def main() -> None:
    """Run the trial as it is typed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20, help="in all, half of them each way")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="glancekit-replication-"))
    try:
        trial = Trial(images=asked.images, kills=asked.kills // 2, seed=asked.seed)
        for figures in there_and_back(trial, folder):
            print(json.dumps(figures), flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
