"""A specialist's day at the desk: contacts, the danger screen, needs, consent, the end."""

from __future__ import annotations

import pytest

CITY = "/city-of-portland"


@pytest.fixture
def browser(sign_in):
    return sign_in("specialist", "city-of-portland")


def start(browser, **chosen):
    form = browser.get(f"{CITY}/desk").forms["start"]
    for name, value in chosen.items():
        form[name] = value
    return form.submit().follow()


def screened(browser, **chosen):
    page = start(browser, **chosen)
    form = page.forms["screen"]
    form["answer"] = "none"
    return form.submit().follow()


def test_a_contact_starts_on_the_server_at_once(browser):
    page = start(browser)
    assert "/contacts/C-" in page.request.path
    number = page.request.path.rpartition("/")[2]
    assert number in browser.get(f"{CITY}/desk")
