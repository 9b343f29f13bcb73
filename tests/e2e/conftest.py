# SPDX-License-Identifier: Apache-2.0
"""The running service as a stranger has it: a process, a port, a data directory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from glancekit.testing.servers import free_port

ROOT = Path(__file__).parents[2]
START_LIMIT = 90.0
STOP_LIMIT = 90.0
PATIENT = "[plugins]\nplugin_start_timeout = 30\n"
"""What is imported takes longer than is allowed for by default where other tests run besides."""

DATABASES = {
    "postgresql": ("glancekit_postgresql_metadata.testing", "RealPostgres"),
    "mysql": ("glancekit_mysql_metadata.testing", "RealMariadb"),
}
"""Where a server for tests is, by the name of the driver for it."""


@dataclass
class Service:
    """One `glancekit serve`, which can be stopped, killed and started again on its data."""

    data_dir: Path
    config: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.data_dir / "serve.log").read_text()

    def start(self) -> None:
        """Start it and wait for its first answer."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "glancekit.cli", "serve", "--workers", "2"]
        command += ["--config-file", str(self.config)]
        command += ["--port", str(self.port), "--data-dir", str(self.data_dir)]
        with (self.data_dir / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"the service ended with {self.process.returncode}\n{self.log}"
                )
            try:
                if requests.get(f"{self.url}/healthcheck", timeout=5).ok:
                    return
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.05)
        raise AssertionError(f"the service does not answer\n{self.log}")

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the service does not stop\n{self.log}") from None
        self.process = None

    def kill(self) -> None:
        """End the master and all workers at once, as a power cut does."""
        if self.process is not None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_LIMIT)
            self.process = None

    # -- what a client asks

    def create(self, disk_format: str = "raw", **fields: Any) -> str:
        """Make an image record and return its id."""
        body = {"name": "i", "disk_format": disk_format, "container_format": "bare", **fields}
        answer = requests.post(f"{self.url}/v2/images", json=body, timeout=30)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def show(self, image_id: str) -> dict[str, Any]:
        """Return an image as the API shows it."""
        answer = requests.get(f"{self.url}/v2/images/{image_id}", timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def status(self, image_id: str) -> str:
        """Return an image's status, or nothing while the service does not answer."""
        try:
            return str(self.show(image_id)["status"])
        except requests.ConnectionError:
            return ""

    def upload(self, image_id: str, data: Any, **headers: str) -> requests.Response:
        """Send an image's bytes."""
        return requests.put(
            f"{self.url}/v2/images/{image_id}/file",
            data=data,
            headers={"Content-Type": "application/octet-stream", **headers},
            timeout=60,
        )

    def download(self, image_id: str) -> bytes:
        """Fetch an image's bytes."""
        answer = requests.get(f"{self.url}/v2/images/{image_id}/file", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.content

    def wait_for(self, claim: Callable[[], bool], *, seconds: float = 75.0) -> None:
        """Wait until a claim holds; longer than a dead process's lease, to be sure."""
        deadline = time.monotonic() + seconds
        while not claim():
            assert time.monotonic() < deadline, f"it did not come about\n{self.log}"
            time.sleep(0.05)

    def files(self) -> list[Path]:
        """Return what lies in the default store, temporary files included."""
        store = self.data_dir / "stores" / "local"
        return sorted(path for path in store.rglob("*") if path.is_file())


def services_in(folder: Path) -> Iterator[Callable[..., Service]]:
    """Give what builds services by their configuration text; all are ended afterwards."""
    made: list[Service] = []

    def make(config: str = "", *, data_dir: Path | None = None) -> Service:
        number = len(made)
        path = folder / f"glancekit-{number}.conf"
        path.write_text(config if "[plugins]" in config else f"{config}\n{PATIENT}")
        service = Service(data_dir or folder / f"data-{number}", path)
        made.append(service)
        return service

    yield make
    for service in made:
        service.kill()


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Build services by their configuration text; all are ended after the test."""
    yield from services_in(tmp_path)


@pytest.fixture(scope="module")
def make_lasting_service(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Service]]:
    """Build services that last as long as the module's tests."""
    yield from services_in(tmp_path_factory.mktemp("services"))


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A running service on its embedded default."""
    service = make_service()
    service.start()
    return service


@pytest.fixture(scope="session")
def clients() -> Path:
    """The folder of the released clients' programs."""
    folder = ROOT / ".venv-clients" / "bin"
    if not (folder / "openstack").exists():
        found = shutil.which("openstack")
        if found is None:
            pytest.skip("the released clients are not installed: make .venv-clients/.installed")
        folder = Path(found).parent
    return folder


@pytest.fixture(scope="module")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running Keystone with the service's user, and the project ``demo`` with a user of each
    role. What else a module's tests need there they make."""
    testing = pytest.importorskip(
        "glancekit_keystone_auth.testing", reason="glancekit-keystone-auth is not installed"
    )
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("keystone") / "data"
    with testing.RealKeystone(testing.find_environment(), folder) as server:
        server.fill()
        yield server


@pytest.fixture(scope="session")
def database_server() -> Callable[..., AbstractContextManager[Any]]:
    """Run a database server of one's own, by its driver's name."""
    return _database_server


@contextmanager
def _database_server(name: str, **settings: Any) -> Iterator[Any]:
    testing, make = DATABASES[name]
    module = pytest.importorskip(testing)
    if reason := module.missing():
        pytest.skip(reason)
    # In a folder that the server's own user may enter.
    folder = Path(tempfile.mkdtemp(prefix="glancekit-database-"))
    folder.chmod(0o755)
    try:
        with getattr(module, make)(folder / "server", **settings) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running Swift that knows its users itself."""
    testing = pytest.importorskip(
        "glancekit_swift_store.testing", reason="glancekit-swift-store is not installed"
    )
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    with testing.RealSwift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running Ceph with pools for images and for volumes."""
    testing = pytest.importorskip(
        "glancekit_rbd_store.testing", reason="glancekit-rbd-store is not installed"
    )
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    with testing.Cluster(tmp_path_factory.mktemp("ceph") / "cluster") as cluster:
        yield cluster


PROGRAMS = """
    import contextlib, io, json, os, sys
    import glanceclient.shell, openstackclient.shell

    def run(program, *words):
        sys.argv = [program, *words]
        if program == "glance":
            return glanceclient.shell.main()
        if program == "openstack":
            return openstackclient.shell.main(list(words))
        exec(words[0], {"words": words[1:]})

    def answer(words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = run(*words)
            except SystemExit as end:
                code = end.code
            except Exception as error:
                code = f"{type(error).__name__}: {error}"
        failed = str(code or "") and f"{code} {err.getvalue()}"
        print(json.dumps([out.getvalue(), failed, err.getvalue()]), flush=True)

    for line in sys.stdin:
        words, environment = json.loads(line)
        if child := os.fork():
            os.waitpid(child, 0)
        else:
            # The next command waits at the standard input; no client may take it for data.
            sys.stdin = open(os.devnull)
            os.environ.update(environment)
            answer(words)
            os._exit(0)
"""
"""Runs commands of the clients, each in a fork: from scratch each takes a second to begin."""


class Programs:
    """The clients' programs, in a process of their own environment."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [folder / "python", "-c", textwrap.dedent(PROGRAMS)],
            env={key: value for key, value in os.environ.items() if not key.startswith("OS_")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *command: str | Path, environment: Mapping[str, str] | None = None
    ) -> tuple[str, str, str]:
        """Return what a command prints, why it fails if it does, and its error output."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        line = [[str(word) for word in command], dict(environment or {})]
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        printed, failed, complaint = json.loads(process.stdout.readline())
        return printed, failed, complaint

    def stop(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def programs(clients: Path) -> Iterator[Programs]:
    """The released clients, ready to be asked."""
    programs = Programs(clients)
    yield programs
    programs.stop()


class S3:
    """An S3 server, behind a proxy that remembers each request's method, path and headers.

    ``cut_after``: the next answer is cut off after so many bytes, and so is every request from
    then on, as when the server is gone.
    """

    def __init__(self, server: Any) -> None:
        self.server = server
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.cut_after: int | None = None
        self.is_gone = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(server.port))
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def client(self) -> Any:
        """Return what changes the store behind the service's back."""
        boto3 = pytest.importorskip("boto3")
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )

    def reads(self, image_id: str) -> list[dict[str, str]]:
        """Return the headers of each GET of an image."""
        return [
            headers
            for method, path, headers in list(self.asked)
            if method == "GET" and image_id in path
        ]

    def stop(self) -> None:
        """Stop the proxy."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self, port: int) -> type[BaseHTTPRequestHandler]:
        s3 = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                headers = dict(self.headers)
                named = {name.lower(): value for name, value in headers.items()}
                s3.asked.append((self.command, self.path, named))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if s3.is_gone:
                    self.close_connection = True
                    return
                connection = HTTPConnection("127.0.0.1", port, timeout=600)
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                with suppress(OSError):  # the service may have given up meanwhile
                    self.answer(answer, content)

            def answer(self, answer: HTTPResponse, content: bytes) -> None:
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                if answer.getheader("Content-Length") is None:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if s3.cut_after is not None and self.command == "GET":
                    content = content[: s3.cut_after]
                    s3.is_gone = self.close_connection = True
                self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        return Handler


HOP_BY_HOP = {"connection", "transfer-encoding", "server", "date"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A running S3 server with a bucket ``images``."""
    testing = pytest.importorskip(
        "glancekit_s3_store.testing", reason="glancekit-s3-store is not installed"
    )
    if reason := testing.missing():
        pytest.skip(reason)
    with testing.RealMoto(tmp_path_factory.mktemp("moto")) as moto:
        s3 = S3(moto)
        s3.client().create_bucket(Bucket="images")
        yield s3
        s3.stop()
