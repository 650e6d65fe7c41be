"""Log lines of every part: a fixed phrase and fields, as JSON for machines or aligned for a terminal.

Standard library only, as the sidecar's process is to stay small. Callers write
``log.info("identity renewed", extra=fields(serial=…))``, so that the phrase can be searched for and the fields
can be read by a program. Key material and tokens are never fields.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping
from enum import StrEnum

__all__ = ["Form", "Level", "fields", "set_up"]

_FIELDS = "featward_fields"


class Form(StrEnum):
    """How lines look; AUTO is CONSOLE on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class Level(StrEnum):
    """The least severe level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def fields(**values: object) -> dict[str, Mapping[str, object]]:
    """Fields of a log line, for `extra`; those that are None are left out."""
    return {_FIELDS: {name: value for name, value in values.items() if value is not None}}


def set_up(form: Form = Form.AUTO, level: Level = Level.INFO) -> None:
    """Send every logger of this process to standard error in this form, from this level on."""
    as_json = form is Form.JSON or (form is Form.AUTO and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Console())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _of(record: logging.LogRecord) -> Mapping[str, object]:
    found: Mapping[str, object] = getattr(record, _FIELDS, {})
    return found


def _timestamp(record: logging.LogRecord) -> str:
    return (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        + f".{int(record.msecs):03d}Z"
    )


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        details = " ".join(f"{name}={_shown(value)}" for name, value in _of(record).items())
        phrase = f"{record.levelname.lower():7} {record.getMessage():32}"
        line = f"{_timestamp(record)[11:]} {phrase} {details}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text and not any(c.isspace() or c == '"' or not c.isprintable() for c in text)
    return text if plain else json.dumps(text)
