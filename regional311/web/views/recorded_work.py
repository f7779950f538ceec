"""Recorded work, one piece at a time: what is known, what became of it, and putting it right."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.chargeback import recorded_work
from regional311.chargeback.correcting import Really, correct_work, keep_work
from regional311.chargeback.pricing import Told, case_of, price_work
from regional311.chargeback.rate_cards import plain
from regional311.floor.watching import confidential_contacts
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.intake.queries import contact_numbers
from regional311.tenancy.once import once
from regional311.tenancy.queries import local_day
from regional311.web.billing_wording import Words, page, word
from regional311.web.forms import (
    Boolean,
    Choice,
    Decimal,
    Integer,
    Schema,
    SchemaNode,
    SelectWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Listing
from regional311.web.representations import csv_of_session, json_response, wanted
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import RecordedWork, RecordedWorkRecord
from regional311.web.views.billing import cursor
from regional311.web.wording import CHANNELS, LANGUAGES

TRY, TAKE_BACK = "try", "take_back"
REASON_WORDS = {
    "wrong_service": _("It was about another service"),
    "wrong_facts": _("Time, channel, language or hours were wrong"),
    "duplicate": _("The same work was recorded before"),
    "entered_in_error": _("It was entered in error"),
    "agreed": _("Agreed with the payer"),
}
WHY = {
    "entered_in_error": _("The referral was entered in error"),
    "merged": _("The request was merged into one known before"),
}
COLUMNS = (
    "event",
    "activity",
    "service",
    "occurred_at",
    "corrected_at",
    "reason",
    "reversal",
    "anew",
)


@view_config(
    context=RecordedWork,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="recorded_work/index.jinja2",
)
def listed(context: RecordedWork, request: Any) -> Any:
    """What has to be looked at, and every correction of recorded work, the latest first."""
    form = wanted(request)
    listing = Listing(
        request,
        columns=[
            Column("work", _("Work")),
            Column("occurred", _("Done")),
            Column("corrected", _("Corrected")),
            Column("reason", _("Reason")),
            Column("now", _("Now")),
        ],
        csv=True,
    )
    before = cursor(listing.after)
    if form == "json":
        return json_response(
            [
                dict(zip(COLUMNS, _row(row), strict=True))
                for row in recorded_work.every_corrected(request.dbsession, before=before)
            ]
        )
    if form == "csv":
        return csv_of_session(
            request,
            "corrected-work.csv",
            COLUMNS,
            lambda session: map(_row, recorded_work.every_corrected(session, before=before)),
        )
    rows = recorded_work.corrected(request.dbsession, before=before, limit=PAGE_SIZE + 1)
    shown = rows[:PAGE_SIZE]
    after = None
    if len(rows) > PAGE_SIZE:
        after = f"{shown[-1].corrected_at.isoformat()}|{shown[-1].reversal_id}"
    tell, names = telling(request), names_of(request.dbsession, (row.person_id for row in shown))
    listing.fill(
        [
            {
                "id": row.id,
                "activity": row.activity,
                "service": _service(tell, row),
                "occurred_at": row.occurred_at,
                "corrected_at": row.corrected_at,
                "by": names.get(row.person_id) if row.person_id else None,
                "reason": word(REASON_WORDS, row.reason) if row.reason else None,
                "taken_back": row.anew_id is None and row.reason is not None,
                "anew": row.anew_id,
            }
            for row in shown
        ],
        after=after,
    )
    return page(
        request,
        listing=listing,
        doubtful=[
            {
                "row": row,
                "service": _service(tell, row),
                "why": word(WHY, row.why),
                "number": _("confidential") if _secret(tell, row) else row.public_id,
            }
            for row in recorded_work.doubtful(request.dbsession)
        ],
        may_run=may(request, P.BILLING_RUN),
        url=f"/{request.tenant.slug}/recorded-work",
        billing_url=f"/{request.tenant.slug}/billing",
    )


@view_config(
    context=RecordedWorkRecord,
    permission=P.BILLING_READ,
    request_method="GET",
    renderer="recorded_work/piece.jinja2",
)
def piece(context: RecordedWorkRecord, request: Any) -> Any:
    """One piece of work: every revision, what each was priced at, and the form that corrects it."""
    found = _page(context, request)
    if wanted(request) == "json":
        return json_response(
            [
                {
                    "id": each["row"].id,
                    "source_key": each["row"].source_key,
                    "quantity": each["row"].quantity,
                    "handle_seconds": each["row"].handle_seconds,
                    "service": each["row"].service_key,
                    "reverses": each["row"].reverses_id,
                    "received_at": each["row"].received_at,
                    "state": each["rated"] and each["rated"].state,
                    "amount": each["rated"] and each["rated"].amount,
                }
                for each in found["revisions"]
            ]
        )
    return found


@view_config(
    context=RecordedWorkRecord,
    name="correct",
    permission=P.BILLING_RUN,
    request_method="POST",
    renderer="recorded_work/piece.jinja2",
)
def correct(context: RecordedWorkRecord, request: Any) -> Any:
    """Show what a correction would come to, or record it, or take the work back altogether."""
    form = _form(context, request)

    def on_success(values: dict[str, Any]) -> Any:
        really = None if TAKE_BACK in request.POST else _really(request, values)
        if TRY in request.POST and really is not None:
            really.check()
            return _page(context, request, form, _tried(context, request, really))

        def do() -> dict[str, Any]:
            made = correct_work(
                request.dbsession,
                context.record.id,
                really,
                reason=values["reason"],
                now=request.now,
                booked_on=local_day(request.dbsession, request.now),
            )
            return {"event": str(made)}

        content = ["work:correct", str(context.record.id), really is None, values]
        answer = once(request.dbsession, form_key(request), content, do)
        request.flash(
            "success",
            _("The work was taken back.") if really is None else _("The work was corrected."),
        )
        return HTTPSeeOther(location=f"/{request.tenant.slug}/recorded-work/{answer['event']}")

    return handle_form_submission(request, form, on_success, lambda: _page(context, request, form))


@view_config(
    context=RecordedWorkRecord, name="keep", permission=P.BILLING_RUN, request_method="POST"
)
def keep(context: RecordedWorkRecord, request: Any) -> HTTPSeeOther:
    """Note that the work was looked at and stays as it is."""
    keep_work(request.dbsession, context.record.id, now=request.now)
    request.flash("success", _("The work stays as it is recorded."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/recorded-work")


def _row(row: recorded_work.Corrected) -> tuple[Any, ...]:
    """A correction as a file has it, by `COLUMNS`."""
    return (
        row.id,
        row.activity,
        row.service_key,
        row.occurred_at,
        row.corrected_at,
        row.reason,
        row.reversal_id,
        row.anew_id,
    )


def _service(tell: Any, row: Any) -> Any:
    if row.service_key is None:
        return _("no service")
    return tell.service_name(row.service_owner_id, row.service_key)


def _secret(tell: Any, row: recorded_work.Doubtful) -> bool:
    """Whether the record behind some work is confidential, or what the work was corrected to."""
    services = ((row.service_owner_id, row.service_key), (row.about_owner_id, row.about_key))
    return not tell.confidential_services.isdisjoint(services)


def _services(request: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every partner's services, grouped by partner."""
    tell = telling(request)
    groups: dict[str, list[tuple[str, str]]] = {}
    for each in tell.published.directory.services:
        if each.tenant in tell.published.ids:
            groups.setdefault(each.tenant, []).append((each.ref, each.name))
    return [
        (tell.partner(slug), sorted(pairs, key=lambda pair: pair[1]))
        for slug, pairs in sorted(groups.items())
    ]


def _form(context: RecordedWorkRecord, request: Any) -> Any:
    words, event = Words(request), context.record
    groups = _services(request)
    reference = _reference(request, event)
    flat = [pair for _name, pairs in groups for pair in pairs]
    if reference is not None and reference not in dict(flat):
        was = (reference, event.service_key)
        flat.append(was)
        groups.append((words.say("activity", event.activity), [was]))
    schema = Schema(
        children=[
            SchemaNode(
                Choice(flat),
                name="service",
                title=_("Service"),
                description=_("It says who pays: the partner whose service it was."),
                widget=SelectWidget(values=groups, empty=_("No service")),
                missing=None,
            ),
            _choice("channel", _("Channel"), list(CHANNELS.items()), event.channel),
            _choice("language", _("Language"), list(LANGUAGES.items()), event.language),
            SchemaNode(Boolean(), name="after_hours", title=_("After hours"), missing=False),
            SchemaNode(Decimal(), name="quantity", title=_("Quantity")),
            SchemaNode(Integer(), name="handle_seconds", title=_("Seconds of handle time")),
            SchemaNode(
                Choice(list(REASON_WORDS.items())),
                name="reason",
                title=_("Reason"),
                description=_("It stays in the audit trail."),
                widget=SelectWidget(values=list(REASON_WORDS.items())),
            ),
        ]
    )
    return make_form(
        request,
        schema,
        name="correct",
        action=f"/{request.tenant.slug}/recorded-work/{event.id}/correct",
        submit=_("Correct the work"),
        buttons=((TRY, _("Show what it would cost")), (TAKE_BACK, _("Take it back altogether"))),
        values={
            "service": reference,
            "channel": event.channel,
            "language": event.language,
            "after_hours": event.after_hours,
            "quantity": plain(event.quantity),
            "handle_seconds": event.handle_seconds,
        },
        once=True,
    )


def _choice(name: str, title: Any, choices: list[Any], now: str) -> SchemaNode:
    """A choice that has what is recorded too, whatever that is called."""
    if now not in dict(choices):
        choices.append((now, now))
    return SchemaNode(
        Choice(choices), name=name, title=title, widget=SelectWidget(values=choices, empty=None)
    )


def _reference(request: Any, event: Any) -> str | None:
    if event.service_key is None:
        return None
    slug = telling(request).published.slugs.get(event.service_owner_id, "")
    return f"{slug}/{event.service_key}"


def _really(request: Any, values: dict[str, Any]) -> Really:
    """What the form says the work was, with whom the service belongs to."""
    event, chosen = request.context.record, values["service"]
    owner, key, bureau = event.service_owner_id, event.service_key, event.bureau_key
    if chosen != _reference(request, event):
        published = telling(request).published
        found = None if chosen is None else published.directory.find(chosen)
        if found is None:
            owner, key, bureau = event.line_owner_id or request.tenant.id, None, None
        else:
            owner, key, bureau = published.ids[found.tenant], found.key, found.bureau or None
    return Really(
        channel=values["channel"],
        language=values["language"],
        after_hours=values["after_hours"],
        service_owner_id=owner,
        service_key=key,
        bureau_key=bureau,
        quantity=values["quantity"],
        handle_seconds=values["handle_seconds"],
    )


def _tried(context: RecordedWorkRecord, request: Any, really: Really) -> list[dict[str, Any]]:
    """What the work costs as it is recorded, and what it would; nothing is kept."""
    words = Words(request)
    before = case_of(context.record, words.zone)
    after = replace(before, **{each.name: getattr(really, each.name) for each in fields(Really)})
    return [
        _told(request, words, title, price_work(request.dbsession, case))
        for title, case in ((_("As recorded"), before), (_("As corrected"), after))
    ]


def _told(request: Any, words: Words, title: Any, told: Told) -> dict[str, Any]:
    tell = telling(request)
    payer = tell.partner(told.payer_id)
    if told.payer_kind == "bureau":
        payer = tell.bureau(request.tenant.slug, told.payer_key)
    elif told.payer_kind == "outside":
        payer = told.payer_key or ""
    return {
        "title": title,
        "payer": payer if told.state == "rated" else words("charge_state", told.state),
        "agreement": told.agreement.name if told.agreement is not None else None,
        "rate": told.rate.key if told.rate is not None else None,
        "amount": words.money(told.amount) if told.amount is not None else None,
    }


def _page(
    context: RecordedWorkRecord, request: Any, form: Any = None, tried: Any = None
) -> dict[str, Any]:
    session, event, tell = request.dbsession, context.record, telling(request)
    chain = recorded_work.revisions(session, event.source_key)
    if not chain:
        raise HTTPNotFound
    rated = recorded_work.rated(session, [row.id for row in chain])
    taken = {row.reverses_id for row in chain}
    live = next((row for row in chain if row.reverses_id is None and row.id not in taken), None)
    # whatever it was corrected to: what was asked for stays confidential
    secret = bool(
        tell.confidential_services.intersection(
            (row.service_owner_id, row.service_key) for row in chain
        )
        or confidential_contacts(session, [event.contact_id], tell.confidential_services)
    )
    number = None
    if event.contact_id is not None and not secret:
        number = contact_numbers(session, [event.contact_id]).get(event.contact_id)
    slug = request.tenant.slug
    if form is None and live is not None and live.id == event.id and may(request, P.BILLING_RUN):
        form = _form(context, request)
    period = next((each.period_key for each in rated.values()), None)
    return page(
        request,
        event=event,
        service=_service(tell, event),
        live=live,
        revisions=[
            {
                "row": row,
                "service": _service(tell, row),
                "rated": rated.get(row.id),
                "taken_back": row.id in taken,
            }
            for row in chain
        ],
        form=form if live is not None and live.id == event.id else None,
        tried=tried,
        issued=any(each.issued for each in rated.values()),
        unseen=any(row.id not in rated for row in chain) and bool(rated),
        late_url=f"/{slug}/corrections/{period}" if period else None,
        contact_number=_("confidential") if secret and event.contact_id else number,
        contact_url=f"/{slug}/contacts/{number}"
        if number and may(request, P.CONTACT_READ)
        else None,
        work_url=f"/{slug}/recorded-work",
        url=f"/{slug}/recorded-work/{event.id}",
    )
