"""What people say for the words that services are described in: kept, checked, ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, or_, select, update

from regional311.audit.service import record
from regional311.catalog.content import Synonym
from regional311.catalog.models import Synonym as SynonymRow
from regional311.catalog.words import content_words, spoken
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput
from regional311.strict import from_plain

LONGEST_PHRASE: Final = 4
"""Words of a phrase; of Chinese, pairs of neighbours."""

Fault = tuple[str, str]
"""Where in the synonym, and what is wrong in one sentence."""


def synonym_faults(synonym: Synonym) -> Iterator[Fault]:
    """Give what is wrong with a synonym beyond the shape of its fields."""
    said, means = (
        [phrase_of(each) for each in phrases] for phrases in (synonym.said, synonym.means)
    )
    other = synonym.means_language or synonym.language
    if synonym.both_ways and other != synonym.language:
        yield "both_ways", "words of two languages are not the same both ways; make two synonyms"
    for where, language, phrases, plain in (
        ("said", synonym.language, synonym.said, said),
        ("means", other, synonym.means, means),
    ):
        for phrase, words in zip(phrases, plain, strict=True):
            # several such words together may say something: *pick up*
            alone = where == "means" or " " not in words
            if alone and not content_words(phrase, language):
                yield where, f"“{phrase}” has no word that says what is asked for"
            elif words.count(" ") >= LONGEST_PHRASE:
                yield where, f"“{phrase}” is longer than {LONGEST_PHRASE} words"
        for twice in sorted({each for each in plain if plain.count(each) > 1}):
            yield where, f"“{twice}” is there twice"
    for both in sorted(set(said) & set(means)) if other == synonym.language else ():
        yield "means", f"“{both}” means itself"


def phrase_of(text: str) -> str:
    """Write a phrase in plain words, as questions are read.

    >>> phrase_of("Picked-up")
    'picked up'
    """
    return " ".join(word for word, _said in spoken(text))


def synonym_columns(model: Synonym) -> dict[str, Any]:
    """Give the columns of `synonyms` that hold what a synonym says."""
    return {
        "language": model.language,
        "said": list(model.said),
        "means": list(model.means),
        "means_language": model.means_language,
        "both_ways": model.both_ways,
        "said_words": [phrase_of(each) for each in model.said],
        "means_words": [phrase_of(each) for each in model.means],
    }


def said_synonym(row: Any) -> Synonym:
    """Read a row of `synonyms` back into what the partner says."""
    names = ("key", "language", "said", "means", "means_language", "both_ways")
    return from_plain(Synonym, {name: getattr(row, name) for name in names})


# --- a partner's own ------------------------------------------------------------------------------

_TABLE: Final = SynonymRow.__table__


def synonyms(
    session: TenantSession,
    today: date,
    *,
    words: str | None = None,
    language: str | None = None,
    ended: bool = False,
) -> list[Row[Any]]:
    """Give the bound partner's synonyms of today, or those that ended, in order of their words.

    ``words`` keeps those in which it is said or meant, wherever in a phrase.
    """
    over = _TABLE.c.ended_on <= today
    wanted = [
        _TABLE.c.tenant_id == scope_of(session).tenant_id,
        over if ended else or_(_TABLE.c.ended_on.is_(None), ~over),
    ]
    if language is not None:
        wanted.append(or_(_TABLE.c.language == language, _TABLE.c.means_language == language))
    rows = session.execute(select(_TABLE).where(*wanted).order_by(_TABLE.c.said_words, _TABLE.c.id))
    plain = phrase_of(words or "")
    return [
        row
        for row in rows
        if not plain or any(plain in phrase for phrase in (*row.said_words, *row.means_words))
    ]


def write_synonym(
    session: TenantSession, synonym: Synonym, known: UUID | None, *, now: datetime
) -> UUID:
    """Add a synonym of the bound partner, or change the one ``known``; give its id.

    It is looked for from the next search on. Raises `InvalidInput` for what is wrong with it.
    """
    for where, message in synonym_faults(synonym):
        raise InvalidInput(f"{message[:1].upper()}{message[1:]}.", field=where)
    row_id = known or new_id()
    columns = {**synonym_columns(synonym), "ended_on": None}
    if known is None:
        identity = {"tenant_id": scope_of(session).tenant_id, "id": row_id, "key": synonym.key}
        put(session, new_row(SynonymRow, **identity, **columns))
    else:
        _change(session, row_id, columns)
    _record(session, "add" if known is None else "change", row_id, synonym.key, now)
    return row_id


def end_synonym(
    session: TenantSession, row_id: UUID, key: str, *, today: date, now: datetime
) -> None:
    """End a synonym of the bound partner; `write_synonym` of what it said brings it back."""
    _change(session, row_id, {"ended_on": today})
    _record(session, "end", row_id, key, now)


def _change(session: TenantSession, row_id: UUID, columns: dict[str, Any]) -> None:
    send(session)
    session.execute(
        update(SynonymRow)
        .where(SynonymRow.tenant_id == scope_of(session).tenant_id, SynonymRow.id == row_id)
        .values(columns),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)


def _record(session: TenantSession, verb: str, row_id: UUID, key: str, now: datetime) -> None:
    record(
        session,
        now=now,
        action=f"synonym:{verb}",
        subject_kind="synonym",
        subject_id=row_id,
        detail={"key": key},
    )
