"""The words of the pages about pools, bases and splits, and who their targets are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from regional311.allocation.bases import POOL
from regional311.tenancy.models import Bureau
from regional311.web.i18n import _

METHODS = {
    "direct": _("Direct"),
    "step_down": _("Step-down"),
    "double_step_down": _("Double step-down"),
    "reciprocal": _("Reciprocal"),
}
METHOD_MEANINGS = {
    "direct": _("What pools did for one another is left out."),
    "step_down": _("Pools close one after the other, in their order."),
    "double_step_down": _("A first round reaches every pool, a second one steps down the rest."),
    "reciprocal": _("All pools at once, as simultaneous equations."),
}
BASE_KINDS = {
    "fixed": _("Fixed readings"),
    "equal": _("Equal parts"),
    "fte": _("Positions (FTE)"),
    "budget": _("Budget"),
    "population": _("Population"),
    "assessed_value": _("Assessed value"),
    "contact_count": _("Contacts, counted"),
    "handle_minutes": _("Handle minutes, counted"),
    "mix": _("A mix of other bases"),
}
COUNTS = {
    "bureaus": _("Contacts about our own bureaus' services"),
    "partners": _("Contacts by the partner whose service it was"),
    "all": _("Both: our bureaus and other partners"),
}


@dataclass
class Targets:
    """Names of targets for one page; bureaus are read once, when one is asked for."""

    request: Any
    pools: Mapping[str, str]
    bureaus: dict[str, str] | None = None

    def __call__(self, target: str) -> str:
        """The name of a target: a partner, a bureau, an outside body or a pool."""
        kind, _colon, key = target.rpartition(":")
        if kind == "bureau":
            return self._bureau(key)
        if kind == "pool":
            return self.pools.get(key, key)
        if kind == "outside":
            return key.replace("-", " ").capitalize()
        partner = self.request.registry.partners.by_slug(target)
        return str(partner.name) if partner else target

    def url(self, target: str) -> str | None:
        """The page of a target that is a pool."""
        if target.startswith(POOL):
            return f"/{self.request.tenant.slug}/pools/{target.removeprefix(POOL)}"
        return None

    def sorted(self, targets: Iterable[str]) -> list[str]:
        """Targets by the names that people read."""
        return sorted(targets, key=lambda each: (self(each).casefold(), each))

    def _bureau(self, key: str) -> str:
        if self.bureaus is None:
            self.bureaus = {
                row.key: row.name
                for row in self.request.dbsession.execute(
                    select(Bureau.key, Bureau.name).where(
                        Bureau.tenant_id == self.request.tenant.id
                    )
                )
            }
        return self.bureaus.get(key, key)
