# SPDX-License-Identifier: Apache-2.0
"""The image cache as a part of the running service: its folder, its policy, its threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from glancekit.core.background import Background
from glancekit.core.cache.folder import CacheFolder
from glancekit.core.cache.guarded_policy import GuardedPolicy
from glancekit.core.contracts.cache import CacheEntry
from glancekit.core.deadline import Deadline, DeadlineMissed
from glancekit.core.errors import ConfigError
from glancekit.core.model.image import Image, now

PATIENCE = 10.0
"""Seconds for the folder to show that it can be used."""


@dataclass(frozen=True, slots=True)
class PrefetchRule:
    """Which active images are fetched before anybody asks: those with a tag, or a property."""

    tag: str | None = None
    name: str | None = None
    value: str | None = None

    @classmethod
    def parse(cls, text: str) -> PrefetchRule:
        """Read ``tag:golden`` or ``os_distro=debian``.

        :raises ConfigError: when it is neither.
        """
        kind, colon, tag = text.partition(":")
        if kind == "tag" and colon and tag:
            return cls(tag=tag)
        name, equals, value = text.partition("=")
        if equals and name and value:
            return cls(name=name, value=value)
        raise ConfigError(
            f"[DEFAULT] image_cache_prefetch has '{text}' in it; write tag:NAME or PROPERTY=VALUE"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCache:
    """The cache of this host, as this process uses it.

    Times in seconds: after ``stall_time`` without a byte a fill is given up, every ``interval``
    what is queued or meant by ``prefetch`` is fetched. ``node`` is the URL of this host's service,
    by which others tell it from theirs. Entries are read again when nobody did for
    ``verify_after``; None: never.
    """

    folder: CacheFolder
    policy: GuardedPolicy
    fills: Background
    stall_time: float = 86400.0
    interval: float = 300.0
    prefetch: Sequence[PrefetchRule] = ()
    verify_after: timedelta | None = None
    node: str = ""
    fetching: Background = field(default_factory=lambda: Background(at_once=1))
    checking: Deadline = field(default_factory=lambda: Deadline("image cache", PATIENCE))

    def problem(self) -> str:
        """Return why the folder cannot be used now, "" when it can."""
        try:
            self.checking.call(self.folder.check)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            return f"{error.strerror or error}{where}"
        except DeadlineMissed as error:
            return str(error)
        return ""

    def admits(self, image: Image) -> bool:
        """Say whether the policy finds an image worth keeping."""
        return self.policy.admits(image)

    def expired(self) -> list[CacheEntry]:
        """Return what the policy wants gone even where there is room."""
        return list(self.policy.expired(self.folder.entries(), now()))

    def close(self) -> None:
        """Give up what is being fetched; what is half done is removed."""
        self.fetching.stop()
        self.fills.stop()
        self.checking.close()
