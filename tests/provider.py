"""A little provider of texts on a port of its own: keeps what it gets, answers as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Provider(ThreadingHTTPServer):
    """What came in `got`, each with its headers; `status` is what is answered."""

    got: list[tuple[dict[str, str], dict[str, Any]]]
    status: int

    @property
    def url(self) -> str:
        """Where texts are handed to it."""
        return f"http://127.0.0.1:{self.server_port}/v1/texts"

    def texts(self, number: str) -> list[str]:
        """Give what was said to a number."""
        return [said["text"] for _headers, said in self.got if said["to"] == number]


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@contextmanager
def texts_provider() -> Iterator[Provider]:
    """Serve one while the block runs."""
    made = Provider(("127.0.0.1", 0), _Handler)
    made.got, made.status = [], 202
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
