# SPDX-License-Identifier: Apache-2.0
"""A real nginx that serves a folder by http and https, and servers that misbehave."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_http_store.driver import HttpStore

from glancekit.plugin import FILTER_SECTION

HERE = "127.0.0.1"

CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 128; }}
http {{
    log_format asked '$connection $host "$request" $status "$http_range" "$http_authorization"';
    access_log {folder}/access.log asked;
    client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp;
    fastcgi_temp_path {folder}/tmp; uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
    server {{
        listen {here}:{port};
        listen {here}:{tls_port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        root {folder}/files;
        location /get-alone/ {{
            alias {folder}/files/;
            if ($request_method = HEAD) {{ return 405; }}
        }}
        location /no-ranges/ {{ alias {folder}/files/; max_ranges 0; }}
        location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
        location /locked/ {{
            alias {folder}/files/;
            auth_basic images;
            auth_basic_user_file {folder}/users;
        }}
        location /refused/ {{ return 403; }}
        location /busy/ {{ return 503; }}
        location /inside/ {{ return 302 http://127.0.0.2:80/secret; }}
        location /metadata/ {{ return 307 http://169.254.169.254/latest; }}
        location /round/ {{ return 301 /round/; }}
        location /tls/ {{ rewrite ^/tls/(.*)$ https://localhost:{tls_port}/$1 redirect; }}
    }}
}}
"""


@dataclass
class Nginx:
    """A running nginx; its files are in ``root``."""

    folder: Path
    port: int
    tls_port: int

    @property
    def root(self) -> Path:
        return self.folder / "files"

    @property
    def authority(self) -> Path:
        """The certificate that signs the server's."""
        return self.folder / "server.pem"

    def url(self, path: str, *, who: str = "") -> str:
        return f"http://{who}{HERE}:{self.port}/{path}"

    def tls_url(self, path: str, host: str = "localhost") -> str:
        return f"https://{host}:{self.tls_port}/{path}"

    def asked(self, path: str, count: int) -> list[str]:
        """The lines of the log about a path, each begun with the connection's number.

        A line is written when its answer is over, which may be after the client has read it.
        """
        for _ in range(200):
            lines = (self.folder / "access.log").read_text().splitlines()
            found = [line for line in lines if f" /{path} " in line]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        return pytest.fail(f"{path} was asked for {len(found)} times and not {count}")


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A running nginx with a certificate of its own for ``localhost``."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None or shutil.which("openssl") is None:
        pytest.skip("there is no nginx to test with: apt-get install nginx-light openssl")
    server = Nginx(tmp_path_factory.mktemp("nginx"), free_port(), free_port())
    server.root.mkdir()
    (server.folder / "tmp").mkdir()
    (server.folder / "users").write_text("user:{PLAIN}hunter2\n")
    _certify(server.folder)
    file = server.folder / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(
            folder=server.folder, here=HERE, port=server.port, tls_port=server.tls_port
        )
    )
    # It logs to the default file until it has read its own configuration.
    command = [program, "-p", str(server.folder), "-c", str(file), "-e", "stderr"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _await(server.port, process)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _certify(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(folder / "server.key"), "-out", str(folder / "server.pem")),
        ],
        check=True,
        capture_output=True,
    )


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "nginx ended"
        with socket.socket() as probe:
            if probe.connect_ex((HERE, port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("nginx does not listen")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


# -- servers that misbehave


@dataclass
class Request:
    """What a client asked: the first line and the headers, names in lower case."""

    line: str
    headers: dict[str, str]

    @property
    def start(self) -> int:
        """Where the asked range begins."""
        return int(self.headers.get("range", "bytes=0-")[6:].partition("-")[0])


Behaviour = Callable[[Request, socket.socket], None]


class BadServer:
    """Takes one request on each connection and answers it as the test says."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._listening = socket.create_server((HERE, 0))
        self.port: int = self._listening.getsockname()[1]
        self.requests: list[Request] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def url(self, path: str = "image", *, who: str = "") -> str:
        return f"http://{who}{HERE}:{self.port}/{path}"

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(30)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as incoming:
            line = incoming.readline().decode().strip()
            headers = {}
            while header := incoming.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            if not line:
                return
            request = Request(line, headers)
            self.requests.append(request)
            try:
                self._behave(request, connection)
            except OSError:  # the client had enough
                return


@pytest.fixture
def misbehave() -> Iterator[Callable[[Behaviour], BadServer]]:
    """Start servers; all are closed at the end."""
    servers: list[BadServer] = []

    def start(behave: Behaviour) -> BadServer:
        servers.append(BadServer(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


# -- drivers

Build = Callable[..., HttpStore]


@pytest.fixture
def build() -> Iterator[Build]:
    """Build drivers that may ask this host and no other; all are closed at the end."""
    built: list[HttpStore] = []

    def build(filtering: dict[str, Any] | None = None, **given: Any) -> HttpStore:
        defaults = {option.dest: option.default for option in HttpStore.options}
        allowed = {
            "allowed_schemes": ["http", "https"],
            "disallowed_schemes": [],
            "allowed_ports": [],
            "disallowed_ports": [],
            "allowed_hosts": [HERE, "localhost"],
            "disallowed_hosts": [],
            "allow_private": True,
        }
        section = SimpleNamespace(**allowed | (filtering or {}))
        options = SimpleNamespace(**defaults | given | {FILTER_SECTION: section})
        built.append(HttpStore(options, name="http"))
        return built[-1]

    yield build
    for driver in built:
        driver.close()
