"""The rows of a referral on its way: the sender's, the envelope, and the receiver's.

Whoever refers (the desk, a sender after a refusal, a receiver onward) sends through here, so that a
referral looks the same however it came about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from regional311.audit.service import audit_row
from regional311.database.base import Base
from regional311.database.ids import new_id, public_id
from regional311.database.rows import new_row
from regional311.exchange import service as exchange
from regional311.exchange.fhir import Paper
from regional311.notices.service import outbox_row
from regional311.referral import papers
from regional311.referral.acceptance import ACCEPT, WAITLIST, Verdict
from regional311.referral.models import Referral, WaitlistPlace
from regional311.referral.snapshot import Published

AnswerLink = Callable[[UUID, UUID, datetime], str]
"""From partner, referral and expiry to the address at which it is answered without an account."""

LINK_DAYS: Final = 14
"""Days for which the link in the message about a new referral works."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A referral that is about to leave. ``days`` are those in which an answer is expected."""

    sender: str
    receiver: str
    service_key: str
    shared: Mapping[str, Any]
    urgency: str
    channel: str
    days: int
    expires_days: int
    verdict: Verdict | None = None
    consent_id: UUID | None = None
    contact_id: UUID | None = None
    need_id: UUID | None = None
    replaces: tuple[UUID, UUID] | None = None
    """The referral that it takes the place of, and the partner that was asked then."""
    part_of_id: UUID | None = None
    offer_id: UUID | None = None
    person_id: UUID | None = None
    agreed_outside: bool = False
    """Whether it rests on a consent that another system keeps."""
    paper: Paper | None = None
    """The paper on which the consent was given, where it was: it is named to the receiver."""
    code_hash: bytes | None = None
    """Digest of the person's code, by which the receiver's desk finds it."""
    id: UUID = field(default_factory=new_id)
    public_id: str = field(default_factory=lambda: public_id("F"))

    @property
    def state(self) -> str:
        """Where it begins: a policy may take it at once, or put it on the waitlist."""
        answer = self.verdict.answer if self.verdict else ""
        return {ACCEPT: "accepted", WAITLIST: "on_hold"}.get(answer, "requested")

    @property
    def waits(self) -> bool:
        """Whether it goes to the receiver's waitlist."""
        return self.state == "on_hold"


def referral_rows(
    published: Published, out: Outgoing, *, now: datetime, link: AnswerLink | None = None
) -> tuple[list[Base], list[Base]]:
    """Make the rows of the sender (with the envelope) and those of the receiver."""
    sender_id, receiver_id = published.ids[out.sender], published.ids[out.receiver]
    asked = published.directory.find(f"{out.receiver}/{out.service_key}")
    taken = out.state != "requested"
    agreed = out.consent_id is not None or out.agreed_outside
    finish_days = out.verdict.finish_days if out.verdict else 0
    due_at = now + timedelta(days=out.days)
    common: dict[str, Any] = {
        "id": out.id,
        "public_id": out.public_id,
        "service_key": out.service_key,
        "term": asked.term if asked else "",
        "shared": dict(out.shared),
        "urgency": out.urgency,
        "channel": out.channel,
        "state": out.state,
        "reason": "waitlist" if out.waits else None,
        "use_until": now + timedelta(days=out.expires_days) if agreed else None,
        "code_hash": out.code_hash,
        "offer_id": out.offer_id,
        "sent_at": now,
        "answered_at": now if taken else None,
        "due_at": due_at,
        "finish_by": now + timedelta(days=finish_days) if taken else None,
        "version": 1,
    }
    own: list[Base] = [
        new_row(
            Referral,
            tenant_id=sender_id,
            side="sent",
            counterparty_id=receiver_id,
            contact_id=out.contact_id,
            need_id=out.need_id,
            consent_id=out.consent_id,
            part_of_id=out.part_of_id,
            replaces_id=out.replaces[0] if out.replaces else None,
            **common,
        ),
        exchange.envelope_row(
            to=receiver_id,
            sender=sender_id,
            kind=exchange.REFERRAL,
            subject_id=out.id,
            payload={
                "public_id": out.public_id,
                "service_key": out.service_key,
                "urgency": out.urgency,
                "due_at": due_at.isoformat(),
                "shared": dict(out.shared),
            }
            | (papers.kept(out.paper) if agreed else {}),
            now=now,
            consent_id=out.consent_id,
            expires_at=now + timedelta(days=out.expires_days),
        ),
    ]
    received: list[Base] = [
        new_row(
            Referral,
            tenant_id=receiver_id,
            side="received",
            counterparty_id=sender_id,
            # what another partner was asked is not this one's to know
            replaces_id=out.replaces[0]
            if out.replaces and out.replaces[1] == receiver_id
            else None,
            **common,
        ),
        _audit(receiver_id, out, now, "receive", {"from": out.sender, "service": out.service_key}),
    ]
    if taken:
        policy = out.verdict.policy.key if out.verdict and out.verdict.policy else None
        detail = {"from": "requested", "to": "accepted"} | ({"policy": policy} if policy else {})
        received.append(_audit(receiver_id, out, now, "accept", detail))
    if out.waits:
        received.append(place_row(receiver_id, out.id, out.service_key, now))
        received.append(_audit(receiver_id, out, now, "waitlist", {"reason": "waitlist"}))
    received.extend(_messages(published, out, due_at, now=now, link=link))
    return own, received


def place_row(tenant_id: UUID, referral_id: UUID, service_key: str, now: datetime) -> WaitlistPlace:
    """Make a place at the end of a service's waitlist: who comes later ranks later."""
    return new_row(
        WaitlistPlace,
        tenant_id=tenant_id,
        id=new_id(),
        referral_id=referral_id,
        service_key=service_key,
        rank=int(now.timestamp() * 1_000_000),
        joined_at=now,
    )


def _messages(
    published: Published,
    out: Outgoing,
    due_at: datetime,
    *,
    now: datetime,
    link: AnswerLink | None,
) -> list[Base]:
    """Messages to those whom the receiver's policy names: no word about the person is in them."""
    policy = out.verdict.policy if out.verdict else None
    if policy is None or link is None:
        return []
    return letters_with_link(
        published,
        "referral_new" if out.state == "requested" else "referral_taken",
        sender=out.sender,
        receiver=out.receiver,
        to=policy.notify,
        referral_id=out.id,
        number=out.public_id,
        service_key=out.service_key,
        due_at=due_at,
        now=now,
        link=link,
    )


def letters_with_link(
    published: Published,
    event: str,
    *,
    sender: str,
    receiver: str,
    to: Iterable[str],
    referral_id: UUID,
    number: str,
    service_key: str,
    due_at: datetime,
    now: datetime,
    link: AnswerLink,
) -> list[Base]:
    """Make letters of a receiver's, with a link that answers a referral without an account."""
    receiver_id, until = published.ids[receiver], now + timedelta(days=LINK_DAYS)
    values = {
        "number": number,
        "partner": published.names.get(sender, sender),
        "service": published.names.get(f"{receiver}/{service_key}", service_key),
        "day": published.today(receiver, due_at).isoformat(),
        "last_day": published.today(receiver, until).isoformat(),
        "address": link(receiver_id, referral_id, until),
    }
    languages = published.tenant(receiver).settings.get("languages") or ["en"]
    return [
        outbox_row(
            receiver_id,
            event=event,
            recipient=address,
            language=languages[0],
            now=now,
            subject_id=referral_id,
            values=values,
        )
        for address in to
    ]


def _audit(
    tenant_id: UUID, out: Outgoing, now: datetime, verb: str, detail: Mapping[str, Any]
) -> Base:
    return audit_row(
        tenant_id,
        at=now,
        action=f"referral:{verb}",
        subject_kind="referral",
        subject_id=out.id,
        detail=dict(detail),
    )
