# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about periodic tasks: the section ``[periodic]``, read and checked."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Self
from urllib.parse import urlsplit

from oslo_config import cfg

from glancekit.core.errors import ConfigError

SECTION = "periodic"

CLIENTS = {
    "redis": ("redis", "glancekit[redis]"),
    "etcd3+http": ("etcd3gw", "glancekit[etcd]"),
    "etcd3+https": ("etcd3gw", "glancekit[etcd]"),
    "zookeeper": ("kazoo", "glancekit[zookeeper]"),
    "postgresql": ("psycopg2", "glancekit[postgresql-coordination]"),
    "mysql": ("pymysql", "glancekit[mysql-coordination]"),
}
"""What may decide for a cluster, by the URL's scheme: the client's module, and what brings it."""

PERIODIC_OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt(
        "coordination",
        secret=True,
        sample_default="file locks in data_dir, which serve one machine",
        help="Where the hosts of a cluster agree who runs which periodic task: "
        "redis://host:6379, etcd3+http://host:2379, zookeeper://host:2181, "
        "postgresql://user:password@host/database or mysql://user:password@host/database.",
    ),
    cfg.IntOpt(
        "lease",
        default=30,
        min=4,
        max=3600,
        help="Seconds after which others may go on with the task of a host that was lost. A host "
        "that has lost the coordination stops its tasks after three quarters of it.",
    ),
    cfg.StrOpt(
        "host",
        sample_default="the host's name",
        help="Name under which it is kept what ran on this host. Two services on one machine "
        "that share their records need two.",
    ),
    cfg.BoolOpt(
        "in_serve",
        default=True,
        help="Let the service run periodic tasks in one of its processes. When false, they need "
        "'glancekit periodic'.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicSettings:
    """``[periodic]``, checked. ``lease`` is in seconds."""

    coordination: str | None
    lease: int
    host: str
    in_serve: bool

    @classmethod
    def of(cls, options: Any) -> Self:
        """Check the section.

        :raises ConfigError: when it makes no sense, or a client is not installed.
        """
        if options.coordination is not None:
            _require_client(options.coordination)
        return cls(
            coordination=options.coordination,
            lease=options.lease,
            host=options.host or socket.gethostname(),
            in_serve=options.in_serve,
        )


def _require_client(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme not in CLIENTS:
        known = ", ".join(f"{scheme}://" for scheme in CLIENTS)
        raise ConfigError(
            f"[{SECTION}] coordination is no URL of {known}",
            section=SECTION,
            option="coordination",
        )
    module, package = CLIENTS[scheme]
    if find_spec(module) is None:
        raise ConfigError(
            f"[{SECTION}] coordination by {scheme}:// needs a client that is not installed; run: "
            f"pip install '{package}'",
            section=SECTION,
            option="coordination",
        )
