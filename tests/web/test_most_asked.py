"""What is asked for most is counted by one thread at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest

from regional311.web import most_asked

NOW = datetime(2026, 11, 2, 18, tzinfo=UTC)


class CountingFails(Exception):
    """The database is away."""


@pytest.mark.parametrize("known", [["city/pothole"], None])
def test_whoever_comes_while_it_is_counted_has_the_old_list(monkeypatch, known):
    meanwhile = []
    registry = SimpleNamespace(engine=None)
    if known is not None:
        registry.most_asked = (NOW - most_asked.AGAIN, known)
    request = SimpleNamespace(registry=registry, now=NOW)
    published = SimpleNamespace(ids={"city": uuid4()})

    def count(_engine, _scope):
        if meanwhile:
            raise AssertionError("It is counted twice at once.")
        meanwhile.append(None)
        meanwhile.append(most_asked._counted(request))
        raise CountingFails

    monkeypatch.setattr(
        most_asked, "telling", lambda _request: SimpleNamespace(published=published)
    )
    monkeypatch.setattr(most_asked, "open_session", count)
    with pytest.raises(CountingFails):
        most_asked._counted(request)
    assert meanwhile == [None, known or []]
