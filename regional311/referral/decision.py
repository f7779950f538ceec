"""Where a need goes, and why.

The order is fixed: the region's danger screen, then who is responsible for the service at that
place (the most specific area or line wins, ties are shown), then the rules of the partner that
took the contact, then what the receiving partner says to it, then the usual way of the service.
A decision keeps codes and keys only; :func:`explain` puts them into sentences when asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from regional311.catalog.directory import Directory, Service
from regional311.referral.acceptance import LIVE_CHANNELS, WARM, Offer, Reception, Verdict
from regional311.referral.acceptance import SENTENCES as OFFER_SENTENCES
from regional311.referral.conditions import Facts
from regional311.referral.rules import (
    CROSSING,
    DANGER,
    DECLINE,
    INFORMATION,
    MATCHED,
    OPEN_REQUEST,
    REFER,
    RESOLVE_HERE,
    TRACE_CODES,
    WARM_TRANSFER,
    Rule,
    RuleBook,
    Tried,
)
from regional311.tenancy.jurisdiction import NO_PLACE, Located

OUTCOMES: Final = (
    RESOLVE_HERE,
    OPEN_REQUEST,
    REFER,
    WARM_TRANSFER,
    INFORMATION,
    DECLINE,
    DANGER,
)
EMERGENCY: Final = "911"
ANYWHERE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Partner:
    """A partner as decisions see it; without an ``outline`` it serves people wherever they are."""

    slug: str
    kind: str
    name: str = ""
    outline: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of danger to life in the region's screen, with the words that point at it."""

    key: str
    name: str
    words: tuple[str, ...] = ()
    say: str = ""
    number: str = EMERGENCY
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False)
    """Name and what to say, by other languages."""
    general: frozenset[str] = field(default=frozenset(), compare=False)
    """What a voice says of any danger, in every language: a sign without a sentence of its own."""

    def spoken(self, language: str) -> Sign:
        """Give the sign as it is said in a language, where the region has said it so."""
        if language not in self.others:
            return self
        name, say = self.others[language]
        return replace(self, name=name, say=say)

    @property
    def written(self) -> str:
        """What is written to somebody: its own sentence, and not one that only a voice can say.

        >>> spoken = "I stay on the line."
        >>> Sign("fire", "Fire", say=spoken, general=frozenset({spoken})).written
        ''
        """
        return "" if self.say in self.general else self.say

    @property
    def says_number(self) -> bool:
        """Whether its own sentence names the number to call, so that nothing else needs to.

        >>> Sign("dark", "Despair", say="Text 988.", number="988").says_number
        True
        >>> Sign("gas", "Smell of gas", say="Leave. Do not stay 9110 minutes.").says_number
        False
        """
        return re.search(rf"(?<!\d){re.escape(self.number)}(?!\d)", self.written) is not None


@dataclass(frozen=True, slots=True)
class Region:
    """Everything a decision reads, prepared once for each version of the configuration.

    ``partnerships`` are the unordered pairs that have an agreement in force.
    """

    partners: Mapping[str, Partner]
    directory: Directory
    rulebooks: Mapping[str, RuleBook] = field(default_factory=dict)
    partnerships: frozenset[frozenset[str]] = frozenset()
    signs: tuple[Sign, ...] = ()
    agencies: Mapping[str, str] = field(default_factory=dict)
    policy_version: str = ""
    reception: Reception = field(default_factory=Reception)

    def may_send(self, sender: str, receiver: str) -> bool:
        """Whether an agreement lets one partner hand work to another."""
        return receiver in self.partners and frozenset((sender, receiver)) in self.partnerships


@dataclass(frozen=True, slots=True)
class Responsible:
    """Whose service it is at that place.

    ``candidates`` are ``(owner, service, boundary)``; more than one is shown to the specialist.
    ``owner`` is empty when nobody takes part who is responsible there.
    """

    owner: str
    service: Service | None
    candidates: tuple[tuple[str, str, str], ...] = ()
    ambiguous: bool = False
    reasons: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Offered:
    """What the receiver is asked about, beside the facts: when, what is known, what was answered.

    ``has`` are kinds of things only (``phone``), ``answers`` those to the receiver's questions.
    """

    at: datetime
    has: frozenset[str] = frozenset()
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a need.

    ``target`` is the partner, agency or number it goes to; ``service`` is the key of the target's
    service. ``rule`` is the key of the rule that decided, of ``rule_tenant``'s ``version``.
    ``reasons`` are tuples of a code and its arguments. ``verdict`` is what the receiver says to the
    offer, ``alternatives`` are the services, ``partner/key``, of others that would not refuse it.
    """

    outcome: str
    target: str
    service: str
    owner: str
    facts: Facts
    version: int = 0
    rule: str = ""
    rule_tenant: str = ""
    queue: str = ""
    priority: str = "normal"
    follow_up_days: int | None = None
    share: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""
    candidates: tuple[tuple[str, str, str], ...] = ()
    ambiguous: bool = False
    reasons: tuple[tuple[str, ...], ...] = ()
    tried: tuple[Tried, ...] = ()
    verdict: Verdict | None = None
    alternatives: tuple[str, ...] = ()

    def trace(self) -> dict[str, Any]:
        """Give what is stored beside the facts: codes, keys and versions."""
        return {
            "reasons": [list(each) for each in self.reasons],
            "candidates": [list(each) for each in self.candidates],
            "tried": [
                {"tenant": each.tenant, "version": each.version, "codes": each.trace}
                for each in self.tried
            ],
            "added": [rule.key for each in self.tried for rule in each.added],
            "rule_tenant": self.rule_tenant,
            "target": self.target,
            "service": self.service,
            "owner": self.owner,
            "reason": self.reason,
        }


def screen(signs: Iterable[Sign], ticked: Iterable[str], text: str = "") -> tuple[str, ...]:
    """Give the keys of the signs that were ticked, or whose words are in the text.

    A ticked sign that the policy no longer has still counts.
    """
    hits = dict.fromkeys(ticked)
    said = _plain(text)
    if not said:
        return tuple(hits)
    said = f" {said} "
    for sign in signs:
        if any(words in said for words in _as_said(sign.words)):
            hits[sign.key] = None
    return tuple(hits)


@lru_cache(maxsize=4096)
def _as_said(configured: tuple[str, ...]) -> tuple[str, ...]:
    """Words as they stand in a plain text: Chinese has no blanks between its words."""
    plain = [_plain(words) for words in configured if words]
    return tuple(
        words if any(each >= "\u2e80" for each in words) else f" {words} " for words in plain
    )


def responsible(region: Region, asked: Service, located: Located, on: date) -> Responsible:
    """Find whose service it is at that place: the most specific boundary wins, ties are shown.

    A service that is not about a place stays with the partner it was asked of, where that partner
    offers it at all.
    """
    family = region.directory.family(asked, on) or (asked,)
    if not located.candidates and located.how == "none":
        others = {each.tenant for each in family} - {asked.tenant}
        needed = asked.place == "required" and bool(others)
        candidates = tuple((each.tenant, each.key, "") for each in family) if others else ()
        reasons: list[tuple[str, ...]] = list(located.reasons)
        if needed:
            reasons.append(("place-needed", asked.ref))
        elif located == NO_PLACE:
            reasons = [("no-place",)]
        else:
            reasons.append(("asked-of",))
        return Responsible(asked.tenant, asked, candidates, needed, tuple(reasons))
    ranks = {each.key: each for each in located.candidates}
    found: list[tuple[int, bool, Service, str]] = []
    for each in family:
        areas = each.boundaries or tuple(filter(None, (_outline(region, each.tenant),)))
        if not areas:
            found.append((ANYWHERE, True, each, ""))
            continue
        hits = [ranks[key] for key in areas if key in ranks]
        if hits:
            best = min(hits, key=lambda hit: (not hit.inside, hit.rank))
            found.append((best.rank, best.inside, each, best.key))
    if asked.place == "required":
        found.extend(
            (each.rank, True, _agency(each.tenant, asked), each.key)
            for each in located.candidates
            if each.tenant in region.agencies and each.inside
        )
    reasons = list(located.reasons)
    inside = sorted(
        (each for each in found if each[1]),
        key=lambda each: (
            asked.place != "required" and each[2].ref != asked.ref,
            each[0],
            each[2].ref != asked.ref,
            each[2].tenant != asked.tenant,
            each[2].ref,
        ),
    )
    if located.how == "words":
        reasons.append(("by-words",))
    if not inside:
        reasons.append(("nobody", asked.ref))
        near = tuple((each[2].tenant, each[2].key, each[3]) for each in found)
        return Responsible("", None, near, bool(near), tuple(reasons))
    rank, _, service, boundary = inside[0]
    bound = asked.place == "required"
    tied = {each[2].tenant for each in inside if each[0] == rank and (bound or each == inside[0])}
    neighbours = [each for each in found if not each[1] and each[2].tenant != service.tenant]
    if service.tenant != asked.tenant:
        outline = _outline(region, asked.tenant)
        if outline and outline not in located.keys:
            reasons.append(("outside", asked.tenant))
    reasons.append(("responsible", service.tenant, boundary))
    ambiguous = len(tied) > 1 or bool(neighbours)
    if len(tied) > 1:
        reasons.append(("tie", *sorted(tied)))
    return Responsible(
        service.tenant,
        None if service.tenant in region.agencies else service,
        tuple((each[2].tenant, each[2].key, each[3]) for each in (*inside, *neighbours)),
        ambiguous,
        tuple(reasons),
    )


def decide(
    region: Region,
    asked: Service,
    facts: Facts,
    on: date,
    *,
    located: Located = NO_PLACE,
    signs: tuple[str, ...] = (),
    chosen: str = "",
    offered: Offered | None = None,
) -> Decision:
    """Decide where a need goes.

    ``facts`` come without what follows from the place and the service: that is filled in here.
    ``chosen`` is the ``partner/key`` a specialist picked among several candidates. ``signs`` are
    the signs of danger that were found; with any, the answer is the emergency number and no rule
    is asked. With ``offered`` the receiver's acceptance policy is asked, too.
    """
    if signs:
        return Decision(
            DANGER,
            EMERGENCY,
            asked.key,
            asked.tenant,
            replace(facts, asked=asked.ref, urgency="urgent"),
            priority="urgent",
            reasons=tuple(("danger", sign) for sign in signs),
        )
    whose = responsible(region, asked, located, on)
    picked = _picked(region, whose, chosen)
    if picked is not None:
        whose = replace(
            whose,
            owner=picked.tenant,
            service=picked,
            ambiguous=False,
            reasons=(*whose.reasons, ("chosen", picked.ref)),
        )
    service = whose.service or asked
    facts = replace(
        facts,
        service=service.key,
        asked=asked.ref,
        owner=whose.owner,
        bureau=service.bureau,
        verb=service.verb,
        terms=(service.term,) if service.term else (),
        disposition=service.disposition(on),
        confidential=facts.confidential or service.confidential,
        place_known=located.known,
        boundaries=located.keys,
        near_boundary=located.near or whose.ambiguous,
    )
    decision = by_rules(region, service, facts, on, whose)
    if offered is None:
        return decision
    return _received(region, decision, on, offered, chosen)


def _received(
    region: Region, decision: Decision, on: date, offered: Offered, chosen: str
) -> Decision:
    """Ask the receiver before anything is promised; where it refuses, find who would not."""
    found = judged(region, decision, offered)
    if found.verdict is None:
        return decision
    known = {f"{owner}/{key}" for owner, key, _ in decision.candidates}
    if not found.verdict.refused and (not chosen or chosen in known):
        return found
    others = {
        f"{each.target}/{each.service}": each for each in _others(region, decision, on, offered)
    }
    if chosen in others:
        picked = others[chosen]
        return replace(picked, reasons=(*picked.reasons, ("offer-chosen", chosen)))
    return replace(
        found,
        alternatives=tuple(others),
        reasons=(*found.reasons, *(("offer-next", ref) for ref in others)),
    )


def judged(region: Region, decision: Decision, offered: Offered) -> Decision:
    """Add what the receiver says; what it takes only warm becomes a transfer."""
    facts, receiver = decision.facts, decision.target
    if (
        decision.outcome not in CROSSING
        or receiver == facts.partner
        or receiver not in region.partners
    ):
        return decision
    verdict = region.reception.verdict(
        receiver,
        Offer(
            facts.partner,
            decision.service,
            facts.channel,
            frozenset(facts.boundaries),
            facts.place_known,
            offered.has,
            offered.answers,
        ),
        offered.at,
    )
    warm = verdict.answer == WARM and facts.channel in LIVE_CHANNELS
    return replace(
        decision,
        outcome=WARM_TRANSFER if warm else decision.outcome,
        verdict=verdict,
        reasons=(*decision.reasons, *verdict.codes),
    )


def _others(region: Region, decision: Decision, on: date, known: Offered) -> Iterator[Decision]:
    """Give the decision for each other partner that offers the same and does not refuse."""
    service = region.directory.find(f"{decision.target}/{decision.service}")
    sender, located = decision.facts.partner, set(decision.facts.boundaries)
    if service is None or service.place == "required":
        return
    for each in region.directory.family(service, on):
        if each.tenant in (sender, decision.target) or not region.may_send(sender, each.tenant):
            continue
        if located and each.boundaries and located.isdisjoint(each.boundaries):
            continue
        other = offered(
            region,
            replace(decision, target=each.tenant, service=each.key, owner=each.tenant, queue=""),
            each,
            on,
        )
        found = judged(region, other, known)
        if found.verdict is not None and not found.verdict.refused:
            yield found


def by_rules(
    region: Region, service: Service, facts: Facts, on: date, whose: Responsible
) -> Decision:
    """Decide from complete facts: what follows once it is known whose the service is.

    ``service`` is the responsible partner's, or the one that was asked for where nobody that takes
    part is responsible.
    """
    sender = facts.partner
    book = region.rulebooks.get(sender)
    tried: tuple[Tried, ...] = ()
    rule: Rule | None = None
    added: tuple[Rule, ...] = ()
    version = 0
    reasons = list(whose.reasons)
    if book is not None:
        first = book.try_rules(
            facts, on, allowed=lambda each: _possible(region, each, facts, sender)
        )
        tried, rule, added, version = (first,), first.matched, first.added, first.version
    if rule is not None:
        outcome, target = rule.outcome, _target(rule, facts, sender)
        reasons.append(("rule", sender, str(version), rule.key))
    else:
        outcome, target, why = _usual(region, service, facts, sender, on)
        reasons.append(why)
    decision = Decision(
        outcome,
        target,
        service.key,
        whose.owner,
        facts,
        version,
        rule.key if rule else "",
        sender if rule else "",
        candidates=whose.candidates,
        ambiguous=whose.ambiguous,
        reasons=tuple(reasons),
        tried=tried,
        reason=rule.reason if rule else "",
        share=tuple(dict.fromkeys(name for each in (*added, rule) if each for name in each.share)),
        notes=tuple(each.note for each in (*added, rule) if each and each.note),
        follow_up_days=_soonest((*added, rule)),
        queue=(rule.queue if rule else "") or (service.queue if target == service.tenant else ""),
        priority=_last((rule, *reversed(added))) or service.priority,
    )
    if decision.outcome in CROSSING and decision.target != sender:
        decision = offered(region, decision, service, on)
    return decision


def offered(region: Region, decision: Decision, service: Service, on: date) -> Decision:
    """Hold the decision against what the receiving partner says to it."""
    receiver = decision.target
    at_receiver = service
    if service.tenant != receiver:
        at_receiver = next(
            (each for each in region.directory.family(service, on) if each.tenant == receiver),
            service,
        )
    decision = replace(
        decision,
        service=at_receiver.key,
        queue=decision.queue or (at_receiver.queue if at_receiver.tenant == receiver else ""),
    )
    book = region.rulebooks.get(receiver)
    if book is None:
        return decision
    facts = facts_at(receiver, at_receiver, decision.facts, on)
    second = book.try_rules(facts, on)
    decision = replace(decision, tried=(*decision.tried, second))
    rule = second.matched
    if rule is None:
        return decision
    why = ("receiver-rule", receiver, str(second.version), rule.key)
    if rule.outcome == DECLINE:
        return replace(
            decision,
            outcome=DECLINE,
            target=receiver,
            reason=rule.reason,
            rule=rule.key,
            rule_tenant=receiver,
            version=second.version,
            notes=(*decision.notes, rule.note) if rule.note else decision.notes,
            reasons=(*decision.reasons, why),
        )
    if rule.outcome == decision.outcome and _target(rule, facts, receiver) == receiver:
        return replace(
            decision,
            queue=rule.queue or decision.queue,
            priority=rule.priority or decision.priority,
            reasons=(*decision.reasons, why),
        )
    return decision


def facts_at(receiver: str, service: Service, facts: Facts, on: date) -> Facts:
    """Give the facts as the rules of a receiving partner see them, of the service as it has it."""
    return replace(
        facts,
        owner=receiver,
        service=service.key,
        bureau=service.bureau,
        disposition=service.disposition(on),
        confidential=facts.confidential or service.confidential,
    )


def _usual(
    region: Region, service: Service, facts: Facts, sender: str, on: date
) -> tuple[str, str, tuple[str, ...]]:
    owner = facts.owner
    if not owner:
        return INFORMATION, "", ("usual-nobody",)
    if owner in region.agencies:
        return INFORMATION, owner, ("usual-agency", owner)
    if service.verb == "find":
        if owner == sender and service.disposition(on) == "resolve":
            return RESOLVE_HERE, sender, ("usual-resolve", service.ref)
        return INFORMATION, owner, ("usual-find", service.ref)
    if owner == sender:
        return OPEN_REQUEST, sender, ("usual-own", service.ref)
    if not region.may_send(sender, owner):
        return INFORMATION, owner, ("no-agreement", owner)
    if region.partners[owner].kind == "community":
        return REFER, owner, ("usual-refer", owner)
    return OPEN_REQUEST, owner, ("usual-request", owner)


def _possible(region: Region, rule: Rule, facts: Facts, sender: str) -> bool:
    """Whether a rule's outcome can be carried out: its target exists and there is an agreement."""
    target = _target(rule, facts, sender)
    if rule.outcome == OPEN_REQUEST and target == sender:
        return facts.owner in ("", sender)
    if rule.outcome in (OPEN_REQUEST, REFER):
        return region.may_send(sender, target)
    if rule.outcome == WARM_TRANSFER:
        return target == sender or target in region.agencies or region.may_send(sender, target)
    return True


def _target(rule: Rule, facts: Facts, sender: str) -> str:
    if rule.target == "self":
        return sender
    if rule.target in ("", "owner"):
        return facts.owner
    return rule.target


def _picked(region: Region, whose: Responsible, chosen: str) -> Service | None:
    if not chosen or chosen not in {f"{owner}/{key}" for owner, key, _ in whose.candidates}:
        return None
    return region.directory.find(chosen)


def _outline(region: Region, tenant: str) -> str:
    partner = region.partners.get(tenant)
    return partner.outline if partner else ""


def _agency(agency: str, asked: Service) -> Service:
    return replace(asked, tenant=agency, boundaries=(), bureau="", queue="")


def _soonest(rules: Iterable[Rule | None]) -> int | None:
    days = [each.follow_up_days for each in rules if each and each.follow_up_days is not None]
    return min(days, default=None)


def _last(rules: Iterable[Rule | None]) -> str:
    return next((each.priority for each in rules if each and each.priority), "")


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


SENTENCES: Final[Mapping[str, str]] = {
    "danger": "A sign of danger was named ({0}): 911 comes before anything else.",
    "no-place": "No place was given, so the partner of the picked service is responsible.",
    "place-needed": "A place is needed to tell which partner is responsible for {0}.",
    "words-unknown": "The place is described in words and could not be located.",
    "words-several": "The words given for the place match several known places.",
    "asked-of": "So the partner of the picked service is responsible.",
    "outside-region": "The place lies outside every boundary of the region.",
    "on-line": "On {0}.",
    "inside": "Inside {0}.",
    "just-outside": "Close to {0}, but outside.",
    "outside": "Outside {0}.",
    "by-words": "The place was taken from words, not from a point.",
    "nobody": "No partner offers {0} at that place.",
    "responsible": "Responsible there: {0}.",
    "tie": "Equally specific boundaries of several partners: {0}.",
    "chosen": "The specialist picked {0} among the candidates.",
    "rule": "Decided by rule {2} of {0}, version {1}.",
    "receiver-rule": "{0} applies its rule {2}, version {1}.",
    "usual-nobody": "No partner is responsible: information only.",
    "usual-agency": "{0} is responsible and takes no part: its number is given.",
    "usual-resolve": "No rule applies; {0} is answered at once.",
    "usual-find": "No rule applies; {0} is answered with information.",
    "usual-own": "No rule applies; {0} becomes an own request.",
    "usual-refer": "No rule applies; needs are referred to {0}.",
    "usual-request": "No rule applies; {0} gets a request.",
    "consent-refused": "The person did not agree to share anything with {0}.",
    "unmet": "Nobody can meet it now, says the specialist.",
    "again": "Asked again, after {0} came to nothing.",
    "no-agreement": "There is no agreement with {0}: its number is given.",
    **OFFER_SENTENCES,
}
"""One sentence a reason code; the arguments are keys, shown by their names."""

NOT_OFFERED: Final = "not offered"

SUMMARIES: Final[Mapping[str, str]] = {
    RESOLVE_HERE: "Answer here.",
    OPEN_REQUEST: "Open a request with {0}.",
    REFER: "Refer to {0}.",
    WARM_TRANSFER: "Transfer to {0} and stay on the line.",
    INFORMATION: "Give information.",
    DECLINE: "Decline: {1}.",
    DANGER: "Call 911.",
}


def explain(
    decision: Decision,
    names: Mapping[str, str] | None = None,
    translate: Callable[[str], str] = str,
) -> list[str]:
    """Say a decision in sentences, the outcome first.

    ``names`` gives the names of partners, services and boundaries by key; a key without a name is
    shown as it is. ``translate`` turns a sentence's pattern into the reader's language.
    """
    return explain_stored(decision.outcome, decision.trace(), names, translate)


def explain_stored(
    outcome: str,
    trace: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
    translate: Callable[[str], str] = str,
) -> list[str]:
    """Say a stored decision in sentences, from its outcome and its trace."""
    shown = names or {}

    def named(key: object) -> str:
        return shown.get(str(key), str(key))

    target = named(trace.get("target") or trace.get("owner") or "")
    sentences = [
        translate(SUMMARIES[outcome]).format(target, trace.get("reason") or translate(NOT_OFFERED))
    ]
    sentences.extend(said(trace.get("reasons", ()), shown, translate))
    return sentences


def said(
    reasons: Iterable[Iterable[str]],
    names: Mapping[str, str],
    translate: Callable[[str], str] = str,
) -> Iterator[str]:
    """Say reasons, each a code and its arguments, in a sentence each; unknown ones are left out."""
    for code, *arguments in reasons:
        pattern = SENTENCES.get(code)
        if pattern is None:
            continue
        padded = [names.get(str(each), str(each)) for each in arguments] + [""] * 3
        if code in ("rule", "receiver-rule"):
            padded[2] = names.get(rule_name_key(*arguments), padded[2])
        if code == "tie":
            padded[0] = ", ".join(names.get(str(each), str(each)) for each in arguments)
        yield translate(pattern).format(*padded)


def rule_name_key(tenant: object, version: object, rule: object) -> str:
    """Give the key by which a rule's name is found: partners may use the same rule key.

    >>> rule_name_key("211info", 3, "shelter")
    '211info/rules/3/shelter'
    """
    return f"{tenant}/rules/{version}/{rule}"


def explain_trace(codes: str, rules: Iterable[Rule]) -> list[tuple[str, str]]:
    """Pair every rule tried with what came of it, for the table *which rules were tried*."""
    return [
        (rule.name, TRACE_CODES.get(code, code)) for rule, code in zip(rules, codes, strict=False)
    ]


def decided_by(trace: Mapping[str, Any]) -> int | None:
    """Give the position of the rule that matched in the sender's set, or nothing."""
    tried = trace.get("tried") or ()
    codes = tried[0]["codes"] if tried else ""
    return len(codes) - 1 if codes.endswith(MATCHED) else None
