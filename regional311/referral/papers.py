"""The paper on which a consent was given, as it is named to whoever gets what rests on it.

Only its title, its day and its language are told: the paper stays with the partner that keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from regional311.exchange.fhir import Paper

ON_PAPER: Final = "written"
"""The method of a consent that was signed."""

_KEY: Final = "consent"


def paper_of(
    method: str | None, keeper: str, signed_on: date, language: str = "en"
) -> Paper | None:
    """Name the paper of a consent that `keeper` keeps; None for one that was not signed.

    >>> paper_of("written", "City of Portland", date(2026, 10, 5)).title
    'Consent signed on paper, kept by City of Portland'
    >>> paper_of("spoken", "City of Portland", date(2026, 10, 5)) is None
    True
    """
    if method != ON_PAPER:
        return None
    return Paper(f"Consent signed on paper, kept by {keeper}", signed_on, language)


def kept(paper: Paper | None) -> dict[str, Any]:
    """Give what an envelope says of the consent that it rests on: the paper, if there is one."""
    if paper is None:
        return {_KEY: {}}
    on = paper.signed_on.isoformat() if paper.signed_on else None
    return {_KEY: {"title": paper.title, "on": on, "language": paper.language}}


def rests_on_consent(payload: Mapping[str, Any] | None) -> bool:
    """Whether an envelope says that it rests on a consent; not once it was erased."""
    return _KEY in (payload or {})


def named(payload: Mapping[str, Any] | None) -> Paper | None:
    """Read what :func:`kept` wrote; None when the envelope names no paper or was erased."""
    told = (payload or {}).get(_KEY)
    if not told:
        return None
    return Paper(
        told["title"], date.fromisoformat(told["on"]) if told["on"] else None, told["language"]
    )
