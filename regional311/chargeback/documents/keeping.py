"""The PDF of an issued statement, kept as it was first made.

Wording, template and typesetter go on; what was once given out under a number stays as it was. Each
side keeps its own, since the payer's shows the payer's own budget.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from regional311.chargeback.models import StatementFile
from regional311.database.ids import new_id
from regional311.database.session import TenantSession, mark_changed, scope_of
from regional311.errors import Conflict
from regional311.ledger.books import Problem
from regional311.ledger.seals import keep_document, kept_documents

KIND = "statement_pdf"


class FileDamaged(Conflict):
    """The kept PDF of a statement is not the one that was made."""


def kept_pdf(session: TenantSession, statement_id: UUID) -> bytes | None:
    """The PDF of a statement as it was first made here; None when none was made yet.

    :raises FileDamaged: when its bytes do not have the digest that they were kept with.
    """
    row = session.execute(
        select(StatementFile.content, StatementFile.digest).where(
            StatementFile.tenant_id == scope_of(session).tenant_id,
            StatementFile.statement_id == statement_id,
        )
    ).one_or_none()
    if row is None:
        return None
    if hashlib.sha256(row.content).hexdigest() != row.digest:
        raise FileDamaged(
            "The PDF that was kept of this statement was changed since. Tell whoever runs this"
            " system; the other formats are not concerned."
        )
    return bytes(row.content)


def keep_pdf(
    session: TenantSession, statement_id: UUID, content: bytes, rendering: str, *, now: datetime
) -> bytes:
    """Keep the PDF of an issued statement for ever, and give what is kept.

    Of two that are made at once the first one stays.
    """
    digest = hashlib.sha256(content).hexdigest()
    made = session.execute(
        insert(StatementFile)
        .values(
            tenant_id=scope_of(session).tenant_id,
            id=new_id(),
            statement_id=statement_id,
            content=content,
            digest=digest,
            rendering=rendering,
            made_at=now,
        )
        .on_conflict_do_nothing()
        .returning(StatementFile.id)
    ).scalar_one_or_none()
    if made is None:
        return kept_pdf(session, statement_id) or content
    mark_changed(session)
    keep_document(session, KIND, statement_id, digest, now=now)
    return content


def file_problems(session: TenantSession) -> list[Problem]:
    """Kept PDFs that are not as they were made, or are gone."""
    tenant_id = scope_of(session).tenant_id
    rows = session.execute(
        text(
            "SELECT f.statement_id AS id, s.public_id, f.made_at,"
            " encode(sha256(f.content), 'hex') AS digest FROM statement_files f"
            " JOIN statements s ON s.tenant_id = f.tenant_id AND s.id = f.statement_id"
            " WHERE f.tenant_id = :tenant ORDER BY f.statement_id"
        ),
        {"tenant": tenant_id},
    ).all()
    kept = kept_documents(session, KIND)
    problems = [
        Problem(
            f"file_{what}",
            tenant_id,
            row.id,
            f"The PDF of statement {row.public_id} is not the one that was first made.",
        )
        for row in rows
        if (what := kept.problem(row.id, row.digest, row.made_at))
    ]
    gone = sorted(kept.digests.keys() - {row.id for row in rows})
    return problems + [
        Problem("file_gone", tenant_id, each, "The PDF that was kept of this statement is gone.")
        for each in gone
    ]
