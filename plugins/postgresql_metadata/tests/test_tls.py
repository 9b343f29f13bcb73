# SPDX-License-Identifier: Apache-2.0
"""Connections that are encrypted, to a server that is who it says it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_postgresql_metadata import testing
from glancekit_postgresql_metadata.driver import PostgresqlMetadata
from glancekit_sql_metadata.testing import ids, make_certificate

from glancekit.plugin import MetadataUnavailable


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a certificate, which the server's own user may enter."""
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="glancekit-tls-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def certificate(folder: Path) -> Path:
    certificate, key = make_certificate(folder)
    if os.getuid() == 0:
        shutil.chown(key, testing.RealPostgres.user)
    return certificate


@pytest.fixture(scope="module")
def secure_server(folder: Path, certificate: Path) -> Iterator[testing.RealPostgres]:
    key = certificate.with_name("key.pem")
    settings = ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}")
    with testing.RealPostgres(folder / "server", settings=settings) as server:
        yield server


def test_it_is_encrypted_and_verified(
    secure_server: testing.RealPostgres,
    certificate: Path,
    options: Callable[..., SimpleNamespace],
) -> None:
    url = secure_server.make_database("secure")
    chosen = options(connection=f"{url}?sslrootcert={certificate}&sslmode=verify-full")
    with closing(PostgresqlMetadata(chosen, name="postgresql")) as driver:
        driver.start()
        assert ids(driver) == set()
        with driver._mine().outside_transaction() as connection:
            found = connection.exec_driver_sql(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            ).one()
    assert found[0] is True


def test_a_server_that_nobody_vouches_for_is_refused(
    secure_server: testing.RealPostgres,
    tmp_path: Path,
    options: Callable[..., SimpleNamespace],
) -> None:
    stranger, _ = make_certificate(tmp_path)
    chosen = options(
        connection=f"{secure_server.url()}?sslrootcert={stranger}&sslmode=verify-full"
    )
    with (
        closing(PostgresqlMetadata(chosen, name="postgresql")) as driver,
        pytest.raises(MetadataUnavailable, match="certificate"),
    ):
        driver.start()
