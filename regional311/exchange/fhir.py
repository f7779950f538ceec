"""Referrals as HL7 FHIR R4 resources, in the shape of the SDOH Clinical Care guide 3.0.

A referral travels as a Bundle: a *Task* (the loop: status, reason, output), its *ServiceRequest*
(what is asked for), and, when the person agreed, a *Patient* and the *Consent* that lets them go.
Each Bundle is the whole of it: receiving one twice changes nothing. An answer may be a Task alone.

Pure both ways. What cannot be read raises :class:`Fault`, which names the path. What the mapping
does not know is left alone, as FHIR asks, but a modifier that it does not understand is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from regional311.errors import InvalidInput

FHIR_VERSION: Final = "4.0.1"
GUIDE: Final = "http://hl7.org/fhir/us/sdoh-clinicalcare"
TASK_PROFILE: Final = f"{GUIDE}/StructureDefinition/SDOHCC-TaskForReferralManagement"
REQUEST_PROFILE: Final = f"{GUIDE}/StructureDefinition/SDOHCC-ServiceRequest"
CONSENT_PROFILE: Final = f"{GUIDE}/StructureDefinition/SDOHCC-Consent"
GUIDE_CODES: Final = f"{GUIDE}/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
TASK_CODES: Final = "http://hl7.org/fhir/CodeSystem/task-code"
URI: Final = "urn:ietf:rfc:3986"
LANGUAGE: Final = "urn:ietf:bcp:47"

PARTNERS: Final = "urn:regional311:partner"
SERVICES: Final = "urn:regional311:service"
NUMBERS: Final = "urn:regional311:referral-number"
REASONS: Final = "urn:regional311:status-reason"
OUTCOMES: Final = "urn:regional311:need-outcome"
FIELD: Final = "urn:regional311:shared-field"
URGENCY: Final = "urn:regional311:urgency"

STATUSES: Final[Mapping[str, str]] = {
    "draft": "draft",
    "requested": "requested",
    "accepted": "accepted",
    "rejected": "rejected",
    "in_progress": "in-progress",
    "on_hold": "on-hold",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "entered_in_error": "entered-in-error",
}
"""Our state to Task.status; *requested* and opened by the receiver is ``received``."""

STATES: Final = {status: state for state, status in STATUSES.items()} | {"received": "requested"}
"""Task.status to our state. ``ready`` is none: the guide's referrals never have it."""

_REQUEST_STATUS: Final = {
    "draft": "draft",
    "completed": "completed",
    "rejected": "revoked",
    "failed": "revoked",
    "cancelled": "revoked",
    "entered_in_error": "entered-in-error",
}
_PRIORITIES: Final = {"low": "routine", "normal": "routine", "high": "urgent", "urgent": "asap"}
_URGENCIES: Final = {"routine": "normal", "urgent": "high", "asap": "urgent", "stat": "urgent"}
RESOURCES: Final = ("Task", "ServiceRequest", "Patient", "Consent")
MOST_ENTRIES: Final = 10
MOST_NOTES: Final = 50
"""Notes that a Task carries; of more, the newest."""

LONGEST: Final = 10_000
"""Characters of one text."""

LONGEST_TITLE: Final = 200
"""Characters of the name of a paper."""

LONGEST_CODE: Final = 35
"""Characters of a language's code."""

MOST_BEFORE: Final = 50
"""Referrals that a message names as those by which the person came."""

DEEPEST: Final = 8
"""Objects and lists within each other in one shared field."""

TOO_DEEP: Final = "is nested too deeply."
"""What is said of more."""

LARGEST_NUMBER: Final = 2**53
"""Beyond it a number is not the same in every system."""

_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")
"""What cannot be kept: the end of a text, and halves of a character."""


class Fault(InvalidInput):
    """A resource that cannot be taken; ``path`` is where in it, as FHIRPath writes it."""

    def __init__(self, path: str, message: str, code: str = "invalid") -> None:
        super().__init__(f"{path}: {message}", field=path)
        self.path = path
        self.issue = code


@dataclass(frozen=True, slots=True)
class Identifier:
    """A business identifier, the same in both systems for as long as the referral lives."""

    system: str
    value: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line that one side wrote to the other about a referral: a question, an answer, a note.

    ``side`` is ``sent`` when who refers wrote it, ``received`` when who was asked did; None when
    the message does not say. ``id`` is the same in both systems; None when it has none.
    """

    text: str
    side: str | None = None
    id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a referral stands: what a Task says by itself."""

    identifier: Identifier
    state: str
    changed_at: datetime | None
    """On the clock of who says it; None when it does not say."""
    opened: bool = False
    reason: str | None = None
    outcome: str | None = None
    notes: tuple[Note, ...] = ()
    """Everything that was written about it, the oldest first."""


@dataclass(frozen=True, slots=True)
class Paper:
    """The paper on which a consent was given: named, never shown.

    ``title`` says what it is and who keeps it, and names no person; ``signed_on`` is its day.
    """

    title: str
    signed_on: date | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """The consent that personal fields rest on, by reference only."""

    id: str
    given_at: datetime
    expires_at: datetime | None = None
    active: bool = True
    """False when it was taken back: what rested on it is to be erased."""
    paper: Paper | None = None
    """The paper on which it was given, where the message names one as its source."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A referral as it crosses: ``shared`` is exactly what the consent and the policy let go."""

    progress: Progress
    sender: str
    receiver: str
    service: str
    sent_at: datetime
    service_name: str = ""
    urgency: str = "normal"
    number: str | None = None
    consent: Agreed | None = None
    shared: Mapping[str, Any] = field(default_factory=dict)
    language: str | None = None
    """The language in which the partner that tells it writes (BCP 47)."""
    part_of: tuple[Identifier, ...] = ()
    """The referrals by which the person came to who sends it, the nearest first."""


# --- writing --------------------------------------------------------------------------------------


def write_task(of: Handover, task_id: str) -> dict[str, Any]:
    """Write the Task of a referral; ``task_id`` is its logical id at the side that writes."""
    said = of.progress
    changed = _instant(said.changed_at or of.sent_at)
    task: dict[str, Any] = {
        "resourceType": "Task",
        "id": task_id,
        "meta": {"profile": [TASK_PROFILE], "lastUpdated": changed},
        "identifier": [_identifier(said.identifier)],
        "status": "received" if said.state == "requested" and said.opened else STATUSES[said.state],
        "intent": "order",
        "priority": _PRIORITIES[of.urgency],
        "code": _concept(TASK_CODES, "fulfill", "Fulfill the focal request"),
        "focus": {"reference": f"ServiceRequest/{task_id}"},
        "for": {"reference": f"Patient/{task_id}"}
        if _patient(of, task_id)
        else {"display": "not named"},
        "authoredOn": _instant(of.sent_at),
        "lastModified": changed,
        "requester": _partner(of.sender),
        "owner": _partner(of.receiver),
    }
    if of.language:
        task["language"] = of.language
    if of.number:
        task["identifier"].append(_identifier(Identifier(NUMBERS, of.number)))
    if of.part_of:
        task["partOf"] = [_logical("Task", each) for each in of.part_of[:MOST_BEFORE]]
    if said.reason:
        task["statusReason"] = _concept(REASONS, said.reason, said.reason.replace("_", " "))
    if said.outcome:
        task["output"] = [
            {
                "type": _concept(GUIDE_CODES, "resulting-activity", "Resulting Activity"),
                "valueCodeableConcept": _concept(
                    OUTCOMES, said.outcome, said.outcome.replace("_", " ")
                ),
            }
        ]
    if said.notes:
        task["note"] = [_annotation(each, of) for each in said.notes[-MOST_NOTES:]]
    return task


def _annotation(note: Note, of: Handover) -> dict[str, Any]:
    written: dict[str, Any] = {} if note.id is None else {"id": note.id}
    if note.side is not None:
        written["authorReference"] = _partner(of.sender if note.side == "sent" else of.receiver)
    if note.at is not None:
        written["time"] = _instant(note.at)
    return written | {"text": note.text}


def write_bundle(of: Handover, task_id: str) -> dict[str, Any]:
    """Write all resources of a referral as a transaction."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": f"urn:regional311:{each['resourceType']}/{each['id']}",
                "resource": each,
                "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
            }
            for each in resources(of, task_id)
        ],
    }


def resources(of: Handover, task_id: str) -> Iterator[dict[str, Any]]:
    """Write every resource of a referral, the Task first."""
    yield write_task(of, task_id)
    yield _request(of, task_id)
    patient = _patient(of, task_id)
    if patient is not None:
        yield patient
    if of.consent is not None:
        yield _consent(of.consent, task_id)


def _request(of: Handover, task_id: str) -> dict[str, Any]:
    shared = of.shared
    request: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": task_id,
        "meta": {"profile": [REQUEST_PROFILE]},
        "status": _REQUEST_STATUS.get(of.progress.state, "active"),
        "intent": "order",
        "priority": _PRIORITIES[of.urgency],
        "category": [
            _concept(GUIDE_CODES, "sdoh-category-unspecified", "SDOH Category Unspecified")
        ],
        "code": _concept(SERVICES, of.service, of.service_name or of.service),
        "subject": {"reference": f"Patient/{task_id}"}
        if _patient(of, task_id)
        else {"display": "not named"},
        "authoredOn": _instant(of.sent_at),
        "extension": [
            {"url": URGENCY, "valueCode": of.urgency},
            *(
                {
                    "url": FIELD,
                    "extension": [
                        {"url": "key", "valueCode": key},
                        {
                            "url": "value",
                            "valueString": json.dumps(value, sort_keys=True, ensure_ascii=False),
                        },
                    ],
                }
                for key, value in sorted(shared.items())
                if not _mapped(key, value)
            ),
        ],
    }
    if _mapped("need", shared.get("need")):
        request["reasonCode"] = [{"text": shared["need"]}]
    if _mapped("note", shared.get("note")):
        request["note"] = [{"text": shared["note"]}]
    if of.part_of:
        request["basedOn"] = [_logical("ServiceRequest", each) for each in of.part_of[:MOST_BEFORE]]
    if of.language:
        request["language"] = of.language
    if of.consent is not None:
        request["supportingInfo"] = [{"reference": f"Consent/{task_id}"}]
    return request


def _patient(of: Handover, task_id: str) -> dict[str, Any] | None:
    told = {key: value for key, value in of.shared.items() if _mapped(key, value)}
    patient: dict[str, Any] = {}
    if "name" in told:
        patient["name"] = [{"text": told["name"]}]
    telecom = [{"system": key, "value": told[key]} for key in ("phone", "email") if key in told]
    if telecom:
        patient["telecom"] = telecom
    if "language" in told:
        coding = {"coding": [{"system": LANGUAGE, "code": told["language"]}]}
        patient["communication"] = [{"language": coding, "preferred": True}]
    return {"resourceType": "Patient", "id": task_id, **patient} if patient else None


def _mapped(key: str, value: Any) -> bool:
    """Whether a shared field has a place of its own in the resources."""
    return (
        key in ("name", "phone", "email", "language", "need", "note")
        and isinstance(value, str)
        and bool(value.strip())
        and len(value) <= LONGEST
    )


def _consent(of: Agreed, task_id: str) -> dict[str, Any]:
    consent: dict[str, Any] = {
        "resourceType": "Consent",
        "id": task_id,
        "meta": {"profile": [CONSENT_PROFILE]},
        "identifier": [_identifier(Identifier(URI, of.id))],
        "status": "active" if of.active else "inactive",
        "scope": _concept(
            "http://terminology.hl7.org/CodeSystem/consentscope",
            "patient-privacy",
            "Privacy Consent",
        ),
        "category": [
            _concept("http://loinc.org", "59284-0", "Consent Document"),
        ],
        "dateTime": _instant(of.given_at),
    }
    if of.paper is not None:
        consent["sourceAttachment"] = _attachment(of.paper)
    if of.expires_at is not None:
        consent["provision"] = {"period": {"end": _instant(of.expires_at)}}
    return consent


def _attachment(of: Paper) -> dict[str, Any]:
    """Name a paper. Its picture stays where it is kept: there is neither `data` nor `url`."""
    named: dict[str, Any] = {"title": of.title}
    if of.language:
        named["language"] = of.language
    if of.signed_on is not None:
        named["creation"] = of.signed_on.isoformat()
    return named


def _partner(slug: str) -> dict[str, Any]:
    return {"identifier": _identifier(Identifier(PARTNERS, slug))}


def _logical(kind: str, of: Identifier) -> dict[str, Any]:
    """A reference by identifier: the other side may know it or not."""
    return {"type": kind, "identifier": _identifier(of)}


def _identifier(of: Identifier) -> dict[str, str]:
    return {"system": of.system, "value": of.value}


def _concept(system: str, code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], "text": text}


def _instant(at: datetime) -> str:
    return at.isoformat()


def outcome(issues: Sequence[tuple[str, str, str, str | None]]) -> dict[str, Any]:
    """Write an OperationOutcome of (severity, code, words, path or None)."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": severity,
                "code": code,
                "diagnostics": words,
                **({"expression": [path]} if path else {}),
            }
            for severity, code, words, path in issues
        ],
    }


# --- reading --------------------------------------------------------------------------------------


def read_message(sent: Any) -> tuple[Progress, Handover | None]:
    """Read a Bundle, or a Task alone: where it stands and, with its ServiceRequest, all of it.

    :raises Fault: naming the path of what is missing, unknown or of the wrong kind.
    """
    top = _Node(sent, "$this").object()
    kind = top["resourceType"].text()
    if kind == "Task":
        return read_task(sent), None
    if kind != "Bundle":
        raise Fault("resourceType", f"{kind} is not taken here; send a Bundle or a Task.", "value")
    bundle = _Node(sent, "Bundle").object()
    if bundle["type"].text() not in ("transaction", "collection"):
        raise Fault("Bundle.type", "must be transaction or collection.", "value")
    found: dict[str, _Node] = {}
    for entry in bundle["entry"].each(MOST_ENTRIES):
        resource = entry.object()["resource"]
        name = resource.object()["resourceType"].text()
        if name not in RESOURCES:
            allowed = ", ".join(RESOURCES)
            raise Fault(
                f"{resource.path}.resourceType",
                f"{name} is not taken; allowed: {allowed}.",
                "value",
            )
        if name in found:
            raise Fault(f"{resource.path}.resourceType", f"a second {name}; send one each.")
        found[name] = resource
    if "Task" not in found:
        raise Fault("Bundle.entry", "a Task is missing.", "required")
    progress = _progress(found["Task"])
    if "ServiceRequest" not in found:
        return progress, None
    return progress, _handover(progress, found)


def read_task(sent: Any) -> Progress:
    """Read where a referral stands from its Task. Raises :class:`Fault`."""
    return _progress(_Node(sent, "Task"))


def _progress(node: _Node) -> Progress:
    task = node.object()
    if task["resourceType"].text() != "Task":
        raise Fault(node.path, "is not a Task.", "value")
    status = task["status"].text()
    state = STATES.get(status)
    if state is None:
        allowed = ", ".join(sorted(STATES))
        raise Fault(f"{node.path}.status", f"{status} is not known; allowed: {allowed}.", "value")
    identifier = next(
        (each for each in _identifiers(task["identifier"]) if each.system != NUMBERS), None
    )
    if identifier is None:
        raise Fault(
            f"{node.path}.identifier", "an identifier with a system is missing.", "required"
        )
    if task["intent"].text() != "order":
        raise Fault(f"{node.path}.intent", "must be order.", "value")
    reason = None
    if task["statusReason"]:
        reason = _code(task["statusReason"], REASONS) or "other"
    result = None
    for each in task["output"].each(20) if task["output"] else ():
        value = each.object()["valueCodeableConcept"]
        result = (_code(value, OUTCOMES) if value else None) or result
    modified = task["lastModified"]
    return Progress(
        identifier,
        state,
        modified.moment() if modified else None,
        status == "received",
        reason,
        result,
        tuple(_notes(task)),
    )


def _notes(task: _Object) -> Iterator[Note]:
    """Read what was written; who wrote it is seen from who asks and who is asked."""
    sides = {}
    for name, side in (("owner", "received"), ("requester", "sent")):
        if task[name] and task[name].object()["identifier"]:
            sides[_who(task[name])] = side
    for each in task["note"].each(2 * MOST_NOTES) if task["note"] else ():
        note = each.object()
        author = note["authorReference"]
        who = _who(author) if author and author.object()["identifier"] else None
        if who is not None and who not in sides:
            continue  # what somebody else wrote is no reason to refuse what the partner says
        yield Note(
            note["text"].text(),
            sides.get(who) if who else None,
            note["id"].text() if note["id"] else None,
            note["time"].moment() if note["time"] else None,
        )


def _handover(progress: Progress, found: Mapping[str, _Node]) -> Handover:
    task, node = found["Task"].object(), found["ServiceRequest"]
    request = node.object()
    service = _code(request["code"], SERVICES)
    if service is None:
        raise Fault(f"{node.path}.code", f"a code of {SERVICES} is missing.", "required")
    urgency = _URGENCIES.get(request["priority"].text() if request["priority"] else "routine")
    if urgency is None:
        raise Fault(f"{node.path}.priority", "must be routine, urgent, asap or stat.", "value")
    shared: dict[str, Any] = {}
    for each in request["extension"].each(100) if request["extension"] else ():
        extension = each.object()
        match extension["url"].text():
            case "urn:regional311:urgency":
                urgency = extension["valueCode"].text()
                if urgency not in _PRIORITIES:
                    raise Fault(f"{each.path}.valueCode", f"{urgency} is no urgency.", "value")
            case "urn:regional311:shared-field":
                key, value = _field(extension["extension"])
                shared[key] = value
    for key, name in (("need", "reasonCode"), ("note", "note")):
        if request[name]:
            texts = [part.object()["text"].text() for part in request[name].each(20)]
            shared[key] = "\n".join(texts)
    if "Patient" in found:
        shared.update(_told(found["Patient"]))
    numbers = [each.value for each in _identifiers(task["identifier"]) if each.system == NUMBERS]
    return Handover(
        progress=progress,
        sender=_who(task["requester"]),
        receiver=_who(task["owner"]),
        service=service,
        sent_at=task["authoredOn"].moment(),
        service_name=request["code"].object()["text"].text()
        if request["code"].object()["text"]
        else "",
        urgency=urgency,
        number=numbers[0] if numbers else None,
        consent=_agreed(found["Consent"]) if "Consent" in found else None,
        shared=shared,
        part_of=tuple(
            dict.fromkeys(
                each
                for named in (task["partOf"], task["basedOn"], request["basedOn"])
                for each in _before(named)
            )
        ),
    )


def _before(node: _Node) -> Iterator[Identifier]:
    """Read what a referral is part of; a reference without an identifier says nothing here."""
    for each in node.each(MOST_BEFORE) if node else ():
        reference = each.object()
        if reference["identifier"]:
            named = reference["identifier"].object()
            if named["system"] and named["value"]:
                yield Identifier(named["system"].text(), named["value"].text())


def _told(node: _Node) -> Iterator[tuple[str, str]]:
    patient = node.object()
    if patient["name"]:
        name = patient["name"].each(10)[0].object()
        if name["text"]:
            yield "name", name["text"].text()
        else:
            given = [part.text() for part in name["given"].each(10)] if name["given"] else []
            family = [name["family"].text()] if name["family"] else []
            yield "name", " ".join([*given, *family])
    for each in patient["telecom"].each(20) if patient["telecom"] else ():
        contact = each.object()
        system = contact["system"].text()
        if system in ("phone", "email"):
            yield system, contact["value"].text()
    if patient["communication"]:
        spoken = patient["communication"].each(10)[0].object()["language"]
        code = _code(spoken, LANGUAGE)
        if code:
            yield "language", code


def _agreed(node: _Node) -> Agreed:
    consent = node.object()
    status = consent["status"].text()
    if status not in ("active", "inactive"):
        raise Fault(f"{node.path}.status", "must be active or inactive.", "value")
    identifiers = _identifiers(consent["identifier"]) if consent["identifier"] else []
    provision = consent["provision"].object() if consent["provision"] else None
    period = provision["period"].object() if provision and provision["period"] else None
    return Agreed(
        identifiers[0].value if identifiers else consent["id"].text(),
        consent["dateTime"].moment(),
        period["end"].moment() if period and period["end"] else None,
        status == "active",
        _paper(consent["sourceAttachment"]) if consent["sourceAttachment"] else None,
    )


def _paper(node: _Node) -> Paper:
    """Read what paper is named; whatever of it came along is left alone."""
    paper = node.object()
    title = paper["title"].text()
    if len(title) > LONGEST_TITLE:
        raise Fault(f"{node.path}.title", f"is longer than {LONGEST_TITLE} characters.", "too-long")
    return Paper(
        title,
        paper["creation"].day() if paper["creation"] else None,
        paper["language"].text()[:LONGEST_CODE] if paper["language"] else None,
    )


def _field(node: _Node) -> tuple[str, Any]:
    parts = {each.object()["url"].text(): each.object() for each in node.each(5)}
    if parts.keys() != {"key", "value"}:
        raise Fault(node.path, "needs key and value.", "required")
    key, text = parts["key"]["valueCode"].text(), parts["value"]["valueString"]
    try:
        value = json.loads(text.text(), parse_constant=_no_number)
    except ValueError:
        raise Fault(text.path, "is not JSON.", "value") from None
    except RecursionError:
        raise Fault(text.path, TOO_DEEP, "structure") from None
    _check_kept(value, text.path)
    return key, value


def _no_number(name: str) -> None:
    raise ValueError(name)


def _check_kept(value: Any, path: str, depth: int = 0) -> None:
    """Refuse what is written within a text and could not be kept or sent on as it is."""
    if depth > DEEPEST:
        raise Fault(path, TOO_DEEP, "structure")
    match value:
        case str():
            if _NO_TEXT.search(value):
                raise Fault(path, "has a character that no text has.", "value")
        case int() | float():
            if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
                raise Fault(path, "has a number that is too large.", "value")
        case list():
            for each in value:
                _check_kept(each, path, depth + 1)
        case dict():
            for each in (*value, *value.values()):
                _check_kept(each, path, depth + 1)


def _who(node: _Node) -> str:
    identifier = node.object()["identifier"].object()
    return identifier["value"].text()


def _identifiers(node: _Node) -> list[Identifier]:
    return [
        Identifier(each.object()["system"].text(), each.object()["value"].text())
        for each in node.each(20)
        if each.object()["system"]
    ]


def _code(node: _Node, system: str) -> str | None:
    concept = node.object()
    for each in concept["coding"].each(20) if concept["coding"] else ():
        coding = each.object()
        if coding["system"] and coding["system"].text() == system:
            return coding["code"].text()
    return None


class _Node:
    """A value of a message and where it stands; false when it is not there."""

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def __bool__(self) -> bool:
        return self.value is not None

    def object(self) -> _Object:
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        for refused in ("modifierExtension", "implicitRules"):
            if self.value.get(refused):
                raise Fault(f"{self.path}.{refused}", "is not understood here.", "not-supported")
        return _Object(self)

    def each(self, most: int) -> list[_Node]:
        if not isinstance(self.value, list) or not self.value:
            raise self._wrong("a list with something in it")
        if len(self.value) > most:
            raise Fault(self.path, f"has more than {most} entries.", "too-long")
        return [_Node(each, f"{self.path}[{at}]") for at, each in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value.strip():
            raise self._wrong("a text")
        if len(self.value) > LONGEST:
            raise Fault(self.path, f"is longer than {LONGEST} characters.", "too-long")
        if _NO_TEXT.search(self.value):
            raise Fault(self.path, "has a character that no text has.", "value")
        return self.value

    def moment(self) -> datetime:
        text = self.text()
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise self._wrong("a time such as 2026-10-05T10:00:00-07:00") from None
        if at.tzinfo is None or not 1900 <= at.year <= 9000:
            raise self._wrong("a time with its zone")
        return at

    def day(self) -> date:
        """The day of a date, or of a moment where it was."""
        text = self.text()
        try:
            return date.fromisoformat(text[:10]) if len(text) == 10 else self.moment().date()
        except ValueError:
            raise self._wrong("a date such as 2026-10-05") from None

    def _wrong(self, wanted: str) -> Fault:
        if self.value is None:
            return Fault(self.path, f"is missing; it must be {wanted}.", "required")
        return Fault(self.path, f"must be {wanted}.", "value")


class _Object:
    """An object of a message; what it does not have is a node that is false."""

    def __init__(self, node: _Node) -> None:
        self._node = node

    def __getitem__(self, name: str) -> _Node:
        prefix = "" if self._node.path == "$this" else f"{self._node.path}."
        return _Node(self._node.value.get(name), f"{prefix}{name}")
