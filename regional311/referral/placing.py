"""From the words of a place to its point, before anything is decided.

Words mean a known place when one alone fits them; then its point counts, and the words stay as they
were said. Where several fit, or none does, the words decide as far as they can, and the decision
says which it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy.orm import Session

from regional311.gazetteer.queries import NOT_KNOWN, ONE, SEVERAL, UNKNOWN, Answer, Found, find
from regional311.gazetteer.spelling import said
from regional311.referral.filing import Place
from regional311.referral.snapshot import Published
from regional311.tenancy.jurisdiction import AREA

KEEP: Final = "words"
"""Chosen instead of a known place: what was written stays as it is."""


def placed(
    session: Session, published: Published, place: Place, chosen: str = ""
) -> tuple[Place, Answer]:
    """Give a place its point where its words mean one known place, and what else they may mean.

    `chosen` is the id of the place that was picked among those; one that these words do not mean
    counts for nothing. A point that was given stays, and a neighbourhood is none.
    """
    pointed = place.latitude is not None and place.longitude is not None
    if pointed or not place.text.strip() or place.kind == "neighbourhood":
        return place, NOT_KNOWN
    answer = meant(session, published, place.text)
    picked = next((each for each in answer.places if each.id == chosen), None)
    if picked is not None:
        at = picked.latitude, picked.longitude
        return replace(place, latitude=at[0], longitude=at[1], kind="address"), answer
    if answer.one is not None:
        at = answer.one.latitude, answer.one.longitude
        return replace(place, latitude=at[0], longitude=at[1], looked_up=ONE), answer
    return replace(place, looked_up=SEVERAL if answer.how == SEVERAL else ""), answer


def meant(session: Session, published: Published, words: str) -> Answer:
    """Give the known places that words mean; one outside the area that they name is not meant."""
    named = published.jurisdictions.locate_words(said(words).tail)
    areas = {each.key for each in named.candidates if each.kind == AREA}
    answer = find(session, words, located=bool(areas))
    if not areas or not answer.places:
        return answer
    fitting = _in(published, areas, answer.places)
    if answer.how == UNKNOWN or not fitting:
        return Answer(UNKNOWN, fitting)
    return Answer(ONE if len(fitting) == 1 else SEVERAL, fitting)


def _in(published: Published, areas: set[str], places: Sequence[Found]) -> tuple[Found, ...]:
    return tuple(
        each
        for each in places
        if not areas.isdisjoint(
            published.jurisdictions.locate(float(each.longitude), float(each.latitude)).keys
        )
    )
