"""The words of the pages about money and set-up, and how amounts, times and months are written.

A code that is not listed is shown as it is, with its dashes and underscores as blanks, so that a
new one never breaks a page. The words of contacts and referrals are in `wording`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime

from regional311.money import format_cents, to_cents
from regional311.web.i18n import DOMAIN, _, translated
from regional311.web.wording import CHANNELS, DECISIONS, LANGUAGES

ACTIVITIES = {
    "contact_handled": _("Contact handled"),
    "request_taken_in": _("Request taken in"),
    "warm_transfer": _("Warm transfer"),
    "referral_closed": _("Referral closed"),
    "follow_up": _("Follow-up"),
    "after_hours_answer": _("After-hours answer"),
    "interpreter_minute": _("Interpreter minute"),
    "lent_minute": _("Minute of lent help"),
}
CHARGE_STATES = {
    "rated": _("Rated"),
    "unrated": _("Unrated"),
    "no_agreement": _("No agreement"),
    "excluded": _("Own work"),
}
CHARGE_STATE_MEANINGS = {
    "rated": _("priced, and on a statement"),
    "unrated": _("an agreement covers it, but no rate holds for it"),
    "no_agreement": _("no agreement says who pays for it"),
    "excluded": _("work for our own services, billed to nobody"),
}
STATEMENT_STATES = {
    "draft": _("Draft"),
    "in_review": _("In review"),
    "approved": _("Approved"),
    "issued": _("Issued"),
    "received": _("Received"),
    "void": _("Void"),
}
STATEMENT_KINDS = {
    "bill": _("Bill"),
    "correction": _("Correction"),
    "true_up": _("True-up"),
    "credit_memo": _("Credit memo"),
    "debit_memo": _("Debit memo"),
}
PAYER_KINDS = {
    "partner": _("A partner"),
    "bureau": _("A bureau of our own"),
    "outside": _("A body outside the region"),
}
LINE_KINDS = {
    "usage": _("Work"),
    "pool": _("Share of a cost"),
    "funding": _("Funding"),
    "overhead": _("Overhead"),
    "discount": _("Discount"),
    "cap": _("Cap"),
    "minimum": _("Minimum"),
    "credit": _("Credit"),
    "debit": _("Debit"),
    "interest": _("Interest"),
    "correction": _("Correction"),
    "true_up": _("True-up"),
    "carry_forward": _("Carry-forward"),
}
STATE_KINDS = {
    "draft": "draft",
    "in_review": "waiting",
    "approved": "open",
    "checked": "waiting",
    "discarded": "neutral",
    "issued": "done",
    "received": "done",
    "void": "refused",
    "published": "done",
    "retired": "neutral",
    "rated": "done",
    "unrated": "waiting",
    "no_agreement": "refused",
    "excluded": "neutral",
    "open": "open",
    "soft-closed": "waiting",
    "closed": "neutral",
}
RULE_STATES = {
    "draft": _("Draft"),
    "checked": _("Checked, waits for approval"),
    "discarded": _("Given up"),
    "published": _("Decides now"),
    "approved": _("Decides later"),
    "retired": _("No longer decides"),
}
CHECK_NAMES = {
    "balanced": _("Every entry balances."),
    "mirrored": _("Every entry between partners has its mirror in the other's books."),
    "net_zero": _("What partners claim and what they owe comes to nothing over the region."),
    "totals_match_lines": _("Every statement's total is the sum of its lines."),
    "leaves_sum_to_lines": _("The work behind every line sums to the line, to the cent."),
    "every_event_once": _("Every usage event is billed once, or waits by name."),
    "numbers_gap_free": _("Statement numbers have no gap."),
}
PAYER_RULES = {
    "service_owner": _("The partner whose service it was pays."),
    "jurisdiction": _("The partner in whose area the place lies pays."),
    "referrer": _("The partner that referred the person pays."),
    "line_owner": _("The partner whose line was answered pays."),
}
ROLES = {
    "specialist": _("Specialist"),
    "supervisor": _("Supervisor"),
    "partner": _("Referral partner"),
    "coordinator": _("Coordinator of accommodations"),
    "worker": _("Worker"),
    "keeper": _("Keeper of the catalogue"),
    "editor": _("Editor of the catalogue"),
    "finance": _("Finance officer"),
    "approver": _("Approver"),
    "administrator": _("Administrator"),
    "auditor": _("Auditor"),
}
ROLE_MEANINGS = {
    "specialist": _("takes contacts and sends them where they belong"),
    "supervisor": _("does what specialists, workers and referral partners do"),
    "partner": _("accepts and answers referrals"),
    "coordinator": _("alone reads and decides accommodation requests and complaints"),
    "worker": _("works requests"),
    "keeper": _("drafts what the catalogue says"),
    "editor": _("drafts, reviews and publishes what the catalogue says"),
    "finance": _("rates usage and prepares statements"),
    "approver": _("approves what another person prepared"),
    "administrator": _("people, the catalogue, rules, rates and settings"),
    "auditor": _("reads the money and the audit trail"),
}
HOURS = {
    "any": _("At any hour"),
    "business": _("In business hours"),
    "after": _("After hours"),
}
UNITS = {"each": _("each"), "minute": _("a minute")}
ACCOUNT_TYPES = {
    "asset": _("Asset"),
    "liability": _("Liability"),
    "equity": _("Equity"),
    "revenue": _("Revenue"),
    "expense": _("Expense"),
}
PERIOD_STATES = {
    "open": _("Open"),
    "soft-closed": _("Soft-closed"),
    "closed": _("Closed"),
}


def word(table: Mapping[str, Any], code: str | None) -> Any:
    """Return what a code is called."""
    if code is None:
        return ""
    return table.get(code) or str(code).replace("_", " ").replace("-", " ").capitalize()


class Words:
    """What templates use to say codes, amounts and times on the clock of the page's partner."""

    tables = {
        "activity": ACTIVITIES,
        "channel": CHANNELS,
        "charge_state": CHARGE_STATES,
        "statement_state": STATEMENT_STATES,
        "statement_kind": STATEMENT_KINDS,
        "payer_kind": PAYER_KINDS,
        "line_kind": LINE_KINDS,
        "rule_state": RULE_STATES,
        "payer_rule": PAYER_RULES,
        "outcome": {code: words for code, (words, _kind) in DECISIONS.items()},
        "role": ROLES,
        "language": LANGUAGES,
        "hours": HOURS,
        "unit": UNITS,
        "account_type": ACCOUNT_TYPES,
        "period_state": PERIOD_STATES,
    }

    def __init__(self, request: Any) -> None:
        self.request = request
        self.zone = ZoneInfo(request.tenant.zone)
        self.locale = "en_US" if request.locale_name == "en" else str(request.locale_name)

    def __call__(self, table: str, code: str | None) -> Any:
        return word(self.tables[table], code)

    def say(self, table: str, code: str | None) -> str:
        """The words for a code, translated, for use inside a sentence."""
        found = self(table, code)
        return translated(self.request, found) if found else ""

    def kind(self, state: str | None) -> str:
        """The colour of a state's tag."""
        return STATE_KINDS.get(state or "", "neutral")

    @property
    def today(self) -> date:
        """The day on this partner's clock."""
        found: datetime = self.request.now
        return found.astimezone(self.zone).date()

    def month(self, key: str | None) -> str:
        """`2026-10` as *October 2026*."""
        first_day, dots, last_day = (key or "").partition("..")
        try:
            if dots:
                days = (date.fromisoformat(first_day), date.fromisoformat(last_day))
                return " – ".join(self.day(day) for day in days)
            year, month = first_day.split("-")
            first = date(int(year), int(month), 1)
        except ValueError:
            return key or ""
        return format_date(first, "LLLL y", locale=self.locale)

    def cents(self, amount: int | None) -> str:
        """An amount as *$1,234.56*."""
        return "" if amount is None else format_cents(amount)

    def balance(self, cents: int) -> str:
        """Debit minus credit, with the side it is on."""
        if not cents:
            return format_cents(0)
        side = _("debit") if cents > 0 else _("credit")
        return f"{format_cents(abs(cents))} {translated(self.request, side)}"

    def money(self, amount: Decimal | None) -> str:
        """An exact amount: at least two places, and all the others that are not nought."""
        if amount is None:
            return ""
        text = f"{abs(amount):,.6f}".rstrip("0")
        whole, _dot, places = text.partition(".")
        return f"{'-' if amount < 0 else ''}${whole}.{places.ljust(2, '0')}"

    def money_rounded(self, amount: Decimal | None) -> str:
        """An exact amount in whole cents, half away from zero."""
        return "" if amount is None else format_cents(to_cents(amount))

    def number(self, amount: Decimal | int | None) -> str:
        """A count or quantity without needless noughts."""
        if amount is None:
            return ""
        if isinstance(amount, int):
            return f"{amount:,}"
        return f"{amount:,.6f}".rstrip("0").rstrip(".")

    def percent(self, amount: Decimal) -> str:
        """A percentage as *50 %*."""
        return f"{self.number(Decimal(amount))} %"

    def when(self, at: datetime | None) -> str:
        """A moment on this partner's clock."""
        if at is None:
            return ""
        local = at.astimezone(self.zone)
        return format_datetime(local, "MMM d, y, h:mm a", tzinfo=self.zone, locale=self.locale)

    def day(self, on: date | None) -> str:
        """A day; nothing for no end."""
        return "" if on is None else format_date(on, "medium", locale=self.locale)

    def span(self, valid: Any) -> Any:
        """A half-open range of days in words."""
        if valid is None:
            return _("not yet")
        since, until = valid.lower, valid.upper
        if since is None and until is None:
            return _("always")
        if until is None:
            return _("from ${day} on", mapping={"day": self.day(since)})
        if since is None:
            return _("through ${day}", mapping={"day": self.last_day(until)})
        return _(
            "from ${first} through ${last}",
            mapping={"first": self.day(since), "last": self.last_day(until)},
        )

    def last_day(self, until: date | None) -> str:
        """The last day before an exclusive end; nothing for no end."""
        return "" if until is None else self.day(until - timedelta(days=1))

    def count(self, one: str, many: str, number: int) -> str:
        """`number` of something in words: the pattern for one or for many, with `${num}` in it."""
        found = self.request.localizer.pluralize(one, many, number, domain=DOMAIN)
        return str(found).replace("${num}", self.number(number))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, and its answer."""

    name: Any
    ok: bool
    detail: Any = None
    links: tuple[tuple[str, Any], ...] = ()
    """Address and words of each row that it is about."""


def page(request: Any, **values: Any) -> dict[str, Any]:
    """What a page about money or set-up is rendered with: `words` beside the view's own values."""
    return {"words": Words(request), **values}


def as_of(request: Any, words: Words) -> date:
    """The day that the page is asked for: today unless `?as_of=2026-10-31` says another."""
    try:
        found = date.fromisoformat(request.GET.get("as_of", ""))
    except ValueError:
        return words.today
    return found if 1900 <= found.year < 2200 else words.today


def holds(valid: Any, on: date) -> bool:
    """Whether a half-open range of days has this day in it."""
    return (
        valid is not None
        and (valid.lower is None or valid.lower <= on)
        and (valid.upper is None or on < valid.upper)
    )
