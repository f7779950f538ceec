"""Take trees of terms and crosswalks in from files: first what would change, then the change.

A file is the whole tree: a term that it does not name any more ends. The same file again changes
nothing. What is broken stops the whole, unless the sound rest was asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func, select, true

from regional311.audit.service import record
from regional311.catalog import content
from regional311.catalog.models import Service, TaxonomyTerm, TermCrosswalk
from regional311.catalog.taxonomies import (
    end_crosswalk,
    own_row,
    said_crosswalk,
    said_taxonomy,
    write_crosswalk,
    write_taxonomy,
)
from regional311.catalog.taxonomy import missing_term, taxonomy_of
from regional311.catalog.taxonomy_sheet import BrokenRow, Sheet
from regional311.database.session import TenantSession, scope_of
from regional311.differences import differences
from regional311.errors import InvalidInput, NotFound
from regional311.strict import canonical
from regional311.tenancy.revision import raise_revision

SHOWN: Final = 200
"""Lines of each kind that a report prints; all are counted."""

_ALLOWED: Final = {
    "key": "lower case letters, digits and single hyphens",
    "website": "a web address that begins with https://",
}


class BrokenRows(InvalidInput):
    """The file has rows that cannot be taken; nothing was changed."""

    def __init__(self, broken: Sequence[BrokenRow]) -> None:
        self.broken = tuple(broken)
        lines = [str(each) for each in self.broken[:SHOWN]]
        if len(self.broken) > SHOWN:
            lines.append(f"and {len(self.broken) - SHOWN} more")
        super().__init__("\n".join(lines), field="file")


@dataclass(frozen=True)
class Changed:
    """An entry with the fields that would change: name, what it said, what it will say."""

    code: str
    fields: tuple[tuple[str, Any, Any], ...]


@dataclass(frozen=True)
class Report:
    """What an import changes, or would change; codes of terms or of crosswalks."""

    new: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    gone: tuple[str, ...] = ()
    same: int = 0
    broken: tuple[BrokenRow, ...] = ()
    notes: tuple[str, ...] = ()
    used: Mapping[str, int] = field(default_factory=dict)
    """Terms that would go, and how many services name each."""
    applied: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything is different."""
        return bool(self.new or self.changed or self.gone)

    def as_dict(self) -> dict[str, Any]:
        """Give the report for programs."""
        return {
            "applied": self.applied,
            "counts": {
                "new": len(self.new),
                "changed": len(self.changed),
                "gone": len(self.gone),
                "same": self.same,
                "broken": len(self.broken),
            },
            "new": list(self.new),
            "changed": [
                {
                    "code": each.code,
                    "fields": [
                        {"field": name, "before": before, "after": after}
                        for name, before, after in each.fields
                    ],
                }
                for each in self.changed
            ],
            "gone": list(self.gone),
            "used": dict(self.used),
            "broken": [
                {"row": each.row, "column": each.column, "message": each.message}
                for each in self.broken
            ],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [f"  + {code}" for code in self.new[:SHOWN]]
        for each in self.changed[:SHOWN]:
            lines.append(f"  ~ {each.code}")
            lines += [f"      {name}: {old} -> {new}" for name, old, new in each.fields]
        for code in self.gone[:SHOWN]:
            services = self.used.get(code)
            told = f" (named by {services} services)" if services else ""
            lines.append(f"  - {code}{told}")
        lines += [f"  ! {each}" for each in self.broken[:SHOWN]]
        lines += self.notes
        done = "Taken in" if self.applied else "It would be"
        counts = (
            f"{len(self.new)} new, {len(self.changed)} changed, {len(self.gone)} gone, "
            f"{self.same} as they were, {len(self.broken)} broken."
        )
        return "\n".join([*lines, f"{done}: {counts}"])


def take_taxonomy(
    session: TenantSession,
    head: content.Taxonomy,
    sheet: Sheet[content.Term],
    *,
    dry_run: bool,
    skip_broken: bool = False,
    today: date,
    now: datetime,
) -> Report:
    """Make a taxonomy of the bound partner what a file says, or say what that would change.

    `head` says everything but the terms. Raises `BrokenRows`, `taxonomies.TaxonomyTaken`.
    """
    new = head.model_copy(update={"term": sheet.entries})
    row, old = _stored(session, head.key)
    before = {} if old is None else {each.code: canonical(each) for each in old.term}
    after = {each.code: canonical(each) for each in sheet.entries}
    report = _compared(before, after, sheet)
    report = replace(report, used=_used(session, head.key, report.gone))
    renamed = old is not None and canonical(old) | {"term": 0} != canonical(new) | {"term": 0}
    moved = old is not None and [each.code for each in old.term] != list(after)
    if renamed:
        notes = (*report.notes, "What it says of itself changes.")
        report = replace(report, notes=notes)
    if dry_run:
        return report
    if report.broken and not skip_broken:
        raise BrokenRows(report.broken)
    if not (report.changes or renamed or moved or old is None):
        return replace(report, applied=True)
    source = "imported" if row is None else row.source
    taxonomy_id = write_taxonomy(session, new, source=source, today=today)
    _record(session, taxonomy_id, head.key, report, now)
    return replace(report, applied=True)


def head_of(
    session: TenantSession,
    key: str,
    *,
    name: str | None = None,
    description: str | None = None,
    **more: str | None,
) -> content.Taxonomy:
    """Give what a taxonomy says of itself: what is given, else what is stored.

    Raises `InvalidInput` for a new one without a name and a description.
    """
    _, old = _stored(session, key)
    said = {} if old is None else {n: v for n, v in canonical(old).items() if n != "term"}
    given = {"name": name, "description": description, **more}
    said |= {field: value for field, value in given.items() if value}
    try:
        return content.Taxonomy.model_validate({**said, "key": key})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        column = str(problem["loc"][0])
        if problem["type"] == "missing":
            message = f"A new taxonomy needs a {column}."
            raise InvalidInput(message, field=column) from error
        allowed = _ALLOWED.get(column, "one line of text")
        raise InvalidInput(f"Write {column} as {allowed}.", field=column) from error


def take_crosswalks(
    session: TenantSession,
    sheet: Sheet[content.Crosswalk],
    codes: Mapping[str, Collection[str]],
    *,
    dry_run: bool,
    skip_broken: bool = False,
    now: datetime,
) -> Report:
    """Add crosswalks of a file to those of the bound partner, or say what that would change.

    `codes` are the codes of every taxonomy of the region, by its key: a term that is not there is
    broken. Crosswalks that the file does not name stay. Raises `BrokenRows`.
    """
    sheet = _known(sheet, codes)
    rows = session.execute(
        select(TermCrosswalk.__table__).where(
            TermCrosswalk.tenant_id == scope_of(session).tenant_id
        )
    ).all()
    stored = {f"{row.term_ref} {row.other_ref}": row for row in rows}
    before = {
        key: canonical(said_crosswalk(row)) for key, row in stored.items() if row.ended_on is None
    }
    after = {f"{each.term} {each.other}": canonical(each) for each in sheet.entries}
    report = _compared({key: before[key] for key in before if key in after}, after, sheet)
    if dry_run:
        return report
    if report.broken and not skip_broken:
        raise BrokenRows(report.broken)
    if not report.changes:
        return replace(report, applied=True)
    touched = {*report.new, *(each.code for each in report.changed)}
    for each in sheet.entries:
        key = f"{each.term} {each.other}"
        if key in touched:
            known = stored.get(key)
            row_id = write_crosswalk(session, each, known_id=None if known is None else known.id)
            _record_crosswalk(session, "import", row_id, key, now)
    raise_revision(session)
    return replace(report, applied=True)


def tie(
    session: TenantSession,
    new: content.Crosswalk,
    codes: Mapping[str, Collection[str]],
    *,
    now: datetime,
) -> UUID:
    """Add one crosswalk of the bound partner, or change it; give its id.

    Raises `InvalidInput` for a term that is not there, two terms of one taxonomy, or a tie that
    the partner has the other way round.
    """
    known = {key: frozenset(each) for key, each in codes.items()}
    for name, ref in (("term", new.term), ("other", new.other)):
        if fault := _missing(ref, known):
            raise InvalidInput(f"{fault[:1].upper()}{fault[1:]}.", field=name)
    if taxonomy_of(new.term) == taxonomy_of(new.other):
        raise InvalidInput("Choose a term of another taxonomy.", field="other")
    rows = {
        (row.term_ref, row.other_ref): row
        for row in session.execute(
            select(TermCrosswalk.__table__).where(
                TermCrosswalk.tenant_id == scope_of(session).tenant_id,
                TermCrosswalk.term_ref.in_([new.term, new.other]),
                TermCrosswalk.other_ref.in_([new.term, new.other]),
            )
        )
    }
    turned = rows.get((new.other, new.term))
    if turned is not None and turned.ended_on is None:
        raise InvalidInput("These two are tied the other way round; end that first.", field="other")
    old = rows.get((new.term, new.other))
    row_id = write_crosswalk(session, new, known_id=None if old is None else old.id)
    _record_crosswalk(session, "add", row_id, f"{new.term} {new.other}", now)
    raise_revision(session)
    return row_id


def untie(session: TenantSession, row_id: UUID, *, today: date, now: datetime) -> None:
    """End a crosswalk of the bound partner. Raises `NotFound`."""
    row = session.execute(
        select(TermCrosswalk.term_ref, TermCrosswalk.other_ref).where(
            TermCrosswalk.tenant_id == scope_of(session).tenant_id,
            TermCrosswalk.id == row_id,
            TermCrosswalk.ended_on.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such crosswalk.")
    end_crosswalk(session, row_id, today)
    _record_crosswalk(session, "end", row_id, f"{row.term_ref} {row.other_ref}", now)
    raise_revision(session)


def _record_crosswalk(
    session: TenantSession, verb: str, row_id: UUID, key: str, now: datetime
) -> None:
    record(
        session,
        now=now,
        action=f"crosswalk:{verb}",
        subject_kind="crosswalk",
        subject_id=row_id,
        detail={"key": key},
    )


def _missing(ref: str, known: Mapping[str, frozenset[str]]) -> str | None:
    taxonomy = taxonomy_of(ref)
    return missing_term(ref, known) if taxonomy in known else f"there is no taxonomy {taxonomy}"


def _known(
    sheet: Sheet[content.Crosswalk], codes: Mapping[str, Collection[str]]
) -> Sheet[content.Crosswalk]:
    known = {key: frozenset(each) for key, each in codes.items()}
    sound: list[content.Crosswalk] = []
    broken = list(sheet.broken)
    rows: list[int] = []
    for row, each in zip(sheet.rows, sheet.entries, strict=True):
        faults = []
        for column, ref in (("term", each.term), ("other", each.other)):
            if fault := _missing(ref, known):
                faults.append(BrokenRow(row, column, fault))
        broken += faults
        if not faults:
            sound.append(each)
            rows.append(row)
    return replace(sheet, entries=tuple(sound), rows=tuple(rows), broken=tuple(sorted(broken)))


def _stored(session: TenantSession, key: str) -> tuple[Any, content.Taxonomy | None]:
    """Give the row of a taxonomy of the bound partner, and what it says when it has not ended."""
    tenant_id = scope_of(session).tenant_id
    row = own_row(session, key)
    if row is None or row.ended_on is not None:
        return None, None
    terms = session.execute(
        select(TaxonomyTerm.__table__)
        .where(
            TaxonomyTerm.tenant_id == tenant_id,
            TaxonomyTerm.taxonomy_id == row.id,
            TaxonomyTerm.ended_on.is_(None),
        )
        .order_by(TaxonomyTerm.position, TaxonomyTerm.code)
    ).all()
    return row, said_taxonomy(row, terms)


def _used(session: TenantSession, key: str, gone: Sequence[str]) -> dict[str, int]:
    """Count the services of all partners that name terms which would go."""
    if not gone:
        return {}
    named = func.jsonb_array_elements_text(Service.details["taxonomy"])
    refs = named.table_valued("ref").render_derived().lateral()
    rows = session.execute(
        select(refs.c.ref, func.count())
        .select_from(Service)
        .join(refs, true())
        .where(Service.ended_on.is_(None), refs.c.ref.in_([f"{key}:{code}" for code in gone]))
        .group_by(refs.c.ref)
    )
    return {ref.partition(":")[2]: count for ref, count in rows}


def _compared(
    before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]], sheet: Sheet[Any]
) -> Report:
    changed = tuple(
        Changed(
            key,
            tuple((each.field, each.old, each.new) for each in differences(before[key], said)),
        )
        for key, said in after.items()
        if key in before and before[key] != said
    )
    return Report(
        new=tuple(key for key in after if key not in before),
        changed=changed,
        gone=tuple(key for key in before if key not in after),
        same=len([key for key in after if key in before]) - len(changed),
        broken=sheet.broken,
        notes=sheet.notes,
    )


def _record(
    session: TenantSession, taxonomy_id: UUID, key: str, report: Report, now: datetime
) -> None:
    counts = report.as_dict()["counts"]
    record(
        session,
        now=now,
        action="taxonomy:import",
        subject_kind="taxonomy",
        subject_id=taxonomy_id,
        detail={"key": key, **counts},
    )
    raise_revision(session)
