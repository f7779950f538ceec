"""A referral rule as a plain sentence: when it fits, and what happens then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regional311.referral.rules import BadRule, Rule, rule_from
from regional311.web.i18n import _
from regional311.web.wording import (
    CHANNELS,
    LANGUAGES,
    PRIORITIES,
    SERVICE_DISPOSITIONS,
    VERBS,
    said,
)

OUTCOMES: Mapping[str, Any] = {
    "resolve_here": _("answer here"),
    "open_request": _("open a request with ${target}"),
    "refer": _("refer to ${target}"),
    "warm_transfer": _("stay on the line and hand over to ${target}"),
    "information": _("give the information"),
    "decline": _("say that it is not offered: ${reason}"),
}
TARGETS: Mapping[str, Any] = {
    "owner": _("whoever is responsible"),
    "self": _("ourselves"),
    "": _("whoever is responsible"),
}
OWNERS: Mapping[str, Any] = {
    "self": _("we are responsible"),
    "other": _("another partner is responsible"),
    "nobody": _("nobody is responsible"),
}


@dataclass
class Said:
    """One rule in words; `change` says how it differs from another version."""

    key: str
    name: str
    sentence: str
    extras: list[str] = field(default_factory=list)
    change: Any = None
    change_kind: str = "neutral"


class RuleWords:
    """Turns stored rules into sentences; `name` gives the name of a partner, service or place."""

    def __init__(self, translate: Callable[[Any], str], name: Callable[[str], str]) -> None:
        self._translate = translate
        self._name = name

    def say(self, stored: Mapping[str, Any]) -> Said:
        """Say one rule; a rule that cannot be read is shown as broken, never hidden."""
        try:
            rule = rule_from(stored)
        except BadRule as error:
            key = str(stored.get("key", "?"))
            return Said(key, str(stored.get("name", key)), error.message)
        when = self._conditions(rule)
        then = (
            self._translate(_("only add to what a later rule decides"))
            if rule.continues
            else (self._outcome(rule))
        )
        if when:
            pattern = _("When ${when}: ${then}.")
            sentence = self._fill(pattern, when=self._and(when), then=then)
        else:
            sentence = self._fill(_("Always: ${then}."), then=then)
        return Said(rule.key, rule.name, sentence, list(self._extras(rule)))

    def _outcome(self, rule: Rule) -> str:
        target = rule.target or ""
        named = self._translate(TARGETS[target]) if target in TARGETS else self._name(target)
        return self._fill(OUTCOMES[rule.outcome], target=named, reason=rule.reason)

    def _conditions(self, rule: Rule) -> list[str]:
        match = rule.match
        found = []
        for values, table, pattern in (
            (match.services, None, _("it is about ${what}")),
            (match.terms, None, _("it is the kind of thing called ${what}")),
            (match.verbs, VERBS, _("the person wants to ${what}")),
            (match.boundaries, None, _("the place lies in ${what}")),
            (match.channels, CHANNELS, _("it came by ${what}")),
            (match.languages, LANGUAGES, _("it is in ${what}")),
            (match.urgency, PRIORITIES, _("it is of ${what} urgency")),
            (match.dispositions, SERVICE_DISPOSITIONS, _("today it holds: ${what}")),
        ):
            if values:
                found.append(self._fill(pattern, what=self._or(values, table)))
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
            yield self._fill(_("It goes to the queue ${queue}."), queue=rule.queue)
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

    def _or(self, values: Iterable[str], table: Mapping[str, Any] | None) -> str:
        names = [
            self._name(each) if table is None else self._translate(said(table, each)).lower()
            for each in sorted(values)
        ]
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
