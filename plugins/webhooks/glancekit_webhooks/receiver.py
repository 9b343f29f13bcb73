# SPDX-License-Identifier: Apache-2.0
"""One web server that is told of events, one at a time. Telling again is not its business."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import requests

from glancekit.plugin import Event, GlancekitError, Unavailable
from glancekit_webhooks import cloud_events, signing

_LATER = frozenset({408, 425, 429})
"""Answers besides 5xx that mean: not now."""

_MOST_ANSWER = 4096
"""Bytes of an answer that are read, so that the connection can be used again."""


class Refused(GlancekitError):
    """The receiver does not want this event."""


class Receiver:
    """A name and a URL."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        secret: str | None,
        source: str,
        timeout: float,
        trust: str | bool,
    ) -> None:
        """Keep what is known of it.

        :param trust: a file of authorities, or whether certificates are looked at.
        :raises ConfigError: when the secret is none.
        """
        self.name = name
        self._url = url
        self._secret = secret
        self._source = source
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # nobody's .netrc, and no proxy by accident
        self._session.verify = trust
        signing.key(secret or "")

    def send(self, event: Event) -> None:
        """Tell it, and see that it has understood.

        :raises Unavailable: when it does not answer, or not now.
        :raises Refused: when it does not want it.
        """
        body = cloud_events.body(event, self._source)
        signed = signing.headers(self._secret, cloud_events.id_of(event), int(time.time()), body)
        status = self._post(body, {**signed, "Content-Type": cloud_events.CONTENT_TYPE})
        if status >= 500 or status in _LATER:
            raise Unavailable(f"webhook {self.name}: {self._shown} answered {status}")
        if not 200 <= status < 300:
            raise Refused(f"webhook {self.name}: {self._shown} answered {status}")

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            with self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                answer.raw.read(_MOST_ANSWER)
                return answer.status_code
        except (requests.RequestException, OSError) as error:
            reason = type(error).__name__
            raise Unavailable(
                f"webhook {self.name}: {self._shown} cannot be told ({reason})"
            ) from None

    @property
    def _shown(self) -> str:
        """The URL without what may be a credential."""
        return urlsplit(self._url).hostname or ""
