"""The chain of seals over a partner's entries, and what it proves.

The application's role cannot change an entry; the database's owner can. A seal is a digest over
entries and over the seal before, so that whoever changes, removes or slips in an entry later must
rewrite every seal since, and whoever kept a head (number and hash of the last seal) sees that.

Documents that are owed or paid by, statements and payments, are sealed beside the entries: by a
digest that whoever writes them gives, and makes again when they are checked.

Entries are chosen because they have committed and stand in no seal yet, never by the order of
their ids: one whose transaction ended late is in a later seal, and none is left out.

Digests can be made again by any program: an entry is the JSON array `entry_text` as UTF-8 under
SHA-256, a document the array `document_text`, a seal the array `seal_text`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import InvalidInput
from regional311.ledger.books import Problem
from regional311.ledger.models import LedgerDocument

GENESIS = "0" * 64
"""What the first seal names as the one before."""
AT_ONCE = 10_000
"""Entries of a seal at most."""
LATE = timedelta(hours=1)
"""How long a transaction may take: who posts with an older date has backdated."""
FORMAT = "regional311 ledger heads 1"

_ENTRY = """jsonb_build_array(e.tenant_id, e.id, e.period_key, e.service_period, e.memo,
    e.source_key, e.source_id, e.counterparty_id, e.mirror_id, e.reverses_id, e.leg_count,
    e.total_cents, e.posted_by,
    to_char(e.posted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US'),
    (SELECT jsonb_agg(jsonb_build_array(p.leg, p.account_key, p.debit_cents, p.credit_cents,
        p.counterparty_id, p.party, p.family) ORDER BY p.leg)
     FROM postings p WHERE p.tenant_id = e.tenant_id AND p.entry_id = e.id))"""
_DIGEST = f"encode(sha256(convert_to({_ENTRY}::text, 'UTF8')), 'hex')"

_UNSEALED = text(f"""
SELECT e.id, {_DIGEST} AS digest,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS snapshot_xmin
FROM journal_entries e WHERE e.tenant_id = :tenant AND NOT EXISTS (
    SELECT FROM ledger_seal_entries s WHERE s.tenant_id = e.tenant_id AND s.entry_id = e.id)
ORDER BY e.id LIMIT :limit
""")

_DOCUMENT = """jsonb_build_array(d.tenant_id, d.id, d.kind, d.subject_id, d.digest,
    to_char(d.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US'))"""
_DOCUMENT_DIGEST = f"encode(sha256(convert_to({_DOCUMENT}::text, 'UTF8')), 'hex')"

_UNSEALED_DOCUMENTS = text(f"""
SELECT d.id, {_DOCUMENT_DIGEST} AS digest,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS snapshot_xmin
FROM ledger_documents d WHERE d.tenant_id = :tenant AND NOT EXISTS (
    SELECT FROM ledger_seal_entries s WHERE s.tenant_id = d.tenant_id AND s.entry_id = d.id)
ORDER BY d.id LIMIT :limit
""")
_SEAL = text("""
WITH seal AS (
    INSERT INTO ledger_seals (tenant_id, number, previous_hash, entry_count, entries_digest, hash,
        snapshot_xmin, sealed_at)
    VALUES (:tenant, :number, :previous, :count, :digest, :hash, :xmin, :now)
)
INSERT INTO ledger_seal_entries (tenant_id, entry_id, seal_number, position, digest)
SELECT :tenant, entry.id, :number, entry.place, entry.digest
FROM unnest(CAST(:ids AS uuid[]), CAST(:digests AS text[])) WITH ORDINALITY
    AS entry (id, digest, place)
""")
_SEALS = text("""
SELECT number, previous_hash, entry_count, entries_digest, hash, snapshot_xmin, sealed_at,
    coalesce(found.count, 0) AS found_count,
    encode(sha256(convert_to(coalesce(found.digests, ''), 'UTF8')), 'hex') AS found_digest
FROM ledger_seals s LEFT JOIN (
    SELECT seal_number, count(*) AS count, string_agg(digest, E'\\n' ORDER BY position) AS digests
    FROM ledger_seal_entries WHERE tenant_id = :tenant GROUP BY seal_number
) found ON found.seal_number = s.number
WHERE s.tenant_id = :tenant ORDER BY number
""")
_DIFFERENT = text(f"""
SELECT coalesce(e.id, s.entry_id) AS id, e.id IS NULL AS gone, s.entry_id IS NULL AS unsealed,
    e.digest <> s.digest AS changed, s.seal_number, e.source_key, e.memo, e.posted_at
FROM (
    SELECT e.id, e.source_key, e.memo, e.posted_at, {_DIGEST} AS digest
    FROM journal_entries e WHERE e.tenant_id = :tenant
    UNION ALL
    SELECT d.id, concat_ws(':', d.kind, d.subject_id), 'what was kept of a document',
        d.recorded_at, {_DOCUMENT_DIGEST}
    FROM ledger_documents d WHERE d.tenant_id = :tenant
) e
FULL JOIN (SELECT * FROM ledger_seal_entries WHERE tenant_id = :tenant) s ON s.entry_id = e.id
LEFT JOIN ledger_seals before ON before.tenant_id = :tenant
    AND before.number = coalesce(s.seal_number - 1, :last)
WHERE e.id IS NULL OR (s.entry_id IS NOT NULL AND e.digest <> s.digest)
    OR e.posted_at < before.sealed_at - :late
ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class Head:
    """The last seal of a chain: whoever keeps it can tell whether the chain was cut or rewritten.

    `number` 0 with the hash of nothing stands for books that were never sealed.
    """

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Seal:
    """One link as the page shows it."""

    number: int
    previous_hash: str
    entry_count: int
    entries_digest: str
    hash: str
    snapshot_xmin: int
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """What was found of a chain: how much was looked at, and every problem, each with its place."""

    head: Head
    seals: int
    sealed_entries: int
    unsealed_entries: int
    problems: tuple[Problem, ...]


def entry_text(fields: list[Any]) -> str:
    """The text that an entry's digest is of: a JSON array, as PostgreSQL writes it.

    Its members are tenant, id, period, service period, memo, source key, source, counterparty,
    mirror, reversed entry, number of legs, total in cents, poster, time of posting in UTC, and for
    each leg: number, account, debit, credit, counterparty, party, family.
    """
    return json.dumps(fields, ensure_ascii=False)


def document_text(fields: list[Any]) -> str:
    """The text that the seal's digest of a document is of: a JSON array like `entry_text`.

    Its members are tenant, id, kind, document, the document's own digest, and time in UTC.
    """
    return json.dumps(fields, ensure_ascii=False)


def seal_text(tenant_id: UUID, seal: Seal) -> str:
    """The text that a seal's hash is of."""
    moment = seal.sealed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return json.dumps(
        [
            str(tenant_id),
            seal.number,
            seal.previous_hash,
            seal.entry_count,
            seal.entries_digest,
            seal.snapshot_xmin,
            moment,
        ]
    )


def sha256(content: str) -> str:
    """SHA-256 of a text as UTF-8, in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


def keep_document(
    session: TenantSession, kind: str, subject_id: UUID, digest: str, *, now: datetime
) -> None:
    """Keep what a document is now, for the next seal; each is kept once."""
    put(
        session,
        LedgerDocument(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            kind=kind,
            subject_id=subject_id,
            digest=digest,
            recorded_at=now,
        ),
    )


@dataclass(frozen=True, slots=True)
class KeptDocuments:
    """The digests that were kept of documents of a kind, and since when that is done."""

    digests: Mapping[UUID, str]
    since: datetime | None

    def problem(self, subject_id: UUID, digest: str, at: datetime) -> str | None:
        """What is wrong with a document of which `digest` is made anew: changed, missing, or None.

        What came before the first that was kept needs none.
        """
        kept = self.digests.get(subject_id)
        if kept is not None:
            return None if kept == digest else "changed"
        return "missing" if self.since is not None and at >= self.since else None


def kept_documents(session: TenantSession, kind: str) -> KeptDocuments:
    """What was kept of this partner's documents of a kind."""
    rows = session.execute(
        text(
            "SELECT subject_id, digest, recorded_at FROM ledger_documents"
            " WHERE tenant_id = :tenant AND kind = :kind"
        ),
        {"tenant": scope_of(session).tenant_id, "kind": kind},
    ).all()
    since = min((row.recorded_at for row in rows), default=None)
    return KeptDocuments({row.subject_id: row.digest for row in rows}, since)


def seal(session: TenantSession, *, now: datetime) -> Head | None:
    """Seal what has committed since the last seal; give the new head, None when there is nothing.

    At most `AT_ONCE` entries and documents: call it again until it gives None.
    """
    tenant_id = scope_of(session).tenant_id
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('ledger_seals:' || :tenant, 0))"),
        {"tenant": str(tenant_id)},
    )
    last = head(session)
    rows = list(session.execute(_UNSEALED, {"tenant": tenant_id, "limit": AT_ONCE}))
    left = {"tenant": tenant_id, "limit": AT_ONCE - len(rows)}
    rows += session.execute(_UNSEALED_DOCUMENTS, left).all()
    if not rows:
        return None
    digests = [row.digest for row in rows]
    entries_digest = sha256("\n".join(digests))
    made = Seal(
        number=last.number + 1,
        previous_hash=last.hash,
        entry_count=len(rows),
        entries_digest=entries_digest,
        hash="",
        snapshot_xmin=rows[0].snapshot_xmin,
        sealed_at=now,
    )
    found = Head(made.number, sha256(seal_text(tenant_id, made)))
    session.execute(
        _SEAL,
        {
            "tenant": tenant_id,
            "number": made.number,
            "previous": made.previous_hash,
            "count": made.entry_count,
            "digest": entries_digest,
            "hash": found.hash,
            "xmin": made.snapshot_xmin,
            "now": now,
            "ids": [row.id for row in rows],
            "digests": digests,
        },
    )
    mark_changed(session)
    return found


def seal_everything(session: TenantSession, now: datetime) -> int:
    """Seal all that has committed since the last seal; give how many seals that took."""
    made = 0
    while seal(session, now=now) is not None:
        made += 1
    return made


def head(session: TenantSession) -> Head:
    """The last seal of these books."""
    row = session.execute(
        text(
            "SELECT number, hash FROM ledger_seals WHERE tenant_id = :tenant"
            " ORDER BY number DESC LIMIT 1"
        ),
        {"tenant": scope_of(session).tenant_id},
    ).one_or_none()
    return Head(0, GENESIS) if row is None else Head(row.number, row.hash)


def seals(session: TenantSession, *, before: int | None = None, limit: int = 50) -> list[Seal]:
    """A page of the chain, the latest first."""
    rows = session.execute(
        text(
            "SELECT number, previous_hash, entry_count, entries_digest, hash, snapshot_xmin,"
            " sealed_at FROM ledger_seals WHERE tenant_id = :tenant"
            " AND (CAST(:before AS bigint) IS NULL OR number < :before)"
            " ORDER BY number DESC LIMIT :limit"
        ),
        {"tenant": scope_of(session).tenant_id, "before": before, "limit": limit},
    )
    return [Seal(*row) for row in rows]


def unsealed(session: TenantSession) -> int:
    """How many entries and documents wait for the next seal."""
    count: int = session.execute(
        text(
            "SELECT (SELECT count(*) FROM journal_entries e WHERE e.tenant_id = :tenant"
            " AND NOT EXISTS (SELECT FROM ledger_seal_entries s"
            "  WHERE s.tenant_id = e.tenant_id AND s.entry_id = e.id))"
            " + (SELECT count(*) FROM ledger_documents d WHERE d.tenant_id = :tenant"
            " AND NOT EXISTS (SELECT FROM ledger_seal_entries s"
            "  WHERE s.tenant_id = d.tenant_id AND s.entry_id = d.id))"
        ),
        {"tenant": scope_of(session).tenant_id},
    ).scalar_one()
    return count


def verify(session: TenantSession, exported: Head | None = None) -> ChainCheck:
    """Check the whole chain of these books, and every entry against it.

    `exported` is a head that somebody kept elsewhere: without one, a tail that was cut off
    together with its entries cannot be noticed.
    """
    tenant_id = scope_of(session).tenant_id
    problems: list[Problem] = []

    def found(kind: str, message: str, subject_id: UUID | None = None) -> None:
        problems.append(Problem(kind, tenant_id, subject_id, message))

    before = Head(0, GENESIS)
    known: dict[int, str] = {0: GENESIS}
    entries = 0
    for row in session.execute(_SEALS, {"tenant": tenant_id}):
        made = Seal(*row[:7])
        for number in range(before.number + 1, made.number):
            found("seal_missing", f"Seal {number} is not there.")
        if made.previous_hash != before.hash:
            found("chain_broken", f"Seal {made.number} does not follow from the one before it.")
        if made.hash != sha256(seal_text(tenant_id, made)):
            found("seal_changed", f"Seal {made.number} was changed after it was made.")
        if (row.found_count, row.found_digest) != (made.entry_count, made.entries_digest):
            found(
                "seal_changed",
                f"Seal {made.number} was made over {made.entry_count} entries; its list of "
                f"{row.found_count} is another.",
            )
        before = Head(made.number, made.hash)
        known[made.number] = made.hash
        entries += row.found_count
    for row in session.execute(
        _DIFFERENT, {"tenant": tenant_id, "last": before.number, "late": LATE}
    ):
        what = f"Entry {row.id}" + ("" if row.gone else f" ({row.memo}, {row.source_key})")
        if row.gone:
            found("entry_deleted", f"{what} is in seal {row.seal_number} and is gone.", row.id)
        elif row.changed:
            found("entry_changed", f"{what} differs from seal {row.seal_number}.", row.id)
        else:
            found(
                "entry_backdated",
                f"{what} says it was posted on {row.posted_at:%Y-%m-%d}, before seal "
                f"{before.number if row.unsealed else row.seal_number - 1}, which lacks it.",
                row.id,
            )
    if exported is not None and known.get(exported.number) != exported.hash:
        found(
            "head_differs",
            f"The head that was kept is seal {exported.number}; this chain "
            + (
                f"ends at seal {before.number}: its tail was cut off."
                if exported.number > before.number
                else "has another one there: it was rewritten."
            ),
        )
    return ChainCheck(before, len(known) - 1, entries, unsealed(session), tuple(problems))


def heads_text(heads: Mapping[str, Head], *, now: datetime) -> str:
    """The heads of several partners (slug to head) as a file to keep elsewhere."""
    content = {
        "format": FORMAT,
        "made_at": now.astimezone(UTC).isoformat(),
        "heads": {
            slug: {"number": each.number, "hash": each.hash} for slug, each in sorted(heads.items())
        },
    }
    return json.dumps(content, indent=2) + "\n"


def read_heads(content: str) -> dict[str, Head]:
    """Read what `heads_text` wrote.

    :raises InvalidInput: when it is something else.
    """
    try:
        said = json.loads(content)
        heads = {
            str(slug): Head(int(each["number"]), str(each["hash"]))
            for slug, each in said["heads"].items()
        }
        known = said["format"] == FORMAT
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput("This is no file of exported heads.", field="heads") from error
    if not known:
        raise InvalidInput(f"Exported heads have the format {FORMAT}.", field="heads")
    return heads
