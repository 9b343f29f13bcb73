# SPDX-License-Identifier: Apache-2.0
"""Where log lines go and what they look like: plain for people, JSON for a collector.

What is logged is everybody's own business.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from glancekit.core import logcontext
from glancekit.core.config import Configuration
from glancekit.core.errors import ConfigError
from glancekit.core.options import DEFAULT

ABOUT = ("request_id", "project_id", "image_id")
"""What a line is about, where that is known: given with the record, or noted for the thread."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_to_json = json.JSONEncoder(default=str, ensure_ascii=False).encode

LOG_FILE = "glancekit.log"
"""The file in log_dir when nobody names one."""

CHATTY = ("sqlalchemy", "alembic", "stevedore", "urllib3", "tooz", "oslo_config")
"""Libraries whose INFO is for their own developers."""


def set_up(config: Configuration) -> None:
    """Send what is logged to where the configuration says. May be called again."""
    options = config.section(DEFAULT)
    handler = _handler(_file(options.log_dir, options.log_file))
    handler.setFormatter(_formatter(options.log_format, handler))
    handler.addFilter(_add_facts)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if options.debug else logging.INFO)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.INFO if options.debug else logging.WARNING)
    logging.captureWarnings(True)
    _look_up_less()


def _look_up_less() -> None:
    """Do without what no line of ours says, as the logging HOWTO has it under "Optimization".

    A request has a line of its own, of whose cost this is a fifth.
    """
    logging._srcfile = None
    logging.logThreads = False
    logging.logMultiprocessing = False


class PlainFormatter(logging.Formatter):
    """One line for people: when, how bad, what, and in brackets what it was about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s%(about)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line; what it was about comes last. A traceback follows on further lines."""
        facts = [str(getattr(record, name)) for name in ABOUT if getattr(record, name, None)]
        record.about = f" [{' '.join(facts)}]" if facts else ""
        return _one_line(super().formatMessage(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with every fact that was given to the logging call."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line.update({key: value for key, value in extra.items() if value is not None})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _to_json(line)


def _file(folder: str | None, name: str | None) -> str | None:
    return str(Path(folder) / (name or LOG_FILE)) if folder else name


def _handler(log_file: str | None) -> logging.Handler:
    if log_file is None:
        return logging.StreamHandler(sys.stderr)
    try:
        return WatchedFileHandler(log_file, encoding="utf-8")  # reopens after logrotate
    except OSError as error:
        raise ConfigError(
            f"[DEFAULT] log_file = {log_file} cannot be written: {error.strerror}; name a file in "
            "a folder that this user may write to",
            section=DEFAULT,
            option="log_file",
        ) from error


def _formatter(chosen: str, handler: logging.Handler) -> logging.Formatter:
    stream = getattr(handler, "stream", None)
    is_terminal = stream is not None and stream.isatty()
    if chosen == "plain" or (chosen == "auto" and is_terminal):
        return PlainFormatter()
    return JsonFormatter()


def _add_facts(record: logging.LogRecord) -> bool:
    for name, fact in logcontext.about().items():
        if getattr(record, name, None) is None:
            setattr(record, name, fact)
    return True


def _one_line(text: str) -> str:
    """Keep what a client sent from looking like a line of ours."""
    return text.replace("\r", "\\r").replace("\n", "\\n")
