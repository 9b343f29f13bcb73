# SPDX-License-Identifier: Apache-2.0
"""What the section [taskflow] may say, and what boards and records are made of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit.core.errors import ConfigError
from glancekit.flows.boards import _board, _database, open_records
from glancekit.flows.options import FlowSettings
from glancekit.flows.ports import Job, Measured, Staged


def settings(**given: Any) -> FlowSettings:
    options = {"jobboard": None, "persistence": None, "max_workers": 4, **given}
    return FlowSettings.of(SimpleNamespace(**options), Path("/data"))


DATABASE = "postgresql://u:p@db/x"


@pytest.mark.parametrize(
    "given",
    [
        {"jobboard": "carrier-pigeon://x", "persistence": DATABASE},
        {"jobboard": "redis://x"},
        {"persistence": "sqlite:////x"},
    ],
)
def test_what_makes_no_sense(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        settings(**given)


@pytest.mark.parametrize(
    ("url", "kind", "conf"),
    [
        (
            "redis://me:pw@r:6380?db=2",
            "RedisJobBoard",
            {"host": "r", "port": 6380, "username": "me", "password": "pw", "db": "2"},
        ),
        ("redis://r", "RedisJobBoard", {"host": "r"}),
        ("etcd://e:2379?ca_cert=/x", "EtcdJobBoard", {"host": "e", "port": 2379, "ca_cert": "/x"}),
        ("zookeeper://a:1,b:2", "ZookeeperJobBoard", {"hosts": "a:1,b:2"}),
    ],
)
def test_boards(url: str, kind: str, conf: dict[str, Any]) -> None:
    found, given = _board(settings(jobboard=url, persistence=DATABASE))
    assert found.__name__ == kind
    assert conf.items() <= given.items()


def test_databases_have_drivers() -> None:
    assert _database(DATABASE) == "postgresql+psycopg://u:p@db/x"
    assert _database("mysql://u@db/x") == "mysql+pymysql://u@db/x"
    assert _database("postgresql+psycopg2://db/x") == "postgresql+psycopg2://db/x"


def test_records_that_a_kill_left_half_made_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "flows.sqlite.new").write_bytes(b"half")
    open_records(FlowSettings(folder=tmp_path)).close()
    assert not (tmp_path / "flows.sqlite.new").exists()
    open_records(FlowSettings(folder=tmp_path)).close()


@pytest.mark.parametrize(
    "thing",
    [
        Job(task_id="t", image_id="i", project="p", method="m", steps=("a",), stores=("b", "c")),
        Staged(file="data", size=4, attributes={"disk_format": "raw"}, properties={"x": None}),
        Measured(size=4, checksum="c", hash_algo="sha512", hash_value="h", virtual_size=None),
    ],
)
def test_what_goes_between_is_plain(thing: Any) -> None:
    assert type(thing).from_json(thing.to_json()) == thing
