"""Logging: structlog to standard error, as lines for people or as JSON for machines.

A call below the level costs about 1 us even though it does nothing; the hot path asks `level_enabled` first. No secret
reaches the output: fields are masked by their name, and texts where they look like credentials.
"""

import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Protocol, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from sipgw.observability.redaction import MASK, SECRET_HEADERS

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_SECRET_NAME = re.compile(r"(?i)passw|secret|token|credential|authoriz|gssapi|private_?key|cookie")
# Header lines that prove an identity, folded ones to their end, in a message that became a field whole.
_SECRET_HEADER = re.compile(rf"(?im)^((?:{'|'.join(SECRET_HEADERS)})[ \t]*:)[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*")
_SECRET_PARAMETER = re.compile(r'(?i)\b(gssapi-data|response|rspauth|password)=(?:"[^"]*"|[^\s,;"]+)')

Event = MutableMapping[str, Any]


class Stream(Protocol):
    """What is written to."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


class StandardError:
    """What standard error is at the time. Where nobody reads it any longer, lines are lost and nothing else."""

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except (OSError, ValueError):  # a broken pipe, a closed file
            return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


_threshold = LEVELS["info"]


def configure(log_format: str, level: str, stream: Stream | None = None) -> None:
    """Set up this process's logging: `log_format` "console" or "json", `level` a key of LEVELS."""
    global _threshold
    _threshold = LEVELS[level]
    output: Stream = stream if stream is not None else StandardError()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,
            *_renderers(log_format, output),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_threshold),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, output)),
        cache_logger_on_first_use=False,
    )


def _renderers(log_format: str, output: Stream) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=True)]
    return [escape_controls, structlog.dev.ConsoleRenderer(colors=output.isatty())]


def get_logger() -> FilteringBoundLogger:
    """A logger with the configuration of now: ask for it after `configure`."""
    return cast(FilteringBoundLogger, structlog.get_logger().bind())


def silent_logger() -> FilteringBoundLogger:
    """Writes nothing."""
    wrapper = structlog.make_filtering_bound_logger(50)
    return cast(FilteringBoundLogger, structlog.wrap_logger(None, wrapper_class=wrapper).bind())


def level_enabled(level: str) -> bool:
    """Whether a call at this level would write anything."""
    return LEVELS[level] >= _threshold


def hide_secrets(logger: object, method: str, event: Event) -> Event:
    """structlog processor: mask credentials."""
    for name, value in event.items():
        if _SECRET_NAME.search(name):
            event[name] = MASK
        elif isinstance(value, bytes):
            event[name] = _masked(value.decode("latin-1"))
        elif isinstance(value, str):
            event[name] = _masked(value)
    return event


def _masked(text: str) -> str:
    if "=" not in text and ":" not in text:
        return text
    return _SECRET_PARAMETER.sub(rf"\1={MASK}", _SECRET_HEADER.sub(rf"\1 {MASK}", text))


def escape_controls(logger: object, method: str, event: Event) -> Event:
    """structlog processor: a peer's text must not steer the terminal of whoever reads the log."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable() and name != "exception":
            event[name] = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
    return event
