"""Articles are drafted, reviewed, published and found like everything in the catalogue."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from regional311.catalog.article_queries import (
    article,
    articles_beside,
    notices,
    public_articles,
    public_articles_about,
)
from regional311.catalog.models import Article
from regional311.catalog.versions import (
    Faulty,
    end,
    history,
    publish,
    publish_due,
    review,
    save_draft,
)
from regional311.database.session import TenantSession, acting_for
from regional311.tenancy.models import Tenant

NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
TODAY = date(2026, 11, 3)
POTHOLE = "city-of-portland/pothole"
ANSWER = {
    "key": "who-fills-test",
    "kind": "answer",
    "title": "Who fills potholes?",
    "text": "The City.",
    "internal": "Crew 5.",
    "services": ["pothole"],
}
SCRIPT = {
    "key": "water-test",
    "kind": "script",
    "title": "Water",
    "services": ["multnomah-county/road-pothole"],
    "step": [
        {
            "key": "one",
            "text": "Out of the ground?",
            "choice": [
                {"key": "yes", "label": "Yes", "to": "danger"},
                {"key": "no", "label": "No", "to": "service:pothole"},
            ],
        }
    ],
}
NOTICE = {
    "key": "closed-test",
    "kind": "notice",
    "title": "Closed",
    "text": "Today.",
    "valid_from": "2026-11-03",
    "valid_to": "2026-11-04",
}


def published(session: TenantSession, said, **more):
    saved = save_draft(session, "article", said, seen=more.pop("seen", None), now=NOW)
    review(session, "article", said["key"], saved.number, now=NOW)
    return publish(session, "article", said["key"], saved.number, today=TODAY, now=NOW, **more)


def keys(found):
    return [each.said.key for each in found if each.said.key.endswith("-test")]


def test_an_article_is_published_once_it_was_reviewed(dbsession):
    assert published(dbsession, ANSWER) == 1
    row = dbsession.execute(select(Article).where(Article.key == "who-fills-test")).scalar_one()
    assert (row.services, row.public, row.version) == ([POTHOLE], True, 1)
    assert published(dbsession, {**ANSWER, "title": "Who?"}, seen=1) == 2
    tenant_id = dbsession.scope.tenant_id
    found = article(dbsession, tenant_id, "who-fills-test")
    assert (found.said.title, found.version) == ("Who?", 2)
    assert [row.state for row in history(dbsession, "article", "who-fills-test")] == [
        "published",
        "retired",
    ]


def test_a_script_with_faults_is_not_reviewed(dbsession):
    step = {**SCRIPT["step"][0], "choice": [{"key": "a", "label": "A", "to": "step:gone"}]}
    bad = {**SCRIPT, "services": ["pothol"], "bureau": "nobody", "step": [step]}
    saved = save_draft(dbsession, "article", bad, seen=None, now=NOW)
    with pytest.raises(Faulty) as refused:
        review(dbsession, "article", "water-test", saved.number, now=NOW)
    assert [where for where, _words in refused.value.faults] == [
        "bureau",
        "services",
        "step[one].choice[a].to",
        "step",
    ]
    assert "did you mean city-of-portland/pothole?" in refused.value.faults[1][1]


def test_an_article_waits_for_its_day(dbsession):
    published(dbsession, ANSWER, on=TODAY + timedelta(days=2))
    assert keys(public_articles(dbsession, TODAY)) == []
    assert publish_due(dbsession, NOW + timedelta(days=1)).published == 0
    assert publish_due(dbsession, NOW + timedelta(days=2)).published == 1
    assert keys(public_articles(dbsession, TODAY)) == ["who-fills-test"]


def test_who_sees_what(dbsession):
    for said in (ANSWER, SCRIPT, NOTICE, {**ANSWER, "key": "inside-test", "text": None}):
        published(dbsession, said)
    road = "multnomah-county/road-pothole"
    assert keys(public_articles_about(dbsession, POTHOLE, TODAY)) == ["who-fills-test"]
    assert keys(public_articles_about(dbsession, road, TODAY)) == []
    beside = keys(articles_beside(dbsession, TODAY, ref=POTHOLE))
    assert sorted(beside) == ["closed-test", "inside-test", "water-test", "who-fills-test"]
    assert sorted(keys(articles_beside(dbsession, TODAY, ref=road))) == [
        "closed-test",
        "water-test",
    ]
    asked = (dbsession.scope.tenant_id, "inside-test")
    assert "inside-test" in keys(articles_beside(dbsession, TODAY, asked=asked))
    assert keys(public_articles(dbsession, TODAY)) == ["who-fills-test"]
    other = dbsession.execute(select(Tenant.id).where(Tenant.slug == "211info")).scalar_one()
    with acting_for(dbsession, other):
        assert keys(notices(dbsession, TODAY)) == ["closed-test"]
        assert keys(notices(dbsession, TODAY, tenants=[other])) == []


def test_an_ended_article_is_shown_no_more(dbsession):
    published(dbsession, ANSWER)
    end(dbsession, "article", "who-fills-test", on=TODAY, today=TODAY, now=NOW)
    assert keys(public_articles(dbsession, TODAY)) == []
    assert keys(articles_beside(dbsession, TODAY, ref=POTHOLE)) == []
    found = article(dbsession, dbsession.scope.tenant_id, "who-fills-test")
    assert not found.offered(TODAY)


def test_dates_of_an_article_keep_it_back(dbsession):
    published(dbsession, {**ANSWER, "valid_from": "2026-11-10", "valid_to": "2026-11-12"})
    shown = [keys(public_articles(dbsession, date(2026, 11, day))) for day in (9, 10, 11, 12)]
    assert shown == [[], ["who-fills-test"], ["who-fills-test"], []]
