"""Prepared texts: what a partner's people answer with often, and what they close requests with.

A text is one thing in all its languages, so that it is picked once and each person is written to
in their own. Its few places, such as ``{number}``, are checked before it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from string import Formatter
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import Select, func, select

from regional311.audit.service import record
from regional311.casework.models import PreparedText
from regional311.database.ids import new_id
from regional311.database.locking import locked
from regional311.database.rows import new_row, put
from regional311.database.session import TenantSession, scope_of
from regional311.errors import InvalidInput
from regional311.intake import lifecycle
from regional311.intake.models import Contact, Inquirer, ServiceRequest
from regional311.notices.wording import LANGUAGES
from regional311.strict import Key, Language, Model, Words

Purpose = Literal["answer", "closing"]

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "answer": ("name", "number", "partner", "line", "me"),
    "closing": ("number", "service", "partner", "place", "opened", "closed"),
}
"""What can be filled in. Of an answer: the person's name, the thread's number, ours, and who
answers. Of a closing: the request's number, what was asked for, ours, where, and the days."""
LONGEST: Final[Mapping[str, int]] = {"answer": 10_000, "closing": 2000}
"""As long as the words for the person may be."""
TOO_SHORT: Final = (
    "Say in plain words what happened; the person reads this. "
    f"Write at least {lifecycle.MIN_MESSAGE} letters, places not counted."
)
CHANNELS: Final = ("email", "text", "chat")
LONGEST_NAME: Final = 100
_LONGEST_KEY: Final = 40


# --- as files say it ------------------------------------------------------------------------------


class TextWords(Model):
    """The words of a text in one language."""

    language: Language = Field(description="Language of the words.")
    text: str = Field(description="The words, with places in braces.")


class AnswerText(Model):
    """A template of answers; `{name}`, `{number}`, `{partner}`, `{line}`, `{me}` are filled in."""

    key: Key = Field(description="Key, unique among the templates.")
    name: Words = Field(description="Name by which those who answer look for it.")
    channel: Literal["email", "text", "chat"] | None = Field(
        default=None, description="Where it is offered; left out: on every channel."
    )
    words: tuple[TextWords, ...] = Field(description="The words by language, one at least.")


class ClosingText(Model):
    """A text for closing requests.

    `{number}`, `{service}`, `{partner}`, `{place}`, `{opened}` and `{closed}` are filled in.
    """

    key: Key = Field(description="Key, unique among the texts for closing.")
    name: Words = Field(description="Name by which those who close look for it.")
    service: Key | None = Field(
        default=None, description="Service it is for; left out: for every one."
    )
    resolution: (
        Literal[
            "completed",
            "no_action_needed",
            "not_found",
            "duplicate",
            "not_our_responsibility",
            "out_of_funds",
            "person_withdrew",
            "other",
        ]
        | None
    ) = Field(default=None, description="Outcome it is for; left out: for every one.")
    words: tuple[TextWords, ...] = Field(description="The words by language, one at least.")


def words_said(words: Mapping[str, str]) -> list[dict[str, str]]:
    """Give words as files say them, by language in one order.

    >>> words_said({"es": "Listo.", "en": "Done."})
    [{'language': 'en', 'text': 'Done.'}, {'language': 'es', 'text': 'Listo.'}]
    """
    return [{"language": each, "text": words[each]} for each in LANGUAGES if each in words]


def text_faults(
    purpose: Purpose, name: str, words: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Give what is wrong with a text, as (where, what in one sentence).

    >>> list(text_faults("answer", "Thanks", [("en", "Dear {name}, {{as it is}}")]))
    []
    >>> list(text_faults("answer", "Thanks", [("en", "{nobody}")]))[0][0]
    'text_en'
    >>> list(text_faults("closing", "Done", [("en", "Done: {number}.")]))[0][0]
    'text_en'
    """
    if not name.strip() or len(name.strip()) > LONGEST_NAME:
        yield "name", f"Give it a name of at most {LONGEST_NAME} characters."
    if not words:
        yield f"text_{LANGUAGES[0]}", "Write it in one language at least."
    for language, text in words:
        where = f"text_{language}"
        if not text.strip() or len(text) > LONGEST[purpose]:
            yield where, f"Write something, at most {LONGEST[purpose]} characters."
        elif fault := _place_fault(text, PLACES[purpose]):
            yield where, fault
        elif purpose == "closing" and not lifecycle.says_enough(filled(text, {}, purpose)):
            yield where, TOO_SHORT


def _place_fault(text: str, places: Sequence[str]) -> str | None:
    allowed = ", ".join(f"{{{each}}}" for each in places)
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return f"A brace stands alone. Places are {allowed}; a brace itself is written twice."
    for _words, place, form, conversion in parts:
        if place is not None and (place not in places or form or conversion):
            return f"{{{place}}} is no place that can be filled in. Places are {allowed}."
    return None


# --- what there is --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text with its words by language; offered everywhere, for all, where something is None."""

    id: UUID
    key: str
    purpose: str
    name: str
    channel: str | None
    service_key: str | None
    resolution: str | None
    words: Mapping[str, str]
    ended_at: datetime | None


def texts(session: TenantSession, purpose: Purpose, *, ended: bool = False) -> list[Prepared]:
    """Give the partner's texts by name. One statement."""
    rows = session.execute(
        select(*(getattr(PreparedText, each.name) for each in fields(Prepared)))
        .where(
            PreparedText.tenant_id == scope_of(session).tenant_id,
            PreparedText.purpose == purpose,
            PreparedText.ended_at.is_not(None) if ended else PreparedText.ended_at.is_(None),
        )
        .order_by(PreparedText.name, PreparedText.id)
    )
    return [Prepared(*tuple(row)) for row in rows]


def texts_for(
    session: TenantSession, request_id: UUID, service_key: str
) -> tuple[list[Prepared], str | None]:
    """Give the texts with which a request may be closed, and the language of who asked for it.

    The language is None where it is not known here, or where there are no texts. One statement.
    """
    language = _with_people(_LANGUAGE).where(
        ServiceRequest.tenant_id == scope_of(session).tenant_id, ServiceRequest.id == request_id
    )
    rows = session.execute(
        select(
            *(getattr(PreparedText, each.name) for each in fields(Prepared)),
            language.scalar_subquery(),
        )
        .where(
            PreparedText.tenant_id == scope_of(session).tenant_id,
            PreparedText.purpose == "closing",
            PreparedText.ended_at.is_(None),
            (PreparedText.service_key == service_key) | PreparedText.service_key.is_(None),
        )
        .order_by(PreparedText.name, PreparedText.id)
    ).all()
    return [Prepared(*row[:-1]) for row in rows], rows[0][-1] if rows else None


def offered(found: Iterable[Prepared], language: str) -> list[tuple[Prepared, str]]:
    """Give each text with each of its languages, as they are offered.

    The person's language first, then those for the service before those for all.

    >>> def text(name, service, *languages):
    ...     words = dict.fromkeys(languages, "")
    ...     return Prepared(UUID(int=1), name, "closing", name, None, service, None, words, None)
    >>> found = [text("All", None, "en", "es"), text("Hole", "hole", "en")]
    >>> [(each.name, language) for each, language in offered(found, "es")]
    [('All', 'es'), ('Hole', 'en'), ('All', 'en')]
    """
    every = [(each, spoken) for each in found for spoken in LANGUAGES if spoken in each.words]
    return sorted(every, key=lambda pair: (pair[1] != language, pair[0].service_key is None))


def language_for(words: Mapping[str, str], language: str, own: str) -> str:
    """Give the language in which somebody is written to: theirs, else the partner's, else any.

    >>> language_for({"en": "Done.", "es": "Listo."}, "es", "en")
    'es'
    >>> language_for({"en": "Done.", "es": "Listo."}, "ru", "en")
    'en'
    """
    return next(each for each in (language, own, *LANGUAGES) if each in words)


def filled(text: str, values: Mapping[str, str], purpose: Purpose) -> str:
    """Fill a text's places; one without a value is left empty.

    >>> filled("Hello {name}!", {"name": "Ana"}, "answer")
    'Hello Ana!'
    """
    return text.format(**{each: values.get(each, "") for each in PLACES[purpose]})


_LANGUAGE: Final = func.coalesce(Inquirer.language, Contact.language)


def _with_people(*columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(ServiceRequest)
        .outerjoin(
            Inquirer,
            (Inquirer.tenant_id == ServiceRequest.tenant_id)
            & (Inquirer.id == ServiceRequest.inquirer_id),
        )
        .outerjoin(
            Contact,
            (Contact.tenant_id == ServiceRequest.tenant_id)
            & (Contact.id == ServiceRequest.contact_id),
        )
    )


def person_languages(session: TenantSession, request_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Give the language of who asked, by request: theirs, else that of the contact.

    It is left out where neither is known here, as of what came through another partner. One
    statement.
    """
    rows = session.execute(
        _with_people(ServiceRequest.id, _LANGUAGE.label("language")).where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            ServiceRequest.id.in_(request_ids),
        )
    )
    return {row.id: row.language for row in rows if row.language}


@dataclass(frozen=True, slots=True)
class Asked:
    """How many requests of a service were asked for by people of one language; None: not known."""

    service_key: str
    language: str | None
    number: int


def asked(session: TenantSession, request_ids: Sequence[UUID]) -> list[Asked]:
    """Count requests by service and by the language of who asked. One statement."""
    rows = session.execute(
        _with_people(ServiceRequest.service_key, _LANGUAGE.label("language"), func.count())
        .where(
            ServiceRequest.tenant_id == scope_of(session).tenant_id,
            ServiceRequest.id.in_(request_ids),
        )
        .group_by(ServiceRequest.service_key, _LANGUAGE)
        .order_by(ServiceRequest.service_key, _LANGUAGE)
    )
    return [Asked(*tuple(row)) for row in rows]


# --- writing --------------------------------------------------------------------------------------


def keep(
    session: TenantSession,
    purpose: Purpose,
    *,
    text_id: UUID | None,
    version: int | None,
    name: str,
    words: Mapping[str, str],
    now: datetime,
    channel: str | None = None,
    service_key: str | None = None,
    resolution: str | None = None,
) -> UUID:
    """Add a text, or change one. Raises `InvalidInput`, `Stale`, `NotFound`."""
    if channel is not None and channel not in CHANNELS:
        raise InvalidInput("Choose one of the channels listed.", field="channel")
    if resolution is not None and resolution not in lifecycle.RESOLUTIONS:
        raise InvalidInput("Choose one of the outcomes listed.", field="resolution")
    said = {each: _plain(words[each]) for each in LANGUAGES if _plain(words.get(each) or "")}
    for where, fault in text_faults(purpose, name, list(said.items())):
        raise InvalidInput(fault, field=where)
    scope = scope_of(session)
    values: dict[str, Any] = {
        "name": name.strip(),
        "channel": channel,
        "service_key": service_key,
        "resolution": resolution,
        "words": said,
    }
    if text_id is None:
        made = new_id()
        put(
            session,
            new_row(
                PreparedText,
                tenant_id=scope.tenant_id,
                id=made,
                key=_free_key(session, purpose, name),
                purpose=purpose,
                **values,
                changed_at=now,
                changed_by=scope.person_id,
                version=1,
            ),
        )
    else:
        made = text_id
        row = locked(session, PreparedText, text_id, version, values, "text")
        for field, value in values.items():
            setattr(row, field, value)
        row.changed_at, row.changed_by = now, scope.person_id
        session.flush()
    _note(session, "template:keep", made, now)
    return made


def end(session: TenantSession, text_id: UUID, *, ended: bool, now: datetime) -> None:
    """Offer a text no more, or again."""
    row = locked(session, PreparedText, text_id, None, {}, "text")
    row.ended_at = now if ended else None
    session.flush()
    _note(session, "template:end" if ended else "template:restore", text_id, now)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _free_key(session: TenantSession, purpose: str, name: str) -> str:
    """A key made of the name that no text has, also none that is offered no more."""
    base = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:_LONGEST_KEY].strip("-") or "text"
    taken = set(
        session.scalars(
            select(PreparedText.key).where(
                PreparedText.tenant_id == scope_of(session).tenant_id,
                PreparedText.purpose == purpose,
            )
        )
    )
    keys = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 2))
    return next(each for each in keys if each not in taken)


def _note(session: TenantSession, action: str, text_id: UUID, now: datetime) -> None:
    record(session, now=now, action=action, subject_kind="template", subject_id=text_id)
