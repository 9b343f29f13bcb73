# SPDX-License-Identifier: Apache-2.0
"""A real web server that is told of events, answers as the test says, and can be away."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_webhooks.options import OPTIONS


@dataclass
class Hook:
    """What a server was told. ``answer`` gives the status for each message."""

    messages: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], int] = lambda event: 204
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=hunter3"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.messages]

    def start(self) -> None:
        """Listen, on the port of before if there was one."""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.answer(json.loads(body))
                if status < 300:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    hook.messages.append((headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A server that listens."""
    hook = Hook()
    hook.start()
    yield hook
    hook.stop()


@pytest.fixture
def options_of(tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Returns the options with their defaults, and what a test wants otherwise."""

    def options_of(**given: Any) -> SimpleNamespace:
        defaults = {option.dest: option.default for option in OPTIONS}
        dead = str(tmp_path / "kept" / "dead.jsonl")
        return SimpleNamespace(**defaults | {"dead_letters": dead} | given)

    return options_of
