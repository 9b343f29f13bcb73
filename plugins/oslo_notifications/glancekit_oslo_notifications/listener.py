# SPDX-License-Identifier: Apache-2.0
"""The hook plugin ``oslo_notifications``: upstream's notifications of what upstream notifies of.

The outbox tells in order, and again until it does not raise.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, ClassVar

from glancekit.plugin import BoolOpt, Event, IntOpt, ListOpt, MultiStrOpt, StrOpt, hookimpl
from glancekit_oslo_notifications.bus import Bus
from glancekit_oslo_notifications.messages import is_wanted, message, priority_of

_DRIVERS = {"messaging", "messagingv2"}
"""Upstream's names for what is done here. Its others (log, noop) tell nobody."""

_RABBIT = ("amqp_durable_queues", "rabbit_quorum_queue", "ssl", "ssl_ca_file")


class OsloNotifications:
    """Sends to the bus that the configuration names, if it says so."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "oslo_messaging_notifications"
    options: ClassVar[Sequence[Any]] = (
        MultiStrOpt(
            "driver",
            default=[],
            help="messagingv2 or messaging: tell over the bus. Default: nobody is told.",
        ),
        StrOpt(
            "transport_url",
            default="rabbit://",
            secret=True,
            help="Address of the message bus: rabbit://user:password@host:5672/ or any other "
            "that oslo.messaging knows.",
        ),
        ListOpt("topics", default=["notifications"], help="Topics that messages are sent to."),
        IntOpt(
            "retry",
            default=1,
            min=0,
            help="How often a message is tried again at once. After that it is tried again "
            "later, for as long as it takes.",
        ),
        StrOpt("control_exchange", default="glance", help="Exchange of the topics."),
        StrOpt(
            "default_publisher_id",
            sample_default="image.<name of this host>",
            help="What messages call this service.",
        ),
        ListOpt(
            "disabled_notifications",
            default=[],
            help="Types that are not told: image.create, or image for all of images.",
        ),
        BoolOpt(
            "amqp_durable_queues",
            default=False,
            help="Let queues outlive the broker, and messages with them. All that use them have "
            "to agree on this.",
        ),
        BoolOpt("rabbit_quorum_queue", default=False, help="Use RabbitMQ's quorum queues."),
        BoolOpt("ssl", default=False, help="Connect to RabbitMQ by TLS."),
        StrOpt(
            "ssl_ca_file",
            default="",
            help="Authorities (PEM) that sign RabbitMQ's certificate.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._disabled: Sequence[str] = options.disabled_notifications
        self._publisher: str = options.default_publisher_id or f"image.{socket.gethostname()}"
        self._told = 0
        self._bus: Bus | None = None
        if set(options.driver) & _DRIVERS:
            self._bus = Bus(
                options.transport_url,
                exchange=options.control_exchange,
                topics=options.topics,
                retry=options.retry,
                rabbit={name: getattr(options, name) for name in _RABBIT},
            )

    @hookimpl
    def after_commit(self, events: Sequence[Event]) -> None:
        """Send what is new.

        :raises Unavailable: when the bus does not take it now.
        """
        for event in events:
            position = event.position or 0
            if position <= self._told:  # of a batch that was sent in part
                continue
            if self._bus is not None and is_wanted(event, self._disabled):
                self._bus.send(message(event, self._publisher), priority_of(event))
            self._told = position

    def close(self) -> None:
        """Let go of the bus."""
        if self._bus is not None:
            self._bus.close()
