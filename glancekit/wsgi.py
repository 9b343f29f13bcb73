# SPDX-License-Identifier: Apache-2.0
"""The service as a WSGI application, for ``glancekit serve`` and for any other WSGI server.

Another server is pointed at ``glancekit.wsgi:application``; the configuration is found by
``GLANCEKIT_CONFIG_FILE`` and the usual places. How bytes reach the server is not its business.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from glancekit.api.app import create_app
from glancekit.api.metrics import Metrics
from glancekit.api.options import ApiSettings
from glancekit.bootstrap import bootstrap, load_config
from glancekit.bootstrap.workers import companion_runner, import_companion, periodic_work
from glancekit.core.config import Configuration
from glancekit.core.periodic_options import SECTION as PERIODIC_SECTION

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LAST_TASK_PATIENCE = 5.0
"""Seconds that a periodic task at hand may go on when the service closes; all may be cut off."""


class Service:
    """A built world with its API in front and its periodic tasks running."""

    def __init__(self, config: Configuration) -> None:
        """Build and start everything.

        :raises GlancekitError: as ``bootstrap`` does.
        """
        metrics = Metrics.of(config)
        self._world = bootstrap(config, metrics)
        self._app = create_app(self._world, ApiSettings.of(config), metrics)
        self._companion = import_companion(config)
        self._imports = companion_runner(self._world, config, self._companion)
        self._imports.start()
        self._periodic = periodic_work(self._world, config)
        if config.get(PERIODIC_SECTION, "in_serve"):
            self._periodic.start()

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse, /
    ) -> Iterable[bytes]:
        """Answer one request."""
        return self._app(environ, start_response)

    def close(self) -> None:
        """Stop the periodic tasks and let go of every part; no request comes afterwards."""
        self._periodic.stop(LAST_TASK_PATIENCE)
        self._imports.stop(LAST_TASK_PATIENCE)
        self._companion.stop()
        self._world.close()


class LateService:
    """A service that each process builds when its first request comes.

    Not at import: servers that import before they fork would share threads and connections that
    cannot be shared.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._service: Service | None = None

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse, /
    ) -> Iterable[bytes]:
        """Answer one request."""
        return self._built()(environ, start_response)

    def _built(self) -> Service:
        with self._lock:
            if self._service is None or self._owner != os.getpid():
                self._service = Service(load_config())
                self._owner = os.getpid()
                atexit.register(self._service.close)
            return self._service


application = LateService()
