# SPDX-License-Identifier: Apache-2.0
"""``/metrics`` for Prometheus: requests and each plugin's calls, of all processes of a host.

Counting is the core's business, and each request's frame's. Off unless ``[metrics] enabled``.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Response
from oslo_config import cfg

from glancekit.core.config import Configuration
from glancekit.core.counters import Counted, Observer, Tally
from glancekit.core.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter

    from glancekit.api.standing_numbers import StandingNumbers

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus-client finds the files of all processes."""

SECTION = "metrics"

_LABELS = ("group", "plugin", "use", "operation")
"""Of ``Counted``, in its order."""

_FIELDS = {
    "glancekit_plugin_calls": "calls",
    "glancekit_plugin_errors": "errors",
    "glancekit_plugin_seconds": "seconds",
}

METRICS_OPTIONS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enabled",
        default=False,
        help="Answer /metrics for Prometheus: requests, and each plugin's calls, errors and "
        "seconds. Needs prometheus-client (pip install 'glancekit[metrics]'). Whoever reaches the "
        "service may read it; it names plugins and stores, no users and no images.",
    ),
]


def prepare(config: Configuration) -> None:
    """Make room for the numbers of all processes to come; called once, before they are forked.

    What an earlier start counted is gone: Prometheus knows that counters begin anew.

    :raises ConfigError: when the files cannot be written.
    """
    if not config.get(SECTION, "enabled") or FOLDER in os.environ:
        return
    folder = config.data_dir / "metrics"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.db"):
            file.unlink()
    except OSError as error:
        raise ConfigError(
            f"[{SECTION}] enabled: {folder} cannot be used: {error.strerror}; give this user the "
            "right to write there, or switch metrics off"
        ) from error
    os.environ[FOLDER] = str(folder)


class Metrics(Observer):
    """What is counted here, and in the other processes that share the files."""

    def __init__(self) -> None:
        """Begin.

        :raises ConfigError: when prometheus-client is not installed.
        """
        try:
            import prometheus_client
        except ImportError as error:
            raise ConfigError(
                f"[{SECTION}] enabled needs prometheus-client: pip install 'glancekit[metrics]', "
                "or switch it off"
            ) from error
        self._registry = prometheus_client.CollectorRegistry()
        request = ("method", "route", "status")
        self._calls = self._counter("plugin_calls", "Calls to a plugin.", _LABELS)
        self._errors = self._counter("plugin_errors", "Calls that failed.", _LABELS)
        self._seconds = self._counter("plugin_seconds", "Seconds in a plugin's calls.", _LABELS)
        self._requests = self._counter("requests", "Requests answered.", request)
        self._waiting = self._counter(
            "request_seconds", "Seconds until the answers began.", request
        )
        self._standing: list[StandingNumbers] = []
        self._lock = threading.Lock()
        self._of: dict[Counted, tuple[Counter, Counter, Counter]] = {}

    @classmethod
    def of(cls, config: Configuration) -> Metrics | None:
        """Return where to count, None where nobody wants to know.

        :raises ConfigError: when prometheus-client is not installed.
        """
        return cls() if config.get(SECTION, "enabled") else None

    def observe(self, counted: Counted, seconds: float, *, failed: bool) -> None:
        """Take one call of a plugin."""
        found = self._of.get(counted)
        if found is None:
            found = self._add(counted)
        calls, errors, spent = found
        calls.inc()
        spent.inc(seconds)
        if failed:
            errors.inc()

    def totals(self) -> dict[Counted, Tally] | None:
        """Return what all processes have counted, None where they share no files."""
        if self._folder() is None:
            return None
        found: dict[Counted, Tally] = {}
        for family in self._all().collect():
            field = _FIELDS.get(family.name)
            for sample in family.samples if field else ():
                if not sample.name.endswith("_total"):
                    continue
                counted = Counted(*(sample.labels[name] for name in _LABELS))
                value = sample.value if field == "seconds" else int(sample.value)
                setattr(found.setdefault(counted, Tally()), str(field), value)
        return found

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take one request."""
        labels = (method, route, str(status))
        self._requests.labels(*labels).inc()
        self._waiting.labels(*labels).inc(seconds)

    def add(self, numbers: StandingNumbers) -> None:
        """Show these, too: they are looked up for each answer, once for all processes."""
        self._standing.append(numbers)

    def show(self) -> Response:
        """Answer ``GET /metrics`` in Prometheus' text format."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        shown = generate_latest(self._all()) + generate_latest(self._looked_up())
        return Response(shown, content_type=CONTENT_TYPE_LATEST)

    def _looked_up(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry

        registry = CollectorRegistry()
        for numbers in self._standing:
            registry.register(numbers)
        return registry

    def _all(self) -> CollectorRegistry:
        """Return the counters of all processes where these share files, else those of this one."""
        from prometheus_client import CollectorRegistry, multiprocess

        folder = self._folder()
        if folder is None:
            return self._registry
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        return registry

    @staticmethod
    def _folder() -> str | None:
        folder = os.environ.get(FOLDER)
        return folder if folder and Path(folder).is_dir() else None

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> Counter:
        from prometheus_client import Counter

        return Counter(f"glancekit_{name}", meaning, labels, registry=self._registry)

    def _add(self, counted: Counted) -> tuple[Counter, Counter, Counter]:
        with self._lock:
            labels: Any = tuple(counted)
            found = (
                self._calls.labels(*labels),
                self._errors.labels(*labels),
                self._seconds.labels(*labels),
            )
            self._of[counted] = found
            return found
