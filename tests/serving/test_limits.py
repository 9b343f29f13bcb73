# SPDX-License-Identifier: Apache-2.0
"""How large the head of a request may be."""

from __future__ import annotations


def ask(server, *, line: int = 0, field: int = 0, fields: int = 0) -> bytes:
    more = "".join(f"X-{number}: x\r\n" for number in range(fields))
    return server.ask(
        f"GET /pid?{'x' * line} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {'x' * field}\r\n{more}"
        "Connection: close\r\n\r\n".encode()
    )


def test_a_long_token_passes_and_a_longer_one_does_not(start):
    server = start()
    assert b" 200 OK" in ask(server, field=15_000)
    assert b" 200 OK" not in ask(server, field=17_000)


def test_the_limits_are_the_operators(start):
    server = start(limit_request_line=300, limit_request_field_size=1024, limit_request_fields=10)
    assert b" 200 OK" in ask(server, line=100, field=900, fields=5)
    assert b" 200 OK" not in ask(server, line=400)
    assert b" 200 OK" not in ask(server, field=1100)
    assert b" 200 OK" not in ask(server, fields=10)
    assert b" 200 OK" in ask(server)
