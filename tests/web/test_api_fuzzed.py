"""Whatever schemathesis makes of the document is answered as the document says.

Partner, numbers and keys are those of what is there, so that calls get past the address; what is
made wrong on purpose still is. A fixed seed and few examples keep it short: every operation is
tried with some calls, and some of each kind with every boundary there is. With
`REGIONAL311_FUZZ=all` all of them are, which takes minutes.
"""

from __future__ import annotations

import os

import pytest
import schemathesis
from schemathesis.engine import events, from_schema

from regional311.identity.clients import API_SCOPES
from regional311.web.api.operations import OPERATIONS
from tests.serving import serving
from tests.web.test_api import CITY, keyed, place  # noqa: F401

pytestmark = pytest.mark.commits

EVERY_BOUNDARY = ["listRequests", "readRequest", "closeRequest", "logContact", "acceptReferral"]


@pytest.fixture
def document(keyed, place):  # noqa: F811
    """The document with what is there in the place of every partner, number and key."""
    robot = keyed(*map(str, API_SCOPES))
    raw = robot.app.get("/api/openapi.json").json
    for path, told in raw["paths"].items():
        group = path.split("/")[2]
        there = {
            "partner": CITY,
            "number": getattr(place, group.removesuffix("s"), None),
            "key": "pothole" if group == "services" else "main",
        }
        for each in told["parameters"]:
            each["schema"] = {"enum": [there[each["name"]]]}
    return raw


def config(robot, port, phase):
    return schemathesis.Config.from_dict(
        {
            "seed": 311,
            "base-url": f"http://127.0.0.1:{port}",
            "headers": robot.headers,
            "request-timeout": 60,
            "generation": {"max-examples": 3, "deterministic": True},
            "phases": {
                each: {"enabled": each == phase}
                for each in ("examples", "coverage", "fuzzing", "stateful")
            },
            "checks": {
                # a call can be as the document says and yet not be possible as things are
                "positive_data_acceptance": {"enabled": False},
                # a change that names no version is 428 (RFC 6585)
                "missing_required_header": {"expected-statuses": [400, 401, 422, 428]},
            },
        }
    )


@pytest.mark.parametrize("phase", ["fuzzing", "coverage"])
def test_schemathesis_finds_nothing(application, document, keyed, phase):  # noqa: F811
    wanted = set(OPERATIONS)
    if phase == "coverage" and os.environ.get("REGIONAL311_FUZZ") != "all":
        wanted = set(EVERY_BOUNDARY)
    found, called = [], set()
    with serving(application, threads=2) as port:
        settings = config(keyed(*map(str, API_SCOPES)), port, phase)
        schema = schemathesis.openapi.from_dict(document, config=settings)
        for event in from_schema(schema.include(operation_id=sorted(wanted))).execute():
            if isinstance(event, events.NonFatalError | events.FatalError):
                found.append(repr(event))
            if not isinstance(event, events.ScenarioFinished):
                continue
            told = event.recorder
            called |= {told.label} if told.interactions else set()
            for case, checks in told.checks.items():
                for each in checks:
                    if each.failure_info is not None:
                        sent = told.cases[case].value.as_curl_command()
                        found.append(f"{each.name}: {each.failure_info.failure}\n{sent}")
    assert "\n\n".join(found) == ""
    paths = {f"{OPERATIONS[each].method} /{{partner}}{OPERATIONS[each].path}" for each in wanted}
    assert called == paths
