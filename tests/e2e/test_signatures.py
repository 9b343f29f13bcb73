# SPDX-License-Identifier: Apache-2.0
"""Signed images, with a real Barbican that has the certificates and a real Keystone before it."""

from __future__ import annotations

import base64
import datetime
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

pytest.importorskip("castellan", reason="pip install glancekit-image-steps[signatures]")
pytest.importorskip("cursive", reason="pip install glancekit-image-steps[signatures]")
pytest.importorskip("glancekit_keystone_auth", reason="glancekit-keystone-auth is not installed")

from castellan.common.credentials.keystone_password import KeystonePassword
from castellan.common.objects.x_509 import X509
from castellan.key_manager.barbican_key_manager import BarbicanKeyManager
from castellan.options import set_defaults
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from glancekit_keystone_auth.testing import PASSWORD, RealKeystone
from oslo_config import cfg

from glancekit.testing.servers import ServerProcess, find_environment, free_port

ENVIRONMENT = "GLANCEKIT_TEST_BARBICAN"
"""Environment variable that names the environment; default is .venv-barbican here or above."""

PASTE = "etc/barbican/barbican-api-paste.ini"
PATIENCE = 90.0
DATA = bytes(range(256)) * 9000

BARBICAN = """
[DEFAULT]
host_href = {url}
log_file = {folder}/barbican.log
db_auto_create = true
[database]
connection = sqlite:///{folder}/barbican.sqlite
[queue]
enable = false
[keystone_authtoken]
www_authenticate_uri = {keystone}
auth_url = {keystone}
auth_type = password
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
[simple_crypto_plugin]
kek = {kek}
"""

SERVER = """
import sys
from wsgiref.simple_server import make_server

port, paste = sys.argv[1:]
sys.argv = ["barbican"]  # it reads the command line, too, and its parts find their file at home
from paste.deploy import loadapp

make_server("127.0.0.1", int(port), loadapp(f"config:{paste}", name="main")).serve_forever()
"""

CONFIG = """
[image_import_opts]
image_import_plugins = image_signature
[key_manager]
backend = barbican
barbican_endpoint = {barbican}
auth_endpoint = {keystone}
username = glance
password = {password}
"""


@pytest.fixture(scope="module")
def barbican(keystone: RealKeystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Barbican."""
    environment = find_environment(ENVIRONMENT, ".venv-barbican", has=PASTE)
    if environment is None:
        pytest.skip("there is no Barbican to test with: sh tools/barbican.sh .venv-barbican")
    folder = tmp_path_factory.mktemp("barbican")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / ".barbican").mkdir()
    (folder / ".barbican" / "barbican.conf").write_text(
        BARBICAN.format(
            url=url,
            folder=folder,
            keystone=keystone.url,
            password=PASSWORD,
            kek=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        )
    )
    python = str(environment / "bin" / "python")
    server = ServerProcess(folder / "barbican.log")
    server.launch(
        [python, "-W", "ignore", "-c", SERVER, str(port), str(environment / PASTE)],
        environment={"HOME": str(folder)},
    )
    try:
        server.await_answer(lambda: answers(url))
        yield url
    finally:
        server.kill()


def answers(url: str) -> bool:
    try:
        requests.get(url, timeout=5)
    except requests.ConnectionError:
        return False
    return True


@dataclass(frozen=True)
class Signer:
    """A key, and where its certificate is."""

    key: rsa.RSAPrivateKey
    certificate: str

    def properties(self, data: bytes) -> dict[str, str]:
        """Sign data, and return what an image says of that."""
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
        signature = self.key.sign(data, scheme, hashes.SHA256())
        return {
            "img_signature": base64.b64encode(signature).decode(),
            "img_signature_hash_method": "SHA-256",
            "img_signature_key_type": "RSA-PSS",
            "img_signature_certificate_uuid": self.certificate,
        }


@pytest.fixture(scope="module")
def signer(keystone: RealKeystone, barbican: str) -> Signer:
    """Keeps a certificate in Barbican, as its owner does."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "images.example.org")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now - day).not_valid_after(now + day)
    content = certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    conf = cfg.ConfigOpts()
    conf([])
    set_defaults(conf, barbican_endpoint=barbican, auth_endpoint=keystone.url)
    owner = KeystonePassword(
        PASSWORD,
        username="glance",
        auth_url=keystone.url,
        project_name="service",
        user_domain_name="Default",
        project_domain_name="Default",
    )
    return Signer(key, BarbicanKeyManager(conf).store(owner, X509(content)))


@pytest.fixture
def service(keystone: RealKeystone, barbican: str, make_service: Callable[..., Any]) -> Any:
    started = make_service(
        CONFIG.format(barbican=barbican, keystone=keystone.url, password=PASSWORD)
    )
    started.start()
    return started


def imported(service: Any, properties: dict[str, str]) -> tuple[str, str]:
    """Import the data with these properties; return the image's status and the task's message."""
    record = {"disk_format": "raw", "container_format": "bare", **properties}
    made = requests.post(f"{service.url}/v2/images", json=record, timeout=30)
    assert made.status_code == 201, made.text
    where = f"{service.url}/v2/images/{made.json()['id']}"
    kind = {"Content-Type": "application/octet-stream"}
    assert requests.put(f"{where}/stage", DATA, headers=kind, timeout=30).status_code == 204
    asked = requests.post(
        f"{where}/import", json={"method": {"name": "glance-direct"}}, timeout=30
    )
    assert asked.status_code == 202, asked.text
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        (task,) = requests.get(f"{where}/tasks", timeout=30).json()["tasks"]
        if task["status"] not in ("pending", "processing"):
            return requests.get(where, timeout=30).json()["status"], task["message"]
        time.sleep(0.1)
    return pytest.fail(f"the import does not end\n{service.log}")


def test_an_image_is_what_was_signed(service: Any, signer: Signer) -> None:
    assert imported(service, signer.properties(DATA)) == ("active", "")


def test_an_image_that_is_not_what_was_signed_is_refused(service: Any, signer: Signer) -> None:
    status, message = imported(service, signer.properties(DATA[:-1] + b"x"))
    assert status == "queued"
    assert "not of this data" in message


def test_a_certificate_that_nobody_has_is_refused(service: Any, signer: Signer) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    properties = {**signer.properties(DATA), "img_signature_certificate_uuid": nobody}
    status, message = imported(service, properties)
    assert status == "queued"
    assert message
