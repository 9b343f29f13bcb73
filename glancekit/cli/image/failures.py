# SPDX-License-Identifier: Apache-2.0
"""What goes wrong when a service is asked, a sentence and an exit code. Asking is endpoint's."""

from __future__ import annotations

import html
import json
import re
from http import HTTPStatus

import click


class Failed(click.ClickException):
    """The service was asked and it did not work."""


class Refused(Failed):
    """It does not know the caller, or does not let them."""

    exit_code = 3


class NotFound(Failed):
    """What was asked for is not there."""

    exit_code = 4


class InConflict(Failed):
    """It is not in a state in which this can be done."""

    exit_code = 5


class OverLimit(Failed):
    """It is too much."""

    exit_code = 6


class Unreachable(Failed):
    """No answer came, or not now."""

    exit_code = 7


class Broken(Unreachable):
    """The answer began, and did not come to its end."""


class Damaged(Failed):
    """What came is not what its digest says."""

    exit_code = 8


_KINDS: dict[int, type[Failed]] = {
    401: Refused,
    403: Refused,
    404: NotFound,
    410: NotFound,
    409: InConflict,
    413: OverLimit,
    429: OverLimit,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}

_LONGEST = 500
"""Characters of a foreign server's message that are shown."""


def refusal(status: int, body: str, what: str) -> Failed:
    """Return what an answer of 300 or more means for ``what`` was asked."""
    message = _message(body) or _phrase(status)
    if status == 401:
        message += " Give a token (--token), or OS_* variables or --os-cloud to get one."
    return _KINDS.get(status, Failed)(f"Cannot {what}: {message} ({status})")


def unreachable(url: str, reason: object) -> Unreachable:
    """Return that no answer came."""
    return Unreachable(
        f"No answer from {url}: {reason}. Is the service running there? Another one is named "
        "with --url, --os-cloud or OS_* variables."
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase + "."
    except ValueError:
        return "The service answered with a status that HTTP does not know."


def _message(body: str) -> str:
    """Return the sentence in an error's body: ours is JSON, upstream's a page with a title."""
    try:
        found = json.loads(body)
    except ValueError:
        text = re.sub(r"<title>.*?</title>|<h1>.*?</h1>|<[^>]*>", " ", body, flags=re.DOTALL)
        return " ".join(html.unescape(text).split())[:_LONGEST]
    if isinstance(found, dict) and isinstance(found.get("message"), str):
        return str(found["message"])[:_LONGEST]
    return ""
