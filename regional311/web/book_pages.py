"""What the pages of the books have in common: their tabs, cells, sections and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from regional311.web.billing_wording import page
from regional311.web.i18n import _
from regional311.web.listing import Column, Filter, Listing

TABS = (
    ("", "balance", _("Trial balance")),
    ("/journal", "journal", _("Journal")),
    ("/accounts", "accounts", _("Accounts")),
    ("/balances", "balances", _("Balances by age")),
    ("/periods", "periods", _("Months")),
    ("/checks", "checks", _("Checks")),
    ("/seals", "seals", _("Seals")),
    ("/exports", "exports", _("Exports")),
    ("/recovery", "recovery", _("Recovery")),
)
"""The parts of the ledger: address below it, key, title."""

EVENT_KINDS = {
    "soft_closed": _("Soft-closed"),
    "closed": _("Closed"),
    "reopen_requested": _("Asked to open it again"),
    "reopen_declined": _("Left closed"),
    "reopened": _("Opened again"),
}


@dataclass
class Action:
    """A button that posts something, with the question that it answers."""

    url: str
    label: Any
    question: Any = None
    fields: dict[str, Any] = field(default_factory=dict)
    secondary: bool = False


@dataclass
class Section:
    """A table with its heading."""

    title: Any
    listing: Listing
    empty: Any = None
    lead: Any = None


def ledger_url(request: Any) -> str:
    """Where this partner's books are."""
    return f"/{request.tenant.slug}/ledger"


def tabs(request: Any, chosen: str) -> list[tuple[str, Any, bool]]:
    """The parts of the ledger with the one that is shown."""
    url = ledger_url(request)
    return [(f"{url}{path}", title, key == chosen) for path, key, title in TABS]


def link(url: str, text: Any, note: Any = None) -> dict[str, Any]:
    """A cell that leads on."""
    return {"url": url, "text": text, "note": note}


def state(table: str, code: str) -> dict[str, str]:
    """A cell with a state as a tag."""
    return {"table": table, "state": code}


def section(
    request: Any,
    title: Any,
    columns: Sequence[tuple[Any, bool]],
    rows: Sequence[Sequence[Any]],
    *,
    empty: Any = None,
    lead: Any = None,
    total: Sequence[Any] | None = None,
    filters: Sequence[Filter] = (),
    csv: bool = False,
    after: str | None = None,
) -> Section:
    """A table of plain cells; `columns` are (title, whether it holds numbers)."""
    listing = Listing(
        request,
        columns=[
            Column(f"c{place}", heading, number=number)
            for place, (heading, number) in enumerate(columns)
        ],
        filters=filters,
        csv=csv,
    )
    cells = [{"total": False, "cells": list(row)} for row in rows]
    if total is not None and cells:
        cells.append({"total": True, "cells": list(total)})
    listing.fill(cells, after=after)
    return Section(title, listing, empty, lead)


def book_page(
    request: Any,
    chosen: str | None,
    *,
    title: Any,
    lead: Any = None,
    crumbs: Sequence[tuple[str, Any]] = (),
    **values: Any,
) -> dict[str, Any]:
    """What `ledger/page.jinja2` is rendered with."""
    nothing: dict[str, Any] = {
        "checks": [],
        "facts": [],
        "actions": [],
        "form": None,
        "sections": [],
        "links": [],
    }
    return page(
        request,
        **nothing
        | values
        | {
            "title": title,
            "lead": lead,
            "crumbs": list(crumbs),
            "tabs": tabs(request, chosen) if chosen else [],
            "ledger_url": ledger_url(request),
        },
    )
