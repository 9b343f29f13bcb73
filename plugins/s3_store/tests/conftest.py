# SPDX-License-Identifier: Apache-2.0
"""Real S3 servers for the tests, and drivers that are built as bootstrap builds them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from glancekit_s3_store.driver import S3Store
from glancekit_s3_store.testing import RealMoto, missing

from glancekit.testing.servers import find_environment
from glancekit.testing.wire import FaultyWire, Line

SWIFT = "glancekit_swift_store.testing"
"""What keeps a Swift up, where it is installed."""

ALL = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)
"""A policy by which everything is allowed."""

Build = Callable[..., S3Store]


@dataclass
class Server:
    """One S3 server and who may use it."""

    url: str
    access_key: str
    secret_key: str
    running: RealMoto | None = None
    cacert: str = ""
    swift_auth: str = ""

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


def make_certificate(folder: Path) -> tuple[str, str]:
    """Make a certificate for this machine, which is its own authority; return file and key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl: apt-get install openssl")
    made = str(folder / "cert.pem"), str(folder / "key.pem")
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-out", made[0], "-keyout", made[1]], check=True, capture_output=True
    )
    return made


@contextmanager
def running_moto(folder: Path, *, certificate: tuple[str, str] | None = None) -> Iterator[Server]:
    """Run a moto in a folder."""
    if reason := missing():
        pytest.skip(reason)
    with RealMoto(folder, certificate=certificate) as moto:
        cacert = "" if certificate is None else certificate[0]
        yield Server(moto.url, "key", "secret", moto, cacert)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running moto."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def moto_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running moto with https."""
    folder = tmp_path_factory.mktemp("moto")
    with running_moto(folder, certificate=make_certificate(folder)) as server:
        yield server


class Strict:
    """A moto that knows its users: it checks signatures and what they are allowed to do."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._made = {
            kind: boto3.client(
                kind,
                endpoint_url=server.url,
                aws_access_key_id="nobody",
                aws_secret_access_key="nobody",
                region_name="us-east-1",
            )
            for kind in ("iam", "sts")
        }
        user, (server.access_key, server.secret_key) = self.make_user()
        self.allow(user)
        self._role = self._call(
            "iam", "create_role", RoleName="images", AssumeRolePolicyDocument="{}"
        )["Role"]["Arn"]
        policy = {"RoleName": "images", "PolicyName": "all", "PolicyDocument": ALL}
        self._call("iam", "put_role_policy", **policy)

    def make_user(self) -> tuple[str, tuple[str, str]]:
        """Make a user who may do nothing; return name, access key and secret key."""
        name = f"user-{uuid.uuid4().hex}"
        self._call("iam", "create_user", UserName=name)
        return name, self.make_key(name)

    def make_key(self, user: str) -> tuple[str, str]:
        """Give a user one more key."""
        made = self._call("iam", "create_access_key", UserName=user)["AccessKey"]
        return made["AccessKeyId"], made["SecretAccessKey"]

    def drop_key(self, user: str, key: str) -> None:
        """Take a key away, from now on."""
        self._call("iam", "delete_access_key", UserName=user, AccessKeyId=key)

    def allow(self, user: str) -> None:
        """Let a user do everything."""
        self._call("iam", "put_user_policy", UserName=user, PolicyName="all", PolicyDocument=ALL)

    def forbid(self, user: str) -> None:
        """Let a user do nothing."""
        self._call("iam", "delete_user_policy", UserName=user, PolicyName="all")

    def session(self) -> tuple[str, str, str]:
        """Begin a session; return access key, secret key and token."""
        asked = {"RoleArn": self._role, "RoleSessionName": uuid.uuid4().hex}
        given = self._call("sts", "assume_role", **asked)["Credentials"]
        return given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]

    def _call(self, kind: str, call: str, **asked: Any) -> Any:
        """Do as the administrator, of whom the server asks nothing meanwhile."""
        self._check(False)
        try:
            return getattr(self._made[kind], call)(**asked)
        finally:
            self._check(True)

    def _check(self, on: bool) -> None:
        """Have requests checked, or none."""
        asked = Request(
            f"{self.server.url}/moto-api/reset-auth",
            data=b"0" if on else b"inf",
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        with urlopen(asked, timeout=30) as answer:
            assert answer.status == 200


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    """A running moto that checks who asks."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield Strict(server)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that somebody has running, else Swift's S3 API."""
    named = [f"GLANCEKIT_TEST_S3_{name}" for name in ("URL", "ACCESS_KEY", "SECRET_KEY")]
    given = [os.environ.get(name, "") for name in named]
    if all(given):
        yield Server(*given)
        return
    environment = find_environment("GLANCEKIT_TEST_SWIFT", ".venv-swift", has="bin")
    if environment is None or not find_spec(SWIFT.split(".")[0]):
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
        url, access_key, secret_key = (said[name].strip() for name in named)
        yield Server(url, access_key, secret_key, swift_auth=said["ST_AUTH"].strip())
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


class Way(FaultyWire):
    """The way to a server. Requests with something of ``ended`` in them are answered as AWS does
    when a session has come to its end; as many of a method as ``busy`` says, as it does when there
    are too many; what has ``unknown`` in it, as a simple server does. ``garbled`` arrives turned
    round; of what comes back a bit changes after ``damaged_back`` bytes, once. ``methods`` are
    those of all requests.
    """

    def __init__(self, port: int) -> None:
        self.ended: set[bytes] = set()
        self.busy: dict[bytes, int] = {}
        self.unknown = b""
        self.garbled = b""
        self.damaged_back: int | None = None
        self.methods: list[bytes] = []
        super().__init__(port)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        """See the base."""
        method = chunk.partition(b" ")[0]
        if method in _METHODS:
            self.methods.append(method)
        if any(token in chunk for token in self.ended):
            return self._refuse(line, method, "400 Bad Request", "ExpiredToken")
        if self.busy.get(method):
            self.busy[method] -= 1
            return self._refuse(line, method, "503 Slow Down", "SlowDown")
        if self.unknown and self.unknown in chunk:
            return self._refuse(line, method, "501 Not Implemented", "NotImplemented")
        if self.garbled:
            chunk = chunk.replace(self.garbled, self.garbled[::-1])
        return super().forth(line, chunk)

    def back(self, line: Line, chunk: bytes) -> bytes | None:
        """See the base."""
        if self.damaged_back is not None and line.came_back > self.damaged_back:
            self.damaged_back = None
            self.happened += 1
            chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
        return super().back(line, chunk)

    def _refuse(self, line: Line, method: bytes, status: str, code: str) -> None:
        """Answer in the server's place, and cut the line."""
        said = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
        line.client.sendall((head + ("" if method == b"HEAD" else said)).encode())


_METHODS = frozenset({b"GET", b"HEAD", b"PUT", b"POST", b"DELETE"})


@pytest.fixture
def way(server: Any) -> Iterator[Way]:
    with Way(int(server.url.rpartition(":")[2])) as way:
        yield way
