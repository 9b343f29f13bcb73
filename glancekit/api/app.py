# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: what happens to every request before and after its own route.

Which routes there are is v2/router's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, g, request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from werkzeug.exceptions import BadRequest
from werkzeug.routing import MapAdapter, Rule

from glancekit.api import errors, request_ids
from glancekit.api.auth import Callers
from glancekit.api.body import JSON_LIMIT, has_body, request_body
from glancekit.api.cors import Cors
from glancekit.api.health import HealthCheck
from glancekit.api.metrics import Metrics
from glancekit.api.openapi.page import Documentation
from glancekit.api.options import ApiSettings
from glancekit.api.proxies import Proxies
from glancekit.api.rate_limit import RateLimits
from glancekit.api.standing_numbers import StandingNumbers
from glancekit.api.v2.router import TAKES_BODY, add_routes
from glancekit.api.versions import VersionNegotiation, Versions
from glancekit.core import logcontext
from glancekit.core.errors import Unauthenticated
from glancekit.core.model.identity import Identity
from glancekit.services.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CREATES_IMAGE = "POST /v2/images"
"""The endpoint that adds records, which cost nothing but are never forgotten (OSSN-0076)."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def create_app(
    world: World, settings: ApiSettings | None = None, metrics: Metrics | None = None
) -> Flask:
    """Build the application on a built world. What is switched off costs nothing."""
    settings = settings or ApiSettings()
    app = _ImagesApp("glancekit", static_folder=None, template_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.config[JSON_LIMIT] = settings.json_limit
    app.url_map.merge_slashes = False
    _add_unversioned_routes(app, world)
    add_routes(app, world)
    if metrics is not None:
        metrics.add(StandingNumbers(world))
        _add_metrics(app, metrics)
    _add_frame(app, world, settings)
    app.wsgi_app = _in_front(app.wsgi_app, settings, world)  # type: ignore[method-assign, assignment]
    return app


def _in_front(
    application: WSGIApplication, settings: ApiSettings, world: World
) -> WSGIApplication:
    """Put in front what is WSGI: the last one meets a request first."""
    application = VersionNegotiation(application, with_cache=world.cache is not None)
    if settings.proxies.is_on:
        application = Proxies(application, settings.proxies)
    if settings.cors.allowed_origin:
        application = Cors(application, settings.cors)
    return application


class _PlainRule(Rule):
    """A route that has HEAD only where its methods name it: elsewhere HEAD is a 405."""

    def __init__(self, string: str, **options: Any) -> None:
        super().__init__(string, **options)
        if self.methods is not None and "HEAD" not in (options.get("methods") or ()):
            self.methods.discard("HEAD")


class _NoSessions(SessionInterface):
    """Each request says who sends it, so nobody has a session."""

    def __init__(self) -> None:
        self._none = NullSession()

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        """Return what is nobody's, and so never saved."""
        return self._none


class _ImagesApp(Flask):
    """Flask with plain routes and functions, whatever host a request names."""

    url_rule_class: type[Rule] = _PlainRule
    session_interface: SessionInterface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none here is a coroutine, which Flask would look for each time."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the route of a path, which host and scheme have no part in."""
        if request is None:
            return None
        return self.url_map.bind(
            "",
            script_name=request.root_path,
            path_info=request.path,
            default_method=request.method,
        )


def _add_unversioned_routes(app: Flask, world: World) -> None:
    versions = Versions(world.settings.public_endpoint, with_cache=world.cache is not None)
    health = HealthCheck(world)
    every = sorted(_METHODS - {"OPTIONS"})
    app.add_url_rule("/", endpoint="choices", view_func=versions.choices, methods=every)
    app.add_url_rule("/versions", endpoint="versions", view_func=versions.listing)
    app.add_url_rule("/v2", endpoint="v2", view_func=versions.to_slash)
    app.add_url_rule(
        "/healthcheck", endpoint="health", view_func=health.show, methods=["GET", "HEAD"]
    )
    documentation = Documentation(app, world.settings)
    app.add_url_rule("/openapi.json", endpoint="openapi", view_func=documentation.document)
    app.add_url_rule("/docs", endpoint="docs", view_func=documentation.page)


def _add_frame(app: Flask, world: World, settings: ApiSettings) -> None:
    """Add what every request passes on its way in and every answer on its way out."""
    max_length = world.settings.max_request_id_length
    limits = RateLimits(settings.rate_limit) if settings.rate_limit.is_on else None
    callers = Callers(world)

    @app.before_request
    def admit() -> None:
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        environ = asked.environ
        logcontext.begin(image_id=(asked.view_args or {}).get("image_id"))
        request_id = request_ids.request_id_of(environ, max_length=max_length)
        g.request_id = request_id
        logcontext.note(request_id=request_id)
        _require_readable(environ["PATH_INFO"])
        if not asked.path.startswith("/v2/") or asked.method == "OPTIONS":
            if limits and asked.endpoint not in ("health", "metrics"):
                limits.admit_unknown(environ)
            return
        caller = _admitted(world, callers, asked, request_id, limits)
        g.caller = caller
        logcontext.note(project_id=caller.project_id)
        if asked.routing_exception is None and has_body(environ):
            _require_expected_body()

    @app.errorhandler(Exception)
    def answer_error(error: Exception) -> Response:
        return errors.answer(error, request_id=_request_id(), challenge=callers.challenge)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers[request_ids.HEADER] = _request_id()
        if response.status_code >= 400 and has_body(request.environ):
            _drain()
        return response


def _add_metrics(app: Flask, metrics: Metrics) -> None:
    """Count every request, from before anything else is asked of it, and show the numbers."""

    @app.before_request
    def begin() -> None:
        g.begun_at = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        if "begun_at" in g:
            rule = request.url_rule
            route = "none" if rule is None else rule.rule  # never what a client made up
            seconds = time.perf_counter() - g.begun_at
            metrics.answered(request.method, route, response.status_code, seconds)
        return response

    app.add_url_rule("/metrics", endpoint="metrics", view_func=metrics.show)


def _admitted(
    world: World, callers: Callers, asked: Request, request_id: str, limits: RateLimits | None
) -> Identity:
    """Return who sends a request, unless they send too many."""
    environ = asked.environ
    if limits is None:
        return world.access.recognise(callers.identify(environ, request_id))
    limits.require_patience(environ)
    try:
        identity = world.access.recognise(callers.identify(environ, request_id))
    except Unauthenticated:
        limits.admit_unknown(environ)
        raise
    limits.admit(identity, creates=asked.endpoint == CREATES_IMAGE)
    return identity


def _request_id() -> str:
    """Return the id of the current request, which gets one when it came with an unfit one."""
    known = g.get("request_id")
    if known is None:
        known = g.request_id = request_ids.new_request_id()
    return str(known)


def _require_readable(path: str) -> None:
    """Refuse a path that is not UTF-8, which Flask would mend by replacing."""
    try:
        path.encode("latin-1").decode("utf-8")
    except ValueError as error:
        raise BadRequest("The path of the request is not UTF-8.") from error
    if "\0" in path:
        raise BadRequest("The path of the request has a NUL character in it.")


def _require_expected_body() -> None:
    if request.endpoint not in TAKES_BODY:
        raise BadRequest("A body is not expected with this request.")


def _drain() -> None:
    """Let a client that is still sending finish, so that it looks for the answer."""
    try:
        request_body().drain()
    except BadRequest:
        return  # its length makes no sense, so the server closes
