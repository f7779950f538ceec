"""Versions on their day: what cannot be published is told of to whoever can mend it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import cast, select, update
from sqlalchemy.dialects.postgresql import JSONB

from regional311.catalog.models import ContentVersion
from regional311.catalog.versions import open_versions, opened, publish, review, save_draft
from regional311.keeping.days import publish_on_their_day
from regional311.keeping.reminders import keep
from regional311.notices.models import OutboxMessage
from regional311.tenancy.models import Tenant

NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
TODAY = date(2026, 11, 3)
THE_DAY = NOW + timedelta(days=30)
URL = "https://311.example"


def letters(session):
    return session.execute(
        select(OutboxMessage.recipient, OutboxMessage.heading, OutboxMessage.body)
        .where(OutboxMessage.event == "publishing_refused")
        .order_by(OutboxMessage.recipient)
    ).all()


def save(session, fields, *, on=None):
    """Draft, review and publish a pothole that says something else, at once or on a day."""
    seen = opened(session, "service", "pothole")
    said = {**seen.content, **fields}
    saved = save_draft(session, "service", said, seen=seen.number, now=NOW)
    review(session, "service", "pothole", saved.number, now=NOW)
    publish(session, "service", "pothole", saved.number, today=TODAY, now=NOW, on=on)
    return saved.number


@pytest.fixture
def overtaken(dbsession, person):
    """A keeper's version has a day; before it somebody publishes another text of the same field."""
    ana = person("Ana", "keeper")
    person("Bo", "editor")
    person("Cy", "worker")
    number = save(dbsession, {"fee": "$2"}, on=THE_DAY.date())
    dbsession.execute(
        update(ContentVersion)
        .where(ContentVersion.kind == "service", ContentVersion.number == number)
        .values(made_by=ana)
    )
    save(dbsession, {"fee": "Free"})
    return number


def test_its_author_and_who_may_publish_get_one_letter_with_the_reason(dbsession, overtaken):
    assert publish_on_their_day(dbsession, THE_DAY - timedelta(days=1), url=URL) == 0
    assert publish_on_their_day(dbsession, THE_DAY, url=URL) == 2
    to_ana, to_bo = letters(dbsession)
    assert (to_ana.recipient, to_bo.recipient) == ("ana@city.example", "bo@city.example")
    assert to_bo.heading == "1 not published on its day: City of Portland"
    assert f"- Pothole in a street, version {overtaken}: " in to_ana.body
    assert "changed the same: fee" in to_ana.body
    assert f"{URL}/city-of-portland/services/drafts" in to_ana.body
    assert publish_on_their_day(dbsession, THE_DAY, url=URL) == 0
    (waiting,) = open_versions(dbsession, "service")
    assert (waiting.state, waiting.effective_on) == ("draft", None)
    assert "Choose between the two first" in waiting.problem


def test_letters_are_in_the_language_of_the_partner(dbsession, overtaken):
    me = dbsession.scope.tenant_id
    spoken = {"languages": ["es", "en"]}
    dbsession.execute(
        update(Tenant)
        .where(Tenant.tenant_id == me, Tenant.id == me)
        .values(settings=Tenant.settings.concat(cast(spoken, JSONB)))
    )
    publish_on_their_day(dbsession, THE_DAY, url=URL)
    letter = letters(dbsession)[0]
    assert letter.heading == "1 sin publicar en su día: City of Portland"
    assert f"- Pothole in a street, versión {overtaken}: " in letter.body
    keep(dbsession, now=datetime(2027, 7, 2, tzinfo=UTC), url=URL)
    due = dbsession.execute(
        select(OutboxMessage.body).where(OutboxMessage.event == "reviews_due").limit(1)
    ).scalar_one()
    assert "(antes del 1 de julio de 2027)" in due
    assert "más" in due
