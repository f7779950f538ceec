"""What is wrong in somebody's package: where, what, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from regional311.errors import InvalidInput


class LeftOut(StrEnum):
    """What is left out when the sound rest is taken."""

    ROW = "row"
    VALUE = "value"
    NOTHING = "nothing"
    """It is kept as it was written, and not used here."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a file.

    `row` counts as a spreadsheet does, headings first; in JSON it is the place in the list, from
    1. `column` is the column or the path within the document; empty for the row or the whole file.
    """

    file: str
    row: int
    column: str
    reason: str
    left_out: LeftOut = LeftOut.VALUE

    @property
    def refuses(self) -> bool:
        """Whether nothing is taken unless a person says that the rest is wanted."""
        return self.left_out is not LeftOut.NOTHING

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "file": self.file,
            "row": self.row,
            "column": self.column,
            "reason": self.reason,
            "left_out": self.left_out.value,
        }

    def __str__(self) -> str:
        where = f"{self.file} row {self.row}" if self.row else self.file
        column = f", {self.column}" if self.column else ""
        return f"{where}{column}: {self.reason}"


class PackageUnreadable(InvalidInput):
    """It is no package of HSDS that can be read; nothing was taken."""


class PackageTooLarge(InvalidInput):
    """It is larger than what is taken in one go; nothing was read."""


class Broken(InvalidInput):
    """Something in the package is wrong, and nobody said to take the rest; nothing was taken."""

    def __init__(self, faults: Iterable[Fault], most: int = 20) -> None:
        self.faults = [each for each in faults if each.refuses]
        lines = [str(each) for each in self.faults[:most]]
        if len(self.faults) > most:
            lines.append(f"and {len(self.faults) - most} more")
        super().__init__(
            "\n".join([f"Nothing was taken: {len(self.faults)} things are wrong.", *lines])
        )
