"""Search documents follow what is published, in the same transaction."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import func, select, update

from regional311.catalog import content, service
from regional311.catalog.models import SearchDocument, SearchWord, Service
from regional311.catalog.refresh import refresh, refresh_about, together
from regional311.database.session import acting_for
from regional311.strict import from_plain

NOW = datetime(2026, 10, 5, 17, tzinfo=UTC)
TODAY = date(2026, 10, 5)
ZEBRA = {
    "key": "zebra",
    "name": "Zebra in a street",
    "summary": "An animal with stripes.",
    "verb": "report",
    "bureau": "pbot",
    "term": "zebra",
    "group": "Streets",
    "keywords": ["striped horse"],
    "disposition": [{"kind": "resolve", "valid_from": "2020-01-01"}],
}


def write(session, known=None, **changed):
    model = from_plain(content.Service, {**ZEBRA, **changed})
    service_id = service.write_service(
        session, model, known=known, today=TODAY, now=NOW, person_id=None, source="form"
    )
    return service_id, model


def document(session, language="en", *, for_staff=False):
    return session.execute(
        select(SearchDocument).where(
            SearchDocument.tenant_id == session.scope.tenant_id,
            SearchDocument.key == "zebra",
            SearchDocument.language == language,
            SearchDocument.for_staff.is_(for_staff),
        )
    ).scalar_one_or_none()


def having(session, word):
    return session.scalar(
        select(func.sum(SearchWord.documents)).where(
            SearchWord.tenant_id == session.scope.tenant_id, SearchWord.word == word
        )
    )


def test_a_published_service_has_a_document_and_its_words_are_counted(dbsession):
    before = having(dbsession, "")
    write(dbsession)
    found = document(dbsession)
    assert found.listed
    assert found.title == "Zebra in a street"
    assert "'zebra':1A" in found.words
    assert "'=hors stripe'" in found.words
    word = dbsession.execute(select(SearchWord).where(SearchWord.word == "zebra")).scalar_one()
    assert (word.stem, word.documents, word.language) == ("zebra", 1, "en")
    assert {"zebra", "ebra", "zera"} <= set(word.slips)
    assert having(dbsession, "") == before + 1


def test_a_change_replaces_words_and_what_is_no_more_leaves_none(dbsession):
    before = having(dbsession, "")
    known = write(dbsession)
    words = [{"language": "es", "name": "Cebra", "summary": "Un animal."}]
    known = write(dbsession, known, name="Okapi in a street", translation=words)
    dbsession.expire_all()
    assert "okapi" in document(dbsession).words
    assert document(dbsession, "es").title == "Cebra"
    # the term still says it
    assert having(dbsession, "zebra") == 1
    assert having(dbsession, "okapi") == 1
    write(dbsession, known, status="defunct")
    dbsession.expire_all()
    for language in ("en", "es"):
        found = document(dbsession, language)
        assert not found.listed
        assert (found.title, found.summary, found.words, found.spoken) == ("", "", "", [])
    assert having(dbsession, "okapi") == 0
    assert having(dbsession, "") == before


def test_what_did_not_change_is_not_written_again(dbsession, statements):
    write(dbsession)
    first = dbsession.execute(
        select(SearchDocument.digest).where(SearchDocument.key == "zebra")
    ).scalar_one()
    dbsession.execute(
        update(SearchDocument)
        .where(SearchDocument.tenant_id == dbsession.scope.tenant_id, SearchDocument.key == "zebra")
        .values(title="kept")
    )
    statements.clear()
    assert refresh(dbsession, "service", ["zebra"]) == 1
    assert len(statements) == 3
    dbsession.expire_all()
    assert (document(dbsession).title, document(dbsession).digest) == ("kept", first)


def test_many_are_refreshed_together(dbsession, statements):
    with together(dbsession):
        write(dbsession)
        assert document(dbsession) is None
        write(dbsession, key="quagga", name="Quagga")
        assert refresh(dbsession, "service", ["zebra"]) == 0
    assert document(dbsession).listed
    assert having(dbsession, "quagga") == 1
    statements.clear()
    with together(dbsession), together(dbsession):
        refresh(dbsession, "service", ["zebra", "quagga"])
        refresh(dbsession, "service")
    assert len(statements) == 3


def test_nothing_waits_after_an_error(dbsession):
    with pytest.raises(KeyError), together(dbsession):
        refresh(dbsession, "service", ["zebra"])
        raise KeyError
    assert not dbsession.info.get("search_documents_waiting")


def test_a_place_that_moves_its_hours_refreshes_what_is_given_there(dbsession):
    place = from_plain(content.Location, {"key": "stable", "name": "Royal Stable"})
    stamp = {"today": TODAY, "now": NOW, "person_id": None, "source": "form"}
    place_id = service.write_location(dbsession, place, known=None, **stamp)
    write(dbsession, location=[{"location": "stable"}])
    assert document(dbsession).week is None
    assert having(dbsession, "royal") == 1
    plain = {"key": "stable", "name": "Stable", "hours": {"mon": ["09:00-10:00"]}}
    service.write_location(dbsession, from_plain(content.Location, plain), known=place_id, **stamp)
    dbsession.expire_all()
    assert str(document(dbsession).week[0]) == "[540,600)"
    assert having(dbsession, "royal") == 0


def test_an_end_is_known_to_the_document(dbsession):
    service_id, _model = write(dbsession)
    dbsession.execute(
        update(Service)
        .where(Service.tenant_id == dbsession.scope.tenant_id, Service.id == service_id)
        .values(ended_on=date(2026, 12, 1))
    )
    refresh_about(dbsession, "service", "zebra")
    refresh_about(dbsession, "question_group", "zebra")
    assert document(dbsession).valid_to == date(2026, 12, 1)


def test_each_partner_counts_its_own_words(dbsession, tenants):
    write(dbsession)
    with acting_for(dbsession, tenants["multnomah-county"]):
        write(dbsession, bureau="transportation")
        assert having(dbsession, "zebra") == 1
    assert having(dbsession, "zebra") == 1


def test_the_example_regions_documents_are_those_a_refresh_makes(dbsession, tenants):
    digests = select(SearchDocument.id, SearchDocument.digest).order_by(SearchDocument.id)
    before = dbsession.execute(digests).all()
    assert before
    for tenant_id in tenants.values():
        with acting_for(dbsession, tenant_id):
            refresh(dbsession, "service")
            refresh(dbsession, "article")
    assert dbsession.execute(digests).all() == before
