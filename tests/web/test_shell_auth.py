"""Signing in and out, whose pages one sees, forms without their secret."""

from __future__ import annotations

import pytest
from webtest import TestApp

from regional311.app import main
from regional311.settings import Settings
from regional311.web.security import safe_next

from .conftest import PASSWORD, SECRET

HOME = "/city-of-portland"


def submit(browser, email, password, next_="/"):
    form = browser.get("/auth/sign-in", {"next": next_}).forms["sign-in"]
    form["email"] = email
    form["password"] = password
    return form.submit("submit", status="*")


def test_signing_in_opens_the_partner(sign_in):
    page = sign_in("specialist", "city-of-portland").get(HOME)
    assert "Specialist" in page
    assert f"{HOME}/desk" in page
    assert "/ledger" not in page


def test_the_menu_follows_the_role(sign_in):
    page = sign_in("finance", "multnomah-county").get("/multnomah-county")
    assert "/multnomah-county/statements" in page
    assert "/multnomah-county/desk" not in page


def test_who_is_signed_in_does_not_sign_in_again(sign_in):
    browser = sign_in("specialist", "city-of-portland")
    assert browser.get("/auth/sign-in", {"next": HOME}).location.endswith(HOME)


def test_a_wrong_password_and_a_stranger_look_the_same(testapp, people):
    known = submit(testapp, people.account("211info", "partner"), "wrong wrong wrong")
    unknown = submit(TestApp(testapp.app), "stranger@nowhere.example", "wrong wrong wrong")
    assert known.status_int == unknown.status_int == 400
    sentence = "This e-mail and password do not belong together."
    assert sentence in known
    assert sentence in unknown
    assert "wrong wrong wrong" not in known


def test_a_private_page_asks_to_sign_in_and_comes_back(testapp, people):
    asked = testapp.get(f"{HOME}/requests/new?x=1")
    assert asked.status_int == 303
    form = asked.follow().forms["sign-in"]
    form["email"] = people.account("city-of-portland", "specialist")
    form["password"] = PASSWORD
    assert form.submit("submit").location.endswith(f"{HOME}/requests/new?x=1")


def test_a_private_post_is_not_redirected(testapp):
    assert testapp.post(f"{HOME}/requests", status=403)
    assert testapp.get(HOME, headers={"Accept": "application/json"}, status=401).json["status"]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\evil",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/a\r\nSet-Cookie: x",
        "evil",
        "",
        "//[",
        "/auth/sign-out",
        "/x\\y",
    ],
)
def test_nobody_is_sent_elsewhere(target):
    assert safe_next(target) == "/"


def test_an_open_redirect_does_not_pass_the_form(testapp, people):
    email = people.account("city-of-portland", "specialist")
    page = testapp.get("/auth/sign-in")
    form = page.forms["sign-in"]
    form["email"], form["password"] = email, PASSWORD
    form["next"].force_value("//evil.example/x")
    assert form.submit("submit").location in {
        "http://localhost/city-of-portland",
        f"http://localhost{HOME}",
    }


def test_a_path_of_our_own_is_fine():
    assert safe_next("/city-of-portland/requests?state=open") == (
        "/city-of-portland/requests?state=open"
    )


def test_the_session_changes_at_sign_in(sign_in, people):
    browser = sign_in("specialist", "city-of-portland")
    before = browser.cookies["session"]
    page = TestApp(browser.app)
    page.set_cookie("session", before)
    page.set_cookie("csrf", "planted")
    page.reset()
    page.set_cookie("session", "planted-session-token-of-an-attacker")
    assert (
        submit(page, people.account("city-of-portland", "specialist"), PASSWORD).status_int == 303
    )
    assert page.cookies["session"] not in {before, "planted-session-token-of-an-attacker"}


def test_signing_in_again_ends_the_session_before(application, clock, sign_in, people):
    browser = sign_in("specialist", "city-of-portland")
    before = browser.cookies["session"]
    clock.advance(hours=3)
    assert submit(browser, people.account("city-of-portland", "worker"), PASSWORD).status_int == 303
    old = TestApp(application)
    old.set_cookie("session", before)
    assert old.get(HOME).status_int == 303


def test_signing_out_kills_the_session(application, sign_in):
    browser = sign_in("specialist", "city-of-portland")
    token = browser.cookies["session"]
    page = browser.get(HOME)
    left = page.forms[0].submit().follow()
    assert "You are signed out." in left
    assert "You are signed out." not in browser.get("/")
    thief = TestApp(application)
    thief.set_cookie("session", token)
    assert thief.get(HOME).status_int == 303


def test_signing_out_needs_no_session(testapp):
    token = testapp.get("/auth/sign-in").forms["sign-in"]["csrf_token"].value
    assert testapp.post("/auth/sign-out", {"csrf_token": token}).status_int == 303


def test_a_session_ends_when_idle(clock, sign_in):
    browser = sign_in("specialist", "city-of-portland")
    clock.advance(hours=1, minutes=59)
    assert browser.get(HOME).status_int == 200
    clock.advance(hours=1, minutes=59)
    assert browser.get(HOME).status_int == 200
    clock.advance(hours=2, minutes=1)
    assert browser.get(HOME).status_int == 303


def test_a_session_ends_after_a_shift_in_any_case(clock, sign_in):
    browser = sign_in("specialist", "city-of-portland")
    for _ in range(11):
        clock.advance(hours=1)
        assert browser.get(HOME).status_int == 200
    clock.advance(hours=1, seconds=1)
    assert browser.get(HOME).status_int == 303


def test_guessing_is_slowed_before_any_password_is_looked_at(testapp, people, clock, monkeypatch):
    email = people.account("211info", "auditor")
    for _ in range(5):
        assert submit(testapp, email, "wrong wrong wrong").status_int == 400
    monkeypatch.setattr(
        "regional311.identity.service.password_matches",
        lambda *_: pytest.fail("a password was looked at"),
    )
    assert "failed too often" in submit(testapp, email, PASSWORD)
    monkeypatch.undo()
    clock.advance(minutes=16)
    assert submit(testapp, email, PASSWORD).status_int == 303


def test_the_address_is_counted_too(application, people, clock):
    clock.advance(hours=1)
    for number in range(50):
        browser = TestApp(application, extra_environ={"REMOTE_ADDR": "192.0.2.7"})
        submit(browser, f"guess{number}@nowhere.example", "wrong wrong wrong")
    email = people.account("city-of-portland", "specialist")
    guessing = TestApp(application, extra_environ={"REMOTE_ADDR": "192.0.2.7"})
    elsewhere = TestApp(application, extra_environ={"REMOTE_ADDR": "192.0.2.8"})
    assert "failed too often" in submit(guessing, email, PASSWORD)
    assert submit(elsewhere, email, PASSWORD).status_int == 303


def test_another_partner_is_not_there(sign_in):
    browser = sign_in("administrator", "city-of-portland")
    for path in ("", "/people", "/requests", "/requests/R-00000-0CT7X", "/nothing"):
        assert browser.get(f"/multnomah-county{path}", status=404)
    assert browser.get("/nowhere", status=404)


def test_somebody_without_any_partner_sees_none(sign_in, people):
    people.make("alone@example.org", {})
    browser = sign_in(email="alone@example.org")
    assert browser.get(HOME, status=404)
    assert browser.get("/").status_int == 200


def test_several_partners_and_the_switch_between_them(sign_in, people):
    people.make(
        "both@example.org",
        {"city-of-portland": ("specialist",), "multnomah-county": ("finance",)},
    )
    browser = sign_in(email="both@example.org")
    assert "/multnomah-county" in browser.get("/")
    page = browser.get(HOME)
    assert "Switch partner" in page
    page = browser.get("/multnomah-county")
    assert "/multnomah-county/statements" in page
    assert "/multnomah-county/desk" not in page


def test_a_role_that_ended_is_gone_at_once(sign_in, people, clock):
    from regional311.database.session import Scope, session_scope
    from regional311.identity.service import end_membership

    person = people.make("leaver@example.org", {"211info": ("partner",)})
    browser = sign_in(email="leaver@example.org")
    assert browser.get("/211info").status_int == 200
    with session_scope(people.engine, Scope(people.tenants["211info"])) as session:
        end_membership(session, person_id=person, now=clock())
    assert browser.get("/211info", status=404)


@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
def test_a_form_without_its_secret_is_refused(testapp, token):
    testapp.get("/auth/sign-in")
    fields = {"email": "a@b.example", "password": "x", "submit": "submit"}
    if token is not None:
        fields["csrf_token"] = token
    refused = testapp.post("/auth/sign-in", fields, status=400)
    assert "Nothing was saved" in refused


def test_an_anonymous_token_is_worth_nothing_to_a_session(testapp, sign_in):
    browser = sign_in("specialist", "city-of-portland")
    anonymous = testapp.get("/auth/sign-in").forms["sign-in"]["csrf_token"].value
    browser.post("/auth/sign-out", {"csrf_token": anonymous}, status=400)


def test_a_planted_csrf_cookie_is_not_ours(testapp):
    testapp.set_cookie("csrf", "planted")
    testapp.post("/auth/sign-out", {"csrf_token": "planted"}, status=400)


def test_a_language_that_is_not_offered_changes_nothing(testapp):
    for asked in ("xx", "es/../x"):
        testapp.get(f"/?lang={asked}")
        assert "language" not in testapp.cookies
    testapp.get("/?lang=en")
    assert testapp.cookies["language"] == "en"


def test_cookies_are_for_this_host_and_https_only(web_engine, configured, clock, people):
    secure = Settings(var=configured.var, secret=SECRET, url="https://311.example.gov")
    application = main({}, configured=secure, engine=web_engine, clock=clock)
    browser = TestApp(
        application,
        extra_environ={"HTTP_HOST": "311.example.gov", "wsgi.url_scheme": "https"},
    )
    page = browser.get("/auth/sign-in")
    form = page.forms["sign-in"]
    form["email"], form["password"] = people.account("211info", "worker"), PASSWORD
    answer = form.submit("submit", headers={"Referer": "https://311.example.gov/auth/sign-in"})
    cookie = next(value for name, value in answer.headerlist if value.startswith("__Host-session="))
    for attribute in ("HttpOnly", "SameSite=Lax", "secure", "Path=/"):
        assert attribute in cookie
    assert "max-age" in answer.headers["Strict-Transport-Security"]
