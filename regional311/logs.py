"""What the processes write about themselves: one line an event, ids and codes, never personal data.

To a terminal in words, to anything else as one JSON object a line; always to standard error.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging() -> None:
    """Send structlog's events and the libraries' warnings to standard error."""
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    # A busy moment is no warning: the queue's length is what the thread pool is for.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
