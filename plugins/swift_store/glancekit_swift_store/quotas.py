# SPDX-License-Identifier: Apache-2.0
"""How much room an account has, as far as it has a quota: Swift does not tell how full it is."""

from __future__ import annotations

from collections.abc import Mapping

from glancekit.plugin import Usage
from glancekit_swift_store.account import Account, Request
from glancekit_swift_store.options import Settings

_ACCOUNT = ("X-Account-Meta-Quota-Bytes", "X-Account-Bytes-Used")
_CONTAINER = ("X-Container-Meta-Quota-Bytes", "X-Container-Bytes-Used")


def usage_of(account: Account, settings: Settings) -> Usage:
    """Return the room there is: of the account or of the one container, whichever has less."""
    found = [_usage(account.metadata(), *_ACCOUNT)]
    if not settings.seed:
        deed = f"looking for the container {settings.container}"
        asked = Request(deed, "HEAD", (settings.container,))
        found.append(_usage(account.ask(asked, {200, 204, 404}).headers, *_CONTAINER))
    limited = [usage for usage in found if usage is not None]
    return min(limited, key=_room, default=Usage(total=None, free=None))


def _usage(headers: Mapping[str, str], quota: str, used: str) -> Usage | None:
    if not headers.get(quota, "").isdigit():
        return None
    total = int(headers[quota])
    return Usage(total=total, free=max(0, total - int(headers.get(used, "0"))))


def _room(usage: Usage) -> int:
    return usage.free or 0
