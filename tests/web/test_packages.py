"""A package is sent, looked at, ordered and taken; nothing changes before somebody says so."""

from __future__ import annotations

import gc
import io
import socket
import warnings
import zipfile

import pytest
from sqlalchemy import text
from webtest import Upload

from regional311.config import directories
from regional311.config.directories import work_packages
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate
from regional311.web.serve import waitress_options
from tests.serving import serving

pytestmark = pytest.mark.commits

INFO = "211info"
TABLES = {
    "organizations": "id,name,description\n1,Web Food Bank,Food\n",
    "services": "id,organization_id,name,status,description\n10,1,Web pantry,active,Bags\n",
    "phones": "id,service_id,number\n40,10,503-555-0100\n",
}


def zipped(**changes):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, said in (TABLES | changes).items():
            archive.writestr(f"{name}.csv", said)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def large_bodies():
    """What WebOb keeps of a large body on disk is closed when it is collected: here, not later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture
def browser(sign_in):
    return sign_in("editor", INFO)


@pytest.fixture
def worker(web_engine, people, clock):
    def work() -> int:
        with session_scope(web_engine, Scope(people.tenants[INFO])) as session:
            done = work_packages(session, clock.now, url="http://localhost")
        invalidate()
        return done

    return work


def send(browser, content, name="package.zip", **fields):
    form = browser.get(f"/{INFO}/hsds").forms["package-form"]
    form["package"] = Upload(name, content)
    for field, value in fields.items():
        form[field] = value
    return form.submit(expect_errors=True)


def found(web_engine, name):
    with web_engine.connect() as connection:
        return connection.execute(
            text("SELECT key, summary, source FROM services WHERE name = :name"), {"name": name}
        ).one_or_none()


def test_a_package_changes_nothing_until_it_is_ordered(browser, worker, web_engine):
    page = send(browser, zipped(), feed="journey").follow()
    assert "Being checked" in page
    assert 'hx-trigger="every 2s"' in page
    assert worker() == 1
    page = browser.get(page.request.path)
    assert "Waiting for your decision" in page
    assert "services.csv" in page
    assert found(web_engine, "Web pantry") is None
    page = page.forms["take-form"].submit().follow()
    assert "Being taken in" in page
    assert worker() == 1
    assert worker() == 0
    assert "What it changed" in browser.get(page.request.path)
    key, _, source = found(web_engine, "Web pantry")
    assert source == "imported"
    assert "Web pantry" in browser.get(f"/services/{INFO}/{key}")
    with web_engine.begin() as connection:
        connection.execute(
            text("SELECT bind_tenant((SELECT id FROM tenants WHERE slug = :me), NULL)"),
            {"me": INFO},
        )
        kept = connection.execute(
            text("SELECT content, ordered_by FROM package_imports WHERE feed = 'journey'")
        ).one()
        made_by = connection.execute(
            text("SELECT made_by FROM content_versions WHERE key = :key"), {"key": key}
        ).scalar_one()
    assert kept.content is None
    assert made_by == kept.ordered_by is not None


def test_what_is_broken_must_be_skipped_on_purpose(browser, worker, web_engine):
    broken = zipped(phones=TABLES["phones"] + "41,99,503-555-0101\n")
    page = send(browser, broken, feed="broken").follow()
    worker()
    page = browser.get(page.request.path)
    assert "which is not in services.csv" in page
    refused = page.forms["take-form"].submit(expect_errors=True)
    assert refused.status_int == 400
    assert "Some rows are broken" in refused
    told = page.click("Download as CSV")
    assert told.content_type == "text/csv"
    assert "phones.csv,3,service_id," in told
    form = page.forms["take-form"]
    form["skip_broken"] = True
    form.submit()
    worker()
    assert "What it changed" in browser.get(page.request.path)


def test_a_package_that_cannot_be_read_says_why(browser, worker):
    page = send(browser, b"%PDF-1.7", name="flyer.pdf").follow()
    worker()
    assert "There is no table or document of HSDS in it" in browser.get(page.request.path)


def test_a_package_that_finds_a_mistake_of_ours_stops_nobody(browser, worker, monkeypatch):
    page = send(browser, zipped(), feed="odd").follow()
    monkeypatch.setattr(directories, "assemble", None)
    assert worker() == 1
    assert "could not be understood" in browser.get(page.request.path)
    assert worker() == 0


def test_a_package_is_discarded(browser, worker):
    page = send(browser, zipped(), feed="nobody").follow()
    worker()
    page = browser.get(page.request.path)
    form = next(each for each in page.forms.values() if each.action.endswith("/discard"))
    assert "discarded" in form.submit().follow()
    gone = browser.get(page.request.path)
    assert "Discarded" in gone
    again = browser.post(
        f"{page.request.path}/take",
        {"csrf_token": page.forms["take-form"]["csrf_token"].value},
        expect_errors=True,
    )
    assert again.status_int == 409


def test_what_changed_on_both_sides_is_chosen_on_the_page(browser, worker, web_engine, people):
    send(browser, zipped(), feed="both")
    worker()
    page = browser.get(f"/{INFO}/hsds").click("package.zip", index=0)
    page.forms["take-form"].submit()
    worker()
    with web_engine.begin() as connection:
        connection.execute(
            text("SELECT bind_tenant((SELECT id FROM tenants WHERE slug = :me), NULL)"),
            {"me": INFO},
        )
        key = connection.execute(
            text(
                "UPDATE services SET summary = 'Edited here'"
                " WHERE hsds ->> 'feed' = 'both' RETURNING key"
            )
        ).scalar_one()
    theirs = zipped(services=TABLES["services"].replace("Bags", "Boxes"))
    page = send(browser, theirs, feed="both").follow()
    worker()
    page = browser.get(page.request.path)
    assert "Edited here" in page
    assert "Boxes" in page
    form = page.forms["take-form"]
    form[f"choice:service/{key}"] = "theirs"
    form.submit()
    worker()
    with web_engine.connect() as connection:
        summary = connection.execute(
            text("SELECT summary FROM services WHERE key = :key"), {"key": key}
        ).scalar_one()
    assert summary == "Boxes"


def test_nothing_and_too_much_are_refused_at_once(browser):
    assert "not empty" in send(browser, b"")
    large = send(browser, b"0" * 11_000_001)
    assert (large.status_int, "more than 11 MB" in large) == (400, True)


def test_five_hundred_megabytes_are_refused_before_they_are_sent(application, configured):
    with (
        serving(application, **waitress_options(configured)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as line,
    ):
        line.sendall(
            f"POST /{INFO}/hsds HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {500 * 1024 * 1024}\r\n\r\n".encode()
        )
        assert b" 413 " in line.recv(200)


def test_the_directory_is_given_out_as_a_package(browser):
    answer = browser.get(f"/{INFO}/hsds/export")
    assert answer.content_type == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert {"datapackage.json", "services.csv", "organizations.csv"} <= set(archive.namelist())


def test_pages_run_a_fixed_number_of_statements(browser, worker, statements):
    page = send(browser, zipped(), feed="counted").follow()
    worker()
    for path, most in ((f"/{INFO}/hsds", 8), (page.request.path, 10)):
        browser.get(path)
        statements.clear()
        browser.get(path)
        assert len(statements) <= most, statements
