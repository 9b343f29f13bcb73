# SPDX-License-Identifier: Apache-2.0
"""Which bytes a request wants, and which an answer has. Reading them is the services' business."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from werkzeug.exceptions import BadRequest

from glancekit.core.errors import RangeUnsatisfiable
from glancekit.core.model.changes import ByteRange

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z", re.ASCII | re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d+)-(\d+)/(?:\d+|\*)\s*\Z", re.ASCII | re.IGNORECASE)
_SENT_RANGE = re.compile(r"\s*bytes\s+(\d+)-(\d+)/(\d+)\s*\Z", re.ASCII | re.IGNORECASE)

_MAX_DIGITS = 19
"""No image has more bytes than 64 bits count, and Python refuses to read endless numbers."""


def wanted_range(environ: Mapping[str, Any]) -> ByteRange | None:
    """Return the range that a request asks for, None for everything.

    ``Range`` as RFC 9110 has it; also ``Content-Range``, as old clients of this API send it.

    :raises RangeUnsatisfiable: when it cannot be understood.
    """
    if "HTTP_RANGE" in environ:
        return _parse_range(environ["HTTP_RANGE"])
    if "HTTP_CONTENT_RANGE" in environ:
        return _parse_content_range(environ["HTTP_CONTENT_RANGE"])
    return None


def _parse_range(text: str) -> ByteRange:
    if "," in text:
        raise BadRequest("Several ranges in one request are not supported; ask for one at a time.")
    match = _RANGE.match(text)
    if match is None:
        raise _not_understood("Range", text)
    first, last = (_number(digits, text) for digits in match.groups())
    if (first is None and last is None) or (
        first is not None and last is not None and last < first
    ):
        raise _not_understood("Range", text)
    return ByteRange(first, last)


def _parse_content_range(text: str) -> ByteRange:
    match = _CONTENT_RANGE.match(text)
    if match is None:
        raise _not_understood("Content-Range", text)
    first, last = (_number(digits, text) for digits in match.groups())
    if first is None or last is None or last < first:
        raise _not_understood("Content-Range", text)
    return ByteRange(first, last)


def sent_range(text: str) -> tuple[int, int, int]:
    """Return first byte, last byte and total of the ``Content-Range`` of what is being sent."""
    match = _SENT_RANGE.match(text)
    if match is None or any(len(digits) > _MAX_DIGITS for digits in match.groups()):
        raise BadRequest(f"Content-Range '{text[:80]}' is not 'bytes FIRST-LAST/TOTAL'.")
    first, last, total = map(int, match.groups())
    if not first <= last < total:
        raise BadRequest(f"Content-Range '{text[:80]}' has no byte in it, or too many.")
    return first, last, total


def _number(digits: str, text: str) -> int | None:
    if len(digits) > _MAX_DIGITS:
        raise _not_understood("Range", text)
    return int(digits) if digits else None


def _not_understood(header: str, text: str) -> RangeUnsatisfiable:
    return RangeUnsatisfiable(f"{header} '{text[:80]}' is not a range of bytes")


def content_range(offset: int, length: int, total: int) -> str:
    """Return the ``Content-Range`` of a 206."""
    return f"bytes {offset}-{offset + length - 1}/{total}"
