"""The real processes: they share a socket, are replaced when they die, and all end together."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from regional311.settings import Settings
from regional311.web.serve import CannotServe, access_logged, listen, shown_path, waitress_options
from regional311.web.tree import PUBLIC_VIEWS


class Served:
    """`regional311 serve` as an operator runs it, on a database of the test's own."""

    def __init__(self, database, directory: Path, *options: str) -> None:
        self.log_path = directory / "serve.log"
        self.log = self.log_path.open("wb")
        environment = os.environ | {
            "REGIONAL311_DATABASE_URL": database.app_url,
            "REGIONAL311_OWNER_DATABASE_URL": database.owner_url,
            "REGIONAL311_VAR": str(directory / "var"),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "regional311.cli", "serve", "--port", "0", *options],
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        try:
            self.port = int(self.wait_for(r"Serving on http://127\.0\.0\.1:(\d+)"))
        except BaseException:
            self.close()
            raise

    def wait_for(self, pattern: str, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self.read())
            if found:
                return found.group(1) if found.groups() else found.group()
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern} is not in:\n{self.read()}")

    def read(self) -> str:
        return self.log_path.read_text(errors="replace")

    def children(self, name: str) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children()
        return [child for child in found if name in child.cmdline()]

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"User-Agent": "canary-agent"})
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


@pytest.fixture
def served(committed_database, tmp_path) -> Iterator[Served]:
    running = Served(committed_database, tmp_path, "--processes", "2")
    yield running
    running.close()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_serving_from_start_to_end(served) -> None:
    web, worker = served.children("web-process"), served.children("work")
    assert (len(web), len(worker)) == (2, 1)
    assert served.get("/healthz").status == 200
    assert served.get("/healthz").getheader("Server") is None

    served.get("/city-of-portland?name=canary-query")
    served.get("/track/canary-token")
    served.wait_for(r'"path": "/track/\*"')
    assert "canary" not in served.read()

    web[0].kill()
    served.wait_for("process_restarted")
    assert served.get("/healthz").status == 200
    assert len(served.children("web-process")) == 2

    everything = psutil.Process(served.process.pid).children(recursive=True)
    served.close()
    assert served.process.returncode == 0
    assert all(gone(process) for process in everything)
    with pytest.raises(ConnectionRefusedError):
        served.get("/healthz")


def test_children_end_when_their_parent_is_killed(served) -> None:
    children = psutil.Process(served.process.pid).children()
    served.process.kill()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert [process for process in alive if not gone(process)] == []


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(CannotServe, match=f"127.0.0.1:{port} cannot be served"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        ("/city-of-portland/requests/R-7K3M9-QP4TX", "/city-of-portland/requests/R-7K3M9-QP4TX"),
        ("/track/abcdef", "/track/*"),
        ("/Jo Doe/jo@example.org", "/*/*"),
        ("/city-of-portland//", "/city-of-portland//"),
        ("/" + "a" * 300, "/*"),
    ],
)
def test_the_path_in_the_log(path, shown) -> None:
    assert shown_path(path) == shown


def test_what_stands_at_the_root_is_no_partner_in_the_log() -> None:
    doors = {"a", "accommodation", "api", "articles", "services", *PUBLIC_VIEWS}
    with capture_logs() as said:
        for each in sorted(doors):
            access_logged(lambda *_: [])({"PATH_INFO": f"/{each}/x"}, lambda *_: None)
        access_logged(lambda *_: [])({"PATH_INFO": "/city-of-portland/x"}, lambda *_: None)
    assert {line["path"]: line["tenant"] for line in said if line["tenant"]} == {
        "/city-of-portland/x": "city-of-portland"
    }
    assert len(said) == len(doors) + 1


def test_an_error_is_logged_too(capsys) -> None:
    def broken(environ, start_response):
        raise ValueError("canary")

    with pytest.raises(ValueError, match="canary"):
        access_logged(broken)({"REQUEST_METHOD": "GET", "PATH_INFO": "/x"}, lambda *_: None)


def test_limits_and_the_trusted_proxy() -> None:
    plain = waitress_options(Settings(var=Path("unused")))
    assert plain["max_request_body_size"] == 20 * 1024 * 1024
    assert plain["ident"] is None
    assert "trusted_proxy" not in plain
    behind = waitress_options(
        Settings(var=Path("unused"), url="https://311.example", trusted_proxy="127.0.0.1")
    )
    assert (behind["trusted_proxy"], behind["url_scheme"]) == ("127.0.0.1", "https")
