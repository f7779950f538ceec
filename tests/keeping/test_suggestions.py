"""Suggestions: from partner to partner and from the public, decided, thanked for, erased."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text

from regional311.audit.models import AuditEvent
from regional311.catalog.models import ContentVersion, Service
from regional311.catalog.versions import Faulty, opened, save_draft
from regional311.database.ids import new_id
from regional311.database.session import Scope, acting_for, open_session
from regional311.errors import InvalidInput, NotFound
from regional311.exchange.models import Envelope
from regional311.keeping.fields import FieldRefused
from regional311.keeping.keepers import name_keepers
from regional311.keeping.models import Suggestion
from regional311.keeping.queries import open_suggestions, suggestions
from regional311.keeping.reminders import keep
from regional311.keeping.suggestions import (
    MOST_A_DAY,
    MOST_AN_HOUR,
    Decided,
    Thanks,
    TooMany,
    Wish,
    approve,
    decline,
    erase,
    forget_senders,
    mark_seen,
    settle,
    suggest,
    suggest_as_visitor,
)
from regional311.notices.models import OutboxMessage

NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
TODAY = date(2026, 11, 3)
THANKS = Thanks(
    field="Short description",
    partner="City of Portland",
    address="https://311.example/services/city-of-portland/pothole",
    translate=lambda words, language: f"{words} ({language})" if language != "en" else words,
)
WISH = Wish(
    "service", "pothole", "Pothole in a street", "summary", "A hole.", "A hole in a street.", "Saw"
)


@pytest.fixture
def helper(engine, tenants):
    """A specialist of 211 in a transaction that is rolled back."""
    with engine.connect() as connection, connection.begin() as transaction:
        scope = Scope(tenants["211info"], new_id())
        with open_session(connection, scope, join_transaction_mode="create_savepoint") as session:
            yield session
        transaction.rollback()


def row(session, suggestion_id):
    return session.execute(
        select(Suggestion.__table__).where(
            Suggestion.tenant_id == session.scope.tenant_id, Suggestion.id == suggestion_id
        )
    ).one_or_none()


def said(session, key="pothole"):
    return session.execute(
        select(Service.summary).where(
            Service.tenant_id == session.scope.tenant_id, Service.key == key
        )
    ).scalar_one()


def letters(session, event):
    return (
        session.execute(
            select(OutboxMessage).where(
                OutboxMessage.tenant_id == session.scope.tenant_id, OutboxMessage.event == event
            )
        )
        .scalars()
        .all()
    )


def from_public(session, *, now=NOW, **more):
    given = {"email": "kim@example.org", "sender_digest": "digest", "written_in": "es"}
    return suggest_as_visitor(session, WISH, now=now, **{**given, **more})


# --- between partners ---------------------------------------------------------------------------


def test_a_specialists_suggestion_lands_with_the_owner_without_a_name(helper, tenants):
    city = tenants["city-of-portland"]
    suggestion_id = suggest(helper, city, WISH, now=NOW, written_in="en")
    mine = row(helper, suggestion_id)
    assert (mine.person_id, mine.owner_id, mine.state) == (helper.scope.person_id, city, "new")
    with acting_for(helper, city):
        theirs = row(helper, suggestion_id)
        assert (theirs.wanted, theirs.reason) == ("A hole in a street.", "Saw")
        assert (theirs.person_id, theirs.from_tenant_id) == (None, tenants["211info"])
        envelope = helper.execute(
            select(Envelope).where(Envelope.subject_id == suggestion_id)
        ).scalar_one()
        assert envelope.kind == "suggestion"
        assert str(helper.scope.person_id) not in str(envelope.payload)
        trail = helper.execute(
            select(AuditEvent.action, AuditEvent.detail).where(
                AuditEvent.tenant_id == city, AuditEvent.subject_id == suggestion_id
            )
        ).all()
        assert trail == [("suggestion:receive", {"key": "pothole", "field": "summary"})]


def test_approved_it_is_published_as_a_version_and_the_writer_hears(helper, tenants):
    city = tenants["city-of-portland"]
    suggestion_id = suggest(helper, city, WISH, now=NOW, written_in="en")
    with acting_for(helper, city):
        saved = approve(
            helper,
            suggestion_id,
            "A hole in a City street.",
            publish=True,
            today=TODAY,
            now=NOW,
            thanks=THANKS,
        )
        assert said(helper) == "A hole in a City street."
        version = helper.execute(
            select(ContentVersion).where(
                ContentVersion.tenant_id == city,
                ContentVersion.key == "pothole",
                ContentVersion.number == saved.number,
            )
        ).scalar_one()
        assert (version.state, version.source) == ("published", "suggestion")
        assert row(helper, suggestion_id).version == saved.number
        assert not letters(helper, "suggestion_approved")
    answered = row(helper, suggestion_id)
    assert (answered.state, answered.decided_at, answered.decided_by) == ("approved", NOW, None)
    assert open_suggestions(helper, received=False) == 1
    assert mark_seen(helper, now=NOW) == 1
    assert open_suggestions(helper, received=False) == 0


def test_declined_the_writer_reads_why(helper, tenants):
    city = tenants["city-of-portland"]
    suggestion_id = suggest(helper, city, WISH, now=NOW, written_in="en")
    with acting_for(helper, city):
        with pytest.raises(InvalidInput, match="Say why"):
            decline(helper, suggestion_id, answer=" ", now=NOW, thanks=THANKS)
        decline(helper, suggestion_id, answer="It is right.", now=NOW, thanks=THANKS)
        with pytest.raises(Decided):
            settle(helper, suggestion_id, answer=None, now=NOW, thanks=THANKS)
    answered = row(helper, suggestion_id)
    assert (answered.state, answered.answer) == ("declined", "It is right.")


def test_only_the_owner_decides(helper, tenants):
    suggestion_id = suggest(helper, tenants["city-of-portland"], WISH, now=NOW, written_in="en")
    with pytest.raises(NotFound):
        decline(helper, suggestion_id, answer="No.", now=NOW, thanks=THANKS)
    with acting_for(helper, tenants["multnomah-county"]), pytest.raises(NotFound):
        erase(helper, suggestion_id, now=NOW)


def test_a_colleagues_suggestion_is_one_row(dbsession, tenants):
    suggestion_id = suggest(dbsession, tenants["city-of-portland"], WISH, now=NOW, written_in="en")
    decline(dbsession, suggestion_id, answer="No.", now=NOW, thanks=THANKS)
    assert row(dbsession, suggestion_id).state == "declined"
    assert not dbsession.execute(
        select(Envelope).where(Envelope.subject_id == suggestion_id)
    ).first()


# --- what is published --------------------------------------------------------------------------


def test_a_colleagues_draft_is_not_published_along(dbsession):
    seen = opened(dbsession, "service", "pothole")
    save_draft(
        dbsession,
        "service",
        {**seen.content, "name": "Hole in a street"},
        seen=seen.number,
        now=NOW,
    )
    suggestion_id = from_public(dbsession)
    approve(dbsession, suggestion_id, "A hole.", publish=True, today=TODAY, now=NOW, thanks=THANKS)
    name, summary = dbsession.execute(
        select(Service.name, Service.summary).where(
            Service.tenant_id == dbsession.scope.tenant_id, Service.key == "pothole"
        )
    ).one()
    assert (name, summary) == ("Pothole in a street", "A hole.")
    assert opened(dbsession, "service", "pothole").content["name"] == "Hole in a street"


def test_without_the_right_to_publish_it_is_a_draft(dbsession):
    suggestion_id = from_public(dbsession)
    before = said(dbsession)
    approve(dbsession, suggestion_id, "A hole.", publish=False, today=TODAY, now=NOW, thanks=THANKS)
    assert said(dbsession) == before
    draft = opened(dbsession, "service", "pothole")
    assert (draft.state, draft.content["summary"]) == ("draft", "A hole.")


def test_what_the_field_cannot_say_changes_nothing(dbsession):
    wish = Wish("service", "pothole", "Pothole", "phone", "", "ask Rosa")
    suggestion_id = suggest(dbsession, dbsession.scope.tenant_id, wish, now=NOW, written_in="en")
    with dbsession.begin_nested() as nested:
        with pytest.raises(FieldRefused):
            approve(
                dbsession,
                suggestion_id,
                "ask Rosa",
                publish=True,
                today=TODAY,
                now=NOW,
                thanks=THANKS,
            )
        nested.rollback()
    assert row(dbsession, suggestion_id).state == "new"


def test_what_breaks_a_rule_of_the_catalogue_is_refused(dbsession):
    dbsession.execute(
        text("UPDATE services SET bureau_key = 'gone' WHERE tenant_id = :me AND key = 'pothole'"),
        {"me": dbsession.scope.tenant_id},
    )
    dbsession.execute(
        text(
            'UPDATE content_versions SET content = content || \'{"bureau": "gone"}\''
            " WHERE tenant_id = :me AND key = 'pothole'"
        ),
        {"me": dbsession.scope.tenant_id},
    )
    suggestion_id = from_public(dbsession)
    with pytest.raises(Faulty, match="no bureau gone"):
        approve(
            dbsession, suggestion_id, "A hole.", publish=True, today=TODAY, now=NOW, thanks=THANKS
        )


def test_what_it_says_already_needs_no_version(dbsession):
    suggestion_id = from_public(dbsession)
    now_says = said(dbsession)
    saved = approve(
        dbsession, suggestion_id, now_says, publish=True, today=TODAY, now=NOW, thanks=THANKS
    )
    assert not saved.changed
    assert row(dbsession, suggestion_id).version is None


# --- from the public ----------------------------------------------------------------------------


def test_thanks_go_in_the_writers_language_and_the_address_is_forgotten(dbsession):
    suggestion_id = from_public(dbsession)
    settle(dbsession, suggestion_id, answer=None, now=NOW, thanks=THANKS)
    (letter,) = letters(dbsession, "suggestion_approved")
    assert (letter.recipient, letter.language) == ("kim@example.org", "es")
    assert letter.heading == "Thank you for correcting Pothole in a street (es)"
    assert "Short description (es)" in letter.body
    assert WISH.wanted not in letter.body
    assert row(dbsession, suggestion_id).email is None


def test_a_decline_says_why_by_mail(dbsession):
    suggestion_id = from_public(dbsession, written_in="en")
    decline(dbsession, suggestion_id, answer="It is right.", now=NOW, thanks=THANKS)
    (letter,) = letters(dbsession, "suggestion_declined")
    assert "leaves it as it is: It is right." in letter.body


def test_without_an_address_nobody_is_written_to(dbsession):
    suggestion_id = from_public(dbsession, email=None)
    settle(dbsession, suggestion_id, answer=None, now=NOW, thanks=THANKS)
    assert not letters(dbsession, "suggestion_approved")


def test_a_flood_from_one_address_is_stopped_for_an_hour(dbsession):
    for number in range(MOST_AN_HOUR):
        from_public(dbsession, now=NOW + timedelta(minutes=number))
    with pytest.raises(TooMany, match="within one hour"):
        from_public(dbsession, now=NOW + timedelta(minutes=30))
    from_public(dbsession, sender_digest="another", now=NOW + timedelta(minutes=30))
    from_public(dbsession, now=NOW + timedelta(minutes=75))


def test_a_flood_from_many_addresses_is_stopped_for_the_day(dbsession):
    dbsession.execute(
        text(
            "INSERT INTO suggestions (tenant_id, id, owner_id, subject_kind, subject_key,"
            " subject_name, field, wanted, written_in, state, made_at)"
            " SELECT :me, gen_random_uuid(), :me, 'service', 'pothole', 'Pothole', 'name', 'x',"
            " 'en', 'new', :now FROM generate_series(1, :many)"
        ),
        {"me": dbsession.scope.tenant_id, "now": NOW - timedelta(hours=3), "many": MOST_A_DAY},
    )
    with pytest.raises(TooMany, match="tomorrow"):
        from_public(dbsession)


def test_digests_are_forgotten_after_a_day(dbsession):
    suggestion_id = from_public(dbsession)
    assert forget_senders(dbsession, now=NOW + timedelta(hours=23)) == 0
    assert forget_senders(dbsession, now=NOW + timedelta(hours=25)) == 1
    assert row(dbsession, suggestion_id).sender_digest is None


def test_erasing_empties_what_was_written_also_where_it_was_sent(dbsession):
    suggestion_id = from_public(dbsession)
    settle(dbsession, suggestion_id, answer=None, now=NOW, thanks=THANKS)
    erase(dbsession, suggestion_id, now=NOW)
    erase(dbsession, suggestion_id, now=NOW)
    erased = row(dbsession, suggestion_id)
    assert (erased.wanted, erased.reason, erased.email) == ("", None, None)
    assert (erased.state, erased.erased_at, erased.field) == ("approved", NOW, "summary")
    (letter,) = letters(dbsession, "suggestion_approved")
    dbsession.refresh(letter)
    assert (letter.recipient, letter.body, letter.state) == ("", "", "withdrawn")


def test_an_envelope_is_emptied_too(helper, tenants):
    city = tenants["city-of-portland"]
    suggestion_id = suggest(helper, city, WISH, now=NOW, written_in="en")
    with acting_for(helper, city):
        erase(helper, suggestion_id, now=NOW)
        envelope = helper.execute(
            select(Envelope).where(Envelope.subject_id == suggestion_id)
        ).scalar_one()
        assert envelope.payload == {"erased": True}


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish("service", "pothole", "P", "disposition", "", "resolve"), "one of the fields"),
        (Wish("article", "pothole", "P", "name", "", "x"), "one of the fields"),
        (Wish("service", "pothole", "P", "name", "Pothole", " "), "what it should say"),
        (Wish("service", "pothole", "P", "name", "Pothole", "Pothole "), "what it says now"),
        (Wish("service", "pothole", "P", "name", "", "x" * 4001), "fewer words"),
    ],
)
def test_an_empty_wish_or_a_foreign_field_is_refused(dbsession, wish, told):
    with pytest.raises(InvalidInput, match=told):
        suggest(dbsession, dbsession.scope.tenant_id, wish, now=NOW, written_in="en")


# --- lists and letters to keepers ---------------------------------------------------------------


def test_lists_are_by_side_state_and_writer(helper, tenants):
    city = tenants["city-of-portland"]
    first = suggest(helper, city, WISH, now=NOW, written_in="en")
    with acting_for(helper, city):
        second = from_public(helper)
        decline(helper, second, answer="No.", now=NOW, thanks=THANKS)
        received = suggestions(helper, received=True)
        assert [each.id for each in received.rows] == [second, first]
        oldest = suggestions(helper, received=True, oldest_first=True, limit=1)
        assert [each.id for each in oldest.rows] == [first]
        rest = suggestions(helper, received=True, oldest_first=True, after=oldest.after)
        assert [each.id for each in rest.rows] == [second]
        for asked, expected in (
            ({"state": "new"}, [first]),
            ({"writer": "public"}, [second]),
            ({"writer": "partner"}, [first]),
            ({"writer": "own"}, []),
        ):
            assert [each.id for each in suggestions(helper, received=True, **asked).rows] == (
                expected
            )
        assert open_suggestions(helper, received=True) == 1
    sent = suggestions(helper, received=False, person_id=helper.scope.person_id)
    assert [each.id for each in sent.rows] == [first]
    assert suggestions(helper, received=True).rows == []


def test_keepers_are_told_once_of_what_is_new(dbsession, person):
    ana, bo = person("Ana", "keeper"), person("Bo", "keeper")
    name_keepers(dbsession, "bureau", "pbot", [ana], now=NOW)
    assert bo
    from_public(dbsession)
    from_public(dbsession)
    dbsession.execute(
        text("UPDATE services SET review_on = '2030-01-01' WHERE tenant_id = :me"),
        {"me": dbsession.scope.tenant_id},
    )
    assert keep(dbsession, now=NOW, url="https://311.example") == 1
    (letter,) = letters(dbsession, "suggestions_new")
    assert letter.recipient == "ana@city.example"
    assert letter.heading == "2 suggested: entries of City of Portland"
    assert "https://311.example/city-of-portland/suggestions" in letter.body
    assert WISH.wanted not in letter.body
    assert keep(dbsession, now=NOW, url="https://311.example") == 0
