"""What people get by mail and how they stop it; what colleagues get; where mail does not arrive."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from webtest import TestApp

from regional311.database.ids import new_id
from regional311.database.rows import put
from regional311.database.session import Scope, session_scope
from regional311.notices.models import MailTrouble, OutboxMessage
from regional311.notices.stopping import getting
from regional311.notices.ways_out import make_token
from regional311.referral.snapshot import invalidate, published
from tests.web.conftest import SECRET

pytestmark = pytest.mark.commits

CITY = "city-of-portland"


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = datetime(2026, 10, 5, 18, tzinfo=UTC)


@pytest.fixture
def sent(web_engine, people, clock):
    """A message to a person; gives its id and the address of the page in it."""

    def made(**said):
        message_id, tenant_id = new_id(), people.tenants[CITY]
        given = {
            "event": "request_status",
            "subject_id": new_id(),
            "recipient": f"ana+{message_id}@example.org",
            "language": "es",
            "heading": "Novedades de su solicitud",
            "body": "x",
            "state": "sent",
            "created_at": clock.now,
            "due_at": clock.now,
        } | said
        with session_scope(web_engine, Scope(tenant_id)) as session:
            put(session, OutboxMessage(tenant_id=tenant_id, id=message_id, **given))
        return message_id, f"/letters/{make_token(SECRET, tenant_id, message_id)}"

    return made


@pytest.fixture
def gets(web_engine, people):
    def found(message_id):
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            got = getting(session, message_id)
        return got.about, got.anything

    return found


def press(page, end="", **fields):
    """Press the button whose form sends these values, or goes to an address that ends so."""
    for form in page.forms.values():
        if end and not form.action.endswith(end):
            continue
        if all(name in form.fields and form[name].value == v for name, v in fields.items()):
            return form.submit().follow()
    raise AssertionError(f"no button sends {fields}")


def test_a_person_stops_one_matter_and_starts_it_again(testapp, sent, gets):
    message_id, page_url = sent()
    page = testapp.get(page_url)
    assert "Novedades de su solicitud" in page
    assert "a…@example.org" in page
    assert f"ana+{message_id}" not in page
    assert gets(message_id) == (True, True)
    page = press(page, what="about", how="stop")
    assert gets(message_id) == (False, True)
    page = press(page, what="about", how="start")
    assert gets(message_id) == (True, True)
    page = press(page, what="all", how="stop")
    assert gets(message_id) == (True, False)
    press(page, what="all", how="start")
    assert gets(message_id) == (True, True)


def test_looking_stops_nothing(testapp, sent, gets):
    """Programs that scan mail open every link in it, and the one of one press, too."""
    message_id, page_url = sent()
    for _ in range(2):
        testapp.get(page_url)
        assert testapp.get(f"{page_url}/one-click", status=303).location.endswith(page_url)
        testapp.head(page_url, expect_errors=True)
    assert gets(message_id) == (True, True)


def test_one_press_in_a_mail_program(application, sent, gets):
    message_id, page_url = sent()
    other, _url = sent(recipient=f"ana+{message_id}@example.org")
    program = TestApp(application)
    program.post(f"{page_url}/one-click", {"other": "x"}, status=400)
    assert gets(message_id) == (True, True)
    done = program.post(f"{page_url}/one-click", {"List-Unsubscribe": "One-Click"})
    assert done.status_int == 200
    assert not program.cookies
    assert gets(message_id) == (False, True)
    assert gets(other) == (True, True)


def test_a_form_without_its_token_changes_nothing(testapp, sent, gets):
    message_id, page_url = sent()
    testapp.post(page_url, {"what": "all", "how": "stop"}, status=400)
    assert gets(message_id) == (True, True)


@pytest.mark.parametrize("language", ["es", "vi", "zh-Hant", "ru"])
def test_the_page_speaks_the_persons_language(testapp, sent, language):
    page = testapp.get(sent()[1], headers={"Accept-Language": language})
    assert page.html.html["lang"] == language
    assert "What you get from us" not in page
    assert "Stop all messages" not in page


def test_a_link_that_was_made_up_leads_nowhere(testapp, sent, people):
    message_id, page_url = sent()
    testapp.get(page_url[:-2] + ("AA" if page_url[-2:] != "AA" else "BB"), status=404)
    forged = make_token("another secret", people.tenants[CITY], message_id)
    testapp.get(f"/letters/{forged}", status=404)
    _gone, erased = sent(recipient="", heading="", body="")
    testapp.get(erased, status=404)


def test_colleagues_choose_what_comes_by_mail(sign_in):
    browser = sign_in("supervisor", CITY)
    page = browser.get(f"/{CITY}/me").click(href=f"/{CITY}/notices")
    form = page.forms["notices"]
    assert "budget_warning" not in form.fields
    assert "cannot be turned off" in page
    form["referral_waits"], form["reviews_due"] = "daily", "never"
    saved = form.submit("submit").follow()
    assert saved.forms["notices"]["referral_waits"].value == "daily"
    assert saved.forms["notices"]["reviews_due"].value == "never"
    form = saved.forms["notices"]
    form["reviews_due"].force_value("sometimes")
    form.submit("submit", status=400)


def test_hours_are_set_and_checked(sign_in, web_engine):
    admin = sign_in("administrator", CITY)
    form = admin.get(f"/{CITY}/settings/notices").forms["notices"]
    form["texts"] = "9-5"
    assert "Write hours like 08:00-21:00" in form.submit("submit", status=400)
    form["texts"], form["mail"] = "22:00-07:00", ""
    assert "The end comes after the beginning" in form.submit("submit", status=400)
    form["texts"] = "09:00-20:00"
    form.submit("submit").follow()
    invalidate()
    said = published(web_engine).tenants[CITY].settings["notices"]
    assert said == {"texts": "09:00-20:00"}
    form = admin.get(f"/{CITY}/settings/notices").forms["notices"]
    assert form["texts"].value == "09:00-20:00"
    form["texts"] = ""
    form.submit("submit").follow()
    invalidate()
    assert "notices" not in published(web_engine).tenants[CITY].settings


def test_an_address_is_lifted_by_a_person(sign_in, web_engine, people, clock, sent):
    tenant_id, trouble_id = people.tenants[CITY], new_id()
    with session_scope(web_engine, Scope(tenant_id)) as session:
        put(
            session,
            MailTrouble(
                tenant_id=tenant_id,
                id=trouble_id,
                address="moved@example.org",
                reason="5.1.1",
                last_at=clock.now,
                stopped_at=clock.now,
            ),
        )
    browser = sign_in("supervisor", CITY)
    dead, _url = sent(recipient="Moved@example.org", state="dead", last_error="It came back.")
    again = press(browser.get(f"/{CITY}/messages/{dead}"), end=f"{dead}/again")
    assert "Say first that they do again" in again
    page = browser.get(f"/{CITY}/mail-addresses?state=stopped")
    assert "moved@example.org" in page
    form = next(f for f in page.forms.values() if f.action.endswith(f"{trouble_id}/lift"))
    assert "Messages are sent there again." in form.submit().follow()
    assert "moved@example.org" not in browser.get(f"/{CITY}/mail-addresses?state=stopped")
    form.submit(status=404)
    with session_scope(web_engine, Scope(tenant_id)) as session:
        lifted = session.execute(
            text("SELECT lifted_by FROM mail_troubles WHERE id = :id"), {"id": trouble_id}
        ).scalar_one()
    assert "will be sent again" in press(
        browser.get(f"/{CITY}/messages/{dead}"), end=f"{dead}/again"
    )
    assert lifted == people.known[people.account(CITY, "supervisor")]
