# SPDX-License-Identifier: Apache-2.0
"""What ``upstream_store`` starts in the environment of ``glance_store``: one store of that, driven
by lines of JSON on standard input. Run as a file, without glancekit; never imported.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

BACKEND = "peer"
"""What the store is called in the library's configuration."""


class Peer:
    """One store, built by the library from a configuration file."""

    def __init__(self, kind: str, configuration: str, context: dict[str, Any] | None) -> None:
        self._library = importlib.import_module("glance_store")
        cfg = importlib.import_module("oslo_config.cfg")
        # The library leaves the declaration of this one to the service.
        cfg.CONF.register_opt(cfg.DictOpt("enabled_backends"))
        self._library.register_opts(cfg.CONF)
        cfg.CONF(["--config-file", configuration], project="peer", default_config_files=[])
        cfg.CONF.set_override("enabled_backends", {BACKEND: kind})
        self._library.register_store_opts(cfg.CONF)
        self._library.create_multi_stores(cfg.CONF)
        if kind == "vmware":
            # The library looks for a store's kind among the schemes, where this one is not.
            schemes = importlib.import_module("glance_store.location").SCHEME_TO_CLS_BACKEND_MAP
            schemes["vmware"] = schemes["vsphere"]
        self._library.verify_store()
        self._conf = cfg.CONF
        self._context = SimpleNamespace(**context) if context is not None else None

    def add(self, image_id: str, path: str, size: int) -> str:
        """Store a file's bytes, of which 0 says that nobody knows how many; return their URL."""
        with Path(path).open("rb") as data:
            stored = self._library.add_with_multihash(
                self._conf, image_id, data, size, BACKEND, "sha512", context=self._context
            )
        return str(stored[0])

    def read(self, url: str, path: str, offset: int, length: int | None) -> None:
        """Write what is at a URL into a file."""
        if offset == 0 and length is None:
            self._fetch(url, path)
            return
        exceptions = importlib.import_module("glance_store.exceptions")
        try:
            self._fetch(url, path, offset=offset, chunk_size=length)
        except (
            exceptions.StoreRandomGetNotSupported
        ):  # most of its stores only read from the start
            self._fetch(url, path)
            whole = Path(path).read_bytes()
            Path(path).write_bytes(whole[offset : None if length is None else offset + length])

    def delete(self, url: str) -> None:
        """Delete what is at a URL."""
        self._library.delete(url, BACKEND, context=self._context)

    def grant(self, url: str, readers: list[str], public: bool) -> None:
        """Say who else may read what is at a URL: everybody, or some projects."""
        self._library.set_acls_for_multi_store(
            url, BACKEND, public=public, read_tenants=readers, context=self._context
        )

    def _fetch(self, url: str, path: str, **part: Any) -> None:
        chunks, _ = self._library.get(url, BACKEND, context=self._context, **part)
        with Path(path).open("wb") as file:
            for chunk in chunks:
                file.write(chunk)


def serve() -> None:
    """Build the store that the first line describes, then do what each further line asks."""
    peer: Peer | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked.pop("call")
        answer: dict[str, Any] = {}
        try:
            if peer is None:
                peer = Peer(**asked)
            else:
                answer["result"] = getattr(peer, name)(**asked)
        except Exception as error:  # all of them are the answer
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
