"""Serving: one waitress process a core on one listening socket, one worker, one receiver of mail.

The parent only watches: it binds the socket, starts the children, replaces one that dies, and stops
them all. A child that loses its parent stops by itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from regional311.errors import DomainError
from regional311.logs import configure_logging
from regional311.settings import Settings

THREADS = 4
BODY_BYTES = 20 * 1024 * 1024
CONNECTIONS = 400
IDLE_SECONDS = 60
BACKLOG = 512
STOP_SECONDS = 15.0
START_SECONDS = 60.0
QUICK_DEATH_SECONDS = 5.0
QUICK_DEATHS = 5

LISTEN_FD = "REGIONAL311_LISTEN_FD"
READY_FD = "REGIONAL311_READY_FD"
LIFELINE_FD = "REGIONAL311_LIFELINE_FD"

log = structlog.get_logger("regional311.serve")


class CannotServe(DomainError):
    """The address is taken, or the processes end as soon as they start."""


@dataclass
class Child:
    """One process of ours, and when it began."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    quick_deaths: int = 0
    ready: socket.socket | None = field(default=None, repr=False)


def serve(
    settings: Settings,
    database_url: str,
    *,
    host: str = "127.0.0.1",
    port: int = 6543,
    processes: int | None = None,
    on_ready: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until Ctrl-C, SIGTERM or `stop`; everything started here has ended on return.

    `processes` defaults to one a core. `on_ready` is called with the address once every process
    answers. Raises CannotServe.
    """
    stop = stop or threading.Event()
    listener = listen(host, port)
    bound_port = listener.getsockname()[1]
    environment = os.environ | replace(settings, database_url=database_url).as_environment()
    number = processes or os.cpu_count() or 1
    children = [
        Child(f"web-{place}", ["-m", "regional311.cli", "web-process"])
        for place in range(1, number + 1)
    ]
    children.append(Child("worker", ["-m", "regional311.cli", "work"]))
    if settings.mail_listen is not None:
        children.append(Child("mail", ["-m", "regional311.cli", "mail"]))
    lifeline, held = os.pipe()
    with listener, _signals_set(stop):
        try:
            for child in children:
                _start(child, environment, listener, lifeline)
            _await_ready(children, stop)
            if on_ready is not None and not stop.is_set():
                on_ready(f"http://{host}:{bound_port}")
            while not stop.wait(0.2):
                for child in children:
                    _revive(child, environment, listener, lifeline)
        finally:
            _end(children)
            os.close(held)
            os.close(lifeline)


def listen(host: str, port: int) -> socket.socket:
    """The listening socket that all processes share; raises CannotServe when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotServe(
            f"http://{host}:{port} cannot be served: {error.strerror}. Choose another with --port.",
            field="port",
        ) from error
    listener.listen(BACKLOG)
    return listener


@contextlib.contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`, when this is the thread that gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(
    child: Child, environment: dict[str, str], listener: socket.socket, lifeline: int
) -> None:
    ours, theirs = socket.socketpair()
    descriptors = {LISTEN_FD: listener.fileno(), READY_FD: theirs.fileno(), LIFELINE_FD: lifeline}
    with theirs:
        child.process = subprocess.Popen(
            [sys.executable, *child.arguments],
            env=environment | {name: str(number) for name, number in descriptors.items()},
            pass_fds=tuple(descriptors.values()),
            stdin=subprocess.DEVNULL,
            # Ctrl-C in the terminal reaches the parent alone, which then ends all in order.
            start_new_session=True,
        )
    child.started = time.monotonic()
    if child.ready is not None:
        child.ready.close()
    child.ready = ours


def _await_ready(children: Iterable[Child], stop: threading.Event) -> None:
    deadline = time.monotonic() + START_SECONDS
    for child in children:
        assert child.ready is not None
        child.ready.settimeout(0.2)
        while not stop.is_set():
            try:
                if child.ready.recv(1):
                    break
            except TimeoutError:
                if time.monotonic() < deadline:
                    continue
            raise CannotServe(f"The process {child.name} did not start; its reason stands above.")


def _revive(
    child: Child, environment: dict[str, str], listener: socket.socket, lifeline: int
) -> None:
    assert child.process is not None
    status = child.process.poll()
    if status is None:
        return
    quick = time.monotonic() - child.started < QUICK_DEATH_SECONDS
    child.quick_deaths = child.quick_deaths + 1 if quick else 0
    if child.quick_deaths >= QUICK_DEATHS:
        raise CannotServe(f"The process {child.name} ends as soon as it starts (status {status}).")
    log.warning("process_restarted", process=child.name, status=status)
    _start(child, environment, listener, lifeline)


def _end(children: Iterable[Child]) -> None:
    started = [child for child in children if child.process is not None]
    for child in started:
        assert child.process is not None
        if child.process.poll() is None:
            child.process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in started:
        assert child.process is not None
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        if child.ready is not None:
            child.ready.close()


# In the children


def attach_to_parent(on_stop: Callable[[], None]) -> Callable[[], None]:
    """Obey SIGTERM and the parent's end by `on_stop`; returns what tells the parent "ready".

    Does nothing but set the signals when this process was not started by `serve`.
    """

    def told(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        on_stop()

    signal.signal(signal.SIGTERM, told)
    ready = os.environ.pop(READY_FD, None)
    lifeline = os.environ.pop(LIFELINE_FD, None)
    if lifeline is not None:
        watcher = threading.Thread(target=_watch, args=(int(lifeline),), daemon=True)
        watcher.start()

    def tell() -> None:
        if ready is not None:
            with socket.socket(fileno=int(ready)) as channel, contextlib.suppress(OSError):
                channel.send(b"r")

    return tell


def _watch(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def run_web_process(make_app: Callable[[Settings], Callable[..., Iterable[bytes]]]) -> None:
    """Be one web process, on the socket that the parent listens on."""
    from waitress.server import create_server

    configure_logging()

    def leave() -> None:
        raise SystemExit(0)

    tell_ready = attach_to_parent(leave)
    settings = Settings.from_environment()
    listener = socket.socket(fileno=int(os.environ.pop(LISTEN_FD)))
    server = create_server(
        access_logged(make_app(settings)),
        sockets=[listener],
        **waitress_options(settings),
    )
    tell_ready()
    server.run()


def waitress_options(settings: Settings) -> dict[str, Any]:
    """Waitress as this service wants it: bounded bodies, connections and idle time, no name."""
    options: dict[str, Any] = {
        "threads": THREADS,
        "ident": None,
        "max_request_body_size": BODY_BYTES,
        "connection_limit": CONNECTIONS,
        "channel_timeout": IDLE_SECONDS,
        "asyncore_use_poll": True,
        "clear_untrusted_proxy_headers": True,
        "url_scheme": "https" if settings.secure else "http",
    }
    if settings.trusted_proxy is not None:
        options |= {
            "trusted_proxy": settings.trusted_proxy,
            "trusted_proxy_count": 1,
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"},
        }
    return options


NOT_TENANTS = frozenset(
    {
        *("", "*", "a", "accommodation", "answer", "api", "articles", "auth", "calls", "chat"),
        *("data-guide", "emergency", "found", "healthz", "hsds", "letters", "metrics", "mine"),
        *("open311", "partners", "report", "reported", "robots.txt", "search", "service"),
        *("services", "sitemap.xml", "static", "suggest", "texts", "track", "waiting", "where"),
    }
)
SECRET_AFTER = frozenset({"answer", "auth", "letters", "mine", "search", "track"})
"""Segments after which one comes that nobody else may read."""

PLAIN_SEGMENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}|[A-Z]{1,2}-[0-9A-Z-]{1,20}")


def shown_path(path: str) -> str:
    """The path as the log may have it: slugs, view names and public numbers, nothing else.

    A tracking token opens somebody's request, that of an answer a referral, and what people type
    into an address may be anything; all become a star.

    >>> shown_path("/city-of-portland/requests/R-7K3M9-QP4TX")
    '/city-of-portland/requests/R-7K3M9-QP4TX'
    >>> shown_path("/track/k3v9x0q8/Jo Doe")
    '/track/*/*'
    >>> shown_path("/answer/aaIYy2J2dSSO/accept")
    '/answer/*/accept'
    """
    shown, previous = [], ""
    for segment in path.split("/")[1:]:
        plain = PLAIN_SEGMENT.fullmatch(segment) and previous not in SECRET_AFTER
        shown.append(segment if plain or not segment else "*")
        previous = segment
    return "/" + "/".join(shown)


def access_logged(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Log each request: method, path, status, milliseconds, tenant; no query, no IP address."""
    access = structlog.get_logger("regional311.access")

    def logged(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun = time.perf_counter()
        path = shown_path(environ.get("PATH_INFO", "/"))
        status = ["500"]

        def started(line: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            status[0] = line[:3]
            return start_response(line, headers, *more)

        try:
            return app(environ, started)
        finally:
            access.info(
                "request",
                method=environ.get("REQUEST_METHOD"),
                path=path,
                status=int(status[0]),
                ms=round((time.perf_counter() - begun) * 1000, 1),
                tenant=None if path.split("/")[1] in NOT_TENANTS else path.split("/")[1],
            )

    return logged
