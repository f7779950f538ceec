"""Everything that is looked at before a draft of rules is approved: checks, sample, tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

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
    )


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
    problems = check_contents(content.rules, known)
    if not any(not each.get("off") for each in content.rules):
        problems.append(Problem("", "", "empty", "No rule is switched on."))
    ran: Sequence[Ran] = run_cases(region, published.jurisdictions, slug, content.cases, on)
    found = None if samples is None else check_sampled(region.rulebooks[slug], samples)
    return Fitness(
        (*problems, *(found.problems if found else ())),
        tuple(ran),
        found,
        open_owners(rules_from(content.rules), known),
    )
