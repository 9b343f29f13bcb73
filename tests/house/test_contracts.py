# SPDX-License-Identifier: Apache-2.0
"""Each promise of a contract has a number, a sentence in the pages, and a test of the kit."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

OF_UPSTREAM = {"upstream_store.py"}
"""Tests of the kit that hold a driver against another program, and not against a contract."""


def numbers_of(file: Path) -> list[str]:
    """Return the numbers of a file's tests; S13 is a fixture, as it is asked after every test."""
    found = re.findall(r"^    def (?:test_)?([a-z]{1,2})(\d+)_", file.read_text(), re.MULTILINE)
    return [f"{letters.upper()}{int(number)}" for letters, number in found]


@pytest.fixture(scope="module")
def kit(root: Path) -> list[Path]:
    return [file for file in root.glob("glancekit/testing/*.py") if file.name not in OF_UPSTREAM]


def test_every_promise_has_its_sentence_and_its_test(root: Path, kit: list[Path]) -> None:
    sentences = Counter(
        number
        for page in root.glob("docs/reference/contracts/*.rst")
        for number in re.findall(r"^\*\*([A-Z]{1,2}\d+)\*\* \S", page.read_text(), re.MULTILINE)
    )
    tests = Counter(number for file in kit for number in numbers_of(file))
    assert sentences.keys() == tests.keys()
    assert len(tests) > 100
    assert set(sentences.values()) | set(tests.values()) == {1}, "a number is given once"


def test_every_test_of_the_kit_has_a_number(kit: list[Path]) -> None:
    named = {
        f"{file.name}: {name}"
        for file in kit
        for name in re.findall(r"^    def (test_\w+)\(", file.read_text(), re.MULTILINE)
        if not re.match(r"test_([a-z]{1,2}\d+|report)_", name)
    }
    assert not named
