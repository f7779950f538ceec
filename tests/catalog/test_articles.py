"""What an article says is looked at as a whole: its parts, its dates, and the ways through it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from regional311.catalog.articles import Article, Step, article_faults, walk_faults
from regional311.strict import canonical, from_plain

SERVICES = {"city/pothole", "county/jail"}
PLAIN: dict[str, Any] = {"key": "a", "kind": "answer", "title": "Who?", "text": "We do."}
NOTICE = {"kind": "notice", "valid_to": date(2026, 11, 7)}


def article(**said: Any) -> Article:
    return from_plain(Article, {**PLAIN, **said})


def faults(**said: Any) -> list[tuple[str, str]]:
    return list(article_faults(article(**said), "city", bureaus={"streets"}, services=SERVICES))


def step(key: str, *targets: str) -> dict[str, Any]:
    choices = [
        {"key": f"c{place}", "label": f"To {to}", "to": to} for place, to in enumerate(targets)
    ]
    return {"key": key, "text": f"Step {key}?", "choice": choices}


def walk(*steps: dict[str, Any]) -> list[tuple[str, str]]:
    return list(walk_faults(article(kind="script", step=list(steps)).step))


def test_an_article_without_a_fault():
    script = [
        step("ground", "step:wires", "end"),
        step("wires", "danger", "service:pothole", "service:county/jail", "step:ground"),
    ]
    assert faults(kind="script", step=script, services=["pothole"], bureau="streets") == []
    assert faults(**NOTICE, from_time="14:00", valid_from=date(2026, 11, 6)) == []


@pytest.mark.parametrize(
    ("said", "where", "what"),
    [
        ({"text": None}, "text", "one for staff"),
        ({"kind": "script"}, "step", "a script, and only a script"),
        ({"step": [step("a")]}, "step", "a script, and only a script"),
        ({"level": "warning"}, "level", "for notices only"),
        ({"shown": ["desk"]}, "shown", "for notices only"),
        ({"from_time": "10:00"}, "from_time", "for notices only"),
        ({"kind": "notice"}, "valid_to", "says when it ends"),
        ({**NOTICE, "shown": []}, "shown", "name desk, public or both"),
        ({**NOTICE, "text": None, "internal": "Staff."}, "text", "needs a part for everybody"),
        ({**NOTICE, "from_time": "10:00"}, "from_time", "give valid_from"),
        (
            {"valid_from": date(2026, 2, 2), "valid_to": date(2026, 2, 2)},
            "valid_to",
            "2026-02-02 00:00 is not after 2026-02-02 00:00",
        ),
        ({"bureau": "street"}, "bureau", "did you mean streets"),
        ({"services": ["pothol"]}, "services", "did you mean city/pothole"),
        ({"services": ["pothole", "city/pothole"]}, "services[city/pothole].service", "twice"),
        (
            {"translation": [{"language": "es", "title": "x"}] * 2},
            "translation[es].language",
            "twice",
        ),
    ],
)
def test_a_fault_says_where_it_is(said, where, what):
    found = faults(**said)
    assert [(path, what in message) for path, message in found] == [(where, True)]


def test_a_step_that_leads_nowhere_is_named_with_what_was_meant():
    assert faults(kind="script", step=[step("a", "step:bee", "end"), step("be", "end")]) == [
        ("step[a].choice[c0].to", "there is no step bee; did you mean be?"),
        ("step[be]", "no step leads here"),
    ]
    script = [step("a", "service:county/jial")]
    assert faults(kind="script", step=script) == [
        ("step[a].choice[c0].to", "there is no service county/jial; did you mean county/jail?")
    ]


def test_nobody_gets_lost_in_a_script():
    assert walk(step("a", "step:b"), step("b")) == []
    assert walk(step("a", "step:b", "step:c"), step("b", "step:a"), step("c", "end")) == []
    assert walk(step("a", "step:b"), step("b", "step:a")) == [
        ("step", "the script has no end: no step leads to a service, to danger or to an end")
    ]
    assert walk(
        step("a", "end", "step:b"), step("b", "step:c"), step("c", "step:b"), step("d", "end")
    ) == [
        ("step[d]", "no step leads here"),
        ("step[b]", "goes round in circles: no way from here leads to an end"),
        ("step[c]", "goes round in circles: no way from here leads to an end"),
    ]


@pytest.mark.parametrize("to", ["", "stop", "step:", "step:A", "service:a/b/c", "END", "danger:1"])
def test_a_choice_leads_to_a_step_a_service_danger_or_an_end(to):
    with pytest.raises(ValidationError):
        Step.model_validate_json(
            f'{{"key":"a","text":"t","choice":[{{"key":"c","label":"l","to":"{to}"}}]}}'
        )


KEYS = ["a", "b", "c", "d", "e"]


@given(
    st.lists(
        st.lists(st.sampled_from([*(f"step:{key}" for key in KEYS), "end", "danger"]), max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_a_script_without_a_fault_can_be_walked_to_an_end_from_wherever_one_gets(ways):
    steps = [step(key, *targets) for key, targets in zip(KEYS, ways, strict=False)]
    known = {each["key"] for each in steps}
    if any(
        c["to"].startswith("step:") and c["to"][5:] not in known for s in steps for c in s["choice"]
    ):
        return
    targets = {each["key"]: [c["to"] for c in each["choice"]] for each in steps}

    def ends(key: str, seen: frozenset[str]) -> bool:
        return not targets[key] or any(
            not to.startswith("step:") or (to[5:] not in seen and ends(to[5:], seen | {to[5:]}))
            for to in targets[key]
        )

    def reached(key: str, seen: set[str]) -> set[str]:
        seen.add(key)
        for to in targets[key]:
            if to.startswith("step:") and to[5:] not in seen:
                reached(to[5:], seen)
        return seen

    here = reached(KEYS[0], set())
    sound = here == known and all(ends(key, frozenset({key})) for key in here)
    assert (walk(*steps) == []) == sound


def test_a_notice_holds_from_its_first_to_its_last_minute():
    notice = article(**NOTICE, valid_from=date(2026, 11, 6), from_time="12:00", to_time="09:30")
    for moment, shown in [
        (datetime(2026, 11, 6, 11, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 6, 12, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 7, 9, 29, tzinfo=UTC), True),
        (datetime(2026, 11, 7, 9, 30, tzinfo=UTC), False),
    ]:
        assert notice.holds(moment) is shown
    assert article().holds(datetime(2026, 1, 1, tzinfo=UTC))


def test_what_is_for_everybody():
    assert article().public
    assert not article(text=None, internal="Staff.").public
    assert article(**NOTICE).public
    assert not article(**NOTICE, shown=["desk"]).public


def test_services_are_named_once_with_their_partner():
    script = [step("a", "service:pothole", "service:county/jail", "end")]
    said = article(kind="script", services=["city/pothole"], step=script)
    assert said.refs("city") == ("city/pothole", "county/jail")
    assert from_plain(Article, canonical(said)) == said
