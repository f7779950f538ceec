"""A form with every kind of question and a branch, published on a service of the City."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from regional311.catalog import versions
from regional311.catalog.content import QuestionGroup
from regional311.catalog.group_writer import write_group
from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate
from regional311.strict import from_plain

NOW = datetime(2026, 10, 1, 18, tzinfo=UTC)
PERSON = {
    "key": "person",
    "name": "A person",
    "question": [
        {"key": "name", "label": "Name", "kind": "text", "required": True},
        {"key": "phone", "label": "Telephone", "kind": "phone"},
        {"key": "email", "label": "E-mail", "kind": "email"},
    ],
}
QUESTIONS: list[dict[str, Any]] = [
    {
        "key": "size",
        "label": "How big is it?",
        "kind": "choice",
        "required": True,
        "choice": [
            {"key": "small", "label": "Smaller than a plate"},
            {
                "key": "large",
                "label": "Larger",
                "translation": [{"language": "es", "label": "Más grande"}],
            },
        ],
        "translation": [{"language": "es", "label": "¿Qué tan grande es?"}],
    },
    {
        "key": "wide",
        "label": "How wide is it, in feet?",
        "hint": "A guess will do.",
        "kind": "number",
        "minimum": "1",
        "maximum": "100",
        "required": True,
        "show_if": {"question": "size", "answers": ["large"]},
    },
    {"key": "car", "label": "Did it damage a car?", "kind": "yes_no"},
    {
        "key": "driver",
        "label": "Who was driving?",
        "kind": "group",
        "group": "person",
        "show_if": {"question": "car", "answers": ["yes"]},
    },
    {
        "key": "lanes",
        "label": "Which lanes?",
        "kind": "choices",
        "choice": [{"key": "left", "label": "Left"}, {"key": "right", "label": "Right"}],
    },
    {
        "key": "since",
        "label": "Since which day?",
        "kind": "date",
        "earliest_days": -30,
        "latest_days": 0,
    },
    {"key": "seen", "label": "When did you see it?", "kind": "date_time"},
    {"key": "near", "label": "What is nearby?", "kind": "place"},
    {"key": "more", "label": "What else?", "kind": "long_text", "longest": 200},
]


def ask(engine: Any, tenant: Any, *questions: dict[str, Any], key: str = "pothole") -> None:
    """Publish a service of the City with these questions."""
    with session_scope(engine, Scope(tenant)) as session:
        found = versions.opened(session, "service", key)
        assert found is not None
        said = {**found.content, "question": list(questions)}
        saved = versions.save_draft(session, "service", said, seen=found.number, now=NOW)
        versions.review(session, "service", key, saved.number, now=NOW)
        versions.publish(session, "service", key, saved.number, today=NOW.date(), now=NOW)
    invalidate()


def publish_person(engine: Any, tenant: Any) -> None:
    """Publish the group that `QUESTIONS` puts in."""
    with session_scope(engine, Scope(tenant)) as session:
        said = from_plain(QuestionGroup, PERSON)
        write_group(session, said, known=None, now=NOW, person_id=None, source="form")
