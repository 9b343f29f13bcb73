# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about webhooks, and the receivers that come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from glancekit.plugin import BoolOpt, ConfigError, DictOpt, FloatOpt, IntOpt, ListOpt, StrOpt
from glancekit_webhooks.dead_letters import DeadLetters
from glancekit_webhooks.receiver import Receiver

SECTION = "webhooks"

OPTIONS: Sequence[Any] = (
    DictOpt(
        "receivers",
        default={},
        help="Who is told, as name:URL pairs: 'ops:https://ops.example.org/images'.",
    ),
    DictOpt(
        "secrets",
        default={},
        secret=True,
        help="What is told to each is signed with, as name:secret pairs. A secret that begins "
        "with whsec_ is base64 behind that.",
    ),
    ListOpt(
        "types",
        default=[],
        help="Types of events that are told, or how they begin: 'image.,task.'. Default: all.",
    ),
    StrOpt("source", default="glancekit", help="What events call this service."),
    FloatOpt("timeout", default=10.0, min=0.1, help="Seconds that a receiver has for one event."),
    IntOpt(
        "attempts",
        default=5,
        min=1,
        max=9,
        help="How often a receiver may refuse an event before that becomes a dead letter.",
    ),
    IntOpt(
        "give_up",
        default=604800,
        min=60,
        help="Seconds that a receiver may be away before its events become dead letters.",
    ),
    StrOpt(
        "dead_letters",
        default="$data_dir/webhooks-dead-letters.jsonl",
        help="File for events that could not be told.",
    ),
    StrOpt(
        "cafile",
        help="Authorities (PEM) that sign the receivers' certificates. Default: those that the "
        "system trusts.",
    ),
    BoolOpt("insecure", default=False, help="Do not check the receivers' certificates."),
)


def receivers_of(options: Any) -> Mapping[str, Receiver]:
    """Return the receivers by name.

    :raises ConfigError: when one of them is no URL, or a secret is nobody's.
    """
    if strangers := sorted(set(options.secrets) - set(options.receivers)):
        raise ConfigError(f"[{SECTION}] secrets: there is no receiver {strangers[0]}")
    return {
        name: Receiver(
            name=name,
            url=_url(name, url),
            secret=options.secrets.get(name),
            source=options.source,
            timeout=options.timeout,
            trust=options.cafile or not options.insecure,
        )
        for name, url in options.receivers.items()
    }


def dead_letters_of(options: Any) -> DeadLetters:
    """Return where events go that could not be told."""
    return DeadLetters(Path(options.dead_letters))


def _url(name: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"[{SECTION}] receivers: that of {name} is no URL; write {name}:https://host/path"
        )
    return url
