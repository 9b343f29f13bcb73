# SPDX-License-Identifier: Apache-2.0
"""Cross-origin requests (CORS): which web pages may ask, what they may send, what they may read.

Whether a request may do what it asks for is decided elsewhere, as for every other request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from oslo_config import cfg

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ANY = "*"

SIMPLE_HEADERS = (
    "Accept", "Accept-Language", "Cache-Control", "Content-Language", "Content-Type", "Expires",
    "Last-Modified", "Pragma",
)  # fmt: skip
"""Always allowed. Content-Type is among them because image data have one that needs allowing."""

CORS_OPTIONS: list[cfg.Opt] = [
    cfg.ListOpt(
        "allowed_origin",
        help="Origins (scheme://host[:port]) whose web pages may use the service from a browser, "
        "for example a dashboard that uploads images directly; '*' is every origin. "
        "Default: none, and requests are not looked at.",
    ),
    cfg.BoolOpt(
        "allow_credentials",
        default=True,
        help="Let pages send credentials that the browser keeps. Never with the origin '*'.",
    ),
    cfg.ListOpt(
        "expose_headers",
        default=[
            *("X-Image-Meta-Checksum", "X-Auth-Token", "X-Subject-Token", "X-Service-Token"),
            *("X-OpenStack-Request-ID", "Content-MD5", "Content-Range", "Location"),
            *(
                "Upload-Offset",
                "OpenStack-image-import-methods",
                "OpenStack-image-store-ids",
                "Retry-After",
            ),
        ],
        help="Headers of answers that pages may read.",
    ),
    cfg.IntOpt(
        "max_age", default=3600, min=0, help="Seconds for which a browser may remember all this."
    ),
    cfg.ListOpt(
        "allow_methods",
        default=["GET", "PUT", "POST", "DELETE", "PATCH"],
        help="Methods that pages may use.",
    ),
    cfg.ListOpt(
        "allow_headers",
        default=[
            *("Content-MD5", "X-Image-Meta-Checksum", "X-Storage-Token", "Accept-Encoding"),
            *("X-Auth-Token", "X-Identity-Status", "X-Roles", "X-Service-Catalog", "X-User-Id"),
            *("X-Tenant-Id", "X-OpenStack-Request-ID", "X-OpenStack-Image-Size"),
            *("X-Image-Meta-Store", "Range", "Content-Range", "Upload-Version"),
        ],
        help="Headers of requests that pages may set, besides those that are harmless.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsSettings:
    """What ``[cors]`` says."""

    allowed_origin: tuple[str, ...] = ()
    allow_credentials: bool = True
    expose_headers: tuple[str, ...] = ()
    max_age: int = 3600
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Any) -> Self:
        """Make them of the section's values."""
        return cls(
            allowed_origin=tuple(origin.rstrip("/") for origin in options.allowed_origin or ()),
            allow_credentials=options.allow_credentials,
            expose_headers=tuple(options.expose_headers),
            max_age=options.max_age,
            allow_methods=tuple(method.upper() for method in options.allow_methods),
            allow_headers=tuple(options.allow_headers),
        )


class Cors:
    """WSGI in front of everything: also what it refuses must be readable for the page."""

    def __init__(self, application: WSGIApplication, settings: CorsSettings) -> None:
        self._application = application
        self._origins = frozenset(settings.allowed_origin)
        self._any = ANY in self._origins
        self._every_answer = _always(settings, is_any=self._any)
        self._preflight = _preflight(settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a preflight; let everything else pass, and mark the answer."""
        origin = environ.get("HTTP_ORIGIN")
        if origin and _is_preflight(environ):
            headers = [("Content-Length", "0"), *self._headers(origin)]
            if self._allows(origin):
                headers += self._preflight
            start_response("200 OK", headers)
            return [b""]
        return self._application(environ, self._marking(start_response, origin))

    def _allows(self, origin: str) -> bool:
        return self._any or origin in self._origins

    def _headers(self, origin: str | None) -> list[tuple[str, str]]:
        # A cache in between must not give one origin what was meant for another.
        vary = [] if self._any else [("Vary", "Origin")]
        if not origin or not self._allows(origin):
            return vary
        allowed = ANY if self._any else origin
        return [("Access-Control-Allow-Origin", allowed), *self._every_answer, *vary]

    def _marking(self, start_response: StartResponse, origin: str | None) -> StartResponse:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
        ) -> Callable[[bytes], object]:
            return start_response(status, [*headers, *self._headers(origin)], exc_info)

        return start


def _is_preflight(environ: WSGIEnvironment) -> bool:
    return (
        environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


def _always(settings: CorsSettings, *, is_any: bool) -> list[tuple[str, str]]:
    headers = _listed("Access-Control-Expose-Headers", settings.expose_headers)
    if settings.allow_credentials and not is_any:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    return headers


def _preflight(settings: CorsSettings) -> list[tuple[str, str]]:
    return [
        ("Access-Control-Max-Age", str(settings.max_age)),
        *_listed("Access-Control-Allow-Methods", settings.allow_methods),
        *_listed("Access-Control-Allow-Headers", [*SIMPLE_HEADERS, *settings.allow_headers]),
    ]


def _listed(name: str, values: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, ", ".join(dict.fromkeys(values)))] if values else []
