"""Everything that is looked at before a draft of rules is approved: checks, sample, tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from weakref import WeakKeyDictionary

import orjson

from regional311.referral.cases import Ran, run_cases
from regional311.referral.checks import (
    ERROR,
    Known,
    Problem,
    Sample,
    Sampled,
    check_contents,
    check_sampled,
    open_owners,
)
from regional311.referral.drafting import Content
from regional311.referral.rules import rules_from
from regional311.referral.snapshot import Published


@dataclass(frozen=True, slots=True)
class Fitness:
    """What was found of a version.

    ``open_owners`` says for whose services a contact may match nothing; empty means that it is
    decided that there is no gap.
    """

    problems: tuple[Problem, ...]
    ran: tuple[Ran, ...]
    sampled: Sampled | None
    open_owners: frozenset[str]

    @property
    def errors(self) -> list[str]:
        """What keeps it from being published: errors, each with its rule, and failed tests."""
        found = [
            f"Rule {each.name!r}: {each.message}" for each in self.problems if each.level == ERROR
        ]
        found += [f"Test {each.case.name!r} {each.wrong}" for each in self.ran if not each.passed]
        return found


def known_of(published: Published, slug: str, on: date) -> Known:
    """Give what a partner's rules may refer to on a day."""
    return Known.of(
        published.region(on),
        slug,
        published.boundaries,
        published.queues(slug),
        published.sharing(on).fields,
        branches=(
            f"{taxonomy}:{code}"
            for taxonomy, codes in published.terms.codes.items()
            for code in codes
        ),
        on=on,
        meeting=published.jurisdictions.meeting,
    )


_kept: Final[WeakKeyDictionary[Published, dict[tuple[str, date, str], tuple[Problem, ...]]]] = (
    WeakKeyDictionary()
)
"""What was decided of versions in each snapshot: it is of that snapshot, and goes with it."""
_MOST_KEPT: Final = 500


def decided(
    published: Published, slug: str, rules: Sequence[Mapping[str, Any]], on: date
) -> tuple[Problem, ...]:
    """Give what is decided to be wrong with a partner's rules as they would decide on a day.

    It follows from the rules and from what is published, and is kept under a digest of the one in
    the snapshot of the other: the same is not looked at twice.
    """
    kept = _kept.setdefault(published, {})
    key = slug, on, hashlib.sha256(orjson.dumps(rules)).hexdigest()
    found = kept.get(key)
    if found is None:
        problems = check_contents(rules, known_of(published, slug, on))
        if not any(not each.get("off") for each in rules):
            problems.append(Problem("", "", "empty", "No rule is switched on."))
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        found = kept[key] = tuple(problems)
    return found


def fitness(
    published: Published,
    slug: str,
    version: int,
    content: Content,
    on: date,
    samples: Iterable[Sample] | None = None,
) -> Fitness:
    """Check a version as it would decide on a day; ``samples`` are contacts to try it on.

    Raises :class:`BadRule` for a rule that cannot be read.
    """
    known = known_of(published, slug, on)
    region = published.trying(slug, version, content.rules, on)
    problems = decided(published, slug, content.rules, on)
    ran: Sequence[Ran] = run_cases(region, published.jurisdictions, slug, content.cases, on)
    found = None if samples is None else check_sampled(region.rulebooks[slug], samples)
    return Fitness(
        (*problems, *(found.problems if found else ())),
        tuple(ran),
        found,
        open_owners(rules_from(content.rules), known),
    )
