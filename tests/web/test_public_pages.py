"""Pages for everybody: services and articles in their languages, for people and for programs."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import text, update

from regional311.catalog import content
from regional311.catalog.article_writer import write_article
from regional311.catalog.articles import Article
from regional311.catalog.models import Location
from regional311.catalog.models import Service as ServiceRow
from regional311.catalog.service import kept_services, location_columns, write_service
from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate
from regional311.strict import canonical, from_plain

pytestmark = pytest.mark.commits

CITY = "city-of-portland"
NOW = datetime(2026, 11, 24, 18, tzinfo=UTC)
"""Tuesday, ten in the morning in Portland, two days before Thanksgiving."""
PERMIT = {
    "summary": "A permit for your block party.",
    "alert": "The office has moved.",
    "eligibility": "Everybody who lives on the block.",
    "how_to_apply": "Bring the form to the counter.",
    "minimum_age": 18,
    "website": "https://portland.example/permits",
    "phone": "503-823-1234",
    "hours": {"tue": ["09:00-16:00"], "thu": ["09:00-16:00"]},
    "fee": "Twenty dollars",
    "languages": ["es"],
    "document": [{"name": "A map of the block", "website": "https://portland.example/map"}],
    "cost": [
        {"option": "Up to 50 guests", "amount": "20.00"},
        {"option": "Neighborhood association", "amount": "0.00"},
    ],
    "location": [{"location": "permit-hall", "note": "Second floor </script><script>alert(1)//"}],
    "translation": [
        {
            "language": "es",
            "name": "Fiesta en la cuadra",
            "summary": "Permiso para la fiesta de su cuadra.",
            "how_to_apply": "Traiga el formulario a la ventanilla.",
            "documents": ["Un mapa de la cuadra"],
        }
    ],
}
HALL = {
    "key": "permit-hall",
    "name": "Permit Hall </script>",
    "address": "1900 SW 4th Avenue",
    "city": "Portland",
    "state": "OR",
    "postal_code": "97201",
    "latitude": 45.5087,
    "longitude": -122.6795,
    "hours": {"wed": ["10:00-12:00"]},
    "phone": [{"number": "503-823-5555", "name": "Counter", "languages": ["vi"]}],
    "accessibility": [{"name": "Step-free entrance"}],
}
ANSWER = {
    "key": "block-party",
    "kind": "answer",
    "title": "May we close our street?",
    "text": "# Yes\n\nWith a *permit* <script>alert(1)</script>[x](javascript:alert(1))",
    "internal": "Barricades are in depot 7.",
    "services": ["block-party-test"],
    "translation": [{"language": "es", "title": "¿Podemos cerrar la calle?", "text": "Sí."}],
}
STAFF_ONLY = {
    "key": "staff-only",
    "kind": "answer",
    "title": "Who has the keys?",
    "internal": "Sam.",
    "services": ["block-party-test"],
}
NOTICE = {
    "key": "storm",
    "kind": "notice",
    "title": "Storm: stay inside",
    "text": "Lines are *busy*.",
    "internal": "Overtime is approved.",
    "level": "emergency",
    "valid_from": date(2026, 11, 24),
    "valid_to": date(2026, 11, 24),
    "from_time": "09:00",
    "to_time": "12:00",
}


def service_like(session, tenant_id, key, **said):
    """Publish a service made of the first of the partner's, with other words."""
    _row, model = next(kept_services(session, tenant_id))
    plain = {
        **canonical(model),
        "key": key,
        "name": "Block party",
        "verb": "apply",
        "question": [],
        "boundary": None,
        "queue": None,
        "channels": [],
        "translation": [],
        "document": [],
        "disposition": [{"kind": "resolve", "valid_from": date(2026, 7, 1)}],
        **said,
    }
    return write_service(
        session,
        from_plain(content.Service, plain),
        known=None,
        today=NOW.date(),
        now=NOW,
        person_id=None,
        source="form",
    )


def publish(session, said):
    write_article(
        session,
        from_plain(Article, said),
        tenant=CITY,
        known=None,
        today=NOW.date(),
        now=NOW,
        person_id=None,
        source="form",
    )


@pytest.fixture(scope="module", autouse=True)
def published_things(web_engine, people, clock):
    city = people.tenants[CITY]
    with session_scope(web_engine, Scope(city)) as session:
        hall = from_plain(content.Location, HALL)
        put(
            session,
            Location(
                tenant_id=city, id=new_id(), key=hall.key, source="kept", **location_columns(hall)
            ),
        )
        service_like(session, city, "block-party-test", **PERMIT, term="block-party-test")
        service_like(
            session, city, "secret-test", verb="request", confidential=True, term="block-party-test"
        )
        service_like(session, city, "old-test", term="block-party-test", name="Street party")
        session.execute(
            update(ServiceRow)
            .where(ServiceRow.tenant_id == city, ServiceRow.key == "old-test")
            .values(ended_on=date(2026, 9, 1))
        )
        for said in (ANSWER, STAFF_ONLY, NOTICE):
            publish(session, said)
        session.execute(
            text("UPDATE tenants SET revision = revision + 1 WHERE id = :id"), {"id": city}
        )
    invalidate()
    clock.now = NOW


@pytest.fixture(autouse=True)
def at_ten(clock):
    clock.now = NOW


def data_of(page):
    return json.loads(page.html.select_one('script[type="application/ld+json"]').string)


def test_a_service_says_everything_that_one_must_know(testapp):
    page = testapp.get(f"/services/{CITY}/block-party-test")
    for words in (
        "Block party",
        "A permit for your block party.",
        "The office has moved.",
        "Everybody who lives on the block.",
        "For people of 18 years and older",
        "Bring the form to the counter.",
        "A map of the block",
        "Twenty dollars",
        "$20.00",
        "Free",
        "1900 SW 4th Avenue",
        "Portland, OR 97201",
        "Step-free entrance",
        "Counter",
        "Vietnamese",
        "Open now, until 4:00\u202fPM",
        "Thursday, November 26, 2026 (Thanksgiving Day)",
        "Closed now, opens tomorrow at 10:00\u202fAM",
        "May we close our street?",
        "Something wrong here? Tell us",
    ):
        assert words in page.html.text, words
    links = {each["href"] for each in page.html.select("a[href]")}
    assert {"tel:+15038231234", "tel:+15038235555"} <= links
    assert f"/suggest?about={CITY}%2Fblock-party-test" in links
    assert any(each.startswith("https://www.openstreetmap.org/search?query=1900") for each in links)
    assert "Who has the keys?" not in page
    assert "depot 7" not in page


def test_room_is_told_with_the_day_on_which_it_was_true(testapp):
    page = testapp.get("/services/211info/shelter")
    assert "12 of 90 free" in page
    assert "as of October 1, 2026" in page


def test_a_service_without_hours_shows_the_line_one_calls_and_each_holiday_once(testapp):
    """The water customer service answers for odd water; other lines of the City stay closed."""
    page = testapp.get(f"/services/{CITY}/water-quality")
    aside = page.html.select_one(".p-aside")
    assert [each.text for each in aside.select("h3")] == ["Water and sewer customer service"]
    assert len(aside.select("table.p-hours")) == 1
    holidays, others = aside.select("details")
    assert not holidays.has_attr("open")
    assert not others.has_attr("open")
    days = [each.select_one("strong").text for each in holidays.select("li")]
    assert days == sorted(set(days), key=days.index)
    assert "Thursday, November 26, 2026" in days
    assert page.text.count("Thursday, November 26, 2026") == 1
    assert "Street maintenance dispatch" in others.text
    assert "Water and sewer" not in others.text
    spoken = testapp.get(f"/services/{CITY}/water-quality?lang=es").html
    assert [each.text for each in spoken.select(".p-aside summary")] == [
        "Horario distinto en días feriados",
        "Otras formas de comunicarse con City of Portland",
    ]


def test_what_is_not_translated_is_marked(testapp):
    page = testapp.get(f"/services/{CITY}/block-party-test?lang=es")
    assert page.html.h1.text == "Fiesta en la cuadra"
    assert page.html.h1.find("span") is None
    marked = {each.text.strip() for each in page.html.select('[lang="en"]')}
    assert {"The office has moved.", "Everybody who lives on the block."} <= marked
    assert "Un mapa de la cuadra" in page
    assert "Traiga el formulario a la ventanilla." in page


def test_languages_lead_to_one_another(testapp):
    page = testapp.get(f"/services/{CITY}/block-party-test")
    there = page.html.select('link[rel="alternate"]')
    found = {each["hreflang"]: each["href"] for each in there}
    base = f"http://127.0.0.1:6543/services/{CITY}/block-party-test"
    assert found["x-default"] == base
    assert found["en"] == f"{base}?lang=en"
    assert page.html.select_one('link[rel="canonical"]')["href"] == base
    again = testapp.get(f"/services/{CITY}/block-party-test?lang=en&x=1")
    assert again.html.select_one('link[rel="canonical"]')["href"] == f"{base}?lang=en"
    assert "Accept-Language" in again.headers["Vary"]


def test_programs_read_the_same(testapp):
    page = testapp.get(f"/services/{CITY}/block-party-test")
    data = data_of(page)
    assert (data["@context"], data["@type"]) == ("https://schema.org", "GovernmentService")
    assert data["name"] == "Block party"
    assert data["inLanguage"] == "en"
    assert data["hoursAvailable"] == [
        {
            "@type": "OpeningHoursSpecification",
            "dayOfWeek": ["https://schema.org/Tuesday", "https://schema.org/Thursday"],
            "opens": "09:00",
            "closes": "16:00",
        }
    ]
    (channel,) = data["availableChannel"]
    (place,) = channel["serviceLocation"]
    assert channel["servicePhone"][0]["telephone"] == "+15038231234"
    assert place["address"]["postalCode"] == "97201"
    assert place["geo"]["latitude"] == 45.5087
    assert place["name"] == "Permit Hall </script>"
    assert place["specialOpeningHoursSpecification"][0] == {
        "@type": "OpeningHoursSpecification",
        "validFrom": "2026-11-26",
        "validThrough": "2026-11-26",
        "opens": "00:00",
        "closes": "00:00",
    }
    assert {each["price"] for each in data["offers"]} == {"20.00", "0.00"}
    scripts = re.findall(r"<script[^>]*>", page.text)
    assert sum("src=" not in each for each in scripts) == 1
    assert "<script>alert" not in page.text


def test_the_map_has_the_outline_and_the_place(testapp):
    found = testapp.get(f"/services/{CITY}/block-party-test/map").json
    kinds = [each["geometry"]["type"] for each in found["features"]]
    assert kinds[-1] == "Point"
    assert "Polygon" in kinds[0]
    assert found["features"][-1]["properties"]["address"].startswith("1900 SW 4th Avenue")


def test_help_has_a_page_though_its_requests_are_confidential(testapp):
    testapp.get(f"/services/{CITY}/secret-test")
    for address in (f"/services/{CITY}", f"/services/{CITY}/block-party-test", "/sitemap.xml"):
        assert "secret-test" in testapp.get(address)
    screen = testapp.get(f"/report?service={CITY}/secret-test").forms["screen"]
    screen["danger"] = "none"
    asked = screen.submit("submit").follow()
    assert "Only people who are cleared for it read this." in asked
    assert "Others may read this later" not in asked
    screen = testapp.get(f"/report?service={CITY}/graffiti").forms["screen"]
    screen["danger"] = "none"
    asked = screen.submit("submit").follow()
    assert "Only people who are cleared for it read this." not in asked
    assert "Others may read this later" in asked


def test_a_service_that_ended_says_since_when_and_what_instead(testapp):
    page = testapp.get(f"/services/{CITY}/old-test", status=410)
    assert "This is not offered any more since September 1, 2026." in page
    assert page.html.find("a", href=f"/services/{CITY}/block-party-test")
    assert page.html.select_one('meta[name="robots"]')["content"] == "noindex"
    testapp.get(f"/services/{CITY}/old-test/map", status=404)
    assert "old-test" not in testapp.get("/sitemap.xml")
    assert "old-test" not in testapp.get(f"/services/{CITY}")


def test_old_addresses_lead_to_the_new_one_for_good(testapp):
    moved = testapp.get(f"/service?service={CITY}/pothole", status=301)
    assert moved.location.endswith(f"/services/{CITY}/pothole")


def test_lists_by_partner_verb_and_heading(testapp):
    page = testapp.get("/services")
    assert not page.html.find("a", href="/services/region")
    page = page.click("City of Portland")
    headings = [each.text for each in page.html.select("h2[id]")]
    assert headings == [
        each
        for each in ("Find", "Report", "Request", "Apply or register", "Pay")
        if each in headings
    ]
    assert page.html.find("a", href=f"/services/{CITY}/pothole")
    heading = page.html.select_one("section h3").text
    part = testapp.get(f"/services/{CITY}", {"group": heading})
    assert 0 < len(part.html.select(".p-services li")) < len(page.html.select(".p-services li"))
    testapp.get(f"/services/{CITY}?group=nothing", status=404)
    for wrong in ("0", "2", "x", "-1", "٣", "9" * 9):
        testapp.get(f"/services/{CITY}", {"page": wrong}, status=404)
    for wrong in ("/services/nobody", "/services/region", f"/services/{CITY}/nothing"):
        testapp.get(wrong, status=404)


def test_a_long_list_is_read_heading_by_heading(testapp, monkeypatch):
    monkeypatch.setattr("regional311.web.views.public_services.ON_ONE_PAGE", 2)
    page = testapp.get(f"/services/{CITY}")
    assert page.html.select(".p-services li") == []
    links = page.html.select(".p-headings a")
    longest = max(links, key=lambda each: int(re.search(r"\d+", each.find_next("span").text)[0]))
    part = testapp.get(longest["href"])
    assert len(part.html.select(".p-services li")) == 2
    assert len(testapp.get(part.html.select(".p-jump a")[-1]["href"]).html.select(".p-services li"))


def test_an_article_shows_its_public_part_only(testapp):
    page = testapp.get(f"/articles/{CITY}/block-party")
    assert page.html.h1.text == "May we close our street?"
    assert page.html.select_one(".p-text h2").text == "Yes"
    assert "<em>permit</em>" in page
    assert "depot 7" not in page
    assert "<script>alert" not in page.text
    assert page.html.find("a", href=re.compile("javascript")) is None
    assert page.html.find("a", href=f"/services/{CITY}/block-party-test")
    assert "Last changed on November 24, 2026" in page
    testapp.get(f"/articles/{CITY}/staff-only", status=404)
    testapp.get(f"/articles/{CITY}/nothing", status=404)
    testapp.get(f"/articles/{CITY}/storm", status=200)
    for address in ("/articles", f"/articles/{CITY}"):
        page = testapp.get(address)
        assert "May we close our street?" in page
        assert "Who has the keys?" not in page
    assert "staff-only" not in testapp.get("/sitemap.xml")


def test_a_notice_is_pinned_while_it_holds(testapp, clock):
    addresses = ("/", f"/services/{CITY}", f"/services/{CITY}/block-party-test")
    for address in addresses:
        page = testapp.get(address)
        assert "Storm: stay inside" in page
        assert "<em>busy</em>" in page
        assert "Overtime" not in page
    assert "Storm" not in testapp.get("/services/multnomah-county")
    for moment in (NOW.replace(hour=16, minute=59), NOW.replace(hour=20)):
        clock.now = moment
        for address in addresses:
            assert "Storm: stay inside" not in testapp.get(address)
        over = testapp.get(f"/articles/{CITY}/storm", status=410)
        assert "busy" not in over


def test_the_sitemap_names_every_page_once_a_language(testapp, monkeypatch):
    answer = testapp.get("/sitemap.xml")
    assert answer.content_type == "application/xml"
    space = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    root = ET.fromstring(answer.body)
    places = [each.text for each in root.findall("s:url/s:loc", space)]
    assert len(places) == len(set(places))
    base = "http://127.0.0.1:6543"
    for path in ("/", f"/services/{CITY}/pothole", f"/articles/{CITY}/block-party"):
        assert base + path in places
    url = next(
        each
        for each in root.findall("s:url", space)
        if each.find("s:loc", space).text == f"{base}/services/{CITY}/block-party-test"
    )
    assert url.find("s:lastmod", space).text == "2026-11-24"
    links = url.findall("{http://www.w3.org/1999/xhtml}link")
    assert {each.get("hreflang") for each in links} >= {"en", "x-default"}
    for place in places[:40]:
        testapp.get(place.removeprefix(base))
    monkeypatch.setattr("regional311.web.views.sitemap.ENTRIES", 5)
    index = ET.fromstring(testapp.get("/sitemap.xml").body)
    parts = [each.text for each in index.findall("s:sitemap/s:loc", space)]
    assert len(parts) > 3
    assert b"<loc>" in testapp.get(parts[-1].removeprefix(base)).body
    testapp.get("/sitemap.xml?part=0", status=404)
    testapp.get("/sitemap.xml?part=99999", status=404)
    testapp.get("/sitemap.xml?part=x", status=404)


def test_robots_are_told_where_and_where_not(testapp):
    text_ = testapp.get("/robots.txt").text
    assert "Sitemap: http://127.0.0.1:6543/sitemap.xml" in text_
    assert f"Disallow: /{CITY}" in text_
    assert "Disallow: /services" not in text_
