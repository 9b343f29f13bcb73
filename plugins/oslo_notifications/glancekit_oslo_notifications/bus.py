# SPDX-License-Identifier: Apache-2.0
"""The message bus, by oslo.messaging. What is sent is not its business.

oslo.messaging's own notifier writes a line to the log where it cannot send, and forgets the
message; so each is sent here one step below it, where what went wrong is raised.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from amqp.exceptions import AMQPError
from kombu.exceptions import KombuError

from glancekit.plugin import ConfigError, Unavailable

_VERSION = 2.0
"""Of the envelope, that of the driver ``messagingv2``."""


class Bus:
    """One transport, made when the first message is sent."""

    def __init__(
        self,
        url: str,
        *,
        exchange: str,
        topics: Sequence[str],
        retry: int,
        rabbit: Mapping[str, Any],
    ) -> None:
        """Keep what is known of it.

        :param retry: how often sending is tried again, at once.
        :param rabbit: options of ``[oslo_messaging_rabbit]``.
        """
        self._url = url
        self._exchange = exchange
        self._topics = topics
        self._retry = retry
        self._rabbit = rabbit
        self._transport: Any = None

    def send(self, message: Mapping[str, Any], priority: str) -> None:
        """Send a message to all topics; it is with the broker when this returns.

        :raises Unavailable: when that cannot be, now.
        :raises ConfigError: when the bus's address is none.
        """
        messaging = _library()
        transport = self._connected(messaging)
        for topic in self._topics:
            target = messaging.Target(topic=f"{topic}.{priority.lower()}", exchange=self._exchange)
            try:
                transport._send_notification(
                    target, {}, dict(message), version=_VERSION, retry=self._retry
                )
            except (messaging.MessagingException, KombuError, AMQPError, OSError) as error:
                raise Unavailable(
                    f"the message bus cannot be told: {type(error).__name__}"
                ) from error

    def close(self) -> None:
        """Let go of the connections."""
        if self._transport is not None:
            self._transport.cleanup()
            self._transport = None

    def _connected(self, messaging: Any) -> Any:
        if self._transport is None:
            from oslo_config import cfg

            conf = cfg.ConfigOpts()
            conf([], project="glancekit", default_config_files=[], default_config_dirs=[])
            try:
                self._transport = messaging.get_notification_transport(conf, url=self._url)
            except (messaging.InvalidTransportURL, messaging.DriverLoadFailure) as error:
                # The address itself may have a password in it.
                raise ConfigError(
                    "[oslo_messaging_notifications] transport_url is none that oslo.messaging "
                    "knows; write rabbit://user:password@host:5672/"
                ) from error
            if hasattr(conf, "oslo_messaging_rabbit"):
                for name, value in self._rabbit.items():
                    conf.set_override(name, value, group="oslo_messaging_rabbit")
        return self._transport


def _library() -> Any:
    """Import oslo.messaging without eventlet, which a service of ours keeps out.

    The servers of oslo.messaging, which nobody has here, are services of oslo.service, and that
    insists on eventlet, or on a package for running many of them. So they are plain classes.
    """
    kinds = ModuleType("oslo_service.service")
    kinds.ServiceBase = type("ServiceBase", (), {})  # type: ignore[attr-defined]
    is_ours = sys.modules.setdefault(kinds.__name__, kinds) is kinds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oslo_messaging
    if is_ours:  # whoever wants to run services gets the real one
        del sys.modules[kinds.__name__]
    return oslo_messaging
