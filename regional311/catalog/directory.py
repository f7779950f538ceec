"""The services of every partner as they stand in memory: what decisions and the search read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Disposition:
    """What 311 does with a service from a day (included) to another (excluded)."""

    kind: str
    valid_from: date | None = None
    valid_to: date | None = None

    def holds(self, on: date) -> bool:
        """Whether this is the disposition of that day."""
        return (self.valid_from is None or self.valid_from <= on) and (
            self.valid_to is None or on < self.valid_to
        )


@dataclass(frozen=True, slots=True)
class Service:
    """One service of one partner.

    ``tenant`` is the partner's slug, ``boundaries`` are ``partner/key`` and empty when the
    partner's outline counts. ``place`` is required, optional or none. ``target_hours`` are
    business hours until a request should be done. ``updated_on`` is the day on which what it says
    was published, ``verified_on`` that on which somebody last found it right, ``review_on`` that
    by which somebody looks again; ``source`` is kept or imported.
    """

    tenant: str
    key: str
    name: str
    verb: str = "report"
    term: str = ""
    summary: str = ""
    group: str = ""
    bureau: str = ""
    keywords: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    boundaries: tuple[str, ...] = ()
    place: str = "optional"
    queue: str = ""
    priority: str = "normal"
    confidential: bool = False
    target_hours: int | None = None
    dispositions: tuple[Disposition, ...] = ()
    ended_on: date | None = None
    updated_on: date | None = None
    verified_on: date | None = None
    review_on: date | None = None
    source: str = "kept"
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)
    id: UUID | None = None
    tenant_id: UUID | None = None

    @property
    def ref(self) -> str:
        """The service as ``partner/key``: unique in the region."""
        return f"{self.tenant}/{self.key}"

    @property
    def locations(self) -> tuple[str, ...]:
        """Keys of its partner's locations at which it is given."""
        return tuple(each["location"] for each in self.details.get("location") or ())

    @property
    def on_web_form(self) -> bool:
        """Whether it can be asked for on the web form."""
        return self.verb in ("report", "request") and (not self.channels or "web" in self.channels)

    def disposition(self, on: date) -> str:
        """What 311 does with it on a day; ``undecided`` when nothing was agreed."""
        return next((each.kind for each in self.dispositions if each.holds(on)), "undecided")

    def offered(self, on: date) -> bool:
        """Whether it can be asked for on a day."""
        return self.ended_on is None or on < self.ended_on


class Directory:
    """All services of the region by reference and by term."""

    def __init__(self, services: Iterable[Service]) -> None:
        self.services: tuple[Service, ...] = tuple(sorted(services, key=lambda s: s.ref))
        self._by_ref = {each.ref: each for each in self.services}
        self._by_term: dict[str, list[Service]] = {}
        for each in self.services:
            self._by_term.setdefault(each.term or each.ref, []).append(each)

    def find(self, ref: str) -> Service | None:
        """Give the service called ``partner/key``, or nothing."""
        return self._by_ref.get(ref)

    def family(self, service: Service, on: date) -> tuple[Service, ...]:
        """Give the services of all partners for the same kind of thing, itself among them."""
        return tuple(
            each for each in self._by_term.get(service.term or service.ref, ()) if each.offered(on)
        )

    def alike(self, ref: str, on: date) -> tuple[str, ...]:
        """Give the keys of one partner's services for the same kind of thing, its own first."""
        service = self.find(ref)
        if service is None:
            return ()
        family = self.family(service, on)
        alike = (each.key for each in family if each.tenant == service.tenant)
        return tuple(dict.fromkeys((service.key, *alike)))

    def of(self, tenant: str, on: date | None = None) -> tuple[Service, ...]:
        """Give one partner's services, those of a day when one is given."""
        return tuple(
            each
            for each in self.services
            if each.tenant == tenant and (on is None or each.offered(on))
        )
