"""Further steps with one referral: whose it is, questions, own words, waitlist, taking back."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPForbidden, HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.referral import lifecycle, questions, service, waiting
from regional311.referral.answered import tell_of_answer
from regional311.referral.decision import said as sentences
from regional311.referral.rings import came_through
from regional311.referral.sending_on import (
    MOST,
    CannotSendOn,
    candidates,
    known_of,
    may_send_on,
    read_out,
    send_on,
)
from regional311.referral.undoing import undo
from regional311.web import wording
from regional311.web.answer_links import answer_link
from regional311.web.forms import (
    CheckboxGroupWidget,
    Choice,
    Choices,
    Form,
    HiddenWidget,
    Integer,
    RadioWidget,
    Schema,
    SchemaNode,
    handle_form_submission,
    make_form,
    sent_version,
)
from regional311.web.i18n import _
from regional311.web.receiving import SEND_ON, finish_days
from regional311.web.telling import telling
from regional311.web.tree import ReferralRecord
from regional311.web.wording import CONSENT_METHODS, choices


def _back(context: ReferralRecord, request: Any, done: Any) -> HTTPSeeOther:
    request.flash("success", done)
    return HTTPSeeOther(location=request.resource_path(context).rstrip("/"))


def _step(context: ReferralRecord, request: Any) -> dict[str, Any]:
    return {
        "now": request.now,
        "referral_id": context.record.id,
        "version": sent_version(request),
    }


@view_config(
    context=ReferralRecord, name="claim", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def claim(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Take it oneself; who comes first has it."""
    service.claim(request.dbsession, **_step(context, request))
    return _back(context, request, _("It is yours now."))


@view_config(
    context=ReferralRecord, name="unclaim", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def unclaim(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Give it back to everybody of the partner."""
    service.unclaim(request.dbsession, **_step(context, request))
    return _back(context, request, _("Anybody of us can take it now."))


@view_config(
    context=ReferralRecord, name="ask", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def ask(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Ask the sender something; of one that expired: say what became of it."""
    questions.ask(request.dbsession, body=request.POST.get("body", ""), **_step(context, request))
    if context.record.state not in lifecycle.OPEN:
        return _back(context, request, _("Told. They record what became of the person."))
    return _back(context, request, _("Asked. It comes back here when they have answered."))


@view_config(context=ReferralRecord, name="reply", permission=P.CONTACT_TAKE, request_method="POST")
def reply(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Answer what the receiver asked."""
    questions.answer(
        request.dbsession, body=request.POST.get("body", ""), **_step(context, request)
    )
    tell_of_answer(
        request.dbsession,
        telling(request).published,
        now=request.now,
        referral_id=context.record.id,
        link=answer_link(request),
    )
    return _back(context, request, _("Sent. They go on with it."))


@view_config(
    context=ReferralRecord, name="word", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def word(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Say how far it is in the partner's own word."""
    tell = telling(request)
    known = tell.published.progress.get(tell.slug, {}).get(request.POST.get("word", ""))
    if known is None:
        raise InvalidInput(_("Choose one of the words listed."), field="word")
    service.say_progress(
        request.dbsession,
        word=known.key,
        state=known.state,
        followers=tell.followers(),
        **_step(context, request),
    )
    return _back(context, request, _("Saved; the other partner sees it."))


@view_config(
    context=ReferralRecord, name="waitlist", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def put_on_list(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Accept it on to the end of the waitlist."""
    tell = telling(request)
    waiting.put_on_list(
        request.dbsession,
        finish_days=finish_days(tell, context.record),
        followers=tell.followers(),
        **_step(context, request),
    )
    return _back(context, request, _("It is on the waitlist, and the sender sees where it stands."))


@view_config(
    context=ReferralRecord, name="move-up", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def move_up(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Move it before the one before it on the waitlist."""
    waiting.move_up(request.dbsession, **_step(context, request))
    return _back(context, request, _("It moved up on the waitlist."))


@view_config(
    context=ReferralRecord, name="offer-place", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def offer_place(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Offer the person a place."""
    waiting.offer_place(request.dbsession, **_step(context, request))
    return _back(
        context,
        request,
        _("A place is offered. Go on working when the person takes it, or end it."),
    )


@view_config(
    context=ReferralRecord, name="undo", permission=P.REFERRAL_ACCEPT, request_method="POST"
)
def take_back(context: ReferralRecord, request: Any) -> HTTPSeeOther:
    """Take the last step back, while that is possible."""
    undo(request.dbsession, **_step(context, request))
    return _back(context, request, _("It is as it was before; the sender sees that, too."))


# --- to somebody else -----------------------------------------------------------------------------


class SendOnForm(Schema):
    """To whom it goes, and what the person says to that."""

    consent = SchemaNode(
        Choice(("given", "refused")),
        title=_("May it be shared with them?"),
        widget=RadioWidget(
            values=[
                ("given", _("The person agrees")),
                ("refused", _("The person does not agree: only what needs no consent goes")),
            ]
        ),
    )
    method = SchemaNode(
        Choice(CONSENT_METHODS),
        title=_("How the person said so"),
        widget=RadioWidget(values=choices(CONSENT_METHODS)),
        missing="spoken",
        default="spoken",
    )
    version = SchemaNode(Integer(), title=_("Version"), widget=HiddenWidget())


def _send_on_page(
    context: ReferralRecord, request: Any, given: Form | None = None
) -> dict[str, Any]:
    """The form with those who could help, and what each says to the offer."""
    tell, record = telling(request), context.record
    sent = record.side == lifecycle.SENDER
    if not request.has_permission(P.CONTACT_TAKE if sent else P.REFERRAL_ACCEPT, context):
        raise HTTPForbidden
    how = may_send_on(record.side, record.state)
    if not how:
        raise CannotSendOn(_("This referral cannot be sent on as it is now."))
    owner = record.counterparty_id if sent else tell.slug
    asked = tell.service(owner, record.service_key)
    content = known_of(request.dbsession, record)
    before = came_through(request.dbsession, record.id)
    found = (
        candidates(
            tell.published,
            tell.slug,
            asked,
            content,
            channel=record.channel,
            except_for=[
                tell.published.slugs.get(each, "") for each in (record.counterparty_id, *before)
            ],
            now=request.now,
        )
        if asked
        else []
    )
    options, refused = [], []
    for each in found:
        name = f"{tell.partner(each.service.tenant)}: {each.service.name}"
        says = " ".join(sentences(each.verdict.codes, tell.published.names, tell.translate))
        if each.verdict.refused:
            refused.append((name, says))
        else:
            options.append((each.ref, name, says))
    form = given
    if form is None and options:
        schema = SendOnForm()
        schema.children.insert(
            0,
            SchemaNode(
                Choices([ref for ref, _name, _says in options]),
                name="targets",
                title=_("To whom"),
                description=_(
                    "Several at once: the first to accept has it, and the others are told."
                ),
                widget=CheckboxGroupWidget(values=options),
            ),
        )
        form = make_form(
            request,
            schema,
            submit=_("Send it on"),
            values={"version": record.version, "method": "spoken"},
            name="send-on",
            cancel_url=request.resource_path(context).rstrip("/"),
        )
    return {
        "title": SEND_ON[how],
        "number": record.public_id,
        "crumbs": [
            (f"/{tell.slug}/referrals", _("Referrals")),
            (request.resource_path(context).rstrip("/"), record.public_id),
            (None, SEND_ON[how]),
        ],
        "form": form,
        "refused": refused,
        "to_read": [
            (tell.partner(each), wording.read_out(*told))
            for each in dict.fromkeys(c.service.tenant for c in found if not c.verdict.refused)
            if (told := read_out(tell.published, tell.slug, each, content, now=request.now))[0]
        ],
        "most": MOST,
    }


@view_config(
    context=ReferralRecord,
    name="send-on",
    permission=P.REFERRAL_READ,
    request_method="GET",
    renderer="referrals/send_on.jinja2",
)
def choose_to_whom(context: ReferralRecord, request: Any) -> dict[str, Any]:
    """Who else could help, with what each says to it before the person is promised anything."""
    return _send_on_page(context, request)


@view_config(
    context=ReferralRecord,
    name="send-on",
    permission=P.REFERRAL_READ,
    request_method="POST",
    renderer="referrals/send_on.jinja2",
)
def send_it_on(context: ReferralRecord, request: Any) -> Any:
    """Offer it to others as well, or refer it onward."""
    shown = _send_on_page(context, request)
    form = shown["form"]
    if form is None:
        raise CannotSendOn(_("Nobody else takes it at present."))

    def on_success(values: dict[str, Any]) -> HTTPSeeOther:
        numbers = send_on(
            request.dbsession,
            telling(request).published,
            now=request.now,
            referral_id=context.record.id,
            link=answer_link(request),
            **values,
        )
        return _back(
            context,
            request,
            _("Sent on: ${numbers}", mapping={"numbers": ", ".join(numbers)}),
        )

    return handle_form_submission(request, form, on_success, lambda: shown)
