"""Programs that others wrote read and send through Open311, over a real socket."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import georeport
import pytest
import requests
from civicbot.http import HttpTransport, RateLimiter
from civicbot.open311 import Open311Client
from civicbot.registry import Endpoint
from playwright._impl._driver import compute_driver_executable

from regional311.app import main
from regional311.database.session import Scope, session_scope
from regional311.identity.clients import make_client
from tests.serving import serving
from tests.web.test_open311 import BASE, CITY, IN_THE_CITY, NOW

pytestmark = pytest.mark.commits

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def address(web_engine, configured, clock) -> Iterator[str]:
    """The application on a port of its own."""
    clock.now = NOW
    application = main({}, configured=configured, engine=web_engine, clock=clock)
    with serving(application, threads=2) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def key(people, web_engine) -> str:
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        return make_client(
            session, name="Clients", scopes=["open311:requests"], a_minute=100, now=NOW
        )


def test_civicbot_reads_and_sends(address, key):
    endpoint = Endpoint(
        id="portland",
        name="Portland",
        base_url=address + BASE,
        write=True,
        api_key_required_for_write=True,
    )
    client = Open311Client(endpoint, HttpTransport(rate_limiter=RateLimiter(min_interval=0)))
    sent = client.create_request(
        "pothole",
        lat=45.5152,
        lng=-122.6784,
        description="sent by a robot",
        attributes={"size": "wheel", "hit": "no"},
        api_key=key,
        dry_run=False,
        confirm="SEND",
        validate_remote=True,
    )
    number = sent.response[0]["service_request_id"]
    assert client.get_request(number)["description"] == "sent by a robot"
    found = client.list_requests(service_code="pothole", status="open")
    assert number in {each["service_request_id"] for each in found}


@pytest.mark.parametrize("form", ["json", "xml"])
def test_georeport_reads(address, key, form):
    client = georeport.GeoReport(f"{address}/open311/v2", jurisdiction=CITY, output_format=form)
    services = {each["service_code"]: each for each in client.get_service_list()}
    assert services["pothole"]["service_name"] == "Pothole in a street"
    definition = client.get_service_definition("pothole")
    assert definition["service_code"] == "pothole"
    reported = {"jurisdiction_id": CITY, "api_key": key, "service_code": "pothole", **IN_THE_CITY}
    assert requests.post(f"{address}/open311/v2/requests.json", reported, timeout=60).ok
    found = client.get_service_requests(status="open,closed", service_code="pothole,street-light")
    assert found


def test_open311_of_npm_reads_and_sends(address, key):
    """Run by the Node that playwright brings, so that it is there wherever the tests are."""
    environment = {"NODE_PATH": str(TESTS / "vendor/open311/modules")}
    done = subprocess.run(
        [
            compute_driver_executable()[0],
            TESTS / "web/open311_client.js",
            f"{address}/open311/v2/discovery.json",
            CITY,
            key,
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "pothole" in {each["service_code"] for each in told["services"]}
    assert told["definition"]["service_code"] == "pothole"
    for found in (told["one"], told["several"]):
        assert [each["service_request_id"] for each in found] == [told["number"]]
        assert found[0]["description"] == "sent from Node – ñ"
    assert told["number"] in {each["service_request_id"] for each in told["open"]}
