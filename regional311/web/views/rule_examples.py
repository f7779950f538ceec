"""One example of a backtest: the facts that rules looked at, and both decisions in full.

For those who keep rules, whoever may open the contact or not: codes only, nothing of the person.
"""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.view import view_config

from regional311.floor.watching import contact_is_confidential
from regional311.identity.permissions import Permissions as P
from regional311.intake.queries import contact_numbers
from regional311.referral import backtest
from regional311.referral.again import ALWAYS, decide_in_full
from regional311.referral.backtest import Tally
from regional311.referral.decision import Decision, Region
from regional311.referral.past import facts_from
from regional311.web.billing_wording import Words, page
from regional311.web.i18n import _
from regional311.web.representations import json_response, wanted
from regional311.web.rule_pages import rules_url
from regional311.web.rule_traces import OF_THE_PERSON, of_decision, of_stored, values
from regional311.web.security import may
from regional311.web.telling import telling
from regional311.web.tree import BacktestRecord
from regional311.web.views.rule_backtests import Result

_LOOKED_AT = ALWAYS | {"hour", "weekday", "open", "channel", "boundaries"}
"""Facts that are shown in any case: what was asked for, when, how and in which areas."""


@view_config(
    context=BacktestRecord,
    name="example",
    permission=P.RULE_READ,
    request_method="GET",
    renderer="rules/example.jinja2",
)
def example(context: BacktestRecord, request: Any) -> Any:
    """What was decided of an example and what would be, each with every rule that was tried."""
    version = context.__parent__.rule_set.record  # type: ignore[union-attr]
    record, session = context.record, request.dbsession
    tell, words = telling(request), Words(request)
    examples = Tally.of(record.result).examples
    place = _place(request)
    found = backtest.example(session, examples, place)
    if not request.identity.cleared(request.tenant.id) and contact_is_confidential(
        session, found.contact_id, tell.confidential_services
    ):
        raise HTTPNotFound
    facts = facts_from(found.facts)
    region = tell.published.trying(tell.slug, version.version, record.rules, found.on)
    after = decide_in_full(region, facts, found.on)
    then = tell.published.region(found.on)
    opens = may(request, P.CONTACT_READ)
    looked_at = _LOOKED_AT | _used(then, region, after, tell.slug)
    hides = frozenset() if opens else OF_THE_PERSON
    shown = values(facts, looked_at - hides)
    before = of_stored(request, found.outcome, found.trace, facts, hides)
    told = (
        None
        if after is None
        else of_decision(request, region, after, record.rules, version.version, found.on, hides)
    )
    if wanted(request) == "json":
        return json_response(
            {
                "on": found.on,
                "facts": dict(shown),
                "before": {"outcome": found.outcome, "target": found.trace.get("target")},
                "after": None
                if after is None
                else {"outcome": after.outcome, "target": after.target, "rule": after.rule},
            }
        )
    here = rules_url(request, version.version, "backtests", record.id)
    numbers = contact_numbers(session, [found.contact_id]) if opens else {}
    number = numbers.get(found.contact_id)
    return page(
        request,
        current=version,
        url=rules_url(request, version.version),
        rules_url=rules_url(request),
        here=here,
        number=place + 1,
        of=len(examples),
        before_url=f"{here}/example?n={place - 1}" if place else None,
        after_url=f"{here}/example?n={place + 1}" if place + 1 < len(examples) else None,
        contact=number,
        contact_url=f"/{tell.slug}/contacts/{number}" if number else None,
        day=words.day(found.on),
        move=Result.of(request, record, Tally()).move(found.move),
        refused=found.refused,
        facts=shown,
        sides=[
            (_("What was decided then"), before),
            (_("What these rules decide"), told),
        ],
    )


def _place(request: Any) -> int:
    text = request.GET.get("n", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise HTTPNotFound
    return int(text)


def _used(then: Region, now: Region, after: Decision | None, slug: str) -> frozenset[str]:
    """The facts that some rule of the sets that were tried looks at, then or now."""
    partners = {slug} if after is None else {slug, *(each.tenant for each in after.tried)}
    books = [
        region.rulebooks[each]
        for region in (then, now)
        for each in partners
        if each in region.rulebooks
    ]
    return frozenset[str]().union(*(book.uses for book in books))
