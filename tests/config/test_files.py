"""Everything wrong with the files is said at once: file, key and reason, one line each."""

# ruff: noqa: E501 - a message is compared as one line, as a person sees it

import json
import shutil
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from regional311.config import schema
from regional311.config.apply import apply
from regional311.config.files import ConfigInvalid, read_region
from regional311.config.plan import NOBODY
from regional311.database.session import open_session
from regional311.intake import models as intake
from regional311.referral.conditions import CHANNELS, DISPOSITIONS, URGENCIES, VERBS
from regional311.referral.rules import RULE_OUTCOMES, rules_from
from regional311.strict import decimal_text
from regional311.tenancy.models import Tenant

from .conftest import NOW, ROOT

CITY = "tenants/city-of-portland"


def refused(root):
    with pytest.raises(ConfigInvalid) as caught:
        read_region(root)
    return [str(error) for error in caught.value.errors]


def replace(path, old, new):
    before = path.read_text(encoding="utf-8")
    assert old in before, old
    path.write_text(before.replace(old, new, 1), encoding="utf-8")


def test_the_example_region_is_sound():
    region = read_region(ROOT)
    assert set(region.tenants) == {"city-of-portland", "multnomah-county", "211info"}
    services = sum(len(tenant.services) for tenant in region.tenants.values())
    assert services >= 60
    assert "nothing is wrong" in str(region)


def test_the_example_uses_every_outcome():
    rules = [rule for tenant in read_region(ROOT).tenants.values() for rule in tenant.rules.rule]
    assert {rule.outcome for rule in rules if rule.outcome} == set(RULE_OUTCOMES)
    assert any(rule.continues for rule in rules)
    assert any(rule.condition for rule in rules)


def test_rules_read_as_the_referral_slice_reads_them():
    for tenant in read_region(ROOT).tenants.values():
        contents = [
            rule.model_dump(mode="json", exclude_defaults=True) for rule in tenant.rules.rule
        ]
        assert [rule.key for rule in rules_from(contents)] == [each["key"] for each in contents]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (schema.Channel, CHANNELS),
        (schema.Verb, VERBS),
        (schema.Urgency, URGENCIES),
        (schema.Disposition, DISPOSITIONS),
        (schema.Outcome, RULE_OUTCOMES),
    ],
)
def test_vocabularies_are_those_of_the_slices(ours, theirs):
    assert set(ours.__args__) <= set(theirs)


def test_channels_are_those_a_contact_can_have():
    check = next(
        str(each.sqltext)
        for each in intake.Contact.__table__.constraints
        if (each.name or "").endswith("channel_known")
    )
    assert all(f"'{channel}'" in check for channel in schema.Channel.__args__)


BAD = [
    (
        f"{CITY}/rates.toml",
        'amount = "4.90"',
        "amount = 4.90",
        'rate[phone-2026].amount: write an amount of dollars as text in quotes, such as "4.90"',
    ),
    (
        f"{CITY}/rates.toml",
        'amount = "4.90"',
        'amount = "1e3"',
        "rate[phone-2026].amount: '1e3' is not an amount of dollars, such as \"4.90\"",
    ),
    (
        f"{CITY}/rates.toml",
        'amount = "4.90"',
        'amount = "0.00"',
        (
            "rate[phone-2026].amount: must be more than zero; leave the price out to make the work "
            "unrated"
        ),
    ),
    (
        f"{CITY}/rates.toml",
        'amount = "4.90"',
        'amuont = "4.90"',
        "rate[phone-2026].amuont: unknown key; did you mean amount?",
    ),
    (
        f"{CITY}/rates.toml",
        "valid_to = 2026-07-01",
        "valid_to = 2026-08-01",
        (
            "rate[phone-2026].valid_from: overlaps rate phone-2019: both give a price from 2026-07-01 "
            "to 2026-08-01"
        ),
    ),
    (
        f"{CITY}/rates.toml",
        "valid_to = 2026-07-01",
        "valid_to = 2019-07-01",
        "rate[phone-2019].valid_to: 2019-07-01 is not after 2019-07-01",
    ),
    (
        f"{CITY}/rates.toml",
        "valid_to = 2026-07-01",
        'valid_to = "2026-07-01"',
        "rate[phone-2019].valid_to: must be a date without quotes, such as 2026-07-01",
    ),
    (
        f"{CITY}/rates.toml",
        'key = "phone-2026"',
        'key = "phone-2019"',
        "rate[phone-2019].key: phone-2019 is used twice (entry 2)",
    ),
    (
        f"{CITY}/pools.toml",
        'percent = "50"',
        'percent = "49.5"',
        "pool[i-and-r 2026].share: the shares make 99.5 %, not 100 %",
    ),
    (
        f"{CITY}/pools.toml",
        'payer = "multnomah-county"',
        'payer = "multnoma-county"',
        (
            "pool[i-and-r 2026].share[multnoma-county].payer: there is no partner multnoma-county; "
            "did you mean multnomah-county?"
        ),
    ),
    (
        f"{CITY}/services/pbot.toml",
        'bureau = "pbot"',
        'bureau = "pbto"',
        "service[pothole].bureau: there is no bureau pbto; did you mean pbot?",
    ),
    (
        f"{CITY}/services/pbot.toml",
        'queue = "street-maintenance"',
        'queue = "streets"',
        "service[pothole].queue: there is no queue streets",
    ),
    (
        f"{CITY}/services/pbot.toml",
        'verb = "report"',
        'verb = "repair"',
        "service[pothole].verb: 'repair' is not one of 'find', 'report', 'request', 'apply' or 'pay'",
    ),
    (
        f"{CITY}/services/pbot.toml",
        "target_hours = 50",
        'target_hours = "50"',
        "service[pothole].target_hours: must be a whole number",
    ),
    (
        f"{CITY}/services/ppb.toml",
        "valid_to = 2027-01-01",
        "valid_to = 2027-02-01",
        (
            "service[alarm-permit].disposition[2027-01-01]: overlaps the one from 2019-07-01: undecided "
            "and resolve at once"
        ),
    ),
    (
        f"{CITY}/rules.toml",
        'condition = "accommodation"',
        'condition = "accomodation"',
        "rule[accommodation-follow-up].condition: Unknown fact 'accomodation' at column 1. Did you mean accommodation?",
    ),
    (
        f"{CITY}/rules.toml",
        'services = ["parking-ticket"]',
        'services = ["parking-tickets"]',
        (
            "rule[parking-ticket].services: there is no service parking-tickets; did you mean "
            "parking-ticket?"
        ),
    ),
    (
        f"{CITY}/rules.toml",
        'owners = ["odot"]',
        'owners = ["odt"]',
        "rule[state-highway].owners: there is no partner or agency odt; did you mean odot?",
    ),
    (
        f"{CITY}/rules.toml",
        'target = "211info"',
        'target = "212info"',
        "rule[shelter-at-night].target: there is no target 212info; did you mean 211info?",
    ),
    (
        f"{CITY}/rules.toml",
        'queue = "housing"',
        'queue = "beds"',
        "rule[shelter].queue: there is no queue beds at 211info",
    ),
    (
        f"{CITY}/rules.toml",
        'reason = "wrong agency"',
        "",
        "rule[parking-ticket].reason: is missing: decline needs a reason",
    ),
    (
        f"{CITY}/rules.toml",
        'terms = ["utilities"]',
        'terms = ["utilitys"]',
        "rule[utilities].terms: there is no service with the term utilitys; did you mean utilities?",
    ),
    (
        f"{CITY}/tenant.toml",
        'zone = "America/Los_Angeles"',
        'zone = "America/Portland"',
        "tenant.zone: 'America/Portland' is not a time zone, such as America/Los_Angeles",
    ),
    (
        f"{CITY}/tenant.toml",
        'mon = ["08:00-18:00"]',
        'mon = ["08:00-18:00", "12:00-13:00"]',
        "hours.mon: 08:00-18:00 and 12:00-13:00 overlap",
    ),
    (
        f"{CITY}/tenant.toml",
        'closed_answer = "211info"',
        'closed_answer = "911"',
        "line[main].closed_answer: there is no partner 911",
    ),
    (
        f"{CITY}/tenant.toml",
        'answer = "voicemail"',
        'answer = "211info/fax"',
        "line[water].fallback[1]: there is no line 211info/fax",
    ),
    (
        f"{CITY}/tenant.toml",
        'answer = "voicemail"',
        'answer = "city-of-portland/water"',
        "line[water].fallback[1]: a closed line does not answer for itself",
    ),
    (
        "policies/emergencies.toml",
        'answer = "211info/main"',
        'answer = "211info/mian"',
        (
            "kind[storm].surge[1].answer: there is no line or partner 211info/mian; did you mean "
            "211info/main?"
        ),
    ),
    (
        f"{CITY}/boundaries.toml",
        'file = "city.geojson"',
        'file = "town.geojson"',
        "boundary[city].file: there is no boundaries/town.geojson",
    ),
    (
        "policies/boundaries.toml",
        "tolerance_m = 20",
        "tolerance_m = 0",
        (
            "boundary[us-26-powell].tolerance_m: roads and bridges, and only these, have a tolerance of "
            "a metre or more"
        ),
    ),
    (
        "policies/agreements/referrals-city.toml",
        'rate_card = "referrals"',
        'rate_card = "referal"',
        "agreement.rate_card: there is no rate card referal of 211info; did you mean referrals?",
    ),
    (
        "policies/agreements/referrals-city.toml",
        'payer = "city-of-portland"',
        'payer = "211info"',
        "agreement.payer: is the provider; its own bureaus pay by payer_bureau",
    ),
    (
        "policies/agreements/after-hours-city.toml",
        '["contact_handled"',
        '["contact_handeld"',
        (
            "agreement.activities[1]: 'contact_handeld' is not one of 'contact_handled', "
            "'request_taken_in', 'warm_transfer', 'referral_closed', 'after_hours_answer', 'follow_up', "
            "'interpreter_minute' or 'lent_minute'"
        ),
    ),
    (
        "policies/sharing.toml",
        'consent = "asked"',
        'consent = "not_needed"',
        (
            "grant[referral-with-consent].consent: must be asked: answers, email, name, note, phone, "
            "place tell who the person is"
        ),
    ),
    (
        "policies/region.toml",
        'kind = "region"',
        'kind = "city"',
        "tenant.kind: the region, and only the region, is of kind region",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), BAD)
def test_bad_input_has_one_clear_message(root, file, old, new, message):
    replace(root / file, old, new)
    assert f"{file}: {message}" in refused(root)


def test_everything_wrong_is_said_at_once(root):
    for file, old, new, _ in (BAD[0], BAD[8], BAD[15], BAD[22]):
        replace(root / file, old, new)
    said = refused(root)
    assert len(said) == 4
    assert said == sorted(said)


def test_an_unreadable_file_does_not_accuse_the_others(root):
    (root / CITY / "services/pbot.toml").write_bytes("summary = 'Straße'".encode("latin-1"))
    (root / CITY / "bureaus.toml").write_text("[[bureau]\n")
    bureaus, services = refused(root)
    assert bureaus.startswith(f"{CITY}/bureaus.toml: is not TOML: ")
    assert (
        services == f"{CITY}/services/pbot.toml: line 1 is not UTF-8 text; save the file as UTF-8"
    )


def test_services_are_in_one_file_or_in_one_a_bureau(root):
    folder = root / CITY / "services"
    (folder / "notes.txt").write_text("to do")
    (folder / "Parks2.toml").write_text("")
    shutil.copy(folder / "parks.toml", folder / "bds2.toml")
    said = refused(root)
    unknown = "unknown file; a bureau's services are in a .toml file named by its key"
    assert f"{CITY}/services/notes.txt: {unknown}" in said
    assert f"{CITY}/services/Parks2.toml: {unknown}" in said
    where = f"{CITY}/services/bds2.toml: service[tree-permit]"
    assert f"{where}.bureau: is parks; this file holds the services of bds2" in said
    parks = f"{CITY}/services/parks.toml: service[tree-permit]"
    assert f"{parks}.key: tree-permit is in {CITY}/services/bds2.toml" in said
    for name in ("notes.txt", "Parks2.toml", "bds2.toml"):
        (folder / name).unlink()
    (root / CITY / "services.toml").write_text("")
    assert f"{CITY}/services.toml: keep services here or below services/, not in both" in refused(
        root
    )


def test_missing_and_unknown_files_are_named(root):
    (root / CITY / "rules.toml").rename(root / CITY / "rule.toml")
    (root / "policies/danger-screen.toml").unlink()
    said = refused(root)
    assert f"{CITY}/rule.toml: unknown file; did you mean rules.toml?" in said
    assert "policies/danger-screen.toml: is missing" in said


def test_a_file_that_is_too_large_is_not_read(root):
    (root / CITY / "pools.toml").write_bytes(b"#" * 2_000_001)
    assert f"{CITY}/pools.toml: is larger than 2,000,000 bytes" in refused(root)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
            "geometry: crosses itself at 0.5 0.5",
        ),
        (
            {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
            "geometry.type: LineString is not Polygon or MultiPolygon",
        ),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 999], [0, 0]]]},
            "geometry: 0.0, 999.0 is not a longitude and a latitude",
        ),
        ({"type": "Polygon", "coordinates": "here"}, "geometry: is not a GeoJSON geometry"),
    ],
)
def test_a_bad_boundary_is_refused(root, geometry, message):
    content = {"type": "Feature", "properties": {}, "geometry": geometry}
    (root / CITY / "boundaries/city.geojson").write_text(json.dumps(content))
    said = refused(root)
    assert len(said) == 1
    assert said[0].startswith(f"{CITY}/boundaries/city.geojson: {message}")


def test_two_agreements_for_one_work_are_refused(root):
    agreements = root / "policies/agreements"
    copy = (agreements / "referrals-city.toml").read_text()
    (agreements / "second.toml").write_text(
        copy.replace('key = "referrals-city"', 'key = "second"')
    )
    assert refused(root) == [
        (
            "policies/agreements/second.toml: agreement: bills city-of-portland for follow_up, "
            "referral_closed, as referrals-city does already"
        )
    ]


@pytest.mark.commits
def test_bad_files_change_nothing(empty_engine, root):
    replace(root / f"{CITY}/rates.toml", 'amount = "4.90"', "amount = 4.90")
    with pytest.raises(ConfigInvalid):
        apply(empty_engine, root, now=NOW)
    with open_session(empty_engine, NOBODY) as session:
        assert session.execute(select(func.count()).select_from(Tenant)).scalar_one() == 0


@given(st.decimals(min_value=0, max_value=10**12, places=6))
def test_amounts_keep_their_value(value):
    written = decimal_text(value, places=2)
    assert Decimal(written) == value
    assert len(written.partition(".")[2]) >= 2
