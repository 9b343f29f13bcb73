# SPDX-License-Identifier: Apache-2.0
"""Signatures by real keys, and by the program minisign where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_minisign_signatures.step import PROPERTY, MinisignVerification
from minisign import KeyPair

from glancekit.plugin import CHUNK_SIZE, ConfigError, SignatureInvalid, StagedImage
from glancekit.testing import ImportStepConformance
from glancekit.testing.importing import silent, stage
from glancekit.testing.store import sample

DATA = sample(2 * CHUNK_SIZE + 77)

Sign = Callable[..., StagedImage]


@pytest.fixture(scope="session")
def pair() -> KeyPair:
    return KeyPair.generate()


@pytest.fixture
def keyring(pair: KeyPair, tmp_path: Path) -> Path:
    """A folder with the key, and with what else may lie in such a folder."""
    folder = tmp_path / "keyring"
    folder.mkdir()
    (folder / "images.pub").write_bytes(bytes(pair.public_key))
    (folder / "other.pub").write_bytes(bytes(KeyPair.generate().public_key))
    (folder / "broken.pub").write_text("not a key\n")
    (folder / "README").write_text("keys of those who may make images\n")
    return folder


def step_of(keyring: Path | None, *, required: bool = True) -> MinisignVerification:
    options = SimpleNamespace(keyring=keyring and str(keyring), required=required)
    return MinisignVerification(options, name="minisign_signature")


@pytest.fixture
def step(keyring: Path) -> MinisignVerification:
    return step_of(keyring)


@pytest.fixture
def sign(pair: KeyPair, tmp_path: Path) -> Sign:
    """Stages bytes with a signature of these or others."""
    count = iter(range(1000))

    def sign(by: KeyPair = pair, *, of: bytes = DATA, text: str | None = None) -> StagedImage:
        if text is None:
            text = bytes(by.secret_key.sign(of)).decode()
        path = tmp_path / "sent"
        path.write_bytes(DATA)
        folder = tmp_path / f"staging-{next(count)}"
        return stage(path, folder, properties={PROPERTY: text})

    return sign


def without(staged: StagedImage) -> StagedImage:
    return replace(staged, image=replace(staged.image, properties={}))


class TestConformance(ImportStepConformance):
    """The promises of every step."""

    @pytest.fixture
    def step(self, keyring: Path) -> MinisignVerification:
        return step_of(keyring, required=False)

    @pytest.fixture
    def staged(self, sign: Sign) -> StagedImage:
        return sign()

    @pytest.fixture
    def unconcerned(self, staged: StagedImage) -> Collection[StagedImage]:
        return [without(staged)]

    @pytest.fixture
    def refused(self, sign: Sign) -> Collection[StagedImage]:
        return [
            sign(of=DATA[:-1]),
            sign(KeyPair.generate()),
            sign(text=""),
            sign(text="one line"),
            sign(text="two\nlines"),
            sign(text="\n".join(["x"] * 4)),
        ]


def test_what_the_operator_s_key_has_signed_is_let_pass(
    step: MinisignVerification, sign: Sign
) -> None:
    staged = sign()
    assert step.execute(staged, silent) == staged


def test_what_others_have_signed_is_not(step: MinisignVerification, sign: Sign) -> None:
    with pytest.raises(SignatureInvalid, match="not one that counts"):
        step.execute(sign(KeyPair.generate()), silent)


def test_other_bytes_are_found_out(step: MinisignVerification, sign: Sign) -> None:
    with pytest.raises(SignatureInvalid, match="not of this data"):
        step.execute(sign(of=b"others"), silent)


def test_the_trusted_comment_is_part_of_what_was_signed(
    step: MinisignVerification, sign: Sign, pair: KeyPair
) -> None:
    lines = bytes(pair.secret_key.sign(DATA)).decode().splitlines()
    lines[2] += " and more"
    with pytest.raises(SignatureInvalid):
        step.execute(sign(text="\n".join(lines)), silent)


def test_images_without_a_signature_are_the_operator_s_choice(keyring: Path, sign: Sign) -> None:
    staged = without(sign())
    assert not step_of(keyring, required=False).applies_to(staged)
    assert step_of(keyring).applies_to(staged)
    with pytest.raises(SignatureInvalid, match=PROPERTY):
        step_of(keyring).execute(staged, silent)


def test_a_key_counts_while_it_is_on_the_ring(
    step: MinisignVerification, keyring: Path, sign: Sign
) -> None:
    path = keyring / "images.pub"
    path.rename(keyring / "images.gone")
    with pytest.raises(SignatureInvalid, match="not one that counts"):
        step.execute(sign(), silent)
    (keyring / "images.gone").rename(path)
    step.execute(sign(), silent)


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_without_a_keyring_nothing_passes(folder: str | None, sign: Sign, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keyring"):
        step_of(tmp_path / folder if folder else None).execute(sign(), silent)


def test_what_the_program_minisign_signs_is_let_pass(sign: Sign, tmp_path: Path) -> None:
    if shutil.which("minisign") is None:
        pytest.skip("minisign is not installed; on Debian: apt install minisign")
    ring, sent = tmp_path / "ring", tmp_path / "image"
    ring.mkdir()
    sent.write_bytes(DATA)
    new = ["minisign", "-G", "-W", "-p", str(ring / "new.pub"), "-s", str(tmp_path / "new.key")]
    subprocess.run(new, check=True, capture_output=True)
    signing = ["minisign", "-S", "-H", "-s", str(tmp_path / "new.key"), "-m", str(sent)]
    subprocess.run(signing, check=True, capture_output=True)
    text = Path(f"{sent}.minisig").read_text()
    step_of(ring).execute(sign(text=text), silent)
