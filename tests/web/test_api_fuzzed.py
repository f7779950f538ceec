"""Whatever schemathesis makes of the documents is answered as they say.

Partner, numbers and keys are those of what is there, so that calls get past the address; what is
made wrong on purpose still is. A fixed seed and few examples keep it short: every operation is
tried with some calls, and some of each kind with every boundary there is. With
`REGIONAL311_FUZZ=all` all of them are, which takes minutes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import pytest
import schemathesis
from schemathesis.engine import events, from_schema

from regional311.identity.clients import API_SCOPES
from regional311.web.api.operations import OPERATIONS
from tests.serving import serving
from tests.web.test_api import CITY, keyed, place  # noqa: F401

pytestmark = pytest.mark.commits

EVERY_BOUNDARY = [
    *("listRequests", "readRequest", "closeRequest", "fileRequest", "addRequestNote"),
    *("logContact", "listContacts", "acceptReferral"),
]
LINKED = [
    *("fileRequest", "listRequests", "readRequest"),
    *("logContact", "listContacts", "readContact"),
    *("listReferrals", "readReferral"),
]
READING = ("request:read", "service:read")


@pytest.fixture
def raw(keyed):  # noqa: F811
    return keyed(*map(str, API_SCOPES)).app.get("/api/openapi.json").json


def there(document, places):
    """Put what is there in the place of every partner, number and key."""
    for path, told in document["paths"].items():
        group = path.split("/")[2]
        known = {
            "partner": CITY,
            "number": getattr(places, group.removesuffix("s"), None),
            "key": "pothole" if group == "services" else "main",
        }
        for each in told["parameters"]:
            each["schema"] = {"enum": [known[each["name"]]]}
    return document


def config(port: int, phase: str, headers: dict[str, str], *, examples: int = 3) -> Any:
    return schemathesis.Config.from_dict(
        {
            "seed": 311,
            "base-url": f"http://127.0.0.1:{port}",
            # without a key a page would be led to where one signs in
            "headers": {"Accept": "application/json", **headers},
            "request-timeout": 60,
            "generation": {"max-examples": examples, "deterministic": True},
            "phases": {
                each: {"enabled": each == phase}
                for each in ("examples", "coverage", "fuzzing", "stateful")
            },
            "checks": {
                # a call can be as the document says and yet not be possible as things are
                "positive_data_acceptance": {"enabled": False},
                # a change that names no version is 428 (RFC 6585)
                "missing_required_header": {"expected-statuses": [400, 401, 403, 422, 428]},
            },
        }
    )


def tried(schema: Any) -> tuple[list[str], list[Any]]:
    """Make the calls; give what is wrong in them, and every call as it was answered."""
    found: list[str] = []
    calls: list[Any] = []
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.append(repr(event))
        if not isinstance(event, events.ScenarioFinished):
            continue
        told = event.recorder
        for name, interaction in told.interactions.items():
            if interaction.response is not None:
                calls.append((told.cases[name].value, interaction.response))
        for case, checks in told.checks.items():
            for each in checks:
                if each.failure_info is not None:
                    sent = told.cases[case].value.as_curl_command()
                    found.append(f"{each.name}: {each.failure_info.failure}\n{sent}")
    return found, calls


def amiss(calls: Iterable[tuple[Any, Any]]) -> list[str]:
    """Name what no document says of a head, and holds for every answer all the same."""
    found = []
    for case, answer in calls:
        heads = {name.lower(): ", ".join(value) for name, value in answer.headers.items()}
        where = f"{case.method} {case.path}: {answer.status_code} {heads}"
        if answer.status_code >= 500:
            found.append(where)
        if answer.status_code >= 400 and answer.content:
            said = json.loads(answer.content)
            if said["status"] != answer.status_code or not said["detail"]:
                found.append(f"{where} {said}")
            if heads["content-type"] != "application/problem+json":
                found.append(where)
        if heads.get("x-content-type-options") != "nosniff" or "cache-control" not in heads:
            found.append(where)
        kept = answer.status_code == 200 and heads.get("cache-control") != "no-store"
        if kept and "Authorization" not in heads.get("vary", ""):
            found.append(where)
    return found


def nothing(found: list[str], calls: list[Any]) -> None:
    """Fail with the first of what is wrong."""
    wrong = [*found, *amiss(calls)]
    if wrong:
        pytest.fail("\n\n".join(each[:1500] for each in wrong[:10]))


@pytest.mark.parametrize("phase", ["fuzzing", "coverage"])
def test_schemathesis_finds_nothing(application, raw, place, keyed, phase):  # noqa: F811
    wanted = set(OPERATIONS)
    if phase == "coverage" and os.environ.get("REGIONAL311_FUZZ") != "all":
        wanted = set(EVERY_BOUNDARY)
    headers = keyed(*map(str, API_SCOPES)).headers
    with serving(application, threads=2) as port:
        settings = config(port, phase, headers)
        schema = schemathesis.openapi.from_dict(there(raw, place), config=settings)
        found, calls = tried(schema.include(operation_id=sorted(wanted)))
    nothing(found, calls)
    paths = {(OPERATIONS[each].method, "/{partner}" + OPERATIONS[each].path) for each in wanted}
    assert paths <= {(case.method, case.path) for case, _answer in calls}


def test_a_key_that_reads_changes_nothing_however_it_is_tried(application, raw, place, keyed):  # noqa: F811
    """What its scopes do not open is 403 as documented, and never done."""
    with serving(application, threads=2) as port:
        settings = config(port, "fuzzing", keyed(*READING).headers, examples=1)
        schema = schemathesis.openapi.from_dict(there(raw, place), config=settings)
        found, calls = tried(schema)
    nothing(found, calls)
    opened = {
        (each.method, "/{partner}" + each.path)
        for each in OPERATIONS.values()
        if str(each.permission) in READING
    }
    done = {(case.method, case.path) for case, answer in calls if answer.status_code < 300}
    assert done
    assert done <= opened


def test_what_an_answer_names_is_there(application, raw, keyed, place):  # noqa: F811
    """Calls one after another, by the links of the document."""
    for told in raw["paths"].values():
        for each in told["parameters"]:
            if each["name"] == "partner":
                each["schema"] = {"enum": [CITY]}
    with serving(application, threads=2) as port:
        settings = config(port, "stateful", keyed(*map(str, API_SCOPES)).headers, examples=12)
        schema = schemathesis.openapi.from_dict(raw, config=settings)
        found, calls = tried(schema.include(operation_id=LINKED))
    nothing(found, calls)
    read = {
        case.path for case, answer in calls if answer.status_code == 200 and "{number}" in case.path
    }
    assert read
