"""Deciding contacts again that were decided before, with other rules: many, and fast.

What a decision comes to depends only on the facts that some rule looks at, on the service, and on
what holds that day. Contacts that are alike in these are decided once. The outcome is the same as
deciding each by itself: nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from regional311.catalog.directory import Service
from regional311.referral.conditions import FACTS, Facts
from regional311.referral.decision import Decision, Region, Responsible, by_rules
from regional311.referral.past import facts_from

ALWAYS: Final = frozenset({"service", "asked", "owner", "partner", "confidential"})
"""Facts that a decision looks at whatever the rules say."""


@dataclass(frozen=True, slots=True)
class Came:
    """What a contact comes to."""

    outcome: str
    target: str
    service: str
    owner: str
    rule: str
    rule_tenant: str


def decide_again(region: Region, facts: Facts, on: date) -> Came | None:
    """Decide complete facts of a contact that was, by itself.

    Whose the service is was decided then and stays. None when there is no such service any more.
    """
    found = decide_in_full(region, facts, on)
    if found is None:
        return None
    return Came(
        found.outcome, found.target, found.service, found.owner, found.rule, found.rule_tenant
    )


def decide_in_full(region: Region, facts: Facts, on: date) -> Decision | None:
    """Decide as :func:`decide_again` does, and give everything that explains it."""
    service = _service(region, facts.owner, facts.service, facts.asked)
    if service is None:
        return None
    return by_rules(region, service, facts, on, Responsible(facts.owner, service))


class Again:
    """Decides contacts that were; `region_of` gives the region of a day, with the rules to try."""

    def __init__(self, region_of: Callable[[date], Region]) -> None:
        self._region_of = region_of
        self._days: dict[date, tuple[Region, int, tuple[str, ...]]] = {}
        self._alike: dict[Any, int] = {}
        self._known: dict[Any, Came | None] = {}

    def decide(self, stored: Mapping[str, Any], on: date) -> Came | None:
        """Decide stored facts again; the same as :func:`decide_again` for each."""
        day = self._days.get(on)
        if day is None:
            day = self._days[on] = self._day(on)
        region, kind, names = day
        key = (
            kind,
            *[
                tuple(value) if isinstance(value := stored.get(name), list) else value
                for name in names
            ],
        )
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = decide_again(region, facts_from(stored), on)
            return found

    def _day(self, on: date) -> tuple[Region, int, tuple[str, ...]]:
        region = self._region_of(on)
        books = sorted(region.rulebooks.items())
        alike = (
            tuple((slug, id(book)) for slug, book in books),
            region.partnerships,
            tuple(region.agencies),
            tuple(
                (rule.valid_from is None or rule.valid_from <= on)
                and (rule.valid_to is None or on < rule.valid_to)
                for _slug, book in books
                for rule in book.rule_set.rules
                if rule.valid_from or rule.valid_to
            ),
            tuple((each.disposition(on), each.offered(on)) for each in region.directory.services),
        )
        kind = self._alike.setdefault(alike, len(self._alike))
        used = ALWAYS.union(*(book.uses for _slug, book in books))
        return region, kind, tuple(sorted(used & FACTS.keys()))


def _service(region: Region, owner: str, key: str, asked: str) -> Service | None:
    return region.directory.find(f"{owner}/{key}") or region.directory.find(asked)
