# SPDX-License-Identifier: Apache-2.0
"""An account of a Swift: requests with a token that is renewed where it has to be.

The only module that knows the HTTP client; how to log in is the business of ``logins``. Requests
are made through keystoneauth's session, which
knows every way to log in and is safe for threads; swiftclient's own connection is neither.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol, Self
from urllib.parse import quote, urlsplit

import requests
from keystoneauth1 import exceptions as login
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from requests.adapters import HTTPAdapter

from glancekit.plugin import GlancekitError, StoreUnavailable
from glancekit_swift_store.failures import refusal, translated
from glancekit_swift_store.logins import Login
from glancekit_swift_store.options import Settings

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a request is made in all; the pause before the next one doubles each time."""

PAUSE = 0.2
"""Seconds before the second attempt."""

_CONNECTIONS = 64
"""Connections that are kept for the next request; beyond these they are made and closed again."""


class Body(Protocol):
    """What is sent with a request, piece by piece."""

    def __iter__(self) -> Iterator[bytes]:
        """Give the pieces."""
        ...

    @property
    def stays(self) -> bool:
        """All of it is at hand until it is answered, so that it can be sent again in any case."""
        ...

    def rewind(self) -> bool:
        """Make ready to be sent once more; False when that is not possible any longer."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request of an account. ``path`` has no quotes; ``deed`` says what it is for.

    ``patience`` is how many seconds its answer may take beyond the usual.
    """

    deed: str
    method: str
    path: tuple[str, ...] = ()
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    body: Body | bytes | None = None
    stream: bool = False
    patience: float = 0.0


class Account:
    """Requests to one account, with errors of ours."""

    def __init__(
        self, plugin: BaseAuthPlugin, settings: Settings, endpoint: str | None = None
    ) -> None:
        """Keep what it takes to log in.

        :param endpoint: the account's URL, should it not be the one that a login tells.
        """
        self._settings = settings
        self._plugin = plugin
        self._http = requests.Session()
        # Logins that differ share the connections: what a server says to one is not the others'.
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, _Adapter(settings.connect_timeout))
        self.session = self._session_of(plugin)
        self._url = endpoint

    def at(self, url: str) -> Self:
        """Return another account, with the same login."""
        other = copy.copy(self)
        other._url = url
        return other

    def with_login(self, plugin: BaseAuthPlugin, url: str) -> Self:
        """Return an account with another login, over the same connections."""
        other = self.at(url)
        other._plugin = plugin
        other.session = self._session_of(plugin)
        return other

    def _session_of(self, plugin: BaseAuthPlugin) -> Session:
        return Session(
            auth=plugin,
            session=self._http,
            verify=self._settings.verify,
            timeout=self._settings.read_timeout,
            user_agent="glancekit",
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def url(self) -> str:
        """The account's URL, as the catalog has it."""
        if self._url is None:
            self._url = self._look_up()
        return self._url

    @property
    def project_id(self) -> str:
        """The project that the login is for; empty where the server does not tell."""
        with translated("logging in"):
            return str(self.session.get_project_id() or "")

    @property
    def path(self) -> str:
        """The path of that."""
        return urlsplit(self.url).path

    @property
    def origin(self) -> str:
        """Scheme and host of that."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def check(self) -> None:
        """Return when the account can be used."""
        self.ask(Request("looking for the account", "HEAD"), {200, 204})

    def require_answer(self) -> None:
        """Return when the server knows of the account, be it only that there is none."""
        self.ask(Request("looking for the account", "HEAD"), {200, 204, 404})

    def metadata(self) -> Mapping[str, str]:
        """Return the account's own headers."""
        return self.ask(Request("looking for the account", "HEAD"), {200, 204}).headers

    def containers(self, prefix: str) -> Iterator[str]:
        """List the containers whose names begin so."""
        marker = ""
        while True:
            query = {"format": "json", "prefix": prefix, "marker": marker}
            asked = Request("listing the account", "GET", query=query)
            page = self.ask(asked, {200}).json()
            yield from (str(entry["name"]) for entry in page)
            if not page:
                return
            marker = page[-1]["name"]

    def ask(self, request: Request, wanted: Collection[int]) -> requests.Response:
        """Return the answer; what has failed and may be otherwise is tried again.

        :param wanted: the statuses that are answers, and no errors.
        """
        attempt = 1
        while True:
            try:
                return self._ask_once(request, wanted)
            except StoreUnavailable as error:
                if attempt == ATTEMPTS or has_waited(error) or not _rewound(request.body):
                    raise
                log.info("%s is tried again after: %s", request.deed, error)
            time.sleep(PAUSE * 2 ** (attempt - 1))
            attempt += 1

    def _ask_once(self, request: Request, wanted: Collection[int]) -> requests.Response:
        if not _stays(request.body):
            self._renew_what_is_refused(request)
        answer = self._send(request)
        if answer.status_code == 401:
            # The token was taken back or has expired early. Only a fresh one can tell whether it
            # is the password that is wrong.
            answer.close()
            self._forget_token_of(answer)
            if not _rewound(request.body):
                raise StoreUnavailable(f"{request.deed}: the token expired midway")
            answer = self._send(request)
        if answer.status_code in wanted:
            return answer
        with answer:
            raise refusal(request.deed, answer.status_code, answer.reason)

    def _send(self, request: Request) -> requests.Response:
        url = "/".join([self.url, *(quote(part) for part in request.path)])
        settings = self._settings
        # While a body is being sent, requests goes by the time-out for connections.
        connect = settings.connect_timeout if request.body is None else settings.read_timeout
        with translated(request.deed):
            self._renew_what_expires_soon()
            return self.session.request(
                url,
                request.method,
                params=dict(request.query or {}),
                headers={"Accept-Encoding": "identity", **(request.headers or {})},
                data=request.body,
                stream=request.stream,
                timeout=(connect, settings.read_timeout + request.patience),
                allow_reauth=False,
                raise_exc=False,
                redirect=False,
                log=False,
            )

    def _renew_what_expires_soon(self) -> None:
        plugin = self._plugin
        if not isinstance(plugin, Login):
            return  # a caller's token, which cannot be had again
        access = plugin.get_access(self.session)
        if access.will_expire_soon(self._settings.expires_soon):
            plugin.forget(access.auth_token)

    def _renew_what_is_refused(self, request: Request) -> None:
        """Find out that the token was taken back before a body is sent that cannot be sent twice.

        A server takes in the whole of it before it says so.
        """
        with self._send(Request(request.deed, "HEAD", request.path[:1])) as answer:
            if answer.status_code == 401:
                self._forget_token_of(answer)

    def _forget_token_of(self, answer: requests.Response) -> None:
        """Log in again before the next request, unless another thread has done so since."""
        if isinstance(self._plugin, Login):
            self._plugin.forget(answer.request.headers["X-Auth-Token"])

    def _look_up(self) -> str:
        with translated("logging in"):
            found = self.session.get_endpoint(
                service_type=self._settings.service_type,
                interface=self._settings.interface,
                region_name=self._settings.region,
            )
        if not found:
            raise StoreUnavailable(
                f"the catalog has no {self._settings.interface} endpoint of the type "
                f"{self._settings.service_type}"
            )
        return str(found).rstrip("/")


class _Adapter(HTTPAdapter):
    """Connections that are not waited for any longer than the operator wants.

    A login comes with one time-out for all, which is as long as an answer may take.
    """

    def __init__(self, connect_timeout: float) -> None:
        super().__init__(8, _CONNECTIONS)
        self._connect_timeout = connect_timeout

    def send(self, *args: Any, **more: Any) -> requests.Response:
        """See the base."""
        if isinstance(more.get("timeout"), int | float):
            more["timeout"] = (self._connect_timeout, more["timeout"])
        return super().send(*args, **more)


def _stays(body: Body | bytes | None) -> bool:
    return body is None or isinstance(body, bytes) or body.stays


def _rewound(body: Body | bytes | None) -> bool:
    return body is None or isinstance(body, bytes) or body.rewind()


def has_waited(error: GlancekitError) -> bool:
    """Say whether an error took the time of an answer: a second one would take it again."""
    cause: BaseException | None = error
    while cause is not None:
        # Where it is a body that is not taken in, there is only the socket's own error.
        if isinstance(cause, requests.Timeout | login.ConnectTimeout | TimeoutError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
