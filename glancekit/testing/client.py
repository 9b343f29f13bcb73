# SPDX-License-Identifier: Apache-2.0
"""A client of an image service for tests: the same calls in-process (WSGI) or against a URL.

It shows answers as they are and judges nothing.
"""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.util import setup_testing_defaults

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Body = bytes | Iterable[bytes]

OCTETS = "application/octet-stream"
PATCH_V21 = "application/openstack-images-v2.1-json-patch"
PATCH_V20 = "application/openstack-images-v2.0-json-patch"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Transport(Protocol):
    """A way to reach a service. An iterable body is sent in chunks, of unknown length."""

    def send(self, method: str, target: str, *, headers: Mapping[str, str], body: Body) -> Answer:
        """Send one request and return its answer."""
        ...


class WsgiTransport:
    """Calls an application in this process, as a WSGI server does."""

    def __init__(self, application: WSGIApplication, *, peer: str = "127.0.0.1") -> None:
        self._application = application
        self._peer = peer

    def send(self, method: str, target: str, *, headers: Mapping[str, str], body: Body) -> Answer:
        """Send one request and return its answer."""
        environ = self._environ(method, target, headers, body)
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _failure: Any = None, /
        ) -> Any:
            started.append((status, headers))

        chunks = self._application(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        status, answered = started[-1]
        return Answer(
            int(status.split()[0]), {name.lower(): value for name, value in answered}, content
        )

    def _environ(
        self, method: str, target: str, headers: Mapping[str, str], body: Body
    ) -> dict[str, Any]:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REMOTE_ADDR": self._peer,
            "HTTP_HOST": "127.0.0.1",
        }
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        if isinstance(body, bytes):
            environ["wsgi.input"] = io.BytesIO(body)
            environ.setdefault("CONTENT_LENGTH", environ.pop("HTTP_CONTENT_LENGTH", len(body)))
            environ["CONTENT_LENGTH"] = str(environ["CONTENT_LENGTH"])
        else:
            environ["wsgi.input"] = io.BytesIO(b"".join(body))
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        setup_testing_defaults(environ)
        return environ


class HttpTransport:
    """Talks to a running service, one connection for each request."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    def send(self, method: str, target: str, *, headers: Mapping[str, str], body: Body) -> Answer:
        """Send one request and return its answer."""
        kind = (
            http.client.HTTPSConnection
            if self._address.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(self._address.hostname or "", self._address.port, timeout=60)
        try:
            path = self._address.path.rstrip("/") + target
            connection.request(method, path, body or None, dict(headers))
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()


class Client:
    """What a caller of the Images API does. ``headers`` go with every request."""

    def __init__(self, transport: Transport, headers: Mapping[str, str] | None = None) -> None:
        self._transport = transport
        self._headers = dict(headers or {})

    def as_caller(self, **headers: str) -> Client:
        """Return a client with further headers: ``x_project_id="p"`` is ``X-Project-Id: p``."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return Client(self._transport, {**self._headers, **named})

    def as_project(self, project_id: str, roles: str = "member,reader") -> Client:
        """Return a client that speaks for a project, as an authenticating proxy presents it."""
        return self.as_caller(
            x_identity_status="Confirmed",
            x_user_id=f"user-of-{project_id}",
            x_project_id=project_id,
            x_roles=roles,
        )

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
    ) -> Answer:
        """Send any request; ``target`` is a path, already quoted, with its query."""
        return self._transport.send(
            method, target, headers={**self._headers, **(headers or {})}, body=body
        )

    def get(self, target: str, **headers: str) -> Answer:
        """Send a GET; ``accept="x"`` is the header ``Accept: x``."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return self.request("GET", target, headers=named)

    def post(self, target: str, content: Any) -> Answer:
        """Send a POST with a JSON body."""
        body = json.dumps(content).encode()
        return self.request(
            "POST", target, headers={"Content-Type": "application/json"}, body=body
        )

    def delete(self, target: str) -> Answer:
        """Send a DELETE."""
        return self.request("DELETE", target)

    # -- images

    def create(self, **attributes: Any) -> dict[str, Any]:
        """Make an image record that is ready for raw data, and return it."""
        formats = {"disk_format": "raw", "container_format": "bare"}
        answer = self.post("/v2/images", {**formats, **attributes})
        if answer.status != 201:
            raise AssertionError(f"{answer.status}: {answer.text}")
        return dict(answer.json)

    def upload(self, image_id: str, data: Body, **headers: str) -> Answer:
        """Send an image's bytes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(
            "PUT",
            f"/v2/images/{image_id}/file",
            headers={"Content-Type": OCTETS, **named},
            body=data,
        )

    def create_active(self, data: bytes = b"data", **attributes: Any) -> dict[str, Any]:
        """Make an image with data, and return it."""
        image = self.create(**attributes)
        answer = self.upload(image["id"], data)
        if answer.status != 204:
            raise AssertionError(f"{answer.status}: {answer.text}")
        return self.show(image["id"])

    def show(self, image_id: str) -> dict[str, Any]:
        """Return an image that is there."""
        answer = self.get(f"/v2/images/{image_id}")
        if answer.status != 200:
            raise AssertionError(f"{answer.status}: {answer.text}")
        return dict(answer.json)

    def download(self, image_id: str, **headers: str) -> Answer:
        """Fetch an image's bytes."""
        return self.get(f"/v2/images/{image_id}/file", **headers)

    def patch(self, image_id: str, operations: Any, *, media_type: str = PATCH_V21) -> Answer:
        """Change an image."""
        return self.request(
            "PATCH",
            f"/v2/images/{image_id}",
            headers={"Content-Type": media_type},
            body=json.dumps(operations).encode(),
        )

    def page(self, query: str = "") -> Answer:
        """Ask for one page of images."""
        return self.get("/v2/images" + (f"?{query}" if query else ""))

    def names(self, query: str = "") -> list[str | None]:
        """Return the names of all images of a list, following its links to the last page."""
        found: list[str | None] = []
        target: str | None = "/v2/images" + (f"?{query}" if query else "")
        while target:
            answer = self.get(target)
            if answer.status != 200:
                raise AssertionError(f"{answer.status}: {answer.text}")
            found += [image["name"] for image in answer.json["images"]]
            target = answer.json.get("next")
        return found
