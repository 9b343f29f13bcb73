# SPDX-License-Identifier: Apache-2.0
"""A small WSGI service under the real server, run as a process of its own by the tests beside it.

Usage: python service_for_tests.py JSON, which holds what ServerSettings takes and "address".
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time

from glancekit.core.errors import ConfigError
from glancekit.serving.addresses import Address
from glancekit.serving.server import Server, ServerSettings


class Service:
    """Answers by path; what the tests need to see of the inside is printed."""

    def __init__(self, folder: str) -> None:
        self._big = os.path.join(folder, "big")

    def __call__(self, environ, start_response):
        name = environ["PATH_INFO"].strip("/")
        status, body, length = getattr(self, f"_{name}")(environ)
        start_response(status, [("Content-Length", str(length))] if length is not None else [])
        return body

    def _pid(self, environ):
        text = str(os.getpid()).encode()
        return "200 OK", [text], len(text)

    def _slow(self, environ):
        print("slow begins", flush=True)
        time.sleep(float(environ["QUERY_STRING"]))
        return self._pid(environ)

    def _upload(self, environ):
        digest, count, largest = hashlib.md5(), 0, 0
        try:
            while piece := environ["wsgi.input"].read(1 << 20):
                digest.update(piece)
                count += len(piece)
                largest = max(largest, len(piece))
        except OSError as error:
            print(f"body raised {type(error).__name__}", flush=True)
            raise
        print(f"body ended after {count}", flush=True)
        text = json.dumps([count, largest, digest.hexdigest()]).encode()
        return "200 OK", [text], len(text)

    def _file(self, environ):
        file = open(self._big, "rb")  # noqa: SIM115  the server closes it
        body = environ["wsgi.file_wrapper"](file, 1 << 20)
        if not environ["QUERY_STRING"]:
            return "200 OK", body, os.path.getsize(self._big)
        offset, length = map(int, environ["QUERY_STRING"].split("-"))
        file.seek(offset)
        return "206 Partial Content", body, length

    def _stream(self, environ):
        pieces, size = map(int, environ["QUERY_STRING"].split("x"))
        return "200 OK", (b"x" * size for _ in range(pieces)), None

    def close(self) -> None:
        print("closed", flush=True)


def main() -> int:
    """Serve until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    settings = json.loads(sys.argv[1])
    folder = settings.pop("folder")
    problem = settings.pop("problem", None)

    def check() -> None:
        if problem:
            raise ConfigError(problem)

    try:
        address = Address(**settings.pop("address"))
        server = Server(
            ServerSettings(address=address, **settings),
            build=lambda: Service(folder),
            check=check,
            prepare=lambda: None,
        )
        server.run()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return os.EX_CONFIG
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
