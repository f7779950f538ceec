"""A referral rule as a plain sentence: when it fits, and what happens then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regional311.referral.conditions import Facts
from regional311.referral.rules import BadRule, Rule, rule_from
from regional311.web.i18n import _
from regional311.web.wording import (
    CHANNELS,
    DECLINE_REASONS,
    LANGUAGES,
    PRIORITIES,
    VERBS,
    said,
)

OUTCOMES: Mapping[str, Any] = {
    "resolve_here": _("answer here"),
    "open_request": _("open a request with ${target}"),
    "refer": _("refer to ${target}"),
    "warm_transfer": _("stay on the line and hand over to ${target}"),
    "information": _("give the information"),
    "decline": _("say that it is not offered (${reason})"),
}
OURSELVES: Mapping[str, Any] = {
    "open_request": _("open a request of our own"),
    "refer": _("refer within our own house"),
    "warm_transfer": _("stay on the line and hand over to our own people"),
}
OWNERS: Mapping[str, Any] = {
    "self": _("we are responsible"),
    "other": _("another partner is responsible"),
    "nobody": _("nobody is responsible"),
}


DISPOSITIONS: Mapping[str, Any] = {
    "resolve": _("311 resolves it on that day"),
    "refer": _("311 refers it on that day"),
    "undecided": _("it is undecided what 311 does with it"),
}


WHY: Mapping[str, Any] = {
    "=": _("It fits, and decides."),
    "+": _("It fits, and adds; the next rule is tried."),
    "z": _("It is switched off."),
    "d": _("It does not hold on that day."),
    "s": _("It is about other services than ${service}."),
    "k": _("${service} belongs under none of its branches."),
    "v": _("It is not for who wants to ${verb}."),
    "t": _("It is about other kinds of thing than this: ${kinds}."),
    "b": _("The place lies elsewhere: ${places}."),
    "c": _("It is not for contacts by ${channel}."),
    "l": _("It is not for contacts in ${language}."),
    "h": _("It is for the other hours of the line."),
    "f": _("It is for matters that are confidential, or that are not, and this is the other."),
    "u": _("It is not for ${urgency} urgency."),
    "o": _("It is for when others are responsible than ${owner}."),
    "p": _("It is for when 311 does something else with the service: ${disposition}."),
    "x": _("Its condition does not hold."),
    "n": _("It would fit, but no agreement lets the work go there."),
    "": _("It is not tried: a rule before it decides."),
}
"""What came of trying a rule, by the letter that a decision keeps."""
NO_MATCH: Any = _("It does not fit.")
NOBODY: Any = _("nobody")
NOWHERE: Any = _("no known place")


def _plain(key: str) -> str:
    return key.replace("-", " ")


@dataclass
class Said:
    """One rule in words; `change` says how it differs from another version."""

    key: str
    name: str
    sentence: str
    extras: list[str] = field(default_factory=list)
    change: Any = None
    change_kind: str = "neutral"
    off: bool = False
    group: str = ""
    problems: list[Any] = field(default_factory=list)


class RuleWords:
    """Turns stored rules into sentences.

    `name` gives the name of a partner, service or place; `queue` that of a queue, by the partner
    who gets the work and the queue's key; `branch` that of a term of a taxonomy.
    """

    def __init__(
        self,
        translate: Callable[[Any], str],
        name: Callable[[str], str],
        queue: Callable[[str, str], str],
        branch: Callable[[str], str] = str,
    ) -> None:
        self._translate = translate
        self._branch = branch
        self._name = name
        self._queue = queue

    def say(self, stored: Mapping[str, Any]) -> Said:
        """Say one rule; a rule that cannot be read is shown as broken, never hidden."""
        try:
            rule = rule_from(stored)
        except BadRule as error:
            key = str(stored.get("key", "?"))
            return Said(key, str(stored.get("name", key)), error.message)
        when = self._conditions(rule)
        then = (
            self._translate(_("add what follows, and go on to the next rule"))
            if rule.continues
            else (self._outcome(rule))
        )
        if when:
            pattern = _("When ${when}: ${then}.")
            sentence = self._fill(pattern, when=self._and(when), then=then)
        else:
            sentence = self._fill(_("Always: ${then}."), then=then)
        return Said(
            rule.key,
            rule.name,
            sentence,
            list(self._extras(rule)),
            off=rule.off,
            group=rule.group,
        )

    def outcome(self, outcome: str, target: str, reason: str = "") -> str:
        """Say an outcome, such as *refer to 211info*."""
        return self._outcome(Rule("", "", outcome, target=target, reason=reason))

    def why(self, code: str, facts: Facts) -> str:
        """Say what came of trying one rule on facts: which matcher refused first, and why."""
        owner = self._name(facts.owner) if facts.owner else self._translate(NOBODY)
        places = [self._name(each) for each in facts.boundaries]
        values = {
            "service": self._name(facts.asked),
            "verb": self._lower(VERBS)(facts.verb),
            "kinds": ", ".join(_plain(each) for each in facts.terms) or "–",
            "places": ", ".join(places) or self._translate(NOWHERE),
            "channel": self._lower(CHANNELS)(facts.channel),
            "language": self._language(facts.language),
            "urgency": self._lower(PRIORITIES)(facts.urgency),
            "owner": owner,
            "disposition": self._disposition(facts.disposition),
        }
        # a letter of an old decision that means nothing any more
        return self._fill(WHY.get(code, NO_MATCH), **values)

    def _outcome(self, rule: Rule) -> str:
        if rule.target == "self" and rule.outcome in OURSELVES:
            return self._translate(OURSELVES[rule.outcome])
        if rule.target in ("", "owner"):
            named = self._translate(_("whoever is responsible"))
        else:
            named = self._name(rule.target)
        reason = rule.reason.replace("-", "_")
        told = self._translate(said(DECLINE_REASONS, reason)).replace("_", " ").lower()
        return self._fill(OUTCOMES[rule.outcome], target=named, reason=told)

    def _conditions(self, rule: Rule) -> list[str]:
        match = rule.match
        found = []
        for values, say, pattern in (
            (match.services, self._name, _("it is about ${what}")),
            (match.terms, _plain, _("it is of the kind “${what}”")),
            (match.branches, self._branch, _("it belongs under “${what}”")),
            (match.verbs, self._lower(VERBS), _("the person wants to ${what}")),
            (match.boundaries, self._name, _("the place lies in ${what}")),
            (match.channels, self._lower(CHANNELS), _("it came by ${what}")),
            (match.languages, self._language, _("it is in ${what}")),
            (match.urgency, self._lower(PRIORITIES), _("it is of ${what} urgency")),
            (match.dispositions, self._disposition, _("${what}")),
        ):
            if values:
                found.append(self._fill(pattern, what=self._or(values, say)))
        for owner in sorted(match.owners):
            if owner in OWNERS:
                found.append(self._translate(OWNERS[owner]))
            else:
                found.append(self._fill(_("${who} is responsible"), who=self._name(owner)))
        if match.hours:
            open_ = match.hours == "open"
            found.append(
                self._translate(_("the line is open") if open_ else _("the line is closed"))
            )
        if match.confidential is not None:
            found.append(
                self._translate(
                    _("the matter is confidential")
                    if match.confidential
                    else _("the matter is not confidential")
                )
            )
        if rule.condition:
            found.append(self._fill(_("this holds: ${condition}"), condition=rule.condition))
        return found

    def _extras(self, rule: Rule) -> Iterable[str]:
        if rule.note:
            yield self._fill(_("Note: ${note}"), note=rule.note)
        if rule.priority:
            told = self._translate(said(PRIORITIES, rule.priority)).lower()
            yield self._fill(_("It gets ${priority} priority."), priority=told)
        if rule.queue:
            yield self._fill(
                _("It goes to the queue ${queue}."), queue=self._queue(rule.target, rule.queue)
            )
        if rule.follow_up_days is not None:
            yield self._fill(
                _("After ${days} days somebody asks what became of it."), days=rule.follow_up_days
            )
        if rule.share:
            yield self._fill(
                _("With consent it shares: ${fields}."),
                fields=", ".join(each.replace("_", " ").replace("-", " ") for each in rule.share),
            )
        if rule.valid_from:
            yield self._fill(_("From ${day} on."), day=rule.valid_from.isoformat())
        if rule.valid_to:
            yield self._fill(_("Until ${day}, that day no more."), day=rule.valid_to.isoformat())
        if rule.basis:
            yield self._fill(_("It rests on: ${basis}."), basis=rule.basis)
        if rule.remark:
            yield self._fill(_("Why: ${remark}"), remark=rule.remark)

    def _lower(self, table: Mapping[str, Any]) -> Callable[[str], str]:
        return lambda code: self._translate(said(table, code)).lower()

    def _language(self, code: str) -> str:
        return self._translate(said(LANGUAGES, code))

    def _disposition(self, code: str) -> str:
        return self._translate(DISPOSITIONS.get(code, code))

    def _or(self, values: Iterable[str], say: Callable[[str], str]) -> str:
        names = [say(each) for each in sorted(values)]
        if len(names) == 1:
            return names[0]
        pattern = _("${first} or ${last}")
        return self._fill(pattern, first=", ".join(names[:-1]), last=names[-1])

    def _and(self, parts: list[str]) -> str:
        if len(parts) == 1:
            return parts[0]
        pattern = _("${first} and ${last}")
        return self._fill(pattern, first=", ".join(parts[:-1]), last=parts[-1])

    def _fill(self, pattern: Any, **values: object) -> str:
        return self._translate(_(str(pattern), mapping={k: str(v) for k, v in values.items()}))
