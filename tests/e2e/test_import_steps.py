# SPDX-License-Identifier: Apache-2.0
"""The running service imports: what is sound becomes raw, of what is hostile nothing is kept."""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from glancekit.testing.samples import Samples

pytest.importorskip("glancekit_image_steps", reason="pip install glancekit-image-steps")
pytest.importorskip("glancekit_web_download", reason="pip install glancekit-web-download")
if shutil.which("qemu-img") is None:
    pytest.skip("no qemu-img; on Debian: apt install qemu-utils", allow_module_level=True)

PATIENCE = 90.0
UNFINISHED = ("pending", "processing")

CONFIG = """
[image_import_opts]
image_import_plugins = image_decompression, image_conversion, inject_image_metadata
[image_decompression]
max_ratio = 20
[inject_metadata_properties]
inject = imported:yes
ignore_user_roles = nobody
[import_filtering_opts]
allowed_hosts = 127.0.0.1
allowed_ports = []
"""


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and one path that leads inside."""

    def do_GET(self) -> None:
        if self.path != "/inside":
            super().do_GET()
            return
        self.send_response(302)
        self.send_header("Location", "http://169.254.169.254/latest")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    folder = tmp_path / "web"
    folder.mkdir()
    return Samples(folder)


@pytest.fixture
def url(samples: Samples) -> Iterator[str]:
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(samples.folder))
    )
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(service: Any, uri: str, disk_format: str, **more: str) -> tuple[dict[str, Any], str]:
    """Import, wait, and return the image and what its task says."""
    image_id = service.create(disk_format)
    method = {"name": "web-download", "uri": uri, **more}
    where = f"{service.url}/v2/images/{image_id}"
    asked = requests.post(f"{where}/import", json={"method": method}, timeout=30)
    assert asked.status_code == 202, asked.text
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        (task,) = requests.get(f"{where}/tasks", timeout=30).json()["tasks"]
        if task["status"] not in UNFINISHED:
            return service.show(image_id), task["message"]
        time.sleep(0.1)
    return pytest.fail(f"the import does not end\n{service.log}")


def staged(service: Any) -> list[Path]:
    """What lies in the staging folder, hidden markers left out."""
    found = (Path(service.data_dir) / "staging").rglob("*")
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


@pytest.mark.timeout(300)  # nine imports, each of them quick on an idle machine
def test_what_is_sound_becomes_raw_and_what_is_hostile_nothing(
    make_service: Callable[..., Any], samples: Samples, url: str
) -> None:
    disk = samples.raw().read_bytes()
    packed = samples.folder / "disk.qcow2.gz"
    packed.write_bytes(gzip.compress(samples.qcow2().read_bytes()))
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    bomb = samples.folder / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(16 << 20)) * 640)
    nested = samples.folder / "nested.gz"
    nested.write_bytes(gzip.compress(bomb.read_bytes()))
    cut = samples.folder / "cut.qcow2"
    cut.write_bytes(samples.qcow2().read_bytes()[:-1_000_000])
    hostile: list[tuple[str, str, str, dict[str, str]]] = [
        (samples.qcow2_with_backing_file().name, "qcow2", "backing", {}),
        (samples.qcow2_with_data_file().name, "qcow2", "data", {}),
        (samples.vmdk_with_path().name, "vmdk", "vmdk", {}),
        (samples.raw().name, "qcow2", "raw", {}),
        (cut.name, "qcow2", "qemu-img", {}),
        (bomb.name, "raw", "max_ratio", {}),
        (nested.name, "raw", "packed twice", {}),
        (packed.name, "qcow2", "sha256", {"checksum": f"sha256:{'0' * 64}"}),
        ("inside", "raw", "redirects", {}),
        ("nothing", "raw", "404", {}),
    ]
    service = make_service(CONFIG)
    service.start()
    image, message = fetch(service, f"{url}/{packed.name}", "qcow2", checksum=f"sha256:{digest}")
    assert image["status"] == "active", message
    assert (image["disk_format"], image["virtual_size"]) == ("raw", len(disk))
    assert image["imported"] == "yes"
    assert image["os_hash_value"] == hashlib.sha512(disk).hexdigest()
    for path, disk_format, words, more in hostile:
        image, message = fetch(service, f"{url}/{path}", disk_format, **more)
        assert image["status"] == "queued", path
        assert re.search(f"(?i){words}", message), f"{path}: {message}"
        assert str(service.data_dir) not in message
        assert image["size"] is None
    assert staged(service) == []
