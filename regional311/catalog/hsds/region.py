"""What stands around the entries of a directory: partners, bureaus, areas, terms.

All of it is published, small and in memory already; one object is made for each moment that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final, Protocol
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from regional311.catalog.hsds import mapping
from regional311.catalog.hsds.identifiers import NAMESPACE, Children, entry_id
from regional311.catalog.hsds.mapping import Area, Around, Document
from regional311.catalog.hsds.values import email_address, phone_number, prose, web_address
from regional311.catalog.taxonomy import Terms, Tree, TreeTerm, taxonomy_of
from regional311.tenancy.queries import BoundaryRow, BureauRow, TenantRow

_OUTLINE: Final = "jurisdiction"


class Line(Protocol):
    """A public line of a partner (its slug), as far as it is listed."""

    @property
    def tenant(self) -> str:
        """Slug of the partner."""

    @property
    def name(self) -> str:
        """What answers."""

    @property
    def channel(self) -> str:
        """phone, text, ..."""

    @property
    def address(self) -> str:
        """The number."""


@dataclass(frozen=True)
class Body:
    """A partner or one of its bureaus as an organisation; `bureau` is empty for the partner."""

    id: UUID
    tenant_id: UUID
    bureau: str
    document: Document


@dataclass(frozen=True)
class Region:
    """The directory's surroundings at a moment.

    `url` is the address of the API; areas have theirs below it. `only` is the slug of the one
    partner whose directory this is. `inside` documents hold what is not for everybody. `alerts` are
    what is told of partners' services for the time being (`mapping.Around`).
    """

    tenants: Mapping[UUID, TenantRow]
    bureaus: Iterable[BureauRow]
    boundaries: Iterable[BoundaryRow]
    lines: Iterable[Line]
    terms: Terms
    at: datetime
    url: str
    kinds: frozenset[str] = frozenset()
    only: str | None = None
    inside: bool = False
    alerts: Mapping[UUID, Mapping[str, tuple[str, bool]]] = field(default_factory=dict)
    _arounds: dict[UUID, Around] = field(default_factory=dict, compare=False)

    @cached_property
    def tenant_ids(self) -> list[UUID]:
        """The partners whose entries are listed, by id."""
        return sorted(
            tenant_id
            for tenant_id, row in self.tenants.items()
            if self.only is None or row.slug == self.only
        )

    @cached_property
    def bodies(self) -> list[Body]:
        """Partners and their bureaus as organisations, by id."""
        found = []
        for tenant_id in self.tenant_ids:
            row = self.tenants[tenant_id]
            partner = self._partner(row)
            found.append(partner)
            found += [
                self._bureau(row, each, partner.id)
                for each in self.bureaus
                if each.tenant_id == tenant_id and each.ended_on is None
            ]
        return sorted(found, key=lambda each: each.id)

    @cached_property
    def _by_bureau(self) -> dict[tuple[UUID, str], Body]:
        return {(each.tenant_id, each.bureau): each for each in self.bodies}

    def body(self, tenant_id: UUID, bureau: str | None) -> Body:
        """Give the organisation that a bureau is; the partner itself when it has no such bureau."""
        known = self._by_bureau
        return known.get((tenant_id, bureau or "")) or known[tenant_id, ""]

    def around(self, tenant_id: UUID) -> Around:
        """Give what a partner's documents need."""
        if tenant_id not in self._arounds:
            row = self.tenants[tenant_id]
            mine = [each for each in self.boundaries if each.tenant_id == tenant_id]
            outline = next((e.key for e in mine if e.kind == _OUTLINE and not e.agency_key), None)
            offset = self.at.astimezone(ZoneInfo(row.zone)).utcoffset()
            self._arounds[tenant_id] = Around(
                offset=0 if offset is None else offset.total_seconds() / 3600,
                areas={each.key: self._area(row.slug, each) for each in mine},
                outline=outline,
                terms=self.term_documents,
                inside=self.inside,
                alerts=self.alerts.get(tenant_id, {}),
            )
        return self._arounds[tenant_id]

    @cached_property
    def areas(self) -> dict[UUID, BoundaryRow]:
        """Boundaries by the ids of their service areas."""
        return {
            self._area(self.tenants[each.tenant_id].slug, each).id: each
            for each in self.boundaries
            if each.tenant_id in self.tenants
        }

    def _area(self, slug: str, row: BoundaryRow) -> Area:
        area_id = entry_id(slug, "area", row.key)
        return Area(area_id, row.name, f"{self.url}/areas/{area_id}")

    # --- organisations ----------------------------------------------------------------------------

    def _partner(self, row: TenantRow) -> Body:
        contact = row.settings.get("contact") or {}
        body_id = entry_id(row.slug, "partner")
        children = Children(body_id)
        numbers = {contact.get("phone"): None} | {
            line.address: line.name
            for line in self.lines
            if line.tenant == row.slug and line.channel in ("phone", "text")
        }
        phones = [
            {
                "id": children.id("phone", spoken),
                "number": spoken,
                "type": "voice",
                **({"description": name} if name else {}),
            }
            for number, name in numbers.items()
            if (spoken := phone_number(str(number or ""))[0]) is not None
        ]
        said = {
            "id": str(body_id),
            "name": row.settings.get("legal_name") or row.name,
            "alternate_name": row.name if row.settings.get("legal_name") else None,
            "description": prose(row.settings.get("summary")) or row.name,
            "email": email_address(contact.get("email")),
            "website": web_address(contact.get("website")),
            "phones": phones or None,
        }
        document = {name: value for name, value in said.items() if value is not None}
        return Body(body_id, row.id, "", document)

    def _bureau(self, row: TenantRow, bureau: BureauRow, partner: UUID) -> Body:
        body_id = entry_id(row.slug, "bureau", bureau.key)
        document: Document = {
            "id": str(body_id),
            "name": bureau.name,
            "description": f"{bureau.name}, part of {row.name}.",
            "parent_organization_id": str(partner),
        }
        return Body(body_id, row.id, bureau.key, document)

    # --- taxonomies -------------------------------------------------------------------------------

    @cached_property
    def taxonomies(self) -> dict[str, Document]:
        """Every taxonomy as an HSDS object, by id: those of the partners, and our own two."""
        found = [
            {
                "id": taxonomy_id(each),
                "name": each.name,
                "description": each.description or each.name,
                **({"uri": each.website} if each.website else {}),
                **({"version": each.version} if each.version else {}),
            }
            for each in self.terms.taxonomies.values()
        ]
        found += [
            {
                "id": str(mapping.TERMS),
                "name": mapping.TERMS_NAME,
                "description": "What several partners do for the same need, by one name.",
            },
            {
                "id": str(mapping.FACTS),
                "name": mapping.FACTS_NAME,
                "description": "What a catalogue of 311 services says beyond HSDS.",
            },
        ]
        return {each["id"]: each for each in sorted(found, key=lambda each: each["id"])}

    @cached_property
    def term_documents(self) -> dict[str, Document]:
        """Every term of the partners' taxonomies as an HSDS object, by `taxonomy:code`."""
        return {
            term.ref: self._term(term)
            for key in self.terms.taxonomies
            for term in self.terms.of(key)
        }

    @cached_property
    def taxonomy_terms(self) -> dict[str, Document]:
        """Every term as an HSDS object with its taxonomy, by id."""
        found = [
            *self.term_documents.values(),
            *(mapping.kind_of_service(each) for each in self.kinds),
            *(mapping.fact_term(each) for each in mapping.PUBLIC_FACTS - {"term"}),
        ]
        return {each["id"]: each for each in sorted(found, key=lambda each: each["id"])}

    @cached_property
    def refs(self) -> dict[str, str]:
        """References (`taxonomy:code`) by the ids of their terms."""
        return {document["id"]: ref for ref, document in self.term_documents.items()}

    def _term(self, term: TreeTerm) -> Document:
        key = taxonomy_of(term.ref)
        tree = self.terms.taxonomies[key]
        parent = self.terms.find(term.parent or "")
        return {
            "id": term_id(term),
            "code": term.ref.partition(":")[2],
            "name": term.name,
            "description": term.description or term.name,
            **({"parent_id": term_id(parent)} if parent is not None else {}),
            "taxonomy": tree.name,
            "taxonomy_id": taxonomy_id(tree),
        }


def taxonomy_id(tree: Tree) -> str:
    """Give the id of a taxonomy: the one that it came with, or one made from its key."""
    return tree.source_id or str(uuid5(NAMESPACE, f"taxonomy/{tree.key}"))


def term_id(term: TreeTerm) -> str:
    """Give the id of a term: the one that it came with, or one made from its reference."""
    return term.source_id or str(uuid5(NAMESPACE, f"term/{term.ref}"))
