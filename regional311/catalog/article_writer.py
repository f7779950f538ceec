"""The only writer of published articles; files, forms and drafts all come through here."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update

from regional311.catalog import articles
from regional311.catalog.models import Article
from regional311.catalog.refresh import refresh
from regional311.catalog.service import record_published
from regional311.database.ids import new_id
from regional311.database.rows import put, send
from regional311.database.session import TenantSession, scope_of
from regional311.strict import canonical, from_plain

_COLUMNS: Final = ("key", "kind", "title", "valid_from", "valid_to")
"""Fields of `articles.Article` that have a column of their own; all others are in `details`."""


def article_columns(model: articles.Article, tenant: str) -> dict[str, Any]:
    """Give the columns of `articles` that hold what an article of a partner says."""
    said = canonical(model)
    return {
        **{name: getattr(model, name) for name in _COLUMNS if name != "key"},
        "services": list(model.refs(tenant)),
        "public": model.public,
        "details": {name: value for name, value in said.items() if name not in _COLUMNS},
    }


def said_article(row: Any) -> articles.Article:
    """Read a row of `articles` back into what the partner says."""
    own = {name: getattr(row, name) for name in _COLUMNS}
    return from_plain(articles.Article, {**row.details, **own})


def write_article(
    session: TenantSession,
    new: articles.Article,
    *,
    tenant: str,
    known: UUID | None,
    today: date,
    now: datetime,
    person_id: UUID | None,
    source: str,
    number: int | None = None,
) -> UUID:
    """Publish what an article says from now on; give its id.

    `tenant` is the slug of the partner that the session acts for, `known` the article's row, when
    it has one (one that had ended is taken up again). `number` is that of the version that is being
    published; without it a version is recorded.
    """
    if number is None:
        number = record_published(
            session,
            "article",
            new.key,
            canonical(new),
            now=now,
            person_id=person_id,
            source=source,
        )
    columns = {
        **article_columns(new, tenant),
        "version": number,
        "updated_on": today,
        "ended_on": None,
    }
    tenant_id = scope_of(session).tenant_id
    if known is None:
        known = new_id()
        put(session, Article(tenant_id=tenant_id, id=known, key=new.key, **columns))
    else:
        send(session)
        session.execute(
            update(Article)
            .where(Article.tenant_id == tenant_id, Article.id == known)
            .values(columns),
            execution_options={"synchronize_session": False},
        )
    refresh(session, "article", [new.key])
    return known
