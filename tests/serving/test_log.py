# SPDX-License-Identifier: Apache-2.0
"""The line of each request says who sent it, also from behind a proxy."""

from __future__ import annotations

import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from glancekit.api.proxies import CLIENT
from glancekit.serving.log import StandardLog


@pytest.mark.parametrize(
    ("environ", "sender"),
    [
        ({"REMOTE_ADDR": "10.0.0.7", CLIENT: "192.0.2.9"}, "192.0.2.9"),
        ({"REMOTE_ADDR": "10.0.0.7"}, "10.0.0.7"),
        ({"REMOTE_ADDR": ""}, "the local socket"),
    ],
)
def test_the_line_names_the_client(environ, sender, caplog):
    answer = SimpleNamespace(headers=[], status_code=200, sent=3, sock=None)
    with caplog.at_level(logging.INFO, "glancekit.access"):
        log = StandardLog(Config())
        log.access(answer, None, {"REQUEST_METHOD": "GET", **environ}, timedelta(seconds=1))
    (record,) = caplog.records
    assert record.getMessage().endswith(f"from {sender}")
    assert record.peer == environ["REMOTE_ADDR"]
