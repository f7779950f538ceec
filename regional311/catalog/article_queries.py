"""What is published as articles: staff of any partner read all of it, the public the public part.

Whoever shows something to the public asks with ``public=True`` and shows `Article.text`, never
`Article.internal` or the steps of a script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session

from regional311.catalog.article_writer import said_article
from regional311.catalog.articles import Article as Said
from regional311.catalog.models import Article

_A_DAY: Final = timedelta(days=1)
_LOUDNESS: Final = ("emergency", "warning", "info")


@dataclass(frozen=True)
class Shelved:
    """A published article, whose it is, and which version of it."""

    tenant_id: UUID
    said: Said
    version: int
    updated_on: date
    ended_on: date | None
    verified_on: date | None = None

    def offered(self, on: date) -> bool:
        """Whether it is published on a day; its own dates may still keep it back."""
        return self.ended_on is None or on < self.ended_on


def article(session: Session, tenant_id: UUID, key: str) -> Shelved | None:
    """Give a partner's article, also one that has ended."""
    found = _shelved(session, Article.tenant_id == tenant_id, Article.key == key)
    return found[0] if found else None


def titles(
    session: Session, wanted: Iterable[tuple[UUID, str]], on: date
) -> dict[tuple[UUID, str], str]:
    """Give the titles of articles, by partner and key; those that are over on a day are left out.

    One statement.
    """
    rows = session.execute(
        select(Article.tenant_id, Article.key, Article.title).where(
            tuple_(Article.tenant_id, Article.key).in_(list(wanted)),
            or_(Article.ended_on.is_(None), Article.ended_on > on),
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}


def every_article(session: Session, tenant_id: UUID | None) -> list[Shelved]:
    """Give all articles of a partner (None: of all partners), also those that have ended."""
    return _shelved(session, *([] if tenant_id is None else [Article.tenant_id == tenant_id]))


def public_articles_about(session: Session, ref: str, on: date) -> list[Shelved]:
    """Give what everybody may read of the answers that name a service ``slug/key``."""
    return _shelved(
        session,
        Article.services.contains([ref]),
        Article.kind != "notice",
        *_shown(on, public=True),
    )


def articles_beside(
    session: Session, on: date, *, ref: str | None = None, asked: tuple[UUID, str] | None = None
) -> list[Shelved]:
    """Give what a contact is taken beside, in one statement: the notices of all partners, the
    answers and scripts that name the service ``slug/key``, and the article asked for by its
    partner's id and its key.
    """
    wanted = [and_(Article.kind == "notice", *_near(on))]
    if ref is not None:
        wanted.append(and_(Article.services.contains([ref]), *_shown(on, public=False)))
    if asked is not None:
        tenant_id, key = asked
        wanted.append(
            and_(Article.tenant_id == tenant_id, Article.key == key, *_shown(on, public=False))
        )
    return _shelved(session, or_(*wanted))


def notices(
    session: Session, on: date, *, tenants: Sequence[UUID] | None = None, public: bool = False
) -> list[Shelved]:
    """Give the notices of some partners (None: of all) that may hold on a day, the loudest first.

    `on` is a day on the clock of whoever asks; whether a notice holds at the very moment, `holds`
    says on its own partner's clock.
    """
    conditions: list[ColumnElement[bool]] = [Article.kind == "notice", *_near(on)]
    if tenants is not None:
        conditions.append(Article.tenant_id.in_(tenants))
    if public:
        conditions.append(Article.public.is_(True))
    return loudest_first(_shelved(session, *conditions))


def loudest_first(found: Iterable[Shelved]) -> list[Shelved]:
    """Order notices by their level, the same levels as they are."""
    return sorted(found, key=lambda each: _LOUDNESS.index(each.said.level))


def public_articles(
    session: Session, on: date, *, tenants: Sequence[UUID] | None = None
) -> list[Shelved]:
    """Give what everybody may read today but notices, of some partners or of all, by title."""
    conditions = [] if tenants is None else [Article.tenant_id.in_(tenants)]
    return _shelved(session, Article.kind != "notice", *conditions, *_shown(on, public=True))


def _near(on: date) -> list[ColumnElement[bool]]:
    # another partner's clock may be a day ahead or behind
    return [
        or_(Article.ended_on.is_(None), Article.ended_on > on),
        or_(Article.valid_from.is_(None), Article.valid_from <= on + _A_DAY),
        or_(Article.valid_to.is_(None), Article.valid_to >= on - _A_DAY),
    ]


def _shown(on: date, *, public: bool) -> list[ColumnElement[bool]]:
    conditions = [
        or_(Article.ended_on.is_(None), Article.ended_on > on),
        or_(Article.valid_from.is_(None), Article.valid_from <= on),
        or_(Article.valid_to.is_(None), Article.valid_to > on),
    ]
    return [Article.public.is_(True), *conditions] if public else conditions


def _shelved(session: Session, *conditions: Any) -> list[Shelved]:
    rows = session.execute(
        select(Article.__table__).where(*conditions).order_by(func.lower(Article.title), Article.id)
    )
    return [
        Shelved(
            row.tenant_id,
            said_article(row),
            row.version,
            row.updated_on,
            row.ended_on,
            row.verified_on,
        )
        for row in rows
    ]
