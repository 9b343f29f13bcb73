# SPDX-License-Identifier: Apache-2.0
"""Clients are sent to the store itself: the released ones, a real S3 server, and what each sees.

A proxy between them and the store writes down what it is asked.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

DATA = os.urandom(1 << 20)
TOKEN = "a-token-for-the-image-service-alone"
ASK = {"Prefer": "direct-transfer", "X-Auth-Token": TOKEN}
LIFETIME = 600
START_LIMIT = 60.0

HOP_BY_HOP = {"connection", "transfer-encoding", "server", "date"}


class Store:
    """An S3 server behind a proxy that remembers each request's method and headers."""

    def __init__(self, port: int) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(port))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def client(self) -> Any:
        """Return what changes the store behind our back."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def reads(self) -> list[dict[str, str]]:
        """Return the headers of each GET, and forget all."""
        found = [headers for method, headers in self.asked if method == "GET"]
        self.asked.clear()
        return found

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self, port: int) -> type[BaseHTTPRequestHandler]:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                headers = dict(self.headers)
                asked.append((self.command, {name.lower(): v for name, v in headers.items()}))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                if answer.getheader("Content-Length") is None:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)
                connection.close()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running S3 server."""
    folder = Path(os.environ.get("GLANCEKIT_TEST_MOTO", ".venv-moto")).absolute()
    if not (folder / "bin" / "moto_server").exists():
        pytest.skip("there is no S3 server to test with: sh tools/moto.sh .venv-moto")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = ["timeout", "--signal=KILL", str(LIFETIME), str(folder / "bin/moto_server")]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    process = subprocess.Popen([*command, "-H", "127.0.0.1", "-p", str(port)], stderr=log)
    end = time.monotonic() + START_LIMIT
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/moto-api/", timeout=5).raise_for_status()
            break
        except requests.ConnectionError:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
    yield port
    process.terminate()
    process.wait(START_LIMIT)
    log.close()


@pytest.fixture(scope="module")
def store(moto: int) -> Iterator[Store]:
    store = Store(moto)
    store.client().create_bucket(Bucket="images")
    yield store
    store.stop()


CONFIG = """
[DEFAULT]
enabled_backends = local:file, cloud:s3, disk:file
[glance_store]
default_backend = cloud
[cloud]
s3_store_host = {url}
s3_store_bucket = images
s3_store_access_key = key
s3_store_secret_key = a-secret-that-nobody-sees
s3_store_bucket_url_format = path
direct_transfer = {choice}
[disk]
weight = -1
direct_transfer = always
"""


def running(make: Callable[..., Any], store: Store, choice: str) -> Any:
    service = make(CONFIG.format(url=store.url, choice=choice))
    service.start()
    return service


@pytest.fixture(scope="module")
def asked(make_lasting_service: Callable[..., Any], store: Store) -> Any:
    """A service that sends those to the store who ask for it."""
    return running(make_lasting_service, store, "asked")


@pytest.fixture(scope="module")
def always(make_lasting_service: Callable[..., Any], store: Store) -> Any:
    """A service that sends everybody to the store."""
    return running(make_lasting_service, store, "always")


def stored(service: Any, store: Store, **headers: str) -> str:
    image_id: str = service.create()
    assert service.upload(image_id, DATA, **headers).status_code == 204
    store.asked.clear()
    return image_id


def get(service: Any, image_id: str, **headers: str) -> requests.Response:
    url = f"{service.url}/v2/images/{image_id}/file"
    return requests.get(url, headers=headers, timeout=60, allow_redirects=False)


def test_who_asks_is_sent_and_needs_no_token(asked: Any, store: Store) -> None:
    image_id = stored(asked, store)
    answer = get(asked, image_id, **ASK)
    assert (answer.status_code, answer.content) == (307, b"")
    assert answer.headers["Location"].startswith(f"{store.url}/images/{image_id}?")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "a-secret-that-nobody-sees" not in answer.headers["Location"]
    assert answer.headers["Location"] not in asked.log
    there = requests.get(answer.headers["Location"], timeout=60)
    assert (there.status_code, there.content) == (200, DATA)
    part = requests.get(answer.headers["Location"], headers={"Range": "bytes=9-99"}, timeout=60)
    assert (part.status_code, part.content) == (206, DATA[9:100])


def test_who_does_not_ask_is_served_here(asked: Any, store: Store) -> None:
    image_id = stored(asked, store)
    answer = get(asked, image_id, **{"X-Auth-Token": TOKEN})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert all(TOKEN not in headers.values() for headers in store.reads())


def test_a_part_is_asked_for_as_ever(asked: Any, store: Store) -> None:
    image_id = stored(asked, store)
    assert get(asked, image_id, **ASK, Range="bytes=9-99").status_code == 307
    beyond = get(asked, image_id, **ASK, Range=f"bytes={len(DATA)}-")
    assert beyond.status_code == 416
    old = get(asked, image_id, **ASK, **{"Content-Range": "bytes 9-99/*"})
    assert (old.status_code, old.content) == (206, DATA[9:100])
    url = f"{asked.url}/v2/images/{image_id}/file"
    assert requests.head(url, headers=ASK, timeout=60).status_code == 405


def test_an_image_that_may_not_be_read_is_not_sent_for(asked: Any, store: Store) -> None:
    image_id = stored(asked, store)
    url = f"{asked.url}/v2/images/{image_id}"
    assert requests.post(f"{url}/actions/deactivate", timeout=60).status_code == 204
    administrators = get(asked, image_id, **ASK)
    assert (administrators.status_code, administrators.content) == (200, DATA)
    assert requests.delete(url, timeout=60).status_code == 204
    assert get(asked, image_id, **ASK).status_code == 404


def test_a_copy_that_is_gone_is_not_sent_to(asked: Any, store: Store) -> None:
    image_id = stored(asked, store)
    store.client().delete_object(Bucket="images", Key=image_id)
    assert get(asked, image_id, **ASK).status_code == 404


def test_a_store_without_urls_serves_through_us(asked: Any, store: Store) -> None:
    image_id = stored(asked, store, **{"x-image-meta-store": "disk"})
    answer = get(asked, image_id, **ASK)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert store.asked == []


# -- the released clients

SDK = """
import openstack, sys
url, token, image_id, path = words
with openstack.connect(auth_type="admin_token", endpoint=url, token=token,
                       auth={"endpoint": url, "token": token}) as cloud:
    cloud.image.download_image(image_id, output=path)
"""


def commands(service: Any, image_id: str, path: Path) -> dict[str, tuple[str, ...]]:
    """Return how each client downloads an image, with a token."""
    url, versioned = service.url, f"{service.url}/v2"
    return {
        "glance": (
            *("glance", "--os-auth-token", TOKEN, "--os-image-url", url),
            *("image-download", "--file", str(path), image_id),
        ),
        "openstack": (
            *("openstack", "--os-auth-type", "admin_token", "--os-endpoint", versioned),
            *("--os-token", TOKEN, "image", "save", "--file", str(path), image_id),
        ),
        "openstacksdk": ("python", SDK, versioned, TOKEN, image_id, str(path)),
    }


CLIENTS = ("glance", "openstack", "openstacksdk")


@pytest.mark.parametrize("name", CLIENTS)
def test_released_clients_follow_and_show_the_store_their_token(
    programs: Any, always: Any, store: Store, tmp_path: Path, name: str
) -> None:
    """Why ``always`` is the operator's decision and nobody's default."""
    image_id = stored(always, store)
    path = tmp_path / "image"
    _, failed, _ = programs.run(*commands(always, image_id, path)[name])
    assert not failed
    assert path.read_bytes() == DATA
    (headers,) = store.reads()
    assert headers.get("x-auth-token") == TOKEN


@pytest.mark.parametrize("name", CLIENTS)
def test_released_clients_notice_when_the_store_gives_other_bytes(
    programs: Any, always: Any, store: Store, tmp_path: Path, name: str
) -> None:
    image_id = stored(always, store)
    other = DATA[:-1] + bytes([DATA[-1] ^ 1])
    store.client().put_object(Bucket="images", Key=image_id, Body=other)
    _, failed, _ = programs.run(*commands(always, image_id, tmp_path / "image")[name])
    assert failed
    assert len(store.reads()) == 1


@pytest.mark.parametrize("name", CLIENTS)
def test_released_clients_are_served_here_where_only_those_who_ask_are_sent(
    programs: Any, asked: Any, store: Store, tmp_path: Path, name: str
) -> None:
    image_id = stored(asked, store)
    path = tmp_path / "image"
    _, failed, _ = programs.run(*commands(asked, image_id, path)[name])
    assert not failed
    assert path.read_bytes() == DATA
    assert all(TOKEN not in headers.values() for headers in store.reads())
