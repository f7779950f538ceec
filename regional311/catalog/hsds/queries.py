"""What the directory API asks: published entries of all partners or of one, a page at a time.

Each function runs a fixed number of statements, whatever is asked. What has ended is nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from regional311.catalog.hsds import mapping
from regional311.catalog.hsds.region import Region, taxonomy_id
from regional311.catalog.hsds.shapes import plain
from regional311.catalog.search import LONGEST
from regional311.catalog.words import content_words
from regional311.errors import InvalidInput

Found = Mapping[Any, Any]
FETCHED: Final = 200
"""Rows that a stream holds at a time."""

_EARTH_METRES: Final = 6_371_008


class NeedsPostcode(InvalidInput):
    """A distance is measured from a postcode, and none was given."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a list; None is not asked. `postcode` and `metres` are of sites only."""

    search: str | None = None
    term: UUID | None = None
    taxonomy: UUID | None = None
    organization: UUID | None = None
    modified_after: datetime | None = None
    postcode: str | None = None
    metres: float | None = None


@dataclass
class _Where:
    """Conditions of a statement, with their parameters."""

    conditions: list[str]
    values: dict[str, Any]
    never: bool = False

    def add(self, condition: str, **values: Any) -> None:
        self.conditions.append(condition)
        self.values |= values

    def __str__(self) -> str:
        return " AND ".join(["false"] if self.never else self.conditions)


@dataclass(frozen=True)
class Page:
    """One page of a list, and how many there are in all."""

    rows: Sequence[Found]
    total: int


# --- fragments -----------------------------------------------------------------------------------


def live(alias: str) -> str:
    """Give the condition that a row has not ended ``:today``."""
    return f"({alias}.ended_on IS NULL OR {alias}.ended_on > :today)"


_LOCATION: Final = (
    "jsonb_build_object('id', l.id, 'key', l.key, 'name', l.name, 'latitude', l.latitude,"
    " 'longitude', l.longitude, 'details', l.details, 'hsds', l.hsds)"
)
_OPEN: Final = f"s.tenant_id = ANY(:tenants) AND {live('s')}"


def _same(kind: str, alias: str) -> str:
    """Give the ids of what either partner found to be the same, if neither says that it is not."""
    table = f"{kind}s"
    mine = f"p.tenant_id = {alias}.tenant_id AND p.key = {alias}.key"
    theirs = f"p.other_tenant_id = {alias}.tenant_id AND p.other_key = {alias}.key"
    return f"""(
        SELECT array_agg(DISTINCT e.id::text) FROM (
            SELECT tenant_id, key FROM (
                SELECT p.other_tenant_id AS tenant_id, p.other_key AS key, p.verdict
                FROM alike_pairs p WHERE p.kind = '{kind}' AND {mine} AND p.verdict IS NOT NULL
                UNION ALL SELECT p.tenant_id, p.key, p.verdict
                FROM alike_pairs p WHERE p.kind = '{kind}' AND {theirs} AND p.verdict IS NOT NULL
            ) said GROUP BY tenant_id, key HAVING every(verdict = 'same')
        ) other
        JOIN {table} e ON e.tenant_id = other.tenant_id AND e.key = other.key
        WHERE {live("e")})"""


_PARENT: Final = (
    "(SELECT q.id FROM organizations q WHERE q.tenant_id = o.tenant_id"
    f" AND q.key = o.details ->> 'parent' AND {live('q')})"
)
_LOCATIONS: Final = f"""(
    SELECT jsonb_agg({_LOCATION}) FROM locations l
    WHERE l.tenant_id = o.tenant_id
    AND (l.details ->> 'organization' = o.key OR l.key = o.details ->> 'location')
    AND {live("l")})"""
_PROVIDER: Final = f"""
    CASE WHEN o.id IS NOT NULL THEN jsonb_build_object('id', o.id, 'key', o.key, 'name', o.name,
        'details', o.details, 'hsds', o.hsds, 'parent_id', {_PARENT}, 'same', {{same}},
        'locations', {{locations}}) END AS provider"""
_SITES: Final = f"""(
    SELECT jsonb_agg(jsonb_build_object('id', x.id, 'details', x.details, 'hsds', x.hsds,
        'location', {_LOCATION}))
    FROM service_locations x
    JOIN locations l ON l.tenant_id = x.tenant_id AND l.id = x.location_id
    WHERE x.tenant_id = s.tenant_id AND x.service_id = s.id AND {live("x")} AND {live("l")}
    ) AS sites"""
_DISPOSITIONS: Final = """(
    SELECT jsonb_agg(jsonb_build_object('kind', d.disposition, 'valid_from', lower(d.valid),
        'valid_to', upper(d.valid), 'note', d.note) ORDER BY lower(d.valid))
    FROM service_dispositions d
    WHERE s.hsds IS NULL AND d.tenant_id = s.tenant_id AND d.service_id = s.id
    AND NOT isempty(d.valid)) AS dispositions"""
_PROVIDED: Final = f"""
    LEFT JOIN organizations o ON o.tenant_id = s.tenant_id
        AND o.key = s.details ->> 'organization' AND {live("o")}"""
_FROM_SERVICES: Final = f"services s {_PROVIDED}"
_NEAR: Final = """
    LEFT JOIN LATERAL (SELECT max(l.modified_at) AS at FROM service_locations x
        JOIN locations l ON l.tenant_id = x.tenant_id AND l.id = x.location_id
        WHERE x.tenant_id = s.tenant_id AND x.service_id = s.id) near ON true"""
_NEAR_ALL: Final = """
    LEFT JOIN (SELECT x.tenant_id, x.service_id, max(l.modified_at) AS at FROM service_locations x
        JOIN locations l ON l.tenant_id = x.tenant_id AND l.id = x.location_id
        WHERE l.modified_at IS NOT NULL GROUP BY x.tenant_id, x.service_id
    ) near ON near.tenant_id = s.tenant_id AND near.service_id = s.id"""
"""The same for whoever asks about all services."""

_MODIFIED: Final = "greatest(s.modified_at, o.modified_at, near.at)"
_SERVICE: Final = f"""
    s.tenant_id, s.id, s.key, s.name, s.summary, s.verb, s.bureau_key, s.term, s.keywords,
    s.channels, s.boundary_key, s.target_hours, s.details, s.verified_on, s.hsds,
    {_MODIFIED} AS modified, {_DISPOSITIONS}"""


def _provider(*, full: bool) -> str:
    locations, same = (_LOCATIONS, _same("organization", "o")) if full else ("NULL", "NULL")
    return _PROVIDER.format(locations=locations, same=same)


def _service_columns(*, full: bool) -> str:
    rest = f", {_SITES}, {_same('service', 's')} AS same" if full else ""
    return f"{_SERVICE}, {_provider(full=full)}{rest}"


# --- services ------------------------------------------------------------------------------------


def services(
    session: Session,
    region: Region,
    asked: Asked,
    today: date,
    *,
    full: bool,
    start: int,
    size: int,
) -> Page:
    """Give one page of services by id, in two statements."""
    where = _services_where(region, asked, today)
    total = _count(session, _from(asked), where)
    # which ones first: what is costly is only made for those that are shown
    wanted = f"""SELECT {_service_columns(full=full)} FROM (
            SELECT s.tenant_id, s.id FROM {_from(asked)} WHERE {where}
            ORDER BY s.id, s.tenant_id OFFSET :start LIMIT :size
        ) AS page
        JOIN services s ON s.tenant_id = page.tenant_id AND s.id = page.id
        {_PROVIDED} {_NEAR} ORDER BY s.id, s.tenant_id"""
    rows = session.execute(text(wanted), where.values | {"start": start, "size": size})
    return Page(list(rows.mappings()), total)


def _count(session: Session, source: str, where: _Where) -> int:
    counted = f"SELECT count(*) FROM {source} WHERE {where}"
    return int(session.execute(text(counted), where.values).scalar_one())


def service_ids(
    session: Session, region: Region, asked: Asked, today: date, *, start: int, size: int
) -> Page:
    """Give one page of services with what `minimal` shows, in two statements."""
    where = _services_where(region, asked, today)
    total = _count(session, _from(asked), where)
    wanted = f"""SELECT s.id, {_MODIFIED} AS modified FROM {_FROM_SERVICES} {_NEAR_ALL}
        WHERE {where} ORDER BY s.id, s.tenant_id OFFSET :start LIMIT :size"""
    rows = session.execute(text(wanted), where.values | {"start": start, "size": size})
    return Page(list(rows.mappings()), total)


def stream_services(
    session: Session, region: Region, asked: Asked, today: date, *, full: bool
) -> Iterator[Found]:
    """Give every service by id, a few rows at a time, in one statement."""
    where = _services_where(region, asked, today)
    wanted = f"""SELECT {_service_columns(full=full)} FROM {_FROM_SERVICES} {_NEAR_ALL}
        WHERE {where} ORDER BY s.id, s.tenant_id"""
    return _streamed(session, wanted, where.values)


def service(session: Session, region: Region, service_id: UUID, today: date) -> Found | None:
    """Give one service with everything, in one statement."""
    where = _services_where(region, Asked(), today)
    where.add("s.id = :id", id=service_id)
    wanted = f"""SELECT {_service_columns(full=True)} FROM {_FROM_SERVICES} {_NEAR}
        WHERE {where} ORDER BY s.tenant_id LIMIT 1"""
    return session.execute(text(wanted), where.values).mappings().one_or_none()


def _from(asked: Asked) -> str:
    return f"{_FROM_SERVICES} {_NEAR_ALL}" if asked.modified_after is not None else _FROM_SERVICES


def _services_where(region: Region, asked: Asked, today: date) -> _Where:
    where = _Where([_OPEN], {"tenants": region.tenant_ids, "today": today})
    if asked.search is not None:
        _full_text(where, asked.search)
    if asked.modified_after is not None:
        where.add(f"{_MODIFIED} >= :modified_after", modified_after=asked.modified_after)
    if asked.organization is not None:
        _provided_by(where, region, asked.organization)
    if asked.term is not None:
        _term(where, region, str(asked.term))
    if asked.taxonomy is not None:
        _taxonomy(where, region, str(asked.taxonomy))
    return where


_CONFIGURATIONS: Final = {
    "en": "english",
    "es": "spanish",
    "ru": "russian",
    "vi": "simple",
    "zh-Hant": "simple",
}
"""Text search configurations by language: those that documents are made with."""


def _full_text(where: _Where, words: str) -> None:
    """Let services be those that say all the words in one language, as the region's search has it.

    Typing errors and synonyms are for people who look: a program gets what it asked for.
    """
    met = []
    for number, (language, configuration) in enumerate(_CONFIGURATIONS.items()):
        plain = " ".join(content_words(words[:LONGEST], language))
        if plain:
            query = f"plainto_tsquery('pg_catalog.{configuration}', :search_{number})"
            met.append(f"d.language = '{language}' AND d.words @@ {query}")
            where.values[f"search_{number}"] = plain
    if not met:
        where.never = True
        return
    # "is true" keeps the planner from a join that is slow while statistics are out of date
    where.add(
        "((s.tenant_id, s.key) IN (SELECT d.tenant_id, d.key FROM search_documents d"
        f" WHERE d.kind = 'service' AND d.listed AND NOT d.for_staff AND ({' OR '.join(met)})))"
        " IS TRUE"
    )


def _search(where: _Where, words: str, *columns: str) -> None:
    told = " || ' ' || ".join(f"coalesce({each}, '')" for each in columns)
    for place, word in enumerate(words.split()[:10]):
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        where.add(f"({told}) ILIKE :word_{place}", **{f"word_{place}": f"%{escaped}%"})


def _provided_by(where: _Where, region: Region, organization: UUID) -> None:
    body = next((each for each in region.bodies if each.id == organization), None)
    if body is None:
        where.add("o.id = :organization", organization=organization)
        return
    where.add("s.tenant_id = :partner AND o.id IS NULL", partner=body.tenant_id)
    if body.bureau:
        where.add("s.bureau_key = :bureau", bureau=body.bureau)


def _term(where: _Where, region: Region, term: str) -> None:
    ref = region.refs.get(term)
    kind = next(
        (each for each in region.kinds if mapping.kind_of_service(each)["id"] == term), None
    )
    if ref is not None:
        where.add("(s.details -> 'taxonomy') @> jsonb_build_array(CAST(:ref AS text))", ref=ref)
    elif kind is not None:
        where.add("s.term = :kind AND s.hsds IS NULL", kind=kind)
    else:
        where.never = True


def _taxonomy(where: _Where, region: Region, wanted: str) -> None:
    trees = region.terms.taxonomies.values()
    key = next((each.key for each in trees if taxonomy_id(each) == wanted), None)
    if key is not None:
        where.add(
            "EXISTS (SELECT FROM jsonb_array_elements_text(s.details -> 'taxonomy') AS ref"
            " WHERE ref ^@ :taxonomy)",
            taxonomy=f"{key}:",
        )
    elif wanted == str(mapping.TERMS):
        where.add("s.hsds IS NULL")
    else:
        where.never = True


# --- services at locations -----------------------------------------------------------------------

_OF_SITES: Final = f"""
    JOIN services s ON s.tenant_id = x.tenant_id AND s.id = x.service_id
    JOIN locations l ON l.tenant_id = x.tenant_id AND l.id = x.location_id
    {_PROVIDED}"""
_FROM_SITES: Final = f"service_locations x {_OF_SITES}"
_ONE_SITE: Final = f"""jsonb_build_array(jsonb_build_object('id', x.id, 'details', x.details,
    'hsds', x.hsds, 'location', {_LOCATION})) AS sites"""
_METRES: Final = f"""2 * {_EARTH_METRES} * asin(sqrt(least(1, power(sin(radians(l.latitude
    - :latitude) / 2), 2) + cos(radians(:latitude)) * cos(radians(l.latitude))
    * power(sin(radians(l.longitude - :longitude) / 2), 2))))"""


@dataclass(frozen=True)
class Around:
    """Where a postcode is, as far as anybody knows: the middle of the locations that have it.

    `covered` are the boundaries that it lies in, as `tenant id/key`, `whole` the partners whose
    outline it lies in or who have none.
    """

    latitude: float | None = None
    longitude: float | None = None
    covered: tuple[str, ...] = ()
    whole: tuple[UUID, ...] = field(default=())


def middle_of(session: Session, postcode: str, today: date) -> tuple[float, float] | None:
    """Give the middle (latitude, longitude) of the locations with a postcode, in one statement."""
    wanted = f"""SELECT avg(l.latitude), avg(l.longitude) FROM locations l
        WHERE upper(replace(l.details ->> 'postal_code', ' ', '')) ^@ :postcode
        AND {live("l")}"""
    row = session.execute(text(wanted), {"postcode": _compact(postcode), "today": today}).one()
    return None if row[0] is None else (float(row[0]), float(row[1]))


def _compact(postcode: str) -> str:
    """Give a postcode without blanks and without what follows its five digits.

    >>> _compact(" 97201-1234 ")
    '97201'
    """
    found = "".join(postcode.split()).upper()
    return found[:5] if found[:5].isdigit() else found


def sites(
    session: Session,
    region: Region,
    asked: Asked,
    around: Around | None,
    today: date,
    *,
    full: bool,
    start: int,
    size: int,
) -> Page:
    """Give one page of services at locations by id, in two statements."""
    where = _sites_where(region, asked, around, today)
    near = _NEAR_ALL if asked.modified_after is not None else ""
    source = f"{_FROM_SITES} {near}"
    total = _count(session, source, where)
    wanted = f"""SELECT {_site_columns(full=full)} FROM (
            SELECT x.tenant_id, x.id FROM {source} WHERE {where} {_BY_ID} OFFSET :start LIMIT :size
        ) AS page
        JOIN service_locations x ON x.tenant_id = page.tenant_id AND x.id = page.id
        {_OF_SITES} {_NEAR} {_BY_ID}"""
    rows = session.execute(text(wanted), where.values | {"start": start, "size": size})
    return Page(list(rows.mappings()), total)


def stream_sites(
    session: Session,
    region: Region,
    asked: Asked,
    around: Around | None,
    today: date,
    *,
    full: bool,
) -> Iterator[Found]:
    """Give every service at a location by id, a few rows at a time, in one statement."""
    where = _sites_where(region, asked, around, today)
    wanted = f"""SELECT {_site_columns(full=full)} FROM {_FROM_SITES} {_NEAR_ALL}
        WHERE {where} {_BY_ID}"""
    return _streamed(session, wanted, where.values)


def site(session: Session, region: Region, site_id: UUID, today: date) -> Found | None:
    """Give one service at a location with everything, in one statement."""
    where = _sites_where(region, Asked(), None, today)
    where.add("x.id = :id", id=site_id)
    wanted = f"""SELECT {_site_columns(full=True)} FROM {_FROM_SITES} {_NEAR}
        WHERE {where} {_BY_ID} LIMIT 1"""
    return session.execute(text(wanted), where.values).mappings().one_or_none()


_BY_ID: Final = "ORDER BY x.id, x.tenant_id"


def _site_columns(*, full: bool) -> str:
    return f"{_SERVICE}, {_provider(full=full)}, {_ONE_SITE}"


def _sites_where(region: Region, asked: Asked, around: Around | None, today: date) -> _Where:
    where = _services_where(region, asked, today)
    where.add(f"{live('x')} AND {live('l')}")
    if asked.metres is not None and around is not None:
        if around.latitude is None:
            where.never = True
            return where
        where.add(
            f"{_METRES} <= :metres",
            metres=asked.metres,
            latitude=around.latitude,
            longitude=around.longitude,
        )
    elif asked.postcode is not None and around is not None:
        if around.latitude is None:
            where.add(
                "upper(replace(l.details ->> 'postal_code', ' ', '')) ^@ :postcode",
                postcode=_compact(asked.postcode),
            )
            return where
        where.add(_SERVES, covered=list(around.covered), whole=list(around.whole))
    return where


_SERVES: Final = """
    CASE WHEN x.details ? 'areas' THEN EXISTS (
        SELECT FROM jsonb_array_elements_text(x.details -> 'areas') AS area
        WHERE s.tenant_id::text || '/' || area = ANY(:covered))
    WHEN s.boundary_key IS NOT NULL THEN s.tenant_id::text || '/' || s.boundary_key = ANY(:covered)
    ELSE s.tenant_id = ANY(:whole) END"""


# --- organisations -------------------------------------------------------------------------------


def organizations(
    session: Session,
    region: Region,
    asked: Asked,
    today: date,
    *,
    full: bool,
    start: int,
    size: int,
) -> tuple[Page, list[UUID]]:
    """Give one page of organisations, and the ids of partners and bureaus on it.

    Partners and bureaus come first, by id; they are in memory. Two statements for the rest.
    """
    bodies = [each.id for each in _bodies(region, asked)]
    shown = bodies[start : start + size]
    where = _organizations_where(region, asked, today)
    counted = f"SELECT count(*) FROM organizations o WHERE {where}"
    total = session.execute(text(counted), where.values).scalar_one()
    values = where.values | {"start": max(0, start - len(bodies)), "size": size - len(shown)}
    wanted = f"{_organization_statement(full=full)} WHERE {where} {_BY_OWN_ID}"
    rows = session.execute(text(f"{wanted} OFFSET :start LIMIT :size"), values)
    return Page(list(rows.mappings()), total + len(bodies)), shown


def stream_organizations(
    session: Session, region: Region, asked: Asked, today: date, *, full: bool
) -> Iterator[Found]:
    """Give every organisation that is no partner and no bureau, in one statement."""
    where = _organizations_where(region, asked, today)
    wanted = f"{_organization_statement(full=full)} WHERE {where} {_BY_OWN_ID}"
    return _streamed(session, wanted, where.values)


def organization(session: Session, region: Region, wanted_id: UUID, today: date) -> Found | None:
    """Give one organisation with its locations, in one statement."""
    where = _organizations_where(region, Asked(), today)
    where.add("o.id = :id", id=wanted_id)
    wanted = f"{_organization_statement(full=True)} WHERE {where} {_BY_OWN_ID} LIMIT 1"
    return session.execute(text(wanted), where.values).mappings().one_or_none()


def services_of(
    session: Session, region: Region, organizations: Iterable[UUID], today: date, *, full: bool
) -> dict[UUID, list[Found]]:
    """Give the services of some organisations, by organisation, in one statement."""
    wanted = set(organizations)
    bodies = {each.id: each for each in region.bodies if each.id in wanted}
    where = _Where([_OPEN], {"tenants": region.tenant_ids, "today": today})
    bureaus = [f"{each.tenant_id}/{each.bureau}" for each in bodies.values() if each.bureau]
    where.add(
        "(o.id = ANY(:wanted) OR (o.id IS NULL AND s.tenant_id::text || '/' || s.bureau_key"
        " = ANY(:bureaus)))",
        wanted=list(wanted),
        bureaus=bureaus,
    )
    statement = f"""SELECT {_service_columns(full=full)} FROM {_FROM_SERVICES} {_NEAR_ALL}
        WHERE {where} ORDER BY s.id, s.tenant_id"""
    found: dict[UUID, list[Found]] = {}
    for row in session.execute(text(statement), where.values).mappings():
        provider = row["provider"]
        if provider is not None:
            owner = UUID(provider["id"])
        else:
            owner = region.body(row["tenant_id"], row["bureau_key"]).id
        found.setdefault(owner, []).append(row)
    return found


def own_locations(session: Session, partner: UUID, today: date) -> list[Found]:
    """Give the locations that are a partner's own and no other body's, in one statement."""
    wanted = f"""SELECT {_LOCATION} AS location FROM locations l
        WHERE l.tenant_id = :partner AND NOT l.details ? 'organization' AND l.hsds IS NULL
        AND {live("l")} ORDER BY l.id"""
    rows = session.execute(text(wanted), {"partner": partner, "today": today})
    return [row.location for row in rows]


def stream_locations(session: Session, region: Region, today: date) -> Iterator[Found]:
    """Give every location with the id of the organisation whose it is, in one statement."""
    wanted = f"""SELECT l.tenant_id, l.id, l.key, l.name, l.latitude, l.longitude, l.details,
        l.hsds,
        (SELECT o.id FROM organizations o WHERE o.tenant_id = l.tenant_id
            AND o.key = l.details ->> 'organization' AND {live("o")}) AS organization_id
        FROM locations l WHERE l.tenant_id = ANY(:tenants) AND {live("l")}
        ORDER BY l.id, l.tenant_id"""
    return _streamed(session, wanted, {"tenants": region.tenant_ids, "today": today})


_BY_OWN_ID: Final = "ORDER BY o.id, o.tenant_id"


def _organization_statement(*, full: bool) -> str:
    rest = f", {_LOCATIONS} AS locations, {_same('organization', 'o')} AS same" if full else ""
    return f"""SELECT o.tenant_id, o.id, o.key, o.name, o.details, o.hsds, {_PARENT} AS parent_id
        {rest} FROM organizations o"""


def _organizations_where(region: Region, asked: Asked, today: date) -> _Where:
    where = _Where(
        ["o.tenant_id = ANY(:tenants)", live("o")],
        {"tenants": region.tenant_ids, "today": today},
    )
    if asked.search is not None:
        _search(where, asked.search, "o.name", "o.details ->> 'description'")
    if asked.term is not None or asked.taxonomy is not None:
        within = _Where(
            ["s.tenant_id = o.tenant_id AND s.details ->> 'organization' = o.key", _OPEN], {}
        )
        if asked.term is not None:
            _term(within, region, str(asked.term))
        if asked.taxonomy is not None:
            _taxonomy(within, region, str(asked.taxonomy))
        where.add(f"EXISTS (SELECT FROM services s WHERE {within})", **within.values)
    return where


def _bodies(region: Region, asked: Asked) -> list[Any]:
    if asked.term is not None or asked.taxonomy is not None:
        return []
    words = (asked.search or "").casefold().split()
    return [
        each
        for each in region.bodies
        if all(
            word in f"{each.document['name']} {each.document['description']}".casefold()
            for word in words
        )
    ]


def bodies(region: Region, asked: Asked) -> list[Any]:
    """Give the partners and bureaus that a list of organisations begins with."""
    return _bodies(region, asked)


# --- terms ---------------------------------------------------------------------------------------


def taxonomies(region: Region, search: str | None) -> list[Found]:
    """Give the taxonomies by id, without a statement."""
    return [each for each in region.taxonomies.values() if _has(each, search)]


def taxonomy_terms(
    region: Region,
    search: str | None,
    *,
    taxonomy: UUID | None = None,
    parent: UUID | None = None,
    top_only: bool = False,
) -> list[Found]:
    """Give the terms by id, without a statement; `top_only` those that are below no other."""
    return [
        each
        for each in region.taxonomy_terms.values()
        if _has(each, search)
        and (taxonomy is None or each.get("taxonomy_id") == str(taxonomy))
        and (parent is None or each.get("parent_id") == str(parent))
        and not (top_only and "parent_id" in each)
    ]


def detailed_term(region: Region, term: Found) -> Found:
    """Give a term with its taxonomy in it."""
    taxonomy = region.taxonomies.get(term.get("taxonomy_id", ""))
    detail = {} if taxonomy is None else {"taxonomy_detail": taxonomy}
    return {**plain("taxonomy_term", term), **detail}


def _has(document: Found, search: str | None) -> bool:
    told = f"{document['name']} {document['description']}".casefold()
    return all(word in told for word in (search or "").casefold().split())


def _streamed(session: Session, wanted: str, values: Mapping[str, Any]) -> Iterator[Found]:
    rows = session.execute(
        text(wanted),
        dict(values),
        execution_options={"stream_results": True, "yield_per": FETCHED},
    )
    yield from rows.mappings()
