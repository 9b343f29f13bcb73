# SPDX-License-Identifier: Apache-2.0
"""How web servers are asked. Where an operator says so is the business of the plugins' options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds. ``proxies`` has addresses of proxies, by scheme."""

    ca_file: str | None
    insecure: bool
    proxies: Mapping[str, str] = field(repr=False)
    connect_timeout: float
    idle_timeout: float
    retries: int
    redirects: int
