"""The application on a port of its own, for programs and browsers that need a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from waitress.server import create_server


@contextmanager
def serving(application: Any, *, port: int = 0, **options: Any) -> Iterator[int]:
    """Serve with waitress in a thread while the block runs, and give the port (0: any free one).

    What is open is closed by the thread that waits for it: a socket closed under its `select` ends
    that thread with an error, now and then.
    """
    server = create_server(application, host="127.0.0.1", port=port, **options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()

    def close() -> None:
        # the listener and the connections that browsers keep open; without them the loop ends
        for each in list(server._map.values()):
            each.close()

    try:
        yield server.effective_port
    finally:
        # a loop that is awake already may close before it is woken
        with suppress(OSError):
            server.trigger.pull_trigger(close)
        thread.join(timeout=10)
        server.task_dispatcher.shutdown()
    assert not thread.is_alive()
