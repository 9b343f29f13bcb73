# SPDX-License-Identifier: Apache-2.0
"""How often one caller may ask. Each process counts for itself, with its share of every limit.

What one caller may have in all are quotas, which are the services' business.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Self

from oslo_config import cfg

from glancekit.api.proxies import Peers, client_address, parse_address
from glancekit.core.errors import TooManyRequests
from glancekit.core.model.identity import Identity

MOST_CALLERS = 10_000
"""Callers that one process remembers; those not heard of for longest are forgotten first."""

_PREFIX_OF_ONE_CALLER = 64
"""IPv6 hands out networks of this length, so one caller has all addresses of one."""

RATE_OPTIONS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "requests_per_second",
        default=0,
        min=0,
        help="Requests that one caller may send, on average; 0: any number. A limit counts for "
        "the whole service: each of its processes grants its share.",
    ),
    cfg.IntOpt(
        "burst",
        min=1,
        help="Requests that may come at once after a quiet time. Default: those of five seconds.",
    ),
    cfg.StrOpt(
        "counted_by",
        default="project",
        choices=["project", "user"],
        help="Who one caller is: all of a project, or each of its users.",
    ),
    cfg.FloatOpt(
        "creates_per_minute",
        default=0,
        min=0,
        help="Images that one project may create, on average and at once; 0: any number.",
    ),
    cfg.FloatOpt(
        "anonymous_requests_per_second",
        default=0,
        min=0,
        help="Requests without an identity, or with one that is not believed, that may come from "
        "one address; 0: any number. An address beyond that is not even asked who it is. "
        "Addresses of proxies ([server] forwarded_allow_ips) are not counted.",
    ),
    cfg.IntOpt(
        "anonymous_burst",
        min=1,
        help="How many of those may come at once. Default: those of five seconds.",
    ),
    cfg.ListOpt(
        "exempt_roles",
        default=["admin", "service"],
        help="Roles whose bearers are not counted; roles of service tokens as well.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """What ``[rate_limit]`` says. ``processes`` share each limit."""

    requests_per_second: float = 0
    burst: int | None = None
    counted_by: str = "project"
    creates_per_minute: float = 0
    anonymous_requests_per_second: float = 0
    anonymous_burst: int | None = None
    exempt_roles: frozenset[str] = frozenset()
    processes: int = 1
    proxies: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Any, *, processes: int, proxies: Sequence[str]) -> Self:
        """Make them of the section's values."""
        return cls(
            requests_per_second=options.requests_per_second,
            burst=options.burst,
            counted_by=options.counted_by,
            creates_per_minute=options.creates_per_minute,
            anonymous_requests_per_second=options.anonymous_requests_per_second,
            anonymous_burst=options.anonymous_burst,
            exempt_roles=frozenset(role.lower() for role in options.exempt_roles),
            processes=processes,
            proxies=tuple(proxies),
        )

    @property
    def is_on(self) -> bool:
        """Whether anything is limited."""
        return bool(
            self.requests_per_second
            or self.creates_per_minute
            or self.anonymous_requests_per_second
        )


class Buckets:
    """A token bucket for each caller: it fills steadily, and each request takes one token out."""

    def __init__(
        self, rate: float, size: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make them, all full.

        :param rate: tokens that come in a second.
        :param size: tokens that a full bucket has; at least one, or nothing would ever pass.
        """
        self._rate = rate
        self._size = max(1.0, size)
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take a token; return 0, or else the seconds until there is one."""
        with self._lock:
            tokens, now = self._tokens(caller)
            missing = 1 - tokens
            self._left[caller] = (tokens if missing > 0 else tokens - 1, now)
            self._left.move_to_end(caller)
            if len(self._left) > MOST_CALLERS:
                self._left.popitem(last=False)
        return missing / self._rate if missing > 0 else 0.0

    def wait(self, caller: str) -> float:
        """Return what ``take`` would, and take nothing."""
        with self._lock:
            tokens, _ = self._tokens(caller)
        return max(0.0, 1 - tokens) / self._rate

    def _tokens(self, caller: str) -> tuple[float, float]:
        now = self._clock()
        tokens, then = self._left.get(caller, (self._size, now))
        return min(self._size, tokens + (now - then) * self._rate), now


class RateLimits:
    """All limits of one process."""

    def __init__(self, settings: RateSettings) -> None:
        self._by_user = settings.counted_by == "user"
        self._exempt = settings.exempt_roles
        self._proxies = Peers(settings.proxies)
        shares = settings.processes
        self._requests = _buckets(settings.requests_per_second, settings.burst, shares)
        self._anonymous = _buckets(
            settings.anonymous_requests_per_second, settings.anonymous_burst, shares
        )
        creates = settings.creates_per_minute
        self._creates = _buckets(creates / 60, creates, shares)

    def admit_unknown(self, environ: Mapping[str, Any]) -> None:
        """Count a request of somebody unknown.

        :raises TooManyRequests: when there were too many from there.
        """
        sender = self._sender(environ)
        if self._anonymous and sender:
            _require(self._anonymous.take(sender), "requests from this address")

    def require_patience(self, environ: Mapping[str, Any]) -> None:
        """Refuse to ask a sender for its identity after too many unknown ones; counts nothing.

        :raises TooManyRequests: when there were too many from there.
        """
        sender = self._sender(environ)
        if self._anonymous and sender:
            _require(self._anonymous.wait(sender), "requests from this address")

    def admit(self, identity: Identity, *, creates: bool) -> None:
        """Count a request of somebody known.

        :raises TooManyRequests: when it is one too many.
        """
        if (identity.roles | identity.service_roles) & self._exempt:
            return
        project = identity.project_id or ""
        caller = identity.user_id or project if self._by_user else project
        if self._requests:
            _require(self._requests.take(caller), "requests")
        if self._creates and creates:
            _require(self._creates.take(project), "images created by this project")

    def _sender(self, environ: Mapping[str, Any]) -> str:
        """Return whose tokens an unknown request takes; nobody's when that is a proxy."""
        sender = client_address(environ)
        address = None if sender in self._proxies else parse_address(sender)
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, _PREFIX_OF_ONE_CALLER), strict=False))
        return "" if address is None else str(address)


def _buckets(rate: float, burst: float | None, shares: int) -> Buckets | None:
    if not rate:
        return None
    return Buckets(rate / shares, (5 * rate if burst is None else burst) / shares)


def _require(wait: float, what: str) -> None:
    if wait > 0:
        raise TooManyRequests(what=what, retry_after=math.ceil(wait))
