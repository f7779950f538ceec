"""The answers of several methods side by side."""

from __future__ import annotations

from collections.abc import Sequence

from regional311.allocation.methods import Allocation
from regional311.money import format_cents


def table_text(found: Sequence[Allocation]) -> str:
    """Give allocations of the same case as a table to read: a row a target, a column a method."""
    rows: list[list[str]] = [["", *(each.method for each in found)]]
    first = found[0]
    rows += [
        [f"{name} (pool)", *(_amount(each.gross_cents[name]) for each in found)]
        for name in first.gross_cents
    ]
    rows += [[name, *(_amount(each.cents[name]) for each in found)] for name in first.cents]
    left_over = {name: None for each in found for name in each.unallocated_cents}
    rows += [
        [f"{name} (unallocated)", *(_amount(each.unallocated_cents.get(name, 0)) for each in found)]
        for name in left_over
    ]
    rows.append(["Total", *(_amount(each.total_cents) for each in found)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def _amount(cents: int) -> str:
    return format_cents(cents, symbol="")
