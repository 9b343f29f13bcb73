# SPDX-License-Identifier: Apache-2.0
"""The Swift store checks who answers, unless it is told not to: a real certificate, nobody's."""

from __future__ import annotations

import io
import shutil
import socket
import ssl
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from glancekit_swift_store.driver import SwiftStore

from glancekit.plugin import FileStream, StoreUnavailable

DATA = bytes(range(256)) * 8192

Build = Callable[..., SwiftStore]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that no authority has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


@pytest.fixture
def url(site: Any, certificate: tuple[Path, Path]) -> Iterator[str]:
    """Where the Swift is reached through TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        worker = threading.Thread(
            target=_accept, args=(listening, context, site.swift.port), daemon=True
        )
        worker.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        worker.join()


def _accept(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            near, _ = listening.accept()
            threading.Thread(target=_connect, args=(near, context, port), daemon=True).start()


def _connect(near: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),
        near,
        context.wrap_socket(near, server_side=True) as safe,
        socket.create_connection(("127.0.0.1", port)) as far,
    ):
        back = threading.Thread(target=_copy, args=(far, safe), daemon=True)
        back.start()
        _copy(safe, far)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def make(build: Build, container: str, url: str, site: Any) -> Callable[..., SwiftStore]:
    """Build drivers that log in and go on through TLS."""
    account = site.outside.url.partition("/v1/")[2]
    addresses = {
        "swift_store_auth_address": f"{url}/auth/v1.0",
        "swift_store_endpoint": f"{url}/v1/{account}",
    }
    return lambda **chosen: build(container, **addresses, **chosen)


def test_an_unknown_certificate_is_refused(make: Callable[..., SwiftStore]) -> None:
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate"):
        make().check()


def test_the_authority_is_an_option(
    make: Callable[..., SwiftStore], certificate: tuple[Path, Path]
) -> None:
    driver = make(swift_store_cacert=str(certificate[0]))
    driver.check()
    location = driver.write(str(uuid.uuid4()), FileStream(io.BytesIO(DATA)), len(DATA))
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_operator_may_choose_to_be_careless(make: Callable[..., SwiftStore]) -> None:
    make(swift_store_auth_insecure=True).check()


def test_an_authority_that_is_not_there_is_told(
    make: Callable[..., SwiftStore], tmp_path: Path
) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere\.pem"):
        make(swift_store_cacert=str(tmp_path / "nowhere.pem")).check()
