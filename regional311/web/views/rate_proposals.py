"""A change of prices, made in a form: seen beside everything else, then approved by another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import rate_approvals, rate_standing
from regional311.chargeback import rate_changes as service
from regional311.chargeback.charge_models import MODELS as MODEL_KEYS
from regional311.chargeback.rate_cards import (
    ACTIVITIES,
    CHANNELS,
    HOURS,
    LANGUAGES,
    UNITS,
    RateSaid,
    plain,
)
from regional311.chargeback.rate_changes import Change
from regional311.chargeback.rate_grid import grid
from regional311.chargeback.rate_texts import (
    read_phases,
    read_steps,
    read_surcharges,
    say_phases,
    say_steps,
    say_surcharges,
)
from regional311.errors import Stale
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.tenancy.once import once
from regional311.tenancy.proposals import OPEN
from regional311.web.billing_wording import Words, page
from regional311.web.forms import (
    Choice,
    Date,
    Decimal,
    HiddenWidget,
    NumberWidget,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
    start_over,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import json_response, wanted
from regional311.web.security import may
from regional311.web.tree import RateProposalRecord, RateProposals, RateRecord, Rates
from regional311.web.views.rates import (
    MODELS,
    grid_facts,
    known_row,
    price_in_words,
    scope_in_words,
    scope_row,
    tariff_facts,
    title_of,
)

KEYS_SHOWN = 3
STATES = {
    "draft": _("Draft"),
    "proposed": _("Waits for approval"),
    "approving": _("Approved, being taken over"),
    "approved": _("Approved"),
    "refused": _("Refused"),
    "withdrawn": _("Withdrawn"),
}
STATE_KINDS = {
    "draft": "draft",
    "proposed": "waiting",
    "approving": "waiting",
    "approved": "done",
    "refused": "refused",
    "withdrawn": "neutral",
}
VERDICTS = {"new": _("New"), "changed": _("Changed"), "gone": _("Gone")}
EDIT, NEW, PAGE = "rates/edit.jinja2", "rates/new.jinja2", "rates/proposal.jinja2"


def _amount(title: Any) -> SchemaNode:
    return SchemaNode(
        Decimal(),
        name="amount",
        title=title,
        description=_(
            "In dollars, for example 4.90. Up to six decimal places. With tiers: the price of the"
            " first; for a percentage: the percentage."
        ),
        widget=NumberWidget(prefix="$"),
    )


def _tariff() -> list[SchemaNode]:
    models = [(key, MODELS[key]) for key in MODEL_KEYS]
    return [
        SchemaNode(
            Choice(models),
            name="model",
            title=_("Charged by"),
            widget=SelectWidget(values=models, empty=None),
            missing="unit",
        ),
        SchemaNode(
            String(2000, multiline=True),
            name="steps",
            title=_("Tiers, package or bounds"),
            description=_(
                "Tiers: 10: 10 + 2; rest: 5 + 3 (up to 10 units 10 dollars each and 2 once)."
                " Package: 100 after 100. Percentage: floor 0.50; cap 20. Otherwise empty."
            ),
            missing=None,
        ),
        SchemaNode(
            String(2000, multiline=True),
            name="surcharges",
            title=_("Surcharges"),
            description=_("For example: night: after 25 %; spanish: es 0.40"),
            missing=None,
        ),
        SchemaNode(
            String(2000, multiline=True),
            name="phases",
            title=_("Phased in"),
            description=_("For example: 2026-07-01: 16.667 %; 2027-07-01: 33.333 %"),
            missing=None,
        ),
    ]


def _source() -> SchemaNode:
    return SchemaNode(
        String(200),
        name="source",
        title=_("What the price rests on"),
        description=_("A decision, a budget page, a calculation."),
        missing=None,
    )


def change_schema() -> Schema:
    """A new price from a day on."""
    return Schema(
        children=[
            _amount(_("New price")),
            *_tariff(),
            SchemaNode(
                Date(),
                name="valid_from",
                title=_("Holds from"),
                description=_("The price until now holds through the day before."),
            ),
            _source(),
            SchemaNode(String(40), name="expected", widget=HiddenWidget()),
        ]
    )


def _select(words: Words, name: str, title: Any, keys: Any, any_of: Any = None) -> SchemaNode:
    values = [(each, words(name, each)) for each in keys]
    return SchemaNode(
        Choice(values),
        name=name,
        title=title,
        widget=SelectWidget(values=values, **({"empty": any_of} if any_of else {})),
        **({"missing": None} if any_of else {}),
    )


def new_schema(request: Any) -> Schema:
    """A rate of its own."""
    words = Words(request)
    return Schema(
        children=[
            SchemaNode(
                String(60),
                name="key",
                title=_("Key"),
                description=_("Small letters, digits and dashes, for example phone-2027."),
            ),
            SchemaNode(
                String(60),
                name="card",
                title=_("Rate card"),
                description=_("Agreements name the card they use."),
            ),
            _select(words, "activity", _("Work"), ACTIVITIES),
            _select(words, "channel", _("Channel"), CHANNELS, _("Any")),
            SchemaNode(
                String(60),
                name="service",
                title=_("Service"),
                description=_("The key of a service; empty for any."),
                missing=None,
            ),
            _select(words, "language", _("Language"), LANGUAGES, _("Any")),
            _select(words, "hours", _("Hours"), HOURS),
            _select(words, "unit", _("Counted"), UNITS),
            _amount(_("Price")),
            *_tariff(),
            SchemaNode(Date(), name="valid_from", title=_("Holds from")),
            SchemaNode(
                Date(),
                name="valid_to",
                title=_("Ends before"),
                description=_("The first day on which it holds no more; empty when it stays."),
                missing=None,
            ),
            _source(),
        ]
    )


def _read_tariff(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": values["model"],
        "steps": read_steps(values["model"], values["steps"]),
        "surcharges": read_surcharges(values["surcharges"]),
        "phases": read_phases(values["phases"]),
    }


def _url(request: Any, *parts: str) -> str:
    return "/".join((f"/{request.tenant.slug}/rates", *parts))


# --- forms ----------------------------------------------------------------------------------------


@view_config(
    context=RateRecord, name="edit", permission=P.RATE_EDIT, request_method="GET", renderer=EDIT
)
def edit(context: RateRecord, request: Any) -> dict[str, Any]:
    """The form that changes a price."""
    return _edit_page(context, request, _edit_form(context, request))


@view_config(
    context=RateRecord, name="edit", permission=P.RATE_EDIT, request_method="POST", renderer=EDIT
)
def save(context: RateRecord, request: Any) -> Any:
    """Draft a change of a price; when somebody else changed it meanwhile, both are shown."""
    form = _edit_form(context, request)
    key = context.__name__

    def on_success(values: dict[str, Any]) -> Any:
        try:
            expected = UUID(values["expected"])
        except ValueError:
            raise HTTPBadRequest from None
        said = replace(
            RateSaid.of_row(known_row(context)),
            amount=values["amount"],
            source=values["source"],
            **_read_tariff(values),
        )

        def do() -> dict[str, Any]:
            changes = service.price_change(
                request.dbsession,
                key,
                rate=said,
                valid_from=values["valid_from"],
                expected_id=expected,
            )
            made = service.propose(
                request.dbsession, changes, note=values["source"], now=request.now
            )
            return {"id": str(made)}

        try:
            answer = once(request.dbsession, form_key(request), ["rate:draft", key, values], do)
        except Stale as stale:
            start_over(request)
            request.response.status_int = 409
            fresh = _edit_form(context, request, **(values | {"expected": None}))
            return _edit_page(context, request, fresh, stale=stale)
        return HTTPSeeOther(location=_url(request, "proposals", answer["id"]))

    return handle_form_submission(
        request, form, on_success, lambda: _edit_page(context, request, form)
    )


def _edit_form(context: RateRecord, request: Any, **values: Any) -> Any:
    found = known_row(context)
    tomorrow = Words(request).today + timedelta(days=1)
    begins = found.valid.lower
    return make_form(
        request,
        change_schema(),
        submit=_("See what changes"),
        values={
            "amount": found.amount.normalize(),
            "model": found.model,
            "steps": say_steps(found.model, found.steps),
            "surcharges": say_surcharges(found.surcharges),
            "phases": say_phases(found.phases),
            "valid_from": tomorrow if begins is None else max(tomorrow, begins),
            "source": found.source,
        }
        | values
        | {"expected": str(found.id)},
        once=True,
        cancel_url=_url(request, found.key),
    )


def _edit_page(
    context: RateRecord, request: Any, form: Any, stale: Stale | None = None
) -> dict[str, Any]:
    words = Words(request)
    found = known_row(context)
    said = RateSaid.of_row(found)
    return page(
        request,
        form=form,
        stale=stale,
        title=title_of(request, words, found),
        rate_key=found.key,
        url=_url(request, found.key),
        rates_url=_url(request),
        facts=[
            (_("Price now"), price_in_words(request, words, said)),
            (_("For"), scope_in_words(request, words, found)),
            *tariff_facts(said),
            (_("Holds"), words.span(found.valid)),
        ],
    )


@view_config(context=Rates, name="new", permission=P.RATE_EDIT, request_method="GET", renderer=NEW)
def new(context: Rates, request: Any) -> dict[str, Any]:
    """The form for a rate of its own."""
    return page(request, form=_new_form(request), rates_url=_url(request))


@view_config(context=Rates, name="new", permission=P.RATE_EDIT, request_method="POST", renderer=NEW)
def add(context: Rates, request: Any) -> Any:
    """Draft a rate."""
    form = _new_form(request)

    def on_success(values: dict[str, Any]) -> Any:
        plain_ones = {
            name: values[name]
            for name in ("key", "card", "activity", "channel", "service", "language", "hours")
        }
        rate = RateSaid(
            amount=values["amount"],
            unit=values["unit"],
            valid_from=values["valid_from"],
            valid_to=values["valid_to"],
            source=values["source"],
            **plain_ones,
            **_read_tariff(values),
        )
        rate.check()

        def do() -> dict[str, Any]:
            if service.current(request.dbsession, [rate.key])[0]:
                raise service.BadKey(f"There is a rate {rate.key} already.", field="key")
            made = service.propose(
                request.dbsession,
                [Change(rate.key, None, rate)],
                note=rate.source,
                now=request.now,
            )
            return {"id": str(made)}

        answer = once(request.dbsession, form_key(request), ["rate:new", rate.as_json()], do)
        return HTTPSeeOther(location=_url(request, "proposals", answer["id"]))

    return handle_form_submission(
        request, form, on_success, lambda: page(request, form=form, rates_url=_url(request))
    )


def _new_form(request: Any) -> Any:
    return make_form(
        request,
        new_schema(request),
        submit=_("See what changes"),
        values={"hours": "any", "unit": "each", "model": "unit"},
        once=True,
        cancel_url=_url(request),
    )


# --- proposals ------------------------------------------------------------------------------------


@view_config(
    context=RateProposals,
    permission=P.RATE_READ,
    request_method="GET",
    renderer="rates/proposals.jinja2",
)
def proposals(context: RateProposals, request: Any) -> Any:
    """Changes of prices that wait, and those that were decided."""
    words = Words(request)
    listing = Listing(
        request,
        columns=[
            Column("keys", _("Rates")),
            Column("state", _("State")),
            Column("by", _("Made by")),
            Column("when", _("When")),
        ],
        filters=[Filter("state", _("State"), choices=list(STATES.items()))],
    )
    form = wanted(request)
    rows = service.proposals(
        request.dbsession,
        state=listing.values["state"],
        before=_id(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else None,
        keys=KEYS_SHOWN if form == "html" else None,
    )
    people = names_of(request.dbsession, (row.proposed_by for row in rows))
    if form == "json":
        return json_response(
            [
                {
                    "id": row.id,
                    "state": row.state,
                    "keys": row.names,
                    "note": row.note,
                    "proposed_at": row.proposed_at,
                    "decided_at": row.decided_at,
                }
                for row in rows
            ]
        )
    listing.fill(
        [
            {
                "id": row.id,
                "keys": row.names,
                "more": max(0, row.count_of_changes - KEYS_SHOWN),
                "state": STATES[row.state],
                "kind": STATE_KINDS[row.state],
                "by": people.get(row.proposed_by),
                "when": words.when(row.proposed_at),
            }
            for row in rows[:PAGE_SIZE]
        ],
        after=str(rows[PAGE_SIZE - 1].id) if len(rows) > PAGE_SIZE else None,
        total=len(rows) if len(rows) <= PAGE_SIZE else None,
    )
    return page(
        request, listing=listing, rates_url=_url(request), may_edit=may(request, P.RATE_EDIT)
    )


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


class ReasonForm(Schema):
    """Why not."""

    reason = SchemaNode(String(500, multiline=True), title=_("Reason"))


@view_config(
    context=RateProposalRecord, permission=P.RATE_READ, request_method="GET", renderer=PAGE
)
def proposal(context: RateProposalRecord, request: Any) -> Any:
    """What would change, beside everything else that holds for the same work."""
    row = context.record
    if wanted(request) == "json":
        changes = rate_standing.changes_page(request.dbsession, row.id, after=0, limit=None)
        taken = rate_approvals.latest_approval(request.dbsession, row.id)
        return json_response(
            {
                "id": row.id,
                "state": row.state,
                "taken_over": None if taken is None else taken.done,
                "problem": None if taken is None else taken.problem,
                "changes": [said for _place, said in changes],
            }
        )
    return _proposal_page(context, request)


def _proposal_page(
    context: RateProposalRecord, request: Any, refusal: Any = None
) -> dict[str, Any]:
    words, row, session = Words(request), context.record, request.dbsession
    is_open, url = row.state in OPEN, _url(request, "proposals", str(row.id))
    fit = rate_standing.fit(session, row.id)
    listing = Listing(
        request,
        columns=[
            Column("key", _("Rate")),
            Column("verdict", _("What happens")),
            Column("scope", _("For")),
            Column("before", _("Known now")),
            Column("after", _("Proposed")),
        ],
        filters=[Filter("verdict", _("What happens"), choices=list(VERDICTS.items()))]
        if fit.new + fit.changed + fit.gone > PAGE_SIZE
        else [],
    )
    listing.path = url
    found = rate_standing.changes_page(
        session,
        row.id,
        after=_place(listing.after),
        limit=PAGE_SIZE + 1,
        verdict=listing.values.get("verdict"),
    )
    shown = [Change.of_json(said) for _number, said in found[:PAGE_SIZE]]
    keys = [each.key for each in shown] if is_open else []
    known = {rate.key: rate for rate in service.current(session, keys)[0]}
    listing.fill(
        [_told(request, words, change, known.get(change.key)) for change in shown],
        after=str(found[PAGE_SIZE - 1][0]) if len(found) > PAGE_SIZE else None,
        total=len(shown) if len(found) <= PAGE_SIZE else None,
    )
    people = names_of(session, (row.proposed_by, row.decided_by))
    identity = request.identity
    mine = identity is not None and identity.person_id == row.proposed_by
    overtaken = is_open and fit.overtaken is not None
    standing = rate_standing.standing_with(session, row.id) if is_open else None
    approves = row.state == "proposed" and may(request, P.RATE_APPROVE)
    taken = rate_approvals.latest_approval(session, row.id)
    return page(
        request,
        proposal=row,
        url=url,
        rates_url=_url(request),
        state=STATES[row.state],
        state_kind=STATE_KINDS[row.state],
        by=people.get(row.proposed_by),
        when=words.when(row.proposed_at),
        decided_by=people.get(row.decided_by),
        decided_at=words.when(row.decided_at),
        overtaken=fit.overtaken if overtaken else None,
        listing=listing,
        many=[
            (title, words.number(many))
            for title, many in (
                (VERDICTS["new"], fit.new),
                (VERDICTS["changed"], fit.changed),
                (VERDICTS["gone"], fit.gone),
            )
            if many
        ],
        grid=None
        if standing is None
        else grid_facts(request, words, _grid(session, row.id, shown, known), standing),
        may_send=row.state == "draft"
        and may(request, P.RATE_EDIT)
        and standing is not None
        and not standing.overlaps
        and not overtaken,
        may_withdraw=is_open and may(request, P.RATE_EDIT),
        may_approve=approves and not mine and not overtaken,
        own=approves and mine,
        refusal=refusal or (_refusal(request, url) if approves else None),
        moving=row.state == "approving",
        taken=taken,
        problem=None if taken is None or row.state != "proposed" else taken.problem,
        words=words,
    )


def _place(after: str | None) -> int:
    return int(after) if after and after.isascii() and after.isdecimal() and len(after) < 9 else 0


def _grid(
    session: Any, proposal_id: UUID, shown: Sequence[Change], known: Mapping[str, RateSaid]
) -> Any:
    """The same work over time with the proposal: that of the changes on this page."""
    scopes = {
        each.scope
        for change in shown
        for each in (known.get(change.key), change.rate)
        if each is not None
    }
    rates = rate_standing.rates_with(session, proposal_id, scopes)
    return grid(rates, changed=frozenset(change.key for change in shown), scopes=scopes)


def _told(request: Any, words: Words, change: Change, old: RateSaid | None) -> dict[str, Any]:
    rate = change.rate or old
    verdict = "gone" if change.rate is None else "changed" if change.expected else "new"
    return {
        "key": change.key,
        "verdict": VERDICTS[verdict],
        "scope": "" if rate is None else scope_row(request, words, rate.scope),
        "before": None if old is None else _in_words(request, words, old),
        "after": None if change.rate is None else _in_words(request, words, change.rate),
    }


def _in_words(request: Any, words: Words, rate: RateSaid) -> list[str]:
    """The price, its steps, and when it holds."""
    steps = say_steps(rate.model, rate.steps)
    further = (steps, say_surcharges(rate.surcharges), say_phases(rate.phases))
    since = plain(rate.amount) if rate.valid_from is None else words.day(rate.valid_from)
    until = f" - {words.last_day(rate.valid_to)}" if rate.valid_to else ""
    return [price_in_words(request, words, rate), *filter(None, further), f"{since}{until}"]


def _refusal(request: Any, url: str) -> Any:
    return make_form(
        request, ReasonForm(), submit=_("Refuse"), name="refusal", action=f"{url}/refuse"
    )


@view_config(context=RateProposalRecord, name="send", permission=P.RATE_EDIT, request_method="POST")
def send(context: RateProposalRecord, request: Any) -> Any:
    """Ask a second person."""
    service.send_for_approval(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("Sent. A second person approves the change."))
    return HTTPSeeOther(location=_url(request, "proposals", str(context.record.id)))


@view_config(
    context=RateProposalRecord, name="withdraw", permission=P.RATE_EDIT, request_method="POST"
)
def withdraw(context: RateProposalRecord, request: Any) -> Any:
    """Give a change up."""
    service.withdraw(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The change was withdrawn."))
    return HTTPSeeOther(location=_url(request, "proposals"))


@view_config(
    context=RateProposalRecord, name="approve", permission=P.RATE_APPROVE, request_method="POST"
)
def approve(context: RateProposalRecord, request: Any) -> Any:
    """Let the prices hold."""
    holds = service.approve(request.dbsession, context.record.id, now=request.now)
    request.flash(
        "success",
        _("The prices were approved.")
        if holds
        else _("Approved. The prices are taken over in the background, all of them together."),
    )
    return HTTPSeeOther(location=_url(request, "proposals", str(context.record.id)))


@view_config(
    context=RateProposalRecord,
    name="refuse",
    permission=P.RATE_APPROVE,
    request_method="POST",
    renderer=PAGE,
)
def refuse(context: RateProposalRecord, request: Any) -> Any:
    """Refuse them, saying why."""
    form = _refusal(request, _url(request, "proposals", str(context.record.id)))

    def on_success(values: dict[str, Any]) -> Any:
        service.refuse(
            request.dbsession, context.record.id, reason=values["reason"], now=request.now
        )
        request.flash("success", _("The change was refused."))
        return HTTPSeeOther(location=_url(request, "proposals"))

    return handle_form_submission(
        request, form, on_success, lambda: _proposal_page(context, request, form)
    )
