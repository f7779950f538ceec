"""The examples of docs/api.md, sent in their order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from webtest import TestApp

from regional311.database.session import Scope, session_scope
from regional311.identity.clients import API_SCOPES, make_client
from tests.web.test_api import CITY, NOW

pytestmark = pytest.mark.commits
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```http\n(.*?)```\n\n```json\n(\d+)\n(.*?)```", TEXT, re.DOTALL)


def said(shown, got, known):
    """Whether an answer says what is shown of it; `…` stands for what is made anew."""
    if isinstance(shown, dict):
        return all(name in got and said(each, got[name], known) for name, each in shown.items())
    if isinstance(shown, list):
        return len(shown) == len(got) and all(map(said, shown, got, [known] * len(shown)))
    if isinstance(shown, str) and shown.endswith("…"):
        known[shown] = got
        return got.startswith(shown[:-1])
    return shown == got


def test_every_example_is_answered_as_it_says(application, web_engine, people, clock):
    clock.now = NOW
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        known = {
            "KEY": make_client(
                session, name="Reader", scopes=API_SCOPES, a_minute=100, now=NOW
            )
        }  # fmt: skip
    app = TestApp(application)
    for sent, status, shown in EXAMPLES:
        for name, value in known.items():
            sent = sent.replace(name, value)  # noqa: PLW2901
        head, _blank, body = sent.partition("\n\n")
        (method, path), *lines = (line.split(" ", 1) for line in head.splitlines())
        headers = {name.rstrip(":"): value for name, value in lines}
        got = app.request(
            path, method=method, headers=headers, body=body.encode(), expect_errors=True
        )
        assert got.status_int == int(status), (sent, got.body)
        assert said(json.loads(shown), got.json, known), (shown, got.json)
        if "ETag" in got.headers:
            known['"…"'] = got.headers["ETag"]
    assert len(EXAMPLES) > 7


def test_the_document_tells_of_every_scope():
    for each in API_SCOPES:
        assert f"| `{each}` |" in TEXT
