"""Keep sent referrals from being forgotten: the worker's part, each step once, whatever restarts.

The partner that sent a referral keeps its clock; the reminder is written as the receiver, to the
receiver's own people, and to the sender's own while a question waits for its answer. That a step
was taken is a row with a unique key, written in the transaction in which the letters are. Each step
stands alone: where somebody is at a referral or has changed it meanwhile, it is left for the next
round, and the others go on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from regional311.audit.service import audit_row
from regional311.calendars import BusinessCalendar
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, acting_for, mark_changed, scope_of
from regional311.errors import DomainError
from regional311.identity.permissions import Permissions
from regional311.identity.queries import Member, who_may
from regional311.intake.service import Followers
from regional311.keeping.letters import Letterhead, letterhead
from regional311.locale.sentences import in_language
from regional311.notices.service import outbox_row
from regional311.notices.wording import Words, own_words
from regional311.referral import lifecycle
from regional311.referral.consents import expire_consents
from regional311.referral.leaving import bring_back
from regional311.referral.loop import Loop, loop_of, working_days_after
from regional311.referral.models import Referral, ReferralReminder
from regional311.referral.service import move
from regional311.referral.silence import ESCALATED, EXPIRED, Silence, next_step
from regional311.tenancy.hours import business_hours
from regional311.tenancy.models import Tenant

PAGE: Final = 500
SUPERVISOR: Final = "supervisor"
_EVENTS: Final = {"reminded": "referral_waits", "escalated": "referral_unanswered"}
ENDED_ABOVE: Final = "ended_above"
ENDED_ABOVE_AGAIN: Final = "ended_above_again"
DRAFT_LEFT: Final = "draft_left"
GOES_ON: Final = "onward_goes_on"
QUESTION: Final = "question_unanswered"
"""What the sender's supervisors are told while the receiver waits for its answer."""


@dataclass(frozen=True, slots=True)
class _Silent:
    """Who can be told at the side that says nothing, and how its letters look."""

    head: Letterhead
    people: tuple[Member, ...]

    def told(self, step: str, claimed_by: UUID | None) -> tuple[Member, ...]:
        """Who works it or could is reminded; who leads them is told when that did not help."""
        if step == ESCALATED:
            leads = tuple(each for each in self.people if SUPERVISOR in each.roles)
            return leads or self.people
        mine = tuple(each for each in self.people if each.person_id == claimed_by)
        return mine or self.people


def end_consents(session: TenantSession, *, now: datetime, url: str) -> int:
    """End the bound partner's consents whose time is up; say how many."""
    return expire_consents(session, now=now, followers=_followers(session, url))


def come_back(session: TenantSession, *, now: datetime, url: str) -> int:
    """Bring back what is open with partners that have left the region; say how many."""
    return bring_back(session, now=now, followers=_followers(session, url))


def _followers(session: TenantSession, url: str) -> Followers:
    rows = session.execute(
        select(Tenant.id, Tenant.name, Tenant.settings["wording"].label("wording")).where(
            Tenant.tenant_id == Tenant.id
        )
    ).all()
    worded = {row.id: row.wording for row in rows if row.wording}

    def wording(tenant_id: UUID, event: str, language: str, channel: str) -> Words | None:
        return own_words(worded.get(tenant_id, ()), event, language, channel)

    return Followers({str(row.id): row.name for row in rows}, url, in_language, wording=wording)


def keep_loops(session: TenantSession, *, now: datetime, url: str) -> int:
    """Take the steps that have come for referrals that nobody answers; say how many."""
    tenant_id = scope_of(session).tenant_id
    mine = session.execute(
        select(Tenant.zone, Tenant.settings).where(
            Tenant.tenant_id == tenant_id, Tenant.id == tenant_id
        )
    ).one()
    clock = _Clock(
        session,
        now,
        loop_of(mine.settings),
        business_hours(mine),
        _followers(session, url),
    )
    return clock.tick()


class _Clock:
    """One round over the referrals that the bound partner sent."""

    def __init__(
        self,
        session: TenantSession,
        now: datetime,
        loop: Loop,
        calendar: BusinessCalendar,
        followers: Followers,
    ) -> None:
        self.session = session
        self.now = now
        self.loop = loop
        self.calendar = calendar
        self.followers = followers
        self.today = calendar.local_date(now)
        self.tenant_id = scope_of(session).tenant_id
        self.silent: dict[UUID, _Silent] = {}

    def tick(self) -> int:
        done = 0
        for page in self._waiting():
            taken = self._taken([row.id for row in page])
            for row in page:
                since = row.since
                silence = Silence(
                    row.state,
                    row.urgency,
                    self.calendar.local_date(since),
                    self.calendar.local_date(row.word_by) if row.word_by else None,
                    {
                        each.step: self.calendar.local_date(each.at)
                        for each in taken.get(row.id, ())
                        if each.silent_since == since
                    },
                )
                step = next_step(silence, self.today, self.loop, self.calendar)
                if step is not None:
                    done += self._take_alone(row, step)
        return done + self._ask_what_now() + self._keep_drafts()

    def _keep_drafts(self) -> int:
        """Remind once of drafts that were left, and let those expire that nobody finishes."""
        rows = self.session.execute(
            select(
                Referral.id,
                Referral.public_id,
                Referral.counterparty_id,
                Referral.claimed_by,
                Referral.version,
                Referral.heard_at.label("since"),
            )
            .where(
                Referral.tenant_id == self.tenant_id,
                Referral.side == lifecycle.SENDER,
                Referral.state == "draft",
            )
            .order_by(Referral.sent_at, Referral.id)
        ).all()
        taken = self._taken([row.id for row in rows]) if rows else {}
        return sum(
            self._keep_draft(
                row,
                {
                    each.step: self.calendar.local_date(each.at)
                    for each in taken.get(row.id, ())
                    if each.silent_since == row.since
                },
            )
            for row in rows
        )

    def _keep_draft(self, row: Any, taken: Mapping[str, date]) -> int:
        told = taken.get(DRAFT_LEFT)
        since, days = self.calendar.local_date(row.since), self.loop.escalate_days
        if told is not None:
            since, days = told, self.loop.expire_days
        if self.today < working_days_after(self.calendar, since, days):
            return 0
        if told is not None:
            return self._expire_alone(row)
        silent = self._silent(self.tenant_id)
        people = silent.told(DRAFT_LEFT, row.claimed_by)
        if not self._first(row, DRAFT_LEFT, len(people)):
            return 0
        self._trail(self.tenant_id, row, DRAFT_LEFT)
        put(
            self.session,
            *(
                outbox_row(
                    self.tenant_id,
                    event=DRAFT_LEFT,
                    recipient=person.email,
                    language=silent.head.language,
                    now=self.now,
                    subject_id=row.id,
                    values={
                        "number": row.public_id,
                        "partner": self.followers.name(row.counterparty_id),
                        "day": silent.head.day(since),
                        "address": f"{silent.head.address}/referrals/{row.public_id}",
                    },
                    translate=in_language,
                )
                for person in people
            ),
        )
        return 1

    def _expire_alone(self, row: Any) -> int:
        """Discard a draft whose time is up: it was never sent, and counts nowhere."""
        try:
            with self.session.begin_nested():
                move(
                    self.session,
                    now=self.now,
                    referral_id=row.id,
                    version=row.version,
                    to="entered_in_error",
                    reason=EXPIRED,
                )
        except DomainError:
            return 0
        return 1

    def _ask_what_now(self) -> int:
        """Ask what becomes of what goes on onward after what it is part of has ended."""
        rows = self._undecided()
        taken = self._taken([row.id for row in rows]) if rows else {}
        return sum(
            self._ask(
                row, {each.step for each in taken.get(row.id, ()) if each.silent_since == row.since}
            )
            for row in rows
        )

    def _undecided(self) -> Sequence[Any]:
        """What the bound partner has not decided about."""
        return self.session.execute(
            select(
                Referral.id,
                Referral.public_id,
                Referral.counterparty_id,
                Referral.above_ended_at.label("since"),
            )
            .where(
                Referral.tenant_id == self.tenant_id,
                Referral.side == lifecycle.SENDER,
                Referral.state.in_(lifecycle.OPEN),
                Referral.above_ended_at.is_not(None),
            )
            .order_by(Referral.above_ended_at, Referral.id)
        ).all()

    def _ask(self, row: Any, taken: Collection[str]) -> int:
        """Ask whoever works on referrals, and their supervisors some working days later."""
        step = ENDED_ABOVE
        people = tuple(who_may(self.session, Permissions.REFERRAL_ACCEPT))
        if step in taken:
            again = working_days_after(
                self.calendar, self.calendar.local_date(row.since), self.loop.escalate_days
            )
            if self.today < again:
                return 0
            step = ENDED_ABOVE_AGAIN
            people = tuple(each for each in people if SUPERVISOR in each.roles) or people
        if not self._first(row, step, len(people)):
            return 0
        self._trail(self.tenant_id, row, step)
        head = letterhead(self.session, self.followers.url)
        for person in people:
            put(
                self.session,
                outbox_row(
                    self.tenant_id,
                    event=GOES_ON,
                    recipient=person.email,
                    language=head.language,
                    now=self.now,
                    subject_id=row.id,
                    values={
                        "number": row.public_id,
                        "partner": self.followers.name(row.counterparty_id),
                        "day": head.day(self.calendar.local_date(row.since)),
                        "address": f"{head.address}/referrals/{row.public_id}",
                    },
                    translate=in_language,
                ),
            )
        return 1

    def _take_alone(self, row: Any, step: str) -> int:
        try:
            with self.session.begin_nested():
                return self._take(row, step)
        except DomainError:
            return 0

    def _waiting(self) -> Iterator[Sequence[Any]]:
        since = func.coalesce(
            Referral.asked_at, Referral.heard_at, Referral.answered_at, Referral.sent_at
        )
        # while the receiver waits for an answer of the sender's, it is the sender who is silent
        word_by = case(
            (Referral.asked_at.is_not(None), None),
            (Referral.state == "requested", Referral.due_at),
            else_=Referral.finish_by,
        ).label("word_by")
        query = (
            select(
                Referral.id,
                Referral.public_id,
                Referral.counterparty_id,
                Referral.state,
                Referral.urgency,
                Referral.claimed_by,
                word_by,
                Referral.version,
                Referral.sent_at,
                Referral.asked_at,
                since.label("since"),
            )
            .where(
                Referral.tenant_id == self.tenant_id,
                Referral.side == lifecycle.SENDER,
                Referral.state.in_(("requested", "accepted", "in_progress")),
            )
            .order_by(Referral.sent_at, Referral.id)
            .limit(PAGE)
        )
        after: tuple[datetime, UUID] | None = None
        while True:
            asked = query
            if after is not None:
                asked = query.where(tuple_(Referral.sent_at, Referral.id) > after)
            page = self.session.execute(asked).all()
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = (page[-1].sent_at, page[-1].id)

    def _taken(self, ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
        found: dict[UUID, list[Any]] = {}
        for row in self.session.execute(
            select(
                ReferralReminder.referral_id,
                ReferralReminder.silent_since,
                ReferralReminder.step,
                ReferralReminder.at,
            ).where(
                ReferralReminder.tenant_id == self.tenant_id,
                ReferralReminder.referral_id.in_(ids),
            )
        ):
            found.setdefault(row.referral_id, []).append(row)
        return found

    def _take(self, row: Any, step: str) -> int:
        if step == EXPIRED and not self._free(row):
            return 0
        asked = row.asked_at is not None
        silent_id, other_id = self.tenant_id, row.counterparty_id
        if not asked:
            silent_id, other_id = other_id, silent_id
        silent = self._silent(silent_id)
        people = (
            () if step == EXPIRED else silent.told(ESCALATED if asked else step, row.claimed_by)
        )
        if not self._first(row, step, len(people)):
            return 0
        self._trail(self.tenant_id, row, step)
        if step == EXPIRED:
            move(
                self.session,
                now=self.now,
                referral_id=row.id,
                version=row.version,
                to="failed",
                reason="expired",
                by=lifecycle.CLOCK,
                followers=self.followers,
            )
            return 1
        with acting_for(self.session, row.counterparty_id):
            self._trail(row.counterparty_id, row, step)
        with acting_for(self.session, silent_id):
            for person in people:
                put(
                    self.session,
                    outbox_row(
                        silent_id,
                        event=QUESTION if asked else _EVENTS[step],
                        recipient=person.email,
                        language=silent.head.language,
                        now=self.now,
                        subject_id=row.id,
                        values={
                            "number": row.public_id,
                            "partner": self.followers.name(other_id),
                            "day": silent.head.day(
                                self.calendar.local_date(row.word_by or row.since)
                            ),
                            "address": f"{silent.head.address}/referrals/{row.public_id}",
                        },
                        translate=in_language,
                    ),
                )
        return 1

    def _free(self, row: Any) -> bool:
        """Whether nobody is at a referral on either side; then it is held on both.

        The two sides lock their rows in opposite orders, and a round holds what it has until its
        end: it waits for nobody.
        """
        for tenant_id in (self.tenant_id, row.counterparty_id):
            with acting_for(self.session, tenant_id):
                held = self.session.execute(
                    select(Referral.id)
                    .where(Referral.tenant_id == tenant_id, Referral.id == row.id)
                    .with_for_update(skip_locked=True)
                ).one_or_none()
            if held is None:
                return False
        return True

    def _first(self, row: Any, step: str, told: int) -> bool:
        """Whether this step of this silence is taken for the first time; it is kept at once."""
        made = self.session.execute(
            insert(ReferralReminder)
            .values(
                tenant_id=self.tenant_id,
                id=new_id(),
                referral_id=row.id,
                silent_since=row.since,
                step=step,
                told=told,
                at=self.now,
            )
            .on_conflict_do_nothing()
            .returning(ReferralReminder.id)
        ).one_or_none()
        if made is not None:
            mark_changed(self.session)
        return made is not None

    def _silent(self, tenant_id: UUID) -> _Silent:
        known = self.silent.get(tenant_id)
        if known is None:
            sends = tenant_id == self.tenant_id
            may = Permissions.CONTACT_TAKE if sends else Permissions.REFERRAL_ACCEPT
            with acting_for(self.session, tenant_id):
                known = self.silent[tenant_id] = _Silent(
                    letterhead(self.session, self.followers.url),
                    tuple(who_may(self.session, may)),
                )
        return known

    def _trail(self, tenant_id: UUID, row: Any, step: str) -> None:
        put(
            self.session,
            audit_row(
                tenant_id,
                at=self.now,
                action=f"referral:{step}",
                subject_kind="referral",
                subject_id=row.id,
                detail={},
            ),
        )
