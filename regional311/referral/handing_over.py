"""Ring a contact through with a summary: exactly what the sharing policy and the person allow."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from regional311.cover import handovers
from regional311.cover.handovers import Rung
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput
from regional311.intake.queries import ContactDetail
from regional311.referral.models import Consent
from regional311.referral.prohibition import CONTACT_PROHIBITED
from regional311.referral.snapshot import Published

PURPOSE: Final = "referral"
"""What the sharing policy calls it: the same may go along as with a referral."""
KEPT_DAYS: Final = 1
"""Days for which what went along with the person's consent may be used."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a hand-over may carry: ``free`` goes along, ``asked`` only when the person agrees.

    Both map the policy's fields to values; what nobody said is in neither.
    """

    free: dict[str, Any]
    asked: dict[str, Any]


def summary(
    published: Published, detail: ContactDetail, *, sender: str, to: str, now: datetime
) -> Summary:
    """Say what of a contact may go to a partner, field by field of the sharing policy."""
    values = _values(published, detail)
    sharing = published.sharing(published.today(to, now))
    kind, sends = published.partners[to].kind, published.partners[sender].kind
    without = sharing.allowed(PURPOSE, kind, consent=False, sender=sends)[0]
    with_it = sharing.allowed(PURPOSE, kind, consent=True, sender=sends)[0]
    # that nobody may contact the person protects them: it comes along whatever the policy says
    always = (*without, CONTACT_PROHIBITED)
    return Summary(
        {name: values[name] for name in always if name in values},
        {name: values[name] for name in with_it if name in values and name not in without},
    )


def _values(published: Published, detail: ContactDetail) -> dict[str, Any]:
    inquirer = detail.inquirer
    places = [each.place_text for each in detail.needs if each.place_text]
    told = [each.description for each in detail.needs if each.description]
    needs = [
        published.names.get(
            f"{published.slugs.get(each.service_owner_id, '')}/{each.service_key}", each.service_key
        )
        for each in detail.needs
    ]
    values: dict[str, Any] = {
        "name": inquirer.name if inquirer else None,
        "phone": inquirer.phone if inquirer else None,
        "email": inquirer.email if inquirer else None,
        "safe_to_call": (inquirer.safe_to_call or None) if inquirer else None,
        CONTACT_PROHIBITED: (inquirer.contact_prohibited or None) if inquirer else None,
        "place": "; ".join(dict.fromkeys(places)) or None,
        "note": "\n".join(filter(None, (detail.note, *told))) or None,
        "language": detail.contact.language,
        "interpreter": detail.interpreter or None,
        "accommodation": detail.accommodation,
        "need": ", ".join(dict.fromkeys(needs)) or None,
        "urgency": next((each.urgency for each in detail.needs), None),
    }
    return {name: value for name, value in values.items() if value is not None}


def ring_through(
    session: TenantSession,
    published: Published,
    detail: ContactDetail,
    *,
    to: str,
    line: str,
    person_id: UUID | None,
    person_name: str | None,
    agreed: Collection[str],
    reason: str | None,
    now: datetime,
) -> str:
    """Ring a partner's line or one of its people for a contact; give the hand-over's number.

    ``agreed`` are the fields to which the person has agreed: those that may go to this partner do,
    and are kept as a consent.

    :raises InvalidInput: naming the field: to, line.
    """
    target = published.answered.get(line)
    if to not in published.partners:
        raise InvalidInput("Choose one of the partners.", field="to")
    if target is None or target.partner != to:
        raise InvalidInput("Choose one of that partner's lines.", field="line")
    sender = published.slugs[scope_of(session).tenant_id]
    allowed = summary(published, detail, sender=sender, to=to, now=now)
    given = sorted(set(agreed) & set(allowed.asked))
    shared = {**allowed.free, **{name: allowed.asked[name] for name in given}}
    consent_id = new_id() if given else None
    if consent_id is not None:
        sharing = published.sharing(published.today(to, now))
        put(
            session,
            new_row(
                Consent,
                tenant_id=scope_of(session).tenant_id,
                id=consent_id,
                contact_id=detail.contact.id,
                to_tenant_id=published.ids[to],
                fields=given,
                method="spoken",
                given_at=now,
                expires_at=now + timedelta(days=KEPT_DAYS),
                words=sharing.words(
                    given,
                    published.names.get(to, to),
                    published.today(sender, now + timedelta(days=KEPT_DAYS)),
                    detail.contact.language,
                )
                or None,
                language=sharing.asks_in(detail.contact.language),
                purpose=PURPOSE,
                recorded_by=scope_of(session).person_id,
            ),
        )
    return handovers.ring(
        session,
        detail.contact.id,
        Rung(
            published.ids[to],
            to,
            line,
            published.lines[line].address,
            shared,
            person_id,
            person_name,
            reason,
            consent_id,
        ),
        now=now,
    )
