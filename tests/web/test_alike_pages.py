"""Keepers of both partners look at what may be the same, decide, see each other, take it back."""

from __future__ import annotations

import pytest

from regional311.catalog.alike import Finder
from regional311.catalog.content import Location, Organization
from regional311.catalog.service import write_location, write_organization
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate, published
from regional311.strict import from_plain

pytestmark = pytest.mark.commits

INFO, COUNTY = "211info", "multnomah-county"
BODY = {"key": "try-rose", "name": "Rose Trial Pantry", "description": "=Food & <b>more</b>"}
HALL = {
    "key": "try-hall",
    "name": "Rose trial hall",
    "address": "77 SE Trial Street",
    "city": "Portland",
    "organization": "try-rose",
}


@pytest.fixture(scope="module", autouse=True)
def described_twice(web_engine, people, clock):
    """An organisation and its place that two partners describe, found by the worker's chore."""
    invalidate()
    for slug, name in ((INFO, "Rose Trial Pantry"), (COUNTY, "Trial Pantry of Rose")):
        with session_scope(web_engine, Scope(people.tenants[slug])) as session:
            day = published(web_engine).today(slug, clock.now)
            more = {"known": None, "today": day, "now": clock.now, "person_id": None}
            body = from_plain(Organization, BODY | {"name": name})
            write_organization(session, body, source="form", **more)
            write_location(session, from_plain(Location, HALL), source="form", **more)
    finder = Finder()
    for slug in (INFO, COUNTY):
        with session_scope(web_engine, Scope(people.tenants[slug])) as session:
            assert finder(session, clock.now) >= 2


def opened(browser, slug, name, state=""):
    return browser.get(f"/{slug}/alike?q=trial&state={state}").click(name, index=0)


def answer(page, verdict):
    form = next(
        each
        for each in page.forms.values()
        if each.action.endswith("/decide") and "verdict" in each.fields
    )
    return form.submit("verdict", value=verdict).follow()


def test_a_pair_is_looked_at_and_decided_and_the_other_partner_sees_it(sign_in):
    ours, theirs = sign_in("keeper", INFO), sign_in("keeper", COUNTY)
    listed = ours.get(f"/{INFO}/alike?q=trial")
    page = listed.click("Rose Trial Pantry")
    assert "Is it the same as Trial Pantry of Rose of Multnomah County?" in page
    assert "=Food &amp; &lt;b&gt;more&lt;/b&gt;" in page
    # the next one is shown, with a way to take the last decision back
    following = answer(page, "same")
    assert "Kept: they are the same." in following
    assert "Take the last decision back" in following
    assert "Rose Trial Pantry" not in ours.get(f"/{INFO}/alike?q=trial&kind=organization")
    seen = opened(theirs, COUNTY, "Trial Pantry of Rose", "same")
    assert "Has not decided" in seen
    assert "211info</dt><dd>The same" in seen.text
    assert "Keeper" not in seen.text.partition("211info</dt>")[2]
    answer(seen, "different")
    disputed = opened(ours, INFO, "Rose Trial Pantry", "disputed")
    assert "Partners differ" in disputed
    undone = answer(disputed, "undo")
    assert "The decision is taken back." in undone
    assert "Has not decided" in undone
    answer(opened(theirs, COUNTY, "Trial Pantry of Rose", "different"), "undo")
    assert "Rose Trial Pantry" in ours.get(f"/{INFO}/alike?q=trial&kind=organization")


def test_the_entry_s_own_page_shows_it(sign_in):
    page = sign_in("specialist", INFO).get(f"/{INFO}/locations/try-hall")
    assert "Described by other partners, too" in page
    pair = page.click("Rose trial hall", href="alike")
    assert "Possibly the same" in pair
    assert not [each for each in pair.forms.values() if each.action.endswith("/decide")]


def test_what_nobody_offers_is_refused(sign_in):
    browser = sign_in("keeper", INFO)
    page = opened(browser, INFO, "Rose Trial Pantry")
    form = next(each for each in page.forms.values() if each.action.endswith("/decide"))
    refused = form.submit("verdict", value="perhaps", expect_errors=True)
    assert (refused.status_int, "same or different" in refused) == (400, True)


def test_several_are_decided_at_once(sign_in):
    browser = sign_in("keeper", INFO)
    page = browser.get(f"/{INFO}/alike?q=trial")
    assert "Tick the pairs" in page.forms["decide"].submit("verdict", value="same").follow()
    form = browser.get(f"/{INFO}/alike?q=trial").forms["decide"]
    for box in form.fields["pair"]:
        box.checked = True
    listed = form.submit("verdict", value="different").follow()
    assert "2 pairs are decided." in listed
    assert "Rose" not in listed
    form = browser.get(f"/{INFO}/alike?q=trial&state=different").forms["decide"]
    for box in form.fields["pair"]:
        box.checked = True
    form.submit("verdict", value="undo")
    assert "Rose Trial Pantry" in browser.get(f"/{INFO}/alike?q=trial")


def test_the_list_goes_out_as_csv(sign_in):
    told = sign_in("specialist", COUNTY).get(f"/{COUNTY}/alike?format=csv&q=trial")
    assert told.content_type == "text/csv"
    assert "organization,try-rose,Trial Pantry of Rose,211info,try-rose,Rose Trial Pantry" in told


def test_pages_run_a_fixed_number_of_statements(sign_in, statements):
    browser = sign_in("keeper", INFO)
    page = opened(browser, INFO, "Rose Trial Pantry")
    for path, most in ((f"/{INFO}/alike", 8), (page.request.path, 10)):
        browser.get(path)
        statements.clear()
        browser.get(path)
        assert len(statements) <= most, statements
