"""Agreements in files: every term, every kind of payer, there and back, and what is refused."""

# ruff: noqa: E501 - a message is compared as one line, as a person sees it

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from regional311.chargeback.agreement_terms import Terms, problems
from regional311.chargeback.models import Agreement
from regional311.config import schema
from regional311.config.agreements import said_by, terms_of
from regional311.config.apply import apply
from regional311.config.export import export
from regional311.config.plan import NOBODY, plan
from regional311.database.session import open_session
from regional311.strict import from_plain

from .conftest import NOW
from .test_files import refused, replace

REFERRALS = "policies/agreements/referrals-city.toml"
OVERHEAD = "policies/agreements/bridges-overhead.toml"
TRANSIT = "policies/agreements/bridges-transit.toml"

FULL = """
[agreement]
key = "bridges-transit"
name = "Contacts about the bridges' stops"
kind = "mou"
reference = "MOU-2026-9"
provider = "multnomah-county"
outside.key = "bridge-district"
outside.name = "Bridge district, example"
outside.address = "1 River Street, Portland"
outside.email = "accounts@bridge.example"
activities = ["contact_handled"]
services = ["bridge-maintenance"]
rate_card = "intake"
due_days = 45
rounding = "item"
billing.every = "quarter"
billing.submit_days = 20
interest_percent = "6.25"
minimum = "100.00"
not_to_exceed = "9000.00"
overhead_percent = "10"
prepay = "50.00"
supersedes = "old-bridges"
ends_notice_days = 200
expiry_reminder_days = [60, 10]
number_prefix = "MULT"
purpose = "The County answers for the district's stops on its bridges."
valid_from = 2026-07-01
valid_to = 2028-07-01

[[target]]
key = "answer"
name = "Answered within two minutes"
measure = "answer_seconds"
goal = 120
credit_percent = "2.5"

[[funding]]
key = "grant"
name = "State grant"
kind = "grant"
percent = "40"
authorised = "1200.00"

[[funding]]
key = "fund"
name = "General fund"
kind = "subsidy"
percent = "10"

[[discount]]
name = "Volume"
percent = "5"
from_amount = "2000.00"

[[signature]]
partner = "bridge-district"
name = "Pat Example"
title = "Director"
on = 2026-06-02
"""


def put(root, text=FULL):
    (root / TRANSIT).write_text(text.lstrip(), encoding="utf-8")


@pytest.fixture
def full(root):
    services = (root / "tenants/multnomah-county/services/transportation.toml").read_text()
    key = services.split('key = "', 1)[1].split('"', 1)[0]
    text = FULL.replace("bridge-maintenance", key)
    put(root, text)
    return text


@pytest.mark.commits
def test_every_term_goes_there_and_back(empty_engine, root, full, tmp_path):
    apply(empty_engine, root, now=NOW)
    assert str(plan(empty_engine, root, now=NOW)) == "No changes."
    with open_session(empty_engine, NOBODY) as session:
        row = session.execute(
            select(Agreement).where(Agreement.key == "bridges-transit")
        ).scalar_one()
        assert (row.payer_kind, row.payer_key) == ("outside", "bridge-district")
        assert row.payer_id == row.provider_id
        terms = Terms.of(row.terms)
    assert terms.not_to_exceed_cents == 900_000
    assert terms.funding[0].authorised_cents == 120_000
    assert terms.signatures[0].on == date(2026, 6, 2)
    assert terms.billing.every == "quarter"
    target = tmp_path / "exported"
    export(empty_engine, target, now=NOW)
    assert str(plan(empty_engine, target, now=NOW)) == "No changes."
    said = [line for line in full.splitlines() if line]
    assert [line for line in (target / TRANSIT).read_text().splitlines() if line] == said


@pytest.mark.commits
@pytest.mark.parametrize("who", ["all", "bridges"])
def test_own_bureaus_pay_inside_the_books(empty_engine, root, full, who):
    lines = [each for each in full.splitlines() if not each.startswith(("outside.", "services"))]
    bureaus = (root / "tenants/multnomah-county/bureaus.toml").read_text()
    key = who if who == "all" else bureaus.split('key = "', 1)[1].split('"', 1)[0]
    text = "\n".join(lines).replace("due_days = 45", f'payer_bureau = "{key}"\ndue_days = 45')
    put(root, text.replace("bridge-district", "multnomah-county"))
    apply(empty_engine, root, now=NOW)
    assert str(plan(empty_engine, root, now=NOW)) == "No changes."
    with open_session(empty_engine, NOBODY) as session:
        row = session.execute(
            select(Agreement).where(Agreement.key == "bridges-transit")
        ).scalar_one()
    assert (row.payer_kind, row.payer_key) == ("bureau", None if who == "all" else key)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "grant"\npercent = "40"', 'kind = "grant"\npercent = "90.01"', "funding: the sources bear 100.01 % together, more than 100"),
        ('kind = "grant"', 'kind = "gift"', "funding[grant].kind: 'gift' is not one of 'grant', 'levy' or 'subsidy'"),
        ('kind = "subsidy"\npercent = "10"', 'kind = "subsidy"\npercent = "110"', "funding[fund].percent: a percentage is at most 100"),
        ('key = "fund"', 'key = "grant"', "funding[grant]: is there twice"),
        ('authorised = "1200.00"', 'authorised = "0.00"', "funding[grant].authorised: must be more than zero; leave the price out to make the work unrated"),
        ('authorised = "1200.00"', "authorised = 1200", 'funding[grant].authorised: write an amount of dollars and cents as text in quotes, such as "600000.00"'),
        ('not_to_exceed = "9000.00"', 'not_to_exceed = "99.99"', "agreement.not_to_exceed: is less than the minimum of one period"),
        ('interest_percent = "6.25"', "interest_percent = 6.25", 'agreement.interest_percent: write a percentage as text in quotes, such as "33.333"'),
        ("expiry_reminder_days = [60, 10]", "expiry_reminder_days = [60, 60]", "agreement.expiry_reminder_days: names a day twice"),
        ("due_days = 45", 'due_days = 45\npayer = "211info"', "agreement.payer: name one payer: payer, payer_bureau or outside"),
        ('outside.key = "bridge-district"', 'outside.key = "211info"', "agreement.outside.key: 211info is the slug of a partner"),
        ('supersedes = "old-bridges"', 'supersedes = "bridges-transit"', "agreement.supersedes: is this agreement itself"),
        ('partner = "bridge-district"', 'partner = "211info"', "signature[211info].partner: there is no party 211info"),
        ('billing.every = "quarter"', 'billing.every = "week"', "agreement.billing.every: 'week' is not one of 'month', 'quarter' or 'year'"),
        ("goal = 120", "goal = 0", "target[answer].goal: must be at least 1"),
        ('outside.email = "accounts@bridge.example"', 'outside.email = "nobody"', "agreement.outside.email: 'nobody' is not an e-mail address"),
    ],
)  # fmt: skip
def test_wrong_terms_have_one_clear_message(root, full, old, new, message):
    put(root, full)
    replace(root / TRANSIT, old, new)
    assert f"{TRANSIT}: {message}" in "\n".join(refused(root))


def test_a_bureau_must_be_there(root):
    replace(root / REFERRALS, 'payer = "city-of-portland"', 'payer_bureau = "pbot"')
    assert any("there is no bureau pbot of 211info" in line for line in refused(root))


def test_a_service_must_be_the_providers(root, full):
    put(root, full.replace("services = [", 'services = ["zzz", '))
    assert any("there is no service zzz of multnomah-county" in line for line in refused(root))


words = st.text("ab -9Z", min_size=1, max_size=5)
amounts = st.one_of(st.none(), st.integers(-1, 10**9))
percents = st.one_of(st.none(), st.decimals(-1, 101, places=2).map(str))


@settings(max_examples=50, deadline=None)
@given(
    reference=words,
    prefix=st.sampled_from(["COP", "cop", "C", "COP9"]),
    minimum=amounts,
    cap=amounts,
    overhead=percents,
    funding=st.lists(
        st.fixed_dictionaries(
            {"key": st.sampled_from(["a", "b", "C", "d-"]), "name": words, "kind": st.just("levy")},
            optional={"percent": percents, "authorised_cents": amounts},
        ),
        max_size=3,
    ),
    reminders=st.lists(st.integers(0, 4000), max_size=3),
)
def test_whatever_terms_allow_a_file_can_say(
    reference, prefix, minimum, cap, overhead, funding, reminders
):
    """What forms may store is what files may say: terms without a problem go both ways."""
    terms = {
        "due_days": 30,
        "notice_days": 90,
        "dispute_days": 30,
        "late_event_days": 10,
        "rounding": "line",
        "number_prefix": prefix,
        "kind": "iga",
        "reference": reference,
        "purpose": "What was agreed.",
        "minimum_cents": minimum,
        "not_to_exceed_cents": cap,
        "overhead_percent": overhead,
        "funding": funding,
        "expiry_reminder_days": reminders,
    }
    if problems(terms):
        return
    content = said_by(terms, None)
    content["agreement"] |= {
        "key": "a",
        "name": "A",
        "provider": "p",
        "payer": "q",
        "valid_from": date(2026, 7, 1),
    }
    file = from_plain(schema.AgreementFile, content)
    assert Terms.of(terms_of(file)) == Terms.of(terms)
