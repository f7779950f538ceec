"""Looking again: days, saying that it is right, who keeps what, and reminders."""

import doctest
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from regional311.audit.models import AuditEvent
from regional311.catalog.models import Article, Organization, Service
from regional311.catalog.reviews import date_undated, usual_days, verify
from regional311.catalog.versions import opened, publish, review, save_draft
from regional311.database.session import acting_for
from regional311.errors import InvalidInput, NotFound
from regional311.identity.queries import members
from regional311.keeping import letters as keepers_letters
from regional311.keeping.keepers import Keepers, keepers, name_keepers
from regional311.keeping.queries import counts, reviews
from regional311.keeping.reminders import keep
from regional311.notices.models import OutboxMessage
from regional311.tenancy.models import Tenant

NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
TODAY = date(2026, 11, 3)
URL = "https://311.example"
POTHOLE, CLASS = ("service", "pothole"), ("service", "parks-class")


def service(session, key="pothole"):
    return session.execute(
        select(Service.__table__).where(
            Service.tenant_id == session.scope.tenant_id, Service.key == key
        )
    ).one()


def due(session, key, review_on, verified_on=None):
    session.execute(
        update(Service)
        .where(Service.tenant_id == session.scope.tenant_id, Service.key == key)
        .values(review_on=review_on, verified_on=verified_on)
    )


def revision(session):
    return session.execute(
        select(Tenant.revision).where(Tenant.id == session.scope.tenant_id)
    ).scalar_one()


def letters(session):
    return (
        session.execute(
            select(OutboxMessage)
            .where(
                OutboxMessage.tenant_id == session.scope.tenant_id,
                OutboxMessage.event == "reviews_due",
            )
            .order_by(OutboxMessage.recipient)
        )
        .scalars()
        .all()
    )


def change(session, **fields):
    seen = opened(session, "service", "pothole")
    said = {**seen.content, **fields}
    saved = save_draft(session, "service", said, seen=seen.number, now=NOW)
    review(session, "service", "pothole", saved.number, now=NOW)
    publish(session, "service", "pothole", saved.number, today=TODAY, now=NOW)


# --- days ---------------------------------------------------------------------------------------


def test_what_was_applied_is_looked_at_after_the_usual_days(dbsession):
    assert service(dbsession).review_on == date(2026, 7, 1) + timedelta(days=365)
    assert service(dbsession).verified_on is None


def test_saying_that_it_is_right_sets_both_days_and_is_logged(dbsession):
    before = revision(dbsession)
    assert verify(dbsession, ["road-hazard", "pothole"], today=TODAY, now=NOW) == [
        "pothole",
        "road-hazard",
    ]
    row = service(dbsession)
    assert (row.verified_on, row.review_on) == (TODAY, TODAY + timedelta(days=365))
    assert revision(dbsession) == before + 1
    logged = (
        dbsession.execute(select(AuditEvent).where(AuditEvent.action == "service:verify"))
        .scalars()
        .all()
    )
    assert sorted(each.detail["key"] for each in logged) == ["pothole", "road-hazard"]
    assert {each.at for each in logged} == {NOW}


def test_a_service_that_is_not_there_is_named_and_nothing_is_verified(dbsession):
    with dbsession.begin_nested() as nested:
        with pytest.raises(NotFound, match="potholes"):
            verify(dbsession, ["pothole", "potholes"], today=TODAY, now=NOW)
        nested.rollback()
    assert service(dbsession).verified_on is None


def test_another_partners_service_cannot_be_verified(dbsession, tenants):
    with acting_for(dbsession, tenants["211info"]), pytest.raises(NotFound):
        verify(dbsession, ["pothole"], today=TODAY, now=NOW)


def test_own_days_count_and_a_change_of_them_moves_the_day(dbsession):
    verify(dbsession, ["pothole"], today=TODAY - timedelta(days=40), now=NOW)
    change(dbsession, review_days=90)
    assert service(dbsession).review_on == TODAY + timedelta(days=50)
    verify(dbsession, ["pothole"], today=TODAY, now=NOW)
    assert service(dbsession).review_on == TODAY + timedelta(days=90)


def test_another_change_leaves_the_day_alone(dbsession):
    before = service(dbsession).review_on
    change(dbsession, summary="A hole.")
    assert service(dbsession).review_on == before


def test_a_partner_has_usual_days_of_its_own(dbsession):
    dbsession.execute(
        update(Tenant)
        .where(Tenant.id == dbsession.scope.tenant_id)
        .values(settings=Tenant.settings + text("'{\"review_days\": 30}'::jsonb"))
    )
    assert usual_days(dbsession) == 30
    date_undated(dbsession, today=TODAY)  # articles and organisations, which have no day yet
    due(dbsession, "pothole", None)
    assert date_undated(dbsession, today=TODAY) == 1
    assert service(dbsession).review_on == TODAY + timedelta(days=30)
    assert date_undated(dbsession, today=TODAY) == 0


# --- who keeps what -----------------------------------------------------------------------------


def test_a_service_is_kept_by_its_own_people_its_bureaus_or_everybody(dbsession, person):
    ana, bo, cy = (person(name, "worker") for name in ("Ana", "Bo", "Cy"))
    person("Dee", "specialist")
    assert [each.name for each in keepers(dbsession).of(POTHOLE, "pbot")] == [
        "Ana",
        "Bo",
        "Cy",
    ]
    assert name_keepers(dbsession, "bureau", "pbot", [bo, cy], now=NOW)
    assert name_keepers(dbsession, "service", "pothole", [ana], now=NOW)
    assert not name_keepers(dbsession, "service", "pothole", [ana], now=NOW)
    kept = keepers(dbsession)
    assert [each.name for each in kept.of(POTHOLE, "pbot")] == ["Ana"]
    assert [each.name for each in kept.of(("service", "road-hazard"), "pbot")] == ["Bo", "Cy"]
    assert [each.name for each in kept.of(CLASS, "parks")] == [
        "Ana",
        "Bo",
        "Cy",
    ]
    assert kept.named(CLASS, "parks") == ()

    assert name_keepers(dbsession, "service", "pothole", [], now=NOW)
    assert [each.name for each in keepers(dbsession).of(POTHOLE, "pbot")] == [
        "Bo",
        "Cy",
    ]
    assert name_keepers(dbsession, "service", "pothole", [ana, bo], now=NOW)
    assert [each.name for each in keepers(dbsession).own(POTHOLE)] == ["Ana", "Bo"]


def test_who_left_or_may_no_more_is_not_counted(dbsession, person):
    ana, bo = person("Ana", "worker"), person("Bo", "worker")
    name_keepers(dbsession, "bureau", "pbot", [ana], now=NOW)
    dbsession.execute(
        text("UPDATE memberships SET roles = '{specialist}' WHERE person_id = :who"), {"who": ana}
    )
    assert [each.person_id for each in keepers(dbsession).of(POTHOLE, "pbot")] == [bo]


def test_only_people_who_may_work_on_entries_are_named_for_what_is_there(dbsession, person):
    dee, ana = person("Dee", "specialist"), person("Ana", "worker")
    with pytest.raises(InvalidInput, match="may work on entries"):
        name_keepers(dbsession, "bureau", "pbot", [dee], now=NOW)
    with pytest.raises(NotFound, match="no bureau pbt"):
        name_keepers(dbsession, "bureau", "pbt", [ana], now=NOW)
    with pytest.raises(NotFound, match="no service potholes"):
        name_keepers(dbsession, "service", "potholes", [ana], now=NOW)


def test_names_are_on_the_trail_as_ids(dbsession, person):
    ana = person("Ana", "worker")
    name_keepers(dbsession, "bureau", "pbot", [ana], now=NOW)
    event = dbsession.execute(
        select(AuditEvent).where(AuditEvent.action == "bureau:keepers")
    ).scalar_one()
    assert event.detail == {"key": "pbot", "named": [str(ana)], "ended": []}


def test_the_list_and_the_reminders_agree_on_what_is_somebodys(dbsession, person):
    ana, bo = person("Ana", "worker"), person("Bo", "worker")
    name_keepers(dbsession, "bureau", "pbot", [bo], now=NOW)
    name_keepers(dbsession, "service", "pothole", [ana], now=NOW)
    kept = keepers(dbsession)
    for who in (ana, bo):
        mine = kept.kept_by(who)
        rows = reviews(dbsession, today=TODAY, limit=1000).rows
        expected = {
            row.entry
            for row in rows
            if who in {person.person_id for person in kept.of(row.entry, row.bureau)}
        }
        listed = reviews(dbsession, today=TODAY, kept=mine, limit=1000).rows
        assert {row.entry for row in listed} == expected
        assert {row.entry for row in rows if mine.holds(row.entry, row.bureau)} == expected
    assert POTHOLE not in {
        row.entry for row in reviews(dbsession, today=TODAY, kept=kept.kept_by(bo), limit=99).rows
    }


def test_nobody_at_all_is_no_error():
    assert Keepers().of(POTHOLE, None) == ()


# --- the list -----------------------------------------------------------------------------------


def test_the_list_is_filtered_sorted_and_paged(dbsession):
    due(dbsession, "pothole", TODAY - timedelta(days=3), TODAY - timedelta(days=400))
    due(dbsession, "road-hazard", TODAY + timedelta(days=5), TODAY - timedelta(days=10))
    overdue = reviews(dbsession, today=TODAY, state="overdue").rows
    assert [row.key for row in overdue] == ["pothole"]
    soon = reviews(dbsession, today=TODAY, state="due").rows
    assert [row.key for row in soon] == ["pothole", "road-hazard"]
    never = reviews(dbsession, today=TODAY, state="never", limit=1000).rows
    assert not {"pothole", "road-hazard"} & {row.key for row in never}
    assert reviews(dbsession, today=TODAY, bureau="no-such").rows == []
    for order in ("due", "-due", "checked", "-checked", "name", "-name"):
        whole = [row.key for row in reviews(dbsession, today=TODAY, order=order, limit=1000).rows]
        walked, after = [], None
        while True:
            page = reviews(dbsession, today=TODAY, order=order, after=after, limit=7)
            walked += [row.key for row in page.rows]
            after = page.after
            if after is None:
                break
        assert walked == whole
        assert len(set(walked)) == len(walked)
    assert reviews(dbsession, today=TODAY, after="not-a-day|x", limit=3).rows
    found = counts(dbsession, today=TODAY)
    assert (found.overdue, found.soon, found.oldest) == (1, 1, TODAY - timedelta(days=400))
    assert found.never == found.entries - 2


# --- articles and organisations ------------------------------------------------------------------


ANSWER = {"key": "bins", "kind": "answer", "title": "Which bin?", "text": "Any.", "bureau": "bps"}


def add(session, kind, said):
    """Publish a new article or organisation."""
    saved = save_draft(session, kind, said, seen=None, now=NOW)
    review(session, kind, said["key"], saved.number, now=NOW)
    publish(session, kind, said["key"], saved.number, today=TODAY, now=NOW)


@pytest.fixture
def shelf(dbsession):
    """An answer of a bureau, a notice and an organisation."""
    add(dbsession, "article", ANSWER)
    notice = {"key": "storm", "kind": "notice", "title": "Storm", "text": "Wind.", "level": "info"}
    notice["valid_to"] = "2027-01-01"
    add(dbsession, "article", notice)
    add(dbsession, "organization", {"key": "pantry", "name": "Food pantry", "description": "Food."})
    return dbsession


def entry(session, kind, key):
    rows = reviews(session, today=TODAY, kind=kind, limit=1000).rows
    return next((row for row in rows if row.key == key), None)


def test_articles_and_organisations_are_looked_at_again_and_notices_are_not(shelf):
    assert entry(shelf, "article", "storm") is None
    assert date_undated(shelf, today=TODAY) >= 2
    assert entry(shelf, "article", "bins").review_on == TODAY + timedelta(days=365)
    assert verify(shelf, ["bins"], kind="article", today=TODAY, now=NOW) == ["bins"]
    verify(shelf, ["pantry"], kind="organization", today=TODAY, now=NOW)
    found = entry(shelf, "article", "bins")
    assert (found.bureau, found.verified_on) == ("bps", TODAY)
    assert entry(shelf, "organization", "pantry").verified_on == TODAY
    logged = shelf.execute(
        select(AuditEvent.action).where(AuditEvent.action.endswith(":verify"))
    ).scalars()
    assert sorted(logged) == ["article:verify", "organization:verify"]
    with shelf.begin_nested() as nested:
        with pytest.raises(NotFound, match="no article storm"):
            verify(shelf, ["storm"], kind="article", today=TODAY, now=NOW)
        nested.rollback()


def test_a_change_leaves_the_days_of_an_article_alone(shelf):
    verify(shelf, ["bins"], kind="article", today=TODAY, now=NOW)
    seen = opened(shelf, "article", "bins")
    saved = save_draft(
        shelf, "article", {**seen.content, "text": "The blue one."}, seen=seen.number, now=NOW
    )
    review(shelf, "article", "bins", saved.number, now=NOW)
    publish(shelf, "article", "bins", saved.number, today=TODAY, now=NOW)
    assert entry(shelf, "article", "bins").verified_on == TODAY


def test_they_are_kept_and_told_of_as_services_are(shelf, quiet, person):
    ana, bo = person("Ana", "worker"), person("Bo", "worker")
    name_keepers(shelf, "bureau", "bps", [bo], now=NOW)
    name_keepers(shelf, "organization", "pantry", [ana], now=NOW)
    for table, key in ((Article, "bins"), (Organization, "pantry")):
        shelf.execute(
            update(table)
            .where(table.tenant_id == shelf.scope.tenant_id, table.key == key)
            .values(review_on=TODAY)
        )
    assert keep(shelf, now=NOW, url=URL) == 2
    to_ana, to_bo = letters(shelf)
    assert "- Food pantry (by" in to_ana.body
    assert "- Which bin? (by" in to_bo.body
    assert keep(shelf, now=NOW, url=URL) == 0
    assert {row.entry for row in reviews(shelf, today=TODAY, state="due", limit=99).rows} == {
        ("article", "bins"),
        ("organization", "pantry"),
    }
    with pytest.raises(NotFound, match="no article tins"):
        name_keepers(shelf, "article", "tins", [ana], now=NOW)


# --- reminders ----------------------------------------------------------------------------------


@pytest.fixture
def quiet(dbsession):
    """Nothing is due."""
    dbsession.execute(
        update(Service)
        .where(Service.tenant_id == dbsession.scope.tenant_id)
        .values(review_on=TODAY + timedelta(days=200))
    )
    return dbsession


def test_each_keeper_gets_one_letter_for_all_that_is_due_once(quiet, person):
    ana, bo = person("Ana", "worker"), person("Bo", "worker")
    name_keepers(quiet, "bureau", "pbot", [bo], now=NOW)
    name_keepers(quiet, "service", "road-hazard", [ana, bo], now=NOW)
    due(quiet, "pothole", TODAY)
    due(quiet, "road-hazard", TODAY - timedelta(days=2))
    assert keep(quiet, now=NOW, url=URL) == 2
    to_ana, to_bo = letters(quiet)
    assert to_bo.recipient == "bo@city.example"
    assert to_bo.heading == "2 to look at: entries of City of Portland"
    assert "- Debris or hazard in the roadway (by November 1, 2026)\n- Pothole" in to_bo.body
    assert f"{URL}/city-of-portland/reviews?keeper=me" in to_bo.body
    assert "Pothole" not in to_ana.body
    assert keep(quiet, now=NOW + timedelta(days=3), url=URL) == 0
    assert len(letters(quiet)) == 2


def test_after_it_was_looked_at_the_next_day_is_told_of_again(quiet, person):
    person("Ana", "worker")
    due(quiet, "pothole", TODAY)
    assert keep(quiet, now=NOW, url=URL) == 1
    verify(quiet, ["pothole"], today=TODAY, now=NOW)
    assert keep(quiet, now=NOW + timedelta(days=100), url=URL) == 0
    due(quiet, "pothole", TODAY + timedelta(days=120))
    assert keep(quiet, now=NOW + timedelta(days=119), url=URL) == 0
    assert keep(quiet, now=NOW + timedelta(days=121), url=URL) == 1


def test_the_day_is_that_of_the_partners_clock(quiet, person):
    person("Ana", "worker")
    due(quiet, "pothole", TODAY)
    before_midnight = datetime(2026, 11, 3, 7, 30, tzinfo=UTC)
    assert keep(quiet, now=before_midnight, url=URL) == 0
    assert keep(quiet, now=before_midnight + timedelta(hours=1), url=URL) == 1


def test_what_nobody_keeps_is_told_of_as_soon_as_somebody_does(quiet, person):
    assert members(quiet) == []
    due(quiet, "pothole", TODAY)
    assert keep(quiet, now=NOW, url=URL) == 0
    person("Ana", "worker")
    assert keep(quiet, now=NOW, url=URL) == 1


def test_services_without_a_day_get_one(quiet, person):
    person("Ana", "worker")
    due(quiet, "pothole", None)
    assert keep(quiet, now=NOW, url=URL) == 0
    assert service(quiet).review_on == TODAY + timedelta(days=365)


def test_a_long_list_is_cut_and_counted():
    assert doctest.testmod(keepers_letters).failed == 0
