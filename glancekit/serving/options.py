# SPDX-License-Identifier: Apache-2.0
"""The options of ``[server]``, beside their readers. Reading them is core/config's business."""

from __future__ import annotations

import os

from oslo_config import cfg

SERVER_OPTIONS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        "host",
        default="127.0.0.1",
        help="Address to listen on. An IPv6 address is written bare: ::1",
    ),
    cfg.PortOpt("port", default=9292, help="Port to listen on; 0 lets the kernel choose."),
    cfg.StrOpt(
        "unix_socket",
        help="Path of a local socket to listen on instead of host and port.",
    ),
    cfg.IntOpt(
        "workers",
        min=1,
        help="Processes that serve requests. Default: one for each CPU, but 2 to 8.",
    ),
    cfg.IntOpt(
        "threads",
        default=256,
        min=8,
        help="Requests that one process serves at once. Threads are made when first needed.",
    ),
    cfg.IntOpt(
        "reserved_threads",
        default=32,
        min=1,
        help="Of those, how many long transfers may never occupy. A transfer beyond the rest is "
        "answered 503 with Retry-After, so that short requests always find a thread.",
    ),
    cfg.IntOpt(
        "header_timeout",
        default=10,
        min=1,
        help="Seconds within which the whole header of a request must have come.",
    ),
    cfg.IntOpt(
        "idle_timeout",
        default=60,
        min=1,
        help="Seconds without a single byte moving after which a transfer is given up, in both "
        "directions.",
    ),
    cfg.IntOpt(
        "keep_alive",
        default=15,
        min=0,
        help="Seconds that a connection is kept open for its next request.",
    ),
    cfg.IntOpt(
        "graceful_timeout",
        default=3600,
        min=0,
        help="Seconds that transfers may go on after SIGTERM. A second signal ends them at once.",
    ),
    cfg.IntOpt(
        "limit_request_line",
        default=8190,
        min=256,
        max=8190,
        help="Longest request line that is read, in bytes.",
    ),
    cfg.IntOpt(
        "limit_request_fields",
        default=100,
        min=10,
        max=32768,
        help="Most header fields of a request.",
    ),
    cfg.IntOpt(
        "limit_request_field_size",
        default=16384,
        min=1024,
        help="Longest header field that is read, in bytes. Some tokens of Keystone's are long.",
    ),
    cfg.StrOpt("certfile", help="Certificate (PEM) to serve TLS with; needs keyfile."),
    cfg.StrOpt("keyfile", help="Private key (PEM) of the certificate."),
    cfg.ListOpt(
        "forwarded_allow_ips",
        default=["127.0.0.1", "::1"],
        help="Proxies: peers (addresses and networks) whose X-Forwarded-Proto header is believed, "
        "and with [oslo_middleware] enable_proxy_headers_parsing all that they say.",
    ),
    cfg.BoolOpt(
        "unsafe_allow_unauthenticated_access",
        default=False,
        help="Listen beyond loopback although the auth driver believes everybody. Whoever "
        "reaches the port is then the administrator.",
    ),
]


def default_workers() -> int:
    """One for each CPU that this process may use, but two to eight."""
    return max(2, min(8, len(os.sched_getaffinity(0))))
