"""An agreement in plain words: every term as a label and a sentence, and what an amendment changes.

Pages, and the comparison of two versions, say the same: two versions differ where their words do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import select

from regional311.chargeback.agreement_reminders import reminded_from
from regional311.chargeback.agreement_terms import Terms
from regional311.chargeback.agreements import Content
from regional311.money import format_cents
from regional311.tenancy.models import Bureau
from regional311.web.billing_wording import Words
from regional311.web.i18n import _, translated

KINDS = {
    "iga": _("Intergovernmental agreement"),
    "sla": _("Service level agreement"),
    "mou": _("Memorandum of understanding"),
}
PAYER_KINDS = {
    "partner": _("Another partner"),
    "bureau": _("Own bureaus"),
    "outside": _("Body outside the region's partners"),
}
EVERY = {
    "month": _("every month"),
    "quarter": _("every quarter"),
    "year": _("every fiscal year"),
}
ROUNDINGS = {
    "line": _("once for each line, half a cent away from zero"),
    "item": _("once for each piece of work, half a cent away from zero"),
}
YEAR_ENDS = {
    "settle": _("settled by a statement of its own"),
    "carry": _("carried forward to the next bill"),
    "keep": _("kept for the next year's rates"),
}
FUNDING = {"grant": _("grant"), "levy": _("levy"), "subsidy": _("subsidy")}
MEASURES = {
    "answer_seconds": _("seconds that nine in ten callers waited"),
    "first_contact_percent": _("percent of contacts resolved at once"),
    "accept_hours": _("hours until nine in ten referrals were answered"),
    "close_days": _("days until nine in ten referrals were closed"),
}
PROPOSAL_STATES = {
    "draft": _("Draft"),
    "proposed": _("Proposed"),
    "accepted": _("Accepted"),
    "declined": _("Declined"),
    "withdrawn": _("Withdrawn"),
}
PROPOSAL_KINDS = {
    "draft": "draft",
    "proposed": "waiting",
    "accepted": "done",
    "declined": "refused",
    "withdrawn": "neutral",
}
STANDINGS = {
    "holds": _("In force"),
    "expiring": _("Expiring"),
    "coming": _("Not yet in force"),
    "expired": _("Expired"),
    "working": _("Expired with work still coming in"),
}
STANDING_KINDS = {
    "holds": "done",
    "expiring": "waiting",
    "coming": "draft",
    "expired": "neutral",
    "working": "danger",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that an agreement says: `key` tells it from others, `text` is the sentence."""

    key: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that differs between two versions; None is where one says nothing of it."""

    label: str
    before: str | None
    after: str | None


class Telling:
    """Says agreements in the language of a request, with the names of partners and bureaus."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.words = Words(request)
        self._bureau_names: dict[tuple[UUID, str], str] | None = None

    def say(self, message: Any, **mapping: Any) -> str:
        """A marked text in the language of the page."""
        return translated(self.request, _(str(message), mapping=mapping) if mapping else message)

    def partner(self, tenant_id: UUID) -> str:
        """A partner's name, also of one that this process does not know yet."""
        found = self.request.registry.partners.by_id(tenant_id)
        return found.name if found else str(tenant_id)

    def payer(self, row: Any) -> str:
        """Who pays: a partner, a bureau, every bureau of a partner, or an outside body."""
        if row.payer_kind == "outside":
            return str((row.terms.get("outside") or {}).get("name") or row.payer_key)
        if row.payer_kind == "partner":
            return self.partner(row.payer_id)
        if row.payer_key is None:
            return self.say(_("All bureaus of ${partner}"), partner=self.partner(row.provider_id))
        return self._bureaus().get((row.provider_id, row.payer_key), str(row.payer_key))

    def _bureaus(self) -> dict[tuple[UUID, str], str]:
        """Every bureau's name, read once a page."""
        if self._bureau_names is None:
            rows = self.request.dbsession.execute(select(Bureau.tenant_id, Bureau.key, Bureau.name))
            self._bureau_names = {(row.tenant_id, row.key): row.name for row in rows}
        return self._bureau_names

    def covers(self, row: Any) -> str:
        """Which work is billed."""
        parts = [self.words.say("activity", each) for each in row.activities]
        if row.pool_key:
            parts.append(self.say(_("a share of a yearly cost")))
        return ", ".join(parts)

    def facts(self, content: Content) -> list[Fact]:
        """Everything that a version says, in the order of an agreement."""
        return [
            Fact(key, self.say(label), text)
            for key, label, text in self._facts(content)
            if text is not None
        ]

    def _facts(self, content: Content) -> Iterator[tuple[str, Any, str | None]]:
        terms = Terms.of(content.terms)
        words = self.words
        yield "name", _("Name"), content.name
        yield "purpose", _("What was agreed"), terms.purpose or None
        kind = self.say(KINDS.get(terms.kind, terms.kind))
        yield "kind", _("Kind"), kind
        yield "reference", _("Reference"), terms.reference or None
        yield "supersedes", _("Replaces"), terms.supersedes
        yield "provider", _("Who does the work"), self.partner(content.provider_id)
        yield "payer", _("Who pays"), self.payer(content)
        if terms.outside is not None:
            where = [terms.outside.address, terms.outside.email]
            yield "outside", _("Bills go to"), ", ".join(each for each in where if each) or None
        references = getattr(terms, "payer_reference", None) or {}
        yield (
            "payer_reference",
            _("The payer's own references"),
            ", ".join(
                f"{name.replace('_', ' ')} {value}" for name, value in sorted(references.items())
            )
            or None,
        )
        yield "covers", _("Which work is billed"), self.covers(content)
        if terms.services:
            yield "services", _("Only contacts about"), ", ".join(terms.services)
        if content.activities and content.payer_kind == "partner":
            yield "payer_rule", _("By which rule"), words.say("payer_rule", content.payer_rule)
        yield "rate_card", _("Rate card"), content.rate_card_key
        yield "pool", _("Shared cost"), content.pool_key
        yield "holds", _("Holds"), self.say(words.span(content.valid))
        yield from self._days(terms)
        yield from self._money(terms)
        for target in terms.targets:
            yield f"target {target.key}", _("Promise"), self._target(target)
        yield (
            "reminders",
            _("Reminders before it ends"),
            self.say(
                _("${days} days before the notice"),
                days=", ".join(str(each) for each in terms.expiry_reminder_days),
            )
            if content.valid_to is not None and terms.expiry_reminder_days
            else None,
        )
        for signed in terms.signatures:
            yield (
                f"signature {signed.partner}",
                _("Signed"),
                self.say(
                    _("for ${party} by ${name}, ${title}, on ${day}"),
                    party=self._party(signed.partner, terms),
                    name=signed.name,
                    title=signed.title,
                    day=words.day(signed.on),
                ),
            )

    def _days(self, terms: Terms) -> Iterator[tuple[str, Any, str | None]]:
        days = _("${days} days")
        yield (
            "billing",
            _("Billed"),
            self.say(
                _("${every}, within ${days} days of its end"),
                every=self.say(EVERY[terms.billing.every]),
                days=terms.billing.submit_days,
            ),
        )
        yield "due", _("Due"), self.say(_("${days} days after issue"), days=terms.due_days)
        yield (
            "interest",
            _("Interest on what is overdue"),
            None
            if terms.interest_percent is None
            else self.say(
                _("${percent} a year, simple"), percent=self.words.percent(terms.interest_percent)
            ),
        )
        yield "disputes", _("Disputes"), self.say(_("within ${days} days"), days=terms.dispute_days)
        yield (
            "late",
            _("Late work"),
            self.say(_("joins until ${days} days after the period"), days=terms.late_event_days),
        )
        yield "notice", _("Notice"), self.say(days, days=terms.notice_days)
        if terms.ends_notice_days is not None:
            yield (
                "ends_notice",
                _("Says whether it goes on"),
                self.say(_("${days} days before it ends"), days=terms.ends_notice_days),
            )

    def _money(self, terms: Terms) -> Iterator[tuple[str, Any, str | None]]:
        for source in terms.funding:
            told = {
                "name": source.name,
                "kind": self.say(FUNDING[source.kind]),
                "percent": self.words.percent(source.percent),
            }
            text = (
                self.say(_("${name} (${kind}): ${percent} of the gross"), **told)
                if source.authorised_cents is None
                else self.say(
                    _("${name} (${kind}): ${percent} of the gross, at most ${most} a fiscal year"),
                    most=format_cents(source.authorised_cents),
                    **told,
                )
            )
            yield f"funding {source.key}", _("Funding"), text
        if terms.overhead_percent is not None:
            yield "overhead", _("Overhead"), self.words.percent(terms.overhead_percent)
        for discount in terms.discounts:
            told = {"name": discount.name, "percent": self.words.percent(discount.percent)}
            yield (
                f"discount {discount.name}",
                _("Discount"),
                self.say(_("${name}: ${percent}"), **told)
                if discount.from_cents is None
                else self.say(
                    _("${name}: ${percent} when the period's gross reaches ${from}"),
                    **told,
                    **{"from": format_cents(discount.from_cents)},
                ),
            )
        if terms.not_to_exceed_cents is not None:
            yield (
                "cap",
                _("Not to exceed"),
                self.say(
                    _("${amount} in a fiscal year"), amount=format_cents(terms.not_to_exceed_cents)
                ),
            )
        if terms.minimum_cents is not None:
            yield (
                "minimum",
                _("At least"),
                self.say(_("${amount} a period"), amount=format_cents(terms.minimum_cents)),
            )
        if terms.prepay_cents is not None:
            yield (
                "prepay",
                _("Paid in advance"),
                self.say(_("${amount} a period"), amount=format_cents(terms.prepay_cents)),
            )
        yield "rounding", _("Rounding"), self.say(ROUNDINGS[terms.rounding])
        if terms.year_end is not None:
            yield "year_end", _("Balance of a fiscal year"), self.say(YEAR_ENDS[terms.year_end])

    def _target(self, target: Any) -> str:
        told = {
            "name": target.name,
            "goal": self.words.number(target.goal),
            "measure": self.say(MEASURES[target.measure]),
        }
        if target.credit_percent is None:
            return self.say(_("${name} (${goal} ${measure})"), **told)
        return self.say(
            _("${name} (${goal} ${measure}); missed, it gives back ${percent} of the gross"),
            percent=self.words.percent(target.credit_percent),
            **told,
        )

    def _party(self, slug: str, terms: Terms) -> str:
        found = self.request.registry.partners.by_slug(slug)
        if found is not None:
            return str(found.name)
        return terms.outside.name if terms.outside is not None else slug

    def differences(self, before: Content, after: Content) -> list[Changed]:
        """What one version says otherwise than another, in words; signatures aside."""
        old = {each.key: each for each in self.facts(before)}
        new = {each.key: each for each in self.facts(after)}
        return [
            Changed((new.get(key) or old[key]).label, _of(old, key), _of(new, key))
            for key in dict.fromkeys([*new, *old])
            if _of(old, key) != _of(new, key) and not key.startswith("signature ")
        ]


def _of(facts: dict[str, Fact], key: str) -> str | None:
    return facts[key].text if key in facts else None


def standing(row: Any, day: date) -> str:
    """Where an agreement's version stands on a day: holds, expiring, coming or expired."""
    if row.valid.lower is not None and row.valid.lower > day:
        return "coming"
    if row.valid.upper is None:
        return "holds"
    left = (row.valid.upper - day).days
    if left <= 0:
        return "expired"
    terms = Terms.of(row.terms)
    return "expiring" if left <= reminded_from(terms) else "holds"


def days_left(row: Any, day: date) -> int | None:
    """Days until an agreement's end; None without an end or after it."""
    if row.valid.upper is None or row.valid.upper <= day:
        return None
    found: int = (row.valid.upper - day).days
    return found
