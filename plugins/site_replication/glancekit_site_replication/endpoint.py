# SPDX-License-Identifier: Apache-2.0
"""A service that speaks the Images API v2: where it is, how to be let in, and one question to it.

Which questions there are is ``site``'s business. It may be asked from many threads.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from glancekit.plugin import ConfigError
from glancekit_site_replication.failures import Unanswered, refusal

ENVIRONMENT = "env"
"""What stands for the cloud that the variables OS_* name."""

UPLOAD_OFFSET = "Upload-Offset"
"""The header by which a glancekit tells where an upload in parts goes on."""

CONNECT_TIMEOUT = 10.0
"""Seconds to get a connection."""

CONNECTIONS = 64
"""Kept open to a site, at most."""

_LONGEST = 300
"""Characters of a foreign server's message that are told on."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a site is, as somebody wrote it down.

    ``name`` is what images that come from there are marked with: it must stay the same.
    """

    name: str
    url: str | None = None
    cloud: str | None = None
    region: str | None = None
    token: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cacert: str | None = None
    insecure: bool = False
    timeout: float = 60.0

    def __repr__(self) -> str:
        """Show it without what lets one in."""
        return f"Address({self.name!r})"


class Transport(Protocol):
    """A way to a service. Paths begin after ``/v2``; redirects are not followed.

    ``project`` is the caller's there, None where nobody here knows it.
    """

    url: str
    project: str | None

    def send(self, method: str, path: str, **request: Any) -> requests.Response:
        """Send a request as ``requests`` would and return whatever is answered."""
        ...


class _Plain:
    """A service at a URL, with a token or none."""

    def __init__(self, address: Address) -> None:
        self.url = _root(address.url or "")
        self._timeout = (CONNECT_TIMEOUT, address.timeout)
        self._session = requests.Session()
        self._session.verify = _trust(address)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        self._session.headers.update(address.headers)
        # Whose a token is, the service alone knows.
        self.project = None if address.token else _told_project(address.headers)
        if address.token:
            self._session.headers["X-Auth-Token"] = address.token

    def send(self, method: str, path: str, **request: Any) -> requests.Response:
        """See the protocol."""
        return self._session.request(
            method,
            f"{self.url}/v2{path}",
            timeout=self._timeout,
            allow_redirects=False,
            **request,
        )


class _Cloud:
    """A service in a cloud that openstacksdk knows how to get into; it renews its tokens."""

    def __init__(self, address: Address) -> None:
        try:
            import openstack
        except ImportError as error:
            raise ConfigError(
                "clouds.yaml and OS_* variables need openstacksdk: "
                "pip install 'glancekit-site-replication[clouds]'. A plain URL does without."
            ) from error
        given: dict[str, Any] = {}
        if address.cloud != ENVIRONMENT:
            given["cloud"] = address.cloud
        if address.region:
            given["region_name"] = address.region
        if address.insecure or address.cacert:
            given |= {"verify": not address.insecure, "cacert": address.cacert}
        try:
            self._images = openstack.connect(**given).image
            self.url = str(self._images.get_endpoint())
            self.project: str | None = self._images.get_project_id()
        except Exception as error:
            # Each auth plugin has errors of its own; all mean that there is no way in.
            raise Unanswered(
                f"there is no way into the cloud {address.cloud}: {type(error).__name__}"
            ) from error
        self._timeout = address.timeout

    def send(self, method: str, path: str, **request: Any) -> requests.Response:
        """See the protocol."""
        from keystoneauth1 import exceptions

        try:
            answer: requests.Response = self._images.request(
                path, method, raise_exc=False, redirect=False, timeout=self._timeout, **request
            )
        except (exceptions.ConnectFailure, exceptions.ConnectTimeout) as error:
            raise requests.ConnectionError(str(error)) from error
        except exceptions.ClientException as error:
            raise requests.RequestException(type(error).__name__) from error
        return answer


class Endpoint:
    """One service under a name, and what goes wrong with it in our words."""

    def __init__(self, address: Address) -> None:
        """Find out how it is reached; a plain URL is not asked yet.

        :raises ConfigError: when the address makes no sense.
        :raises Unanswered: when there is no way into the cloud.
        """
        self.name = address.name
        self._address = address
        self._transport: Transport = _Plain(address) if address.url else _Cloud(address)
        self.project = self._transport.project

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> requests.Response:
        """Send a request and return its answer; ``what`` completes "the site does not ...".

        An answer that sends us to where the bytes are is followed, once, without the token.

        :raises ReplicationError: when no answer comes, or it is a refusal.
        """
        sent = {"Accept": "application/json, */*;q=0.5", **(headers or {})}
        try:
            answer = self._transport.send(method, path, headers=sent, **request)
            if method == "GET" and answer.status_code in _REDIRECTS:
                answer = self._elsewhere(answer, sent, stream=bool(request.get("stream")))
            if answer.status_code >= 300:
                with answer:
                    message = _message(answer.text)
                    offset = answer.headers.get(UPLOAD_OFFSET)
                    raise refusal(self.name, what, answer.status_code, message, offset=offset)
        except requests.RequestException as error:
            raise Unanswered(f"{self.name} does not {what}: {reason(error)}") from error
        return answer

    def _elsewhere(
        self, answer: requests.Response, headers: Mapping[str, str], *, stream: bool
    ) -> requests.Response:
        target = urljoin(answer.url, answer.headers.get("Location", ""))
        answer.close()
        return requests.get(
            target,
            headers=dict(headers),
            stream=stream,
            timeout=(CONNECT_TIMEOUT, self._address.timeout),
            verify=_trust(self._address),
            allow_redirects=False,
        )


def site_name(url: str) -> str:
    """Return what a site at a URL is called where nobody says otherwise: host, port and path."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path.rstrip("/").removesuffix("/v2")


def reason(error: requests.RequestException) -> str:
    """Return why no answer came; what the library says may have the URL and more in it."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not to be trusted"
    if isinstance(error, requests.Timeout):
        return "it took too long"
    if isinstance(error, requests.ConnectionError):
        return "the connection was refused or broke"
    return type(error).__name__


def _root(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{site_name(url) or url!r} is no URL of a service: http://host:9292")
    return url.rstrip("/").removesuffix("/v2")


def _told_project(headers: Mapping[str, str]) -> str | None:
    """Return the project in headers that stand for those of a proxy."""
    told = {name.lower(): value for name, value in headers.items()}
    return told.get("x-project-id") or told.get("x-tenant-id") or None


def _trust(address: Address) -> bool | str:
    return False if address.insecure else address.cacert or True


def _message(body: str) -> str:
    """Return the sentence in an error's body: ours is JSON, upstream's may be a page."""
    try:
        found = json.loads(body)
    except ValueError:
        return _plain(re.sub(r"<title>.*?</title>|<h1>.*?</h1>", " ", body, flags=re.DOTALL))
    message = found.get("message") if isinstance(found, dict) else None
    return _plain(message) if isinstance(message, str) else ""


def _plain(text: str) -> str:
    for _ in range(2):  # upstream's sentences have tags of their own, which a page escapes
        text = html.unescape(re.sub(r"<[^>]*>", " ", text))
    return "".join(filter(str.isprintable, " ".join(text.split())))[:_LONGEST]
