"""Tests that a partner keeps with its rules: facts, and what must come of them.

"A tree is down on a county road at night: the County's dispatch." A case names the service that is
asked for, the place by its boundaries and what else is known; what follows from the service and the
place is found out as at the desk. Publishing runs all cases of a version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from pydantic import Field

from regional311.errors import InvalidInput
from regional311.referral.conditions import Facts
from regional311.referral.decision import Decision, Region, Responsible, by_rules, decide
from regional311.strict import Channel, Key, Language, Model, Urgency, Words, from_plain
from regional311.tenancy.jurisdiction import NO_PLACE, JurisdictionIndex

CaseOutcome = Literal[
    "resolve_here", "open_request", "refer", "warm_transfer", "information", "decline"
]


class CaseFacts(Model):
    """What is known of a contact that is made up; what is left out is as at most contacts."""

    asked: Words = Field(description="Service that is asked for, as `slug/key`.")
    owner: Words | None = Field(
        default=None,
        description="Who is responsible: a partner, an agency or `nobody`; left out: whoever is "
        "responsible for the service at the place.",
    )
    boundaries: tuple[Words, ...] = Field(
        default=(), description="Boundaries the place lies in or on, as `slug/key`."
    )
    near_boundary: bool = Field(
        default=False, description="The place lies so near a boundary that both sides are shown."
    )
    channel: Channel = Field(default="phone", description="Channel of the contact.")
    language: Language = Field(default="en", description="Language of the contact.")
    urgency: Urgency = Field(default="normal", description="Urgency of the need.")
    open: bool = Field(default=True, description="The line is within its hours.")
    hour: int = Field(default=12, ge=0, le=23, description="Local hour of the day.")
    weekday: int = Field(default=1, ge=1, le=7, description="Day of the week, 1 Monday.")
    confidential: bool = Field(default=False, description="Confidential handling was asked for.")
    anonymous: bool = Field(default=True, description="The person gave no name.")
    consent: bool = Field(default=False, description="The person agreed to share.")
    interpreter: bool = Field(default=False, description="An interpreter is needed.")
    accommodation: bool = Field(default=False, description="An accommodation is needed.")
    answers: tuple[Words, ...] = Field(
        default=(), description="Answers to the service's questions, each as `question:answer`."
    )


class Case(Model):
    """A test of the rules: facts, and what must come of them."""

    key: Key = Field(description="Key, unique among the cases.")
    name: Words = Field(description="What happens, in plain words.")
    facts: CaseFacts = Field(description="What is known of the contact.")
    on: date | None = Field(
        default=None, description="Day on which it happens; left out: the day of the test."
    )
    outcome: CaseOutcome = Field(description="What must come of it.")
    target: Words | None = Field(
        default=None, description="Who must get it, a partner or an agency; left out: anybody."
    )
    rule: Key | None = Field(
        default=None, description="The rule that must decide; left out: any, or none."
    )


class UnknownService(InvalidInput):
    """The facts name a service that there is not."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a case: the decision, and what differs from what must come of it.

    ``wrong`` is empty when the case passes.
    """

    case: Case
    decision: Decision | None
    wrong: str = ""

    @property
    def passed(self) -> bool:
        """Whether it came out as it must."""
        return not self.wrong


def decide_facts(
    region: Region, jurisdictions: JurisdictionIndex, partner: str, facts: CaseFacts, on: date
) -> Decision:
    """Decide what a made-up contact at a partner would come to.

    Raises :class:`UnknownService`.
    """
    asked = region.directory.find(facts.asked)
    if asked is None:
        raise UnknownService(f"There is no service {facts.asked}.", field="asked")
    known = Facts(
        partner=partner,
        channel=facts.channel,
        language=facts.language,
        urgency=facts.urgency,
        open=facts.open,
        hour=facts.hour,
        weekday=facts.weekday,
        confidential=facts.confidential,
        anonymous=facts.anonymous,
        consent=facts.consent,
        interpreter=facts.interpreter,
        accommodation=facts.accommodation,
        answers=facts.answers,
    )
    located = jurisdictions.locate_in(facts.boundaries) if facts.boundaries else NO_PLACE
    found = decide(region, asked, known, on, located=located)
    if facts.owner is None and not facts.near_boundary:
        return found
    owner = found.owner if facts.owner is None else facts.owner
    owner = "" if owner == "nobody" else owner
    service = next(
        (each for each in region.directory.family(asked, on) if each.tenant == owner), asked
    )
    if owner == asked.tenant:
        service = asked
    complete = replace(
        found.facts,
        service=service.key,
        owner=owner,
        bureau=service.bureau,
        verb=service.verb,
        terms=(service.term,) if service.term else (),
        disposition=service.disposition(on),
        confidential=facts.confidential or service.confidential,
        near_boundary=facts.near_boundary or found.facts.near_boundary,
    )
    reasons = (("responsible", owner, ""),) if owner else (("nobody", asked.ref),)
    return by_rules(region, service, complete, on, Responsible(owner, service, (), False, reasons))


def run_cases(
    region: Region,
    jurisdictions: JurisdictionIndex,
    partner: str,
    cases: Iterable[Mapping[str, Any]],
    on: date,
) -> list[Ran]:
    """Run stored cases on a day, each on its own day when it has one."""
    return [_run(region, jurisdictions, partner, from_plain(Case, each), on) for each in cases]


def _run(
    region: Region, jurisdictions: JurisdictionIndex, partner: str, case: Case, on: date
) -> Ran:
    try:
        decision = decide_facts(region, jurisdictions, partner, case.facts, case.on or on)
    except UnknownService as error:
        return Ran(case, None, error.message)
    wanted = (case.outcome, case.target or decision.target, case.rule or decision.rule)
    got = (decision.outcome, decision.target, decision.rule)
    if wanted == got:
        return Ran(case, decision)
    by = f" by rule {decision.rule}" if decision.rule else ", as no rule decides"
    to = f" ({decision.target})" if decision.target else ""
    must = case.outcome + (f" ({case.target})" if case.target else "")
    must += f" by rule {case.rule}" if case.rule else ""
    return Ran(case, decision, f"must come to {must}, and comes to {decision.outcome}{to}{by}.")
