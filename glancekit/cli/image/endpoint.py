# SPDX-License-Identifier: Apache-2.0
"""Where the service is and how to be let in: a plain URL, or what openstacksdk makes of a cloud.

What is asked of it is calls.py's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import click
import requests

from glancekit.cli.image.failures import refusal, unreachable

DEFAULT_URL = "http://127.0.0.1:9292"

CONNECT_TIMEOUT = 10.0
"""Seconds to get a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was typed, or found in the environment, about the service to use."""

    url: str | None = None
    token: str | None = None
    cloud: str | None = None
    cacert: str | None = None
    insecure: bool = False
    timeout: float = 60.0


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a group take which service to use; it gets a Target as ``target``."""

    @click.option(
        "--url", envvar="GLANCEKIT_URL", help="The service. Default: http://127.0.0.1:9292."
    )
    @click.option("--token", envvar="OS_TOKEN", help="Token to show to a service named by --url.")
    @click.option("--os-cloud", "cloud", envvar="OS_CLOUD", help="A cloud of clouds.yaml.")
    @click.option("--cacert", envvar="OS_CACERT", help="File of certificate authorities to trust.")
    @click.option("--insecure", is_flag=True, help="Trust any certificate.")
    @click.option(
        "--timeout",
        type=click.FloatRange(min=0.1),
        default=60.0,
        show_default=True,
        help="Seconds in which something has to move.",
    )
    @wraps(command)
    def with_target(
        *given: Any,
        url: str | None,
        token: str | None,
        cloud: str | None,
        cacert: str | None,
        insecure: bool,
        timeout: float,
        **named: Any,
    ) -> Any:
        target = Target(
            url=url,
            token=token,
            cloud=cloud,
            cacert=cacert,
            insecure=insecure,
            timeout=timeout,
        )
        return command(*given, target=target, **named)

    return with_target


class Endpoint(Protocol):
    """An Images v2 service that can be asked. Paths begin after ``/v2``."""

    url: str

    def send(self, method: str, path: str, **request: Any) -> requests.Response:
        """Send a request as ``requests`` would and return whatever is answered."""
        ...


class _Session(requests.Session):
    """Shows the token to the service alone.

    ``requests`` takes the headers that it knows for secret out of what it sends to another host,
    to which a service may send for an image's bytes; this one it does not know.
    """

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Take out what the next host is not to see."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        before, after = response.request.url, prepared_request.url
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("X-Auth-Token", None)


class _Plain:
    """A service at a URL, with a token or none."""

    def __init__(self, target: Target) -> None:
        self.url = _base(target.url or DEFAULT_URL)
        self._timeout = (CONNECT_TIMEOUT, target.timeout)
        self._session = _Session()
        self._session.verify = _verify(target)
        self._session.headers["Accept"] = "application/json, */*;q=0.5"
        if target.token:
            self._session.headers["X-Auth-Token"] = target.token

    def send(self, method: str, path: str, **request: Any) -> requests.Response:
        return self._session.request(
            method, f"{self.url}/v2{path}", timeout=self._timeout, **request
        )


class _Cloud:
    """A service in a cloud that openstacksdk knows how to get into."""

    def __init__(self, target: Target) -> None:
        try:
            import openstack
        except ImportError as error:
            raise click.UsageError(
                "OS_* variables and clouds.yaml need openstacksdk: "
                "pip install 'glancekit[client]'. A plain URL (--url) does without."
            ) from error
        given: dict[str, Any] = {"cloud": target.cloud} if target.cloud else {}
        if target.insecure or target.cacert:
            given |= {"verify": not target.insecure, "cacert": target.cacert}
        try:
            self._images = openstack.connect(**given).image
            self.url = str(self._images.get_endpoint())
        except Exception as error:
            # Each auth plugin has errors of its own; all mean that there is no way in.
            raise unreachable("the cloud", f"{type(error).__name__}: {error}") from error
        self._timeout = target.timeout

    def send(self, method: str, path: str, **request: Any) -> requests.Response:
        from keystoneauth1 import exceptions

        headers = {"Accept": "application/json, */*;q=0.5", **request.pop("headers", {})}
        request |= {"headers": headers, "timeout": self._timeout}
        try:
            answer: requests.Response = self._images.request(
                path, method, raise_exc=False, redirect=False, **request
            )
        except (exceptions.ConnectFailure, exceptions.ConnectTimeout) as error:
            raise requests.ConnectionError(str(error)) from error
        if not answer.is_redirect:
            return answer
        # Not by keystoneauth, which would show the token there.
        with answer:
            elsewhere = urljoin(answer.url, answer.headers["Location"])
        verify = self._images.session.verify
        return requests.request(method, elsewhere, verify=verify, **request)


def connect(target: Target) -> Endpoint:
    """Return the service that is meant: a URL counts more than a cloud, that more than nothing."""
    if target.url:
        return _Plain(target)
    if target.cloud or any(os.environ.get(name) for name in ("OS_AUTH_URL", "OS_ENDPOINT")):
        return _Cloud(target)
    return _Plain(target)


def ask(
    endpoint: Endpoint,
    method: str,
    path: str,
    what: str,
    *,
    headers: Mapping[str, str] | None = None,
    **request: Any,
) -> requests.Response:
    """Send a request and return its answer; ``what`` says in messages what was wanted.

    :raises Failed: when no answer comes, or it is a refusal.
    """
    try:
        answer = endpoint.send(method, path, headers=dict(headers or {}), **request)
    except requests.RequestException as error:
        raise unreachable(endpoint.url, reason(error)) from error
    if answer.status_code >= 300:
        with answer:
            raise refusal(answer.status_code, answer.text, what)
    return answer


def reason(error: requests.RequestException) -> str:
    """Return in words why no answer came."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not to be trusted (--cacert names another authority)"
    if isinstance(error, requests.Timeout):
        return "it took too long"
    if isinstance(error, requests.ConnectionError):
        return "the connection was refused or broke"
    return str(error)


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise click.UsageError(f"{url!r} is no URL of a service, such as {DEFAULT_URL}")
    return url.rstrip("/").removesuffix("/v2")


def _verify(target: Target) -> bool | str:
    return False if target.insecure else target.cacert or True
