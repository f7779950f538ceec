"""The rarer mistakes in files, and what a change of history is answered with."""

# ruff: noqa: E501 - a message is compared as one line, as a person sees it

import json
import shutil
from datetime import timedelta

import pytest

from regional311.config.apply import apply
from regional311.config.export import export
from regional311.config.plan import plan
from regional311.errors import AlreadyInForce, NotFound

from .conftest import NOW
from .test_files import CITY, refused, replace

AGREEMENT = "policies/agreements/referrals-city.toml"
SHARE = "policies/agreements/information-and-referral-share.toml"

BAD = [
    (f"{CITY}/tenant.toml", 'phone = "503-823-4000"', 'phone = "call us"', "contact.phone: 'call us' is not a telephone number, such as 503-823-4000"),
    (f"{CITY}/tenant.toml", 'colour = "#00426a"', 'colour = "blue"', "branding.colour: 'blue' is not a colour, such as #1a4480"),
    (f"{CITY}/tenant.toml", 'mon = ["08:00-18:00"]', 'mon = ["8-18"]', "hours.mon[1]: '8-18' is not a span of hours, such as \"08:00-17:00\""),
    (f"{CITY}/tenant.toml", 'mon = ["08:00-18:00"]', 'mon = ["18:00-08:00"]', "hours.mon[1]: 08:00 is not after 18:00; write a night as two spans"),
    (f"{CITY}/tenant.toml", 'mon = ["08:00-18:00"]', 'mon = ["08:00-24:30"]', "hours.mon[1]: 24:30 is later than 24:00"),
    (f"{CITY}/tenant.toml", 'mon = ["08:00-18:00"]', 'mon = "08:00-18:00"', "hours.mon: must be a list in square brackets"),
    (f"{CITY}/tenant.toml", "fiscal_year_start_month = 7", "fiscal_year_start_month = 13", "tenant.fiscal_year_start_month: must be at most 12"),
    (f"{CITY}/tenant.toml", "fiscal_year_start_month = 7", "fiscal_year_start_month = 0", "tenant.fiscal_year_start_month: must be at least 1"),
    (f"{CITY}/tenant.toml", 'name = "City of Portland"\n', "", "tenant.name: is missing"),
    (f"{CITY}/tenant.toml", 'name = "City of Portland"', f'name = "{"x" * 201}"', "tenant.name: has more than 200 characters"),
    (f"{CITY}/tenant.toml", "[contact]", "[contract]", "contract: unknown key; did you mean contact?"),
    (f"{CITY}/tenant.toml", 'name = "To be placed"', 'name = "To be placed"\nzzzz = 1', "queue[unplaced].zzzz: unknown key; known here: bureau, holds, key, name, unplaced"),
    (f"{CITY}/tenant.toml", 'holds = "referrals"', 'holds = "referrals"\nunplaced = true', "queue: more than one queue is marked unplaced"),
    (f"{CITY}/tenant.toml", 'closed_answer = "211info"', 'closed_answer = "city-of-portland"', "line[main].closed_answer: a closed partner does not answer for itself"),
    (f"{CITY}/tenant.toml", 'bureau = "pbot"', 'bureau = "pbt"', "queue[street-maintenance].bureau: there is no bureau pbt; did you mean pbot?"),
    (f"{CITY}/tenant.toml", 'phone = "503-555-0177"\nbureau = "pbot"', 'bureau = "pbt"', "coordinator[pbot].bureau: there is no bureau pbt; did you mean pbot?"),
    (f"{CITY}/tenant.toml", 'phone = "503-555-0177"\nbureau = "pbot"', "", "coordinator[pbot]: give a bureau, or say whole = true: one of the two"),
    (f"{CITY}/tenant.toml", 'phone = "503-555-0177"\nbureau = "pbot"', "whole = true", "coordinator[pbot]: the whole partner is coordinated by civil-rights already"),
    (f"{CITY}/tenant.toml", "keep_days = 1095", "keep_days = 30", "accommodation.keep_days: must be at least 90"),
    (f"{CITY}/bureaus.toml", 'key = "pbot"', 'key = "PBOT"', "bureau[PBOT].key: 'PBOT' is not a key: lower case letters, digits and single hyphens"),
    (f"{CITY}/services/pbot.toml", "duplicate_hours = 72\n", "", "service[pothole].duplicate_metres: give both duplicate_metres and duplicate_hours"),
    (f"{CITY}/services/pbot.toml", 'kind = "yes_no"', 'kind = "choice"', "service[pothole].question[hit].choice: choice and choices, and only these, list what may be chosen"),
    (f"{CITY}/services/pbot.toml", 'place = "required"', 'place = "required"\nboundary = "cty"', "service[pothole].boundary: there is no boundary cty; did you mean city?"),
    (f"{CITY}/services/pbot.toml", 'place = "none"', 'place = "none"\nboundary = "city"', "service[construction-updates].boundary: a service without a place has no boundary"),
    (f"{CITY}/rules.toml", 'outcome = "resolve_here"\n', "", "rule[own-information].outcome: is missing"),
    (f"{CITY}/rules.toml", 'outcome = "resolve_here"', 'outcome = "refer"', "rule[own-information].target: is missing: refer needs a target"),
    (f"{CITY}/rules.toml", 'outcome = "resolve_here"', 'outcome = "resolve_here"\ntarget = "self"\nshare = ["need"]', "rule[own-information].target: resolve_here has no target"),
    (f"{CITY}/rules.toml", 'outcome = "resolve_here"', 'outcome = "resolve_here"\nshare = ["need"]', "rule[own-information].share: resolve_here shares nothing"),
    (f"{CITY}/rules.toml", "continues = true", 'continues = true\noutcome = "information"', "rule[spoken-language]: a rule that continues has no outcome, target or queue"),
    (f"{CITY}/rules.toml", 'target = "owner"', 'target = "owner"\nqueue = "bridges"', "rule[county-bridge].queue: the owner is not known beforehand; its service names the queue"),
    (f"{CITY}/rules.toml", 'outcome = "resolve_here"', 'outcome = "open_request"\ntarget = "odot"', "rule[own-information].target: an agency has no queue here; refer, transfer or inform"),
    (f"{CITY}/rules.toml", '"household"', '"houshold"', "rule[shelter].share: there is no field in the sharing policy houshold; did you mean household?"),
    (f"{CITY}/rules.toml", 'services = ["parking-ticket"]', 'services = ["211inf/shelter"]', "rule[parking-ticket].services: there is no partner 211inf; did you mean 211info?"),
    (f"{CITY}/rules.toml", 'services = ["parking-ticket"]', 'services = ["211info/sheltr"]', "rule[parking-ticket].services: there is no service sheltr of 211info; did you mean shelter?"),
    (f"{CITY}/rules.toml", 'services = ["parking-ticket"]', 'boundaries = ["multnomah-county/gresam"]', "rule[parking-ticket].boundaries: there is no boundary gresam of multnomah-county; did you mean gresham?"),
    (f"{CITY}/rules.toml", 'condition = "accommodation"', f'condition = "{"x" * 501}"', "rule[accommodation-follow-up].condition: a condition has at most 500 characters, this one 501"),
    (f"{CITY}/pools.toml", 'percent = "50"', 'percent = "150"', "pool[i-and-r].share[city-of-portland].percent: a percentage is at most 100"),
    (f"{CITY}/rates.toml", 'channel = "phone"', 'channel = "phone"\nservice = "pothol"', "rate[phone-2019].service: there is no service pothol; did you mean pothole?"),
    (f"{CITY}/boundaries.toml", 'file = "city.geojson"', 'file = "city.geojson"\nagency = "odt"', "boundary[city].agency: there is no agency odt; did you mean odot?"),
    ("tenants/multnomah-county/boundaries.toml", 'kind = "district"', 'kind = "jurisdiction"', "boundary[gresham].kind: the partner's outline is county already"),
    ("policies/agencies.toml", 'key = "odot"', 'key = "211info"', "agency[211info].key: is the slug of a partner"),
    ("policies/retention.toml", 'kind = "inquirer"', 'kind = "contact"', "retention[inquirers].kind: contact is ruled by contacts already"),
    (AGREEMENT, 'key = "referrals-city"', 'key = "referrals-town"', "agreement.key: referrals-town is not the name of the file"),
    (AGREEMENT, 'rate_card = "referrals"\n', "", "agreement.rate_card: activities, and only these, need a rate card"),
    (AGREEMENT, 'number_prefix = "INFO211"', 'number_prefix = "COP"', "agreement.number_prefix: COP is that of city-of-portland"),
    (SHARE, 'pool = "i-and-r"\n', "", "agreement: bills nothing: name activities or a pool"),
    (SHARE, 'payer = "multnomah-county"', 'payer = "211info"', "agreement.pool: 211info has no share in i-and-r"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), BAD)
def test_bad_input_has_one_clear_message(root, file, old, new, message):
    replace(root / file, old, new)
    assert f"{file}: {message}" in refused(root)


def test_one_issuer_has_one_prefix(root):
    replace(root / AGREEMENT, 'number_prefix = "INFO211"', 'number_prefix = "HELP"')
    assert any(
        "agreement.number_prefix: 211info numbers with INFO211 in after-hours-city" in line
        for line in refused(root)
    )


def test_one_host_opens_one_partner(root):
    for slug in ("211info", "city-of-portland"):
        path = root / f"tenants/{slug}/tenant.toml"
        replace(path, "fiscal_year_start_month = 7", 'fiscal_year_start_month = 7\nhost = "a.org"')
    assert refused(root) == [f"{CITY}/tenant.toml: tenant.host: a.org already opens 211info"]


def test_directories_are_named(root):
    (root / "tenants/notes.txt").write_text("")
    (root / "tenants/Bad Slug").mkdir()
    (root / "tenants/newcomer").mkdir()
    (root / "tenants/.hidden").mkdir()
    (root / "policies/agreements/readme.txt").write_text("")
    assert refused(root) == [
        "policies/agreements/readme.txt: unknown file; an agreement is a .toml file",
        "tenants/Bad Slug: not a slug: lower case letters, digits, hyphens",
        "tenants/newcomer/tenant.toml: is missing",
        "tenants/notes.txt: a partner is a directory named by its slug",
    ]


def test_no_directories_at_all(tmp_path):
    assert refused(tmp_path) == ["policies: no such directory", "tenants: no such directory"]
    (tmp_path / "tenants").mkdir()
    assert "tenants: holds no partner" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        (json.dumps({"type": "FeatureCollection", "features": []}), "geometry: is not a GeoJSON geometry: must hold one feature, holds 0"),
        (json.dumps({"type": "Feature", "geometry": None}), "geometry: is not a GeoJSON geometry: no geometry"),
        (json.dumps({"type": "MultiPolygon", "coordinates": []}), "geometry: is empty"),
        (json.dumps({"type": "Polygon", "coordinates": [[[i / 1e4, 0] for i in range(50_001)]]}), "geometry: has 50,"),
    ],
)  # fmt: skip
def test_a_bad_geometry_is_refused(root, content, message):
    (root / CITY / "boundaries/city.geojson").write_text(content)
    assert any(message in line for line in refused(root))


def test_a_geometry_that_nothing_names(root):
    shutil.copy(root / CITY / "boundaries/city.geojson", root / CITY / "boundaries/old.geojson")
    assert refused(root) == [
        f"{CITY}/boundaries/old.geojson: no boundary in boundaries.toml names this file"
    ]


@pytest.mark.commits
def test_history_is_not_rewritten(empty_engine, root):
    apply(empty_engine, root, now=NOW)

    def refuse(file, old, new, message):
        path = root / file
        before = path.read_text()
        replace(path, old, new)
        with pytest.raises(AlreadyInForce, match=message):
            apply(empty_engine, root, now=NOW)
        path.write_text(before)
        assert str(plan(empty_engine, root, now=NOW)) == "No changes."

    refuse(AGREEMENT, "valid_from = 2019-07-01", "valid_from = 2020-07-01", "its first day stays")
    refuse(AGREEMENT, "valid_to = 2029-07-01", "valid_to = 2025-07-01", "ended in the past")
    refuse(f"{CITY}/tenant.toml", 'type = "liability"', 'type = "asset"', "is of type liability")
    refuse(f"{CITY}/services/pbot.toml", 'kind = "resolve"\n', 'kind = "resolve"\nvalid_to = 2026-01-01\n', "ended in the past")  # fmt: skip
    path = root / f"{CITY}/pools.toml"
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("[[pool]]")])
    with pytest.raises(AlreadyInForce, match="covers its whole year"):
        apply(empty_engine, root, now=NOW)


@pytest.mark.commits
def test_agreements_end_and_are_amended_again(empty_engine, root):
    apply(empty_engine, root, now=NOW)
    path = root / AGREEMENT
    for days, old, new in (
        (0, "due_days = 30", "due_days = 45"),
        (0, "due_days = 45", "due_days = 60"),
        (1, "valid_to = 2029-07-01", "valid_to = 2027-07-01"),
    ):
        replace(path, old, new)
        apply(empty_engine, root, now=NOW + timedelta(days=days))
        assert str(plan(empty_engine, root, now=NOW + timedelta(days=days))) == "No changes."
    whole = path.read_text()
    path.unlink()
    later = NOW + timedelta(days=30)
    assert "  - agreement referrals-city" in str(plan(empty_engine, root, now=later))
    apply(empty_engine, root, now=later)
    assert str(plan(empty_engine, root, now=later)) == "No changes."
    path.write_text(whole.replace("2019-07-01", "2027-08-01").replace("2027-07-01", "2029-07-01"))


@pytest.mark.commits
def test_shares_accounts_and_rules_come_and_go(empty_engine, root):
    apply(empty_engine, root, now=NOW)
    pools = root / f"{CITY}/pools.toml"
    before = pools.read_text()
    pools.write_text(
        before.replace('percent = "50"', 'percent = "40"')
        + '\n[[pool.share]]\npayer = "211info"\npercent = "20"\n'
    )
    text = pools.read_text().replace('percent = "40"', 'percent = "50"', 4)
    pools.write_text(text)
    accounts = root / f"{CITY}/tenant.toml"
    kept = accounts.read_text()
    start = kept.index('[[account]]\nkey = "cash"')
    accounts.write_text(kept[:start] + kept[kept.index("[[account]]", start + 5) :])
    rules = root / "tenants/211info/rules.toml"
    held = rules.read_text()
    rules.unlink()
    planned = plan(empty_engine, root, now=NOW)
    assert "  - account cash" in str(planned)
    assert "  - rules" in str(planned)
    assert planned.as_dict()["counts"]["ended"] == 2
    done = apply(empty_engine, root, now=NOW)
    assert "2 ended" in str(done)
    assert done.as_dict()["drafts"] == []
    assert str(plan(empty_engine, root, now=NOW)) == "No changes."
    pools.write_text(before)
    accounts.write_text(kept.replace('name = "Cash"', 'name = "Cash in bank"'))
    rules.write_text(held)
    apply(empty_engine, root, now=NOW)
    replace(accounts, "Cash in bank", "Bank")
    apply(empty_engine, root, now=NOW)
    assert str(plan(empty_engine, root, now=NOW)) == "No changes."


@pytest.mark.commits
def test_an_unknown_partner_is_not_exported(empty_engine, tmp_path):
    with pytest.raises(NotFound):
        export(empty_engine, tmp_path, tenant="nowhere")
