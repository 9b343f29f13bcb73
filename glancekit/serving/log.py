# SPDX-License-Identifier: Apache-2.0
"""gunicorn's messages and one line for each request, through the standard logging.

Where lines go and what they look like is decided in cli/logs.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

CLIENT = "glancekit.client"
"""Where in the environ the application leaves the client's address, if a proxy told it."""

ACCESS = logging.getLogger("glancekit.access")


class StandardLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log interface without handlers or formats of its own."""

    def setup(self, cfg: Any) -> None:
        """Leave levels and handlers to whoever configured logging."""
        self.loglevel = logging.INFO
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        # Its INFO tells of every step of its own life; what matters of it we say ourselves.
        self.error_log.setLevel(logging.WARNING)

    def access(
        self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta
    ) -> None:
        """Write the line of one request that was answered."""
        if not ACCESS.isEnabledFor(logging.INFO):
            return
        facts = {
            "request_id": _header(resp.headers, "x-openstack-request-id"),
            "peer": environ.get("REMOTE_ADDR", ""),
            "client": environ.get(CLIENT),
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("RAW_URI", environ.get("PATH_INFO", "")),
            "status": resp.status_code,
            "sent": resp.sent + getattr(resp.sock, "from_files", 0),
            "seconds": round(request_time.total_seconds(), 6),
        }
        ACCESS.info(
            "%s %s -> %s, %s bytes in %.3f s, from %s",
            facts["method"],
            facts["path"],
            facts["status"],
            facts["sent"],
            facts["seconds"],
            facts["client"] or facts["peer"] or "the local socket",
            extra=facts,
        )


def _header(headers: list[tuple[str, str]], wanted: str) -> str | None:
    return next((value for name, value in headers if name.lower() == wanted), None)
