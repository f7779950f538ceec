"""What the desk shows of a receiver before anything is promised: its answer, its questions, others.

The questions of a receiver's policy are answered in the preview, in fields of their own whose names
begin with ``meets-``: which of them there are depends on who would get the need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from regional311.catalog.directory import Service
from regional311.referral.acceptance import REFUSALS, Room
from regional311.referral.decision import Decision, said
from regional311.referral.filing import Intake
from regional311.web.forms import Choice, HiddenWidget, Schema, SchemaNode
from regional311.web.i18n import _
from regional311.web.telling import Telling
from regional311.web.wording import ROOM_STATES
from regional311.web.wording import said as worded

CONDITION: Final = "meets-"
MOST: Final = 20
_FIELD: Final = re.compile(r"meets-[a-z0-9-]{1,60}", re.ASCII)

NOTHING_OFFERED: Final[Mapping[str, Any]] = {"refused": (), "others": (), "conditions": ()}


def add_receivers_questions(request: Any, schema: Schema) -> None:
    """Let the form take the answers to a receiver's questions that were sent with it."""
    sent = sorted({name for name in request.POST if _FIELD.fullmatch(name)})
    for name in sent[:MOST]:
        schema.add(
            SchemaNode(
                Choice(("yes", "no")),
                name=name,
                title=_("Condition"),
                missing=None,
                widget=HiddenWidget(),
            )
        )


def answered_by(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Give the answers to a receiver's questions, by the key of the question."""
    return tuple(
        (name.removeprefix(CONDITION), value)
        for name, value in sorted(values.items())
        if _FIELD.fullmatch(name) and value in ("yes", "no")
    )


def offered_to(tell: Telling, decision: Decision, intake: Intake) -> dict[str, Any]:
    """Say what the receiver says: why it refuses, who else could help, what it asks first."""
    verdict = decision.verdict
    if verdict is None:
        return dict(NOTHING_OFFERED)
    answers = dict(intake.eligible)
    picked = [code[1] for code in decision.reasons if code[0] == "offer-chosen"]
    others = [
        {
            "ref": ref,
            "who": tell.partner(ref.partition("/")[0]),
            "name": tell.published.names.get(ref, ref),
            "picked": ref in picked,
        }
        for ref in (*picked, *decision.alternatives)
    ]
    # one question at a time: who else, and not also who of those that the place names
    shown: dict[str, Any] = {"candidates": []} if others else {}
    return shown | {
        "refused": tuple(
            said(
                [code for code in decision.reasons if code[0] in REFUSALS],
                tell.published.names,
                tell.translate,
            )
        )
        if verdict.refused
        else (),
        "others": others,
        "conditions": [
            {
                "name": f"{CONDITION}{each.key}",
                "ask": each.ask,
                "answer": answers.get(each.key),
            }
            for each in (verdict.policy.question if verdict.policy else ())
        ],
    }


def room_of(tell: Telling, service: Service) -> dict[str, Any] | None:
    """Say what room a service has, as its partner said it, for a hit or a row; None: not known."""
    room = tell.published.reception.room(service.ref, tell.request.now)
    return None if room is None else room_shown(tell, room)


def room_shown(tell: Telling, room: Room) -> dict[str, Any]:
    """Say a room in words."""
    words: Any = worded(ROOM_STATES, room.state)
    if room.places is not None:
        words = tell.request.localizer.pluralize(
            "${num} place",
            "${num} places",
            room.places,
            domain="regional311",
            mapping={"num": room.places},
        )
    return {
        "words": words,
        "kind": {"has": "done", "none": "refused"}.get(room.state, "waiting"),
        "until": tell.when(room.until),
        "note": room.note or None,
    }
