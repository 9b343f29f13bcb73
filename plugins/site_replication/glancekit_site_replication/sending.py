# SPDX-License-Identifier: Apache-2.0
"""An image's bytes to a target that takes them in parts: what is there for good is not sent again.

What the bytes are called there is their digest, so that a later run puts nothing else behind what
an earlier one sent.
"""

from __future__ import annotations

import time
from pathlib import Path

from glancekit_site_replication.failures import Clash, ReplicationError, Unanswered
from glancekit_site_replication.pace import Outgoing, Pace, Told
from glancekit_site_replication.records import Record
from glancekit_site_replication.site import Site, Staged

TRIES = 6
"""Attempts to go on during which not a byte more became durable."""

LONGEST_PAUSE = 5.0
"""Seconds between two of them, at most."""


def version_of(record: Record) -> str:
    """Return what the data of an image are called while they are on their way."""
    algorithm, value = record.get("os_hash_algo"), record.get("os_hash_value")
    if algorithm and value:
        return f"{algorithm}:{value}"
    if record.get("checksum"):
        return f"md5:{record['checksum']}"
    return f"image:{record['id']}"


def is_begun(target: Site, record: Record) -> bool:
    """Tell whether the target has a part of just these data, or all of them, for an import."""
    found = target.staged(record["id"])
    return found is not None and _is_ours(found, record)


def send(target: Site, record: Record, path: Path, *, part: int, pace: Pace, told: Told) -> None:
    """Send a file of at least one byte in parts, from where an earlier run has ended.

    :raises Clash: when the target has other data on their way.
    :raises ReplicationError: when it does not take them, or not now.
    """
    total, version = path.stat().st_size, version_of(record)
    image_id = record["id"]
    offset, failures, was_cut = _offset(target, record), 0, False
    with path.open("rb") as file:
        while offset < total:
            before = offset
            failure: ReplicationError | None = None
            end = min(offset + part, total)
            file.seek(offset)
            body = Outgoing(file, end - offset, pace, told)
            try:
                offset = target.stage(image_id, body, (offset, end, total), version)
            except Unanswered as error:
                failure, was_cut = error, True
                offset = _offset(target, record)
            except Clash as error:
                failure = error
                if error.facts.get("offset") is not None:
                    offset = int(error.offset)
                elif not was_cut:  # else the part that was cut off is still being received there
                    raise
            failures = 0 if offset > before else failures + 1
            if failures == TRIES:
                raise failure or _stuck(target, image_id, offset)
            time.sleep(min(0.2 * 2**failures, LONGEST_PAUSE) if failures else 0)


def _offset(target: Site, record: Record) -> int:
    """Return how many bytes the target has for good.

    :raises Clash: when they are others.
    """
    found = target.staged(record["id"])
    if found is None:
        return 0
    if not _is_ours(found, record):
        raise Clash(f"other data are being staged for image {record['id']} at {target.name}")
    return found.offset


def _is_ours(found: Staged, record: Record) -> bool:
    if found.size != record.get("size"):
        return False
    return found.version == version_of(record) or found.offset == found.size


def _stuck(target: Site, image_id: str, offset: int) -> ReplicationError:
    return Unanswered(f"image {image_id} does not get beyond byte {offset} at {target.name}")
