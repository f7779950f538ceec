"""A statement's document with the budget beside it."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import IO, Any
from uuid import UUID

from regional311.chargeback import queries
from regional311.chargeback.documents.content import Document, read_document, read_lines
from regional311.chargeback.documents.exports import stream_csv, stream_json
from regional311.chargeback.documents.keeping import keep_pdf, kept_pdf
from regional311.chargeback.documents.pdf import PRINTED, render_pdf, rendering
from regional311.chargeback.documents.workbook import write_xlsx
from regional311.database.session import TenantSession
from regional311.forecast.budgets import budget_of_statement

FORMATS = ("pdf", "xlsx", "csv", "json")


def document_of(session: TenantSession, wanted: UUID | str) -> Document | None:
    """What a statement's document says, budget included; None when there is no such statement."""
    detail = queries.statement(session, wanted)
    if detail is None:
        return None
    # what the issuer itself has planned is no matter of a body outside, to which this is sent
    outside = detail.row.payer_kind == "outside"
    budget = None if outside else budget_of_statement(session, detail)
    return read_document(session, detail.row.id, budget=budget)


def pdf_of(session: TenantSession, document: Document, *, now: datetime) -> bytes:
    """The PDF of a statement: once it is issued, for ever the one that was first made here.

    :raises FileDamaged: when what was kept is not as it was made.
    """
    issued = document.warning is None
    if issued and (kept := kept_pdf(session, document.id)) is not None:
        return kept
    printed = islice(read_lines(session, document.id, limit=PRINTED), PRINTED)
    made = render_pdf(document, printed)
    return keep_pdf(session, document.id, made, rendering(), now=now) if issued else made


def write_document(
    session: TenantSession,
    wanted: UUID | str,
    form: str,
    target: IO[bytes],
    *,
    now: datetime,
    also: dict[str, Any] | None = None,
) -> bool:
    """Write a statement's document to a file; False when there is no such statement.

    `form` is one of `FORMATS`; `also` adds to the header of JSON. The lines are read as they are
    written, a thousand at a time. The PDF of an issued statement is kept at `now`, once.

    :raises FileDamaged: when the PDF that was kept is not as it was made.
    """
    document = document_of(session, wanted)
    if document is None:
        return False
    if form == "pdf":
        target.write(pdf_of(session, document, now=now))
        return True
    lines = read_lines(session, document.id)
    if form == "xlsx":
        write_xlsx(document, lines, target)
        return True
    pieces = stream_csv(document, lines) if form == "csv" else stream_json(document, lines, also)
    for piece in pieces:
        target.write(piece)
    return True
