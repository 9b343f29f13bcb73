# SPDX-License-Identifier: Apache-2.0
"""A check in a child process: its message arrives whatever way it fails, and nothing else."""

from __future__ import annotations

import os

import pytest

from glancekit.core.errors import ConfigError, PluginMissing, Unavailable
from glancekit.serving.start_check import check_in_child


def test_a_good_check_leaves_nothing_behind():
    there = []
    with check_in_child(lambda: there.append(os.getpid())):
        pass
    assert there == []


def test_the_message_of_an_error_of_ours_arrives():
    def check():
        raise PluginMissing(
            group="glancekit.auth", name="nosuch", installed="none", package="glancekit-x"
        )

    with (
        pytest.raises(ConfigError, match="No installed plugin offers 'nosuch'"),
        check_in_child(check),
    ):
        pass


def test_what_may_be_there_a_moment_later_is_told_apart():
    def check():
        raise Unavailable("no database yet")

    with pytest.raises(Unavailable, match="no database yet"), check_in_child(check):
        pass


def test_another_error_is_told_by_its_code(capfd):
    with pytest.raises(ConfigError, match="ended with code 70"), check_in_child(lambda: 1 // 0):
        pass
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_child_that_dies_is_an_error():
    def die():
        os.kill(os.getpid(), 9)

    with pytest.raises(ConfigError, match="ended with code -9"), check_in_child(die):
        pass


def test_the_block_runs_beside_the_check():
    reader, writer = os.pipe()
    with check_in_child(lambda: os.read(reader, 1)):
        os.write(writer, b"x")
    os.close(reader)
    os.close(writer)


def test_an_error_of_the_block_counts_more_once_the_check_is_over(tmp_path):
    over = tmp_path / "over"
    with pytest.raises(KeyError, match="ours"), check_in_child(over.touch):
        raise KeyError("ours")
    assert over.exists()
