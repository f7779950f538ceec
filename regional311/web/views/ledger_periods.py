"""Months of the books: closing them in order, and opening one again by two people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.ledger import exports, periods, queries
from regional311.ledger.service import CLOSED, OPEN
from regional311.web.billing_wording import Words
from regional311.web.book_pages import (
    EVENT_KINDS,
    Action,
    book_page,
    ledger_url,
    link,
    section,
    state,
)
from regional311.web.forms import (
    Schema,
    SchemaNode,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.representations import csv_response, json_response, wanted
from regional311.web.security import may
from regional311.web.tree import LedgerPeriodRecord, LedgerPeriods


class ReasonForm(Schema):
    """Why a month is to be opened again, or stays closed."""

    reason = SchemaNode(
        String(periods.LONGEST_REASON, multiline=True),
        title=_("Reason"),
        description=_("It stays in the books for good."),
    )


@view_config(
    context=LedgerPeriods,
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def months(context: LedgerPeriods, request: Any) -> Any:
    """Every month of the books, and what happened to them."""
    session, words = request.dbsession, Words(request)
    rows = queries.periods(session)
    form = wanted(request)
    if form == "json":
        return json_response([asdict(row) for row in rows])
    if form == "csv":
        columns = ["key", "state", "entries", "total_cents"]
        return csv_response(
            request, "months.csv", columns, [[getattr(r, c) for c in columns] for r in rows]
        )
    url = ledger_url(request)
    table = section(
        request,
        _("Months of the books"),
        [
            (_("Month"), False),
            (_("State"), False),
            (_("Entries"), True),
            (_("Posted"), True),
        ],
        [
            [
                link(f"{url}/periods/{row.key}", words.month(row.key)),
                state("period_state", row.state),
                words.number(row.entries),
                words.cents(row.total_cents),
            ]
            for row in rows
        ],
        empty=_("Nothing has been posted yet: the first posting opens its month."),
        csv=True,
    )
    return book_page(
        request,
        "periods",
        title=_("Months"),
        lead=_("Months close in order and open again the latest first, by two people."),
        sections=[table],
    )


@view_config(
    context=LedgerPeriodRecord,
    permission=P.LEDGER_READ,
    request_method="GET",
    renderer="ledger/page.jinja2",
)
def month(context: LedgerPeriodRecord, request: Any) -> Any:
    """One month: what is in it, what happened to it, and what may happen next."""
    return _month_page(context, request, None)


def _reason_form(request: Any, url: str, heading: Any, submit: Any) -> Any:
    form = make_form(request, ReasonForm(), submit=submit, name="reason-form", action=url)
    form.heading = heading
    return form


def _reopen_form(request: Any, url: str) -> Any:
    return _reason_form(request, f"{url}/reopen", _("Open it again"), _("Ask a second person"))


def _decline_form(request: Any, url: str) -> Any:
    return _reason_form(request, f"{url}/decline", _("Or leave it closed"), _("Leave it closed"))


def _month_page(context: LedgerPeriodRecord, request: Any, form: Any) -> Any:
    session, words, found = request.dbsession, Words(request), context.record
    events = periods.period_events(session, found.key)
    if wanted(request) == "json":
        return json_response(
            {
                "key": found.key,
                "state": found.state,
                "events": [
                    {"kind": each.kind, "reason": each.reason, "at": each.at} for each in events
                ],
            }
        )
    row = next(each for each in queries.periods(session) if each.key == found.key)
    names = names_of(session, [each.person_id for each in events])
    url = f"{ledger_url(request)}/periods/{found.key}"
    asked = events[0] if events and events[0].kind == "reopen_requested" else None
    actions, form = _offers(request, found, asked, url, form)
    waiting = exports.waiting(session, found.key)
    history = section(
        request,
        _("What happened to it"),
        [(_("When"), False), (_("What"), False), (_("Who"), False), (_("Reason"), False)],
        [
            [
                words.when(each.at),
                EVENT_KINDS.get(each.kind, each.kind),
                names.get(each.person_id, "") if each.person_id else _("the system"),
                each.reason,
            ]
            for each in events
        ],
        empty=_("It is open and has never been closed."),
    )
    return book_page(
        request,
        None,
        title=words.month(found.key),
        lead=_sentence(words, found, asked, names),
        crumbs=[(f"{ledger_url(request)}/periods", _("Months"))],
        facts=[
            (_("State"), words("period_state", found.state)),
            (_("Entries"), words.number(row.entries)),
            (_("Posted"), words.cents(row.total_cents)),
            (_("Entries up to it that are in no batch yet"), words.number(waiting)),
        ],
        actions=actions,
        form=form,
        sections=[history],
        links=[
            (f"{ledger_url(request)}/journal?period={found.key}", _("Its entries")),
            (f"{ledger_url(request)}?period={found.key}", _("Trial balance at its end")),
        ],
    )


def _sentence(words: Words, found: Any, asked: Any, names: Any) -> Any:
    if asked is not None:
        told = {"person": names.get(asked.person_id, ""), "reason": asked.reason}
        return _("${person} asks to open it again: ${reason}", mapping=told)
    if found.state == OPEN:
        return _("It is open: entries are posted to it.")
    return _("Nothing can be posted to it.")


def _offers(request: Any, found: Any, asked: Any, url: str, form: Any) -> tuple[list[Action], Any]:
    """The buttons and the form that this person may use on this month as it stands."""
    actions = []
    runs, approves = may(request, P.LEDGER_RUN), may(request, P.LEDGER_APPROVE)
    if runs and found.state != CLOSED:
        question = _("Nothing can be posted to it any more, until two people open it again.")
        actions.append(Action(f"{url}/close", _("Close the month"), question))
        if found.state == OPEN:
            actions.append(
                Action(f"{url}/soft-close", _("Soft-close it to look at it"), secondary=True)
            )
    second = asked is not None and request.identity.person_id != asked.person_id
    if approves and second:
        question = _("Entries can be posted to it again.")
        actions.insert(0, Action(f"{url}/approve-reopening", _("Open it again"), question))
        form = form or _decline_form(request, url)
    if runs and found.state != OPEN and asked is None:
        form = form or _reopen_form(request, url)
    return actions, form


def _back(context: LedgerPeriodRecord, request: Any, said: Any) -> HTTPSeeOther:
    request.flash("success", said)
    return HTTPSeeOther(location=f"{ledger_url(request)}/periods/{context.record.key}")


@view_config(
    context=LedgerPeriodRecord, name="close", permission=P.LEDGER_RUN, request_method="POST"
)
def close(context: LedgerPeriodRecord, request: Any) -> HTTPSeeOther:
    """Close the month for posting."""
    periods.close_period(request.dbsession, context.record.key, now=request.now)
    return _back(context, request, _("The month is closed."))


@view_config(
    context=LedgerPeriodRecord, name="soft-close", permission=P.LEDGER_RUN, request_method="POST"
)
def soft_close(context: LedgerPeriodRecord, request: Any) -> HTTPSeeOther:
    """Close the month while it is still looked at."""
    periods.close_period(request.dbsession, context.record.key, now=request.now, soft=True)
    return _back(context, request, _("The month is soft-closed."))


@view_config(
    context=LedgerPeriodRecord,
    name="reopen",
    permission=P.LEDGER_RUN,
    request_method="POST",
    renderer="ledger/page.jinja2",
)
def reopen(context: LedgerPeriodRecord, request: Any) -> Any:
    """Ask that the month be opened again, saying why."""
    key = context.record.key
    form = _reopen_form(request, f"{ledger_url(request)}/periods/{key}")

    def ask(values: dict[str, Any]) -> HTTPSeeOther:
        periods.request_reopening(request.dbsession, key, reason=values["reason"], now=request.now)
        return _back(context, request, _("Asked for. A second person must open it."))

    return handle_form_submission(
        request, form, on_success=ask, on_failure=lambda: _month_page(context, request, form)
    )


@view_config(
    context=LedgerPeriodRecord,
    name="approve-reopening",
    permission=P.LEDGER_APPROVE,
    request_method="POST",
)
def approve(context: LedgerPeriodRecord, request: Any) -> HTTPSeeOther:
    """Open the month again, as the second person."""
    periods.approve_reopening(request.dbsession, context.record.key, now=request.now)
    return _back(context, request, _("The month is open again."))


@view_config(
    context=LedgerPeriodRecord,
    name="decline",
    permission=P.LEDGER_APPROVE,
    request_method="POST",
    renderer="ledger/page.jinja2",
)
def decline(context: LedgerPeriodRecord, request: Any) -> Any:
    """Leave the month closed, saying why."""
    key = context.record.key
    form = _decline_form(request, f"{ledger_url(request)}/periods/{key}")

    def refuse(values: dict[str, Any]) -> HTTPSeeOther:
        periods.decline_reopening(request.dbsession, key, reason=values["reason"], now=request.now)
        return _back(context, request, _("The month stays closed."))

    return handle_form_submission(
        request, form, on_success=refuse, on_failure=lambda: _month_page(context, request, form)
    )
