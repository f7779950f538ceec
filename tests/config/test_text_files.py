"""Prepared texts as files: what is wrong is named, and files and database agree."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from regional311.casework import prepared_texts
from regional311.casework.models import PreparedText
from regional311.config.apply import apply
from regional311.config.export import export
from regional311.config.files import read_region
from regional311.config.plan import NOBODY, plan
from regional311.database.session import Scope, open_session, session_scope
from regional311.tenancy.models import Tenant

from .conftest import NOW
from .test_files import refused

CITY = "tenants/city-of-portland"


@pytest.fixture
def applied(empty_engine, root):
    apply(empty_engine, read_region(root), now=NOW)
    return empty_engine


REGION = """
[[closing]]
key = "thanks"
name = "Thanks"

[[closing.words]]
language = "es"
text = "  Gracias: {number}.  "

[[closing.words]]
language = "en"
text = "Thank you: {number}."
"""
WRONG = """
[[closing]]
key = "twice"
name = "Twice"
service = "potholes"

[[closing.words]]
language = "en"
text = "{name}"

[[closing.words]]
language = "en"
text = "{number"

[[closing]]
key = "twice"
name = "Twice"
words = []

[[closing]]
key = "short"
name = "Short"

[[closing.words]]
language = "es"
text = "Listo: {number}"

[[answer]]
key = "empty"
name = "Empty"

[[answer.words]]
language = "es"
text = " "
"""


def test_what_is_wrong_is_named_at_once(root):
    path = root / f"{CITY}/texts.toml"
    path.write_text(WRONG)
    said = refused(root)
    where = f"{CITY}/texts.toml: "
    for key, message in (
        ("closing[twice].key", "twice is used twice"),
        ("closing[twice].service", "there is no service potholes; did you mean pothole?"),
        ("closing[twice].words[en].language", "en is used twice"),
        ("closing[twice].words[en].text", "{name} is no place that can be filled in."),
        ("closing[twice].words[en].text", "A brace stands alone."),
        ("closing[short].words[es].text", "Say in plain words what happened"),
        ("answer[empty].words[es].text", "Write something"),
        ("closing[twice].words", "Write it in one language at least."),
    ):
        assert any(each.startswith(f"{where}{key}: {message}") for each in said), (key, said)


def test_texts_go_into_the_database_and_back_and_forms_are_not_written_over(
    applied, root, tmp_path
):
    (root / "policies/texts.toml").write_text(REGION)
    with open_session(applied, NOBODY) as session:
        tenant_id = session.execute(
            select(Tenant.id).where(Tenant.slug == "city-of-portland")
        ).scalar_one()
    added = apply(applied, root, now=NOW).plan.changes
    assert [(each.tenant, each.kind, each.key) for each in added] == [
        ("region", "closing_text", "thanks")
    ]
    with session_scope(applied, Scope(tenant_id)) as session:
        row = session.execute(
            select(PreparedText).where(PreparedText.key == "pothole-filled")
        ).scalar_one()
        assert (row.service_key, row.resolution) == ("pothole", "completed")
        assert set(row.words) == {"en", "es", "vi", "zh-Hant", "ru"}
        prepared_texts.keep(
            session,
            "closing",
            text_id=row.id,
            version=1,
            name="Pothole filled",
            words={"en": "It was filled."},
            now=NOW,
            service_key="pothole",
            resolution="completed",
        )
        made = prepared_texts.keep(
            session,
            "closing",
            text_id=None,
            version=None,
            name="Pothole filled",
            words={"en": "Filled again."},
            now=NOW,
        )
        session.flush()
        assert session.get(PreparedText, (tenant_id, made)).key == "pothole-filled-2"
    target = tmp_path / "exported"
    export(applied, target, now=NOW)
    assert str(plan(applied, target, now=NOW)) == "No changes."
    assert 'text = "It was filled."' in (target / f"{CITY}/texts.toml").read_text()
    assert "Gracias: {number}." in (target / "policies/texts.toml").read_text()
    (root / f"{CITY}/texts.toml").unlink()
    planned = {each.key: each.verdict.value for each in plan(applied, root, now=NOW).items}
    assert planned["pothole-filled"] == "conflict"
    assert planned["nothing-found"] == "ended"
