"""A form or a call that is sent again while the first is on its way gets the first one's answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from regional311.referral import filing
from tests.web.conftest import elsewhere
from tests.web.test_desk import POTHOLE, described, picked, screened
from tests.web.test_open311 import BASE, key
from tests.web.test_public import screened as asked

__all__ = ["key"]


@pytest.fixture(autouse=True)
def office_hours(clock):
    """A Tuesday at eleven in Portland: every line is open."""
    clock.now = datetime(2026, 10, 13, 18, tzinfo=UTC)


@pytest.fixture
def not_seen_yet(monkeypatch):
    """Let the next look for a first answer find nothing: the first is not committed yet."""
    real, calls = filing.first_answer, []

    def arm() -> list[str]:
        monkeypatch.setattr(filing, "first_answer", blind)
        return calls

    def blind(session, intake):
        calls.append(intake.source_key)
        if len(calls) == 1:
            return None
        return real(session, intake)

    return arm


def number(page):
    return page.html.select_one(".d-number").text.strip()


def test_at_the_desk(sign_in, not_seen_yet):
    browser = sign_in("specialist", "city-of-portland")
    page = picked(screened(browser), "pothole", POTHOLE)
    form = described(page, **elsewhere())
    first = form.submit()
    calls = not_seen_yet()
    second = form.submit()
    assert number(second) == number(first)
    assert len(calls) > 1
    assert len(second.html.select("article.d-card")) == 1


def test_at_the_public_door(testapp, not_seen_yet):
    page = asked(testapp)
    form = page.forms["report"]
    for name, value in elsewhere().items():
        form[name] = value
    form["description"] = "A deep hole"
    # the first is not there yet for the second, so that it is not asked whether it is the same
    sent = [*form.submit_fields("submit"), ("same_as", "other")]
    first = testapp.post(page.request.url, sent).follow()
    calls = not_seen_yet()
    second = testapp.post(page.request.url, sent).follow()
    assert number(second) == number(first)
    assert len(calls) > 1


def test_by_open311(testapp, key, not_seen_yet):
    there = elsewhere()
    sent = {
        "api_key": key,
        "service_code": "pothole",
        "lat": there["latitude"],
        "long": there["longitude"],
        "description": "A deep hole",
    }
    headers = {"Idempotency-Key": "pressed-twice-by-a-program"}
    path = f"{BASE}/requests.json"
    first = testapp.post(path, sent, headers=headers)
    calls = not_seen_yet()
    second = testapp.post(path, sent, headers=headers)
    assert second.json == first.json
    assert len(calls) > 1
