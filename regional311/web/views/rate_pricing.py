"""What a contact costs, past or invented, step by step to the cent."""

from __future__ import annotations

import decimal
from datetime import timedelta
from typing import Any
from uuid import UUID

from pyramid.view import view_config
from sqlalchemy import select

from regional311.calendars import instant
from regional311.chargeback.pricing import Case, Told, cases_of_contact, price_work
from regional311.chargeback.rate_cards import ACTIVITIES, CHANNELS, LANGUAGES
from regional311.database.ids import is_public_id
from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake.models import Contact
from regional311.money import from_cents
from regional311.web.billing_wording import Words, page
from regional311.web.forms import (
    Boolean,
    Choice,
    Date,
    Decimal,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, translated
from regional311.web.telling import telling
from regional311.web.tree import Rates
from regional311.web.views.rates import price_in_words, scope_row

ZERO = decimal.Decimal(0)
STATES = {
    "unrated": _("An agreement covers it, but no rate holds for it: it waits as unrated."),
    "no_agreement": _("Another partner should pay, but no agreement says so."),
    "excluded": _("Work for one's own services that no agreement covers: billed to nobody."),
}


def price_schema(request: Any) -> Schema:
    """A contact by its number, or some work by what is known of it."""
    words = Words(request)
    activities = [(each, words("activity", each)) for each in ACTIVITIES]
    channels = [(each, words("channel", each)) for each in CHANNELS]
    languages = [(each, words("language", each)) for each in LANGUAGES]
    payers = _payers(request)
    return Schema(
        children=[
            SchemaNode(
                String(40),
                name="contact",
                title=_("Contact"),
                description=_("The number of a past contact; then the rest is not asked."),
                missing=None,
            ),
            SchemaNode(
                Choice(activities),
                name="activity",
                title=_("Work"),
                widget=SelectWidget(values=activities, empty=None),
                missing="contact_handled",
            ),
            SchemaNode(
                Choice(channels),
                name="channel",
                title=_("Channel"),
                widget=SelectWidget(values=channels, empty=None),
                missing="phone",
            ),
            SchemaNode(
                Choice(languages),
                name="language",
                title=_("Language"),
                widget=SelectWidget(values=languages, empty=None),
                missing="en",
            ),
            SchemaNode(Boolean(), name="after_hours", title=_("After hours"), missing=False),
            SchemaNode(
                Choice(payers),
                name="payer",
                title=_("Who would pay"),
                description=_("The partner or bureau that the agreement's rule finds."),
                widget=SelectWidget(values=payers),
                missing=None,
            ),
            SchemaNode(
                String(60),
                name="service",
                title=_("Service"),
                description=_("The key of the service; empty for none."),
                missing=None,
            ),
            SchemaNode(Date(), name="done_on", title=_("Done on"), missing=None),
            SchemaNode(Decimal(), name="quantity", title=_("Quantity"), missing=decimal.Decimal(1)),
            SchemaNode(
                Integer(), name="handle_seconds", title=_("Seconds of handle time"), missing=0
            ),
            SchemaNode(
                Decimal(),
                name="done_before",
                title=_("Done before in the period"),
                description=_("For prices with tiers or packages: units already counted."),
                missing=decimal.Decimal(0),
            ),
            SchemaNode(
                Date(),
                name="known_on",
                title=_("As rates were known on"),
                description=_("Empty for as they are known now."),
                missing=None,
            ),
        ]
    )


def _payers(request: Any) -> list[tuple[str, str]]:
    found = telling(request)
    me = request.tenant.slug
    partners = [
        (each.slug, each.name)
        for each in request.registry.partners.all()
        if each.slug not in (me, "region")
    ]
    own = [
        (f"bureau:{key.partition('/')[2]}", found.bureau(me, key.partition("/")[2]))
        for key in found.published.bureaus
        if key.partition("/")[0] == me
    ]
    return partners + sorted(own)


@view_config(
    context=Rates,
    name="price",
    permission=P.RATE_READ,
    request_method="GET",
    renderer="rates/price.jinja2",
)
def ask(context: Rates, request: Any) -> dict[str, Any]:
    """The form."""
    return _page(request, _form(request), [])


@view_config(
    context=Rates,
    name="price",
    permission=P.RATE_READ,
    request_method="POST",
    renderer="rates/price.jinja2",
)
def answer(context: Rates, request: Any) -> Any:
    """Say what it costs, and why; nothing is stored."""
    form = _form(request)

    def on_success(values: dict[str, Any]) -> Any:
        known_at = None
        if values["known_on"] is not None:
            known_at = instant(request.tenant.zone, values["known_on"] + timedelta(days=1))
            known_at -= timedelta(microseconds=1)
        cases = _cases(request, values)
        told = [price_work(request.dbsession, case, known_at=known_at) for case in cases]
        return _page(request, form, told)

    return handle_form_submission(request, form, on_success, lambda: _page(request, form, []))


def _form(request: Any) -> Any:
    return make_form(
        request,
        price_schema(request),
        submit=_("Price it"),
        values={"quantity": 1, "handle_seconds": 0, "done_on": Words(request).today},
    )


def _cases(request: Any, values: dict[str, Any]) -> list[Case]:
    if values["contact"] is not None:
        number = values["contact"].upper()
        contact_id: UUID | None = None
        if is_public_id(number, "C"):
            contact_id = request.dbsession.scalars(
                select(Contact.id).where(
                    Contact.tenant_id == request.tenant.id, Contact.public_id == number
                )
            ).one_or_none()
        if contact_id is None:
            raise InvalidInput(
                translated(request, _("This partner has no such contact.")), field="contact"
            )
        return cases_of_contact(request.dbsession, contact_id)
    if values["handle_seconds"] < 0:
        raise InvalidInput(
            translated(request, _("Seconds cannot be negative.")), field="handle_seconds"
        )
    me = request.tenant.id
    payer, bureau = values["payer"], None
    party = me
    if payer is not None and payer.startswith("bureau:"):
        bureau = payer.partition(":")[2]
    elif payer is not None:
        party = request.registry.partners.by_slug(payer).id
    return [
        Case(
            activity=values["activity"],
            channel=values["channel"],
            language=values["language"],
            after_hours=values["after_hours"],
            done_on=values["done_on"] or Words(request).today,
            quantity=values["quantity"],
            handle_seconds=values["handle_seconds"],
            service_key=values["service"],
            service_owner_id=party,
            jurisdiction_id=party,
            referrer_id=party,
            line_owner_id=party,
            bureau_key=bureau,
            done_before=values["done_before"],
        )
    ]


def _page(request: Any, form: Any, told: list[Told]) -> dict[str, Any]:
    words = Words(request)
    return page(
        request,
        form=form,
        rates_url=f"/{request.tenant.slug}/rates",
        told=[_in_words(request, words, each) for each in told],
        total=words.money(sum((each.amount or ZERO for each in told), ZERO)),
    )


def _in_words(request: Any, words: Words, told: Told) -> dict[str, Any]:
    """One piece of work as pairs: what it is, who pays, and every step to the cents."""
    found = telling(request)
    case = told.case
    what = [words.say("activity", case.activity), words.say("channel", case.channel)]
    what += [words.say("language", case.language)]
    what.append(words.say("hours", "after" if case.after_hours else "business"))
    payer = found.partner(told.payer_id)
    if told.payer_kind == "bureau":
        payer = found.bureau(request.tenant.slug, told.payer_key)
    elif told.payer_kind == "outside":
        payer = told.payer_key or ""
    pairs: list[tuple[Any, Any]] = [
        (_("Work"), ", ".join(what)),
        (_("Service"), case.service_key),
        (_("Done on"), words.day(case.done_on)),
        (_("Pays"), payer if told.agreement is not None else None),
        (_("Agreement"), told.agreement.name if told.agreement is not None else None),
    ]
    if told.rate is not None:
        pairs += _steps(request, words, told)
    return {
        "title": words.say("activity", case.activity),
        "state": STATES.get(told.state),
        "pairs": pairs,
        "rate": None if told.rate is None else told.rate.key,
    }


def _steps(request: Any, words: Words, told: Told) -> list[tuple[Any, Any]]:
    rate, tier = told.rate, told.tier
    assert rate is not None
    assert told.amount is not None
    assert told.cents is not None
    others = "; ".join(
        f"{each.key} ({scope_row(request, words, each.scope)})" for each in told.others
    )
    tier_said = None
    if tier is not None:
        top = (
            words.number(tier.up_to) if tier.up_to is not None else translated(request, _("no end"))
        )
        tier_said = _(
            "up to ${top}: ${price} each and ${flat}",
            mapping={
                "top": top,
                "price": words.money(tier.price),
                "flat": words.money(tier.flat),
            },
        )
    surcharges = "; ".join(
        f"{each.key} {words.percent(each.percent) if each.percent else words.money(each.amount)}"
        for each in told.surcharges
    )
    rounding = (
        _("This piece is rounded by itself, half away from zero.")
        if told.rounding == "item"
        else _("Only the line on the statement is rounded; this is what this piece alone makes.")
    )
    return [
        (_("Rate"), f"{rate.key}: {scope_row(request, words, rate.scope)}"),
        (_("Less particular rates that fit too"), others or None),
        (_("Price by the rate"), price_in_words(request, words, rate)),
        (_("Tier"), tier_said),
        (_("Surcharges"), surcharges or None),
        (_("Phase"), None if told.phase is None else words.percent(told.phase.percent)),
        (_("Price of a unit"), None if told.price is None else words.money(told.price)),
        (_("Units"), words.number(told.units)),
        (_("Exact amount"), words.money(told.amount)),
        (_("In cents"), words.money(from_cents(told.cents))),
        (_("Rounding"), rounding),
    ]
