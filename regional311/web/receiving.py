"""What one referral's page shows beside its facts: thread, further steps, what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regional311.catalog.answers import Kept, kept_from
from regional311.identity.permissions import Permissions as P
from regional311.referral import lifecycle, queries
from regional311.referral.acceptance import FINISH_DAYS
from regional311.referral.questions import thread
from regional311.referral.sending_on import may_send_on
from regional311.referral.undoing import undoable_until
from regional311.web.i18n import _
from regional311.web.telling import Telling
from regional311.web.telling import telling as telling_of
from regional311.web.tree import ReferralRecord
from regional311.web.wording import LANGUAGES, PLACE_KINDS, PRIORITIES, REFERRAL_STATES, kind, said

SEND_ON = {
    "others": _("Offer it to others as well: the first to accept has it"),
    "onward": _("Refer it onward"),
}


def finish_days(tell: Telling, record: Any) -> int:
    """Give the days in which this partner says it finishes what it accepts from that sender."""
    sender = tell.published.slugs.get(record.counterparty_id, "")
    policy = tell.published.reception.policy(tell.slug, record.service_key, sender)
    return (policy.finish_days if policy else None) or FINISH_DAYS


def progress_said(tell: Telling, found: Any) -> str | None:
    """Say how far it is in the receiver's own word, to both sides."""
    if found.progress is None:
        return None
    sent = found.side == lifecycle.SENDER
    receiver = tell.published.slugs.get(found.counterparty_id, "") if sent else tell.slug
    word = tell.published.progress.get(receiver, {}).get(found.progress)
    return word.name if word else None


def standing_said(tell: Telling, found: Any) -> Any:
    """Say where a referral stands on the waitlist, and how long it takes where that is known."""
    position = found.waitlist_position
    if position is None or found.state != "on_hold":
        return None
    if position == 0:
        return _("A place is offered: the person is being asked.")
    if found.waitlist_days is None:
        return _(
            "Number ${position}. How long it takes cannot be said.", mapping={"position": position}
        )
    return _(
        "Number ${position}. At the pace of the last weeks about ${days} days.",
        mapping={"position": position, "days": found.waitlist_days},
    )


def more_of(
    context: ReferralRecord, request: Any, detail: queries.ReferralDetail
) -> dict[str, Any]:
    """Give the thread, the further steps and what belongs to a referral; two statements."""
    tell, session = telling_of(request), request.dbsession
    found = detail.referral
    here = request.resource_path(context).rstrip("/")
    received = found.side == lifecycle.RECEIVER
    may = request.has_permission(P.REFERRAL_ACCEPT if received else P.CONTACT_TAKE, context)
    is_open = found.state in lifecycle.OPEN
    lines = thread(session, found.id)
    belongs = queries.related(session, found.id, found.replaces_id, detail.part_of_id)
    undo_until = undoable_until(detail.before) if received else None
    how = may_send_on(found.side, found.state)
    return {
        "thread": [
            {
                "when": tell.when(each.written_at),
                "who": tell.published.tenants[tell.slug].short_name
                if each.side == found.side
                else tell.partner(found.counterparty_id),
                "body": each.body or _("Erased: the person took the consent back."),
            }
            for each in lines
        ],
        "write": _write(tell, here, found)
        if may
        and lifecycle.may_be_asked_about(found.state, found.reason)
        and (is_open or found.consent_ended_at is None)
        else None,
        "undo": {"url": f"{here}/undo", "until": tell.when(undo_until)}
        if may and undo_until is not None and request.now <= undo_until
        else None,
        "steps": _steps(here, request, found) if may and received and is_open else [],
        "words": _words(tell, here, found) if may and received and is_open else None,
        "links": [(f"{here}/send-on", SEND_ON[how])]
        if may and how
        else _onward_again(tell, found, belongs)
        if request.has_permission(P.REFERRAL_ACCEPT, context)
        else [],
        "related": [
            {
                "how": _how(each, found, detail),
                "number": each.public_id,
                "url": f"/{tell.slug}/referrals/{each.public_id}",
                "partner": tell.partner(each.counterparty_id),
                "state": said(REFERRAL_STATES, each.state),
                "kind": kind(REFERRAL_STATES, each.state),
            }
            for each in belongs
        ],
    }


def _onward_again(tell: Telling, found: Any, belongs: Any) -> list[tuple[str, Any]]:
    """Where what was referred onward and came to nothing is referred onward again."""
    if found.side == lifecycle.SENDER and found.state in lifecycle.CLOSED:
        for each in belongs:
            if may_send_on(each.side, each.state) == "onward":
                return [(f"/{tell.slug}/referrals/{each.public_id}/send-on", SEND_ON["onward"])]
    return []


def _how(each: Any, found: Any, detail: queries.ReferralDetail) -> Any:
    if each.id == found.replaces_id:
        return _("Instead of")
    if each.id == detail.part_of_id:
        return _("Part of")
    if each.side == lifecycle.SENDER and found.side == lifecycle.RECEIVER:
        return _("Referred onward as")
    return _("Referred again as")


def _write(tell: Telling, here: str, found: Any) -> dict[str, Any] | None:
    partner = tell.partner(found.counterparty_id)
    if found.side == lifecycle.RECEIVER and found.state not in lifecycle.OPEN:
        return {
            "url": f"{here}/ask",
            "label": _("Say what became of the person all the same"),
            "hint": _(
                "It expired because nobody answered in time. ${partner} reads this and records"
                " what became of the person.",
                mapping={"partner": partner},
            ),
            "submit": _("Tell them"),
        }
    if found.side == lifecycle.RECEIVER:
        return {
            "url": f"{here}/ask",
            "label": _("Ask ${partner} something", mapping={"partner": partner}),
            "hint": _(
                "Only about this referral. ${partner} reads it; your time for an answer stands"
                " still until they reply.",
                mapping={"partner": partner},
            ),
            "submit": _("Ask it"),
        }
    if found.asked_at is None:
        return None
    return {
        "url": f"{here}/reply",
        "label": _("Answer ${partner}", mapping={"partner": partner}),
        "hint": _(
            "${partner} reads it. Write only what the person agreed to share with them.",
            mapping={"partner": partner},
        ),
        "submit": _("Send the answer"),
    }


def _steps(here: str, request: Any, found: Any) -> list[dict[str, Any]]:
    me = request.identity.person_id
    steps: list[tuple[str, Any]] = []
    if found.claimed_by is None:
        steps.append(("claim", _("I take it")))
    elif found.claimed_by == me:
        steps.append(("unclaim", _("Give it back to everybody")))
    if found.waitlist_position is None:
        steps.append(("waitlist", _("Put it on the waitlist")))
    elif found.waitlist_position > 0:
        if found.waitlist_position > 1:
            steps.append(("move-up", _("Move it up on the waitlist")))
        steps.append(("offer-place", _("Offer a place")))
    return [{"url": f"{here}/{name}", "label": label} for name, label in steps]


def _words(tell: Telling, here: str, found: Any) -> dict[str, Any] | None:
    reachable = {found.state, *lifecycle.next_states(found.state, lifecycle.RECEIVER)}
    words = [
        (key, word.name)
        for key, word in tell.published.progress.get(tell.slug, {}).items()
        if word.state in reachable
    ]
    return {"url": f"{here}/word", "choices": words} if words else None


# --- what was shared ------------------------------------------------------------------------------

ANSWERS = "answers"
"""The field of the sharing policy that holds the answers to a form."""

_ERASED = "erased"


def kept_of(shared: Mapping[str, Any]) -> Kept | None:
    """Give the answers to a form that crossed with a referral."""
    content = shared.get(ANSWERS) or {}
    return kept_from(content) if "form" in content else None


def shared_said(tell: Telling, request: Any, shared: Any) -> list[tuple[Any, Any]]:
    """What crossed, field by field, in the words of the sharing policy."""
    if shared.get(_ERASED):
        return [(_("Erased"), _("The consent that it rested on has ended."))]
    names = tell.published.sharing(tell.today).fields
    return [
        (names.get(key, key), _value(request, key, value))
        for key, value in shared.items()
        if key != ANSWERS or "form" not in value
    ]


def _value(request: Any, key: str, value: Any) -> Any:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if key == "language":
        return said(LANGUAGES, value)
    if key == "urgency":
        return said(PRIORITIES, value)
    if isinstance(value, dict):
        if "kind" in value:
            point = [value.get("latitude"), value.get("longitude")]
            return (
                value.get("text")
                or ", ".join(filter(None, point))
                or said(PLACE_KINDS, value["kind"])
            )
        return "; ".join(f"{name}: {each}" for name, each in value.items())
    return str(value)
