"""What became of a need: said on its card, at the end of a contact, and in its history."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.view import view_config

from regional311.errors import InvalidInput
from regional311.identity.permissions import Permissions as P
from regional311.intake import lifecycle as requests
from regional311.intake import needs, queries
from regional311.referral import lifecycle
from regional311.referral.queries import referrals_of_contact
from regional311.web.i18n import _, translated
from regional311.web.security import may
from regional311.web.telling import Telling, telling
from regional311.web.tree import ContactRecord
from regional311.web.wording import NEED_STATES, UNMET_REASONS, said

_UNMET = "unmet:"


def outcome_choices(request: Any) -> list[tuple[str, Any]]:
    """What can be said of a need, in one list: an unmet one together with its reason."""
    sayable = [(each, said(NEED_STATES, each)) for each in needs.SAYABLE if each != needs.UNMET]
    unmet = [
        (
            f"{_UNMET}{key}",
            _("Not met: ${reason}", mapping={"reason": translated(request, words)}),
        )
        for key, words in UNMET_REASONS.items()
    ]
    return [*sayable[:2], *unmet, *sayable[2:]]


def said_in(value: str, words: str | None = None) -> tuple[str, str | None]:
    """Read a choice of `outcome_choices`: the status, and the reason of an unmet one.

    ``words`` are needed with the reason *other*. Raises :class:`InvalidInput` for anything else.
    """
    status, colon, reason = value.partition(":")
    if colon and status != needs.UNMET:
        status = ""
    needs.check_statement(status, reason or None, words)
    return status, reason or None


def need_part(
    tell: Telling, need: Any, detail: Any, sent: Any, here: str, *, personal: bool
) -> dict[str, Any]:
    """What a need's card offers: say what became of it, ask another partner."""
    words = (need.unmet_words if personal else None) or ""
    if not may(tell.request, P.CONTACT_EDIT):
        return {"unmet_reason": _why_unmet(tell, need, words)}
    mine = [each for each in sent if each.need_id == need.id]
    replaced = {each.replaces_id for each in mine}
    refer = [
        (
            f"{here}/refer?{urlencode({'need': str(need.id), 'replaces': each.public_id})}",
            _("Refer again, after ${number}", mapping={"number": each.public_id}),
        )
        for each in mine
        if each.state in ("rejected", "failed", "cancelled") and each.id not in replaced
    ]
    refer.append(
        (f"{here}/refer?{urlencode({'need': str(need.id)})}", _("Refer to another partner"))
    )
    chosen = need.status
    if need.status == needs.UNMET:
        chosen = f"{_UNMET}{need.unmet_reason}"
    return {
        "unmet_reason": _why_unmet(tell, need, words),
        "refer": refer,
        "outcome": {
            "action": f"{here}/outcome",
            "choices": outcome_choices(tell.request),
            "chosen": chosen,
            "words": words,
            "most": needs.MAX_WORDS,
            "history": [
                {
                    "when": tell.when(each.at),
                    "by": detail.people.get(each.person_id),
                    "title": _status(tell, each.detail),
                }
                for each in reversed(detail.history)
                if each.action == "need:status" and each.detail.get("need") == str(need.id)
            ],
        },
    }


def _why_unmet(tell: Telling, need: Any, words: str) -> str | None:
    """Why a need is unmet: its reason, and the words of one that stands in no list."""
    if not need.unmet_reason:
        return None
    reason = translated(tell.request, said(UNMET_REASONS, need.unmet_reason))
    return f"{reason}: {words}" if words else reason


def said_of_a_need(tell: Telling, event: Any, known: Any) -> str | None:
    """What was said, of which need: for the history of a contact."""
    if event.action != "need:status":
        return None
    need = next((each for each in known if str(each.id) == event.detail.get("need")), None)
    if need is None:
        return None
    service = tell.service_name(need.service_owner_id, need.service_key)
    return f"{service}: {_status(tell, event.detail)}"


def _status(tell: Telling, detail: Any) -> str:
    words = translated(tell.request, said(NEED_STATES, detail.get("status")))
    reason = detail.get("reason")
    if not reason:
        return words
    return f"{words}: {translated(tell.request, said(UNMET_REASONS, reason))}"


def asked_at_the_end(tell: Telling, detail: Any, sent: Any) -> list[dict[str, Any]]:
    """The needs that the end of a contact asks for: those nobody is at must be spoken of."""
    found = []
    for need in detail.needs:
        if need.status not in (needs.OPEN, needs.UNKNOWN):
            continue
        under_way = any(
            each.need_id == need.id and each.state not in requests.CLOSED
            for each in detail.requests
        ) or any(each.need_id == need.id and each.state in lifecycle.OPEN for each in sent)
        if under_way:
            continue
        found.append(
            {
                "id": need.id,
                "field": f"need-{need.id}-outcome",
                "service": tell.service_name(need.service_owner_id, need.service_key),
                "needed": need.status == needs.OPEN,
                "choices": outcome_choices(tell.request),
                "chosen": tell.request.POST.get(f"need-{need.id}-outcome", ""),
                "words_field": f"need-{need.id}-words",
                "words": tell.request.POST.get(f"need-{need.id}-words", ""),
                "most": needs.MAX_WORDS,
            }
        )
    return found


def say_at_the_end(context: ContactRecord, request: Any) -> Any:
    """Keep what the end of a contact says of its needs; give what is wrong when one is left out.

    Whoever does not know yet says that it is open: then it stays on the list of those without an
    outcome.
    """
    session, contact_id = request.dbsession, context.record.id
    detail = queries.contact_detail(session, contact_id)
    sent = referrals_of_contact(session, contact_id)
    asked = asked_at_the_end(telling(request), detail, sent)
    unsaid = [each["service"] for each in asked if each["needed"] and not each["chosen"]]
    if unsaid:
        return _(
            "Say what became of it before the contact ends: ${needs}.",
            mapping={"needs": ", ".join(unsaid)},
        )
    for each in asked:
        if not each["chosen"]:
            continue
        status, reason = said_in(each["chosen"], each["words"])
        needs.say(
            session,
            now=request.now,
            need_id=each["id"],
            status=status,
            unmet_reason=reason,
            words=each["words"],
            how="wrap_up",
            contact_id=contact_id,
        )
    return None


@view_config(
    context=ContactRecord, name="outcome", permission=P.CONTACT_EDIT, request_method="POST"
)
def outcome(context: ContactRecord, request: Any) -> HTTPSeeOther:
    """Say what became of a need, also long after the contact; what was said before stays."""
    need_id = need_asked(request.POST)
    words = request.POST.get("unmet_words", "")
    status, reason = said_in(request.POST.get("outcome", ""), words)
    needs.say(
        request.dbsession,
        now=request.now,
        need_id=need_id,
        status=status,
        unmet_reason=reason,
        words=words,
        contact_id=context.record.id,
    )
    request.flash("success", _("Kept."))
    here = request.resource_path(context).rstrip("/")
    return HTTPSeeOther(location=f"{here}#need-{need_id}")


def need_asked(given: Any) -> UUID:
    """The need that a form or an address names. Raises :class:`InvalidInput`."""
    try:
        return UUID(given.get("need", ""))
    except ValueError:
        raise InvalidInput(_("Choose one of the needs of this contact."), field="need") from None
