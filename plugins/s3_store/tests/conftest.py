# SPDX-License-Identifier: Apache-2.0
"""Real S3 servers for the tests, and drivers that are built as bootstrap builds them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from glancekit_s3_store.driver import S3Store

LIFETIME = 5400
"""Seconds after which it ends by itself, should nobody end it: more than all tests take."""
START_LIMIT = 60.0

SWIFT = "glancekit_swift_store.testing"
"""What keeps a Swift up, where it is installed."""

Build = Callable[..., S3Store]


@dataclass
class Server:
    """One S3 server and who may use it."""

    url: str
    access_key: str
    secret_key: str
    process: subprocess.Popen[bytes] | None = None
    cacert: str = ""

    def client(self) -> Any:
        """Return boto3's client, for looking at things from outside the store."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            verify=self.cacert or None,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def find(name: str, variable: str) -> Path | None:
    """Return an environment that tools/*.sh made, here or above."""
    named = os.environ.get(variable)
    here = Path.cwd()
    candidates = [Path(named)] if named else [path / name for path in (here, *here.parents)]
    return next((path.absolute() for path in candidates if (path / "bin").is_dir()), None)


def make_certificate(folder: Path) -> list[str]:
    """Make a certificate for this machine, which is its own authority; return file and key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl: apt-get install openssl")
    made = [str(folder / "cert.pem"), str(folder / "key.pem")]
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-out", made[0], "-keyout", made[1]], check=True, capture_output=True
    )
    return made


def start_moto(folder: Path, *, certificate: list[str] | None = None) -> Server:
    """Start moto's server; it takes any credentials."""
    environment = find(".venv-moto", "GLANCEKIT_TEST_MOTO")
    if environment is None:
        pytest.skip("there is no S3 server to test with: sh tools/moto.sh .venv-moto")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["timeout", "--signal=KILL", str(LIFETIME), str(environment / "bin/moto_server")]
    command += ["-H", "127.0.0.1", "-p", str(port)]
    if certificate is not None:
        command += ["-s", "-c", certificate[0], "-k", certificate[1]]
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "S3_UPLOAD_PART_MIN_SIZE": "1"},
        )
    cacert = "" if certificate is None else certificate[0]
    url = f"{'https' if cacert else 'http'}://127.0.0.1:{port}"
    server = Server(url, "key", "secret", process, cacert)
    end = time.monotonic() + START_LIMIT
    while not answers(port):
        if process.poll() is not None or time.monotonic() > end:
            server.stop()
            raise AssertionError((folder / "moto.log").read_text()[-2000:])
        time.sleep(0.1)
    return server


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running moto."""
    server = start_moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def moto_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running moto with https."""
    folder = tmp_path_factory.mktemp("moto")
    server = start_moto(folder, certificate=make_certificate(folder))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that somebody has running, else Swift's S3 API."""
    named = [f"GLANCEKIT_TEST_S3_{name}" for name in ("URL", "ACCESS_KEY", "SECRET_KEY")]
    given = [os.environ.get(name, "") for name in named]
    if all(given):
        yield Server(*given)
        return
    if find(".venv-swift", "GLANCEKIT_TEST_SWIFT") is None or not find_spec(SWIFT.split(".")[0]):
        pytest.skip(
            f"name a running server ({', '.join(named)}), or have a Swift: "
            "pip install glancekit-swift-store; sh tools/swift.sh .venv-swift"
        )
    command = [sys.executable, "-m", SWIFT, str(tmp_path_factory.mktemp("swift"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as swift:
        assert swift.stdout is not None
        said = dict(
            swift.stdout.readline().removeprefix("export ").split("=", 1) for _ in "123456"
        )
        yield Server(*(said[name].strip() for name in named))
        swift.communicate(timeout=60)  # it ends when there is no more to come


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """A look at the server from outside the store."""
    client = server.client()
    yield client
    client.close()


@pytest.fixture
def bucket(client: Any) -> Iterator[str]:
    """An empty bucket."""
    name = f"images-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    yield name
    for entry in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=entry["Key"])
    client.delete_bucket(Bucket=name)


@pytest.fixture
def server(moto: Server) -> Server:
    """The server that a test is about."""
    return moto


@pytest.fixture
def build(server: Server) -> Iterator[Build]:
    """Build drivers for the server; all are closed afterwards."""
    built: list[S3Store] = []

    def build(bucket: str, **chosen: Any) -> S3Store:
        values = {option.dest: option.default for option in S3Store.options}
        values |= {"s3_store_host": server.url, "s3_store_bucket": bucket}
        values |= {"s3_store_access_key": server.access_key}
        values |= {"s3_store_secret_key": server.secret_key, **chosen}
        driver = S3Store(SimpleNamespace(**values), name="s3")
        built.append(driver)
        return driver

    yield build
    for driver in built:
        driver.close()
