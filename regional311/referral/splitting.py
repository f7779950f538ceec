"""Splitting a request into parts: more work of one's own, or of partners that take it.

A part is a request like any other, with its own owner, queue and clock. It starts from the words of
whoever splits and from the place of the whole. To a partner goes what the sharing policy lets cross
without consent, and nothing that tells who asked: the person hears of the whole.

A part for a confidential service is confidential, and is not linked with a whole that is not: the
whole's page would tell of it. Only who is cleared finds it where it is worked, or followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from regional311.catalog.directory import Service
from regional311.database.ids import new_id, public_id
from regional311.database.locking import locked_kept
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, acting_for, scope_of
from regional311.errors import InvalidInput
from regional311.exchange import service as exchange
from regional311.intake import lifecycle
from regional311.intake.links import CannotLink, Side, link, own_side
from regional311.intake.models import FollowedRequest, ServiceRequest
from regional311.intake.service import NewRequest, request_rows
from regional311.referral.filing import NotAccepted, received_request
from regional311.referral.sending_on import verdict_of
from regional311.referral.snapshot import Published

MOST: Final = 8
"""Parts made at once."""


class CannotSplit(InvalidInput):
    """The request, or one of the parts, is not such that it can be split so."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part to be made: its service as ``partner/key``, and what is to be done."""

    service: str
    words: str


def services_for_parts(published: Published, slug: str, *, now: datetime) -> list[Service]:
    """Give the services that a part can be of: one's own, and those of partners by agreement.

    Confidential ones are among them: whoever asks is cleared for them.
    """
    on = published.today(slug, now)
    region = published.region(on)
    return sorted(
        (
            each
            for each in published.directory.services
            if each.offered(on)
            and each.verb in ("report", "request")
            and (each.tenant == slug or region.may_send(slug, each.tenant))
        ),
        key=lambda each: (each.tenant != slug, each.tenant, each.name),
    )


def split(
    session: TenantSession,
    published: Published,
    *,
    now: datetime,
    request_id: UUID,
    version: int,
    parts: Sequence[Part],
) -> tuple[list[str], list[str]]:
    """Split an open request into parts; it goes on as their whole.

    Give the numbers of those that are linked with it, then of those that, being confidential, are
    not.

    Raises :class:`CannotSplit`, :class:`NotAccepted` when a partner does not take it, `NotFound`,
    `Stale` and the errors of :mod:`regional311.intake.links`.
    """
    whole = locked_kept(session, ServiceRequest, request_id, version, {}, "request")
    if whole.state in lifecycle.CLOSED:
        raise CannotSplit("A request that has ended is not split.")
    if not parts or len(parts) > MOST:
        raise CannotSplit(f"Say what the parts are, at most {MOST} at once.", field="parts")
    slug = published.slugs[scope_of(session).tenant_id]
    known = {each.ref: each for each in services_for_parts(published, slug, now=now)}
    chosen = []
    for part in parts:
        service = known.get(part.service)
        if service is None:
            raise CannotSplit(
                f"{part.service!r} is not a service that a part can be of.", field="parts"
            )
        if not lifecycle.says_enough(part.words):
            raise CannotSplit("Say of each part what is to be done.", field="parts")
        if service.tenant != slug and whole.confidential and not service.confidential:
            raise CannotLink(
                "A part of a confidential request at another partner is for a confidential service."
            )
        chosen.append((service, part.words.strip()))
    place: dict[str, Any] = {
        "place_kind": whole.place_kind,
        "place_text": whole.place_text,
        "latitude": whole.latitude,
        "longitude": whole.longitude,
    }
    one = own_side(session, request_id)
    seen = (whole.confidential, whole.priority)
    numbers: list[str] = []
    apart: list[str] = []
    for service, words in chosen:
        expected, warn = published.promised(service.tenant, service, seen[1], now)
        new = NewRequest(
            id=new_id(),
            public_id=public_id("R"),
            intake_tenant_id=one.tenant_id,
            service_key=service.key,
            opened_at=now,
            bureau_key=service.bureau or None,
            queue=service.queue or published.unplaced_queue(service.tenant),
            priority=seen[1],
            confidential=seen[0] or service.confidential,
            expected_at=expected,
            warn_at=warn,
        )
        if service.tenant == slug:
            put(
                session,
                *request_rows(
                    one.tenant_id,
                    replace(new, description=words, **place),
                    now=now,
                    person_id=scope_of(session).person_id,
                    action="request:open",
                ),
            )
        else:
            _send(session, published, service, new, words, place, now)
        if new.confidential and (not one.confidential or service.tenant != slug):
            apart.append(new.public_id)
            continue
        other = Side(
            published.ids[service.tenant],
            new.id,
            new.public_id,
            new.service_key,
            "received",
            new.confidential,
        )
        link(session, one, "part", other, now=now)
        numbers.append(new.public_id)
    return numbers, apart


def _send(
    session: TenantSession,
    published: Published,
    service: Service,
    new: NewRequest,
    words: str,
    place: dict[str, Any],
    now: datetime,
) -> None:
    """Open a part at another partner, which takes it or refuses."""
    tenant_id = scope_of(session).tenant_id
    slug, receiver_id = published.slugs[tenant_id], published.ids[service.tenant]
    partner = published.partners[service.tenant]
    allowed, _missing, days = published.sharing(published.today(slug, now)).allowed(
        "request", partner.kind, consent=False, sender=published.partners[slug].kind
    )
    where = {
        "kind": place["place_kind"],
        "text": place["place_text"],
        "latitude": str(place["latitude"]) if place["latitude"] is not None else None,
        "longitude": str(place["longitude"]) if place["longitude"] is not None else None,
    }
    there = where if where["kind"] != "none" else None
    bound = service.place == "required"
    values = {
        "place": there,
        "location": there if bound else None,
        "note": words,
        "problem": words,
        "need": service.name,
        "urgency": new.priority,
    }
    shared = {name: values[name] for name in allowed if values.get(name) is not None}
    verdict = verdict_of(published, slug, service, shared, channel="web", now=now)
    if verdict.refused:
        raise NotAccepted(verdict.codes, published.names)
    put(
        session,
        new_row(
            FollowedRequest,
            tenant_id=tenant_id,
            id=new.id,
            public_id=new.public_id,
            owner_id=receiver_id,
            service_key=new.service_key,
            contact_id=None,
            need_id=None,
            state="received",
            sent_at=now,
            expected_at=new.expected_at,
            updated_at=now,
        ),
        exchange.envelope_row(
            to=receiver_id,
            sender=tenant_id,
            kind=exchange.REQUEST,
            subject_id=new.id,
            payload={
                "public_id": new.public_id,
                "service_key": new.service_key,
                "bureau_key": new.bureau_key,
                "queue": new.queue,
                "priority": new.priority,
                "expected_at": new.expected_at.isoformat() if new.expected_at else None,
                "shared": shared,
            },
            now=now,
            expires_at=now + timedelta(days=days),
        ),
    )
    with acting_for(session, receiver_id):
        put(session, *received_request(receiver_id, tenant_id, new, shared, now=now))
