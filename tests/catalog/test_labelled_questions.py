"""Callers' questions find the right service among the first five, those never tuned for too."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from regional311.catalog.search import Filters, Search

HERE = Path(__file__).parent / "labelled"
PARTNERS = {"c": "city-of-portland", "m": "multnomah-county", "h": "211info"}
LANGUAGES = {"español": "es", "tiếng Việt": "vi", "中文": "zh-Hant", "русский": "ru"}
FIRST = 5


def labelled(name):
    """Give (kind, words, right services) of a file."""
    kind = ""
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            kind = line.removeprefix("== ")
        elif "|" in line and not line.startswith("#"):
            words, right = line.split(" | ")
            yield (
                kind,
                words,
                {f"{PARTNERS[each[0]]}/{each[2:]}" for each in right.split()},
            )


@pytest.mark.parametrize("name", ["questions.txt", "questions_held_out.txt"])
def test_the_right_service_is_among_the_first_five(dbsession, tenants, name):
    slugs = {tenant_id: slug for slug, tenant_id in tenants.items()}
    ranks = {}
    for kind, words, right in labelled(name):
        search = Search(tenants["region"], date(2026, 10, 5), LANGUAGES.get(kind, "en"), staff=True)
        hits = search.find(dbsession, words, Filters(kind="service"), typing=kind == "partial").hits
        found = [f"{slugs[hit.tenant_id]}/{hit.key}" for hit in hits]
        ranks[words] = next((at for at, ref in enumerate(found, 1) if ref in right), 0)
    missed = [words for words, rank in ranks.items() if not 0 < rank <= FIRST]
    assert len(missed) <= len(ranks) * 0.05, missed
    assert sum(1 / rank for rank in ranks.values() if rank) / len(ranks) >= 0.8


def test_the_labels_are_many_and_name_services_that_there_are(dbsession, tenants):
    services = set(
        dbsession.scalars(
            text(
                "SELECT t.slug || '/' || s.key FROM services AS s"
                " JOIN tenants AS t USING (tenant_id) WHERE s.ended_on IS NULL"
            )
        )
    )
    every = [*labelled("questions.txt"), *labelled("questions_held_out.txt")]
    assert len(every) >= 200
    assert {ref for _kind, _words, right in every for ref in right} <= services
    assert len({words for _kind, words, _right in every}) == len(every)
