"""Time of a decision, with what is stored of it, over 500 rules of 20 partners: under 2 ms."""

import random
import statistics
import sys
import time
from datetime import date

from regional311.catalog.directory import Directory, Disposition, Service
from regional311.referral.conditions import Facts
from regional311.referral.decision import Partner, Region, decide
from regional311.referral.rules import RuleBook, RuleSet, rules_from

LIMIT_MS = 2.0
RULES = 500
PARTNERS = ("city", *(f"partner-{number}" for number in range(19)))


def main() -> int:
    """Print the median and the 99th percentile in milliseconds; fail above the limit."""
    draw = random.Random(311)
    services = [
        Service(
            "city",
            f"service-{number}",
            f"Service {number}",
            term=f"term-{number}",
            dispositions=(Disposition("resolve"),),
        )
        for number in range(60)
    ]
    contents = []
    for number in range(RULES - 1):
        rule = {
            "key": f"rule-{number}",
            "name": f"Rule {number}",
            "channels": draw.sample(["phone", "web", "email", "text", "chat"], 2),
            "outcome": "information",
        }
        if number % 2:
            rule["condition"] = (
                f'!open && hour > {number % 12} && language in ["vi", "ru"] && anonymous'
            )
        else:
            rule["services"] = [f"service-{draw.randrange(60, 90)}"]
        contents.append(rule)
    last = {"outcome": "refer", "target": "partner-7"}
    contents.append({"key": "last", "name": "Last", **last})
    rules = rules_from(contents)
    region = Region(
        {slug: Partner(slug, "city") for slug in PARTNERS},
        Directory(services),
        rulebooks={slug: RuleBook.of(RuleSet(slug, 1, rules)) for slug in PARTNERS},
        partnerships=frozenset(frozenset({"city", slug}) for slug in PARTNERS[1:]),
    )
    on = date(2026, 10, 5)
    taken = []
    for number in range(3000):
        facts = Facts(partner="city", channel=draw.choice(["phone", "web"]), open=bool(number % 3))
        start = time.perf_counter()
        decision = decide(region, services[number % 60], facts, on)
        decision.trace(), decision.facts.values()
        taken.append((time.perf_counter() - start) * 1000)
    median = statistics.median(taken)
    print(f"{RULES} rules: median {median:.3f} ms, 99 % {sorted(taken)[2970]:.3f} ms")
    return 0 if median < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
