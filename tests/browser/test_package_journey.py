"""Taking a directory in, and deciding what two partners describe, in a real browser."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

import pytest

from regional311.catalog.alike import Finder
from regional311.config.directories import work_packages
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate

from .conftest import DESK, PHONE

INFO, COUNTY = "211info", "multnomah-county"
TABLES = {
    "organizations": "id,name,description,website\n1,Rose Trial Pantry,Food,https://rose.example\n",
    "services": "id,organization_id,name,status,description\n10,1,Trial boxes,active,Bags\n",
    "phones": "id,service_id,number\n40,10,503-555-0100\n41,99,503-555-0101\n",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, said in TABLES.items():
            archive.writestr(f"{name}.csv", said)
    file = tmp_path_factory.mktemp("package") / "trial.zip"
    file.write_bytes(stream.getvalue())
    return file


def work(site, slug):
    with session_scope(site.engine, Scope(site.tenants[slug])) as session:
        assert work_packages(session, datetime.now(UTC), url=site.url) == 1
    invalidate()


def take(site, page, slug, package, examine=None):
    """Send a package, look at what is wrong in it, and take the sound rest."""
    page.goto(f"/{slug}/hsds")
    page.set_input_files("#package", str(package))
    with page.expect_navigation():
        page.get_by_role("button", name="See what it changes").click()
    work(site, slug)
    page.get_by_text("Waiting for your decision").wait_for()
    if examine is not None:
        examine(page, "package")
    page.get_by_text("Take the sound rest").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Take it in").click()
    work(site, slug)
    page.get_by_role("heading", name="What it changed").wait_for()


def test_two_partners_take_the_same_in_and_one_says_so(site, open_page, examine, package):
    ours, theirs = open_page("editor", INFO, width=PHONE), open_page("editor", COUNTY, width=DESK)
    take(site, ours, INFO, package, examine)
    take(site, theirs, COUNTY, package)
    examine(theirs, "package-taken")
    finder = Finder()
    for slug in (INFO, COUNTY):
        with session_scope(site.engine, Scope(site.tenants[slug])) as session:
            assert finder(session, datetime.now(UTC)) >= 2
    ours.goto(f"/{INFO}/alike?q=trial")
    examine(ours, "alike")
    with ours.expect_navigation():
        ours.get_by_role("link", name="Trial boxes").click()
    examine(ours, "alike-pair")
    with ours.expect_navigation():
        ours.keyboard.press("s")
    ours.get_by_text("Kept: they are the same.").wait_for()
    theirs.goto(f"/{COUNTY}/alike?q=trial&state=same")
    with theirs.expect_navigation():
        theirs.get_by_role("link", name="Trial boxes").click()
    theirs.get_by_text("Has not decided").wait_for()
    examine(theirs, "alike-decided")
