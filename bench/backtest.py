"""A backtest of 500 rules over 200,000 contacts, on the database, as the worker does it.

The contacts differ in service, channel, language, urgency, hour, weekday, boundaries and what was
asked for, so that few are alike; half of the rules name services, half have a condition. A sample
is decided one by one as well and must come to the same. `REGIONAL311_BENCH_CONTACTS` sets how many
contacts there are.
"""

from __future__ import annotations

import json
import os
import random
import time
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select, text

from bench import Figure, Site
from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.referral import backtest, drafting
from regional311.referral.again import Again, decide_again
from regional311.referral.drafting import Content
from regional311.referral.models import Backtest, RuleSet
from regional311.referral.past import facts_from
from regional311.referral.snapshot import Published, published

CONTACTS = int(os.environ.get("REGIONAL311_BENCH_CONTACTS", "200000"))
RULES = 500
CITY = "city-of-portland"
FIRST, DAYS = date(2026, 10, 1), 31
NOW = datetime(2026, 11, 10, 18, tzinfo=UTC)
CHECKED = 5_000
FILL = text("""
INSERT INTO decisions (
    tenant_id, id, contact_id, need_id, rule_set_version, rule_key, outcome, target_tenant_id,
    facts, trace, decided_at
)
SELECT :tenant, (each->>'id')::uuid, (each->>'id')::uuid, NULL, 1, NULL, each->>'outcome', NULL,
    each->'facts', each->'trace', (each->>'at')::timestamptz
FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS each
""")


def contents(draw: random.Random, region: Published) -> list[dict[str, object]]:
    """Make up rules: few fit, so that most contacts go through nearly all of them."""
    services = [each.ref for each in region.directory.services]
    found: list[dict[str, object]] = []
    for number in range(RULES - 2):
        rule: dict[str, object] = {
            "key": f"rule-{number}",
            "name": f"Rule {number}",
            "channels": draw.sample(["phone", "web", "email", "text", "chat"], 2),
            "outcome": "information",
        }
        if number % 2:
            rule["condition"] = f'!open && hour > {number % 12} && language in ["vi", "ru"]'
            rule["urgency"] = ["urgent"]
        else:
            rule["services"] = draw.sample(services, 2)
        found.append(rule)
    found.append({"key": "own", "name": "Own", "owners": ["self"], "outcome": "open_request"})
    found[-1]["target"] = "self"
    found.append({"key": "rest", "name": "Rest", "outcome": "information"})
    return found


def contact(draw: random.Random, region: Published, boundaries: list[str]) -> dict[str, object]:
    """Make up a contact with its decision."""
    service = draw.choice(region.directory.services)
    at = datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(
        days=draw.randrange(DAYS), seconds=draw.randrange(8 * 3600, 24 * 3600)
    )
    hour = (at - timedelta(hours=7)).hour
    facts = {
        "service": service.key,
        "asked": service.ref,
        "owner": service.tenant,
        "disposition": service.disposition(at.date()),
        "bureau": service.bureau,
        "verb": service.verb,
        "terms": [service.term] if service.term else [],
        "partner": CITY,
        "channel": draw.choice(["phone", "phone", "web", "email", "text", "chat"]),
        "language": draw.choice(["en", "en", "en", "es", "vi", "ru"]),
        "urgency": draw.choice(["low", "normal", "normal", "high", "urgent"]),
        "open": 8 <= hour < 17,
        "hour": hour,
        "weekday": at.isoweekday(),
        "place_known": True,
        "boundaries": draw.sample(boundaries, draw.randrange(3)),
        "near_boundary": draw.random() < 0.05,
        "confidential": service.confidential,
        "anonymous": draw.random() < 0.5,
        "consent": draw.random() < 0.3,
        "interpreter": draw.random() < 0.1,
        "accommodation": False,
        "answers": [],
    }
    day = (at - timedelta(hours=7)).date().isoformat()
    return {
        "id": str(new_id()),
        "at": at.isoformat(),
        "outcome": "information",
        "facts": facts,
        "trace": {"on": day, "target": "", "service": service.key},
    }


def run(site: Site) -> list[Figure]:
    """Fill a month, run the worker's parts to the end, compare a sample with one by one."""
    draw = random.Random(311)
    region = published(site.engine)
    tenant = region.ids[CITY]
    boundaries = sorted(region.boundaries)
    with session_scope(site.engine, Scope(tenant)) as session:
        for start in range(0, CONTACTS, 5_000):
            many = min(5_000, CONTACTS - start)
            rows = [contact(draw, region, boundaries) for _ in range(many)]
            session.execute(FILL, {"tenant": tenant, "rows": json.dumps(rows)})
    rules = contents(draw, region)
    with session_scope(site.engine, Scope(tenant, new_id())) as session:
        version = drafting.begin(session, Content(tuple(rules)), now=NOW)
    with session_scope(site.engine, Scope(tenant, new_id())) as session:
        row = session.execute(
            select(RuleSet.__table__).where(RuleSet.tenant_id == tenant, RuleSet.version == version)
        ).one()
        asked = backtest.ask(
            session,
            row,
            first_on=FIRST,
            last_on=FIRST + timedelta(days=DAYS),
            today=NOW.date(),
            now=NOW,
        )
    begun, worked = time.perf_counter(), time.process_time()
    parts = 0
    while True:
        with session_scope(site.engine, Scope(tenant)) as session:
            backtest.work(session, NOW)
            parts += 1
            state, done = session.execute(
                select(Backtest.state, Backtest.done).where(Backtest.id == asked)
            ).one()
        if state not in backtest.OPEN:
            break
    seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    assert state == "done", state
    book = region.compiled(CITY, 0, rules)
    again = Again(lambda on: region.with_book(book, on))
    differing = 0
    begun = time.perf_counter()
    for _ in range(CHECKED):
        one = contact(draw, region, boundaries)
        facts, on = one["facts"], date.fromisoformat(one["trace"]["on"])  # type: ignore[index]
        alone = decide_again(region.with_book(book, on), facts_from(facts), on)  # type: ignore[arg-type]
        differing += again.decide(facts, on) != alone  # type: ignore[arg-type]
    alone_ms = (time.perf_counter() - begun) * 1000 / CHECKED
    return [
        Figure(f"{done} contacts over {RULES} rules, {parts} parts", seconds, "s", at_most=60),
        Figure("of them this process worked", worked, "s"),
        Figure("differing from one by one", float(differing), "", at_most=0),
        Figure("one decision by itself and once alike", alone_ms, "ms"),
    ]
