"""What the pages about rules share: sentences, states, addresses, and how fit a version is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from regional311.errors import DomainError
from regional311.identity.permissions import Permissions as P
from regional311.referral.checks import Problem
from regional311.referral.drafting import OPEN, Content
from regional311.referral.fitness import Fitness, decided, fitness
from regional311.referral.past import SAMPLE_DAYS, sampled
from regional311.web.billing_wording import holds
from regional311.web.i18n import _, translated
from regional311.web.rule_wording import RuleWords, Said
from regional311.web.security import may
from regional311.web.telling import telling


def rules_url(request: Any, *more: object) -> str:
    """Give the address of the rules, or of something below them."""
    return "/".join(("", request.tenant.slug, "rules", *(str(each) for each in more)))


def words_of_rules(request: Any, translate: Callable[[Any], str] | None = None) -> RuleWords:
    """Give what turns this partner's stored rules into sentences, as a page says them.

    ``translate`` puts them into another language than the page's.
    """
    tell = telling(request)

    def name(key: str) -> str:
        service = tell.published.directory.find(key if "/" in key else f"{tell.slug}/{key}")
        if service is not None:
            return service.name
        names = tell.published.names
        return names.get(f"{tell.slug}/{key}") or names.get(key) or key.replace("-", " ")

    def queue(target: str, key: str) -> str:
        slug = target if target in tell.published.partners else tell.slug
        return tell.published.queues(slug).get(key) or key.replace("-", " ")

    def branch(ref: str) -> str:
        term = tell.published.terms.find(ref)
        return term.name if term is not None else ref

    return RuleWords(
        translate or (lambda message: translated(request, message)), name, queue, branch
    )


def sentences(request: Any, rules: Iterable[Mapping[str, Any]]) -> list[Said]:
    """Say every rule of a version."""
    words = words_of_rules(request)
    return [words.say(each) for each in rules]


def decides_on(rows: Iterable[Any], day: date) -> Any:
    """Give the version that decides on a day, or nothing."""
    return next(
        (row for row in rows if row.published is not None and holds(row.published, day)), None
    )


def state_of(row: Any, today: date) -> str:
    """Give a version's state as people speak of it."""
    if row.published is None:
        return str(row.state)
    if holds(row.published, today):
        return "published"
    later = not row.published.isempty and row.published.lower and row.published.lower > today
    return "approved" if later else "retired"


def editable(request: Any, row: Any) -> bool:
    """Whether this person may edit this version."""
    return row.state in OPEN and may(request, P.RULE_EDIT)


def fitness_of(request: Any, row: Any, *, sample: bool = True, on: date | None = None) -> Fitness:
    """Check a version as it would decide on a day, with contacts of the last weeks.

    One statement with a sample, none without. Raises what `fitness` raises.
    """
    tell = telling(request)
    since = request.now - timedelta(days=SAMPLE_DAYS)
    return fitness(
        tell.published,
        tell.slug,
        row.version,
        Content.of(row),
        on or tell.today,
        sampled(request.dbsession, since=since) if sample else None,
    )


def problems_of(request: Any, row: Any) -> tuple[Problem, ...]:
    """Give what is decided to be wrong with a version, for the list of its rules."""
    tell = telling(request)
    try:
        return decided(tell.published, tell.slug, Content.of(row).rules, tell.today)
    except DomainError as error:
        return (Problem("", "", error.code, error.message),)


def problem_words(problem: Problem) -> dict[str, Any]:
    """Give what a problem is shown with."""
    return {
        "rule": problem.rule,
        "name": problem.name,
        "message": problem.message,
        "error": problem.level == "error",
        "tag": _("Error") if problem.level == "error" else _("Look at this"),
        "kind": "danger" if problem.level == "error" else "waiting",
        "how": _("decided") if problem.how == "decided" else _("found in contacts that were"),
    }
