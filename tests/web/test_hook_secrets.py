"""A partner's own secrets for texts and calls: made, replaced, revoked, and what each opens."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from regional311.database.ids import new_id
from regional311.database.session import Scope, session_scope
from regional311.exchange.webhooks import key_of, sign
from regional311.inbox.models import HookSecret
from regional311.settings import Settings

from .conftest import SECRET

CITY = "city-of-portland"
HERE = f"/{CITY}/hooks"
SHARED = "whsec_" + "c2VjcmV0" * 4


@pytest.fixture(scope="module")
def configured(tmp_path_factory) -> Settings:
    return Settings(var=Path(tmp_path_factory.mktemp("var")), secret=SECRET, phone_secret=SHARED)


@pytest.fixture(autouse=True)
def monday(clock):
    clock.now = datetime(2026, 10, 5, 18, tzinfo=UTC)


@pytest.fixture
def tell(testapp, clock):
    """Tell of a call to the City's number, signed with a secret."""

    def say(secret, status=200, path="/calls", **data):
        given = {"id": str(new_id()), "to": "(503) 823-4000"} | data
        body = json.dumps({"type": "call.ringing", "data": given}).encode()
        headers = sign(str(new_id()), body, key=key_of(secret), now=clock.now)
        return testapp.post(path, body, headers, content_type="application/json", status=status)

    return say


def press(page, end, hook, **more):
    form = next(
        each
        for each in page.forms.values()
        if each.action.endswith(end)
        and each["hook"].value == hook
        and ("at_once" in each.fields) == bool(more)
    )
    return form.submit()


def shown(page):
    assert page.headers["Cache-Control"] == "no-store"
    return re.search(r"<code[^>]*>(whsec_[^<]+)</code>", page.text)[1].replace("&#43;", "+")


def test_the_own_secret_counts_and_the_one_before_for_a_day(
    sign_in, tell, clock, web_engine, people
):
    administrator = sign_in("administrator", CITY)
    page = administrator.get(HERE)
    assert "The one of the whole installation" in page
    assert "None: nothing is received" in page
    tell(SHARED)
    first = shown(press(page, "/make", "calls"))
    page = administrator.get(HERE)
    assert first not in page
    assert "own, made" in page.text
    # from now on nobody else's is good for its numbers
    tell(first)
    tell(SHARED, 401)
    second = shown(press(page, "/replace", "calls"))
    tell(second)
    tell(first)
    assert "The one before is good until" in administrator.get(HERE)
    clock.now += timedelta(days=1)
    tell(first, 401)
    administrator = sign_in("administrator", CITY)
    third = shown(press(administrator.get(HERE), "/replace", "calls", at_once=True))
    tell(second, 401)
    tell(third)
    press(administrator.get(HERE), "/revoke", "calls").follow()
    tell(third, 401)
    tell(SHARED)
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        rows = session.scalars(select(HookSecret)).all()
        text = " ".join(str(each.__dict__) for each in rows)
    for secret in (first, second, third):
        assert secret not in text
        assert key_of(secret).hex() not in text


def test_a_hook_of_which_nobody_has_a_secret_is_closed(tell):
    tell(SHARED, 404, path="/texts", text="x")


def test_a_hook_that_is_not_there_and_one_that_is_made_twice(sign_in):
    administrator = sign_in("administrator", CITY)
    page = administrator.get(HERE)
    press(page, "/make", "texts")
    assert press_again(page) == 409
    press(administrator.get(HERE), "/revoke", "texts")
    form = next(each for each in page.forms.values() if each.action.endswith("/make"))
    form["hook"].force_value("letters")
    form.submit(status=404)


def press_again(page):
    form = next(
        each
        for each in page.forms.values()
        if each.action.endswith("/make") and each["hook"].value == "texts"
    )
    return form.submit(status="*").status_int


def test_an_auditor_sees_and_changes_nothing(sign_in):
    page = sign_in("auditor", CITY).get(HERE)
    assert not any("hook" in each.fields for each in page.forms.values())
