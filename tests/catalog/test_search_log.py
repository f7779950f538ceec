"""What was searched for is kept without who it was, and forgotten in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from regional311.catalog.models import SearchAsked
from regional311.catalog.search_log import (
    forget_words,
    record_choice,
    record_search,
    set_aside,
    unanswered,
)

NOW = datetime(2026, 10, 5, 17, tzinfo=UTC)
POTHOLE = "service:city-of-portland/pothole"


def ask(session, words, *, results=0, now=NOW):
    record_search(session, now=now, door="desk", words=words, language="en", results=results)


def choose(session, words, *, now=NOW, chosen=POTHOLE):
    record_choice(
        session, now=now, door="desk", words=words, language="en", results=3, chosen=chosen
    )


def rows(session):
    return session.execute(
        select(SearchAsked.words, SearchAsked.results, SearchAsked.chosen)
        .where(SearchAsked.tenant_id == session.scope.tenant_id)
        .order_by(SearchAsked.at, SearchAsked.id)
    ).all()


def listed(session, now=NOW):
    return unanswered(session, session.scope.tenant_id, since=now - timedelta(days=90))


def test_words_are_masked(dbsession):
    ask(dbsession, "Call Ana at 503-555-0134, ana@example.org")
    ask(dbsession, "97201")
    assert rows(dbsession) == [("call ana at #, #", 0, None)]


def test_a_choice_is_what_came_of_the_search_just_made(dbsession):
    ask(dbsession, "Hole", results=3)
    choose(dbsession, "hole", now=NOW + timedelta(minutes=2))
    assert rows(dbsession) == [("hole", 3, POTHOLE)]


def test_a_choice_while_typing_is_a_search_of_its_own_and_counts_once(dbsession, statements):
    dbsession.connection()
    statements.clear()
    choose(dbsession, "hole")
    assert len(statements) == 1
    choose(dbsession, "hole", now=NOW + timedelta(minutes=1))
    assert rows(dbsession) == [("hole", 3, POTHOLE)]
    choose(dbsession, "hole", now=NOW + timedelta(hours=1))
    assert len(rows(dbsession)) == 2


def test_searches_without_result_come_before_those_nobody_chose_from(dbsession):
    for number in range(3):
        ask(dbsession, "opened", results=3, now=NOW + timedelta(hours=number))
        choose(dbsession, "opened", now=NOW + timedelta(hours=number))
        ask(dbsession, "passed over", results=3, now=NOW + timedelta(hours=number))
    ask(dbsession, "thingamajig")
    found = listed(dbsession)
    assert [(each.words, each.searches, each.without_result) for each in found] == [
        ("thingamajig", 1, 1),
        ("passed over", 3, 0),
    ]
    assert found[1].found == 3


def test_what_was_set_aside_comes_back_when_it_is_asked_again(dbsession):
    ask(dbsession, "thingamajig")
    assert set_aside(dbsession, now=NOW, words="thingamajig", language="en") == 1
    assert listed(dbsession) == []
    ask(dbsession, "thingamajig", now=NOW + timedelta(days=1))
    assert [each.searches for each in listed(dbsession)] == [1]


def test_words_are_forgotten_after_their_time(dbsession):
    ask(dbsession, "long ago", now=NOW - timedelta(days=181))
    ask(dbsession, "lately", now=NOW - timedelta(days=179))
    assert forget_words(dbsession, NOW) == 1
    assert [words for words, _results, _chosen in rows(dbsession)] == ["", "lately"]
    assert forget_words(dbsession, NOW) == 0
