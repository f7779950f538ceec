"""Versions of what the catalogue says: drafted, reviewed, published, brought back.

A draft decides nothing and is seen by nobody else. Each save is a version of its own, so that
nothing that anybody wrote is ever lost. Whoever saves on top of something newer than what they saw
has their work merged field by field (`merge`); where both changed the same field, their version
stays beside the other until somebody chooses. A reviewed version is published at once or on a day;
what was published meanwhile is merged into it by the same rules.

Everything here works for every kind in `kinds.KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, func, select, text, update

from regional311.audit.service import audit_row
from regional311.catalog.checks import Fault
from regional311.catalog.kinds import KINDS, Kind, Stamp, Stored
from regional311.catalog.merge import Merge, Overlap, Side, merge, merge_whole_fields
from regional311.catalog.models import ContentVersion
from regional311.catalog.refresh import refresh_about
from regional311.catalog.service import retire
from regional311.database.ids import new_id
from regional311.database.rows import new_row, put, send
from regional311.database.session import TenantSession, scope_of
from regional311.differences import FieldChange, differences
from regional311.errors import Conflict, DomainError, InvalidInput, NotFound
from regional311.strict import StoredUnreadable, from_plain
from regional311.tenancy.models import Tenant
from regional311.tenancy.revision import raise_revision

OPEN: Final = frozenset({"draft", "reviewed"})
"""States of versions that may still be published."""

_VERSIONS: Final = ContentVersion.__table__
_BRIEF: Final = (
    _VERSIONS.c.id,
    _VERSIONS.c.number,
    _VERSIONS.c.state,
    _VERSIONS.c.based_on,
    _VERSIONS.c.effective_on,
    _VERSIONS.c.source,
    _VERSIONS.c.reviewed_by,
    _VERSIONS.c.reviewed_at,
    _VERSIONS.c.published_by,
    _VERSIONS.c.batch,
)
_NOTED: Final = tuple(column for column in _VERSIONS.c if column.name != "content")
_CALLED: Final = func.coalesce(
    *(_VERSIONS.c.content[name].astext for name in ("name", "title", "key"))
)
"""What the thing is called in a version."""


class Overlapping(Conflict):
    """Somebody else has published other words for the same fields; a person must choose."""

    def __init__(self, message: str, overlaps: Iterable[Overlap]) -> None:
        super().__init__(message)
        self.overlaps = tuple(overlaps)


class Faulty(InvalidInput):
    """What is said breaks rules of the catalogue; nothing was reviewed or published."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        where, words = self.faults[0]
        super().__init__(f"{where}: {words}.", field=where)


class NotOpen(Conflict):
    """The version was published, saved again or discarded already."""


class NotReviewed(Conflict):
    """Only what was reviewed can be published."""


class InThePast(InvalidInput):
    """Something would begin or end before today."""


@dataclass(frozen=True)
class Saved:
    """What became of a save.

    `number` is the version that holds it. `merged` are the fields that came from somebody else
    meanwhile. With `overlaps` it stays beside the other version until somebody chooses. `changed`
    is false when there was nothing new to save.
    """

    number: int
    changed: bool = True
    merged: tuple[str, ...] = ()
    overlaps: tuple[Overlap, ...] = ()


@dataclass(frozen=True)
class Against:
    """A version to be merged: into which other (`number`), and what comes of it."""

    number: int
    merge: Merge


class _Line:
    """Every version of one thing, locked, without contents until they are asked for."""

    def __init__(self, session: TenantSession, kind: str, key: str, now: datetime) -> None:
        self.session, self.kind, self.key, self.now = session, kind, key, now
        self.tenant_id = scope_of(session).tenant_id
        self.person_id = scope_of(session).person_id
        self.of: Kind[Any] = KINDS[kind]
        # one change of a thing after another, so that the second sees what the first made
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:thing, 0))"),
            {"thing": f"{self.tenant_id} {kind} {key}"},
        )
        self.rows: dict[int, Any] = {row.number: row for row in self._read(*_BRIEF)}
        self._contents: dict[int, dict[str, Any]] = {}
        if self.published is None:
            self._record_stored()

    def _read(self, *columns: Any) -> list[Row[Any]]:
        return list(
            self.session.execute(
                select(*columns)
                .where(
                    _VERSIONS.c.tenant_id == self.tenant_id,
                    _VERSIONS.c.kind == self.kind,
                    _VERSIONS.c.key == self.key,
                )
                .order_by(_VERSIONS.c.number)
            )
        )

    def _record_stored(self) -> None:
        """Make what is published without a version, such as from before there were any, one."""
        stored = self.of.stored(self.session, self.key)
        if stored is not None:
            self.add(
                self.of.said(stored.model),
                state="published",
                source="file",
                made_by=None,
                published_at=self.now,
            )

    @property
    def published(self) -> int | None:
        """The number of the version that is published."""
        return next((n for n, row in self.rows.items() if row.state == "published"), None)

    @property
    def waiting(self) -> list[int]:
        """The numbers of drafts and reviewed versions without a day, the newest first."""
        return [
            number
            for number, row in reversed(self.rows.items())
            if row.state in OPEN and not (row.state == "reviewed" and row.effective_on)
        ]

    def open(self, number: int) -> Any:
        """Give an open version. Raises `NotFound`, `NotOpen`."""
        row = self.rows.get(number)
        if row is None:
            raise NotFound("There is no such version.")
        if row.state not in OPEN:
            raise NotOpen("This version is no longer a draft; look at the newest one.")
        return row

    def content(self, number: int) -> dict[str, Any]:
        """Give what a version says."""
        if number not in self._contents:
            wanted = _VERSIONS.c.number == number
            self._contents[number] = self.session.execute(
                select(_VERSIONS.c.content).where(
                    _VERSIONS.c.tenant_id == self.tenant_id,
                    _VERSIONS.c.kind == self.kind,
                    _VERSIONS.c.key == self.key,
                    wanted,
                )
            ).scalar_one()
        return self._contents[number]

    def shared(self, one: int, two: int) -> int | None:
        """Give the last version that both go back to."""
        before = set(self._back(one))
        return next((number for number in self._back(two) if number in before), None)

    def _back(self, number: int | None) -> Iterable[int]:
        while number is not None and number in self.rows:
            yield number
            number = self.rows[number].based_on

    def merged(
        self,
        mine: dict[str, Any],
        seen: int | None,
        theirs: int,
        choices: Mapping[str, Side] | None = None,
    ) -> Merge:
        """Merge what was made of `seen` into another version; what comes of it can be said."""
        base = None if seen is None else self.shared(seen, theirs)
        sides = ({} if base is None else self.content(base), mine, self.content(theirs))
        found = merge(*sides, choices)
        try:
            from_plain(self.of.model, found.content)
        except StoredUnreadable:
            found = merge_whole_fields(*sides, choices)
        return found

    def add(self, said: dict[str, Any], *, state: str = "draft", **values: Any) -> int:
        """Write a new version; give its number."""
        number = max(self.rows, default=0) + 1
        written: dict[str, Any] = dict.fromkeys(column.name for column in _BRIEF)
        written |= {"made_by": self.person_id, "made_at": self.now, **values}
        written |= {"id": new_id(), "number": number, "state": state}
        row = new_row(
            ContentVersion,
            tenant_id=self.tenant_id,
            kind=self.kind,
            key=self.key,
            content=said,
            **written,
        )
        put(self.session, row)
        self.rows[number] = row
        self._contents[number] = said
        return number

    def set(self, number: int, **values: Any) -> None:
        """Change what is noted about a version; never what it says."""
        send(self.session)
        self.session.execute(
            update(ContentVersion)
            .where(
                ContentVersion.tenant_id == self.tenant_id,
                ContentVersion.id == self.rows[number].id,
            )
            .values(values),
            execution_options={"synchronize_session": False},
        )

    def audit(self, verb: str, subject: UUID, **detail: Any) -> None:
        put(
            self.session,
            audit_row(
                self.tenant_id,
                at=self.now,
                action=f"{self.kind}:{verb}",
                subject_kind=self.kind,
                subject_id=subject,
                person_id=self.person_id,
                detail={"key": self.key, **detail},
            ),
        )


def save_draft(
    session: TenantSession,
    kind: str,
    said: Mapping[str, Any],
    *,
    seen: int | None,
    now: datetime,
    source: str = "form",
    note: str | None = None,
    batch: UUID | None = None,
    made_by: UUID | None = None,
) -> Saved:
    """Save what somebody made of version `seen`; None when they saw nothing: a new thing.

    `said` is the content in canonical form, its `key` the thing's. What is changed together with
    other things carries the same `batch`. `made_by` is who saves; left out: who acts. On top of
    something newer than `seen` it is merged; see `Saved`. Raises `Conflict` for a new thing whose
    key is taken, `StoredUnreadable` for a content that its model cannot say.
    """
    line = _Line(session, kind, said["key"], now)
    line.person_id = made_by or line.person_id
    model = from_plain(line.of.model, said)
    mine = line.of.said(model)
    if seen is None:
        if any(row.state not in ("discarded", "superseded") for row in line.rows.values()):
            raise Conflict(f"There is {said['key']} already; choose another key.", field="key")
        number = line.add(mine, source=source, note=note, batch=batch)
        line.audit("draft", line.rows[number].id, version=number, source=source)
        return Saved(number)
    if seen not in line.rows:
        raise NotFound("There is no such version.")
    return _save(line, mine, seen, source=source, note=note, batch=batch)


def _save(
    line: _Line,
    mine: dict[str, Any],
    seen: int,
    *,
    source: str,
    note: str | None,
    batch: UUID | None = None,
) -> Saved:
    row = line.rows[seen]
    target = _target(line, seen)
    merged: tuple[str, ...] = ()
    effective_on = row.effective_on if row.state in OPEN else None
    if target is not None and target != seen:
        found = line.merged(mine, seen, target)
        if not found.clean:
            number = line.add(mine, based_on=seen, source=source, note=note, batch=batch)
            line.audit("draft", line.rows[number].id, version=number, source=source)
            return Saved(number, overlaps=found.overlaps)
        mine, merged = found.content, found.theirs
        effective_on = line.rows[target].effective_on
    onto = seen if target is None else target
    if mine == line.content(onto):
        return Saved(onto, changed=False, merged=merged)
    number = line.add(
        mine,
        based_on=onto,
        source=source,
        note=note,
        batch=batch,
        effective_on=effective_on,
    )
    if line.rows[onto].state in OPEN:
        line.set(onto, state="superseded")
    line.audit("draft", line.rows[number].id, version=number, source=source)
    return Saved(number, merged=merged)


def _target(line: _Line, seen: int) -> int | None:
    """Say on top of which version something made of `seen` goes: itself while it is open."""
    if line.rows[seen].state in OPEN:
        return seen
    waiting = line.waiting
    return waiting[0] if waiting else line.published


def to_merge(
    session: TenantSession,
    kind: str,
    key: str,
    number: int,
    *,
    now: datetime,
    choices: Mapping[str, Side] | None = None,
) -> Against | None:
    """Say with what an open version has to be merged: another draft, or what was published since.

    None when it stands by itself. Raises `NotFound`, `NotOpen`.
    """
    line = _Line(session, kind, key, now)
    line.open(number)
    return _against(line, number, choices)


def _against(line: _Line, number: int, choices: Mapping[str, Side] | None = None) -> Against | None:
    others = [each for each in line.waiting if each != number]
    if line.rows[number].effective_on and line.rows[number].state == "reviewed":
        others = []
    candidates = [*others, *([] if line.published is None else [line.published])]
    for other in candidates:
        if line.shared(number, other) != other:
            return Against(other, line.merged(line.content(number), number, other, choices))
    return None


def resolve(
    session: TenantSession,
    kind: str,
    key: str,
    number: int,
    other: int,
    choices: Mapping[str, Side],
    *,
    now: datetime,
) -> Saved:
    """Merge an open version into another as somebody chose; both are one draft from then on.

    With choices missing (somebody saved meanwhile) nothing changes and the overlaps are given.
    Raises `NotFound`, `NotOpen`.
    """
    line = _Line(session, kind, key, now)
    line.open(number)
    against = _against(line, number, choices)
    if against is None:
        return Saved(number, changed=False)
    if against.number != other:
        against = _against(line, number)
        assert against is not None
    if not against.merge.clean:
        return Saved(number, changed=False, overlaps=against.merge.overlaps)
    onto = against.number
    merged = line.add(
        against.merge.content,
        based_on=onto,
        source="form",
        effective_on=line.rows[number].effective_on,
    )
    line.set(number, state="superseded")
    if line.rows[onto].state in OPEN:
        line.set(onto, state="superseded")
    line.audit("merge", line.rows[merged].id, version=merged, of=[number, onto])
    return Saved(merged, merged=against.merge.theirs)


def review(session: TenantSession, kind: str, key: str, number: int, *, now: datetime) -> None:
    """Say that a draft is right. Raises `NotFound`, `NotOpen`, `Faulty` with all that is wrong."""
    line = _Line(session, kind, key, now)
    row = line.open(number)
    _refuse_faults(line, from_plain(line.of.model, line.content(number)))
    if row.state == "draft":
        line.set(
            number, state="reviewed", reviewed_by=line.person_id, reviewed_at=now, problem=None
        )
        line.audit("review", row.id, version=number)


def faults(session: TenantSession, kind: str, said: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Give everything that keeps a content from being published."""
    of = KINDS[kind]
    return tuple(of.faults(session, from_plain(of.model, said)))


def _refuse_faults(line: _Line, model: Any) -> None:
    found = tuple(line.of.faults(line.session, model))
    if found:
        raise Faulty(found)


def publish(
    session: TenantSession,
    kind: str,
    key: str,
    number: int,
    *,
    today: date,
    now: datetime,
    on: date | None = None,
) -> int:
    """Publish a reviewed version, at once or on a later day; give the number it has then.

    What was published since it was begun is merged into it, which makes a version of its own.
    Raises `NotFound`, `NotOpen`, `NotReviewed`, `InThePast`, `Faulty`, `Overlapping`, or what the
    kind refuses, such as `AlreadyInForce`; then nothing is changed.
    """
    line = _Line(session, kind, key, now)
    row = line.open(number)
    if row.state != "reviewed":
        raise NotReviewed("A draft is reviewed before it is published.")
    if on is not None and on < today:
        raise InThePast(f"Choose {today.isoformat()} or a later day.", field="on")
    if on is not None and on > today:
        line.set(number, effective_on=on, published_by=line.person_id)
        line.audit("schedule", row.id, version=number, on=on.isoformat())
        return number
    return _publish(line, number, today)


def _publish(line: _Line, number: int, today: date) -> int:
    number = _with_published(line, number)
    model = from_plain(line.of.model, line.content(number))
    _refuse_faults(line, model)
    stored: Stored[Any] | None = line.of.stored(line.session, line.key)
    retire(line.session, line.kind, line.key)
    source = line.rows[number].source
    stamp = Stamp(today, line.now, line.person_id, source, number)
    subject = line.of.write(line.session, model, stored, stamp)
    line.set(
        number,
        state="published",
        published_at=line.now,
        published_by=func.coalesce(ContentVersion.published_by, line.person_id),
    )
    raise_revision(line.session)
    line.audit("publish", subject, version=number, source=source)
    return number


def _with_published(line: _Line, number: int) -> int:
    """Bring what was published since a version was begun into it, as a version of its own."""
    before = line.published
    if before is None or line.shared(number, before) == before:
        return number
    found = line.merged(line.content(number), number, before)
    if not found.clean:
        fields = ", ".join(each.field for each in found.overlaps)
        raise Overlapping(
            f"Version {before} was published since and changed the same: {fields}."
            " Choose between the two first.",
            found.overlaps,
        )
    row = line.rows[number]
    merged = line.add(
        found.content,
        state="reviewed",
        based_on=before,
        source=row.source,
        reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
        published_by=row.published_by,
        batch=row.batch,
        note=f"Version {number}, with what version {before} had changed",
    )
    line.set(number, state="superseded")
    return merged


def change_published(
    session: TenantSession,
    kind: str,
    key: str,
    change: Callable[[Any], Any],
    *,
    publish: bool,
    today: date,
    now: datetime,
    source: str,
    note: str | None = None,
) -> Saved:
    """Change what is published now, at once or as a draft; `change` makes a model of a model.

    Drafts of others stay drafts: a change that is published does not publish them along, and is
    merged into them when their turn comes. Raises `NotFound` when nothing is published, `Faulty`,
    or what the kind refuses.
    """
    line = _Line(session, kind, key, now)
    before = line.published
    if before is None:
        raise NotFound(f"There is no {kind} {key}.")
    said = line.content(before)
    mine = line.of.said(change(from_plain(line.of.model, said)))
    if mine == said:
        return Saved(before, changed=False)
    if not publish:
        return _save(line, mine, before, source=source, note=note)
    reviewed = {"reviewed_by": line.person_id, "reviewed_at": now}
    number = line.add(mine, state="reviewed", based_on=before, source=source, note=note, **reviewed)
    return Saved(_publish(line, number, today))


def unschedule(session: TenantSession, kind: str, key: str, number: int, *, now: datetime) -> None:
    """Take back the day on which a version was to be published; it stays reviewed.

    Raises `NotFound`, `NotOpen`.
    """
    line = _Line(session, kind, key, now)
    row = line.open(number)
    line.set(number, effective_on=None, published_by=None)
    line.audit("unschedule", row.id, version=number)


def discard(session: TenantSession, kind: str, key: str, number: int, *, now: datetime) -> None:
    """Give an open version up; it stays in the history and can be brought back.

    Raises `NotFound`, `NotOpen`.
    """
    line = _Line(session, kind, key, now)
    row = line.open(number)
    line.set(number, state="discarded")
    line.audit("discard", row.id, version=number)


def bring_back(session: TenantSession, kind: str, key: str, number: int, *, now: datetime) -> Saved:
    """Make an earlier version the draft, on top of what is published or being drafted.

    What is in force and may not be rewritten (`Kind.kept`) stays as it is. Raises `NotFound`.
    """
    line = _Line(session, kind, key, now)
    if number not in line.rows:
        raise NotFound("There is no such version.")
    said = dict(line.content(number))
    waiting = line.waiting
    onto = waiting[0] if waiting else line.published
    if onto is None:
        onto = max(line.rows)
    current = line.content(onto)
    for name in line.of.kept:
        said.pop(name, None)
        if name in current:
            said[name] = current[name]
    return _save(line, said, onto, source="form", note=f"Version {number} brought back")


def undo(session: TenantSession, kind: str, key: str, number: int, *, now: datetime) -> Saved:
    """Take back what one version changed, and nothing that was changed since: a new draft.

    A version that is still open is discarded. What was changed again since stays as it is and is
    given as overlaps. Raises `NotFound`; `Conflict` for the first version of a thing, which can
    only be ended.
    """
    line = _Line(session, kind, key, now)
    row = line.rows.get(number)
    if row is None:
        raise NotFound("There is no such version.")
    if row.state in OPEN:
        line.set(number, state="discarded")
        line.audit("discard", row.id, version=number)
        return Saved(number)
    if row.based_on is None:
        raise Conflict("It is new with this version; end it instead.")
    waiting = line.waiting
    onto = waiting[0] if waiting else line.published
    if onto is None:
        return Saved(number, changed=False)
    sides = (line.content(number), line.content(row.based_on), line.content(onto))
    found = merge(*sides)
    said = found.content
    for name in line.of.kept:
        said.pop(name, None)
        if name in sides[2]:
            said[name] = sides[2][name]
    note = f"What version {number} changed, taken back"
    saved = _save(
        line, line.of.said(from_plain(line.of.model, said)), onto, source="form", note=note
    )
    return Saved(saved.number, saved.changed, found.theirs, found.overlaps)


def in_batch(session: TenantSession, batch: UUID) -> list[Row[Any]]:
    """Give the versions that were made together, without contents, by kind and key.

    Each has its name or title as `called`.
    """
    return list(
        session.execute(
            select(*_NOTED, _CALLED.label("called"))
            .where(
                _VERSIONS.c.tenant_id == scope_of(session).tenant_id,
                _VERSIONS.c.batch == batch,
            )
            .order_by(_VERSIONS.c.kind, _VERSIONS.c.key, _VERSIONS.c.number)
        )
    )


def end(
    session: TenantSession, kind: str, key: str, *, on: date, today: date, now: datetime
) -> None:
    """Let `on` be the first day on which a thing is no more.

    Raises `NotFound`, `InThePast`, `Conflict` for what has ended.
    """
    line = _Line(session, kind, key, now)
    stored = line.of.stored(session, key)
    if stored is None:
        raise NotFound("Only what is published can be ended.")
    if on < today:
        raise InThePast(f"Choose {today.isoformat()} or a later day.", field="on")
    if stored.ended_on is not None and stored.ended_on <= today:
        raise Conflict(f"It ended on {stored.ended_on.isoformat()}.")
    _set_end(line, stored.id, on)
    line.audit("end", stored.id, on=on.isoformat())


def resume(session: TenantSession, kind: str, key: str, *, now: datetime) -> None:
    """Let a thing go on that has ended or was to end. Raises `NotFound`."""
    line = _Line(session, kind, key, now)
    stored = line.of.stored(session, key)
    if stored is None:
        raise NotFound("Only what was published can go on.")
    _set_end(line, stored.id, None)
    line.audit("resume", stored.id)


def _set_end(line: _Line, row_id: UUID, on: date | None) -> None:
    table = line.of.table
    send(line.session)
    line.session.execute(
        update(table)
        .where(table.tenant_id == line.tenant_id, table.id == row_id)
        .values(ended_on=on),
        execution_options={"synchronize_session": False},
    )
    refresh_about(line.session, line.kind, line.key)
    raise_revision(line.session)


@dataclass(frozen=True)
class Refused:
    """A version that could not be published on its day: a draft again, and why."""

    kind: str
    key: str
    number: int
    called: str
    """Its name or title."""
    why: str
    people: frozenset[UUID]
    """Who wrote it, who reviewed it, and who gave it its day."""


@dataclass(frozen=True)
class Due:
    """What became of everything that was due."""

    published: int = 0
    refused: tuple[Refused, ...] = ()


def publish_due(session: TenantSession, now: datetime) -> Due:
    """Publish what is due today or was before; say how much, and what could not be.

    What cannot be published, because somebody must choose first or something that it names is
    gone, becomes a draft again without a day but with the reason, and the others go on.
    """
    me = scope_of(session).tenant_id
    zone: str = session.execute(
        select(Tenant.zone).where(Tenant.tenant_id == me, Tenant.id == me)
    ).scalar_one()
    today = now.astimezone(ZoneInfo(zone)).date()
    due = session.execute(
        select(
            _VERSIONS.c.kind,
            _VERSIONS.c.key,
            _VERSIONS.c.number,
            _VERSIONS.c.made_by,
            _VERSIONS.c.reviewed_by,
            _VERSIONS.c.published_by,
            _CALLED.label("called"),
        )
        .where(
            _VERSIONS.c.tenant_id == me,
            _VERSIONS.c.state == "reviewed",
            _VERSIONS.c.effective_on <= today,
        )
        .order_by(_VERSIONS.c.effective_on, _VERSIONS.c.id)
    ).all()
    published, refused = 0, []
    for row in due:
        try:
            with session.begin_nested():
                line = _Line(session, row.kind, row.key, now)
                line.open(row.number)
                _publish(line, row.number, today)
        except DomainError as error:
            line = _Line(session, row.kind, row.key, now)
            line.set(row.number, state="draft", effective_on=None, problem=error.message)
            line.audit(
                "publish_refused", line.rows[row.number].id, version=row.number, why=error.code
            )
            people = frozenset(filter(None, (row.made_by, row.reviewed_by, row.published_by)))
            refused.append(
                Refused(row.kind, row.key, row.number, row.called, error.message, people)
            )
            continue
        published += 1
    return Due(published, tuple(refused))


def history(session: TenantSession, kind: str, key: str) -> list[Row[Any]]:
    """Give every version of a thing, without contents, the newest first."""
    return list(
        session.execute(
            select(*_NOTED)
            .where(
                _VERSIONS.c.tenant_id == scope_of(session).tenant_id,
                _VERSIONS.c.kind == kind,
                _VERSIONS.c.key == key,
            )
            .order_by(_VERSIONS.c.number.desc())
        )
    )


def contents(
    session: TenantSession, kind: str, key: str, *numbers: int
) -> dict[int, dict[str, Any]]:
    """Give what some versions say, by number. Raises `NotFound` when one is not there."""
    said = {
        row.number: row.content
        for row in session.execute(
            select(_VERSIONS.c.number, _VERSIONS.c.content).where(
                _VERSIONS.c.tenant_id == scope_of(session).tenant_id,
                _VERSIONS.c.kind == kind,
                _VERSIONS.c.key == key,
                _VERSIONS.c.number.in_(numbers),
            )
        )
    }
    if set(numbers) - set(said):
        raise NotFound("There is no such version.")
    return said


def changes(
    session: TenantSession, kind: str, key: str, old: int, new: int
) -> tuple[FieldChange, ...]:
    """Give what differs between two versions, field by field. Raises `NotFound`."""
    said = contents(session, kind, key, old, new)
    return differences(said[old], said[new])


def open_versions(session: TenantSession, *kinds: str) -> list[Row[Any]]:
    """Give every draft, reviewed and scheduled version of some kinds (none named: of all).

    By kind and key, without contents but with the `called` of each, its name or title.
    """
    return list(
        session.execute(
            select(*_NOTED, _CALLED.label("called"))
            .where(
                _VERSIONS.c.tenant_id == scope_of(session).tenant_id,
                _VERSIONS.c.state.in_(OPEN),
                *([_VERSIONS.c.kind.in_(kinds)] if kinds else []),
            )
            .order_by(_VERSIONS.c.kind, _VERSIONS.c.key, _VERSIONS.c.number)
        )
    )


@dataclass(frozen=True)
class Opened:
    """What a form opens: the newest draft, or what is published."""

    number: int
    state: str
    content: dict[str, Any]
    effective_on: date | None = None


def opened(session: TenantSession, kind: str, key: str) -> Opened | None:
    """Give what a form should open for a thing; None when there is no such thing.

    The number in it is the `seen` of the save.
    """
    rows = session.execute(
        select(_VERSIONS.c.number, _VERSIONS.c.state, _VERSIONS.c.content, _VERSIONS.c.effective_on)
        .where(
            _VERSIONS.c.tenant_id == scope_of(session).tenant_id,
            _VERSIONS.c.kind == kind,
            _VERSIONS.c.key == key,
            _VERSIONS.c.state.in_((*OPEN, "published")),
        )
        .order_by(_VERSIONS.c.number.desc())
    ).all()
    drafts = [row for row in rows if row.state in OPEN]
    waiting = [row for row in drafts if row.state == "draft" or row.effective_on is None]
    published = [row for row in rows if row.state == "published"]
    for row in (*waiting, *published, *drafts):
        return Opened(*row)
    of = KINDS[kind]
    stored = of.stored(session, key)
    # the first version of what has none yet is written with the first save
    return None if stored is None else Opened(1, "published", of.said(stored.model))
