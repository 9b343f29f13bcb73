# SPDX-License-Identifier: Apache-2.0
"""The id by which a request is found again in logs, records and other services."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import BadRequest, RequestHeaderFieldsTooLarge

HEADER = "x-openstack-request-id"

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*\Z")
"""What can stand in a log line and a header without doing harm there."""


def new_request_id() -> str:
    """Return an id that no other request has."""
    return f"req-{uuid.uuid4()}"


def request_id_of(environ: Mapping[str, Any], *, max_length: int) -> str:
    """Return the id that a request came with, or a new one."""
    given = environ.get("HTTP_X_OPENSTACK_REQUEST_ID")
    if not given:
        return new_request_id()
    if len(given) > max_length:
        raise RequestHeaderFieldsTooLarge(
            f"X-OpenStack-Request-ID may have {max_length} characters at most."
        )
    if not _SAFE.match(given):
        raise BadRequest(
            "X-OpenStack-Request-ID may have letters, digits and the characters . _ : - only."
        )
    return str(given)
