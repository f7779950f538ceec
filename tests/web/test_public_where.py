"""The outlines of the region."""

from __future__ import annotations

from regional311.web.views import public_where


def test_every_outline_is_made_once_for_a_published_version(testapp, monkeypatch):
    made = []
    whole = public_where.outline

    def outline(published, key):
        made.append(key)
        return whole(published, key)

    monkeypatch.setattr(public_where, "outline", outline)
    public_where.everywhere.cache_clear()
    first = testapp.get("/where").json
    assert len(made) == len(first["features"]) > 1
    assert testapp.get("/where").json == first
    assert len(made) == len(first["features"])
