from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError

from regional311.chargeback.models import Rate
from regional311.database.ids import new_id, public_id
from regional311.database.rows import WrongTenant, buffered, put, rewrite, send
from regional311.database.session import Scope, acting_for, session_scope
from regional311.identity.models import TrackingToken
from regional311.intake.models import Contact, Need

NOW = datetime(2026, 10, 5, 16, 30, tzinfo=UTC)


def contact(tenant_id, **values) -> Contact:
    made = {
        "tenant_id": tenant_id,
        "id": new_id(),
        "public_id": public_id("C"),
        "source_key": f"test:{new_id()}",
        "line_owner_id": tenant_id,
        "channel": "phone",
        "started_at": NOW,
    }
    return Contact(**made | values)


def need(of: Contact, **values) -> Need:
    made = {
        "tenant_id": of.tenant_id,
        "id": new_id(),
        "contact_id": of.id,
        "service_owner_id": of.tenant_id,
        "service_key": "pothole",
        "term": "pothole",
        "created_at": NOW,
    }
    return Need(**made | values)


def test_rows_of_many_tables_leave_in_one_statement(dbsession, statements) -> None:
    dbsession.connection()
    statements.clear()
    made = contact(dbsession.scope.tenant_id)

    put(dbsession, need(made), made)
    put(
        dbsession, TrackingToken(token_hash=b"x" * 32, tenant_id=made.tenant_id, request_id=made.id)
    )
    assert statements == []
    found = dbsession.scalars(select(Need).where(Need.contact_id == made.id)).one()

    assert len(statements) == 2
    assert found.status == "open"
    assert found.place_kind == "none"


def test_what_is_put_is_read_back_as_it_was(dbsession) -> None:
    tenant_id = dbsession.scope.tenant_id
    made = contact(tenant_id, note="“Ñandú”\nline two; \\x00 {a}", interpreter=True)
    put(dbsession, made, need(made, latitude=Decimal("45.512345"), longitude=Decimal("-122.6")))
    rate = Rate(
        tenant_id=tenant_id,
        id=new_id(),
        key="phone",
        card_key="test-card",
        activity="contact_handled",
        channel="phone",
        amount=Decimal("4.900001"),
        valid=Range(date(2026, 7, 1), None),
        recorded=Range(NOW, None),
    )
    put(dbsession, rate)

    contact_again = dbsession.scalars(select(Contact).where(Contact.id == made.id)).one()
    rate_again = dbsession.scalars(select(Rate).where(Rate.id == rate.id)).one()
    need_again = dbsession.scalars(select(Need).where(Need.contact_id == made.id)).one()

    assert (contact_again.note, contact_again.interpreter) == (made.note, True)
    assert (contact_again.version, contact_again.started_at) == (1, NOW)
    assert need_again.latitude == Decimal("45.512345")
    assert (rate_again.amount, rate_again.hours) == (Decimal("4.900001"), "any")
    assert rate_again.valid.lower == date(2026, 7, 1)
    assert rate_again.valid.upper is None


def test_a_row_of_another_tenant_is_refused_at_once(dbsession, tenants) -> None:
    with pytest.raises(WrongTenant):
        put(dbsession, contact(tenants["multnomah-county"]))

    assert buffered(dbsession, Contact) == []


def test_rows_leave_before_a_switch_and_land_with_their_own_tenant(dbsession, tenants) -> None:
    made = contact(dbsession.scope.tenant_id)
    put(dbsession, made)

    with acting_for(dbsession, tenants["multnomah-county"]):
        assert dbsession.scalar(select(func.count()).select_from(Contact)) == 0
        put(dbsession, contact(tenants["multnomah-county"]))

    assert [row.id for row in dbsession.scalars(select(Contact))] == [made.id]


def test_one_bad_row_takes_its_whole_batch_with_it(dbsession) -> None:
    good = contact(dbsession.scope.tenant_id)
    before = contact(dbsession.scope.tenant_id)
    put(dbsession, before)
    savepoint = dbsession.begin_nested()
    put(dbsession, good, contact(dbsession.scope.tenant_id, channel="pigeon"))
    with pytest.raises(IntegrityError):
        send(dbsession)
    savepoint.rollback()

    assert [row.id for row in dbsession.scalars(select(Contact))] == [before.id]


def test_buffered_rows_are_committed_without_being_asked(committed_database, tenants) -> None:
    engine = committed_database.engine()
    with engine.connect() as connection:
        tenant_id = connection.scalar(
            text("SELECT id FROM tenants WHERE slug = 'city-of-portland'")
        )
    with session_scope(engine, Scope(tenant_id)) as session:
        put(session, contact(tenant_id))

    with session_scope(engine, Scope(tenant_id)) as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == 1


def test_buffered_rows_are_forgotten_at_rollback(dbsession) -> None:
    put(dbsession, contact(dbsession.scope.tenant_id))
    dbsession.rollback()

    assert buffered(dbsession, Contact) == []
    assert dbsession.scalar(select(func.count()).select_from(Contact)) == 0


def test_many_rows_are_changed_in_one_statement_and_those_of_others_not(
    dbsession, tenants, statements
) -> None:
    mine = [contact(dbsession.scope.tenant_id) for _ in range(3)]
    put(dbsession, *mine)
    send(dbsession)
    statements.clear()
    rewrite(
        dbsession,
        Contact,
        [{"id": each.id, "channel": "web", "ended_at": NOW} for each in mine[:2]],
    )
    rewrite(dbsession, Contact, [])
    assert len(statements) == 1
    with acting_for(dbsession, tenants["multnomah-county"]):
        rewrite(dbsession, Contact, [{"id": mine[2].id, "channel": "web"}])
    found = dbsession.execute(
        select(Contact.channel, Contact.ended_at)
        .where(Contact.id.in_([each.id for each in mine]))
        .order_by(Contact.id)
    ).all()
    assert sorted(found, key=str) == sorted([("web", NOW), ("web", NOW), ("phone", None)], key=str)


def test_changed_rows_are_committed_without_being_asked(committed_database, tenants) -> None:
    made = contact(tenants["city-of-portland"])
    engine = committed_database.engine()
    with session_scope(engine, Scope(made.tenant_id)) as session:
        put(session, made)
    with session_scope(engine, Scope(made.tenant_id)) as session:
        rewrite(session, Contact, [{"id": made.id, "channel": "email"}])
    with session_scope(engine, Scope(made.tenant_id)) as session:
        assert session.scalar(select(Contact.channel)) == "email"
