"""Write taxonomies and crosswalks: files, forms and imports all come through here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update

from regional311.catalog import content
from regional311.catalog.models import Taxonomy, TaxonomyTerm, TermCrosswalk
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict
from regional311.strict import canonical, from_plain

_HEAD: Final = ("key", "name", "term")
_TERM: Final = ("code", "name", "parent")


class TaxonomyTaken(Conflict):
    """Another partner keeps a taxonomy of this key; services name terms by it."""


class TaxonomyImported(Conflict):
    """A taxonomy that was imported is changed by importing it again."""


def kept_taxonomies(
    session: TenantSession, tenant_id: UUID
) -> Iterator[tuple[Taxonomy, content.Taxonomy]]:
    """Give a partner's own (not imported) taxonomies with what they say, in two statements."""
    rows = list(
        session.execute(
            select(Taxonomy)
            .where(Taxonomy.tenant_id == tenant_id, Taxonomy.source == "kept")
            .order_by(Taxonomy.key)
        ).scalars()
    )
    terms: dict[UUID, list[TaxonomyTerm]] = {}
    if rows:
        for term in session.execute(
            select(TaxonomyTerm)
            .where(
                TaxonomyTerm.tenant_id == tenant_id,
                TaxonomyTerm.taxonomy_id.in_([row.id for row in rows]),
                TaxonomyTerm.ended_on.is_(None),
            )
            .order_by(TaxonomyTerm.position, TaxonomyTerm.code)
        ).scalars():
            terms.setdefault(term.taxonomy_id, []).append(term)
    for row in rows:
        yield row, said_taxonomy(row, terms.get(row.id, ()))


def said_taxonomy(row: Any, terms: Iterable[Any]) -> content.Taxonomy:
    """Read a row of `taxonomies` and its terms back into what the partner says."""
    return from_plain(
        content.Taxonomy,
        {
            **row.details,
            "key": row.key,
            "name": row.name,
            "term": [
                {**term.details, "code": term.code, "name": term.name, "parent": term.parent_code}
                for term in terms
            ],
        },
    )


def write_taxonomy(
    session: TenantSession, new: content.Taxonomy, *, source: str, today: date
) -> UUID:
    """Make a taxonomy what is said: terms that are not named any more end today; give its id.

    The tree must be sound (`taxonomy.term_faults`). Raises `TaxonomyTaken` when another partner
    keeps the key, `TaxonomyImported` when files or forms would change an imported one.
    """
    tenant_id = scope_of(session).tenant_id
    mine = own_row(session, new.key)
    values = {"name": new.name, "details": _details(new, _HEAD), "ended_on": None}
    if mine is None:
        taxonomy_id = new_id()
        put(
            session,
            Taxonomy(tenant_id=tenant_id, id=taxonomy_id, key=new.key, source=source, **values),
        )
    else:
        if mine.source == "imported" and source == "kept" and mine.ended_on is None:
            raise TaxonomyImported(
                f"The taxonomy {new.key} was imported; import it again to change it.", field="key"
            )
        taxonomy_id = mine.id
        if mine.ended_on is not None:
            values["source"] = source
        _change(session, Taxonomy, taxonomy_id, values)
    _write_terms(session, taxonomy_id, new.term, fresh=mine is None, today=today)
    return taxonomy_id


def own_row(session: TenantSession, key: str) -> Any:
    """Give the row of the bound partner's taxonomy of a key, also one that ended; None for none.

    Raises `TaxonomyTaken` when another partner keeps the key.
    """
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(select(Taxonomy.__table__).where(Taxonomy.key == key)).all()
    if any(row.tenant_id != tenant_id and row.ended_on is None for row in rows):
        raise TaxonomyTaken(
            f"Another partner keeps the taxonomy {key}; choose another key.", field="key"
        )
    return next((row for row in rows if row.tenant_id == tenant_id), None)


def end_taxonomy(session: TenantSession, taxonomy_id: UUID, today: date) -> None:
    """End a taxonomy; services that name its terms keep them."""
    _change(session, Taxonomy, taxonomy_id, {"ended_on": today})


def write_crosswalk(
    session: TenantSession, new: content.Crosswalk, *, known_id: UUID | None = None
) -> UUID:
    """Write how two terms are related, or take it up again under the id it had; give its id."""
    values = {"relation": new.relation, "note": new.note, "ended_on": None}
    if known_id is not None:
        _change(session, TermCrosswalk, known_id, values)
        return known_id
    row_id = new_id()
    put(
        session,
        TermCrosswalk(
            tenant_id=scope_of(session).tenant_id,
            id=row_id,
            term_ref=new.term,
            other_ref=new.other,
            **values,
        ),
    )
    return row_id


def end_crosswalk(session: TenantSession, row_id: UUID, today: date) -> None:
    """End a crosswalk."""
    _change(session, TermCrosswalk, row_id, {"ended_on": today})


def said_crosswalk(row: Any) -> content.Crosswalk:
    """Read a row of `term_crosswalks` back into what the partner says."""
    return from_plain(
        content.Crosswalk,
        {
            "term": row.term_ref,
            "relation": row.relation,
            "other": row.other_ref,
            "note": row.note,
        },
    )


def crosswalk_key(said: content.Crosswalk) -> str:
    """Name a crosswalk by its two terms."""
    return f"{said.term} {said.other}"


def _write_terms(
    session: TenantSession,
    taxonomy_id: UUID,
    terms: Iterable[content.Term],
    *,
    fresh: bool,
    today: date,
) -> None:
    tenant_id = scope_of(session).tenant_id
    kept: dict[str, Any] = {}
    if not fresh:
        table = TaxonomyTerm.__table__
        kept = {
            row.code: row
            for row in session.execute(
                select(table).where(
                    table.c.tenant_id == tenant_id, table.c.taxonomy_id == taxonomy_id
                )
            )
        }
    for position, term in enumerate(terms, 1):
        values = {
            "name": term.name,
            "parent_code": term.parent,
            "position": position,
            "details": _details(term, _TERM),
            "ended_on": None,
        }
        old = kept.pop(term.code, None)
        if old is None:
            put(
                session,
                TaxonomyTerm(
                    tenant_id=tenant_id,
                    id=new_id(),
                    taxonomy_id=taxonomy_id,
                    code=term.code,
                    **values,
                ),
            )
        elif any(getattr(old, name) != value for name, value in values.items()):
            _change(session, TaxonomyTerm, old.id, values)
    for row in kept.values():
        if row.ended_on is None:
            _change(session, TaxonomyTerm, row.id, {"ended_on": today})


def _details(model: content.Taxonomy | content.Term, apart: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in canonical(model).items() if name not in apart}


def _change(session: TenantSession, table: Any, row_id: UUID, values: Mapping[str, Any]) -> None:
    send(session)
    session.execute(
        update(table)
        .where(table.tenant_id == scope_of(session).tenant_id, table.id == row_id)
        .values(dict(values)),
        execution_options={"synchronize_session": False},
    )
    mark_changed(session)
