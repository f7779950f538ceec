"""What staff did with the month's work: referrals answered, requests worked and closed.

Each step goes through the services of the web, one at a time, as people take them. What was done
before is found done, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from sqlalchemy import Engine, select

from regional311.database.session import Scope, TenantSession, session_scope
from regional311.intake import service as intake
from regional311.intake.models import ServiceRequest
from regional311.referral import service as referral
from regional311.referral.models import Referral
from regional311.referral.snapshot import Published
from regional311.replay.service import batches

Done = Callable[[int], None]
AT_ONCE = 25
"""Records worked in one transaction."""

LEFT_NEW = timedelta(days=3)
"""What came in the last days of the month still waits."""

WORKED_IN_TEN = 1
"""Of ten requests, how many were closed within the month."""

OUTCOMES = ("met", "met", "met", "partially_met", "unmet", "unknown")
DECLINED = ("no_capacity", "waitlist_only", "not_eligible")
RESOLUTIONS = (
    ("completed", "A crew went there and finished the work."),
    ("completed", "We looked at it and finished the work."),
    ("no_action_needed", "We looked at it and found nothing left to do."),
    ("duplicate", "Somebody told us of this before, and it is in hand."),
)


def answer_referrals(
    engine: Engine, region: Published, staff: Mapping[UUID, UUID], *, now: datetime, done: Done
) -> None:
    """Accept, reject and complete what partners received, all but the newest.

    `staff` maps a partner's id to the person who works its inbox.
    """
    for tenant_id in sorted(region.slugs):
        if tenant_id not in staff:
            continue
        scope = Scope(tenant_id, staff[tenant_id])
        received = (
            select(Referral.id, Referral.version, Referral.sent_at, Referral.public_id)
            .where(
                Referral.tenant_id == tenant_id,
                Referral.side == "received",
                Referral.state == "requested",
                Referral.sent_at < now - LEFT_NEW,
            )
            .order_by(Referral.sent_at, Referral.id)
        )
        with session_scope(engine, scope) as session:
            waiting = session.execute(received).all()
        for batch in batches(waiting, AT_ONCE):
            with session_scope(engine, scope) as session:
                for found in batch:
                    chance = Random(str(found.sent_at))  # noqa: S311 - the same month every time
                    answered = found.sent_at + timedelta(minutes=chance.randint(10, 600))
                    if chance.random() < 0.1:
                        referral.move(
                            session,
                            to="rejected",
                            now=answered,
                            referral_id=found.id,
                            version=found.version,
                            reason=chance.choice(DECLINED),
                        )
                        continue
                    accepted = referral.move(
                        session,
                        to="accepted",
                        now=answered,
                        referral_id=found.id,
                        version=found.version,
                    )
                    ended = answered + timedelta(hours=chance.randint(2, 40))
                    referral.move(
                        session,
                        to="completed",
                        now=ended,
                        referral_id=found.id,
                        version=accepted.version,
                        outcome=chance.choice(OUTCOMES),
                        booked_on=region.today(region.slugs[tenant_id], ended),
                    )
            done(len(batch))


def work_requests(
    engine: Engine, region: Published, staff: Mapping[UUID, UUID], *, now: datetime, done: Done
) -> None:
    """Triage, assign and close a part of each partner's requests."""
    for tenant_id in sorted(region.slugs):
        if tenant_id not in staff:
            continue
        scope = Scope(tenant_id, staff[tenant_id])
        open_requests = (
            select(ServiceRequest.id, ServiceRequest.version, ServiceRequest.opened_at)
            .where(
                ServiceRequest.tenant_id == tenant_id,
                ServiceRequest.state == "received",
                ServiceRequest.opened_at < now - LEFT_NEW,
            )
            .order_by(ServiceRequest.opened_at, ServiceRequest.id)
        )
        with session_scope(engine, scope) as session:
            waiting = [
                found
                for found in session.execute(open_requests)
                if int(found.opened_at.timestamp()) % 10 < WORKED_IN_TEN
            ]
        for batch in batches(waiting, AT_ONCE):
            with session_scope(engine, scope) as session:
                for found in batch:
                    _work(session, found.id, found.version, found.opened_at, staff[tenant_id])
            done(len(batch))


def _work(
    session: TenantSession, request_id: UUID, version: int, opened_at: datetime, worker_id: UUID
) -> None:
    chance = Random(str(opened_at))  # noqa: S311 - the same month every time
    at = opened_at
    for state in ("triaged", "assigned", "in_progress"):
        at += timedelta(minutes=chance.randint(20, 240))
        version = intake.change_request(
            session,
            now=at,
            request_id=request_id,
            version=version,
            to=state,
            assignee_id=worker_id if state == "assigned" else None,
        ).version
    resolution, message = chance.choice(RESOLUTIONS)
    intake.change_request(
        session,
        now=at + timedelta(hours=chance.randint(1, 40)),
        request_id=request_id,
        version=version,
        to="closed",
        resolution=resolution,
        message=message,
    )
