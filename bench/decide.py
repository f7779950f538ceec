"""Time of a decision over 200 rules: the median must be under 1 ms."""

import random
import statistics
import sys
import time
from datetime import date

from regional311.catalog.directory import Directory, Disposition, Service
from regional311.referral.conditions import Facts
from regional311.referral.decision import Partner, Region, decide
from regional311.referral.rules import RuleBook, RuleSet, rules_from

LIMIT_MS = 1.0
RULES = 200


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
    contents.append({"key": "last", "name": "Last", "outcome": "information"})
    book = RuleBook.of(RuleSet("city", 1, rules_from(contents)))
    region = Region(
        {"city": Partner("city", "city")}, Directory(services), rulebooks={"city": book}
    )
    on = date(2026, 10, 5)
    taken = []
    for number in range(3000):
        facts = Facts(partner="city", channel=draw.choice(["phone", "web"]), open=bool(number % 3))
        start = time.perf_counter()
        decide(region, services[number % 60], facts, on)
        taken.append((time.perf_counter() - start) * 1000)
    median = statistics.median(taken)
    print(f"{RULES} rules: median {median:.3f} ms, 99 % {sorted(taken)[2970]:.3f} ms")
    return 0 if median < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
