# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about HTTP alone. The options are declared beside their readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from oslo_config import cfg

from glancekit.api.cors import CORS_OPTIONS, CorsSettings
from glancekit.api.metrics import METRICS_OPTIONS, SECTION
from glancekit.api.proxies import PROXY_OPTIONS, ProxySettings
from glancekit.api.rate_limit import RATE_OPTIONS, RateSettings
from glancekit.core.config import Configuration
from glancekit.serving.options import default_workers

JSON_LIMIT = 1 << 20
"""Bytes of a JSON body: far more than any image that people describe by hand or by program."""

API_OPTIONS: dict[str, list[cfg.Opt]] = {
    "cors": CORS_OPTIONS,
    "oslo_middleware": [
        *PROXY_OPTIONS,
        cfg.IntOpt(
            "max_request_body_size",
            default=JSON_LIMIT,
            min=1024,
            help="Largest JSON body of a request, in bytes. The size of images is limited by "
            "[DEFAULT] image_size_cap.",
        ),
    ],
    "rate_limit": RATE_OPTIONS,
    SECTION: METRICS_OPTIONS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """What an operator decided about HTTP."""

    cors: CorsSettings = field(default_factory=CorsSettings)
    proxies: ProxySettings = field(default_factory=ProxySettings)
    rate_limit: RateSettings = field(default_factory=RateSettings)
    json_limit: int = JSON_LIMIT

    @classmethod
    def of(cls, config: Configuration) -> Self:
        """Read them."""
        server: Any = config.section("server")
        middleware: Any = config.section("oslo_middleware")
        proxies = server.forwarded_allow_ips
        return cls(
            cors=CorsSettings.of(config.section("cors")),
            proxies=ProxySettings.of(middleware, proxies),
            rate_limit=RateSettings.of(
                config.section("rate_limit"),
                processes=server.workers or default_workers(),
                proxies=proxies,
            ),
            json_limit=middleware.max_request_body_size,
        )
