# SPDX-License-Identifier: Apache-2.0
"""Signatures by real keys and certificates; what gives them out stands in for a key manager."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from glancekit_image_steps.signature import PROPERTIES, SignatureVerification

from glancekit.plugin import CHUNK_SIZE, SignatureInvalid, StagedImage, Unavailable
from glancekit.testing import ImportStepConformance
from glancekit.testing.importing import silent, stage
from glancekit.testing.store import sample

pytest.importorskip("cursive", reason="pip install glancekit-image-steps[signatures]")

from castellan import key_manager
from castellan.common.exception import KeyManagerError
from castellan.common.objects.x_509 import X509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

DATA = sample(CHUNK_SIZE + 77)

Build = Callable[..., SignatureVerification]


def certified(key: Any) -> bytes:
    """Return a certificate of a key, signed by itself."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "images.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now - day).not_valid_after(now + day)
    signed = certificate.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


class Keys:
    """A key manager that has what the test put into it, behind castellan's interface."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked_by: list[Any] = []
        self.is_down = False

    def get(self, context: Any, managed_object_id: str, **more: Any) -> X509:
        self.asked_by.append(context)
        if self.is_down:
            raise KeyManagerError(reason="it is down")
        return X509(self.kept[managed_object_id])


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    """What castellan gives out as the operator's key manager."""
    keys = Keys()
    monkeypatch.setattr(key_manager, "API", lambda *given: keys)
    return keys


def rsa_signature(data: bytes) -> tuple[str, bytes, bytes]:
    key = rsa.generate_private_key(65537, 2048)
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    return "RSA-PSS", key.sign(data, scheme, hashes.SHA256()), certified(key)


def ecc_signature(data: bytes) -> tuple[str, bytes, bytes]:
    key = ec.generate_private_key(ec.SECP521R1())
    return "ECC_SECP521R1", key.sign(data, ec.ECDSA(hashes.SHA256())), certified(key)


@pytest.fixture
def sign(keys: Keys, tmp_path: Path) -> Callable[..., StagedImage]:
    """Stages bytes with a signature of these or others."""
    count = iter(range(1000))

    def sign(
        signer: Callable[[bytes], tuple[str, bytes, bytes]] = rsa_signature,
        *,
        of: bytes = DATA,
        **properties: str,
    ) -> StagedImage:
        kind, signature, certificate = signer(of)
        keys.kept["certificate"] = certificate
        signed = {
            "img_signature": base64.b64encode(signature).decode(),
            "img_signature_hash_method": "SHA-256",
            "img_signature_key_type": kind,
            "img_signature_certificate_uuid": "certificate",
        }
        path = tmp_path / "sent"
        path.write_bytes(DATA)
        folder = tmp_path / f"staging-{next(count)}"
        return stage(path, folder, properties=signed | properties)

    return sign


class TestConformance(ImportStepConformance):
    """The promises of every step."""

    @pytest.fixture
    def step(self, build: Build) -> SignatureVerification:
        return build(SignatureVerification)

    @pytest.fixture
    def staged(self, sign: Callable[..., StagedImage]) -> StagedImage:
        return sign()

    @pytest.fixture
    def unconcerned(self, staged: StagedImage) -> Collection[StagedImage]:
        return [replace(staged, image=replace(staged.image, properties={"os_type": "linux"}))]

    @pytest.fixture
    def refused(self, sign: Callable[..., StagedImage]) -> Collection[StagedImage]:
        return [sign(of=DATA[:-1])]


@pytest.mark.parametrize("signer", [rsa_signature, ecc_signature])
def test_a_signature_of_the_bytes_is_let_pass(
    build: Build, sign: Callable[..., StagedImage], signer: Any
) -> None:
    staged = sign(signer)
    assert build(SignatureVerification).execute(staged, silent) == staged
    with pytest.raises(SignatureInvalid, match="not of this data"):
        build(SignatureVerification).execute(sign(signer, of=b"others"), silent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"img_signature_hash_method": "MD5"},
        {"img_signature_key_type": "ROT13"},
        {"img_signature_key_type": "ECC_SECP521R1"},
        {"img_signature": "not base64!"},
    ],
)
def test_what_is_no_signature_is_refused(
    build: Build, sign: Callable[..., StagedImage], wrong: dict[str, str]
) -> None:
    with pytest.raises(SignatureInvalid):
        build(SignatureVerification).execute(sign(**wrong), silent)


@pytest.mark.parametrize("name", PROPERTIES)
def test_half_a_signature_is_none(
    build: Build, sign: Callable[..., StagedImage], name: str
) -> None:
    staged = sign()
    rest = {key: value for key, value in staged.image.properties.items() if key != name}
    staged = replace(staged, image=replace(staged.image, properties=rest))
    step = build(SignatureVerification)
    assert step.applies_to(staged)
    with pytest.raises(SignatureInvalid, match=name):
        step.execute(staged, silent)


def test_a_key_manager_that_is_down_is_waited_for(
    build: Build, sign: Callable[..., StagedImage], keys: Keys
) -> None:
    staged = sign()
    keys.is_down = True
    with pytest.raises(Unavailable, match="key manager"):
        build(SignatureVerification).execute(staged, silent)


def test_the_key_manager_is_asked_as_this_service_s_user(
    build: Build, sign: Callable[..., StagedImage], keys: Keys
) -> None:
    staged = sign()
    build(SignatureVerification).execute(staged, silent)
    assert keys.asked_by[-1] is None
    user = {"username": "glance", "password": "hunter2"}
    step = build(SignatureVerification, auth_endpoint="http://keystone.invalid/v3", **user)
    step.execute(staged, silent)
    asked = keys.asked_by[-1]
    assert (asked.username, asked.project_name) == ("glance", "service")
    assert asked.auth_url == "http://keystone.invalid/v3"
