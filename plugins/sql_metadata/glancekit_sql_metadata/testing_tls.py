# SPDX-License-Identifier: Apache-2.0
"""Connections that are encrypted, to a real server that is who it says it is.

No running service imports it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from glancekit.plugin import MetadataUnavailable
from glancekit_sql_metadata.testing import ids
from glancekit_sql_metadata.testing_fixtures import Backend
from glancekit_sql_metadata.testing_server import RealDatabase


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, signed by itself; return it and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=glancekit"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return certificate, key


class TlsConformance:
    """What a driver's connections show whose URL asks for a server that somebody vouches for."""

    @pytest.fixture(scope="class")
    @classmethod
    def certificate(cls, backend: Backend, room: Path) -> Path:
        """The server's certificate, its key beside it."""
        certificate, key = make_certificate(room)
        if os.getuid() == 0:
            shutil.chown(key, backend.server.user)
        return certificate

    @pytest.fixture(scope="class")
    @classmethod
    def secure_server(
        cls, backend: Backend, room: Path, certificate: Path
    ) -> Iterator[RealDatabase]:
        """A server that encrypts."""
        settings = backend.server.encrypting(certificate, certificate.with_name("key.pem"))
        with backend.server(room / "secure", settings=settings) as server:
            yield server

    def test_it_is_encrypted_and_verified(
        self, backend: Backend, secure_server: RealDatabase, certificate: Path
    ) -> None:
        """By the authority that the URL names."""
        url = secure_server.make_database("secure")
        query = secure_server.vouched_for(certificate)
        with closing(backend.driver_over(f"{url}?{query}")) as driver:
            driver.start()
            assert ids(driver) == set()
            with driver._mine().outside_transaction() as connection:
                assert connection.exec_driver_sql(secure_server.encrypted).scalar_one()

    def test_a_server_that_nobody_vouches_for_is_refused(
        self, backend: Backend, secure_server: RealDatabase, tmp_path: Path
    ) -> None:
        """Its certificate is of somebody else."""
        stranger, _ = make_certificate(tmp_path)
        url = secure_server.make_database("refused")
        query = secure_server.vouched_for(stranger)
        with (
            closing(backend.driver_over(f"{url}?{query}")) as driver,
            pytest.raises(MetadataUnavailable, match="certificate"),
        ):
            driver.start()
