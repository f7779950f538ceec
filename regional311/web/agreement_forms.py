"""The form of an agreement: every term, with as many sources, discounts and promises as it has.

What an amendment cannot change, its key and its parties, is not in its form. Percentages are exact
numbers, amounts dollars and cents; the last day is written as people say it, inclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import colander
from sqlalchemy import select

from regional311.chargeback.agreement_terms import FUNDING_KINDS, MEASURES, Terms
from regional311.chargeback.agreements import ACTIVITIES, PAYER_RULES, Content
from regional311.errors import InvalidInput
from regional311.tenancy.models import Bureau
from regional311.web import agreement_wording as wording
from regional311.web.billing_wording import PAYER_RULES as RULE_WORDS
from regional311.web.billing_wording import Words
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choice,
    Choices,
    Date,
    Decimal,
    HiddenWidget,
    Integer,
    Money,
    NumberWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    rows,
)
from regional311.web.i18n import _
from regional311.web.partners import REGION

ALL_BUREAUS = "bureau:"
OUTSIDE = "outside:"
CARRIED = ("outside", "payer_reference")
"""Terms that an amendment keeps as they are."""
_NOT_IN_KEYS = re.compile(r"[^a-z0-9]+")


def agreement_form(request: Any, *, amends: Content | None = None) -> Schema:
    """The schema for a new agreement, or for a new version of one."""
    schema = Schema()
    add = schema.add
    if amends is None:
        add(
            _node(
                String(60),
                "key",
                _("Key"),
                _("A short name in the address, such as walk-in-2027: letters, digits, hyphens."),
                section=_("The parties"),
            )
        )
        partners = [
            (each.slug, each.name)
            for each in request.registry.partners.all()
            if each.slug != REGION
        ]
        add(_select("provider", _("Who does the work"), partners))
        add(_select("payer", _("Who pays"), [*partners, *_own_payers(request)]))
        add(
            _group(
                "outside",
                _("If a body outside the region's partners pays"),
                _optional(String(60), "key", _("Short name, such as transit-district")),
                _optional(String(200), "name", _("Name")),
                _optional(String(200), "address", _("Address")),
                _optional(String(200), "email", _("E-mail")),
                hint=_("Otherwise leave it empty."),
            )
        )
    what = _("What is agreed")
    add(_node(String(200), "name", _("Name"), _("As it stands on statements."), section=what))
    add(_select("kind", _("Kind"), wording.KINDS.items()))
    add(_node(String(200), "reference", _("Reference"), _("Number under which it is signed.")))
    add(_node(String(4000, multiline=True), "purpose", _("What is agreed, in plain words")))
    add(_node(Date(), "valid_from", _("First day")))
    add(_optional(Date(), "last_day", _("Last day"), _("Left out: it holds until further notice.")))
    words = Words(request)
    activities = [(each, words("activity", each)) for each in ACTIVITIES]
    add(
        _optional(
            Choices(activities),
            "activities",
            _("Work that is billed by use"),
            widget=CheckboxGroupWidget(values=activities),
        )
    )
    rules = [(each, RULE_WORDS[each]) for each in PAYER_RULES]
    add(
        SchemaNode(
            Choice(rules),
            name="payer_rule",
            title=_("Who pays for a piece of work"),
            widget=RadioWidget(values=rules),
        )
    )
    add(_optional(String(60), "rate_card", _("Rate card of the provider")))
    add(_optional(String(60), "pool", _("Cost pool of the provider that is shared")))
    add(
        _optional(
            String(1000),
            "services",
            _("Only contacts about these services"),
            _("Keys with commas between; left out: all services."),
        )
    )
    for name, title in (
        ("due_days", _("Days from issue to payment")),
        ("dispute_days", _("Days to dispute a line")),
        ("late_event_days", _("Days after a period in which late work still joins")),
        ("notice_days", _("Days of notice to end it")),
    ):
        more = {"section": _("Days")} if name == "due_days" else {}
        add(_node(Integer(), name, title, **more))
    add(_optional(Integer(), "ends_notice_days", _("Days before its end to say if it goes on")))
    add(
        _optional(
            String(100),
            "expiry_reminder_days",
            _("Days before that to be reminded"),
            _("Numbers with commas between, such as 180, 90, 30."),
        )
    )
    add(_select("every", _("Billed"), wording.EVERY.items(), section=_("Money")))
    add(_node(Integer(), "submit_days", _("Days after a period in which it must be billed")))
    add(_select("rounding", _("Rounded to cents"), wording.ROUNDINGS.items()))
    year_ends = list(wording.YEAR_ENDS.items())
    add(
        _optional(
            Choice(year_ends),
            "year_end",
            _("Balance of a fiscal year"),
            _("What becomes of it when the actual cost is known."),
            widget=SelectWidget(values=year_ends, empty=_("Decided year by year")),
        )
    )
    add(_percent("interest_percent", _("Interest a year on what is overdue")))
    add(_money("minimum", _("At least, a period")))
    add(_money("not_to_exceed", _("Not to exceed, a fiscal year")))
    add(_percent("overhead_percent", _("Overhead")))
    add(_money("prepay", _("Paid in advance of each period")))
    add(_targets())
    add(_funding())
    add(_discounts())
    add(
        _node(
            String(8),
            "number_prefix",
            _("Prefix of the provider's statement numbers"),
            _("The same in all agreements of a provider."),
            section=_("For the record"),
        )
    )
    add(_optional(String(60), "supersedes", _("Key of the agreement that it replaces")))
    add(
        _optional(
            String(2000, multiline=True),
            "note",
            _("Why, for whoever approves"),
            _("The other party reads it too."),
        )
    )
    add(SchemaNode(Integer(), name="expected", widget=HiddenWidget(), missing=0))
    return schema


def form_values(request: Any, content: Content | None, note: str | None = None) -> dict[str, Any]:
    """What a form is filled with: a version as it is, or what is usual for a new one."""
    if content is None:
        return {
            "provider": request.tenant.slug,
            "kind": "iga",
            "payer_rule": "service_owner",
            "every": "month",
            "rounding": "line",
            **{
                name: getattr(Terms(), name)
                for name in ("due_days", "dispute_days", "late_event_days", "notice_days")
            },
            "submit_days": Terms().billing.submit_days,
            "expiry_reminder_days": "180, 90, 30",
        }
    terms = Terms.of(content.terms)
    values = {
        "name": content.name,
        "valid_from": content.valid_from,
        "last_day": content.valid_to - timedelta(days=1) if content.valid_to else None,
        "activities": list(content.activities),
        "payer_rule": content.payer_rule,
        "rate_card": content.rate_card_key,
        "pool": content.pool_key,
        "services": ", ".join(terms.services) or None,
        "every": terms.billing.every,
        "submit_days": terms.billing.submit_days,
        "minimum": terms.minimum_cents,
        "not_to_exceed": terms.not_to_exceed_cents,
        "prepay": terms.prepay_cents,
        "expiry_reminder_days": ", ".join(str(each) for each in terms.expiry_reminder_days) or None,
        "note": note,
        **{
            name: getattr(terms, name)
            for name in (
                "kind",
                "reference",
                "purpose",
                "due_days",
                "dispute_days",
                "late_event_days",
                "notice_days",
                "ends_notice_days",
                "rounding",
                "year_end",
                "interest_percent",
                "overhead_percent",
                "number_prefix",
                "supersedes",
            )
        },
    }
    return values | {
        "targets": [
            {
                "key": each.key,
                "name": each.name,
                "measure": each.measure,
                "goal": int(each.goal),
                "credit_percent": each.credit_percent,
            }
            for each in terms.targets
        ],
        "funding": [
            {
                "key": each.key,
                "name": each.name,
                "kind": each.kind,
                "percent": each.percent,
                "authorised": each.authorised_cents,
            }
            for each in terms.funding
        ],
        "discounts": [
            {"name": each.name, "percent": each.percent, "from_amount": each.from_cents}
            for each in terms.discounts
        ],
    }


def said_content(
    request: Any, values: Mapping[str, Any], amends: Content | None, key: str | None = None
) -> Content:
    """The version that a form says; raises `InvalidInput` naming the field."""
    last = values["last_day"]
    terms: dict[str, Any] = {
        name: values[name]
        for name in (
            "kind",
            "reference",
            "purpose",
            "due_days",
            "dispute_days",
            "late_event_days",
            "notice_days",
            "ends_notice_days",
            "rounding",
            "year_end",
            "number_prefix",
            "supersedes",
        )
    }
    terms |= {name: _plain(values[name]) for name in ("interest_percent", "overhead_percent")}
    terms |= {f"{name}_cents": values[name] for name in ("minimum", "not_to_exceed", "prepay")}
    billing = {"every": values["every"], "submit_days": values["submit_days"]}
    if billing != {"every": "month", "submit_days": 15}:
        terms["billing"] = billing
    terms["services"] = _listed(values["services"])
    reminders = _days(values["expiry_reminder_days"])
    if tuple(reminders) != Terms().expiry_reminder_days:
        terms["expiry_reminder_days"] = reminders
    terms["targets"] = [
        {
            "key": each["key"] or _key(each["name"]),
            "name": each["name"],
            "measure": each["measure"],
            "goal": each["goal"],
            **_filled(credit_percent=_plain(each["credit_percent"])),
        }
        for each in values["targets"]
    ]
    terms["funding"] = [
        {
            "key": each["key"] or _key(each["name"]),
            "name": each["name"],
            "kind": each["kind"],
            "percent": _plain(each["percent"]),
            **_filled(authorised_cents=each["authorised"]),
        }
        for each in values["funding"]
    ]
    terms["discounts"] = [
        {
            "name": each["name"],
            "percent": _plain(each["percent"]),
            **_filled(from_cents=each["from_amount"]),
        }
        for each in values["discounts"]
    ]
    fields = {
        "name": values["name"],
        "activities": tuple(values["activities"] or ()),
        "payer_rule": values["payer_rule"],
        "rate_card_key": values["rate_card"],
        "pool_key": values["pool"],
        "valid_from": values["valid_from"],
        "valid_to": last + timedelta(days=1) if last else None,
    }
    if amends is not None:
        terms |= {name: amends.terms[name] for name in CARRIED if name in amends.terms}
        return replace(amends, terms=_kept(terms), **fields)
    kind, payer_key, payer = _payer(values)
    if kind == "outside":
        terms["outside"] = _filled(
            **{name: values["outside"][name] for name in ("name", "address", "email")}
        )
    by_slug = request.registry.partners.by_slug
    provider = by_slug(values["provider"])
    me = request.tenant.id
    if me not in (provider.id, by_slug(payer).id if payer else provider.id):
        raise InvalidInput("One of the parties must be this partner.", field="payer")
    return Content(
        key=key or values["key"],
        provider_id=provider.id,
        payer_id=by_slug(payer).id if payer else provider.id,
        payer_kind=kind,
        payer_key=payer_key,
        terms=_kept(terms),
        **fields,
    )


def _payer(values: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    said = values["payer"]
    if said == OUTSIDE:
        key = values["outside"]["key"]
        if not key or not values["outside"]["name"]:
            raise InvalidInput("Give the outside body a short name and a name.", field="payer")
        return "outside", key, None
    if said.startswith(ALL_BUREAUS):
        return "bureau", said.removeprefix(ALL_BUREAUS) or None, None
    return "partner", None, said


def _own_payers(request: Any) -> list[tuple[str, Any]]:
    bureaus = request.dbsession.execute(
        select(Bureau.key, Bureau.name)
        .where(Bureau.tenant_id == request.tenant.id, Bureau.ended_on.is_(None))
        .order_by(Bureau.name)
    )
    return [
        (ALL_BUREAUS, _("All our bureaus")),
        *((f"{ALL_BUREAUS}{key}", name) for key, name in bureaus),
        (OUTSIDE, wording.PAYER_KINDS["outside"]),
    ]


# --- nodes ----------------------------------------------------------------------------------------


def _node(kind: Any, name: str, title: Any, hint: Any = None, **more: Any) -> SchemaNode:
    return SchemaNode(kind, name=name, title=title, description=hint or "", **more)


def _optional(kind: Any, name: str, title: Any, hint: Any = None, **more: Any) -> SchemaNode:
    return _node(kind, name, title, hint, missing=None, **more)


def _select(name: str, title: Any, choices: Iterable[tuple[str, Any]], **more: Any) -> SchemaNode:
    values = list(choices)
    return _node(Choice(values), name, title, widget=SelectWidget(values=values), **more)


def _percent(name: str, title: Any) -> SchemaNode:
    return _optional(Decimal(), name, title, widget=NumberWidget(suffix="%"))


def _money(name: str, title: Any) -> SchemaNode:
    return _optional(Money(), name, title)


def _group(name: str, title: Any, *nodes: SchemaNode, hint: Any) -> SchemaNode:
    group = SchemaNode(
        colander.Mapping(unknown="raise"),
        name=name,
        title=title,
        description=hint,
    )
    for each in nodes:
        group.add(each)
    return group


def _listing(name: str, title: Any, row_title: Any, add: Any, *nodes: SchemaNode) -> SchemaNode:
    row = Schema()
    for each in nodes:
        row.add(each)
    return rows(
        name,
        row,
        title=title,
        description=_("None, unless you add one."),
        row_title=row_title,
        add=add,
        spare=0,
        compact=True,
    )


def _targets() -> SchemaNode:
    measures = [(each, wording.MEASURES[each]) for each in MEASURES]
    return _listing(
        "targets",
        _("What is promised"),
        _("Promise ${number}"),
        _("Add a promise"),
        _node(String(200), "name", _("What is promised")),
        _select("measure", _("Measured in"), measures),
        _node(Integer(), "goal", _("Goal")),
        _percent("credit_percent", _("Given back when missed")),
        _optional(String(60), "key", _("Key"), widget=HiddenWidget()),
    )


def _funding() -> SchemaNode:
    kinds = [(each, wording.FUNDING[each]) for each in FUNDING_KINDS]
    return _listing(
        "funding",
        _("Sources of funding"),
        _("Source of funding ${number}"),
        _("Add a source"),
        _node(String(200), "name", _("Name")),
        _select("kind", _("Kind"), kinds),
        _node(Decimal(), "percent", _("Part of the gross"), widget=NumberWidget(suffix="%")),
        _money("authorised", _("Authorised, a fiscal year")),
        _optional(String(60), "key", _("Key"), widget=HiddenWidget()),
    )


def _discounts() -> SchemaNode:
    return _listing(
        "discounts",
        _("Discounts"),
        _("Discount ${number}"),
        _("Add a discount"),
        _node(String(200), "name", _("Name")),
        _node(Decimal(), "percent", _("Part taken off"), widget=NumberWidget(suffix="%")),
        _money("from_amount", _("Only when the period's gross reaches")),
    )


# --- values ---------------------------------------------------------------------------------------


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _kept(terms: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in terms.items() if value is not None and value != []}


def _plain(value: Any) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _key(name: str) -> str:
    return _NOT_IN_KEYS.sub("-", name.lower()).strip("-")[:60].strip("-")


def _listed(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]


def _days(text: str | None) -> list[int]:
    found = _listed(text)
    if not all(each.isascii() and each.isdigit() for each in found):
        raise InvalidInput(
            "Write whole numbers with commas between, such as 180, 90, 30.",
            field="expiry_reminder_days",
        )
    return sorted((int(each) for each in found), reverse=True)
