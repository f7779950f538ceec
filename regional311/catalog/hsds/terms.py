"""Terms of taxonomies that a package names, and what kind of service they make something.

A taxonomy that nobody in the region has becomes the importing partner's; one that is there already
is asked for its terms by code and never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from regional311.catalog.hsds import mapping
from regional311.catalog.hsds.assembling import Package
from regional311.catalog.hsds.faults import Fault, LeftOut
from regional311.catalog.hsds.identifiers import entry_id
from regional311.catalog.hsds.mapping import Around, Document
from regional311.catalog.hsds.region import Region
from regional311.catalog.hsds.values import one_line, prose, web_address
from regional311.catalog.models import Taxonomy, TaxonomyTerm
from regional311.catalog.taxonomy import term_faults
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.tenancy.queries import slug_of

_KINDS: Final = text("""
SELECT ref, term, details ->> 'group' AS heading, count(*) AS times
FROM services, jsonb_array_elements_text(details -> 'taxonomy') AS ref
WHERE source = 'kept' AND ended_on IS NULL
GROUP BY ref, term, heading ORDER BY times DESC, term
""")
OTHER_GROUP: Final = "Community services"


class Kinds:
    """Tells what kind of service something is by the terms that it has."""

    def __init__(self, session: TenantSession, region: Region) -> None:
        self._region = region
        self._known: dict[str, tuple[str, str]] = {}
        for row in session.execute(_KINDS):
            self._known.setdefault(row.ref, (row.term, row.heading or OTHER_GROUP))
        self._linked: dict[str, list[str]] = {}
        for link in region.terms.links:
            if link.relation != "related":
                self._linked.setdefault(link.term, []).append(link.other)
                self._linked.setdefault(link.other, []).append(link.term)

    def of(self, refs: Iterable[str]) -> tuple[str | None, str]:
        """Give the kind that the region's services of such terms share, and a heading.

        Without one the service is a kind of its own: None. The heading then is the top of the
        first term's tree.
        """
        listed = list(refs)
        for ref in listed:
            path = [each.ref for each in reversed(self._region.terms.path(ref))] or [ref]
            for near in (*path, *(other for each in path for other in self._linked.get(each, ()))):
                if near in self._known:
                    return self._known[near]
        for ref in listed:
            tops = self._region.terms.path(ref)
            if tops:
                return None, tops[0].name
        return None, OTHER_GROUP


@dataclass(frozen=True)
class NewTerm:
    """A term that a package brings: `code` is unique in the taxonomy."""

    code: str
    parent: str | None
    document: Document


@dataclass(frozen=True)
class Brought:
    """A taxonomy of the importing partner with the terms that a package adds to it."""

    key: str
    name: str
    detail: Document
    known: bool
    terms: Sequence[NewTerm]
    after: int
    """How many terms it has already."""


@dataclass(frozen=True)
class Taken:
    """What came of the terms of a package: how documents are read, and what is to be written."""

    around: Around
    brought: tuple[Brought, ...]

    def write(self, session: TenantSession) -> None:
        """Write the taxonomies and terms that are new."""
        for each in self.brought:
            _write(session, each)


def take_terms(
    session: TenantSession, region: Region, package: Package, faults: list[Fault]
) -> Taken:
    """Find the terms of a package's services; new ones come with those above them."""
    around = region.around(scope_of(session).tenant_id)
    known = set(region.refs)
    new: dict[str, list[Document]] = {}
    for term_id, term in _wanted(package).items():
        key, _, code = mapping.term_ref(term).partition(":")
        if term_id in known or region.terms.find(f"{key}:{code}") is not None:
            continue
        tree = region.terms.taxonomies.get(key)
        if tree is None or (tree.imported and tree.tenant == slug_of(session)):
            new.setdefault(key, []).append(term)
    brought = tuple(_bring(region, key, terms, faults, package) for key, terms in new.items())
    read = {f"{new.key}:{each.code}": each.document for new in brought for each in new.terms}
    return Taken(replace(around, terms={**around.terms, **read}), brought)


def _wanted(package: Package) -> dict[str, Document]:
    """Give the terms of services and those above them, by id; our own taxonomies are none."""
    found: dict[str, Document] = {}
    waiting = [
        each["taxonomy_term"]
        for entity in package.entities["service"].values()
        for each in entity.said.get("attributes", ())
        if "taxonomy_term" in each
    ]
    while waiting:
        term = waiting.pop()
        if term["id"] in found or _is_ours(term):
            continue
        found[term["id"]] = term
        above = package.terms.get(str(term.get("parent_id")))
        if above is not None:
            waiting.append(above)
    return dict(sorted(found.items()))


def _is_ours(term: Mapping[str, Any]) -> bool:
    code = str(term.get("code") or "")
    return term["id"] in (mapping.fact_term(code)["id"], mapping.kind_of_service(code)["id"])


def _bring(
    region: Region,
    key: str,
    terms: list[Document],
    faults: list[Fault],
    package: Package,
) -> Brought:
    details = (each["taxonomy_detail"] for each in terms if "taxonomy_detail" in each)
    detail: Document = next(details, {})
    tree = region.terms.taxonomies.get(key)
    there = region.terms.of(key)
    codes: dict[str, str] = {}
    used = {each.ref.partition(":")[2] for each in there}
    for term in terms:
        code = mapping.term_ref(term).partition(":")[2]
        if code in used:
            code = f"{code[:91]}-{term['id'][:8]}"
        used.add(code)
        codes[term["id"]] = code
    above = {each.source_id: each.ref.partition(":")[2] for each in there if each.source_id}
    found = []
    for term in terms:
        parent_id = str(term.get("parent_id"))
        parent = codes.get(parent_id) or above.get(parent_id)
        found.append(NewTerm(codes[term["id"]], parent, term))
    return Brought(
        key,
        tree.name
        if tree is not None
        else one_line(detail.get("name") or terms[0].get("taxonomy")) or key,
        detail,
        tree is not None,
        _without_loops(found, faults, package),
        len(there),
    )


def _without_loops(terms: list[NewTerm], faults: list[Fault], package: Package) -> list[NewTerm]:
    """Leave out the parents that make a term a part of itself, and say so."""
    while True:
        loops = {
            where.partition("[")[2].partition("]")[0]: reason
            for where, reason in term_faults(terms)
            if reason.startswith("is below itself")
        }
        if not loops:
            return terms
        for each in terms:
            if each.code in loops:
                file, row = package.places.get(
                    ("taxonomy_term", each.document["id"]),
                    (package.files.get("taxonomy_term", "taxonomy_terms"), 0),
                )
                faults.append(Fault(file, row, "parent_id", loops[each.code], LeftOut.VALUE))
        terms = [replace(each, parent=None) if each.code in loops else each for each in terms]


def _write(session: TenantSession, new: Brought) -> None:
    me, slug = scope_of(session).tenant_id, slug_of(session)
    taxonomy_id: UUID = entry_id(slug, "taxonomy", new.key)
    if not new.known:
        said = {
            "description": prose(new.detail.get("description")) or new.name,
            "version": one_line(new.detail.get("version")),
            "website": web_address(new.detail.get("uri")),
        }
        put(
            session,
            new_row(
                Taxonomy,
                tenant_id=me,
                id=taxonomy_id,
                key=new.key,
                name=new.name,
                details={name: value for name, value in said.items() if value is not None},
                source="imported",
                source_id=new.detail.get("id"),
                hsds={"said": new.detail} if new.detail else None,
            ),
        )
    for position, each in enumerate(new.terms, new.after + 1):
        description = prose(each.document.get("description"))
        put(
            session,
            new_row(
                TaxonomyTerm,
                tenant_id=me,
                id=entry_id(slug, "taxonomy_term", new.key, each.code),
                taxonomy_id=taxonomy_id,
                code=each.code,
                name=one_line(each.document["name"]) or each.code,
                parent_code=each.parent,
                position=position,
                details={"description": description} if description else {},
                source_id=each.document["id"],
                hsds={"said": each.document},
            ),
        )
