"""What a receiver asks before it helps, asked at the public's own doors before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from regional311.referral.acceptance import Acceptance, policy_for
from regional311.referral.decision import Decision
from regional311.referral.filing import NotAccepted
from regional311.web.forms import Choice, HiddenWidget, RadioWidget, Schema, SchemaNode, String
from regional311.web.i18n import _, page_language
from regional311.web.offering import CONDITION
from regional311.web.spoken import own_language
from regional311.web.telling import Telling, telling

ASKS: Final = "asks_first"
"""The hidden field that names whose questions are on the form, as `partner/policy`."""
_HERE: Final = frozenset({"open_request", "resolve"})


@dataclass(frozen=True)
class Conditions:
    """The questions of one policy; `receiver` is the slug of the partner that asks them."""

    receiver: str
    policy: Acceptance

    @property
    def ref(self) -> str:
        return f"{self.receiver}/{self.policy.key}"

    def unanswered(self, answers: Iterable[tuple[str, str]]) -> bool:
        """Whether a question has no answer yet."""
        given = dict(answers)
        return any(each.key not in given for each in self.policy.question)

    def refuse(self, answers: Iterable[tuple[str, str]], names: Mapping[str, str]) -> None:
        """Refuse who cannot be helped, as the desk does. Raises `NotAccepted`."""
        given = dict(answers)
        codes = [
            ("offer-not-eligible", self.receiver, each.why or each.ask)
            for each in self.policy.question
            if given.get(each.key, each.answer) != each.answer
        ]
        if codes:
            raise NotAccepted(codes, names)

    def spoken(self, codes: Iterable[tuple[str, ...]], language: str) -> Iterator[tuple[str, ...]]:
        """Give codes with what the policy itself says in a language, where it says it so."""
        words = {
            there: here
            for each in self.policy.question
            for there, here in zip(
                (each.why or each.ask, each.ask), _reason_and_ask(each, language), strict=True
            )
        }
        for code, *arguments in codes:
            yield (code, *(words.get(each, each) for each in arguments))


def _reason_and_ask(question: Any, language: str) -> tuple[str, str]:
    ask, why = question.said(language)
    return why or ask, ask


def conditions_of(tell: Telling, decision: Decision | None, sender: str) -> Conditions | None:
    """Give what is asked first of whoever gets a need: the receiver's policy for this sender.

    Where the partner that was asked does it itself, what it takes from everybody counts: at its
    own desk a specialist asks, at the public's doors the form does.
    """
    if decision is None:
        return None
    policy, receiver = None, decision.target or sender
    if decision.verdict is not None:
        policy = decision.verdict.policy
    elif receiver == sender and decision.outcome in _HERE:
        known = tell.published.reception.policies.get(sender, ())
        policy = policy_for(known, decision.service, "")
    return Conditions(receiver, policy) if policy is not None and policy.question else None


def named(tell: Telling, ref: str) -> Conditions | None:
    """Give the conditions that a form says it asks."""
    receiver, _slash, key = ref.partition("/")
    for each in tell.published.reception.policies.get(receiver, ()):
        if each.key == key and each.question:
            return Conditions(receiver, each)
    return None


def add_conditions(request: Any, schema: Schema, conditions: Conditions) -> None:
    """Ask them on a form, each with yes or no, in the language of the page where they are."""
    tell, language = telling(request), page_language(request)
    row = tell.published.tenants[conditions.receiver]
    own = own_language(row)
    offered = [("yes", _("Yes")), ("no", _("No"))]
    for place, each in enumerate(conditions.policy.question):
        ask, _why = each.said(language)
        title = (
            ask
            if own == language or each.speaks(language)
            else Markup('<span lang="{}">{}</span>').format(own, ask)
        )
        node = SchemaNode(
            Choice(("yes", "no")),
            name=f"{CONDITION}{each.key}",
            title=title,
            widget=RadioWidget(values=offered),
        )
        if place == 0:
            node.section = _(
                "Before anything is promised: ${partner} asks", mapping={"partner": row.name}
            )
        schema.add(node)
    schema.add(
        SchemaNode(String(130), name=ASKS, title="", widget=HiddenWidget(), default=conditions.ref)
    )
