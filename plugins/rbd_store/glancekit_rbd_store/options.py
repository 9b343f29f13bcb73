# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about an RBD store. Names are upstream's where it has them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glancekit.plugin import BoolOpt, ConfigError, FloatOpt, IntOpt, StrOpt

log = logging.getLogger(__name__)

MIB = 1 << 20

_USUAL_CONF = "/etc/ceph/ceph.conf"
_CLUSTER = re.compile(r"^\s*(?:fsid|mon[ _-]host)\s*=\s*([^#;\n]*[^#;\s])", re.MULTILINE)
"""What says of which cluster a file of configuration is."""

OPTIONS: Sequence[Any] = (
    IntOpt(
        "rbd_store_chunk_size",
        default=8,
        min=1,
        max=32,
        help="MiB of each object that an image is made of, a power of two. Also what is written "
        "at a time.",
    ),
    StrOpt("rbd_store_pool", default="images", help="The pool that new images go to."),
    StrOpt(
        "rbd_store_data_pool",
        help="Another pool for the bytes of new images, say an erasure-coded one. Their names and "
        "headers stay in rbd_store_pool. Without it everything is there.",
    ),
    StrOpt(
        "rbd_store_user",
        help="The Ceph user, without 'client.'. Without it, Ceph's own default (admin).",
    ),
    StrOpt(
        "rbd_store_ceph_conf",
        default="",
        help="Path of the ceph.conf; empty for Ceph's usual places.",
    ),
    FloatOpt(
        "rados_connect_timeout",
        default=10,
        help="Seconds within which the cluster must take the connection and its monitors must "
        "answer. 0 or less: what ceph.conf says.",
    ),
    FloatOpt(
        "rbd_store_operation_timeout",
        default=20,
        min=0,
        help="Seconds within which the cluster must answer one read or write of an object. "
        "0: for ever.",
    ),
    BoolOpt(
        "rbd_thin_provisioning",
        default=False,
        help="Leave holes in the images where their data has zeros.",
    ),
    IntOpt(
        "rbd_store_in_flight",
        default=3,
        min=1,
        max=64,
        help="How many chunks of one transfer are under way at once; each takes memory.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in the form in which the driver uses them."""

    pool: str
    data_pool: str | None
    user: str | None
    conf: str
    connect_timeout: float
    operation_timeout: float
    chunk_size: int
    thin: bool
    in_flight: int

    @property
    def order(self) -> int:
        """Ceph's word for the size of objects: its binary logarithm."""
        return self.chunk_size.bit_length() - 1

    @property
    def clusters(self) -> list[str]:
        """By which names the ceph.conf knows its cluster, the file's own among them.

        It is read as text: Ceph's own reader starts threads, and may not be installed.
        """
        path = Path(self.conf or os.environ.get("CEPH_CONF") or _USUAL_CONF).resolve()
        try:
            text = path.read_text(errors="replace")
        except OSError as error:
            log.info("%s cannot be read yet: %s", path, error)
            text = ""
        values = (re.split(r"[\s,]+", value) for value in _CLUSTER.findall(text))
        return [str(path), *(",".join(sorted(value)) for value in values)]


def settings_of(options: Any) -> Settings:
    """Read the options.

    :raises ConfigError: when they make no sense.
    """
    chunk = options.rbd_store_chunk_size
    if chunk & (chunk - 1):
        raise ConfigError(
            f"rbd_store_chunk_size = {chunk} cannot be used: it is a power of two, say 8"
        )
    if not options.rbd_store_pool:
        raise ConfigError("rbd_store_pool is empty: name the pool for the images")
    return Settings(
        pool=options.rbd_store_pool,
        data_pool=options.rbd_store_data_pool or None,
        user=options.rbd_store_user or None,
        conf=options.rbd_store_ceph_conf or "",
        connect_timeout=options.rados_connect_timeout,
        operation_timeout=options.rbd_store_operation_timeout,
        chunk_size=chunk * MIB,
        thin=options.rbd_thin_provisioning,
        in_flight=options.rbd_store_in_flight,
    )
