"""The public's door for accommodation requests and complaints, and the person's own page."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from regional311.casework import accommodations
from regional311.casework.accommodation_letters import heard_by
from regional311.casework.accommodations import OPEN, may_appeal
from regional311.casework.coordinators import Terms
from regional311.database.session import in_nobodys_name
from regional311.web.accommodations import (
    OUTCOME_WORDS,
    SORT_WORDS,
    STATE_WORDS,
    WAY_WORDS,
    AccommodationForm,
    due_after,
    letters_of,
    signs_in,
    take,
    warning,
)
from regional311.web.danger import tell_of_danger
from regional311.web.forms import (
    Schema,
    SchemaNode,
    String,
    TextAreaWidget,
    TrapWidget,
    form_key,
    handle_form_submission,
    make_form,
)
from regional311.web.i18n import _, page_language
from regional311.web.searching import log_danger
from regional311.web.spoken import Spoken, own_language
from regional311.web.telling import telling
from regional311.web.tree import AccommodationDoor, AccommodationLink, enter
from regional311.web.wording import said

URL = "/accommodation"


class PublicAccommodationForm(AccommodationForm):
    """The form for everybody, with what only programs fill in."""

    homepage = SchemaNode(
        String(300), title=_("Leave this empty"), widget=TrapWidget(), missing=None
    )


def _form(request: Any, *, warned: bool) -> Any:
    schema = PublicAccommodationForm()
    if not warned:
        del schema["cleared"]
    asked = request.GET.get("owner", "")[:200]
    return make_form(
        request,
        schema,
        submit=_("Send it"),
        name="accommodation",
        action=URL,
        values={"owner": asked} if asked else None,
        once=True,
    )


def _page(request: Any, form: Any, signs: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"form": form, **warning(request, signs)}


@view_config(
    context=AccommodationDoor,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/accommodation.jinja2",
)
def door(context: AccommodationDoor, request: Any) -> dict[str, Any]:
    """One form for every partner and every bureau."""
    return _page(request, _form(request, warned=False))


@view_config(
    context=AccommodationDoor,
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/accommodation.jinja2",
)
def send(context: AccommodationDoor, request: Any) -> Any:
    """Take it in for its owner, after danger has been asked about; what a program sent is not."""
    signs = signs_in(request, request.POST.get("details", "")[: accommodations.LONGEST])
    form = _form(request, warned=bool(signs))
    key = form_key(request)

    def on_success(values: dict[str, Any]) -> Any:
        if values.pop("homepage"):
            return HTTPSeeOther(location=URL)
        if signs and not values.pop("cleared"):
            log_danger("web", signs)
            request.response.status_int = 400
            return _page(request, form, signs)
        values.pop("cleared", None)
        partner = request.registry.partners.by_slug(values["owner"].partition("/")[0])
        enter(request, partner)
        # who complains of their own employer is not named by being signed in
        with in_nobodys_name(request.dbsession):
            slug, _number, token = take(
                request,
                request.dbsession,
                values,
                key=key,
                channel="web",
                language=page_language(request),
            )
        return HTTPSeeOther(location=f"{URL}/{slug}/{token}?new=1")

    return handle_form_submission(request, form, on_success, lambda: _page(request, form, signs))


class WordsForm(Schema):
    """More words of the person's."""

    words = SchemaNode(
        String(accommodations.LONGEST, multiline=True),
        title=_("What you want to say"),
        widget=TextAreaWidget(rows=4, maxlength=accommodations.LONGEST),
    )


def _appeal_words(request: Any, context: AccommodationLink, terms: Terms) -> Spoken | None:
    """How to appeal, in the language of the page where the partner says it so."""
    language = page_language(request)
    if words := terms.appeals.get(language):
        return Spoken(words, language)
    partner = telling(request).published.tenants[context.partner.slug]
    return Spoken(terms.appeal, own_language(partner)) if terms.appeal else None


def _own(context: AccommodationLink, request: Any, **failed: Any) -> dict[str, Any]:
    tell, row = telling(request), context.record
    terms = letters_of(request, context.partner.slug).terms
    coordinator = terms.coordinator(row.bureau_key)
    here = request.resource_path(context).rstrip("/")
    still_open = row.state in OPEN
    appealable = may_appeal(row, tell.published.today(context.partner.slug, request.now))
    return {
        "number": row.public_id,
        "partner": context.partner.name,
        "new": bool(request.GET.get("new")),
        "link": f"{request.registry.configured.url}{here}",
        "facts": [
            (_("What it is"), SORT_WORDS[row.sort]),
            (_("Office"), tell.bureau(context.partner.slug, row.bureau_key) or None),
            (_("Status"), said(STATE_WORDS, row.state)),
            (_("Received"), tell.day(row.received_at)),
            (
                _("Somebody tells you that they have it by"),
                tell.day(row.acknowledge_by) if row.state == "received" else None,
            ),
            (_("It is decided by"), tell.day(row.decide_by) if still_open else None),
            (
                _("Decision") if row.appeal_outcome else _("Outcome"),
                OUTCOME_WORDS[row.outcome] if row.outcome else None,
            ),
            (_("Why, and what comes next"), row.outcome_words),
            (_("You can say that you do not agree through"), tell.day(row.appeal_until))
            if appealable
            else (_("You do not agree, and said so on"), tell.day(row.appealed_at)),
            (
                _("Somebody looks at it again, and answers by"),
                tell.day(row.appeal_by) if row.appealed_at and not row.appeal_answered_at else None,
            ),
            (
                _("What holds now"),
                OUTCOME_WORDS[row.appeal_outcome] if row.appeal_outcome else None,
            ),
            (_("What became of that"), row.appeal_answer),
            (
                _("You hear from us"),
                WAY_WORDS[heard_by(row)] if row.forgotten_at is None else None,
            ),
        ],
        "coordinator": coordinator,
        "appeal_words": _appeal_words(request, context, terms) if row.state == "decided" else None,
        "words": [
            {"mine": each.from_person, "text": each.words, "when": tell.when(each.at)}
            for each in accommodations.words_on(request.dbsession, row.id, public=True)
        ],
        "add_form": failed.get("add")
        or (
            make_form(request, WordsForm(), submit=_("Send it"), name="add", action=f"{here}/add")
            if still_open
            else None
        ),
        "withdraw_url": f"{here}/withdraw" if still_open else None,
        "appeal_form": failed.get("appeal")
        or (
            make_form(
                request,
                WordsForm(),
                submit=_("I do not agree"),
                name="appeal",
                action=f"{here}/appeal",
            )
            if appealable
            else None
        ),
    }


@view_config(
    context=AccommodationLink,
    permission=NO_PERMISSION_REQUIRED,
    request_method="GET",
    renderer="public/accommodation_own.jinja2",
)
def own(context: AccommodationLink, request: Any) -> dict[str, Any]:
    """How it stands, for whoever holds the link."""
    return _own(context, request)


@view_config(
    context=AccommodationLink,
    name="add",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/accommodation_own.jinja2",
)
def add(context: AccommodationLink, request: Any) -> Any:
    """The person says more."""
    here = request.resource_path(context).rstrip("/")
    form = make_form(request, WordsForm(), submit=_("Send it"), name="add", action=f"{here}/add")

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        with in_nobodys_name(request.dbsession) as session:
            accommodations.add_words(
                session,
                row_id=context.record.id,
                words=values["words"],
                internal=False,
                from_person=True,
                letters=letters_of(request, context.partner.slug),
                now=request.now,
            )
        request.flash("success", _("Thank you. The coordinator reads it."))
        tell_of_danger(request, "web", values["words"])
        return HTTPSeeOther(location=here)

    return handle_form_submission(
        request, form, on_success, lambda: _own(context, request, add=form)
    )


@view_config(
    context=AccommodationLink,
    name="withdraw",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
)
def withdraw(context: AccommodationLink, request: Any) -> HTTPSeeOther:
    """The person takes it back."""
    with in_nobodys_name(request.dbsession) as session:
        accommodations.withdraw(session, row_id=context.record.id, now=request.now)
    request.flash("success", _("You have taken it back."))
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


@view_config(
    context=AccommodationLink,
    name="appeal",
    permission=NO_PERMISSION_REQUIRED,
    request_method="POST",
    renderer="public/accommodation_own.jinja2",
)
def appeal(context: AccommodationLink, request: Any) -> Any:
    """The person does not agree with the decision."""
    slug = context.partner.slug
    letters = letters_of(request, slug)
    here = request.resource_path(context).rstrip("/")
    form = make_form(
        request, WordsForm(), submit=_("I do not agree"), name="appeal", action=f"{here}/appeal"
    )

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        with in_nobodys_name(request.dbsession) as session:
            accommodations.appeal(
                session,
                row_id=context.record.id,
                words=values["words"],
                today=telling(request).published.today(slug, request.now),
                answer_by=due_after(request, slug, letters.terms.appeal_days),
                letters=letters,
                now=request.now,
            )
        request.flash("success", _("Thank you. The coordinator reads it."))
        tell_of_danger(request, "web", values["words"])
        return HTTPSeeOther(location=here)

    return handle_form_submission(
        request, form, on_success, lambda: _own(context, request, appeal=form)
    )
