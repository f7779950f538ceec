"""Whose rows a transaction sees: binding, stepping into another tenant, envelopes."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import (
    NoTenantBound,
    Scope,
    acting_for,
    open_session,
    scope_of,
    session_scope,
)
from regional311.exchange.models import Envelope
from regional311.ledger.models import Account, JournalEntry, LedgerPeriod, Posting
from regional311.tenancy.models import Tenant

AT = datetime(2026, 10, 5, 17, tzinfo=UTC)
TENANT_TABLES = ("contacts", "service_requests", "outbox_messages", "journal_entries", "envelopes")


@pytest.fixture
def own_engine(committed_database):
    return committed_database.engine()


@pytest.fixture
def two(own_engine) -> tuple[UUID, UUID]:
    """The City and the County of this test's own database."""
    with own_engine.connect() as connection:
        rows = connection.execute(text("SELECT slug, id FROM tenants"))
        found = {slug: UUID(str(tenant_id)) for slug, tenant_id in rows}
    return found["city-of-portland"], found["multnomah-county"]


def books(session, tenant_id: UUID) -> None:
    # A period of its own, so that the example region's rows are not in the way.
    put(
        session,
        LedgerPeriod(
            tenant_id=tenant_id,
            key="1999-10",
            start_on=datetime(1999, 10, 1).date(),  # noqa: DTZ001
            end_on=datetime(1999, 11, 1).date(),  # noqa: DTZ001
        ),
        Account(tenant_id=tenant_id, key="test", name="Test", type="asset"),
    )


def entry(tenant_id: UUID, *legs: tuple[int, int]) -> list:
    """An entry that claims two legs of five dollars, with the legs given."""
    entry_id = new_id()
    head = JournalEntry(
        tenant_id=tenant_id,
        id=entry_id,
        period_key="1999-10",
        service_period="1999-10",
        memo="test",
        source_key=str(entry_id),
        leg_count=2,
        total_cents=500,
        posted_at=AT,
    )
    postings = [
        Posting(
            tenant_id=tenant_id,
            entry_id=entry_id,
            leg=number,
            account_key="test",
            debit_cents=debit,
            credit_cents=credit,
        )
        for number, (debit, credit) in enumerate(legs, start=1)
    ]
    return [head, *postings]


def entries(engine, tenant_id: UUID) -> int:
    with session_scope(engine, Scope(tenant_id)) as session:
        return len(
            session.scalars(
                select(JournalEntry.id).where(
                    JournalEntry.tenant_id == tenant_id, JournalEntry.period_key == "1999-10"
                )
            ).all()
        )


def envelope(receiver: UUID, sender: UUID) -> Envelope:
    return Envelope(
        tenant_id=receiver,
        id=new_id(),
        from_tenant_id=sender,
        kind="test",
        subject_id=new_id(),
        payload={},
        sent_at=AT,
    )


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_with_no_tenant_bound_there_are_no_rows(own_engine, two, table) -> None:
    city, county = two
    with session_scope(own_engine, Scope(city)) as session:
        books(session, city)
        put(session, *entry(city, (500, 0), (0, 500)))
    with session_scope(own_engine, Scope(county)) as session:
        put(session, envelope(city, county))
    with own_engine.connect() as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    # The same on a connection that was bound before: the setting is then empty, not missing.
    with own_engine.connect() as connection:
        connection.execute(text("SELECT bind_tenant(:t, NULL)"), {"t": city})
        connection.commit()
        assert connection.scalar(text("SELECT current_setting('app.tenant')")) == ""
        assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0


def test_a_null_tenant_is_refused(own_engine) -> None:
    with (
        own_engine.connect() as connection,
        pytest.raises(DBAPIError, match="a transaction needs a tenant"),
    ):
        connection.execute(text("SELECT bind_tenant(NULL, NULL)"))


def test_a_session_without_a_tenant_is_refused_before_it_begins(own_engine) -> None:
    with pytest.raises(NoTenantBound):
        open_session(own_engine, None)


def test_a_binding_ends_with_its_transaction(own_engine, two) -> None:
    city, county = two
    with own_engine.connect() as connection:
        with open_session(connection, Scope(city)) as session:
            assert bound(session) == city
        with open_session(connection, Scope(county)) as session:
            assert bound(session) == county


def bound(session) -> UUID:
    return UUID(session.scalar(text("SELECT current_setting('app.tenant')")))


def test_everyone_reads_what_is_published_and_only_its_owner_changes_it(own_engine, two) -> None:
    city, county = two
    with session_scope(own_engine, Scope(city)) as session:
        assert session.scalar(select(Tenant.slug).where(Tenant.id == county))
        changed = session.execute(
            update(Tenant)
            .where(Tenant.tenant_id == county)
            .values(name="Taken")
            .returning(Tenant.id)
            .execution_options(synchronize_session=False)
        )
        assert changed.all() == []


def test_acting_for_steps_in_and_back(own_engine, two) -> None:
    city, county = two
    with session_scope(own_engine, Scope(city)) as session:
        books(session, city)
        with acting_for(session, county):
            assert (scope_of(session).tenant_id, bound(session)) == (county, county)
            books(session, county)
            put(session, *entry(county, (500, 0), (0, 500)))
        assert (scope_of(session).tenant_id, bound(session)) == (city, city)
        put(session, *entry(city, (500, 0), (0, 500)))
    assert (entries(own_engine, city), entries(own_engine, county)) == (1, 1)


def test_an_unbalanced_entry_does_not_pass_a_switch(own_engine, two) -> None:
    city, county = two
    with (
        pytest.raises(DBAPIError, match="is not balanced"),
        session_scope(own_engine, Scope(city)) as session,
    ):
        books(session, city)
        put(session, *entry(city, (500, 0), (0, 499)))
        with acting_for(session, county):
            pass
    assert entries(own_engine, city) == 0


def test_an_unbalanced_entry_of_the_other_tenant_does_not_pass_the_way_back(
    own_engine, two
) -> None:
    city, county = two
    with (
        pytest.raises(DBAPIError, match="is not balanced"),
        session_scope(own_engine, Scope(city)) as session,
        acting_for(session, county),
    ):
        books(session, county)
        put(session, *entry(county, (500, 0)))
    assert entries(own_engine, county) == 0


def test_not_even_a_binding_by_hand_lets_an_unbalanced_entry_through(own_engine, two) -> None:
    city, county = two
    with (
        pytest.raises(DBAPIError, match="is not balanced"),
        own_engine.begin() as connection,
        open_session(connection, Scope(city)) as session,
    ):
        books(session, city)
        put(session, *entry(city, (500, 0), (0, 499)))
        send(session)
        connection.execute(text("SELECT bind_tenant(:t, NULL)"), {"t": county})
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    assert entries(own_engine, city) == 0


def test_an_entry_unbalanced_at_commit_is_refused(own_engine, two) -> None:
    city, _ = two
    with (
        pytest.raises(DBAPIError, match="is not balanced"),
        session_scope(own_engine, Scope(city)) as session,
    ):
        books(session, city)
        put(session, *entry(city, (500, 0)))
    assert entries(own_engine, city) == 0


def test_an_error_inside_leaves_the_home_tenant_bound(own_engine, two) -> None:
    city, county = two
    with open_session(own_engine, Scope(city)) as session:
        with pytest.raises(LookupError), acting_for(session, county):
            raise LookupError
        assert (scope_of(session).tenant_id, bound(session)) == (city, city)


def test_a_released_savepoint_does_not_leak_the_other_tenant(own_engine, two) -> None:
    city, county = two
    with open_session(own_engine, Scope(city)) as session:
        with session.begin_nested(), acting_for(session, county):
            assert bound(session) == county
        assert (scope_of(session).tenant_id, bound(session)) == (city, city)


def test_a_savepoint_rolled_back_inside_another_tenant_does_not_leak_it(own_engine, two) -> None:
    city, county = two
    with open_session(own_engine, Scope(city)) as session:
        with pytest.raises(DBAPIError), session.begin_nested(), acting_for(session, county):
            session.execute(text("SELECT 1 / 0"))
        assert (scope_of(session).tenant_id, bound(session)) == (city, city)


def test_a_sender_inserts_under_its_own_name_and_reads_nothing_back(own_engine, two) -> None:
    city, county = two
    with session_scope(own_engine, Scope(city)) as session:
        put(session, envelope(county, city))
    with session_scope(own_engine, Scope(city)) as session:
        assert not session.scalars(select(Envelope).where(Envelope.from_tenant_id == city)).all()
    with session_scope(own_engine, Scope(county)) as session:
        assert len(session.scalars(select(Envelope).where(Envelope.kind == "test")).all()) == 1


def test_a_forged_sender_is_refused_by_the_database(own_engine, two) -> None:
    city, county = two
    with (
        pytest.raises(DBAPIError, match="row-level security"),
        session_scope(own_engine, Scope(city)) as session,
    ):
        put(session, envelope(city, county))


def test_a_sender_cannot_change_what_it_sent(own_engine, two) -> None:
    city, county = two
    with session_scope(own_engine, Scope(city)) as session:
        put(session, envelope(county, city))
        changed = session.execute(
            text("UPDATE envelopes SET payload = '{\"a\": 1}' WHERE from_tenant_id = :c"),
            {"c": city},
        )
        assert changed.rowcount == 0


def test_another_tenants_id_gives_no_row_and_no_error(own_engine, two) -> None:
    city, county = two
    with session_scope(own_engine, Scope(city)) as session:
        books(session, city)
    with session_scope(own_engine, Scope(county)) as session:
        found = session.scalars(
            select(Account).where(Account.tenant_id == city, Account.key == "test")
        ).all()
        assert found == []
