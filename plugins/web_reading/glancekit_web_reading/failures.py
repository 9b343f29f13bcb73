# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a web server, in words that hold neither credentials nor query.

What it means for an image is the business of whoever reads.
"""

from __future__ import annotations


class WebError(Exception):
    """The root: the bytes that were wanted cannot be had."""


class NotThere(WebError):
    """The server has nothing at this URL."""


class Denied(WebError):
    """The server, or the operator's filter, does not let us."""


class Unreachable(WebError):
    """The server does not answer, or not now. Asking again later may help."""


class Unusable(WebError):
    """The answer is none to what was asked. Asking again will not help."""


class Changed(Unusable):
    """It is another content by now than the one that was wanted."""


class Broken(WebError):
    """A connection broke, or nothing came for too long. Asking again may help at once."""
