"""Drafts, reviews, publishing now and on a date, two people at once, what was before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from regional311.audit.models import AuditEvent
from regional311.catalog import versions
from regional311.catalog.models import Location, Organization, Service
from regional311.catalog.versions import (
    Faulty,
    InThePast,
    NotOpen,
    NotReviewed,
    Overlapping,
    bring_back,
    changes,
    discard,
    end,
    history,
    opened,
    publish,
    publish_due,
    resolve,
    resume,
    review,
    save_draft,
    to_merge,
    unschedule,
)
from regional311.config.apply import ChangedOnBothSides, apply
from regional311.config.export import export
from regional311.config.plan import Verdict, plan
from regional311.database.session import Scope, TenantSession, session_scope
from regional311.errors import AlreadyInForce, Conflict, NotFound
from regional311.strict import StoredUnreadable
from regional311.tenancy.models import Tenant

NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
TODAY = date(2026, 11, 3)
KEY = "pothole"

NEW = {
    "key": "leaf-day",
    "name": "Leaf day",
    "summary": "When leaves are collected in your street.",
    "verb": "find",
    "bureau": "pbot",
    "term": "leaf-day",
    "group": "Streets",
    "disposition": [{"valid_from": "2026-11-01", "kind": "resolve"}],
}


@pytest.fixture
def seen(dbsession: TenantSession) -> Any:
    found = opened(dbsession, "service", KEY)
    assert found is not None
    return found


def save(session: TenantSession, said: dict[str, Any], seen: int | None, **more: Any) -> Any:
    return save_draft(session, "service", said, seen=seen, now=NOW, **more)


def go_live(session: TenantSession, number: int, key: str = KEY, **more: Any) -> int:
    review(session, "service", key, number, now=NOW)
    return publish(session, "service", key, number, today=TODAY, now=NOW, **more)


def row(session: TenantSession, key: str = KEY, table: Any = Service) -> Any:
    return session.execute(
        select(table.__table__).where(table.tenant_id == session.scope.tenant_id, table.key == key)
    ).one_or_none()


def states(session: TenantSession, key: str = KEY, kind: str = "service") -> dict[int, str]:
    return {each.number: each.state for each in history(session, kind, key)}


def test_a_draft_changes_nothing_until_it_is_published(dbsession, seen) -> None:
    revision = dbsession.execute(select(Tenant.revision)).scalars().all()
    saved = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    assert row(dbsession).details.get("fee") is None
    assert states(dbsession)[saved.number] == "draft"
    with pytest.raises(NotReviewed):
        publish(dbsession, "service", KEY, saved.number, today=TODAY, now=NOW)
    go_live(dbsession, saved.number)
    assert row(dbsession).details["fee"] == "Free"
    assert row(dbsession).version == saved.number
    assert states(dbsession) == {seen.number: "retired", saved.number: "published"}
    assert dbsession.execute(select(Tenant.revision)).scalars().all() != revision
    done = dbsession.execute(
        select(AuditEvent.action).where(AuditEvent.detail["key"].astext == KEY)
    ).scalars()
    assert {"service:draft", "service:review", "service:publish"} <= set(done)


def test_a_new_service_is_drafted_and_published(dbsession) -> None:
    saved = save(dbsession, NEW, None)
    assert row(dbsession, "leaf-day") is None
    with pytest.raises(Conflict, match="There is leaf-day already"):
        save(dbsession, NEW, None)
    go_live(dbsession, saved.number, "leaf-day")
    assert row(dbsession, "leaf-day").name == "Leaf day"
    with pytest.raises(Conflict, match="There is leaf-day already"):
        save(dbsession, NEW, None)


def test_a_discarded_new_thing_leaves_its_key_free(dbsession) -> None:
    discard(dbsession, "service", "leaf-day", save(dbsession, NEW, None).number, now=NOW)
    assert opened(dbsession, "service", "leaf-day") is None
    assert save(dbsession, NEW, None).number == 2


def test_saving_nothing_new_makes_no_version(dbsession, seen) -> None:
    saved = save(dbsession, seen.content, seen.number)
    assert (saved.changed, saved.number) == (False, seen.number)
    assert len(states(dbsession)) == 1


def test_each_save_of_a_draft_is_a_version(dbsession, seen) -> None:
    first = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    second = save(dbsession, {**seen.content, "fee": "$1"}, first.number)
    assert states(dbsession) == {
        seen.number: "published",
        first.number: "superseded",
        second.number: "draft",
    }
    assert opened(dbsession, "service", KEY).number == second.number
    assert [(each.old, each.new) for each in changes(dbsession, "service", KEY, 2, 3)] == [
        ("Free", "$1")
    ]
    with pytest.raises(NotOpen):
        review(dbsession, "service", KEY, first.number, now=NOW)


def test_two_people_s_fields_are_both_kept(dbsession, seen) -> None:
    save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    second = save(dbsession, {**seen.content, "wait": "Two days"}, seen.number)
    assert second.merged == ("fee",)
    go_live(dbsession, second.number)
    details = row(dbsession).details
    assert (details["fee"], details["wait"]) == ("Free", "Two days")


def test_the_same_field_of_two_people_waits_beside_the_other_for_a_choice(dbsession, seen) -> None:
    first = save(dbsession, {**seen.content, "fee": "Free", "wait": "A day"}, seen.number)
    second = save(dbsession, {**seen.content, "fee": "$1", "email": "a@b.example"}, seen.number)
    assert [(each.field, each.mine, each.theirs) for each in second.overlaps] == [
        ("fee", "$1", "Free")
    ]
    assert states(dbsession)[first.number] == states(dbsession)[second.number] == "draft"
    against = to_merge(dbsession, "service", KEY, second.number, now=NOW)
    assert (against.number, against.merge.clean) == (first.number, False)
    undecided = resolve(dbsession, "service", KEY, second.number, first.number, {}, now=NOW)
    assert (undecided.changed, len(undecided.overlaps)) == (False, 1)
    merged = resolve(
        dbsession, "service", KEY, second.number, first.number, {"fee": "mine"}, now=NOW
    )
    go_live(dbsession, merged.number)
    details = row(dbsession).details
    assert (details["fee"], details["wait"], details["email"]) == ("$1", "A day", "a@b.example")
    assert states(dbsession)[first.number] == states(dbsession)[second.number] == "superseded"
    assert (
        to_merge(
            dbsession, "service", KEY, save(dbsession, seen.content, merged.number).number, now=NOW
        )
        is None
    )


def test_a_choice_made_of_something_older_is_asked_for_again(dbsession, seen) -> None:
    first = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    second = save(dbsession, {**seen.content, "fee": "$1"}, seen.number)
    third = save(dbsession, {**seen.content, "fee": "$3"}, first.number)
    again = resolve(
        dbsession, "service", KEY, second.number, first.number, {"fee": "theirs"}, now=NOW
    )
    assert (again.changed, again.overlaps[0].theirs) == (False, "$3")
    settled = resolve(
        dbsession, "service", KEY, second.number, third.number, {"fee": "theirs"}, now=NOW
    )
    assert opened(dbsession, "service", KEY).number == settled.number


def test_what_was_published_meanwhile_is_merged_into_what_is_published(dbsession, seen) -> None:
    waiting = save(dbsession, {**seen.content, "wait": "A day"}, seen.number)
    review(dbsession, "service", KEY, waiting.number, now=NOW)
    publish(dbsession, "service", KEY, waiting.number, today=TODAY, now=NOW, on=date(2027, 1, 1))
    at_once = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    go_live(dbsession, at_once.number)
    assert row(dbsession).details.get("wait") is None
    assert publish_due(dbsession, datetime(2027, 1, 1, 7, 59, tzinfo=UTC)).published == 0
    assert publish_due(dbsession, datetime(2027, 1, 1, 8, 1, tzinfo=UTC)).published == 1
    details = row(dbsession).details
    assert (details["wait"], details["fee"]) == ("A day", "Free")
    assert states(dbsession)[waiting.number] == "superseded"
    assert publish_due(dbsession, datetime(2027, 1, 1, 9, tzinfo=UTC)).published == 0


def test_a_date_on_which_somebody_must_choose_first_makes_it_a_draft_again(dbsession, seen) -> None:
    waiting = save(dbsession, {**seen.content, "fee": "$2"}, seen.number)
    go_live(dbsession, waiting.number, on=TODAY + timedelta(days=30))
    at_once = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    go_live(dbsession, at_once.number)
    with pytest.raises(Overlapping, match="changed the same: fee"):
        publish(dbsession, "service", KEY, waiting.number, today=TODAY, now=NOW)
    due = publish_due(dbsession, NOW + timedelta(days=30))
    assert due.published == 0
    assert [(each.number, "changed the same: fee" in each.why) for each in due.refused] == [
        (waiting.number, True)
    ]
    assert row(dbsession).details["fee"] == "Free"
    found = opened(dbsession, "service", KEY)
    assert (found.number, found.state, found.effective_on) == (waiting.number, "draft", None)
    noted = history(dbsession, "service", KEY)[1]
    assert "Choose between the two first" in noted.problem
    assert noted.note is None
    against = to_merge(dbsession, "service", KEY, waiting.number, now=NOW)
    assert against.number == at_once.number
    settled = resolve(
        dbsession, "service", KEY, waiting.number, at_once.number, {"fee": "mine"}, now=NOW
    )
    go_live(dbsession, settled.number)
    assert row(dbsession).details["fee"] == "$2"


def test_a_day_can_be_taken_back(dbsession, seen) -> None:
    saved = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    with pytest.raises(InThePast):
        go_live(dbsession, saved.number, on=TODAY - timedelta(days=1))
    go_live(dbsession, saved.number, on=TODAY + timedelta(days=1))
    assert opened(dbsession, "service", KEY).number == seen.number
    unschedule(dbsession, "service", KEY, saved.number, now=NOW)
    assert opened(dbsession, "service", KEY).number == saved.number
    assert publish_due(dbsession, NOW + timedelta(days=2)).published == 0


def test_a_scheduled_version_that_is_edited_is_reviewed_again_and_keeps_its_day(
    dbsession, seen
) -> None:
    saved = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    go_live(dbsession, saved.number, on=TODAY + timedelta(days=9))
    later = save(dbsession, {**seen.content, "fee": "$1"}, saved.number)
    assert states(dbsession)[saved.number] == "superseded"
    newest = history(dbsession, "service", KEY)[0]
    assert (newest.state, newest.effective_on) == ("draft", TODAY + timedelta(days=9))
    assert publish_due(dbsession, NOW + timedelta(days=9)).published == 0
    assert go_live(dbsession, later.number) == later.number


def test_what_names_something_unknown_is_not_reviewed(dbsession, seen) -> None:
    said = {**seen.content, "bureau": "pbott", "queue": "nowhere"}
    saved = save(dbsession, said, seen.number)
    with pytest.raises(Faulty) as refused:
        review(dbsession, "service", KEY, saved.number, now=NOW)
    assert dict(refused.value.faults) == {
        "bureau": "there is no bureau pbott; did you mean pbot?",
        "queue": "there is no queue nowhere",
    }
    assert versions.faults(dbsession, "service", said) == refused.value.faults
    assert versions.faults(dbsession, "service", seen.content) == ()


def test_a_shape_that_nobody_may_say_is_not_saved(dbsession, seen) -> None:
    with pytest.raises(StoredUnreadable):
        save(dbsession, {**seen.content, "verb": "sing"}, seen.number)
    assert len(states(dbsession)) == 1


def test_two_merges_that_together_say_too_little_are_a_choice(dbsession) -> None:
    dated = [
        {"valid_from": "2026-12-01", "valid_to": "2027-01-01", "kind": "resolve"},
        {"valid_from": "2027-01-01", "kind": "refer"},
    ]
    first = save(dbsession, {**NEW, "disposition": dated}, None)
    save(dbsession, {**NEW, "disposition": dated[:1]}, first.number)
    second = save(dbsession, {**NEW, "disposition": dated[1:]}, first.number)
    assert [each.field for each in second.overlaps] == ["disposition"]


def test_an_old_version_is_brought_back_as_a_draft_without_rewriting_history(
    dbsession, seen
) -> None:
    later = {"valid_from": "2027-01-01", "kind": "undecided"}
    begun = {**seen.content["disposition"][-1], "valid_to": "2027-01-01"}
    said = {
        **seen.content,
        "fee": "Free",
        "disposition": [*seen.content["disposition"][:-1], begun, later],
    }
    go_live(dbsession, save(dbsession, said, seen.number).number)
    back = bring_back(dbsession, "service", KEY, seen.number, now=NOW)
    assert history(dbsession, "service", KEY)[0].note == "Version 1 brought back"
    go_live(dbsession, back.number)
    found = opened(dbsession, "service", KEY).content
    assert "fee" not in found
    assert found["disposition"] == said["disposition"]
    with pytest.raises(NotFound):
        bring_back(dbsession, "service", KEY, 99, now=NOW)


def test_a_discarded_draft_can_be_brought_back(dbsession, seen) -> None:
    saved = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    discard(dbsession, "service", KEY, saved.number, now=NOW)
    assert opened(dbsession, "service", KEY).number == seen.number
    back = bring_back(dbsession, "service", KEY, saved.number, now=NOW)
    assert opened(dbsession, "service", KEY).content["fee"] == "Free"
    assert back.number == saved.number + 1


def test_a_tab_that_was_left_open_loses_nothing(dbsession, seen) -> None:
    """Somebody saves a form that showed a version which was published over since."""
    go_live(dbsession, save(dbsession, {**seen.content, "fee": "Free"}, seen.number).number)
    late = save(dbsession, {**seen.content, "wait": "A day"}, seen.number)
    assert late.merged == ("fee",)
    assert opened(dbsession, "service", KEY).content["fee"] == "Free"


def test_what_began_is_not_rewritten_and_nothing_is_half_published(dbsession, seen) -> None:
    entry = {**seen.content["disposition"][0], "kind": "undecided"}
    saved = save(dbsession, {**seen.content, "disposition": [entry]}, seen.number)
    review(dbsession, "service", KEY, saved.number, now=NOW)
    with pytest.raises(AlreadyInForce), dbsession.begin_nested():
        publish(dbsession, "service", KEY, saved.number, today=TODAY, now=NOW)
    assert states(dbsession)[seen.number] == "published"


def test_a_thing_ends_on_a_day_and_goes_on_again(dbsession, seen) -> None:
    with pytest.raises(InThePast):
        end(dbsession, "service", KEY, on=date(2026, 11, 1), today=TODAY, now=NOW)
    with pytest.raises(NotFound):
        end(dbsession, "service", "no-such", on=TODAY, today=TODAY, now=NOW)
    end(dbsession, "service", KEY, on=date(2026, 12, 1), today=TODAY, now=NOW)
    saved = save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    go_live(dbsession, saved.number)
    assert row(dbsession).ended_on == date(2026, 12, 1)
    resume(dbsession, "service", KEY, now=NOW)
    assert row(dbsession).ended_on is None
    end(dbsession, "service", KEY, on=TODAY, today=TODAY, now=NOW)
    with pytest.raises(Conflict, match="It ended on 2026-11-03"):
        end(dbsession, "service", KEY, on=TODAY, today=TODAY, now=NOW)
    back = bring_back(dbsession, "service", KEY, seen.number, now=NOW)
    go_live(dbsession, back.number)
    assert row(dbsession).ended_on is None
    with pytest.raises(NotFound):
        resume(dbsession, "service", "no-such", now=NOW)


@pytest.mark.parametrize(
    ("kind", "table", "said", "changed", "fault"),
    [
        (
            "organization",
            Organization,
            {"key": "pantry", "name": "Pantry", "description": "Gives food."},
            {"legal_status": "Nonprofit"},
            {"parent": "pantry"},
        ),
        (
            "location",
            Location,
            {"key": "hall", "name": "Hall", "address": "1 Main Street"},
            {"latitude": 45.5, "longitude": -122.6},
            {"latitude": 45.5},
        ),
    ],
)
def test_organisations_and_locations_have_versions_too(
    dbsession, kind, table, said, changed, fault
) -> None:
    first = save_draft(dbsession, kind, said, seen=None, now=NOW)
    review(dbsession, kind, said["key"], first.number, now=NOW)
    publish(dbsession, kind, said["key"], first.number, today=TODAY, now=NOW)
    wrong = save_draft(dbsession, kind, {**said, **fault}, seen=first.number, now=NOW)
    with pytest.raises(Faulty):
        review(dbsession, kind, said["key"], wrong.number, now=NOW)
    second = save_draft(dbsession, kind, {**said, **changed}, seen=wrong.number, now=NOW)
    review(dbsession, kind, said["key"], second.number, now=NOW)
    publish(dbsession, kind, said["key"], second.number, today=TODAY, now=NOW)
    assert opened(dbsession, kind, said["key"]).content == {**said, **changed}
    assert states(dbsession, said["key"], kind) == {
        1: "retired",
        2: "superseded",
        3: "published",
    }
    end(dbsession, kind, said["key"], on=TODAY, today=TODAY, now=NOW)
    assert row(dbsession, said["key"], table).ended_on == TODAY


def test_what_has_no_version_yet_gets_one_with_the_first_save(dbsession) -> None:
    dbsession.execute(
        text("UPDATE content_versions SET key = 'moved' WHERE kind = 'service' AND key = :key"),
        {"key": KEY},
    )
    found = opened(dbsession, "service", KEY)
    assert (found.number, found.state) == (1, "published")
    saved = save(dbsession, {**found.content, "fee": "Free"}, found.number)
    assert states(dbsession) == {1: "published", saved.number: "draft"}


def test_drafts_of_other_partners_are_not_seen(dbsession, seen, tenants) -> None:
    from regional311.database.session import acting_for

    save(dbsession, {**seen.content, "fee": "Free"}, seen.number)
    assert [each.key for each in versions.open_versions(dbsession, "service")] == [KEY]
    with acting_for(dbsession, tenants["multnomah-county"]):
        assert versions.open_versions(dbsession, "service") == []
        assert history(dbsession, "service", KEY) == []


# --- files and forms ------------------------------------------------------------------------------


@pytest.fixture
def changed_in_a_form(committed_database) -> Iterator[Any]:
    """A region in which a form published a fee and drafted a wait."""
    engine = committed_database.engine()
    with engine.connect() as connection:
        city = connection.execute(
            text("SELECT id FROM tenants WHERE slug = 'city-of-portland'")
        ).scalar_one()
    with session_scope(engine, Scope(UUID(str(city)))) as session:
        found = opened(session, "service", KEY)
        assert found is not None
        go_live(session, save(session, {**found.content, "fee": "Free"}, found.number).number)
        newest = opened(session, "service", KEY)
        assert newest is not None
        save(session, {**newest.content, "wait": "A day"}, newest.number)
    yield engine
    engine.dispose()


@pytest.mark.commits
def test_files_take_in_what_forms_published_and_never_overwrite_it(
    changed_in_a_form, tmp_path
) -> None:
    from tests.conftest import ROOT

    ahead = [each for each in plan(changed_in_a_form, ROOT, now=NOW).items if each.key == KEY]
    assert Verdict.AHEAD in [each.verdict for each in ahead]
    assert Verdict.CONFLICT not in [each.verdict for each in ahead]
    export(changed_in_a_form, tmp_path)
    assert 'fee = "Free"' in (tmp_path / "tenants/city-of-portland/services/pbot.toml").read_text()
    assert "A day" not in (tmp_path / "tenants/city-of-portland/services/pbot.toml").read_text()
    assert not plan(changed_in_a_form, tmp_path, now=NOW).changes
    path = tmp_path / "tenants/city-of-portland/services/pbot.toml"
    said = path.read_text()
    path.write_text(said.replace('fee = "Free"', 'fee = "$5"'))
    with pytest.raises(ChangedOnBothSides, match=r"fee: file \$5, forms Free"):
        apply(changed_in_a_form, tmp_path, now=NOW)
    path.write_text(said)
    apply(changed_in_a_form, tmp_path, now=NOW)
    path.write_text(said.replace('fee = "Free"', 'fee = "$5"'))
    apply(changed_in_a_form, tmp_path, now=NOW)
    with changed_in_a_form.connect() as connection:
        fee = connection.execute(
            text("SELECT details->>'fee' FROM services WHERE key = :key"), {"key": KEY}
        ).scalar_one()
    assert fee == "$5"
