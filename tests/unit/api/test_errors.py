# SPDX-License-Identifier: Apache-2.0
"""Every class of the error tree becomes a status on purpose, and a body that can be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from glancekit.api.errors import TABLE, answer, row_for
from glancekit.core import errors as e

ON_PURPOSE_500 = {e.StoreError, e.StoreFailed, e.MetadataError, e.ConfigError, e.PluginError}


def every_class(root: type[e.GlancekitError] = e.GlancekitError) -> Iterator[type]:
    for kind in root.__subclasses__():
        yield kind
        yield from every_class(kind)


@pytest.mark.parametrize("kind", list(every_class()))
def test_no_class_lands_on_500_by_accident(kind: type[e.GlancekitError]) -> None:
    row = row_for(kind)
    named = next(parent for parent in kind.__mro__ if parent in TABLE)
    assert row.status != 500 or named in ON_PURPOSE_500


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (e.InvalidField(field="a", reason="b"), 400),
        (e.BodyCutShort(received=1, expected=2), 400),
        (e.SizeMismatch(received=1, expected=2), 400),
        (e.SignatureInvalid("x"), 400),
        (e.UnacceptableFormat("x"), 415),
        (e.RangeUnsatisfiable(size=5), 416),
        (e.Unauthenticated(), 401),
        (e.Protected(image_id="x"), 403),
        (e.ReadOnlyField(field="x"), 403),
        (e.ImageNotFound(image_id="x"), 404),
        (e.ImageGone(image_id="x"), 410),
        (e.Duplicate(kind="image", key="x"), 409),
        (e.BlobInUse(store="x"), 409),
        (e.LimitExceeded(limit=1, what="tags"), 413),
        (e.StoreFull(store="x"), 413),
        (e.StoreReadOnly(store="x"), 410),
        (e.StoreDenied("x", store="x"), 503),
        (e.StoreUnavailable("x", store="x"), 503),
        (e.MetadataUnavailable("x"), 503),
        (e.Unavailable("x"), 503),
        (e.StoreFailed("x", store="x", operation="write"), 500),
        (ZeroDivisionError("secret"), 500),
    ],
)
def test_statuses(error: Exception, status: int) -> None:
    with Flask("x").test_request_context(headers={"Accept": "application/json"}):
        assert answer(error, request_id="req-1", challenge=lambda: None).status_code == status


def test_a_fault_of_ours_shows_the_request_id_and_nothing_else() -> None:
    failed = e.StoreFailed("/var/lib/secret", store="x", operation="write")
    for error in (ZeroDivisionError("secret"), failed):
        with Flask("x").test_request_context():
            text = answer(error, request_id="req-77", challenge=lambda: None).get_data(
                as_text=True
            )
        assert "req-77" in text
        assert "secret" not in text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/html"),
        ("*/*", "text/html"),
        ("text/html", "text/html"),
        ("application/json", "application/json"),
        ("application/octet-stream", "text/plain"),
        ("text/plain", "text/plain"),
    ],
)
def test_the_body_is_of_the_kind_that_the_client_accepts(
    accept: str | None, content_type: str
) -> None:
    headers = {"Accept": accept} if accept else {}
    with Flask("x").test_request_context(headers=headers):
        response = answer(e.ImageNotFound(image_id="<42>"), request_id="r", challenge=lambda: None)
    assert response.mimetype == content_type
    text = response.get_data(as_text=True)
    assert ("&lt;42&gt;" if content_type == "text/html" else "<42>") in text


def test_the_json_body_is_upstreams() -> None:
    with Flask("x").test_request_context(headers={"Accept": "application/json"}):
        response = answer(e.ImageNotFound(image_id="42"), request_id="r", challenge=lambda: None)
    assert response.json == {
        "message": "No image found with ID 42",
        "code": "404 Not Found",
        "title": "Not Found",
    }


def test_headers_that_tell_what_to_do_next() -> None:
    with Flask("x").test_request_context():
        unauthenticated = answer(
            e.Unauthenticated(), request_id="r", challenge=lambda: "Keystone uri=x"
        )
        busy = answer(e.Unavailable("x", retry_after=7), request_id="r", challenge=lambda: None)
        beyond = answer(e.RangeUnsatisfiable(size=5), request_id="r", challenge=lambda: None)
    assert unauthenticated.headers["WWW-Authenticate"] == "Keystone uri=x"
    assert busy.headers["Retry-After"] == "7"
    assert beyond.headers["Content-Range"] == "bytes */5"
