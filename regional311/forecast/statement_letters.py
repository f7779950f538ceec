"""The PDF of a statement, put into the letters to bodies outside as they leave.

Nothing is set while a month is billed: the first letter or download of a statement makes its PDF,
which is kept from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from regional311.database.session import TenantSession
from regional311.errors import DomainError
from regional311.forecast.documents import document_of, pdf_of
from regional311.notices.delivery import Attached, Complete, Letter
from regional311.notices.leaving import give_back
from regional311.notices.service import WITH_STATEMENT

NO_DOCUMENT: Final = "The statement that it brings could not be attached; send its PDF by post."


def with_statements(before: Complete) -> Complete:
    """Give what completes letters as `before` does, and attaches statements."""

    def complete(session: Session, letters: Sequence[Letter], now: datetime) -> list[Letter]:
        made = []
        for letter in before(session, letters, now):
            if letter.event not in WITH_STATEMENT or letter.subject_id is None:
                made.append(letter)
                continue
            file = _file(session, letter, now)
            if file is None:
                values = {"state": "dead", "died_at": now, "last_error": NO_DOCUMENT}
                give_back(session, letter, values)
            else:
                made.append(replace(letter, files=(file,)))
        return made

    return complete


def _file(session: Session, letter: Letter, now: datetime) -> Attached | None:
    assert letter.subject_id is not None
    assert isinstance(session, TenantSession)
    try:
        document = document_of(session, letter.subject_id)
        if document is None:
            return None
        return Attached(f"{document.number}.pdf", pdf_of(session, document, now=now))
    except DomainError:
        return None
