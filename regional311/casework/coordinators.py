"""Who coordinates accommodations at a partner, for which bureaus, and the partner's own terms.

Nobody sees a case by default: a coordinator sees those of the bureaus for which they are named, and
only one who is named for the whole partner sees all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Coordinator:
    """Who handles accommodations of one bureau or, when `whole`, of the whole partner."""

    name: str
    email: str = ""
    phone: str = ""
    bureau: str = ""
    whole: bool = False

    def is_at(self, email: str) -> bool:
        """Whether somebody who signs in with this address is meant."""
        return bool(self.email) and self.email.casefold() == email.casefold()


@dataclass(frozen=True, slots=True)
class Terms:
    """A partner's own terms: working days, calendar days to keep, and what is said of an appeal.

    ``appeal`` is in the partner's own language, ``appeals`` in others.
    """

    acknowledge_days: int = 2
    decide_days: int = 15
    appeal_days: int = 15
    keep_days: int = 1095
    appeal: str = ""
    coordinators: tuple[Coordinator, ...] = ()
    appeals: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> Coordinator | None:
        """Who coordinates the whole partner."""
        return next((each for each in self.coordinators if each.whole), None)

    def coordinator(self, bureau: str | None) -> Coordinator | None:
        """Who handles those of a bureau: its own coordinator, or else the partner's."""
        own = (each for each in self.coordinators if each.bureau and each.bureau == bureau)
        return next(own, self.whole)

    def bureaus_of(self, email: str) -> tuple[str, ...] | None:
        """The bureaus whose cases somebody sees; None for all, nothing for whoever is not named.

        >>> terms = Terms(coordinators=(Coordinator("Ana", "ana@city.example", bureau="parks"),))
        >>> terms.bureaus_of("Ana@City.example"), terms.bureaus_of("ben@city.example")
        (('parks',), ())
        """
        mine = [each for each in self.coordinators if each.is_at(email)]
        if any(each.whole for each in mine):
            return None
        return tuple(each.bureau for each in mine if each.bureau)


BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "acknowledge_days": (1, 60),
    "decide_days": (1, 365),
    "appeal_days": (1, 365),
    "keep_days": (90, 36_500),
}
"""The least and the most of each term that is a number of days."""


def terms_of(settings: Mapping[str, Any]) -> Terms:
    """Read a partner's terms from its settings; left out, the usual days.

    >>> terms_of({}).decide_days
    15
    """
    given = settings.get("accommodation") or {}
    return Terms(
        **{name: given[name] for name in (*BOUNDS, "appeal") if given.get(name) is not None},
        coordinators=tuple(
            Coordinator(
                each.get("name") or "",
                each.get("email") or "",
                each.get("phone") or "",
                each.get("bureau") or "",
                each.get("whole") is True,
            )
            for each in settings.get("coordinators") or ()
        ),
        appeals={each["language"]: each["appeal"] for each in given.get("translation") or ()},
    )
