"""What a receiving partner says to an offer, before the person is promised anything.

An offer is facts only: who sends, which service, where, which answers, and *that* a number or a
name is there, never which. :func:`check` holds it against the receiver's policy and against the
room that the receiver has said it has, and gives codes, which become part of the decision and are
said in its sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from regional311.calendars import BusinessCalendar, NeverOpens
from regional311.strict import Email, Key, Language, Model, Week, Words

Mode = Literal["accept", "ask", "warm", "closed"]
Told = Literal["name", "phone", "email", "place", "note"]
NEEDS: Final = ("name", "phone", "email", "place", "note")
"""What a policy may need to be known of the person."""

ACCEPT: Final = "accept"
ASK: Final = "ask"
WARM: Final = "warm"
WAITLIST: Final = "waitlist"
REFUSE: Final = "refuse"

HAS: Final = "has"
NONE: Final = "none"
NONE_WAITLIST: Final = "none_waitlist"
ASSESSMENT: Final = "assessment"
UNKNOWN: Final = "unknown"
ROOM_STATES: Final = (HAS, NONE, NONE_WAITLIST, ASSESSMENT)

LIVE_CHANNELS: Final = frozenset({"phone", "walk_in"})
"""Channels on which a person can be handed over while they are there."""

ANSWER_DAYS: Final = 3
"""Days in which the receiver of a referral should answer, unless its policy says otherwise."""

FINISH_DAYS: Final = 30
"""Days in which an accepted referral should be finished, unless its policy says otherwise."""


class EligibilityWords(Model):
    """A question of a policy in another language."""

    language: Language = Field(description="Language of the words.")
    ask: Words = Field(description="The question.")
    why: Words | None = Field(default=None, description="What is said to the others.")


class Eligibility(Model):
    """A question that decides whether somebody can be helped; asked before the offer is made."""

    key: Key = Field(description="Key, unique within the policy.")
    ask: Words = Field(description="The question, answered with yes or no.")
    answer: Literal["yes", "no"] = Field(
        default="yes", description="The answer of those who can be helped."
    )
    why: Words | None = Field(
        default=None, description="What is said to those who answer otherwise."
    )
    translation: tuple[EligibilityWords, ...] = Field(
        default=(), description="The same in other languages, for the public form."
    )

    def speaks(self, language: str) -> bool:
        """Whether it is translated into a language."""
        return any(each.language == language for each in self.translation)

    def said(self, language: str) -> tuple[str, str | None]:
        """Give the question and what is said to the others, in a language where it is there.

        >>> of = Eligibility(key="a", ask="A home?", why="no home",
        ...     translation=(EligibilityWords(language="es", ask="¿Un hogar?"),))
        >>> of.said("es"), of.said("ru")
        (('¿Un hogar?', 'no home'), ('A home?', 'no home'))
        """
        for each in self.translation:
            if each.language == language:
                return each.ask, each.why or self.why
        return self.ask, self.why


class Acceptance(Model):
    """What a partner takes from whom; the most specific policy counts."""

    key: Key = Field(description="Key, unique among the partner's policies.")
    name: Words = Field(description="What staff call it.")
    services: tuple[Key, ...] = Field(
        default=(), description="Keys of the partner's services; none: every service."
    )
    senders: tuple[Key, ...] = Field(
        default=(), description="Partners from which it takes so; none: every partner."
    )
    mode: Mode = Field(
        default="ask",
        description="`accept`: taken at once. `ask`: somebody answers. `warm`: only with the "
        "person on the line. `closed`: nothing is taken.",
    )
    hours: Week | None = Field(
        default=None, description="When offers are taken; left out: at any time."
    )
    outside_hours: Literal["ask", "refuse"] = Field(
        default="ask",
        description="What is said to an offer outside the hours; a warm transfer is refused then.",
    )
    capacity: Literal["respected", "ignored"] = Field(
        default="respected", description="Whether nothing is taken while there is no room."
    )
    documents: tuple[Words, ...] = Field(
        default=(), max_length=20, description="Papers that the person should bring."
    )
    areas: tuple[str, ...] = Field(
        default=(),
        description="Boundaries, as `key` or `partner/key`, in one of which the place must lie.",
    )
    needs: tuple[Told, ...] = Field(
        default=(), description="What must be known of the person before it is taken."
    )
    question: tuple[Eligibility, ...] = Field(
        default=(), max_length=10, description="Questions that decide who can be helped."
    )
    message: Words | None = Field(
        default=None, description="A sentence for the sender's specialist, such as whom to ring."
    )
    answer_days: int | None = Field(
        default=None, ge=1, le=60, description="Days in which an offer is answered; usually 3."
    )
    finish_days: int | None = Field(
        default=None, ge=1, le=365, description="Days in which the work is done; usually 30."
    )
    notify: tuple[Email, ...] = Field(
        default=(),
        max_length=5,
        description="Work addresses that get a message about each new referral, with a link that "
        "answers it once without an account.",
    )


class Progress(Model):
    """A word of the partner's own for how far a referral is, and what it means to everybody."""

    key: Key = Field(description="Key, unique among the partner's words.")
    name: Words = Field(description="The word, such as Intake interview booked.")
    state: Literal["accepted", "in_progress", "on_hold"] = Field(
        description="The common state that it is a finer word for."
    )


def acceptance_faults(policy: Acceptance) -> Iterator[tuple[str, str]]:
    """Give what is wrong with a policy beyond the shape of its fields: where, and why."""
    for name, given in (
        ("services", policy.services),
        ("senders", policy.senders),
        ("areas", policy.areas),
        ("needs", policy.needs),
        ("notify", policy.notify),
        ("question", [each.key for each in policy.question]),
    ):
        for twice in sorted({each for each in given if list(given).count(each) > 1}):
            yield name, f"{twice} is there twice"
    for each in policy.question:
        there = [words.language for words in each.translation]
        for twice in sorted({word for word in there if there.count(word) > 1}):
            yield "question", f"{each.key} is there twice in {twice}"
    if policy.mode == "closed" and policy.notify:
        yield "notify", "nothing is taken, so there is nobody to tell"
    if policy.outside_hours == "refuse" and policy.hours is None:
        yield "outside_hours", "there are no hours outside of which it could be refused"


@dataclass(frozen=True, slots=True)
class Room:
    """The room that a service has, as its partner said it, until a moment."""

    state: str
    until: datetime
    places: int | None = None
    note: str = ""
    site: str = ""
    """Key of the location that it is about; empty for the whole service."""

    def holds(self, at: datetime) -> bool:
        """Whether it can still be relied on."""
        return at < self.until


_BEST: Final = (HAS, ASSESSMENT, NONE_WAITLIST, NONE)


def room_now(rooms: Iterable[Room], at: datetime) -> Room | None:
    """Give the room of a service that can still be relied on: the best of its sites; or nothing.

    What was said of the whole service counts before what was said of its sites. After its expiry
    nothing is known.
    """
    held = [each for each in rooms if each.holds(at)]
    whole = [each for each in held if not each.site]
    if whole:
        return whole[0]
    return min(held, key=lambda each: (_BEST.index(each.state), each.site), default=None)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of somebody when their need is offered: facts, nothing that names them.

    ``has`` are the kinds of things that are known (``phone``), ``answers`` those to the policy's
    own questions by key, ``yes`` or ``no``.
    """

    sender: str
    service: str
    channel: str
    boundaries: frozenset[str] = frozenset()
    place_known: bool = False
    has: frozenset[str] = frozenset()
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the receiver says: ``accept``, ``ask``, ``warm``, ``waitlist`` or ``refuse``.

    ``codes`` say why, each with its arguments; ``missing`` is what has to be known first.
    """

    answer: str
    codes: tuple[tuple[str, ...], ...] = ()
    policy: Acceptance | None = None
    missing: tuple[str, ...] = ()
    room: Room | None = None

    @property
    def refused(self) -> bool:
        """Whether the person must not be promised that they get there."""
        return self.answer == REFUSE

    @property
    def answer_days(self) -> int:
        """Days in which it should be answered."""
        return (self.policy.answer_days if self.policy else None) or ANSWER_DAYS

    @property
    def finish_days(self) -> int:
        """Days in which it should be finished once it is accepted."""
        return (self.policy.finish_days if self.policy else None) or FINISH_DAYS


REFUSALS: Final = frozenset(
    {
        "offer-closed",
        "offer-shut",
        "offer-warm-only",
        "offer-full",
        "offer-area",
        "offer-not-eligible",
        *(f"offer-missing-{name}" for name in NEEDS),
    }
)
"""Codes of which one is enough to refuse."""

DECLINE_REASON: Final[Mapping[str, str]] = {
    "offer-full": "no_capacity",
    "offer-area": "out_of_area",
    "offer-not-eligible": "not_eligible",
}
"""The reason of a declined referral that a code stands for; any other is *other*."""

SENTENCES: Final[Mapping[str, str]] = {
    "offer-closed": "{0} takes nothing at present.",
    "offer-shut": "{0} takes nothing at this time of day.",
    "offer-warm-only": "{0} takes it only with the person on the line.",
    "offer-warm": "{0} takes it with the person on the line: transfer them.",
    "offer-full": "{0} has no room.",
    "offer-area": "{0} helps only in another area.",
    "offer-not-eligible": "{0} cannot help: {1}",
    "offer-missing-name": "{0} needs a name first.",
    "offer-missing-phone": "{0} needs a telephone number first.",
    "offer-missing-email": "{0} needs an e-mail address first.",
    "offer-missing-place": "{0} needs to know where it is first.",
    "offer-missing-note": "{0} needs to know what happened first.",
    "offer-consent": "{0} takes it only if the person agrees that it is shared with them.",
    "offer-waitlist": "{0} has no room and puts the person on its waitlist.",
    "offer-room": "{0} has room.",
    "offer-places": "{0} has room: {1} places.",
    "offer-assessment": "{0} decides after an assessment.",
    "offer-unknown-room": "Nobody has said lately whether {0} has room.",
    "offer-at-once": "{0} takes it at once.",
    "offer-asked": "{0} answers within {1} days.",
    "offer-later": "{0} is closed now: somebody answers when it opens.",
    "offer-unanswered": "{0} asks first: {1}",
    "offer-area-unknown": "{0} helps in some areas only: say where it is.",
    "offer-documents": "Bring to {0}: {1}.",
    "offer-message": "{0} says: {1}",
    "offer-next": "{0} could help instead.",
    "offer-chosen": "The specialist picked {0} instead.",
}
"""One sentence a code; {0} is the receiver, {1} what it named."""


SHARED_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "place": ("place", "location"),
    "note": ("note", "problem"),
}
"""Fields of the sharing policy that hold what a policy needs, where they are called otherwise."""


def withheld(policy: Acceptance | None, crossing: Iterable[str]) -> tuple[str, ...]:
    """Give what a policy needs to know that is not among the fields that may cross.

    >>> withheld(Acceptance(key="a", name="A", needs=("phone", "note")), ["problem", "need"])
    ('phone',)
    """
    fields = set(crossing)
    needs = policy.needs if policy else ()
    return tuple(name for name in needs if fields.isdisjoint(SHARED_AS.get(name, (name,))))


def policy_for(policies: Iterable[Acceptance], service: str, sender: str) -> Acceptance | None:
    """Give the policy that counts: that which names the service and the sender before others.

    Among policies that are equally specific the first by key counts.
    """
    fitting = [
        each
        for each in policies
        if (not each.services or service in each.services)
        and (not each.senders or sender in each.senders)
    ]
    return min(
        fitting, key=lambda each: (not each.services, not each.senders, each.key), default=None
    )


def check(
    policy: Acceptance | None,
    offer: Offer,
    *,
    at: datetime,
    receiver: str,
    rooms: Iterable[Room] = (),
    calendar: BusinessCalendar | None = None,
) -> Verdict:
    """Say what a receiver says to an offer. Nobody is asked and nothing is named.

    Without a policy somebody answers, and room is respected all the same. ``calendar`` is that of
    the policy's hours.
    """
    room = room_now(rooms, at)
    codes: list[tuple[str, ...]] = []

    def say(code: str, *more: str) -> None:
        codes.append((code, receiver, *more))

    live = offer.channel in LIVE_CHANNELS
    shut = policy is not None and calendar is not None and not _is_open(calendar, at)
    missing: tuple[str, ...] = ()
    unanswered = waits = False
    if policy is not None:
        if policy.mode == "closed":
            say("offer-closed")
        if shut and (policy.outside_hours == "refuse" or policy.mode == "warm"):
            say("offer-shut")
        if policy.mode == "warm" and not live:
            say("offer-warm-only")
        if policy.areas and not offer.place_known:
            say("offer-area-unknown")
        elif policy.areas and offer.boundaries.isdisjoint(_full(policy.areas, receiver)):
            say("offer-area")
        for asked in policy.question:
            said = offer.answers.get(asked.key)
            if said is None:
                say("offer-unanswered", asked.ask)
                unanswered = True
            elif said != asked.answer:
                say("offer-not-eligible", asked.why or asked.ask)
        missing = tuple(name for name in policy.needs if name not in offer.has)
        for name in missing:
            say(f"offer-missing-{name}")
    if policy is None or policy.capacity == "respected":
        if room is not None and room.state == NONE:
            say("offer-full")
        waits = room is not None and room.state == NONE_WAITLIST
    refused = any(code[0] in REFUSALS for code in codes)
    if refused:
        answer = REFUSE
    elif policy is not None and policy.mode == "warm":
        answer = WARM
        say("offer-warm")
    elif waits:
        answer = WAITLIST
        say("offer-waitlist")
    elif _at_once(policy, room, shut=shut, unsure=unanswered or _unplaced(policy, offer)):
        answer = ACCEPT
        say("offer-at-once")
    else:
        answer = ASK
        say("offer-asked", str(Verdict(ASK, policy=policy).answer_days))
    if not refused:
        _add_hints(codes, policy, room, receiver, shut=shut)
    return Verdict(answer, tuple(codes), policy, missing, room)


def _add_hints(
    codes: list[tuple[str, ...]],
    policy: Acceptance | None,
    room: Room | None,
    receiver: str,
    *,
    shut: bool,
) -> None:
    if shut:
        codes.append(("offer-later", receiver))
    if room is not None and room.state == HAS:
        code = ("offer-room",) if room.places is None else ("offer-places", str(room.places))
        codes.append((code[0], receiver, *code[1:]))
    if room is not None and room.state == ASSESSMENT:
        codes.append(("offer-assessment", receiver))
    if policy is None:
        return
    if policy.documents:
        codes.append(("offer-documents", receiver, ", ".join(policy.documents)))
    if policy.message:
        codes.append(("offer-message", receiver, policy.message))


def _at_once(policy: Acceptance | None, room: Room | None, *, shut: bool, unsure: bool) -> bool:
    """Whether it is taken without anybody looking: everything asked is known and fits."""
    if policy is None or policy.mode != "accept" or shut or unsure:
        return False
    return room is None or room.state != ASSESSMENT or policy.capacity == "ignored"


def _unplaced(policy: Acceptance | None, offer: Offer) -> bool:
    return bool(policy and policy.areas and not offer.place_known)


def _is_open(calendar: BusinessCalendar, at: datetime) -> bool:
    try:
        return calendar.is_open(at)
    except NeverOpens:
        return False


def _full(areas: Iterable[str], receiver: str) -> frozenset[str]:
    return frozenset(each if "/" in each else f"{receiver}/{each}" for each in areas)


@dataclass(frozen=True, slots=True)
class Reception:
    """What every partner says to offers, as it is published: policies, their hours, and room.

    ``policies`` are by partner, ``rooms`` by ``partner/service``, ``calendars`` by
    ``partner/policy``.
    """

    policies: Mapping[str, tuple[Acceptance, ...]] = field(default_factory=dict)
    rooms: Mapping[str, tuple[Room, ...]] = field(default_factory=dict)
    calendars: Mapping[str, BusinessCalendar] = field(default_factory=dict)

    def policy(self, receiver: str, service: str, sender: str) -> Acceptance | None:
        """Give the policy that a receiver has for a service and a sender."""
        return policy_for(self.policies.get(receiver, ()), service, sender)

    def verdict(self, receiver: str, offer: Offer, at: datetime) -> Verdict:
        """Say what a receiver says to an offer at a moment."""
        policy = self.policy(receiver, offer.service, offer.sender)
        return check(
            policy,
            offer,
            at=at,
            receiver=receiver,
            rooms=self.rooms.get(f"{receiver}/{offer.service}", ()),
            calendar=self.calendars.get(f"{receiver}/{policy.key}") if policy else None,
        )

    def room(self, ref: str, at: datetime) -> Room | None:
        """Give the room of a service, ``partner/key``, that can still be relied on."""
        return room_now(self.rooms.get(ref, ()), at)
