"""A statement's document with the budget beside it."""

from __future__ import annotations

from itertools import islice
from typing import IO, Any
from uuid import UUID

from regional311.chargeback import queries
from regional311.chargeback.documents.content import Document, read_document, read_lines
from regional311.chargeback.documents.exports import stream_csv, stream_json
from regional311.chargeback.documents.pdf import PRINTED, render_pdf
from regional311.chargeback.documents.workbook import write_xlsx
from regional311.database.session import TenantSession
from regional311.forecast.budgets import budget_of_statement

FORMATS = ("pdf", "xlsx", "csv", "json")


def document_of(session: TenantSession, wanted: UUID | str) -> Document | None:
    """What a statement's document says, budget included; None when there is no such statement."""
    detail = queries.statement(session, wanted)
    if detail is None:
        return None
    return read_document(session, detail.row.id, budget=budget_of_statement(session, detail))


def write_document(
    session: TenantSession,
    wanted: UUID | str,
    form: str,
    target: IO[bytes],
    *,
    also: dict[str, Any] | None = None,
) -> bool:
    """Write a statement's document to a file; False when there is no such statement.

    `form` is one of `FORMATS`; `also` adds to the header of JSON. The lines are read as they are
    written, a thousand at a time.
    """
    document = document_of(session, wanted)
    if document is None:
        return False
    if form == "pdf":
        printed = islice(read_lines(session, document.id, limit=PRINTED), PRINTED)
        target.write(render_pdf(document, printed))
        return True
    lines = read_lines(session, document.id)
    if form == "xlsx":
        write_xlsx(document, lines, target)
        return True
    pieces = stream_csv(document, lines) if form == "csv" else stream_json(document, lines, also)
    for piece in pieces:
        target.write(piece)
    return True
