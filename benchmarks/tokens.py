# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.tokens``: the CPU that a request's token costs, by auth driver.

Keystone's is measured with a real Keystone (tools/keystone.sh) and a token that the process knows.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from glancekit_keystone_auth.driver import KeystoneAuth
from glancekit_keystone_auth.testing import PASSWORD, RealKeystone, find_environment
from glancekit_token_auth.driver import TokenAuth
from glancekit_token_auth.token_file import TokenFile
from glancekit_token_auth.tokens import Record, make_token

from benchmarks.report import Row, table
from glancekit.plugin import AuthDriver, Credentials

AIM = 300.0
"""Microseconds of CPU."""

ROUNDS = 20_000


def main() -> int:
    """Measure and print; 1 when the aim was missed."""
    with tempfile.TemporaryDirectory(prefix="glancekit-bench-") as folder:
        rows = [*of_token_file(Path(folder)), *of_keystone(Path(folder))]
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def of_token_file(folder: Path) -> Iterator[Row]:
    """Measure a token of our own among a thousand."""
    path = folder / "tokens.json"
    with TokenFile(str(path)).change() as records:
        for _ in range(1000):
            token, token_id, digest = make_token()
            records[token_id] = Record(
                id=token_id, digest=digest, user="u", project="p", roles=("member",), created=0
            )
    driver = TokenAuth(SimpleNamespace(path=str(path)), name="token")
    yield measure("own token, one of 1000", driver, {"x-auth-token": token})


def of_keystone(folder: Path) -> Iterator[Row]:
    """Measure a token that Keystone was asked about before, alone and with a service's."""
    environment = find_environment()
    if environment is None:
        print("no Keystone here: sh tools/keystone.sh .venv-keystone", file=sys.stderr)
        return
    with RealKeystone(environment, folder / "keystone") as keystone:
        keystone.fill()
        driver = KeystoneAuth(_keystone_options(keystone), name="keystone")
        headers = {"x-auth-token": keystone.token("demo-member", "demo")}
        service = {"x-service-token": keystone.token("glance", "service")}
        begun = time.perf_counter()
        driver.authenticate(Credentials(headers, ""))
        asked = f"{(time.perf_counter() - begun) * 1000:.0f} ms to log in and ask"
        yield measure("Keystone token, known", driver, headers, beside=asked)
        yield measure("Keystone token with a service's, known", driver, headers | service)
        driver.close()


def measure(what: str, driver: AuthDriver, headers: dict[str, str], *, beside: str = "") -> Row:
    """Return the median CPU time of one question."""
    credentials = Credentials(headers, "127.0.0.1")
    driver.authenticate(credentials)
    times = [_cpu_time(lambda: driver.authenticate(credentials)) for _ in range(ROUNDS)]
    median = statistics.median(times) / 1000
    return Row(
        what=what,
        measured=f"{median:.1f} us of CPU",
        beside=beside,
        aim=f"{AIM:.0f} us",
        reached=median < AIM,
    )


def _cpu_time(work: Callable[[], Any]) -> int:
    begun = time.thread_time_ns()
    work()
    return time.thread_time_ns() - begun


def _keystone_options(keystone: RealKeystone) -> SimpleNamespace:
    values = {option.dest: option.default for option in KeystoneAuth.options}
    values |= {"auth_url": keystone.url, "username": "glance", "password": PASSWORD}
    values |= {"project_name": "service", "user_domain_id": "default"}
    return SimpleNamespace(**values | {"project_domain_id": "default"})


if __name__ == "__main__":
    sys.exit(main())
