# SPDX-License-Identifier: Apache-2.0
"""Projects' limits from Keystone (unified limits, flat enforcement), remembered for a while.

Tokens are not its business: it logs in with credentials of its own, since reading the limits of
all projects takes a role on the system.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1 import loading
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from glancekit.plugin import ConfigError, FloatOpt, LimitSource, Quota, StrOpt, Unavailable
from glancekit_keystone_auth.options import OPTIONS

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds without questions, after one that had no answer."""

REMEMBERED = 10_000
"""Most projects that one process remembers."""

_ABOUT_TOKENS = ("token_", "service_token_", "www_")

_UNINTELLIGIBLE = (LookupError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class _Answer:
    limits: Mapping[Quota, int]
    at: float


class KeystoneLimits(LimitSource):
    """Registered limits of this service, and what single projects have instead."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "oslo_limit"
    options: ClassVar[Sequence[Any]] = (
        *(option for option in OPTIONS if not option.dest.startswith(_ABOUT_TOKENS)),
        StrOpt(
            "endpoint_id",
            required=True,
            help="Id of an endpoint of this image service in Keystone's catalog: limits are "
            "registered for its service and region.",
        ),
        FloatOpt(
            "limit_cache_time",
            default=30.0,
            min=0.0,
            help="Seconds for which a project's limits count before Keystone is asked again.",
        ),
        FloatOpt(
            "limit_stale_time",
            default=900.0,
            min=0.0,
            help="Seconds for which a project's last known limits count while Keystone does not "
            "answer; requests that need others are answered with 503 meanwhile.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        """Prepare to ask; nothing is sent yet.

        :raises ConfigError: when the service's own credentials are not complete.
        """
        self._session = _session(options)
        self._identity = Adapter(
            self._session,
            service_type="identity",
            interface=options.interface,
            region_name=options.region_name,
            min_version="3",
            max_version="3.latest",
            connect_retries=options.http_request_max_retries,
        )
        self._patience = options.http_connect_timeout
        self._endpoint_id = options.endpoint_id
        self._cache_time = options.limit_cache_time
        self._stale_time = options.limit_stale_time
        self._scope: dict[str, str] = {}
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._asking = threading.Lock()
        self._shut_until = 0.0

    def is_limiting(self) -> bool:
        """See the contract."""
        return True

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """See the contract."""
        answer = self._answers.get(project_id)
        if answer is not None and self._is_younger(answer, self._cache_time):
            return answer.limits
        try:
            return self._ask_in_turn(project_id)
        except Unavailable:
            if answer is not None and self._is_younger(answer, self._stale_time):
                return answer.limits
            raise

    def close(self) -> None:
        """See the contract."""
        self._session.session.close()

    def _is_younger(self, answer: _Answer, seconds: float) -> bool:
        return time.monotonic() - answer.at < seconds

    def _ask_in_turn(self, project_id: str) -> Mapping[Quota, int]:
        """Ask, one thread at a time: a Keystone that hangs costs one, the others refuse."""
        began = time.monotonic()
        if not self._asking.acquire(timeout=self._patience):
            raise _unavailable()
        try:
            answer = self._answers.get(project_id)
            if answer is not None and answer.at >= began:  # another has asked meanwhile
                return answer.limits
            if time.monotonic() < self._shut_until:
                raise _unavailable()
            return self._ask(project_id)
        finally:
            self._asking.release()

    def _ask(self, project_id: str) -> Mapping[Quota, int]:
        at = time.monotonic()
        try:
            limits = self._read(project_id)
        except (keystone_errors.ClientException, OSError, *_UNINTELLIGIBLE) as error:
            self._shut_until = time.monotonic() + PAUSE
            log.error("Keystone does not tell limits: %s: %s", type(error).__name__, error)
            raise _unavailable() from error
        self._answers.pop(project_id, None)
        self._answers[project_id] = _Answer(limits, at)
        while len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return limits

    def _read(self, project_id: str) -> Mapping[Quota, int]:
        if not self._scope:
            self._scope = self._find_scope()
        usual = _by_name(
            self._get("/registered_limits", self._scope)["registered_limits"], "default_limit"
        )
        own = self._own_limits(project_id)
        found = {quota: {**usual, **own}.get(quota.value) for quota in Quota}
        for quota, limit in found.items():
            if limit is None:
                # As oslo.limit has it: who asks for limits and registers none allows nothing.
                log.warning("no limit for %s is registered in Keystone: taken as 0", quota.value)
        return {quota: limit or 0 for quota, limit in found.items() if limit is None or limit >= 0}

    def _own_limits(self, project_id: str) -> dict[str, int]:
        """Return what a project has instead: nothing where Keystone can have no such project.

        Another auth driver's ids need not have the form of Keystone's, which refuses to look for
        others; taken for an outage, that would cost all projects their limits for a while.
        """
        try:
            answer = self._get("/limits", {**self._scope, "project_id": project_id})
        except keystone_errors.BadRequest as error:
            log.info("Keystone has no limits of project %r: %s", project_id, error)
            return {}
        return _by_name(answer["limits"], "resource_limit")

    def _find_scope(self) -> dict[str, str]:
        endpoint = self._get(f"/endpoints/{self._endpoint_id}", {})["endpoint"]
        scope = {"service_id": endpoint["service_id"], "region_id": endpoint.get("region_id")}
        return {name: str(value) for name, value in scope.items() if value}

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        return self._identity.get(path, params=dict(query), log=False).json()


def _by_name(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, int]:
    return {str(row["resource_name"]): int(row[column]) for row in rows}


def _unavailable() -> Unavailable:
    return Unavailable(
        "Quotas cannot be checked, because the identity service does not answer; try again later",
        retry_after=round(PAUSE),
    )


def _session(options: Any) -> Session:
    return Session(
        auth=_credentials(options),
        verify=False if options.insecure else options.cafile or True,
        cert=(options.certfile, options.keyfile) if options.keyfile else options.certfile,
        timeout=options.http_connect_timeout,
        app_name="glancekit",
    )


def _credentials(options: Any) -> BaseIdentityPlugin:
    try:
        loader: loading.BaseLoader[Any] = loading.get_plugin_loader(options.auth_type)
        wanted = {option.dest for option in loader.get_options()}
        given = {name: value for name, value in vars(options).items() if name in wanted}
        make: Callable[..., Any] = loader.load_from_options
        auth = make(**given)
    except keystone_errors.AuthPluginException as error:
        raise ConfigError(
            f"[oslo_limit] auth_type = {options.auth_type} cannot be used: {error}; set username, "
            "password, user_domain_name and system_scope = all"
        ) from error
    if not isinstance(auth, BaseIdentityPlugin):
        raise ConfigError(
            f"[oslo_limit] auth_type = {options.auth_type} gets no tokens from a Keystone; use "
            "password or v3applicationcredential"
        )
    return auth
