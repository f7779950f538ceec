"""How a rate in a file becomes a rate in the database, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from regional311.chargeback.rate_cards import RateSaid, plain
from regional311.config import schema


def rate_said(rate: schema.Rate) -> RateSaid:
    """What a file says of a rate, as the services take it."""
    return RateSaid(
        key=rate.key,
        card=rate.card,
        activity=rate.activity,
        amount=rate.amount,
        valid_from=rate.valid_from,
        valid_to=rate.valid_to,
        channel=rate.channel,
        service=rate.service,
        language=rate.language,
        hours=rate.hours,
        unit=rate.unit,
        model=rate.model,
        steps=_steps(rate),
        surcharges=[
            _some(
                key=each.key,
                hours=each.hours,
                languages=list(each.languages) or None,
                percent=each.percent,
                amount=each.amount,
            )
            for each in rate.surcharge
        ],
        phases=[
            {"from": each.valid_from.isoformat(), "percent": plain(each.percent)}
            for each in rate.phase
        ],
        source=rate.source,
    )


def _steps(rate: schema.Rate) -> dict[str, Any] | None:
    if rate.tier or rate.model in ("graduated", "volume"):
        return {
            "tiers": [
                _some(up_to=tier.up_to, price=tier.price, flat=tier.flat or None)
                for tier in rate.tier
            ]
        }
    said = _some(
        size=rate.package_size, free=rate.package_free or None, floor=rate.floor, cap=rate.cap
    )
    return None if rate.model == "unit" and not said else said


def _some(**values: Any) -> dict[str, Any]:
    return {
        name: plain(value) if isinstance(value, Decimal) else value
        for name, value in values.items()
        if value is not None
    }


def rate_plain(row: Any) -> dict[str, Any]:
    """A row of the table as plain values, as the file's model reads them."""
    names = ("key", "activity", "channel", "language", "hours", "unit", "model", "amount", "source")
    steps = row.steps or {}
    return {name: getattr(row, name) for name in names} | {
        "card": row.card_key,
        "service": row.service_key,
        "tier": steps.get("tiers", []),
        "package_size": steps.get("size"),
        "package_free": steps.get("free"),
        "floor": steps.get("floor"),
        "cap": steps.get("cap"),
        "surcharge": row.surcharges,
        "phase": [{"valid_from": each["from"], "percent": each["percent"]} for each in row.phases],
        "valid_from": row.valid.lower,
        "valid_to": row.valid.upper,
    }
