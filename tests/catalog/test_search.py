"""One box over everything that is published in the region, on the example region."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from regional311.catalog import content, service
from regional311.catalog.article_writer import write_article
from regional311.catalog.articles import Article
from regional311.catalog.models import Synonym
from regional311.catalog.search import MOST, Filters, Moment, Point, Search, Served, reasons
from regional311.catalog.synonyms import synonym_columns
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import acting_for
from regional311.strict import from_plain

NOW = datetime(2026, 10, 5, 17, tzinfo=UTC)
TODAY = date(2026, 10, 5)
STAMP = {"today": TODAY, "now": NOW, "person_id": None, "source": "form"}
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


@pytest.fixture
def search(tenants):
    return Search(tenants["region"], TODAY)


def write(session, **changed):
    model = from_plain(content.Service, {**ZEBRA, **changed})
    return service.write_service(session, model, known=None, **STAMP)


def keys(found):
    return [hit.key for hit in found.hits]


@pytest.mark.parametrize(
    ("typed", "language", "first"),
    [
        ("pothole", "en", "pothole"),
        ("POTHOLES", "en", "pothole"),
        ("pot-hole", "en", "pothole"),
        ("pohtole", "en", "pothole"),
        ("potwhole", "en", "pothole"),
        ("striped horses", "en", "zebra"),
        ("striped hores", "en", "zebra"),
        ("zebrastreet", "en", "zebra"),
        ("grafitti", "en", "graffiti"),
        ("bache", "es", "pothole"),
        ("zzzqqq zebra", "en", "zebra"),
    ],
)
def test_what_comes_first(dbsession, search, typed, language, first):
    write(dbsession)
    found = replace(search, language=language).find(dbsession, typed)
    assert keys(found)[0] == first


@pytest.mark.parametrize("typed", ["the of a", "zzzqqqxxx", "!?", "' | !' & ) :*", "\\", "::"])
def test_nothing_for_nothing(dbsession, search, typed):
    assert replace(search, staff=True).find(dbsession, typed).hits == ()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=60), st.booleans())
def test_any_text_gives_an_ordered_list(dbsession, search, words, typing):
    words = words.replace("\0", "")
    scores = [hit.score for hit in search.find(dbsession, words, typing=typing).hits]
    assert scores == sorted(scores, reverse=True)


def test_two_statements_and_one_when_nothing_is_said(dbsession, search, statements):
    dbsession.connection()
    statements.clear()
    search.find(dbsession, "street light", counted=True)
    assert len(statements) == 2
    statements.clear()
    search.find(dbsession, "", counted=True)
    assert len(statements) == 1
    statements.clear()
    assert search.find(dbsession, "!?").hits == ()
    assert statements == []


def test_a_beginning_finds_while_typing_and_not_after(dbsession, search):
    write(dbsession)
    assert keys(search.find(dbsession, "zebr", typing=True)) == ["zebra"]
    assert search.find(dbsession, "zeb").hits == ()


def test_the_title_is_shown_in_the_pages_language(dbsession, search):
    words = [{"language": "es", "name": "Cebra en la calle", "summary": "Un animal."}]
    write(dbsession, translation=words)
    spanish = replace(search, language="es").find(dbsession, "zebra").hits[0]
    assert (spanish.title, spanish.shown, spanish.language) == ("Cebra en la calle", "es", "en")
    english = search.find(dbsession, "cebra").hits[0]
    assert (english.title, english.shown, english.language) == ("Zebra in a street", "en", "es")
    russian = replace(search, language="ru").find(dbsession, "zebra").hits[0]
    assert (russian.title, russian.shown) == ("Zebra in a street", "en")


def test_a_service_is_found_by_everybody_though_its_requests_are_confidential(dbsession, search):
    write(dbsession, confidential=True)
    assert keys(search.find(dbsession, "zebra")) == ["zebra"]


def test_words_for_staff_find_nothing_for_others(dbsession, search):
    said = Article(
        key="zoo", kind="answer", title="Animals", text="See below.", internal="Zebras escape."
    )
    write_article(dbsession, said, tenant="city-of-portland", known=None, **STAMP)
    assert search.find(dbsession, "zebras").hits == ()
    (found,) = replace(search, staff=True).find(dbsession, "zebras").hits
    assert (found.kind, found.key) == ("article", "zoo")


def test_what_is_not_yet_or_no_more_is_not_found(dbsession, search):
    said = Article(
        key="zoo",
        kind="answer",
        title="Zebra days",
        text="Stripes.",
        valid_from=date(2026, 11, 1),
        valid_to=date(2026, 12, 1),
    )
    write_article(dbsession, said, tenant="city-of-portland", known=None, **STAMP)
    for day, there in ((TODAY, []), (date(2026, 11, 1), ["zoo"]), (date(2026, 12, 1), [])):
        assert keys(replace(search, today=day).find(dbsession, "zebra")) == there


def test_own_services_come_first_among_equals(dbsession, search, tenants):
    write(dbsession)
    county = tenants["multnomah-county"]
    with acting_for(dbsession, county):
        write(dbsession, bureau="transportation")
    for own in (county, tenants["city-of-portland"]):
        assert replace(search, own=own).find(dbsession, "zebra").hits[0].tenant_id == own


def add_synonym(session, key="z", **said):
    model = content.Synonym(key=key, **said)
    columns = synonym_columns(model)
    put(session, Synonym(tenant_id=session.scope.tenant_id, id=new_id(), key=key, **columns))


def test_a_partners_synonym_finds_its_own_services_only(dbsession, search, tenants):
    write(dbsession)
    with acting_for(dbsession, tenants["multnomah-county"]):
        write(dbsession, bureau="transportation")
        add_synonym(dbsession, said=("wibblewobble",), means=("zebra",))
    found = search.find(dbsession, "wibblewobble")
    assert [hit.tenant_id for hit in found.hits] == [tenants["multnomah-county"]]
    with acting_for(dbsession, tenants["region"]):
        add_synonym(dbsession, said=("wibblewobble",), means=("zebra",))
    assert len(search.find(dbsession, "wibblewobble").hits) == 2


def test_synonyms_go_one_way_unless_they_are_the_same(dbsession, search):
    write(dbsession)
    add_synonym(dbsession, said=("wibble wobble",), means=("zebra",))
    write(dbsession, key="wobble", name="Wibble wobble", keywords=[], term="w", summary="X.")
    assert keys(search.find(dbsession, "wibble wobbles"))[:2] == ["wobble", "zebra"]
    assert "wobble" not in keys(search.find(dbsession, "zebra"))
    add_synonym(dbsession, "y", said=("wibble wobble",), means=("zebra",), both_ways=True)
    assert keys(search.find(dbsession, "zebra"))[:2] == ["zebra", "wobble"]


def test_a_synonym_finds_what_is_not_translated(dbsession, search):
    write(dbsession)
    add_synonym(dbsession, language="vi", said=("ngựa vằn",), means=("zebra",), means_language="en")
    found = replace(search, language="vi").find(dbsession, "con ngựa vằn")
    assert keys(found)[0] == "zebra"


def test_an_ended_synonym_means_nothing(dbsession, search):
    write(dbsession)
    add_synonym(dbsession, said=("wibblewobble",), means=("zebra",))
    dbsession.execute(text("UPDATE synonyms SET ended_on = '2026-10-05' WHERE key = 'z'"))
    assert search.find(dbsession, "wibblewobble").hits == ()


def test_why_a_hit_is_there(dbsession, search):
    write(dbsession)
    add_synonym(dbsession, said=("wibble",), means=("stripes",))
    found = search.find(dbsession, "zebar wibble streets strip", typing=True)
    (hit,) = [each for each in found.hits if each.key == "zebra"]
    told = {each.typed: (each.met, each.how, each.where) for each in reasons(found.reading, hit)}
    assert told["zebar"] == ("zebra", "slip", "A")
    assert told["wibble"] == ("stripes", "synonym", "B")
    assert told["streets"] == ("streets", "same", "A")
    assert told["strip"][1:] == ("begins", "B")


def test_filters(dbsession, search, tenants):
    city = tenants["city-of-portland"]
    write(
        dbsession,
        verb="apply",
        cost=[{"option": "All", "amount": "5.00"}],
        document=[{"name": "A photo"}],
        languages=["vi"],
        taxonomy=["z:animals"],
    )

    def there(**wanted):
        return "zebra" in keys(search.find(dbsession, "zebra", Filters(**wanted)))

    assert there()
    assert there(partner=city)
    assert not there(partner=tenants["211info"])
    assert there(kind="service")
    assert not there(kind="article")
    assert there(verb="apply")
    assert not there(verb="pay")
    assert there(language="vi")
    assert not there(language="ru")
    assert not there(free=True)
    assert there(documents=True)
    assert not there(documents=False)
    assert there(terms=frozenset({"z:animals", "z:plants"}))
    assert not there(terms=frozenset({"z:plants"}))


def moment(tenant_id, *, week=600, day=600, holiday=False, answered=False):
    return Moment(tenant_id, week, day, holiday, answered)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ({"week": 600}, True),
        ({"week": 539}, False),
        ({"week": 660}, False),
        ({"week": 600, "day": 600, "holiday": True}, False),
        ({"week": 5000, "day": 720, "holiday": True}, True),
    ],
)
def test_open_now_by_its_own_hours(dbsession, search, tenants, at, is_open):
    write(dbsession, hours={"mon": ["09:00-11:00"], "holiday": ["12:00-13:00"]})
    now = replace(search, moments=(moment(tenants["city-of-portland"], **at),))
    assert now.find(dbsession, "zebra").hits[0].is_open is is_open
    assert keys(now.find(dbsession, "zebra", Filters(open_now=True))) == ["zebra"][: int(is_open)]


def test_open_now_as_the_lines_are_when_it_has_no_hours(dbsession, search, tenants):
    write(dbsession)
    for answered in (True, False):
        now = replace(search, moments=(moment(tenants["city-of-portland"], answered=answered),))
        assert now.find(dbsession, "zebra").hits[0].is_open is answered


def test_near_me_and_serves_me_are_two_questions(dbsession, search, tenants):
    for key, longitude in (("near", -122.60), ("far", -122.40)):
        place = from_plain(
            content.Location,
            {"key": f"zoo-{key}", "name": "Zoo", "latitude": 45.5, "longitude": longitude},
        )
        service.write_location(dbsession, place, known=None, **STAMP)
        write(dbsession, key=key, location=[{"location": f"zoo-{key}", "areas": [f"zoo-{key}"]}])
    write(dbsession, key="nowhere")
    here = replace(search, point=Point(-122.60, 45.501))
    near = here.find(dbsession, "zebra", Filters(metres=5_000))
    assert keys(near) == ["near"]
    assert near.hits[0].metres == pytest.approx(111, abs=1)
    every = here.find(dbsession, "zebra", nearest=True)
    assert keys(every) == ["near", "far"]
    assert every.hits[1].metres == pytest.approx(15_590, rel=0.01)
    city = tenants["city-of-portland"]
    served = Filters(serves=Served(("city-of-portland/zoo-far",), ()))
    assert keys(search.find(dbsession, "zebra", served)) == ["far"]
    whole = Filters(serves=Served((), (city,)))
    assert keys(search.find(dbsession, "zebra", whole)) == ["nowhere"]


def test_pages_hold_each_hit_once(dbsession, search):
    every = search.find(dbsession, "permit", limit=MOST)
    pages = [search.find(dbsession, "permit", first=first, limit=7) for first in range(0, 35, 7)]
    assert [hit.key for page in pages for hit in page.hits] == keys(every)[:35]
    assert {page.total for page in pages} == {every.total}
    assert search.find(dbsession, "permit", first=5_000).hits == ()


def test_browsing_lists_everything_by_name_once(dbsession, search):
    found = search.find(dbsession, "", limit=1_000)
    titles = [hit.title for hit in found.hits]
    assert titles == sorted(titles)
    assert found.total == len({(hit.tenant_id, hit.kind, hit.key) for hit in found.hits})


def test_counts_are_those_of_the_hits(dbsession, search, tenants):
    found = search.find(dbsession, "water", counted=True, limit=MOST)
    verbs = [hit.verb for hit in found.hits if hit.verb]
    assert found.counts["verb"] == {verb: verbs.count(verb) for verb in set(verbs)}
    partners = [str(hit.tenant_id) for hit in found.hits]
    assert found.counts["partner"] == {each: partners.count(each) for each in set(partners)}


def test_the_application_reads_documents_by_their_index(dbsession):
    """Row security hides nothing of what everybody reads, so operators keep their index."""
    assert dbsession.scalar(text("SELECT current_user")) == "regional311_app"
    dbsession.execute(text("SET LOCAL enable_seqscan = off"))
    for condition, index in (
        ("search_documents WHERE words @@ 'zebra'", "ix_search_documents_words"),
        ("search_documents WHERE strong @@ 'zebra'", "ix_search_documents_strong"),
        ("search_words WHERE slips && '{zebra}'", "ix_search_words_slips"),
        (
            "search_words WHERE language = 'en' AND word >= 'ze' AND word < 'zf'",
            "ix_search_words_language_word",
        ),
        ("synonyms WHERE said_stems && '{zebra}'", "ix_synonyms_said_stems"),
    ):
        plan = "\n".join(dbsession.scalars(text(f"EXPLAIN SELECT 1 FROM {condition}")))
        assert index in plan
        assert "Index Cond" in plan
