"""Tiers, packages, surcharges and phases as a person writes them in a form or a spreadsheet.

    tiers        10: 10 + 2; 20: 5 + 3; rest: 5 + 3       up to 10 units 10 dollars each, and 2
    package      100 after 100                            packages of 100 after 100 free units
    percentage   floor 0.50; cap 20
    surcharges   night: after 25 %; spanish: es vi 0.40   hours and languages, then how much
    phases       2026-07-01: 16.667 %; 2027-07-01: 33.333 %

Parts are parted by semicolons or lines. What cannot be read is a `BadTariff` that says how to write
it; whether it makes sense is for `Tariff.of`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from regional311.chargeback.charge_models import HOURS, BadTariff

_NUMBER = r"\d{1,12}(?:\.\d{1,6})?"
_TIER = re.compile(rf"(rest|{_NUMBER})\s*:\s*({_NUMBER})(?:\s*\+\s*({_NUMBER}))?", re.ASCII)
_PACKAGE = re.compile(rf"({_NUMBER})(?:\s+after\s+({_NUMBER}))?", re.ASCII)
_BOUND = re.compile(rf"(floor|cap)\s+({_NUMBER})", re.ASCII)
_SURCHARGE = re.compile(
    rf"([a-z0-9]+(?:-[a-z0-9]+)*)\s*:\s*([A-Za-z -]*?)\s*({_NUMBER})\s*(%?)", re.ASCII
)
_PHASE = re.compile(rf"(\d{{4}}-\d{{2}}-\d{{2}})\s*:\s*({_NUMBER})\s*%?", re.ASCII)
_HOW = {
    "graduated": 'Write tiers as "10: 10 + 2; rest: 5 + 3".',
    "volume": 'Write tiers as "10: 10 + 2; rest: 5 + 3".',
    "package": 'Write a package as "100 after 100", or "100".',
    "percentage": 'Write "floor 0.50; cap 20", one of them, or nothing.',
}


def read_steps(model: str, text: str | None) -> dict[str, Any] | None:
    """Read what a charge model needs besides the price.

    >>> read_steps("package", "100 after 50")
    {'size': '100', 'free': '50'}
    """
    parts = _parts(text)
    if model == "unit":
        if parts:
            raise BadTariff("A price by the unit has no steps; leave this empty.", field="steps")
        return None
    how = _HOW.get(model, "There is no such charge model.")
    if model == "percentage":
        bounds = [_match(_BOUND, part, how, "steps") for part in parts]
        return {found[1]: found[2] for found in bounds}
    if model == "package":
        if len(parts) != 1:
            raise BadTariff(how, field="steps")
        found = _match(_PACKAGE, parts[0], how, "steps")
        return {"size": found[1]} | ({} if found[2] is None else {"free": found[2]})
    tiers = []
    for part in parts:
        found = _match(_TIER, part, how, "steps")
        tier = {} if found[1] == "rest" else {"up_to": found[1]}
        tier |= {"price": found[2]} | ({} if found[3] is None else {"flat": found[3]})
        tiers.append(tier)
    if not tiers:
        raise BadTariff(how, field="steps")
    return {"tiers": tiers}


def read_surcharges(text: str | None) -> list[dict[str, Any]]:
    """Read surcharges.

    >>> read_surcharges("night: after 25 %")
    [{'key': 'night', 'hours': 'after', 'percent': '25'}]
    """
    how = 'Write surcharges as "night: after 25 %; spanish: es vi 0.40".'
    said = []
    for part in _parts(text):
        found = _match(_SURCHARGE, part, how, "surcharges")
        words = found[2].split()
        hours = [word for word in words if word in HOURS]
        languages = [word for word in words if word not in HOURS]
        if len(hours) > 1:
            raise BadTariff(how, field="surcharges")
        one: dict[str, Any] = {"key": found[1]}
        one |= {"hours": hours[0]} if hours else {}
        one |= {"languages": languages} if languages else {}
        said.append(one | {"percent" if found[4] else "amount": found[3]})
    return said


def read_phases(text: str | None) -> list[dict[str, Any]]:
    """Read phases.

    >>> read_phases("2026-07-01: 16.667 %")
    [{'from': '2026-07-01', 'percent': '16.667'}]
    """
    how = 'Write phases as "2026-07-01: 16.667 %; 2027-07-01: 33.333 %".'
    found = [_match(_PHASE, part, how, "phases") for part in _parts(text)]
    return [{"from": each[1], "percent": each[2]} for each in found]


def say_steps(model: str, steps: Mapping[str, Any] | None) -> str:
    """Write steps as `read_steps` reads them."""
    if not steps:
        return ""
    if model == "package":
        return f"{steps['size']}" + (f" after {steps['free']}" if steps.get("free") else "")
    if model == "percentage":
        return "; ".join(f"{name} {steps[name]}" for name in ("floor", "cap") if steps.get(name))
    return "; ".join(
        f"{tier.get('up_to') or 'rest'}: {tier['price']}"
        + (f" + {tier['flat']}" if tier.get("flat") else "")
        for tier in steps["tiers"]
    )


def say_surcharges(surcharges: Sequence[Mapping[str, Any]]) -> str:
    """Write surcharges as `read_surcharges` reads them."""
    return "; ".join(
        " ".join(
            [
                f"{each['key']}:",
                *([each["hours"]] if each.get("hours") else []),
                *each.get("languages", ()),
                f"{each['percent']} %" if each.get("percent") else each["amount"],
            ]
        )
        for each in surcharges
    )


def say_phases(phases: Sequence[Mapping[str, Any]]) -> str:
    """Write phases as `read_phases` reads them."""
    return "; ".join(f"{each['from']}: {each['percent']} %" for each in phases)


def _parts(text: str | None) -> list[str]:
    return [part.strip() for part in re.split(r"[;\n\r]+", text or "") if part.strip()]


def _match(pattern: re.Pattern[str], part: str, how: str, field: str) -> re.Match[str]:
    found = pattern.fullmatch(part)
    if found is None:
        raise BadTariff(f"{part[:60]!r} cannot be read. {how}", field=field)
    return found
