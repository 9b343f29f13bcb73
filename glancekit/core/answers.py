# SPDX-License-Identifier: Apache-2.0
"""What the driver of a store answers, held to what it should be: its nonsense goes no further.

Whatever is not as it should be is ``StoreFailed``. What was asked is the business of stores.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, cast

from glancekit.core.contracts.store import Blob
from glancekit.core.errors import StoreFailed
from glancekit.core.stream import ByteStream

T = TypeVar("T")


def of_kind(kind: type[T], answer: Any) -> T:
    """Return an answer that is of a kind."""
    if not isinstance(answer, kind):
        raise StoreFailed(f"it returned {named(answer)}, no {kind.__name__}")
    return answer


def json_object(answer: Any) -> dict[str, Any]:
    """Return a mapping as JSON has it, which is how clients are shown it."""
    told = of_kind(Mapping, answer)  # type: ignore[type-abstract]
    try:
        return dict(json.loads(json.dumps(dict(told), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise StoreFailed(f"it returned what JSON has no word for: {error}") from error


def names(answer: Any) -> frozenset[str]:
    """Return a collection of texts, none of them empty."""
    found = frozenset(of_kind(Collection, answer))  # type: ignore[type-abstract]
    if isinstance(answer, str | bytes) or not all(
        isinstance(name, str) and name for name in found
    ):
        raise StoreFailed(f"it returned {named(answer)}, no collection of names")
    return found


def dated(blob: Blob) -> Blob:
    """Return a blob of which is known how old it is: nothing is removed that may be new."""
    if blob.modified_at is None or blob.modified_at.tzinfo is None:
        raise StoreFailed("it does not tell when a blob was written")
    return blob


def of_kind_or_none(kind: type[T], answer: Any, *, least: Any = None) -> T | None:
    """Return an answer that is of a kind, and not less than ``least``; None is an answer, too."""
    if answer is None:
        return None
    found = of_kind(kind, answer)
    if least is not None and answer < least:
        raise StoreFailed(f"it returned {named(answer)}, less than {least}")
    return found


def stream(answer: Any) -> ByteStream:
    """Return what can be read and closed."""
    if not (callable(getattr(answer, "read", None)) and callable(getattr(answer, "close", None))):
        raise StoreFailed(f"it returned {named(answer)}, no stream")
    return cast(ByteStream, answer)


def named(answer: object) -> str:
    """Return what an answer was, in a few words: it may be anything, of any size."""
    if isinstance(answer, bytes | str):
        return f"{len(answer)} of {type(answer).__name__}"
    return f"{answer!r:.40}" if isinstance(answer, int | None) else f"a {type(answer).__name__}"
