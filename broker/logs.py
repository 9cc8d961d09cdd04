"""How long-running processes speak: one event a line, for a person at a terminal or as JSON for a collector.

Events carry codes, ids, digests, counts and times. Nothing that could hold a document's text goes into a log, and no
password does: values under such names are masked here, as a last line of defence against a careless call.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from broker.settings import without_credentials

MASK: Final = "(not logged)"

NEVER_LOGGED: Final = frozenset(
    {
        "password",
        "secret",
        "token",
        "key",
        "body",
        "payload",
        "content",
        "subject",
        "summary",
        "reason",
        "staff",
        "text",
    }
)
"""Names whose values are secrets or a document's text, or may be."""


_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
"""Where an error came from, without the values of variables: those hold passwords, tokens and documents."""


def set_up(*, process: str, level: str = "info", as_json: bool | None = None) -> None:
    """Prepare logging for a process called `process` ("worker", "keeper", …). Call once, before the first event.

    `as_json`: None means JSON unless standard error is a terminal. The standard library's loggers (those of the
    drivers) take the same way, from warnings upwards.
    """
    threshold = getattr(logging, level.upper())
    in_json = not sys.stderr.isatty() if as_json is None else as_json
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask,
    ]
    last: list[structlog.typing.Processor] = (
        [_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if in_json
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    for noisy in ("aio_pika", "aiormq", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(threshold, logging.WARNING))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)


def mask(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Take secrets, and what may hold a document's text, out of an event; take the password out of addresses."""
    for name, value in event.items():
        if name in NEVER_LOGGED:
            event[name] = MASK
        elif isinstance(value, str) and "://" in value and "@" in value and urlsplit(value).password is not None:
            event[name] = without_credentials(value)
    return event
