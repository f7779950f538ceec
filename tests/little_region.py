"""A small region of three partners, for tests of the work: no files, every fact in sight.

Portland is a square; County lies around it; the bridge is a line of the County's through the
square; Powell is the state's. 211 serves people wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.dialects.postgresql import Range

from regional311.catalog.models import Service, ServiceDisposition
from regional311.catalog.refresh import refresh
from regional311.database.embedded import OWNER_ROLE
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, TenantSession, acting_for, make_engine, open_session
from regional311.database.session import session_scope as scoped
from regional311.referral.models import RuleSet
from regional311.referral.snapshot import NOBODY, Published
from regional311.tenancy.models import Boundary, Bureau, Line, Policy, Tenant

SLUGS = ("211info", "city", "county", "region")
IDS = {slug: UUID(int=(0x7000 << 64) + 311 + number) for number, slug in enumerate(SLUGS)}
NOW = datetime(2026, 10, 5, 17, 0, tzinfo=UTC)
"""A Monday, ten in the morning in Portland."""

NIGHT = datetime(2026, 10, 6, 5, 0, tzinfo=UTC)
IN_CITY = (-122.60, 45.50)
ON_BRIDGE = (-122.60, 45.52)
ON_POWELL = (-122.60, 45.48)
IN_COUNTY = (-122.40, 45.50)
OUTSIDE = (-121.90, 45.00)
WEEKDAYS = {day: ["08:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
ALWAYS = {
    day: ["00:00-24:00"] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
}


def _box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _line(latitude: float) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": [[-122.65, latitude], [-122.55, latitude]]}


KINDS = {"city": "city", "county": "county", "211info": "community", "region": "region"}

BOUNDARIES: dict[str, list[dict[str, Any]]] = {
    "city": [
        {
            "key": "portland",
            "name": "Portland",
            "kind": "jurisdiction",
            "geometry": _box(-122.7, 45.4, -122.5, 45.6),
            "names": ["st johns"],
        }
    ],
    "county": [
        {
            "key": "county",
            "name": "the County",
            "kind": "jurisdiction",
            "geometry": _box(-122.8, 45.3, -122.2, 45.7),
        },
        {
            "key": "bridges",
            "name": "County bridges",
            "kind": "bridge",
            "geometry": _line(45.52),
            "tolerance_m": 30,
            "names": ["burnside bridge"],
        },
    ],
    "region": [
        {
            "key": "powell",
            "name": "Powell Boulevard",
            "kind": "road",
            "geometry": _line(45.48),
            "tolerance_m": 20,
            "agency_key": "odot",
        }
    ],
}

SERVICES: dict[str, list[dict[str, Any]]] = {
    "city": [
        {
            "key": "pothole",
            "name": "Pothole in a street",
            "term": "pothole",
            "bureau_key": "streets",
            "keywords": ["hole in the road"],
            "target_hours": 16,
            "details": {"place": "required", "queue": "streets"},
        },
        {"key": "hours", "name": "Opening hours", "verb": "find", "term": "hours"},
        {"key": "shelter", "name": "Shelter tonight", "verb": "request", "term": "shelter"},
        {
            "key": "abuse",
            "name": "Abuse by staff",
            "term": "abuse",
            "confidential": True,
            "details": {"queue": "streets"},
        },
    ],
    "county": [
        {
            "key": "bridge-pothole",
            "name": "Pothole on a bridge",
            "term": "pothole",
            "boundary_key": "bridges",
            "bureau_key": "roads",
            "target_hours": 8,
            "details": {"place": "required", "queue": "bridges", "priority": "high"},
        },
        {
            "key": "road-pothole",
            "name": "Pothole on a County road",
            "term": "pothole",
            "details": {"place": "required", "queue": "roads"},
        },
        {"key": "clinic", "name": "Clinic", "verb": "request", "term": "clinic"},
    ],
    "211info": [
        {"key": "bed", "name": "A bed for tonight", "verb": "request", "term": "shelter"},
        {"key": "food", "name": "Food boxes", "verb": "request", "term": "food"},
    ],
}

RULES: dict[str, list[dict[str, Any]]] = {
    "city": [
        {
            "key": "language",
            "name": "Offer an interpreter",
            "languages": ["es", "ru"],
            "continues": True,
            "note": "Offer an interpreter.",
            "follow_up_days": 2,
        },
        {
            "key": "shelter",
            "name": "Shelter goes to 211",
            "terms": ["shelter"],
            "outcome": "refer",
            "target": "211info",
            "share": ["name", "phone", "language", "need"],
            "priority": "high",
        },
        {
            "key": "county",
            "name": "County things go to the County",
            "owners": ["county"],
            "outcome": "open_request",
            "target": "owner",
        },
    ],
    "county": [
        {
            "key": "no-clinic",
            "name": "No clinic for partners by text",
            "services": ["clinic"],
            "channels": ["text"],
            "outcome": "decline",
            "reason": "no capacity",
        },
        {
            "key": "bridges",
            "name": "Bridges first",
            "services": ["bridge-pothole"],
            "outcome": "open_request",
            "target": "self",
            "queue": "bridges",
            "priority": "urgent",
        },
    ],
}

POLICIES: dict[str, dict[str, Any]] = {
    "danger-screen": {
        "screen": {"ask": "Is anybody in danger?", "number": "911", "say": "Call 911."},
        "sign": [
            {"key": "fire", "name": "Fire", "words": ["on fire"]},
            {"key": "suicide", "name": "Suicide", "words": ["kill myself"], "number": "988"},
        ],
    },
    "sharing": {
        "sharing": {"consent_text": "May we share this?"},
        "field": [
            {"key": "name", "name": "Your name", "personal": True},
            {"key": "phone", "name": "Your number", "personal": True},
            {"key": "email", "name": "Your e-mail address", "personal": True},
            {"key": "note", "name": "What you told us", "personal": True},
            {"key": "language", "name": "Your language", "personal": False},
            {"key": "need", "name": "What you need", "personal": False},
            {"key": "location", "name": "Where the problem is", "personal": False},
            {"key": "problem", "name": "What the problem is", "personal": False},
        ],
        "grant": [
            {
                "key": "referral-asked",
                "purpose": "referral",
                "receivers": ["community", "county"],
                "fields": ["name", "phone", "email", "note", "language", "need"],
                "consent": "asked",
                "expires_days": 180,
            },
            {
                "key": "referral-anonymous",
                "purpose": "referral",
                "receivers": ["community"],
                "fields": ["language", "need"],
                "consent": "not_needed",
            },
            {
                "key": "request-anonymous",
                "purpose": "request",
                "receivers": ["city", "county"],
                "fields": ["language", "need", "location", "problem"],
                "consent": "not_needed",
            },
            {
                "key": "request-asked",
                "purpose": "request",
                "receivers": ["city", "county"],
                "fields": ["name", "phone", "language", "need", "location", "problem"],
                "consent": "asked",
            },
        ],
    },
    "agencies": {"agency": [{"key": "odot", "name": "the State", "phone": "503-555-0190"}]},
    "retention": {"retention": [{"key": "people", "kind": "inquirer", "keep_days": 365}]},
}

PARTNERSHIPS = (("city", "county"), ("city", "211info"), ("county", "211info"))
SINCE = date(2020, 1, 1)


def fill(engine: Engine) -> None:
    """Write the little region, each partner's part in its own name."""
    for slug in SLUGS:
        with scoped(engine, Scope(IDS[slug])) as session:
            _fill_partner(session, slug)
    with scoped(engine, Scope(IDS["region"])) as session:
        for key, body in POLICIES.items():
            put(
                session,
                Policy(tenant_id=IDS["region"], id=new_id(), key=key, body=body, valid_from=SINCE),
            )
        for provider, payer in PARTNERSHIPS:
            session.execute(
                text(
                    "INSERT INTO agreements (tenant_id, id, key, version, name, provider_id,"
                    " payer_id, payer_kind, activities, payer_rule, valid, terms)"
                    " VALUES (:region, :id, :key, 1, :key, :provider, :payer, 'partner', '{}',"
                    " 'service_owner', '[2020-01-01,)', '{}')"
                ),
                {
                    "region": IDS["region"],
                    "id": uuid4(),
                    "key": f"{provider}-{payer}",
                    "provider": IDS[provider],
                    "payer": IDS[payer],
                },
            )


def _fill_partner(session: TenantSession, slug: str) -> None:
    tenant_id = IDS[slug]
    hours = ALWAYS if slug == "211info" else WEEKDAYS
    put(
        session,
        Tenant(
            tenant_id=tenant_id,
            id=tenant_id,
            slug=slug,
            kind=KINDS[slug],
            name=slug.title(),
            short_name=slug,
            zone="America/Los_Angeles",
            fiscal_year_starts_in=7,
            settings={
                "hours": hours,
                "contact": {"phone": "503-555-0100"},
                "holiday": [{"day": "2026-11-26", "name": "Thanksgiving"}],
                "queue": [
                    {"key": key, "name": key} for key in ("streets", "roads", "bridges", "unplaced")
                ],
            },
            revision=1,
        ),
        Line(
            tenant_id=tenant_id,
            id=new_id(),
            key="main",
            name="Main line",
            channel="phone",
            address="503-555-0100",
            hours=hours,
            closed_answer=None if slug == "211info" else "211info",
        ),
        Bureau(tenant_id=tenant_id, id=new_id(), key="streets", name="Streets", kind="bureau"),
    )
    for boundary in BOUNDARIES.get(slug, ()):
        put(session, Boundary(tenant_id=tenant_id, id=new_id(), source="drawn", **boundary))
    for service in SERVICES.get(slug, ()):
        service_id = new_id()
        values: dict[str, Any] = {
            "summary": "",
            "verb": "report",
            "keywords": [],
            "channels": [],
            "details": {},
            **service,
        }
        put(
            session,
            Service(tenant_id=tenant_id, id=service_id, **values),
            ServiceDisposition(
                tenant_id=tenant_id,
                id=new_id(),
                service_id=service_id,
                disposition="resolve",
                valid=Range(SINCE, None),
            ),
        )
    refresh(session, "service")
    if slug in RULES:
        put(
            session,
            RuleSet(
                tenant_id=tenant_id,
                id=new_id(),
                version=3,
                state="published",
                published=Range(SINCE, None),
                rules=RULES[slug],
                digest="",
                created_at=NOW,
            ),
        )


@pytest.fixture(scope="session")
def little_template(server, migrated_template: str) -> str:
    """The little region, written once in a run."""

    def make(database) -> None:
        server.run(
            "CREATE DATABASE {} OWNER {} TEMPLATE {}", database.name, OWNER_ROLE, migrated_template
        )
        engine = database.engine()
        fill(engine)
        engine.dispose()

    return server.template("template_little", make)


@pytest.fixture(scope="session")
def little_engine(server, little_template: str) -> Iterator[Engine]:
    """This worker's database of the little region; tests leave it as they found it."""
    database = server.clone(little_template)
    engine = make_engine(database.app_url)
    yield engine
    engine.dispose()
    server.drop(database.name)


@pytest.fixture
def committed_engine(server, little_template: str) -> Iterator[Engine]:
    """A little region of the test's own, for what really commits."""
    database = server.clone(little_template)
    engine = make_engine(database.app_url)
    yield engine
    engine.dispose()
    server.drop(database.name)


@pytest.fixture(scope="session")
def region(little_engine: Engine) -> Published:
    """The little region's snapshot."""
    with open_session(little_engine, NOBODY) as session:
        return Published.load(session)


@pytest.fixture
def city(little_engine: Engine) -> Iterator[TenantSession]:
    """A session of the City in a transaction that is rolled back."""
    with little_engine.connect() as connection, connection.begin() as transaction:
        scope = Scope(IDS["city"], UUID(int=42))
        with open_session(connection, scope, join_transaction_mode="create_savepoint") as session:
            yield session
        transaction.rollback()


def county_bed(session) -> None:
    """Let the County offer shelter, too."""
    with acting_for(session, IDS["county"]):
        session.add(
            Service(
                tenant_id=IDS["county"],
                id=new_id(),
                key="bed",
                name="County beds",
                summary="",
                verb="request",
                term="shelter",
                keywords=[],
                channels=[],
                details={},
            )
        )
        session.flush()
