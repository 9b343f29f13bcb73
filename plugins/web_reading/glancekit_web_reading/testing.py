# SPDX-License-Identifier: Apache-2.0
"""For tests: a real nginx that serves a folder by http and https, and servers that misbehave."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from glancekit.testing.servers import HERE, SingleServer, free_ports, listens

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
        location /plain/ {{ rewrite ^/plain/(.*)$ http://localhost:{port}/$1 redirect; }}
    }}
}}
"""


class Nginx(SingleServer):
    """An nginx in an empty folder, with a certificate of its own for ``localhost``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "nginx.log")
        self.folder = folder
        self.port, self.tls_port = free_ports(2)
        self.root.mkdir()
        (folder / "tmp").mkdir()
        (folder / "users").write_text("user:{PLAIN}hunter2\n")
        _certify(folder)
        ports = {"port": self.port, "tls_port": self.tls_port}
        text = CONFIGURATION.format(folder=folder, here=HERE, **ports)
        (folder / "nginx.conf").write_text(text)

    def command(self) -> Sequence[str]:
        """See the base."""
        where = ["-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        # It logs to the default file until it has read its own configuration.
        return [_program() or "nginx", *where, "-e", "stderr"]

    def answers(self) -> bool:
        """See the base."""
        return listens(self.port)

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self.folder / "files"

    @property
    def authority(self) -> Path:
        """The certificate that signs the server's."""
        return self.folder / "server.pem"

    def url(self, path: str, *, who: str = "") -> str:
        """Return the URL of a path; ``who`` stands before the host."""
        return f"http://{who}{HERE}:{self.port}/{path}"

    def tls_url(self, path: str, host: str = "localhost") -> str:
        """Return the URL of a path by https."""
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
        raise AssertionError(f"{path} was asked for {len(found)} times and not {count}")


def missing() -> str | None:
    """Return what to install before there can be an nginx; None when all is there."""
    if _program() is None or shutil.which("openssl") is None:
        return "there is no nginx to test with: apt-get install nginx-light openssl"
    return None


def _program() -> str | None:
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")


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
        """Return the server's URL."""
        return f"http://{who}{HERE}:{self.port}/{path}"

    def close(self) -> None:
        """Take no more requests."""
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


@contextmanager
def bad_servers() -> Iterator[Callable[[Behaviour], BadServer]]:
    """Give a function that starts servers; all are closed at the end."""
    servers: list[BadServer] = []

    def start(behave: Behaviour) -> BadServer:
        servers.append(BadServer(behave))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.close()


# -- what servers may do

TAG = '"one"'
"""The version of a file's content, unless the test gives it another."""


def head(status: str, **headers: object) -> bytes:
    """Return the head of an answer; an underscore in a name is a hyphen."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()


def reset(connection: socket.socket) -> None:
    """End a connection with a reset, once what was sent has arrived."""
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class File:
    """A file of a server that sends ``most`` bytes of it on each connection."""

    def __init__(self, data: bytes, *, most: int | None = None, **headers: object) -> None:
        self.data = data
        self.most = len(data) if most is None else most
        self.headers: dict[str, object] = {"ETag": TAG, **headers}
        self.has_ranges = True

    def __call__(self, request: Request, connection: socket.socket) -> None:
        """Answer one request."""
        is_part = "range" in request.headers and self.has_ranges
        condition = request.headers.get("if-range")
        if condition not in (None, self.headers.get("ETag"), self.headers.get("Last_Modified")):
            is_part = False
        start = request.start if is_part else 0
        headers = {**self.headers, "Content_Length": len(self.data) - start}
        if is_part:
            last = len(self.data) - 1
            headers["Content_Range"] = f"bytes {start}-{last}/{len(self.data)}"
        connection.sendall(head("206 Partial Content" if is_part else "200 OK", **headers))
        connection.sendall(self.data[start : start + self.most])
