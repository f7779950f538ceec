"""Referrals as FHIR: what is written is read again, and what cannot be read is named."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from regional311.exchange.fhir import (
    GUIDE,
    STATES,
    STATUSES,
    TASK_PROFILE,
    Agreed,
    Fault,
    Handover,
    Identifier,
    Note,
    Paper,
    Progress,
    outcome,
    read_message,
    read_task,
    write_bundle,
    write_task,
)
from regional311.referral import lifecycle

AT = datetime(2026, 10, 5, 17, tzinfo=UTC)
HANDOVER = Handover(
    Progress(Identifier("urn:ietf:rfc:3986", "urn:uuid:1"), "requested", AT),
    sender="city",
    receiver="211info",
    service="bed",
    sent_at=AT - timedelta(hours=1),
    service_name="A bed for tonight",
    number="F-00000-0CT7W",
    consent=Agreed(
        "urn:uuid:2",
        AT,
        AT + timedelta(days=180),
        paper=Paper("Consent signed on paper, kept by the City", AT.date(), "es"),
    ),
    shared={
        "name": "Dana Reed",
        "phone": "503 555 0101",
        "email": "dana@example.org",
        "language": "es",
        "need": "A bed",
        "note": "sleeps in a car",
        "safe_to_call": True,
        "place": {"kind": "point", "latitude": "45.5", "longitude": "-122.6"},
    },
)


# --- the shape, said once more and strictly ------------------------------------------------------


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Coding(Strict):
    system: str
    code: str


class Concept(Strict):
    coding: Annotated[list[Coding], Field(min_length=1)]
    text: str


class BusinessId(Strict):
    system: str
    value: str


class Reference(Strict):
    reference: str | None = None
    type: Literal["Task", "ServiceRequest"] | None = None
    display: str | None = None
    identifier: BusinessId | None = None


class Meta(Strict):
    profile: list[str]
    lastUpdated: str | None = None


class Output(Strict):
    type: Concept
    valueCodeableConcept: Concept


class Annotation(Strict):
    id: str | None = None
    authorReference: Reference | None = None
    time: str | None = None
    text: str


class TaskShape(Strict):
    """SDOHCC Task for Referral Management, as far as it is written here."""

    resourceType: Literal["Task"]
    id: str
    language: str | None = None
    meta: Meta
    identifier: Annotated[list[BusinessId], Field(min_length=1)]
    status: Literal[
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "entered-in-error",
    ]
    statusReason: Concept | None = None
    intent: Literal["order"]
    priority: Literal["routine", "urgent", "asap", "stat"]
    code: Concept
    focus: Reference
    for_: Annotated[Reference, Field(alias="for")]
    authoredOn: str
    lastModified: str
    requester: Reference
    owner: Reference
    partOf: list[Reference] | None = None
    output: list[Output] | None = None
    note: list[Annotation] | None = None


class Extension(Strict):
    url: str
    valueCode: str | None = None
    valueString: str | None = None
    extension: list[Extension] | None = None


class Text(Strict):
    text: str


class RequestShape(Strict):
    """SDOHCC ServiceRequest."""

    resourceType: Literal["ServiceRequest"]
    id: str
    language: str | None = None
    meta: Meta
    status: Literal["draft", "active", "revoked", "completed", "entered-in-error"]
    intent: Literal["order"]
    priority: Literal["routine", "urgent", "asap", "stat"]
    category: list[Concept]
    code: Concept
    subject: Reference
    authoredOn: str
    extension: list[Extension]
    reasonCode: list[Text] | None = None
    note: list[Text] | None = None
    supportingInfo: list[Reference] | None = None
    basedOn: list[Reference] | None = None


class Telecom(Strict):
    system: Literal["phone", "email"]
    value: str


class Spoken(Strict):
    language: dict[str, Any]
    preferred: bool


class PatientShape(Strict):
    """A person, as far as they agreed."""

    resourceType: Literal["Patient"]
    id: str
    name: list[Text] | None = None
    telecom: list[Telecom] | None = None
    communication: list[Spoken] | None = None


class AttachmentShape(Strict):
    """What names a paper: neither its bytes nor where they are."""

    title: str
    language: str | None = None
    creation: str | None = None


class ConsentShape(Strict):
    """SDOHCC Consent, by reference."""

    resourceType: Literal["Consent"]
    id: str
    meta: Meta
    identifier: list[BusinessId]
    status: Literal["active", "inactive"]
    scope: Concept
    category: list[Concept]
    dateTime: str
    sourceAttachment: AttachmentShape | None = None
    provision: dict[str, Any] | None = None


SHAPES = {
    "Task": TaskShape,
    "ServiceRequest": RequestShape,
    "Patient": PatientShape,
    "Consent": ConsentShape,
}


def check_shape(bundle: dict[str, Any]) -> list[str]:
    assert set(bundle) == {"resourceType", "type", "entry"}
    kinds = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        kinds.append(resource["resourceType"])
        SHAPES[kinds[-1]].model_validate(resource)
    return kinds


# --- both ways ------------------------------------------------------------------------------------

words = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
).filter(str.strip)
codes = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)
moments = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 (the zones are drawn apart)
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]),
)
values = st.one_of(
    words,
    st.booleans(),
    st.integers(-1000, 1000),
    st.dictionaries(codes, words, max_size=3),
    st.lists(words, max_size=3),
)
handovers = st.builds(
    Handover,
    progress=st.builds(
        Progress,
        identifier=st.builds(Identifier, codes.map("urn:x:".__add__), words),
        state=st.sampled_from(sorted(STATUSES)),
        changed_at=moments,
        reason=st.none() | st.sampled_from(lifecycle.DECLINE_REASONS),
        outcome=st.none() | st.sampled_from(lifecycle.OUTCOMES),
        notes=st.lists(
            st.builds(
                Note,
                words,
                st.none() | st.sampled_from(["sent", "received"]),
                st.none() | words,
                st.none() | moments,
            ),
            max_size=3,
        ).map(tuple),
    ),
    sender=codes,
    receiver=codes,
    service=codes,
    sent_at=moments,
    service_name=words,
    urgency=st.sampled_from(["low", "normal", "high", "urgent"]),
    number=st.none() | words,
    consent=st.none()
    | st.builds(
        Agreed,
        words,
        moments,
        st.none() | moments,
        st.booleans(),
        st.none() | st.builds(Paper, words, st.none() | moments.map(datetime.date), st.none()),
    ),
    shared=st.dictionaries(
        st.sampled_from(["name", "phone", "email", "language", "need", "note", "place", "other"]),
        values,
        max_size=8,
    ),
    part_of=st.lists(
        st.builds(Identifier, codes.map("urn:x:".__add__), words), max_size=3, unique=True
    ).map(tuple),
)


@given(handovers)
def test_what_is_written_is_read_again(handover):
    assume(handover.sender != handover.receiver)
    bundle = write_bundle(handover, "id-1")
    check_shape(bundle)
    progress, found = read_message(json.loads(json.dumps(bundle)))
    assert found == handover
    assert progress == handover.progress


def test_every_state_has_its_status_and_comes_back():
    assert set(STATUSES) == set(lifecycle.STATES)
    for state, status in STATUSES.items():
        assert STATES[status] == state
    opened = Progress(HANDOVER.progress.identifier, "requested", AT, opened=True)
    task = write_task(Handover(opened, "a", "b", "c", AT), "1")
    assert task["status"] == "received"
    assert read_task(task) == opened


def test_it_has_the_shape_of_the_guide():
    bundle = write_bundle(HANDOVER, "id-1")
    assert check_shape(bundle) == ["Task", "ServiceRequest", "Patient", "Consent"]
    task, request, patient, consent = (entry["resource"] for entry in bundle["entry"])
    assert task["meta"]["profile"] == [TASK_PROFILE]
    spanish = write_bundle(replace(HANDOVER, language="es"), "id-1")
    assert check_shape(spanish)[0] == "Task"
    assert [each["resource"].get("language") for each in spanish["entry"][:2]] == ["es", "es"]
    assert task["focus"] == {"reference": "ServiceRequest/id-1"}
    assert task["for"] == request["subject"] == {"reference": "Patient/id-1"}
    assert request["supportingInfo"] == [{"reference": "Consent/id-1"}]
    assert patient["name"] == [{"text": "Dana Reed"}]
    assert consent["provision"]["period"]["end"].startswith("2027-04-03")
    # the paper is named, and never goes along
    assert consent["sourceAttachment"] == {
        "title": "Consent signed on paper, kept by the City",
        "language": "es",
        "creation": "2026-10-05",
    }
    done = Progress(HANDOVER.progress.identifier, "completed", AT, outcome="met")
    output = write_task(Handover(done, "a", "b", "c", AT), "1")["output"]
    assert output[0]["type"]["coding"][0] == {
        "system": f"{GUIDE}/CodeSystem/SDOHCC-CodeSystemTemporaryCodes",
        "code": "resulting-activity",
    }


def test_nobody_is_named_who_did_not_agree():
    bundle = write_bundle(
        Handover(HANDOVER.progress, "a", "b", "c", AT, shared={"need": "A bed"}), "1"
    )
    assert check_shape(bundle) == ["Task", "ServiceRequest"]


def test_a_note_of_neither_side_is_passed_over_and_one_without_an_author_is_read():
    task = write_task(HANDOVER, "1")
    assert read_task(task | {"note": [{"text": "Call first"}]}).notes == (Note("Call first"),)
    stranger = {"authorReference": {"identifier": {"system": "urn:x", "value": "moon"}}}
    notes = [{"text": "Not ours", **stranger}, {"text": "Call first"}]
    assert read_task(task | {"note": notes}).notes == (Note("Call first"),)


def test_another_systems_task_is_read_as_the_guide_has_it():
    task = {
        "resourceType": "Task",
        "identifier": [{"system": "http://cbo.example/tasks", "value": "77"}],
        "status": "rejected",
        "intent": "order",
        "statusReason": {"text": "We are full"},
        "authoredOn": "2026-10-05T10:00:00-07:00",
        "output": [{"type": {"text": "x"}, "valueReference": {"reference": "Procedure/1"}}],
    }
    found = read_task(task)
    assert found == Progress(
        Identifier("http://cbo.example/tasks", "77"), "rejected", None, reason="other"
    )


def test_a_name_in_parts_and_a_field_of_another_system():
    bundle = write_bundle(HANDOVER, "1")
    patient = bundle["entry"][2]["resource"]
    patient["name"] = [{"given": ["Dana", "M."], "family": "Reed", "use": "official"}]
    patient["birthDate"] = "1980-01-01"
    _progress, found = read_message(bundle)
    assert found is not None
    assert found.shared["name"] == "Dana M. Reed"
    assert "birthDate" not in found.shared


def _broken(path: str, value: Any) -> dict[str, Any]:
    """The example with one value replaced, or taken out; the path begins in the Bundle."""
    bundle = copy.deepcopy(write_bundle(HANDOVER, "1"))
    at: Any = bundle
    *way, last = path.split("/")
    for step in way:
        at = at[int(step)] if step.isdecimal() else at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return bundle


TASK, REQUEST = "entry/0/resource", "entry/1/resource"


@pytest.mark.parametrize(
    ("path", "value", "where", "says"),
    [
        ("type", "message", "Bundle.type", "transaction or collection"),
        ("entry", [], "Bundle.entry", "a list with something"),
        (
            f"{TASK}/resourceType",
            "Practitioner",
            "Bundle.entry[0].resource.resourceType",
            "allowed",
        ),
        (f"{TASK}/status", "ready", "Bundle.entry[0].resource.status", "ready is not known"),
        (f"{TASK}/status", 7, "Bundle.entry[0].resource.status", "must be a text"),
        (f"{TASK}/status", None, "Bundle.entry[0].resource.status", "is missing"),
        (f"{TASK}/intent", "plan", "Bundle.entry[0].resource.intent", "order"),
        (f"{TASK}/identifier", None, "Bundle.entry[0].resource.identifier", "is missing"),
        (f"{TASK}/identifier", [{"value": "1"}], "Bundle.entry[0].resource.identifier", "system"),
        (f"{TASK}/lastModified", "today", "Bundle.entry[0].resource.lastModified", "a time"),
        (
            f"{TASK}/lastModified",
            "2026-10-05T10:00:00",
            "Bundle.entry[0].resource.lastModified",
            "its zone",
        ),
        (f"{TASK}/owner", None, "Bundle.entry[0].resource.owner", "is missing"),
        (
            f"{TASK}/modifierExtension",
            [{"url": "x"}],
            "Bundle.entry[0].resource.modifierExtension",
            "not understood",
        ),
        (f"{REQUEST}/code", {"text": "bed"}, "Bundle.entry[1].resource.code", "a code of"),
        (f"{REQUEST}/priority", "now", "Bundle.entry[1].resource.priority", "routine, urgent"),
        (
            f"{REQUEST}/extension/0/valueCode",
            "soon",
            "Bundle.entry[1].resource.extension[0].valueCode",
            "no urgency",
        ),
        (
            f"{REQUEST}/extension/1/extension/1/valueString",
            "{",
            "Bundle.entry[1].resource.extension[1].extension.valueString",
            "is not JSON",
        ),
        *(
            (
                f"{REQUEST}/extension/1/extension/1/valueString",
                value,
                "Bundle.entry[1].resource.extension[1].extension.valueString",
                says,
            )
            for value, says in (
                ('"\\u0000"', "no text has"),
                ('{"a": ["\\ud800"]}', "no text has"),
                ('{"\\u0000": 1}', "no text has"),
                ("[" * 5000, "nested too deeply"),
                ("[" * 12 + "]" * 12, "nested too deeply"),
                ("9" * 400, "too large"),
                ("9" * 5000, "not JSON"),
                ("-1e999", "too large"),
                ("NaN", "not JSON"),
                ("\ud800", "no text has"),
            )
        ),
        ("entry/3/resource/status", "draft", "Bundle.entry[3].resource.status", "must be active"),
        (
            f"{REQUEST}/note",
            [{"text": "x" * 10_001}],
            "Bundle.entry[1].resource.note[0].text",
            "longer than",
        ),
    ],
)
def test_a_fault_names_its_path(path, value, where, says):
    with pytest.raises(Fault, match=says) as fault:
        read_message(_broken(path, value))
    assert fault.value.path.replace("[1].valueString", ".valueString") == where
    assert fault.value.field == fault.value.path


@pytest.mark.parametrize("sent", [None, [], 7, "Task", {}, {"resourceType": "Patient"}])
def test_what_is_no_message_is_refused(sent):
    with pytest.raises(Fault):
        read_message(sent)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceType", "entry", "resource", "type", "status", "identifier"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_nothing_that_is_sent_breaks_the_reader(sent):
    with pytest.raises(Fault):
        read_message(sent)


@given(st.data())
def test_one_broken_value_is_a_fault_or_is_read(data):
    bundle = copy.deepcopy(write_bundle(HANDOVER, "1"))
    at: Any = bundle
    while isinstance(at, dict | list) and at:
        keys = sorted(at) if isinstance(at, dict) else range(len(at))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(json_values)
            break
        at = at[key]
    with suppress(Fault):
        read_message(bundle)


def test_what_it_is_part_of_is_read_from_wherever_it_stands_and_names_nobody():
    first, second = Identifier("urn:x", "1"), Identifier("urn:x", "2")
    bundle = write_bundle(replace(HANDOVER, part_of=(first, second)), "id-1")
    task, request = (bundle["entry"][at]["resource"] for at in (0, 1))
    named = [{"system": "urn:x", "value": "1"}, {"system": "urn:x", "value": "2"}]
    assert task["partOf"] == [{"type": "Task", "identifier": each} for each in named]
    assert request["basedOn"] == [{"type": "ServiceRequest", "identifier": each} for each in named]
    del task["partOf"]
    request["basedOn"][:1] = [{"reference": "CarePlan/7"}, {"identifier": {"value": "7"}}]
    task["basedOn"] = [{"identifier": {"system": "urn:x", "value": "1"}}]
    _progress, found = read_message(bundle)
    assert found is not None
    assert found.part_of == (first, second)


def test_an_outcome_names_the_path():
    found = outcome([("error", "value", "ready is not known.", "Task.status")])
    assert found["issue"] == [
        {
            "severity": "error",
            "code": "value",
            "diagnostics": "ready is not known.",
            "expression": ["Task.status"],
        }
    ]
