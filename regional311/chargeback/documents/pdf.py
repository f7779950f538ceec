"""A statement as an accessible PDF: tagged, titled, PDF/UA-1, the same bytes every time.

Of an issued statement the first one is kept (:mod:`regional311.chargeback.documents.keeping`).

Typst sets it in the fonts that it brings along, with the statement's own date; nothing of the
machine or of the moment gets in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Literal

import typst

from regional311.chargeback.documents.content import (
    LINE_KINDS,
    Document,
    Part,
    day,
    exact,
    line_note,
    number,
    plain,
)
from regional311.chargeback.queries import LineRow
from regional311.money import format_cents

PRINTED = 500
"""How many lines are printed; the rest is in the other formats, and the document says so."""


def render_pdf(document: Document, lines: Iterable[LineRow]) -> bytes:
    """The document as PDF/UA-1; `lines` are its first lines, as many as are printed."""
    return _compile(document, lines, "pdf")


def render_picture(document: Document, lines: Iterable[LineRow]) -> bytes:
    """The cover of the document as a PNG picture."""
    return _compile(document, lines, "png")


def _compile(document: Document, lines: Iterable[LineRow], form: Literal["pdf", "png"]) -> bytes:
    content = json.dumps(_content(document, list(lines)), ensure_ascii=False, sort_keys=True)
    options: dict[str, Any] = {"pdf_standards": ["ua-1"]} if form == "pdf" else {"ppi": 110.0}
    made = typst.compile(
        _template(),
        format=form,
        ignore_system_fonts=True,
        sys_inputs={"document": content},
        timestamp=int(document.made_at.timestamp()),
        **options,
    )
    page = made[0] if isinstance(made, list) else made
    assert isinstance(page, bytes)
    return page


@cache
def rendering() -> str:
    """By what PDFs are set now: the digest of the template and the version of Typst."""
    digest = hashlib.sha256(_template()).hexdigest()
    return f"template {digest[:16]}, typst {version('typst')}"


@cache
def _template() -> bytes:
    return files(__package__).joinpath("statement.typ").read_bytes()


def _content(document: Document, lines: list[LineRow]) -> dict[str, Any]:
    made = document.made_at.astimezone(UTC)
    return {
        "title": document.title,
        "kind": document.title.removesuffix(document.number).strip(),
        "number": document.number,
        "warning": document.warning,
        "period": document.period,
        "issuer": {"name": document.issuer.name, "lines": document.issuer.lines},
        "payer": {"name": document.payer.name, "lines": document.payer.lines},
        "dated": day(document.dated),
        "made": [made.year, made.month, made.day, made.hour, made.minute, made.second],
        "due": None if document.due_on is None else day(document.due_on),
        "total": format_cents(document.total_cents),
        "sentences": [each.replace(" %", "\u00a0%") for each in document.sentences],
        "facts": _facts(document),
        "agreements": [name for _, name in document.agreements],
        "done": [
            {"words": each.words, "amount": format_cents(each.amount_cents)}
            for each in document.done
        ],
        "parts": _bars(document.parts),
        "last_year": None if document.last_year is None else document.last_year[0],
        "last_total": None if document.last_year is None else format_cents(document.last_year[1]),
        "budget": _budget(document),
        "lines": [_line(line) for line in lines],
        "line_count": number(document.line_count),
        "left_out": number(document.line_count - len(lines))
        if document.line_count > len(lines)
        else None,
        "printed": number(len(lines)),
        "digest": document.digest,
    }


def _facts(document: Document) -> list[tuple[str, str]]:
    facts = [("Number", document.number), ("Period", document.period)]
    facts.append(("Issued" if document.warning is None else "Made", day(document.dated)))
    if document.due_on is not None:
        facts.append(("Due", day(document.due_on)))
    if document.corrects:
        facts.append(("About statement", document.corrects))
    return facts + list(document.references)


def _bars(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    """Each part with its bars in thousandths of the longest one."""
    longest = max(
        (abs(cents) for part in parts for cents in (part.amount_cents, part.last_year_cents or 0)),
        default=0,
    )
    return [
        {
            "name": part.name,
            "amount": format_cents(part.amount_cents),
            "last": None if part.last_year_cents is None else format_cents(part.last_year_cents),
            "bar": _length(part.amount_cents, longest),
            "last_bar": _length(part.last_year_cents or 0, longest),
            "negative": part.amount_cents < 0,
        }
        for part in parts
    ]


def _length(cents: int, longest: int) -> int:
    """The length of a bar in thousandths; what is not nothing can be seen."""
    return max(4, abs(cents) * 1000 // longest) if cents and longest else 0


def _budget(document: Document) -> dict[str, Any] | None:
    budget = document.budget
    if budget is None or budget.amount_cents <= 0:
        return None
    used = min(1000, max(0, budget.used_cents * 1000 // budget.amount_cents))
    return {
        "label": budget.label,
        "amount": format_cents(budget.amount_cents),
        "used": format_cents(budget.used_cents),
        "left": format_cents(budget.amount_cents - budget.used_cents),
        "used_bar": used,
        "elapsed": number(budget.elapsed),
        "elapsed_bar": min(1000, int(budget.elapsed * 10)),
    }


def _line(line: LineRow) -> dict[str, Any]:
    return {
        "position": str(line.position),
        "kind": LINE_KINDS.get(line.kind, plain(line.kind)),
        "label": line.label,
        "note": line_note(line),
        "quantity": number(line.quantity) if line.kind in ("usage", "correction") else "",
        "price": exact(line.price),
        "amount": format_cents(line.amount_cents),
    }
