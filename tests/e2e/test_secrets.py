# SPDX-License-Identifier: Apache-2.0
"""What stores log in with is in no log, no answer and no message, least of all when that fails:
each kind of store with a secret that its real server refuses, and with one for a server that is
gone.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

SECRET = "a-secret-that-nobody-sees"

CEPH_SECRET = base64.b64encode(struct.pack("<HIIH", 1, 1, 1, 16) + os.urandom(16)).decode()
"""A key as Ceph writes them."""

SWIFT = """
swift_store_auth_address = {url}/auth/v1.0
swift_store_auth_version = 1
swift_store_user = test:tester
swift_store_key = {secret}
swift_store_container = images
"""

S3 = """
s3_store_host = {url}
s3_store_access_key = test:tester
s3_store_secret_key = {secret}
s3_store_bucket = images
s3_store_connect_timeout = 2
"""

VMWARE = """
vmware_server_host = {host}
vmware_server_username = user
vmware_server_password = {secret}
vmware_datastores = DC0:LocalDS_0
vmware_insecure = true
vmware_api_retry_count = 1
"""

RBD = """
rbd_store_ceph_conf = {conf}
rbd_store_user = glance
rados_connect_timeout = 3
"""

CONFIG = """
[DEFAULT]
debug = true
enabled_backends = wrong:{kind}, gone:{kind}, local:file, web:http
show_multiple_locations = true
show_image_direct_url = true
[glance_store]
default_backend = local
[plugins]
plugin_start_timeout = 30
[import_filtering_opts]
allow_private = true
allowed_hosts = 127.0.0.1
allowed_ports = []
[wrong]
{wrong}
[gone]
{gone}
"""


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens: bound, so that nobody else gets it either."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{kept.getsockname()[1]}"


def of_swift(request: pytest.FixtureRequest, nobody: str, folder: Path) -> tuple[str, str]:
    url = request.getfixturevalue("swift").url
    return SWIFT.format(url=url, secret=SECRET), SWIFT.format(
        url=f"http://{nobody}", secret=SECRET
    )


def of_s3(request: pytest.FixtureRequest, nobody: str, folder: Path) -> tuple[str, str]:
    url = request.getfixturevalue("swift").url  # which speaks S3, too, and checks signatures
    return S3.format(url=url, secret=SECRET), S3.format(url=f"http://{nobody}", secret=SECRET)


def of_vmware(request: pytest.FixtureRequest, nobody: str, folder: Path) -> tuple[str, str]:
    host = request.getfixturevalue("vcenter").address
    return VMWARE.format(host=host, secret=SECRET), VMWARE.format(host=nobody, secret=SECRET)


def of_rbd(request: pytest.FixtureRequest, nobody: str, folder: Path) -> tuple[str, str]:
    """The secret is in the keyring, of which the configuration has the name."""
    ceph = request.getfixturevalue("ceph")
    ring = folder / "keyring"
    ring.write_text(f"[client.glance]\n\tkey = {CEPH_SECRET}\n")
    text = ceph.conf.read_text()
    text = text.replace(f"keyring = {ceph.folder}/ceph.$name.keyring", f"keyring = {ring}")
    assert str(ring) in text
    (mon,) = [line for line in text.splitlines() if line.startswith("mon host")]
    another = text.replace(mon, f"mon host = [v2:{nobody}/0]")
    wrong, gone = folder / "wrong.conf", folder / "gone.conf"
    wrong.write_text(text)
    gone.write_text(another.replace(ceph.fsid, str(uuid.uuid4())))
    return RBD.format(conf=wrong), RBD.format(conf=gone)


KINDS: dict[str, Callable[..., tuple[str, str]]] = {
    "swift": of_swift,
    "s3": of_s3,
    "vmware": of_vmware,
    "rbd": of_rbd,
}


@pytest.fixture(scope="module")
def vcenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A simulated vCenter."""
    testing = pytest.importorskip("glancekit_vmware_store.testing")
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    with testing.Simulator(tmp_path_factory.mktemp("vcenter")) as simulator:
        yield simulator


def command(service: Any, *words: str) -> str:
    """Run a command beside the service; return all that it says."""
    where = {"OS_DEFAULT__DATA_DIR": str(service.data_dir)}
    done = subprocess.run(
        [sys.executable, "-m", "glancekit.cli", "--config-file", str(service.config), *words],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | where,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_secret_of_a_store_is_not_told(
    request: pytest.FixtureRequest,
    make_service: Callable[..., Any],
    nobody: str,
    tmp_path: Path,
    kind: str,
) -> None:
    wrong, gone = KINDS[kind](request, nobody, tmp_path)
    service = make_service(CONFIG.format(kind=kind, wrong=wrong, gone=gone))
    service.start()
    heard: list[str] = []

    def ask(method: str, path: str, **more: Any) -> requests.Response:
        answer = requests.request(method, f"{service.url}{path}", timeout=60, **more)
        heard.append(f"{answer.headers}{answer.text}")
        return answer

    for store in ("wrong", "gone"):
        image_id = service.create()
        refused = service.upload(image_id, b"data", **{"x-image-meta-store": store})
        assert refused.status_code == 503, refused.text
        heard.append(f"{refused.headers}{refused.text}")
        assert ask("GET", f"/v2/images/{image_id}").json()["status"] == "queued"
        ask("GET", f"/v2/images/{image_id}/tasks")
    ask("GET", "/healthcheck", headers={"Accept": "application/json"})
    ask("GET", "/healthcheck", headers={"Accept": "text/html"})
    for path in ("/v2/info/stores", "/v2/info/stores/detail", "/v2/info/import", "/metrics"):
        ask("GET", path)
    heard += [command(service, "--debug", *words) for words in (["stores"], ["config", "show"])]
    service.stop()
    heard.append(service.log)
    assert "wrong" in service.log and "gone" in service.log
    for secret in (SECRET, CEPH_SECRET):
        assert not [text for text in heard if secret in text]


OVER_HTTP = """
[DEFAULT]
debug = true
enabled_backends = swift:swift, s3:s3
[glance_store]
default_backend = s3
[swift]
{swift}
[s3]
{s3}
"""


def test_neither_an_image_nor_what_requests_are_signed_with_is_in_a_debug_log(
    make_service: Callable[..., Any], swift: Any
) -> None:
    """The libraries that speak to a store know both, and have much to say."""
    places = {"swift": SWIFT.format(url=swift.url, secret="testing")}
    places["s3"] = S3.format(url=swift.url, secret="testing")
    create = "{kind}_store_create_{thing}_on_put = true\n"
    places["swift"] += create.format(kind="swift", thing="container")
    places["s3"] += create.format(kind="s3", thing="bucket")
    service = make_service(OVER_HTTP.format(**places))
    service.start()
    words = "what only the owner of this image is to read"
    for store in places:
        image_id = service.create()
        stored = service.upload(image_id, words.encode(), **{"x-image-meta-store": store})
        assert stored.status_code == 204, stored.text
        assert service.download(image_id) == words.encode()
    service.stop()
    assert "sqlalchemy.engine" in service.log, "it says more than otherwise"
    told = [secret for secret in (words, "Signature=", "AUTH_tk") if secret in service.log]
    assert told == []


class Guarded(BaseHTTPRequestHandler):
    """Gives data to one user, as long as his password counts."""

    counts = True

    def do_GET(self) -> None:
        known = base64.b64encode(f"user:{SECRET}".encode()).decode()
        is_right = self.headers.get("Authorization") == f"Basic {known}"
        self.send_response(200 if is_right and Guarded.counts else 401)
        self.send_header("Content-Length", "4" if is_right and Guarded.counts else "0")
        self.end_headers()
        if is_right and Guarded.counts and self.command == "GET":
            self.wfile.write(b"data")

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def test_the_secret_of_a_web_address_is_not_told(make_service: Callable[..., Any]) -> None:
    """In a location: of a server that lets us in, that does not any more, that is gone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    thread = Thread(target=server.serve_forever)
    thread.start()
    config = CONFIG.format(kind="file", wrong="", gone="filesystem_store_datadir = /nonexistent/x")
    service = make_service(config)
    service.start()
    path = f"{service.url}/v2/images/{service.create()}"
    url = f"http://user:{SECRET}@127.0.0.1:{server.server_port}/image"
    heard: list[str] = []

    def ask(method: str, path: str, **more: Any) -> int:
        answer = requests.request(method, path, timeout=60, **more)
        heard.append(f"{answer.headers}{answer.text}")
        return int(answer.status_code)

    def add(url: str) -> int:
        change = {"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}}}
        kind = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        return ask("PATCH", path, json=[change], headers=kind)

    try:
        assert add(url) == 200
        assert requests.get(f"{path}/file", timeout=60).content == b"data"
        Guarded.counts = False
        assert ask("GET", f"{path}/file") in (404, 409, 503)
        assert add(f"{url}2") == 400
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert ask("GET", f"{path}/file") == 503
    assert add(f"{url}3") in (400, 503)
    for shown in (path, f"{path}/locations", f"{path}/tasks"):
        ask("GET", shown)
    heard.append(command(service, "--debug", "stores"))
    service.stop()
    heard.append(service.log)
    assert not [text for text in heard if SECRET in text]
