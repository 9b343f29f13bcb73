# SPDX-License-Identifier: Apache-2.0
"""Asking Keystone about a token, and what happens while it does not answer.

Remembering its answers is the business of grants.py.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keystoneauth1 import access, loading
from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session
from requests import Response

from glancekit.plugin import ConfigError, Unavailable
from glancekit_keystone_auth.grants import Grant

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Questions that one process asks at once: the connections that keystoneauth keeps open are 10."""

PAUSE = 2.0
"""Seconds without questions, after one that had no answer."""

RETRY_DELAY = 0.1
"""Seconds before a question is asked again whose connection broke."""

_HINTS = {403: "; the service's own user needs the role 'service' to check tokens"}

_HOPELESS = (
    keystone_errors.ConnectionError,
    keystone_errors.DiscoveryFailure,
    keystone_errors.Unauthorized,
)
"""After these no other question would fare better; the last is about the service's own login."""

_SORRY = "Tokens cannot be checked, because the identity service does not answer; try again later"

_UNINTELLIGIBLE = (LookupError, TypeError, ValueError, AttributeError)


class Keystone:
    """Keystone as the service sees it: one session of its own, shared by all threads."""

    def __init__(self, options: Any) -> None:
        """Prepare to ask; nothing is sent yet.

        :raises ConfigError: when the service's own credentials are not complete, or a file that
            the configuration names is not there.
        """
        for option in ("cafile", "certfile", "keyfile"):
            _require_file(option, getattr(options, option))
        self._session = Session(
            auth=_own_credentials(options),
            verify=False if options.insecure else options.cafile or True,
            cert=_client_certificate(options),
            timeout=options.http_connect_timeout,
            app_name="glancekit",
        )
        self._identity = Adapter(
            self._session,
            service_type="identity",
            interface=options.interface,
            region_name=options.region_name,
            min_version="3",
            max_version="3.latest",
        )
        self._retries = options.http_request_max_retries
        self._patience = options.http_connect_timeout
        self._login = threading.Lock()
        self._gate = _Gate(AT_ONCE, options.http_connect_timeout)

    def ask(self, token: str, allow_expired: bool) -> Grant | None:
        """Return what a token grants, None when Keystone refuses it.

        :raises Unavailable: when Keystone does not say.
        """
        with self._gate.turn():
            response = self._try_to_ask(token, allow_expired)
        if response.status_code == 404 and _is_keystones(response):
            return None
        if response.status_code != 200:
            hint = _HINTS.get(response.status_code, "")
            raise _unavailable(f"asked about a token it answered {response.status_code}{hint}")
        return _grant(response)

    def close(self) -> None:
        """Let go of the connections."""
        self._session.session.close()

    def _try_to_ask(self, token: str, allow_expired: bool) -> Response:
        try:
            return self._ask_again_if_cut_off(token, allow_expired)
        except (keystone_errors.ClientException, OSError) as error:
            if isinstance(error, _HOPELESS):
                self._gate.shut()
            raise _unavailable(f"{type(error).__name__}: {error}") from error

    def _ask_again_if_cut_off(self, token: str, allow_expired: bool) -> Response:
        """Ask, and again when a connection breaks; who has waited in vain does not wait twice."""
        for _ in range(self._retries):
            began = time.monotonic()
            try:
                return self._send(token, allow_expired)
            except keystone_errors.ConnectionError:
                if time.monotonic() - began >= self._patience:
                    raise
            time.sleep(RETRY_DELAY)
        return self._send(token, allow_expired)

    def _send(self, token: str, allow_expired: bool) -> Response:
        with self._login:  # else all who wait would try in vain, one after the other
            self._gate.look()
            self._session.get_token()
        query = "&allow_expired=1" if allow_expired else ""
        return self._identity.get(
            f"/auth/tokens?nocatalog{query}",
            headers={"X-Subject-Token": token},
            raise_exc=False,
            log=False,
        )


class _Gate:
    """Lets a few ask at once, and for a while nobody when Keystone has not answered.

    A Keystone that hangs then costs few threads; all others are free for who needs no answer.
    """

    def __init__(self, at_once: int, patience: float) -> None:
        self._turns = threading.BoundedSemaphore(at_once)
        self._patience = patience
        self._lock = threading.Lock()
        self._shut_until = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and have it.

        :raises Unavailable: when it does not come, or the gate is shut.
        """
        self.look()
        if not self._turns.acquire(timeout=self._patience):
            raise Unavailable("The identity service is too busy; try again later")
        try:
            self.look()
            yield
        finally:
            self._turns.release()

    def shut(self) -> None:
        """Let nobody ask for a while."""
        with self._lock:
            self._shut_until = time.monotonic() + PAUSE

    def look(self) -> None:
        """Refuse while the gate is shut.

        :raises Unavailable: when it is.
        """
        with self._lock:
            left = self._shut_until - time.monotonic()
        if left > 0:
            raise Unavailable(_SORRY, retry_after=max(1, round(left)))


def _unavailable(reason: str) -> Unavailable:
    """Tell the operator why, and return what the caller is told."""
    log.error("Keystone cannot be asked: %s", reason)
    return Unavailable(_SORRY)


def _own_credentials(options: Any) -> BaseIdentityPlugin:
    try:
        loader: loading.BaseLoader[Any] = loading.get_plugin_loader(options.auth_type)
        wanted = {option.dest for option in loader.get_options()}
        given = {name: value for name, value in vars(options).items() if name in wanted}
        auth = loader.load_from_options(**given)
    except keystone_errors.AuthPluginException as error:
        raise ConfigError(
            f"[auth] auth_type = {options.auth_type} cannot be used: {error}; set the service's "
            "own credentials (username, password, project_name, user_domain_name, "
            "project_domain_name)"
        ) from error
    if not isinstance(auth, BaseIdentityPlugin):
        raise ConfigError(
            f"[auth] auth_type = {options.auth_type} gets no tokens from a Keystone; use password "
            "or v3applicationcredential"
        )
    return auth


def _require_file(option: str, path: str | None) -> None:
    if path and not Path(path).is_file():
        raise ConfigError(f"[auth] {option} = {path}: there is no such file; name another")


def _client_certificate(options: Any) -> str | tuple[str, str] | None:
    if options.certfile and options.keyfile:
        return options.certfile, options.keyfile
    certificate: str | None = options.certfile
    return certificate


def _is_keystones(response: Response) -> bool:
    """Tell Keystone's refusal of a token from the 404 of something that is not Keystone."""
    try:
        return bool(response.json()["error"]["code"] == 404)
    except _UNINTELLIGIBLE:
        return False


def _grant(response: Response) -> Grant:
    try:
        found: Any = access.create(resp=response)  # what may be None here is wrong there
        return Grant(
            user_id=found.user_id,
            project_id=found.project_id,
            roles=frozenset(role.lower() for role in found.role_names),
            expires=found.expires.timestamp(),
        )
    except _UNINTELLIGIBLE as error:
        raise _unavailable(f"its answer makes no sense ({type(error).__name__})") from error
