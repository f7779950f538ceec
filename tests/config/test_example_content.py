"""The example region says what the plan says: every entry of its table, every number and hour."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from regional311.catalog.content import Service
from regional311.config.files import RegionFiles, read_region

from .conftest import NOW, ROOT

TODAY = date(2026, 10, 5)
CITY, COUNTY, HELP = "city-of-portland", "multnomah-county", "211info"

PLAN: dict[tuple[str, str], dict[str, str]] = {
    ("find", "resolve"): {
        "jobs": "bhr city-jobs",
        "contracts and bids": "omf contracts-bids",
        "volunteering": "civic-life volunteering",
        "hours and places of City facilities": "omf city-facilities",
        "contacts of programs and staff": "civic-life city-contacts",
        "council agendas": "omf council-agenda",
        "commissioners' offices": "omf city-commissioners",
        "parking rules": "pbot parking-rules",
        "parks' amenities": "parks park-amenities",
        "community centers' amenities": "parks community-center",
        "trip planning": "pbot trip-planning",
        "tourist information": "prosper tourist-information",
        "utility providers": "omf utility-lookup",
        "zoning information": "bds zoning-information",
        "permit information": "bds permit-status",
        "neighborhood association contacts": "civic-life neighborhood-association",
        "surplus property": "omf surplus-property",
        "construction updates": "pbot construction-updates",
        "emergency information": "pbem emergency-information",
        "City plans and projects": "bps city-plans",
        "garbage, recycling, compost": "bps garbage",
        "leaf pickup": "pbot leaf-pickup",
        "events and meetings": "civic-life events-calendar",
        "recreation classes": "parks recreation-catalog",
    },
    ("find", "refer"): {
        "detailed program information": "civic-life program-details",
        "notices or checks about one person or property": "revenue notice-or-check",
        "air quality": "pbem air-quality",
        "parking tickets": "revenue parking-ticket",
        "electricity, gas and other utilities": "omf utility-provider",
    },
    ("report", "resolve"): {
        "accessibility or Title VI complaint": "oehr accessibility-complaint",
        "code violation": "bds code-violation",
        "noise violation": "civic-life noise",
        "liquor violation": "civic-life liquor-complaint",
        "graffiti": "civic-life graffiti",
        "illegal campsite": "omf campsite",
        "illegal parking": "pbot illegal-parking",
        "other non-emergency crimes": "ppb non-emergency-crime",
        "park maintenance": "parks park-maintenance",
        "abandoned auto or bike": "pbot abandoned-vehicle",
        "clogged storm drain": "bes storm-drain",
        "container": "pbot street-container",
        "debris or hazard in the roadway": "pbot road-hazard",
        "parking meter": "pbot parking-meter",
        "private-for-hire complaint": "pbot for-hire-complaint",
        "sidewalk obstruction": "pbot sidewalk-obstruction",
        "sign or signal": "pbot traffic-signal",
        "light": "pbot street-light",
        "work zone": "pbot work-zone",
    },
    ("report", "refer"): {
        "discrimination, fraud or abuse by the City": "oehr discrimination",
        "water leak": "water water-leak",
        "pollution spill": "bes pollution-spill",
        "hazardous tree": "parks hazardous-tree",
        "state highways": "pbot state-highway",
        "TriMet": "pbot transit-problem",
        "police, fire or medical emergency": "boec emergency",
    },
    ("request", "resolve"): {
        "ADA or language accommodation": "oehr accommodation",
        "street improvements": "pbot street-improvement",
        "public records": "omf public-records",
        "police reports among them": "ppb police-records",
    },
    ("request", "refer"): {
        "Clean River Rewards": "bes clean-river-rewards",
        "crime prevention": "civic-life crime-prevention",
        "housing": "phb housing-programs",
        "Sustainability at Work": "bps sustainability-at-work",
    },
    ("apply", "resolve"): {
        "boards and commissions": "civic-life boards-commissions",
        "City jobs": "bhr job-application",
        "recreation classes and camps": "parks recreation-class",
        "room, park and facility rental": "parks park-rental",
        "business tax": "revenue business-tax",
        "cannabis license appointment": "civic-life cannabis-license",
        "liquor license renewal": "civic-life liquor-renewal",
        "private-for-hire": "pbot for-hire-permit",
        "block party": "pbot block-party",
        "noise variance": "civic-life noise-variance",
        "sidewalk or driveway repair": "pbot sidewalk-repair-permit",
        "simple temporary street use": "pbot street-use-simple",
        "temporary parking": "pbot temporary-parking",
        "police report without an officer": "ppb police-report",
        "police commendation or complaint": "ppb police-commendation",
        "claim against the City": "omf claim",
    },
    ("apply", "refer"): {
        "City vendor registration": "omf vendor-registration",
        "development, building and trade permits": "bds building-permit",
        "complex street use": "pbot street-use-complex",
        "land use review": "bds land-use-review",
        "liquor license": "civic-life liquor-license",
        "tree": "parks tree-permit",
        "sidewalk café": "pbot sidewalk-cafe",
        "sign": "bds sign-permit",
        "special event": "pbot special-event",
        "vending": "pbot vending-permit",
    },
    ("pay", "resolve"): {
        "recreation class": "parks pay-recreation",
        "facility rental": "parks pay-rental",
        "fees of single-step applications": "civic-life pay-simple-permit",
    },
    ("pay", "refer"): {
        "lien": "revenue lien",
        "water and sewer bill": "water water-bill",
        "fees of referred applications": "bds pay-permit-fees",
        "exceptions, extensions and payment help": "revenue payment-help",
    },
}
"""The plan's table as of today: verb and disposition, entries, bureau and service."""

LATER = {
    "alarm-permit": ("apply", "undecided", date(2027, 1, 1), "resolve"),
    "transient-lodging": ("apply", "refer", date(2027, 7, 1), "resolve"),
    "area-parking-permit": ("apply", "undecided", date(2027, 7, 1), "resolve"),
    "arts-tax": ("pay", "refer", date(2028, 7, 1), "undecided"),
}
"""Services that change on a day to come: verb, disposition, the day, disposition then."""

OTHERS = {
    "elections": f"{COUNTY}/elections",
    "courts": f"{COUNTY}/courts",
    "animal services": f"{COUNTY}/stray-animal",
    "health": f"{COUNTY}/clinic-appointment",
    "county roads": f"{COUNTY}/road-pothole",
    "county bridges": f"{COUNTY}/bridge-pothole",
}
"""What the plan refers to other agencies that take part: their own services."""

PLAN_NUMBERS = {"503-823-4000", "503-823-3333", "503-823-7770", "911", "311", "211", "988"}
EXAMPLE_NUMBER = re.compile(r"503-555-01\d\d")


@pytest.fixture(scope="module")
def region() -> RegionFiles:
    return read_region(ROOT)


@pytest.fixture(scope="module")
def city(region) -> dict[str, Service]:
    return {each.key: each for each in region.tenants[CITY].services}


def on(service: Service, day: date) -> str:
    return next(
        each.kind
        for each in service.disposition
        if each.valid_from <= day and (each.valid_to is None or day < each.valid_to)
    )


def services(region: RegionFiles) -> Iterator[tuple[str, Service]]:
    for slug, tenant in region.tenants.items():
        for each in tenant.services:
            yield f"{slug}/{each.key}", each


@pytest.mark.parametrize("cell", PLAN, ids=" ".join)
def test_every_entry_of_the_plans_table_is_a_service(city, cell):
    verb, disposition = cell
    said = {}
    for entry, named in PLAN[cell].items():
        key = named.split()[1]
        found = city.get(key)
        said[entry] = found and (found.bureau, found.verb, on(found, TODAY))
    assert said == {
        entry: (named.split()[0], verb, disposition) for entry, named in PLAN[cell].items()
    }


@pytest.mark.parametrize("key", LATER)
def test_dispositions_change_on_a_day(city, key):
    verb, now, day, then = LATER[key]
    service = city[key]
    assert (service.verb, on(service, TODAY), on(service, day)) == (verb, now, then)
    assert service.disposition[-1].note


def test_what_others_answer_for_is_theirs(region):
    keys = {ref for ref, _ in services(region)}
    assert set(OTHERS.values()) <= keys
    assert not {ref.replace(COUNTY, CITY) for ref in OTHERS.values()} & keys


def test_referred_and_multiple_steps_go_together(city):
    complex_ones = {key for key, each in city.items() if each.steps == "multiple"}
    assert {on(city[key], TODAY) for key in complex_ones - {"police-records"}} == {"refer"}


def test_every_bureau_of_the_plan_has_a_service(region):
    tenant = region.tenants[CITY]
    assert {each.key for each in tenant.bureaus} == {each.bureau for each in tenant.services}


def test_there_are_enough_of_them(region):
    count = {slug: len(tenant.services) for slug, tenant in region.tenants.items()}
    assert count[CITY] >= 110
    assert count[COUNTY] >= 40
    assert count[HELP] >= 60


def test_desks_have_the_plans_hours(region):
    places = {each.key: each for each in region.tenants[CITY].locations}
    assert {key: places[key].hours.mon for key in places if key != "city-hall"} == {
        "portland-building": ("08:00-17:00",),
        "pbot-desk": ("08:00-17:00",),
        "parks-desk": ("08:00-17:00",),
        "civic-life-desk": ("08:00-17:30",),
        "development-services-center": ("08:00-17:00",),
        "water-counter": ("07:30-17:00",),
        "bureau-counter": ("07:30-16:30",),
    }


def test_the_plans_numbers_stand_where_they_belong(city):
    assert city["water-leak"].phone == city["water-bill"].phone == "503-823-7770"
    assert city["non-emergency-line"].phone == "503-823-3333"
    assert city["welfare-check"].phone == "503-823-3333"


def test_everything_has_callers_words_and_a_subject(region):
    poor = [ref for ref, each in services(region) if len(each.keywords) < 2 or not each.taxonomy]
    assert poor == []
    wrong = [
        ref for ref, each in services(region) for word in each.keywords if word != word.lower()
    ]
    assert wrong == []


def test_what_is_only_told_has_something_to_tell(region):
    assert [
        ref for ref, each in services(region) if each.verb == "find" and not each.information
    ] == []


def test_what_is_filed_arrives_in_a_queue(region):
    """A need that nobody's queue is named for would wait among those to be placed."""
    lost = {ref for ref, each in services(region) if each.verb != "find" and not each.queue}
    # answered with somebody else's number, by the City's rules
    assert lost == {f"{CITY}/emergency", f"{CITY}/state-highway", f"{CITY}/transit-problem"}


def in_language(service: Service, language: str) -> list[str]:
    """What the service does not say in a language though it says it in English."""
    words = next((each for each in service.translation if each.language == language), None)
    if words is None:
        return ["everything"]
    missing = [
        name
        for name in ("keywords", "information", "eligibility", "how_to_apply", "fee")
        if bool(getattr(service, name)) != bool(getattr(words, name))
    ]
    if len(words.documents) != len(service.document):
        missing.append("documents")
    for question in service.question:
        said = {each.language: each for each in question.translation}
        if language not in said or bool(said[language].hint) != bool(question.hint):
            missing.append(f"question {question.key}")
        missing += [
            f"answer {choice.key}"
            for choice in question.choice
            if language not in {each.language for each in choice.translation}
        ]
    return missing


def test_everything_is_there_in_spanish(region):
    missing = {ref: in_language(each, "es") for ref, each in services(region)}
    assert {ref: names for ref, names in missing.items() if names} == {}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def every_text(region: RegionFiles) -> Iterator[str]:
    for tenant in region.tenants.values():
        for kind in ("services", "locations", "organizations", "articles"):
            for each in getattr(tenant, kind):
                yield from texts(json.loads(each.model_dump_json()))


def test_no_number_belongs_to_somebody_else(region):
    """Numbers are the plan's, or of the range that is kept for fiction."""
    found = {
        number for text in every_text(region) for number in re.findall(r"\d{3}-\d{3}-\d{4}", text)
    }
    assert {each for each in found if not EXAMPLE_NUMBER.fullmatch(each)} <= PLAN_NUMBERS
    assert "503-823-4000" in found


def test_no_address_on_the_web_belongs_to_somebody_else(region):
    addresses = [text for text in every_text(region) if re.match(r"https?://|\S+@\S+$", text)]
    hosts = {re.split(r"//|@", each)[1].partition("/")[0] for each in addresses}
    assert hosts
    assert [each for each in hosts if not each.endswith(".example")] == []


def test_what_is_invented_says_so(region):
    for each in region.tenants[HELP].organizations:
        assert "example organization" in each.description
    for slug in (HELP, COUNTY):
        for place in region.tenants[slug].locations:
            assert place.description.endswith("Example."), place.key
            assert -123 < place.longitude < -122
            assert 45.4 < place.latitude < 45.7


FOUR = {"es", "vi", "zh-Hant", "ru"}
MOST_ASKED = {
    CITY: (
        "pothole street-light abandoned-vehicle illegal-parking parking-ticket garbage "
        "missed-pickup illegal-dumping graffiti campsite noise building-permit water-bill "
        "water-leak storm-drain recreation-class police-report accommodation language-help "
        "non-emergency-line emergency-information"
    ),
    COUNTY: "stray-animal elections property-tax clinic-appointment domestic-violence",
    HELP: (
        "shelter rent-help food-pantry food-benefits utility-bill-help health-insurance "
        "warming-center"
    ),
}


def test_the_most_asked_are_there_in_five_languages(region):
    asked = {f"{slug}/{key}" for slug, keys in MOST_ASKED.items() for key in keys.split()}
    assert len(asked) >= 30
    for language in sorted(FOUR - {"es"}):
        said = {ref: in_language(each, language) for ref, each in services(region)}
        assert {ref: said[ref] for ref in asked if said[ref]} == {}
        # half a translation is worse than none
        halves = {
            ref: missing for ref, missing in said.items() if missing not in ([], ["everything"])
        }
        assert halves == {}
    terms = region.region.taxonomies[0].term
    assert {len(term.translation) for term in terms} == {4}


def test_groups_of_questions_are_there_in_every_language_of_their_forms(region):
    for slug in (CITY, HELP):
        tenant = region.tenants[slug]
        named = {q.group for each in tenant.services for q in each.question if q.group}
        assert named == {group.key for group in tenant.groups}
        for group in tenant.groups:
            for said in (group, *group.question):
                assert {words.language for words in said.translation} == FOUR, said.key


def test_answers_guides_and_notices(region):
    found = [
        each for tenant in (region.region, *region.tenants.values()) for each in tenant.articles
    ]
    kinds = {kind: [a for a in found if a.kind == kind] for kind in ("answer", "script", "notice")}
    assert len(kinds["answer"]) >= 15
    assert {each.title for each in kinds["script"]} == {
        "Water is coming out of the ground",
        "The power is out",
        "A tree is down or about to fall",
        "Somebody is outside in the cold",
        "A car has been standing there for days",
        "It is too loud",
    }
    assert len([each for each in kinds["notice"] if each.holds(NOW)]) == 2
    for each in found:
        assert each.kind == "script" or "es" in {words.language for words in each.translation}
        for step in each.step:
            assert [words.language for words in step.translation] == ["es"]
            assert all([w.language for w in way.translation] == ["es"] for way in step.choice)


def test_every_guide_asks_for_danger_first(region):
    """No way through a guide passes by the question that may not wait."""
    for each in region.tenants[CITY].articles:
        if each.kind == "script":
            assert "danger" in {way.to for way in each.step[0].choice}, each.key
