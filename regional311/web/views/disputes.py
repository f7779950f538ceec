"""Disputes: what is not accepted, by whom it is answered, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.view import view_config

from regional311.database.ids import new_token
from regional311.errors import DomainError
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.settlement import disputes, queries
from regional311.settlement.dispute import last_day
from regional311.tenancy.once import once
from regional311.web.forms import (
    Choice,
    HiddenWidget,
    Money,
    Schema,
    SchemaNode,
    SelectWidget,
    String,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import PAGE_SIZE, Column, Filter, Listing
from regional311.web.representations import exported, json_response, wanted
from regional311.web.security import may
from regional311.web.settlement_wording import (
    DISPUTE_REASONS,
    DISPUTE_SIDES,
    SettlementWords,
    settlement_page,
)
from regional311.web.tree import DisputeRecord, Disputes
from regional311.web.views.payments import EXPORTED, as_uuid, statement_called

END_LABELS = {
    "credit": _("Credit it"),
    "uphold": _("Let the charge stand"),
    "withdraw": _("Withdraw it"),
}
OPEN_CHOICES = [("open", _("Not decided")), ("done", _("Decided"))]


class NewDisputeForm(Schema):
    """What of a line is not accepted, and why."""

    statement = SchemaNode(String(40), widget=HiddenWidget())
    amount = SchemaNode(
        Money(),
        title=_("Amount"),
        description=_("What of the line is not accepted. The rest is due as before."),
    )
    reason = SchemaNode(
        Choice(DISPUTE_REASONS),
        title=_("Reason"),
        widget=SelectWidget(values=list(DISPUTE_REASONS.items())),
    )
    evidence = SchemaNode(
        String(disputes.LONGEST_TEXT, multiline=True),
        title=_("Evidence"),
        description=_("What you rely on. The issuer reads it. Name nobody who called."),
    )


class CommentForm(Schema):
    """Something that both sides read."""

    note = SchemaNode(
        String(disputes.LONGEST_TEXT, multiline=True),
        title=_("Comment"),
        description=_("Both sides read it."),
    )


class EndForm(Schema):
    """How much of what is open ends, and why."""

    amount = SchemaNode(Money(), title=_("Amount"))
    note = SchemaNode(
        String(disputes.LONGEST_TEXT, multiline=True),
        title=_("Reason"),
        description=_("Both sides read it."),
    )


COLUMNS = (
    "public_id",
    "side",
    "partner",
    "statement",
    "line",
    "reason",
    "state",
    "owner",
    "opened_on",
    "answer_by",
    "amount_cents",
    "upheld_cents",
    "credited_cents",
    "withdrawn_cents",
    "open_cents",
)
"""Of an export."""


@view_config(
    context=Disputes,
    permission=P.DISPUTE_READ,
    request_method="GET",
    renderer="disputes/index.jinja2",
)
def listed(context: Disputes, request: Any) -> Any:
    """Disputes about our statements, and those that we opened, the latest first."""
    words = SettlementWords(request)
    others = [
        each
        for each in request.registry.partners.all()
        if each.kind != "region" and each.id != request.tenant.id
    ]
    listing = Listing(
        request,
        columns=[
            Column("dispute", _("Dispute")),
            Column("partner", _("Partner")),
            Column("statement", _("Statement")),
            Column("reason", _("Reason")),
            Column("state", _("State")),
            Column("owner", _("Answered by")),
            Column("clock", _("Answer by")),
            Column("amount", _("Disputed"), number=True),
            Column("open", _("Open"), number=True),
        ],
        filters=[
            Filter("side", _("Side"), choices=list(DISPUTE_SIDES.items())),
            Filter("state", _("State"), choices=OPEN_CHOICES),
            Filter("partner", _("Partner"), choices=[(each.slug, each.name) for each in others]),
        ],
        csv=True,
    )
    listing.base = f"/{request.tenant.slug}/disputes/"
    asked = listing.values
    partner = request.registry.partners.by_slug(asked["partner"]) if asked["partner"] else None
    form = wanted(request)
    rows = queries.disputes(
        request.dbsession,
        side=asked["side"],
        still_open={"open": True, "done": False}.get(asked["state"] or ""),
        counterparty_id=partner.id if partner else None,
        before=as_uuid(listing.after),
        limit=PAGE_SIZE + 1 if form == "html" else EXPORTED,
    )
    if form != "html":
        found = [_plain(row) for row in rows]
        return exported(request, form, "disputes.csv", COLUMNS, found)
    shown = rows[:PAGE_SIZE]
    listing.fill(
        [
            {
                "row": row,
                "state": disputes.state_of(row),
                "late": bool(row.open_cents) and words.today > row.answer_by,
            }
            for row in shown
        ],
        after=str(shown[-1].id) if len(rows) > PAGE_SIZE else None,
    )
    return _list_page(request, listing, None)


def _list_page(request: Any, listing: Any, form: Any) -> dict[str, Any]:
    if form is None and may(request, P.DISPUTE_EDIT):
        form = _owner_form(request)
    return settlement_page(
        request,
        listing=listing,
        slug=request.tenant.slug,
        form=form,
        reopened=form is not None and bool(form.problems()),
        may_open=may(request, P.DISPUTE_EDIT),
    )


def _owner_form(request: Any) -> Any:
    partners = [
        (each.slug, each.name)
        for each in request.registry.partners.all()
        if each.kind != "region" and each.id != request.tenant.id
    ]
    people = [(str(each.person_id), each.name) for each in disputes.answerers(request.dbsession)]
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice(partners),
            name="partner",
            title=_("Partner"),
            widget=SelectWidget(values=partners),
        )
    )
    schema.add(
        SchemaNode(
            Choice(people),
            name="owner",
            title=_("Who answers"),
            description=_("From the next dispute on. The partner sees the name."),
            widget=SelectWidget(values=people),
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Name"),
        name="owner",
        action=f"/{request.tenant.slug}/disputes/owner",
        once=True,
    )


@view_config(
    context=Disputes,
    name="owner",
    permission=P.DISPUTE_EDIT,
    request_method="POST",
    renderer="disputes/index.jinja2",
)
def name_owner(context: Disputes, request: Any) -> Any:
    """Name who answers the disputes of a partner from now on."""
    form = _owner_form(request)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        partner = request.registry.partners.by_slug(values["partner"])
        disputes.name_owner(request.dbsession, partner.id, UUID(values["owner"]), now=request.now)
        request.flash("success", _("Named."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/disputes")

    return handle_form_submission(
        request,
        form,
        save,
        lambda: _list_page(request, Listing(request, columns=[]).fill([]), form),
    )


def _plain(row: queries.DisputeRow) -> dict[str, Any]:
    return {
        "public_id": row.public_id,
        "side": row.side,
        "partner": row.counterparty,
        "statement": row.statement,
        "line": row.line_position,
        "reason": row.reason,
        "state": disputes.state_of(row),
        "owner": row.owner_name,
        "opened_on": row.opened_on,
        "answer_by": row.answer_by,
        "amount_cents": row.amount_cents,
        "upheld_cents": row.upheld_cents,
        "credited_cents": row.credited_cents,
        "withdrawn_cents": row.withdrawn_cents,
        "open_cents": row.open_cents,
    }


# Opening one


def _received(request: Any) -> queries.OpenRow:
    """The received statement that a form is about; 404 for any other."""
    given = request.POST if request.method == "POST" else request.GET
    found = statement_called(request, given.get("statement"))
    today = SettlementWords(request).today
    row = None if found is None else queries.document(request.dbsession, found.id, today)
    if row is None or row.side != "received":
        raise HTTPNotFound
    return row


def _new_form(request: Any, row: queries.OpenRow, lines: list[queries.DisputableLine]) -> Any:
    words = SettlementWords(request)
    offered = [
        (
            str(line.position),
            f"{line.position}. {line.label} ({words.cents(line.undisputed_cents)})",
        )
        for line in lines
        if line.undisputed_cents > 0
    ]
    schema = NewDisputeForm()
    schema.children.insert(
        0,
        SchemaNode(
            Choice(offered),
            name="line",
            title=_("Line"),
            description=_("With what of it can be disputed."),
            widget=SelectWidget(values=offered),
        ),
    )
    asked = request.GET.get("line", "")
    values = {"statement": row.public_id}
    if asked in dict(offered):
        values["line"] = asked
    return make_form(
        request,
        schema,
        submit=_("Open the dispute"),
        values=values,
        once=True,
        cancel_url=f"/{request.tenant.slug}/statements/{row.public_id}",
    )


def _new_page(
    request: Any, row: queries.OpenRow, lines: list[queries.DisputableLine], form: Any
) -> dict[str, Any]:
    words = SettlementWords(request)
    days = {row.dispute_days(line.agreement_key) for line in lines} or {queries.DISPUTE_DAYS}
    return settlement_page(
        request,
        form=form,
        row=row,
        offered=any(line.undisputed_cents > 0 for line in lines),
        disputes_url=f"/{request.tenant.slug}/disputes",
        until=words.day(last_day(row.issued_on, max(days))),
        statement_url=f"/{request.tenant.slug}/statements/{row.public_id}",
    )


@view_config(
    context=Disputes,
    name="new",
    permission=P.DISPUTE_EDIT,
    request_method="GET",
    renderer="disputes/new.jinja2",
)
def new(context: Disputes, request: Any) -> Any:
    """The form of a dispute: of a received statement (`?statement=S-...&line=3`).

    Without a statement, those that can be disputed are offered.
    """
    if not request.GET.get("statement"):
        today = SettlementWords(request).today
        rows = [
            row
            for row in queries.documents(request.dbsession, today, side="received")
            if row.total_cents > 0
        ]
        return settlement_page(
            request,
            form=None,
            choices=rows[::-1],
            disputes_url=f"/{request.tenant.slug}/disputes",
            url=f"/{request.tenant.slug}/disputes/new",
        )
    row = _received(request)
    lines = queries.disputable(request.dbsession, row.id)
    return _new_page(request, row, lines, _new_form(request, row, lines))


@view_config(
    context=Disputes,
    name="new",
    permission=P.DISPUTE_EDIT,
    request_method="POST",
    renderer="disputes/new.jinja2",
)
def open_one(context: Disputes, request: Any) -> Any:
    """Open a dispute, once however often the form is sent."""
    key = form_key(request)
    row = _received(request)
    lines = queries.disputable(request.dbsession, row.id)
    form = _new_form(request, row, lines)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def do() -> dict[str, Any]:
            made = disputes.open_dispute(
                request.dbsession,
                row.id,
                int(values["line"]),
                amount_cents=values["amount"],
                reason=values["reason"],
                evidence=values["evidence"],
                now=request.now,
            )
            return {"id": str(made)}

        answer = once(request.dbsession, key, ["dispute:open", str(row.id), values], do)
        (made,) = queries.disputes(request.dbsession, dispute_id=UUID(answer["id"]))
        request.flash("success", _("The dispute was opened; the issuer has it."))
        return HTTPSeeOther(location=f"/{request.tenant.slug}/disputes/{made.public_id}")

    return handle_form_submission(request, form, save, lambda: _new_page(request, row, lines, form))


# One dispute


@view_config(
    context=DisputeRecord,
    permission=P.DISPUTE_READ,
    request_method="GET",
    renderer="disputes/dispute.jinja2",
)
def dispute(context: DisputeRecord, request: Any) -> Any:
    """One dispute: what of which line, why, by when, and what was said and done."""
    return _dispute_page(context, request)


def _row(context: DisputeRecord, request: Any) -> queries.DisputeRow:
    (row,) = queries.disputes(request.dbsession, dispute_id=context.record.id)
    return row


def _dispute_page(
    context: DisputeRecord, request: Any, failed: tuple[str, Any] | None = None
) -> Any:
    row = _row(context, request)
    session, words, slug = request.dbsession, SettlementWords(request), request.tenant.slug
    steps = queries.thread(session, row.id)
    if wanted(request) == "json":
        return json_response(
            {
                **_plain(row),
                "evidence": row.evidence,
                "thread": [
                    {
                        "kind": step.kind,
                        "amount_cents": step.amount_cents,
                        "note": step.note,
                        "at": step.at,
                        "mine": step.by_partner_id == request.tenant.id,
                    }
                    for step in steps
                ],
            }
        )
    people = names_of(session, [step.person_id for step in steps])
    partners = {each.id: each.name for each in request.registry.partners.all()}
    late = bool(row.open_cents) and words.today > row.answer_by
    return settlement_page(
        request,
        row=row,
        state=disputes.state_of(row),
        url=f"/{slug}/disputes/{row.public_id}",
        disputes_url=f"/{slug}/disputes",
        late=late,
        days_late=(words.today - row.answer_by).days,
        facts=[
            (_("Opened by") if row.side == "issued" else _("Issued by"), row.counterparty),
            (_("Line"), f"{row.line_position}. {row.line_label}"),
            (_("The line comes to"), words.cents(row.line_cents)),
            (_("Reason"), words("dispute_reason", row.reason)),
            (_("Opened"), words.day(row.opened_on)),
            (_("Answer by"), words.day(row.answer_by)),
            (_("Answered by"), row.owner_name or _("nobody named yet")),
        ],
        amounts=[
            (_("Disputed"), words.cents(row.amount_cents)),
            (_("Upheld"), words.cents(row.upheld_cents)),
            (_("Credited"), words.cents(row.credited_cents)),
            (_("Withdrawn"), words.cents(row.withdrawn_cents)),
            (_("Open"), words.cents(row.open_cents)),
        ],
        line_url=f"/{slug}/statements/{row.statement_public_id}/{row.line_position}",
        statement_url=f"/{slug}/statements/{row.statement_public_id}",
        actions=_actions(request, row, steps, failed),
        form_key=new_token(),
        history=[
            {
                "when": words.when(step.at),
                "title": _step_title(words, step),
                "by": people.get(step.person_id, "")
                if step.person_id
                else partners.get(step.by_partner_id, ""),
                "note": "" if step.kind in ("redrafted", "assigned") else step.note,
                "memo": step.memo,
                "memo_url": f"/{slug}/statements/{step.memo_public_id}"
                if step.memo_public_id
                else None,
                "memo_state": step.memo_state,
            }
            for step in reversed(steps)
        ],
    )


def _step_title(words: SettlementWords, step: queries.ThreadRow) -> Any:
    said = words.say("dispute_step", step.kind)
    return f"{said}: {words.cents(step.amount_cents)}" if step.amount_cents else said


def _actions(
    request: Any,
    row: queries.DisputeRow,
    steps: list[queries.ThreadRow],
    failed: tuple[str, Any] | None,
) -> list[dict[str, Any]]:
    """What this person may do next."""
    found: list[dict[str, Any]] = []

    def offer(name: str, label: Any, form: Any) -> None:
        opened = failed is not None and failed[0] == name
        found.append(
            {
                "name": name,
                "label": label,
                "form": failed[1] if failed is not None and opened else form,
                "open": opened,
                "reason": None,
            }
        )

    issuer = row.side == "issued"
    if row.open_cents and issuer:
        if not may(request, P.DISPUTE_APPROVE):
            found.append({"reason": _("Somebody with the approver's role decides it.")})
        elif request.identity.person_id in disputes.preparers(request.dbsession, row.statement_id):
            found.append(
                {"reason": _("You prepared or submitted the statement: a second person decides.")}
            )
        else:
            for name in ("credit", "uphold"):
                offer(name, END_LABELS[name], _end_form(request, row, name))
    if row.open_cents and not issuer and may(request, P.DISPUTE_EDIT):
        offer("withdraw", END_LABELS["withdraw"], _end_form(request, row, "withdraw"))
    if issuer and may(request, P.DISPUTE_APPROVE) and _void_memo(steps):
        found.append({"redraft": True, "reason": None})
    if may(request, P.DISPUTE_EDIT):
        offer("comment", _("Comment"), _comment_form(request, row))
        if issuer and row.open_cents:
            offer("assign", _("Name who answers"), _assign_form(request, row))
    return found


def _void_memo(steps: list[queries.ThreadRow]) -> bool:
    followed = {step.note for step in steps if step.kind == "redrafted"}
    return any(step.memo_state == "void" and str(step.memo_id) not in followed for step in steps)


def _address(request: Any, row: Any, name: str) -> str:
    return f"/{request.tenant.slug}/disputes/{row.public_id}/{name}"


def _end_form(request: Any, row: Any, name: str) -> Any:
    return make_form(
        request,
        EndForm(),
        submit=END_LABELS[name],
        name=name,
        action=_address(request, row, name),
        values={"amount": row.open_cents},
        once=True,
    )


def _comment_form(request: Any, row: Any) -> Any:
    return make_form(
        request,
        CommentForm(),
        submit=_("Comment"),
        name="comment",
        action=_address(request, row, "comment"),
        once=True,
    )


def _assign_form(request: Any, row: Any) -> Any:
    people = [(str(each.person_id), each.name) for each in disputes.answerers(request.dbsession)]
    schema = Schema()
    schema.add(
        SchemaNode(
            Choice(people),
            name="owner",
            title=_("Who answers"),
            description=_("The other side sees the name."),
            widget=SelectWidget(values=people),
        )
    )
    return make_form(
        request,
        schema,
        submit=_("Name"),
        name="assign",
        action=_address(request, row, "assign"),
        values={"owner": str(row.owner_id) if row.owner_id else None},
        once=True,
    )


def _step(
    context: DisputeRecord,
    request: Any,
    name: str,
    form: Any,
    act: Callable[[dict[str, Any]], Any],
    message: Any,
) -> Any:
    """Take a step by its form, once."""
    key = form_key(request)

    def save(values: dict[str, Any]) -> HTTPSeeOther:
        def do() -> dict[str, Any]:
            act(values)
            return {}

        once(request.dbsession, key, [f"dispute:{name}", str(context.record.id), values], do)
        request.flash("success", message)
        return HTTPSeeOther(location=f"/{request.tenant.slug}/disputes/{context.record.public_id}")

    return handle_form_submission(
        request, form, save, lambda: _dispute_page(context, request, (name, form))
    )


def _end(context: DisputeRecord, request: Any, name: str, side: str, message: Any) -> Any:
    if context.record.side != side:
        raise HTTPNotFound
    act = getattr(disputes, name)

    def do(values: dict[str, Any]) -> None:
        act(
            request.dbsession,
            context.record.id,
            amount_cents=values["amount"],
            note=values["note"],
            now=request.now,
        )

    form = _end_form(request, _row(context, request), name)
    return _step(context, request, name, form, do, message)


@view_config(
    context=DisputeRecord,
    name="credit",
    permission=P.DISPUTE_APPROVE,
    request_method="POST",
    renderer="disputes/dispute.jinja2",
)
def credit(context: DisputeRecord, request: Any) -> Any:
    """Credit a part, as somebody who did not prepare the statement; a memo is drafted."""
    return _end(
        context, request, "credit", "issued", _("Credited: a credit memo was drafted for review.")
    )


@view_config(
    context=DisputeRecord,
    name="uphold",
    permission=P.DISPUTE_APPROVE,
    request_method="POST",
    renderer="disputes/dispute.jinja2",
)
def uphold(context: DisputeRecord, request: Any) -> Any:
    """Let the charge stand for a part, as somebody who did not prepare the statement."""
    return _end(context, request, "uphold", "issued", _("The charge stands."))


@view_config(
    context=DisputeRecord,
    name="withdraw",
    permission=P.DISPUTE_EDIT,
    request_method="POST",
    renderer="disputes/dispute.jinja2",
)
def withdraw(context: DisputeRecord, request: Any) -> Any:
    """Take back a part of a dispute that this partner opened."""
    return _end(context, request, "withdraw", "received", _("It was withdrawn."))


@view_config(
    context=DisputeRecord,
    name="comment",
    permission=P.DISPUTE_EDIT,
    request_method="POST",
    renderer="disputes/dispute.jinja2",
)
def comment(context: DisputeRecord, request: Any) -> Any:
    """Say something that both sides read."""

    def do(values: dict[str, Any]) -> None:
        disputes.comment(request.dbsession, context.record.id, note=values["note"], now=request.now)

    form = _comment_form(request, _row(context, request))
    return _step(context, request, "comment", form, do, _("The other side has your comment."))


@view_config(
    context=DisputeRecord,
    name="assign",
    permission=P.DISPUTE_EDIT,
    request_method="POST",
    renderer="disputes/dispute.jinja2",
)
def assign(context: DisputeRecord, request: Any) -> Any:
    """Name who answers a dispute about our statement."""
    if context.record.side != "issued":
        raise HTTPNotFound

    def do(values: dict[str, Any]) -> None:
        disputes.assign(
            request.dbsession, context.record.id, UUID(values["owner"]), now=request.now
        )

    form = _assign_form(request, _row(context, request))
    return _step(context, request, "assign", form, do, _("Both sides see who answers."))


@view_config(
    context=DisputeRecord, name="redraft", permission=P.DISPUTE_APPROVE, request_method="POST"
)
def redraft(context: DisputeRecord, request: Any) -> HTTPSeeOther:
    """Draft the credit memo again after it was made void."""
    key = form_key(request)
    if context.record.side != "issued":
        raise HTTPNotFound

    def do() -> dict[str, Any]:
        disputes.redraft_memo(request.dbsession, context.record.id, now=request.now)
        return {}

    try:
        once(request.dbsession, key, ["dispute:redraft", str(context.record.id)], do)
    except DomainError as error:
        request.flash("error", error.message)
    else:
        request.flash("success", _("The credit memo was drafted again."))
    return HTTPSeeOther(location=f"/{request.tenant.slug}/disputes/{context.record.public_id}")
