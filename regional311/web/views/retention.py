"""What is kept of people and how long, what was erased; and to erase one person now."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.erasure import queries
from regional311.erasure.person import (
    REASONS,
    ErasedAlready,
    Open,
    Person,
    StillOpen,
    erase_person,
    find,
    number_from,
    still_open,
)
from regional311.errors import InvalidInput, NotFound
from regional311.identity.members import names_of
from regional311.identity.permissions import Permissions as P
from regional311.web.forms import (
    Choice,
    Form,
    HiddenWidget,
    RadioWidget,
    Schema,
    SchemaNode,
    String,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _
from regional311.web.listing import Column, Listing
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import Settings

KINDS = {
    "contact": _("Contacts: what was said, and the needs"),
    "inquirer": _("People: name, number, address"),
    "request": _("Requests: what was said, where exactly, files"),
    "referral": _("Referrals: what was shared, notes"),
    "conversation": _("Mail, texts, chats and calls"),
    "message": _("Messages sent, word for word"),
    "envelope": _("What came from other partners, as it came"),
    "answer": _("Answers to forms and programs that send twice"),
    "session": _("Sign-ins that have ended"),
    "search": _("Words of searches"),
    "accommodation": _("Accommodation requests and complaints"),
    "me_too": _("Addresses of who said me too"),
}
SINCE = {
    "contact": _("it began"),
    "inquirer": _("their last contact"),
    "request": _("it was closed"),
    "referral": _("it was closed"),
    "conversation": _("the last word"),
    "message": _("it was written"),
    "envelope": _("it was sent"),
    "answer": _("it was given"),
    "session": _("it ended"),
    "search": _("it was made"),
    "accommodation": _("it ended"),
    "me_too": _("the request was closed"),
}
WHY = {
    "asked": _("The person asked for it"),
    "order": _("A court or an authority ordered it"),
    "mistake": _("It should never have been kept"),
}
OPEN = {
    "contact": _("Contact"),
    "request": _("Request"),
    "referral": _("Referral"),
    "follow_up": _("Follow-up"),
    "thread": _("Conversation"),
    "handover": _("Hand-over that rings"),
    "ring": _("Line that is to be rung"),
    "dispute": _("Dispute about a bill"),
}


class EraseForm(Schema):
    """Whom, why, and once more whom."""

    number = SchemaNode(String(40), title=_("Number"), widget=HiddenWidget())
    reason = SchemaNode(
        Choice(REASONS),
        title=_("Why?"),
        widget=RadioWidget(values=[(each, WHY[each]) for each in REASONS]),
    )
    again = SchemaNode(
        String(40),
        title=_("Type the number once more"),
        description=_("What is erased cannot be brought back."),
    )


@view_config(
    context=Settings,
    name="retention",
    permission=P.SETTINGS_READ,
    request_method="GET",
    renderer="settings/retention.jinja2",
)
def retention(context: Settings, request: Any) -> dict[str, Any]:
    """Every kind of record with its period, what was erased and what is due; counts, no names."""
    tell, session = telling(request), request.dbsession
    here = f"/{request.tenant.slug}/settings"
    people = queries.people_erased(session)
    names = names_of(session, [each.by_id for each in people])
    kept = [
        {
            "kind": KINDS[each.kind],
            "days": each.days,
            "since": SINCE[each.kind],
            "erased": each.erased,
            "last": tell.when(each.last_at),
            "due": each.due,
            "more": each.due == queries.COUNTED,
        }
        for each in queries.kept(session, request.now, tell.today)
    ]
    erased = [
        {
            "when": tell.when(each.at),
            "by": names.get(each.by_id, "") if each.by_id else "",
            "why": WHY[each.reason],
            "count": each.count,
        }
        for each in people
    ]
    return {
        "crumbs": [(here, _("Settings")), (None, _("What is kept of people"))],
        "here": here,
        "soon": queries.SOON_DAYS,
        "kept": _table(request, ("kind", "days", "erased", "last", "due"), kept),
        "people": _table(request, ("when", "by", "why", "count"), erased),
        "may_erase": may(request, P.RETENTION_RUN),
    }


COLUMNS = {
    "kind": _("What"),
    "days": _("Kept for"),
    "erased": _("Erased so far"),
    "last": _("Last erased"),
    "due": _("Due soon"),
    "when": _("When"),
    "by": _("By"),
    "why": _("Why"),
    "count": _("Records"),
}


def _table(request: Any, names: tuple[str, ...], rows: list[dict[str, Any]]) -> Listing:
    columns = [
        Column(name, COLUMNS[name], number=name in ("erased", "due", "count")) for name in names
    ]
    return Listing(request, columns=columns).fill(rows)


def _form(request: Any, number: str) -> Form:
    here = f"/{request.tenant.slug}/settings"
    return make_form(
        request,
        EraseForm(),
        values={"number": number},
        submit=_("Erase this person for good"),
        name="erase",
        action=f"{here}/erase-person",
        cancel_url=f"{here}/retention",
    )


def _page(
    request: Any,
    typed: str,
    *,
    person: Person | None = None,
    open_now: list[Open] | tuple[Open, ...] = (),
    form: Form | None = None,
    problem: Any = None,
) -> dict[str, Any]:
    here = f"/{request.tenant.slug}/settings"
    return {
        "crumbs": [
            (here, _("Settings")),
            (f"{here}/retention", _("What is kept of people")),
            (None, _("Erase a person")),
        ],
        "here": here,
        "typed": typed,
        "problem": problem,
        "number": person.number if person else None,
        "facts": [
            (_("Contacts"), len(person.contacts)),
            (_("Requests"), len(person.requests)),
            (_("Referrals"), len(person.referrals)),
            (_("Conversations"), len(person.threads)),
            (_("Kept under a name"), _("Yes") if person.inquirers else _("No")),
        ]
        if person
        else [],
        "open": [(OPEN[each.kind], each.number or _("confidential")) for each in open_now],
        "form": form,
    }


@view_config(
    context=Settings,
    name="erase-person",
    permission=P.RETENTION_RUN,
    request_method="GET",
    renderer="settings/erase_person.jinja2",
)
def asked(context: Settings, request: Any) -> dict[str, Any]:
    """Ask for a number; then show how much there is, and what is in the way."""
    typed = request.GET.get("number", "").strip()[:40]
    if not typed:
        return _page(request, typed)
    try:
        person = find(request.dbsession, typed)
    except InvalidInput:
        problem = _("Give the number of a contact (C-…), a request (R-…) or a referral (F-…).")
        return _page(request, typed, problem=problem)
    except NotFound:
        return _page(request, typed, problem=_("There is no such number at this partner."))
    if not person.records:
        return _page(request, typed, problem=_("Nothing of this person is left: it was erased."))
    open_now = still_open(request.dbsession, person)
    form = None if open_now else _form(request, person.number)
    return _page(request, typed, person=person, open_now=open_now, form=form)


@view_config(
    context=Settings,
    name="erase-person",
    permission=P.RETENTION_RUN,
    request_method="POST",
    renderer="settings/erase_person.jinja2",
)
def erased(context: Settings, request: Any) -> Any:
    """Erase the person whose number was typed twice; nothing if something was opened meanwhile."""
    typed = request.POST.get("number", "")[:40]
    form = _form(request, typed)

    def shown(**more: Any) -> dict[str, Any]:
        return _page(request, typed, form=form, **more)

    def on_success(values: dict[str, Any]) -> Any:
        session = request.dbsession
        person = find(session, values["number"])
        if not _same(values["again"], person.number):
            raise InvalidInput(_("This is not the number above."), field="again")
        try:
            count = erase_person(
                session,
                now=request.now,
                number=person.number,
                reason=values["reason"],
                followers=telling(request).followers(),
            )
        except StillOpen as error:
            request.response.status_int = 409
            return _page(request, typed, person=person, open_now=error.what)
        except ErasedAlready:
            request.flash("warning", _("Nothing of this person is left: it was erased."))
        else:
            request.flash(
                "success",
                _("Erased: ${count} records, here and where they went.", mapping={"count": count}),
            )
        return HTTPSeeOther(location=f"/{request.tenant.slug}/settings/retention")

    return handle_form_submission(request, form, on_success, shown)


def _same(typed: str, number: str) -> bool:
    try:
        return number_from(typed) == number
    except InvalidInput:
        return False
