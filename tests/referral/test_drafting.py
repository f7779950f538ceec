"""Drafts of rules: edited in steps, undone, merged, checked, approved by somebody else."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from regional311.config.rule_file import (
    BadRuleFile,
    canonical_rule,
    read_rule_file,
    rule_file,
)
from regional311.database.rows import send
from regional311.database.session import Scope, acting_for, scope_of
from regional311.errors import Conflict, NotFound
from regional311.referral import drafting, rule_editing
from regional311.referral.cases import CaseFacts, UnknownService, decide_facts, run_cases
from regional311.referral.drafting import ChangedMeanwhile, Content, NotADraft, Unfit
from regional311.referral.models import RuleSet
from regional311.referral.publishing import DrafterMayNotApprove, NotChecked, approve_rules
from regional311.referral.rule_editing import TooMany
from regional311.referral.rules import BadRule, RuleBook, rules_from
from regional311.referral.rules import RuleSet as Compiled
from regional311.strict import digest
from tests.little_region import IDS

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
TODAY = date(2026, 11, 20)
RULES = tuple(
    {"key": key, "name": f"Rule {key}", "outcome": "information"} for key in ("a", "b", "c")
)


def row(session, version):
    return session.execute(
        select(RuleSet.__table__).where(
            RuleSet.tenant_id == scope_of(session).tenant_id, RuleSet.version == version
        )
    ).one()


def keys(session, version) -> list[str]:
    return [each["key"] for each in row(session, version).rules]


def test_changes_are_kept_and_undone_and_several_drafts_live_beside_each_other(city):
    one = drafting.begin(city, Content(RULES), now=NOW)
    two = drafting.begin(city, Content(()), now=NOW, based_on=one)
    assert two == one + 1
    move = lambda rules: rule_editing.moved(rules, "c", 0)  # noqa: E731
    drafting.change_rules(city, one, "move", "c", move, now=NOW)
    remove = lambda rules: rule_editing.removed(rules, "a")  # noqa: E731
    drafting.change_rules(city, one, "remove", "a", remove, now=NOW)
    assert keys(city, one) == ["c", "b"]
    drafting.undo(city, one, now=NOW)
    assert keys(city, one) == ["c", "a", "b"]
    drafting.undo(city, one, now=NOW)
    assert keys(city, one) == ["c", "b"]
    assert keys(city, two) == []
    assert [each.what for each in drafting.history(city, row(city, one).id)] == [
        "undo",
        "undo",
        "remove",
        "move",
    ]
    with pytest.raises(drafting.NothingToUndo):
        drafting.undo(city, two, now=NOW)
    with pytest.raises(NotFound):
        drafting.undo(city, 999, now=NOW)


def test_two_people_change_different_rules_and_the_same(city):
    version = drafting.begin(city, Content(RULES), now=NOW)
    seen = {each["key"]: digest(each) for each in RULES}
    for key in ("a", "b"):
        new = {**RULES[0], "key": key, "name": f"New {key}"}
        drafting.save_rule(city, version, new, key=key, seen=seen[key], now=NOW)
    assert [each["name"] for each in row(city, version).rules] == ["New a", "New b", "Rule c"]
    with pytest.raises(ChangedMeanwhile):
        drafting.save_rule(city, version, RULES[0], key="a", seen=seen["a"], now=NOW)
    with pytest.raises(Conflict, match="already"):
        drafting.save_rule(city, version, RULES[0], key=None, now=NOW)
    with pytest.raises(BadRule):
        drafting.save_rule(city, version, {"key": "d", "outcome": "fly"}, key=None, now=NOW)
    with pytest.raises(NotFound):
        drafting.save_rule(city, version, RULES[0], key="gone", now=NOW)


def test_only_who_changed_nothing_approves_what_was_checked(city):
    version = drafting.begin(city, Content(RULES[:1]), now=NOW)
    approve = lambda session, found=(): approve_rules(  # noqa: E731
        session, version, decides_from=date(2030, 1, 1), today=TODAY, now=NOW,
        problems=lambda _row: found,
    )  # fmt: skip
    with pytest.raises(DrafterMayNotApprove):
        approve(city)
    with pytest.raises(Unfit, match="Rule 'x'"):
        drafting.mark_checked(city, version, ["Rule 'x': wrong."], now=NOW)
    drafting.mark_checked(city, version, [], now=NOW)
    assert row(city, version).state == "checked"
    with acting_as(city, 43) as editor:
        drafting.rename(editor, version, "Winter", now=NOW)
        assert row(editor, version).state == "draft"
        with pytest.raises(DrafterMayNotApprove):
            approve(editor)
    with acting_as(city, 44) as second:
        with pytest.raises(NotChecked):
            approve(second)
        drafting.mark_checked(second, version, [], now=NOW)
        with pytest.raises(Unfit, match="Test 'night'"):
            approve(second, ("Test 'night' must come to refer.",))
        approve(second)
        with pytest.raises(NotADraft):
            drafting.discard(second, version, now=NOW)
    found = row(city, version)
    assert (found.state, found.approved_by) == ("published", UUID(int=44))


@contextmanager
def acting_as(session, person: int):
    """The same transaction, as another person."""
    before = session.scope
    send(session)
    session._scope = Scope(before.tenant_id, UUID(int=person))
    yield session
    send(session)
    session._scope = before


def test_a_draft_that_is_given_up_is_never_edited(city):
    version = drafting.begin(city, Content(RULES), now=NOW)
    drafting.discard(city, version, now=NOW)
    with pytest.raises(NotADraft):
        drafting.undo(city, version, now=NOW)
    assert row(city, version).state == "discarded"


def test_no_other_partner_reads_a_draft(city):
    version = drafting.begin(city, Content(RULES), now=NOW)
    mine = row(city, version)
    sees = lambda session: session.execute(  # noqa: E731
        select(RuleSet.version).where(RuleSet.tenant_id == mine.tenant_id)
    ).scalars()
    assert set(sees(city)) == {3, version}
    with acting_for(city, IDS["county"]):
        assert set(sees(city)) == {3}


# --- lists ----------------------------------------------------------------------------------------


@given(st.permutations(["a", "b", "c", "d"]), st.sampled_from("abcd"), st.integers(-2, 9))
def test_moving_keeps_every_rule_and_the_order_of_the_others(order, key, to):
    rules = [{"key": each} for each in order]
    after = [each["key"] for each in rule_editing.moved(rules, key, to)]
    assert [each for each in after if each != key] == [each for each in order if each != key]
    assert after.index(key) == max(0, min(to, 3))


def test_copies_are_off_and_have_a_key_of_their_own():
    after = rule_editing.copied(RULES, "a", "Rule a")
    assert [each["key"] for each in after] == ["a", "rule-a", "b", "c"]
    assert after[1]["off"] is True
    on = rule_editing.switched(after, "rule-a")
    assert "off" not in on[1]
    assert rule_editing.switched(on, "rule-a") == after
    many = [{"key": str(number)} for number in range(rule_editing.MOST_RULES)]
    with pytest.raises(TooMany):
        rule_editing.added(many, {"key": "more"})


# --- files ----------------------------------------------------------------------------------------

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30
)
some_rule = st.fixed_dictionaries(
    {"name": words, "outcome": st.sampled_from(["information", "resolve_here", "open_request"])},
    optional={
        "services": st.lists(st.sampled_from(["pothole", "county/road"]), min_size=1, max_size=2),
        "branches": st.just(["region:roads"]),
        "hours": st.sampled_from(["open", "closed"]),
        "confidential": st.booleans(),
        "condition": st.sampled_from(['"a\\"b" in terms', "hour > 3"]),
        "note": st.text(
            st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n"),
            min_size=1,
            max_size=60,
        ),
        "off": st.just(True),
        "group": words,
        "basis": words,
        "remark": words,
        "follow_up_days": st.integers(1, 365),
        "valid_from": st.just("2026-10-01"),
        "valid_to": st.just("2026-12-01"),
    },
)


@given(st.lists(some_rule, min_size=1, max_size=4), st.one_of(st.none(), words))
def test_out_and_in_again_is_the_same(said, title):
    rules = tuple(canonical_rule({"key": f"r{at}", **each}) for at, each in enumerate(said))
    case = {"key": "t", "name": "T", "facts": {"asked": "city/pothole", "hour": 22},
            "outcome": "information"}  # fmt: skip
    content = Content(rules, (case,), title)
    assert read_rule_file(rule_file(content).encode()) == content


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\xff", "not UTF-8"),
        (b"[[rule", "not TOML"),
        (b"", "rule: is missing"),
        (b"[[rule]]\nkey='a'\nname='A'\noutcome='refer'\n", "rule[a].target: is missing"),
        (b"[[rule]]\nkey='a'\nname='A'\noutcome='information'\ntarget='self'\n", "no target"),
        (b"[[rule]]\nkey='a'\nname='A'\nhours='never'\noutcome='information'\n", "rule[a].hours"),
        (
            b"[[rule]]\nkey='a'\nname='A'\noutcome='information'\n" * 2,
            "rule[a].key: a is used twice",
        ),
        (b"[[rule]]\nkey='a'\nname='A'\noutcome='information'\ncondition='typo'\n", "Unknown fact"),
        (b"x" * 2_000_001, "larger than"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text, says):
    with pytest.raises(BadRuleFile) as refused:
        read_rule_file(text)
    assert says in " ".join(refused.value.problems)


def test_a_form_says_no_rule_that_a_file_could_not():
    with pytest.raises(BadRule) as refused:
        canonical_rule({"key": "a", "name": "A", "outcome": "information", "follow_up_days": 900})
    assert refused.value.field == "follow_up_days"


# --- tests kept with the rules, and branches ------------------------------------------------------


def test_cases_pass_or_say_what_came_instead(region):
    found = region.region(TODAY)
    facts = {"asked": "city/pothole", "boundaries": ["city/portland"]}
    case = {"key": "t", "name": "T", "facts": facts, "outcome": "open_request", "target": "city"}
    wrong = [
        {**case, "outcome": "decline"},
        {**case, "rule": "other"},
        {**case, "facts": {"asked": "city/gone"}},
    ]
    ran = run_cases(found, region.jurisdictions, "city", [case, *wrong], TODAY)
    assert [each.passed for each in ran] == [True, False, False, False]
    assert "must come to decline (city), and comes to open_request (city)" in ran[1].wrong
    assert "by rule other" in ran[2].wrong
    assert ran[3].wrong == "There is no service city/gone."


def test_facts_that_are_given_count_before_those_that_follow(region):
    found = region.region(TODAY)
    decide = lambda **facts: decide_facts(  # noqa: E731
        found, region.jurisdictions, "city", CaseFacts(asked="city/pothole", **facts), TODAY
    )
    assert decide(owner="county").facts.service in ("bridge-pothole", "road-pothole")
    assert decide(owner="odot").facts.service == "pothole"
    assert decide(owner="nobody").owner == ""
    assert decide(near_boundary=True).facts.near_boundary
    assert decide(boundaries=("city/nowhere",)).facts.boundaries == ()
    with pytest.raises(UnknownService):
        decide_facts(found, region.jurisdictions, "city", CaseFacts(asked="city/x"), TODAY)


def test_a_branch_holds_the_services_below_it():
    from regional311.referral.conditions import Facts

    rules = rules_from(
        [{"key": "roads", "name": "Roads", "branches": ["region:roads"], "outcome": "information"}]
    )
    below = {"region:roads": frozenset({"city/pothole"})}
    book = RuleBook.of(Compiled("city", 1, rules), below.__getitem__)
    on = TODAY
    assert book.try_rules(Facts(owner="city", service="pothole"), on).trace == "="
    assert book.try_rules(Facts(asked="city/pothole", owner="county"), on).trace == "="
    assert book.try_rules(Facts(owner="city", service="tree"), on).trace == "k"
