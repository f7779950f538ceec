"""Every form that was ever asked is kept, whether its service or one of its groups changed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import select

from regional311.catalog import versions
from regional311.catalog.content import Question, QuestionGroup
from regional311.catalog.form_versions import keep_forms, stored_groups
from regional311.catalog.forms import Form, resolve
from regional311.catalog.group_writer import asking_services, faults_of_group, write_group
from regional311.catalog.models import FormVersion
from regional311.catalog.queries import forms
from regional311.catalog.service import stored_service, write_service
from regional311.config.files import read_region
from regional311.strict import from_plain
from tests.conftest import ROOT

NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
TODAY = date(2026, 11, 3)
PERSON: dict[str, Any] = {
    "key": "person",
    "name": "A person",
    "question": [
        {"key": "knows", "label": "Do you know who?", "kind": "yes_no"},
        {"key": "name", "label": "Who?", "kind": "text"},
    ],
}


def group(**more: Any) -> QuestionGroup:
    return from_plain(QuestionGroup, PERSON | more)


def publish_group(session: Any, said: QuestionGroup, known: Any = None) -> Any:
    made = {"now": NOW, "person_id": None, "source": "form"}
    return write_group(session, said, known=known, **made)


def ask(session: Any, *questions: dict[str, Any], key: str = "pothole") -> Form:
    """Publish the service with these questions; give its form."""
    row, before = stored_service(session, key)
    after = before.model_copy(
        update={"question": tuple(from_plain(Question, each) for each in questions)}
    )
    made = {"today": TODAY, "now": NOW, "person_id": None, "source": "form"}
    write_service(session, after, known=(row.id, before), **made)
    return resolve(after.question, stored_groups(session))


def kept(session: Any) -> dict[str, Any]:
    rows = session.execute(
        select(FormVersion.digest, FormVersion.content).where(
            FormVersion.tenant_id == session.scope.tenant_id
        )
    )
    return {row.digest: row.content for row in rows}


def test_every_form_of_the_example_region_is_kept(dbsession):
    found = kept(dbsession)
    city = read_region(ROOT).tenants["city-of-portland"]
    asked = [each for each in city.services if each.question]
    assert asked
    for each in asked:
        assert resolve(each.question, {each.key: each for each in city.groups}).digest in found


def test_a_changed_form_is_kept_beside_the_one_before(dbsession):
    first = ask(dbsession, {"key": "size", "label": "How big?", "kind": "text"})
    second = ask(dbsession, {"key": "size", "label": "How large?", "kind": "text"})
    again = ask(dbsession, {"key": "size", "label": "How big?", "kind": "text"})
    assert first == again
    found = kept(dbsession)
    assert (found[first.digest], found[second.digest]) == (first.content, second.content)
    tenant = dbsession.scope.tenant_id
    read = forms(dbsession, [(tenant, first.digest), (tenant, "none")])
    assert read == {(tenant, first.digest): first}
    assert forms(dbsession, []) == {}


def test_a_form_from_before_forms_were_kept_is_kept_when_it_changes(dbsession):
    """Nothing was kept of it yet, and somebody may have answered it."""
    row, before = stored_service(dbsession, "pothole")
    old = from_plain(Question, {"key": "old", "label": "Old?", "kind": "text"})
    unkept = before.model_copy(update={"question": (old,)})
    made = {"today": TODAY, "now": NOW, "person_id": None, "source": "form"}
    write_service(dbsession, before, known=(row.id, unkept), **made)
    assert resolve([old], {}).digest in kept(dbsession)


WHO = {"key": "owner", "label": "The owner", "kind": "group", "group": "person"}


def test_a_changed_group_changes_every_form_that_puts_it_in(dbsession):
    known = publish_group(dbsession, group())
    outer = group(key="outer", question=[{**WHO, "key": "inner"}])
    publish_group(dbsession, outer)
    direct = ask(dbsession, WHO)
    nested = ask(dbsession, {**WHO, "group": "outer"}, key="graffiti")
    assert {each.key for each in asking_services(dbsession, "person")} == {"pothole", "graffiti"}
    publish_group(dbsession, group(question=PERSON["question"][:1]), known)
    found = kept(dbsession)
    groups = stored_groups(dbsession)
    for key, before in (("pothole", direct), ("graffiti", nested)):
        now = resolve(stored_service(dbsession, key)[1].question, groups)
        assert now != before
        assert len(now.questions) == 1
        assert {before.digest, now.digest} <= found.keys()


def test_what_a_form_depends_on_cannot_be_taken_out_of_its_group(dbsession):
    publish_group(dbsession, group())
    ask(
        dbsession,
        WHO,
        {
            "key": "call",
            "label": "Call?",
            "kind": "yes_no",
            "show_if": {"question": "owner-knows", "answers": ["yes"]},
        },
    )
    without = group(question=PERSON["question"][1:])
    assert [what for where, what in faults_of_group(dbsession, without) if where == "question"] == [
        (
            "service pothole puts it in: question[call].show_if.question: "
            "owner-knows is not an earlier question"
        )
    ]
    assert list(faults_of_group(dbsession, group(name="Somebody"))) == []


def test_a_loop_through_another_group_is_found_when_it_is_published(dbsession):
    publish_group(dbsession, group())
    publish_group(dbsession, group(key="outer", question=[{**WHO, "key": "inner"}]))
    looped = group(question=[{**WHO, "group": "outer"}])
    assert next(iter(faults_of_group(dbsession, looped))) == (
        "question[owner].group",
        "group person contains itself: person → outer → person",
    )


def test_groups_are_drafted_reviewed_and_published_like_services(dbsession):
    saved = versions.save_draft(dbsession, "question_group", PERSON, seen=None, now=NOW)
    assert PERSON["key"] not in stored_groups(dbsession)
    versions.review(dbsession, "question_group", "person", saved.number, now=NOW)
    versions.publish(dbsession, "question_group", "person", saved.number, today=TODAY, now=NOW)
    assert stored_groups(dbsession)["person"] == group()
    form = ask(dbsession, WHO)
    assert [each.key for each in form.questions] == ["owner-knows", "owner-name"]
    # a service's draft is checked against the groups that there are
    opened = versions.opened(dbsession, "service", "pothole")
    wrong = opened.content | {"question": [{**WHO, "group": "persons"}]}
    draft = versions.save_draft(dbsession, "service", wrong, seen=opened.number, now=NOW)
    with pytest.raises(versions.Faulty, match="there is no group of questions persons"):
        versions.review(dbsession, "service", "pothole", draft.number, now=NOW)


def test_a_form_without_questions_needs_no_keeping(dbsession):
    before = kept(dbsession)
    keep_forms(dbsession, [Form()])
    assert kept(dbsession) == before
