"""The form builder through HTTP: every change a draft, nothing broken, all without a script."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest

from regional311.catalog import versions
from regional311.database.session import Scope, open_session, session_scope
from regional311.referral.snapshot import invalidate
from tests.web.test_catalogue_pages import publish

CITY, COUNTY = "city-of-portland", "multnomah-county"
pytestmark = pytest.mark.commits


@pytest.fixture(scope="module")
def clock():
    from .conftest import Clock

    return Clock(datetime(2026, 11, 3, 18, tzinfo=UTC))


@pytest.fixture(scope="module")
def plain(web_engine, people) -> str:
    """The key of a service of the City, made to ask nothing."""
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        now = datetime(2026, 11, 3, 17, tzinfo=UTC)
        found = versions.opened(session, "service", "graffiti")
        assert found is not None
        said = {name: value for name, value in found.content.items() if name != "question"}
        saved = versions.save_draft(session, "service", said, seen=found.number, now=now)
        if saved.changed:
            versions.review(session, "service", "graffiti", saved.number, now=now)
            versions.publish(
                session, "service", "graffiti", saved.number, today=now.date(), now=now
            )
    invalidate()
    return "graffiti"


@pytest.fixture
def keeper(sign_in):
    return sign_in("keeper", CITY)


@pytest.fixture
def builder(keeper, plain, web_engine, people):
    """The address of the builder; every draft of a test before is given up."""
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        for row in versions.open_versions(session, "service", "question_group"):
            versions.discard(session, row.kind, row.key, row.number, now=datetime.now(UTC))
    return f"/{CITY}/services/{plain}/questions"


def add(browser: Any, address: str, kind: str, label: str, **values: Any) -> Any:
    form = browser.get(f"{address}/add?kind={kind}").forms["question"]
    form.fields["label"][0].value = label
    fill(form, values)
    return form.submit("submit")


def fill(form: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name == "answers":
            for field, text in zip(form.fields["label"][1:], value, strict=False):
                field.value = text
        elif name.startswith("if-"):
            for box in form.fields[name]:
                box.checked = box._value in value
        elif name == "label":
            form.fields["label"][0].value = value
        else:
            form[name] = value


def send(browser: Any, page: Any, fields: Any, **options: Any) -> Any:
    """Send fields where the form of a page sends them: to the page itself."""
    return browser.post(page.request.path_qs, fields, **options)


def asked(page: Any) -> list[str]:
    return [each.text.split(". ", 1)[1] for each in page.html.select(".q-item__label")]


def build_a_branch(browser: Any, address: str) -> Any:
    add(browser, address, "choice", "How big is it?", answers=["Small", "Large"], required=True)
    return add(
        browser,
        address,
        "number",
        "How wide is it?",
        minimum="1",
        show_if="all",
        **{"if-how-big-is-it": ["large"]},
    ).follow()


def press(page: Any, value: str, path: str = "/move") -> Any:
    """Press a button of the list, as a browser sends it."""
    form = page.forms["change"]
    button = page.html.select_one(f'button[form=change][value="{value}"]')
    assert button is not None, value
    action = button.get("formaction") or form.action
    assert action.endswith(path)
    fields = {"csrf_token": form["csrf_token"].value, "seen": form["seen"].value}
    return page.goto(action, method="post", params={**fields, "question": value})


def test_a_form_is_built_from_nothing(keeper, builder):
    page = keeper.get(builder)
    assert "It asks nothing yet." in page
    assert "This form asks nothing yet." in page
    kinds = page.click("Add the first question")
    assert "What kind of answer does it have?" in kinds
    page = build_a_branch(keeper, builder)
    assert asked(page) == ["How big is it?", "How wide is it?"]
    assert "Only if “How big is it?” is answered: Large." in page
    assert "a draft: people are still asked what is published" in page
    # the preview is the form itself, with its branch
    frame = page.html.select_one(".q-frame")
    assert frame.select_one("[data-asked-if]")["data-asked-if"] == (
        '[[["answer-how-big-is-it", ["large"]]]]'
    )
    # nobody else is asked it, and nobody else sees it
    assert "How big is it?" not in keeper.get(f"/report?service={CITY}/graffiti&danger=none")


def test_who_may_only_read_sees_what_is_published(keeper, builder, sign_in):
    build_a_branch(keeper, builder)
    page = sign_in("specialist", CITY).get(builder)
    assert asked(page) == []
    assert not page.html.select("form#change")
    assert "Add a question" not in page


def test_questions_move_and_go_and_come_back(keeper, builder):
    page = build_a_branch(keeper, builder)
    page = add(keeper, builder, "yes_no", "Is it old?").follow()
    moved = press(page, "is-it-old up")
    assert moved.location.endswith("/questions#q-is-it-old")
    page = moved.follow()
    assert asked(page) == ["How big is it?", "Is it old?", "How wide is it?"]
    page = press(page, "is-it-old", "/remove").follow()
    assert asked(page) == ["How big is it?", "How wide is it?"]
    assert "is taken out" in page
    fields = {name: page.forms["change"][name].value for name in ("csrf_token", "seen")}
    page = page.goto(f"{builder}/undo", method="post", params=fields).follow()
    assert asked(page) == ["How big is it?", "Is it old?", "How wide is it?"]


def test_what_another_question_depends_on_stays(keeper, builder):
    page = build_a_branch(keeper, builder)
    page = press(page, "how-big-is-it", "/remove").follow()
    assert (
        "“How wide is it?” is asked only after an answer to “How big is it?”: "
        "change that one first." in page
    )
    page = press(page, "how-wide-is-it up").follow()
    assert "so that it comes after it" in page
    assert asked(page) == ["How big is it?", "How wide is it?"]


def test_an_answer_that_is_depended_on_is_not_taken_out(keeper, builder):
    build_a_branch(keeper, builder)
    opened = keeper.get(f"{builder}/edit?question=how-big-is-it")
    form = opened.forms["question"]
    form.fields["label"][2].value = ""  # the second answer: its row has a key, and needs words
    page = form.submit("submit", status=400)
    assert "Answer 2, Answer: Fill this in." in page
    fields = [each for each in form.submit_fields() if each != ("key", "large")]
    place = next(n for n, each in enumerate(fields) if each == ("label", "Small"))
    kept = fields[: place + 2]
    closing = [each for each in fields if each == ("__end__", "choice:sequence")]
    after = fields[fields.index(closing[0]) :]
    page = send(keeper, opened, [*kept, *after, ("submit", "submit")], status=400)
    assert "“How wide is it?”: large is not an answer of how-big-is-it" in page


def test_a_question_cannot_depend_on_itself(keeper, builder):
    """The form offers only earlier questions; a forged one is refused like any unknown answer."""
    build_a_branch(keeper, builder)
    opened = keeper.get(f"{builder}/edit?question=how-big-is-it")
    form = opened.forms["question"]
    assert "show_if" not in form.fields
    page = send(
        keeper,
        opened,
        [*form.submit_fields(), ("show_if", "all"), ("submit", "submit")],
        status=400,
    )
    assert "fields it does not have: show_if" in page
    form = keeper.get(f"{builder}/edit?question=how-wide-is-it").forms["question"]
    assert form["show_if"].options == [
        ("always", False, None),
        ("all", True, None),
        ("any", False, None),
    ]
    assert "if-how-wide-is-it" not in form.fields
    for box in form.fields["if-how-big-is-it"]:
        box.checked = False
    page = form.submit("submit", status=400)
    assert "When it is asked: Tick below after which answers it is asked." in page


def test_a_question_is_asked_after_several_answers(keeper, builder):
    """All of them must have been given, or any one of them is enough."""
    build_a_branch(keeper, builder)
    add(keeper, builder, "yes_no", "Is it deep?")
    both = {"if-how-big-is-it": ["large"], "if-is-it-deep": ["yes"]}
    page = add(keeper, builder, "text", "What is in it?", show_if="all", **both).follow()
    assert "Only if “How big is it?” is answered: Large." in page
    assert "Only if “Is it deep?” is answered: Yes." in page
    form = keeper.get(f"{builder}/edit?question=what-is-in-it").forms["question"]
    assert form["show_if"].value == "all"
    form["show_if"] = "any"
    page = form.submit("submit").follow()
    either = "Only if one of these was answered: “How big is it?” Large; “Is it deep?” Yes."
    assert either in page
    shown = page.html.select_one(".q-frame").find(string=re.compile("What is in it"))
    clause = '[[["answer-how-big-is-it", ["large"]], ["answer-is-it-deep", ["yes"]]]]'
    assert shown.find_parent(attrs={"data-asked-if": True})["data-asked-if"] == clause


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("choice", {}, "Answers to choose from: List at least one answer."),
        ("number", {"minimum": "5", "maximum": "2"}, "Largest: Must not be below minimum."),
        ("text", {"longest": "9000"}, "Most characters: must be at most 4000."),
        (
            "date",
            {"earliest": "before"},
            "How many days: Enter how many days.",
        ),
        (
            "date",
            {"earliest": "after", "earliest_count": "3", "latest": "today"},
            "Latest day: Must not be below earliest_days.",
        ),
        ("text", {"label": ""}, "Question: Fill this in."),
        ("text", {"label": "x" * 201}, "Question: Use at most 200 characters"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(keeper, builder, kind, values, message):
    form = keeper.get(f"{builder}/add?kind={kind}").forms["question"]
    form.fields["label"][0].value = "Something?"
    fill(form, values)
    page = form.submit("submit", status=400)
    assert message in page.html.select_one(".r-error-summary").text, page.html.select_one(
        ".r-error-summary"
    )
    assert asked(keeper.get(builder)) == []


def test_every_kind_can_be_made_and_edited(keeper, builder):
    kinds = [
        "yes_no",
        "text",
        "long_text",
        "number",
        "date",
        "date_time",
        "choice",
        "choices",
        "place",
        "phone",
        "email",
        "file",
    ]
    for kind in kinds:
        more = {"answers": ["One", "Two"]} if kind in ("choice", "choices") else {}
        if kind == "date":
            more = {"earliest": "before", "earliest_count": "7", "latest": "today"}
        add(keeper, builder, kind, f"About {kind}?", hint="Help.", **more)
    page = keeper.get(builder)
    assert asked(page) == [f"About {kind}?" for kind in kinds]
    assert "At most 7 days ago. Not after today." in page
    for kind in kinds:
        address = f"{builder}/edit?question=about-{kind.replace('_', '-')}"
        form = keeper.get(address).forms["question"]
        assert form["hint"].value == "Help."
        form.fields["label"][0].value = f"Concerning {kind}?"
        form.submit("submit")
    assert asked(keeper.get(builder)) == [f"Concerning {kind}?" for kind in kinds]
    form = keeper.get(f"{builder}/edit?question=about-date").forms["question"]
    assert (form["earliest"].value, form["earliest_count"].value) == ("before", "7")
    assert form["latest"].value == "today"


def test_answers_move_and_keep_their_keys(keeper, builder):
    build_a_branch(keeper, builder)
    opened = keeper.get(f"{builder}/edit?question=how-big-is-it")
    form = opened.forms["question"]
    rows = [*form.submit_fields(), ("rows", "up choice.1")]
    page = send(keeper, opened, rows)
    form = page.forms["question"]
    assert [each.value for each in form.fields["label"][1:3]] == ["Large", "Small"]
    form.fields["label"][1].value = "Larger than a plate"
    page = form.submit("submit").follow()
    answers = [each.text for each in page.html.select(".q-item .q-answers li")]
    assert answers == ["Larger than a plate", "Small"]
    # the branch follows the key, not the words
    assert "Only if “How big is it?” is answered: Larger than a plate." in page


def test_another_kind_of_answer(keeper, builder):
    build_a_branch(keeper, builder)
    page = keeper.get(f"{builder}/edit?question=how-wide-is-it&kind=text")
    form = page.forms["question"]
    assert form.fields["label"][0].value == "How wide is it?"
    assert "minimum" not in form.fields
    page = form.submit("submit").follow()
    assert "A few words" in page.html.select_one("#q-how-wide-is-it").text
    # what others depend on cannot become something without answers
    form = keeper.get(f"{builder}/edit?question=how-big-is-it&kind=text").forms["question"]
    page = form.submit("submit", status=400)
    assert "“How wide is it?”: how-big-is-it is text; name one with answers to choose." in page


def test_the_three_ways_it_looks(keeper, builder):
    build_a_branch(keeper, builder)
    desk = keeper.get(builder)
    assert "As a specialist sees it" in desk
    public = desk.click("On the public page", index=0)
    assert "As everybody sees it" in public
    spanish = public.click("Spanish", index=-1)
    assert spanish.html.select_one('.q-frame span[lang="en"]').text == "How big is it?"
    programs = desk.click("For programs")
    shown = [json.loads(each.text) for each in programs.html.select("pre")]
    assert shown[0]["service_code"] == "graffiti"
    assert [each["code"] for each in shown[0]["attributes"]] == ["how-big-is-it", "how-wide-is-it"]
    assert shown[1]["required"] == ["how-big-is-it"]
    part = keeper.get(f"{builder}?preview=public", headers={"HX-Request": "true"})
    assert "<html" not in part
    assert "As everybody sees it" in part


def test_a_question_is_seen_while_it_is_written(keeper, builder):
    build_a_branch(keeper, builder)
    opened = keeper.get(f"{builder}/add?kind=choice")
    form = opened.forms["question"]
    form.fields["label"][0].value = "What colour?"
    fill(form, {"answers": ["Red", "Blue"]})
    sent = [*form.submit_fields(), ("look", "public")]
    part = send(keeper, opened, sent, headers={"HX-Request": "true"})
    assert "<html" not in part
    assert "What colour?" in part
    assert "As everybody sees it" in part
    # without a script the page comes back with what was typed, and nothing is said to be wrong
    page = send(keeper, opened, sent)
    assert page.forms["question"].fields["label"][0].value == "What colour?"
    assert "What colour?" in page.html.select_one(".q-frame").text
    opened = keeper.get(f"{builder}/add?kind=choice")
    unfinished = opened.forms["question"]
    page = send(keeper, opened, [*unfinished.submit_fields(), ("look", "desk")])
    assert not page.html.select(".r-error-summary")
    assert asked(keeper.get(builder)) == ["How big is it?", "How wide is it?"]


def test_for_programs(keeper, builder, sign_in):
    build_a_branch(keeper, builder)
    draft = keeper.get(f"{builder}?format=json").json
    assert draft["state"] == "draft"
    assert draft["json_schema"]["properties"].keys() == {"how-big-is-it", "how-wide-is-it"}
    by_header = keeper.get(builder, headers={"Accept": "application/json"}).json
    assert by_header == draft
    pothole = f"/{CITY}/services/pothole/questions?format=json&language=es"
    published = sign_in("auditor", CITY).get(pothole).json
    assert (published["state"], published["language"]) == ("published", "es")
    assert published["open311"]["service_code"] == "pothole"
    assert len(published["form"]) == 64
    sign_in("auditor", COUNTY).get(pothole, status=404)


def test_words_in_another_language_side_by_side(keeper, builder):
    build_a_branch(keeper, builder)
    page = keeper.get(builder)
    assert "Spanish: 4 texts are missing" in page.text.replace("</a>", "")
    page = keeper.get(f"{builder}/translate?language=es")
    form = page.forms["words"]
    assert [each.text for each in page.html.select(".r-field__beside")] == [
        "How big is it?",
        "Small",
        "Large",
        "How wide is it?",
    ]
    form["label.how-big-is-it"] = "¿Qué tan grande es?"
    form["choice.how-big-is-it.large"] = "Grande"
    page = form.submit("submit").follow()
    assert "Spanish: 2 texts are missing" in page.text.replace("</a>", "")
    looks = keeper.get(f"{builder}?preview=public&language=es")
    assert "¿Qué tan grande es?" in looks
    assert "Grande" in looks
    again = keeper.get(f"{builder}/translate?language=es").forms["words"]
    assert again["choice.how-big-is-it.large"].value == "Grande"
    # edited in the own language, the translation stays
    form = keeper.get(f"{builder}/edit?question=how-big-is-it").forms["question"]
    form["hint"] = "About."
    form.submit("submit")
    again = keeper.get(f"{builder}/translate?language=es").forms["words"]
    assert again["label.how-big-is-it"].value == "¿Qué tan grande es?"
    again["hint.how-big-is-it"] = "Más o menos."
    again["label.how-big-is-it"] = ""
    assert "Put the question itself into this language, too." in again.submit("submit", status=400)
    keeper.get(f"{builder}/translate?language=en", status=404)


def test_two_people_at_once(keeper, builder, sign_in):
    build_a_branch(keeper, builder)
    other = sign_in("editor", CITY)
    theirs = other.get(f"{builder}/edit?question=how-wide-is-it").forms["question"]
    mine = keeper.get(f"{builder}/edit?question=how-big-is-it").forms["question"]
    mine["hint"] = "About."
    mine.submit("submit")
    theirs.fields["label"][0].value = "How wide, in feet?"
    page = theirs.submit("submit").follow()
    assert "together with what somebody else changed meanwhile" in page
    page = keeper.get(builder)
    assert asked(page) == ["How big is it?", "How wide, in feet?"]
    assert "About." in page
    # the same words by two: both are kept until somebody chooses
    one = keeper.get(f"{builder}/edit?question=how-big-is-it").forms["question"]
    two = other.get(f"{builder}/edit?question=how-big-is-it").forms["question"]
    one.fields["label"][0].value, two.fields["label"][0].value = "How large?", "What size?"
    one.submit("submit")
    choose = two.submit("submit").follow()
    assert "How large?" in choose
    assert "What size?" in choose


def test_published_it_is_asked(keeper, builder, sign_in, testapp, web_engine, people):
    page = build_a_branch(keeper, builder)
    address = page.html.select_one("a[href*='version?number']")["href"]
    publish(sign_in("editor", CITY), address)
    invalidate()
    try:
        report = testapp.get(f"/report?service={CITY}/graffiti&danger=none")
        assert "How big is it?" in report
        assert asked(sign_in("specialist", CITY).get(builder)) == [
            "How big is it?",
            "How wide is it?",
        ]
    finally:
        with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
            versions.change_published(
                session,
                "service",
                "graffiti",
                lambda service: service.model_copy(update={"question": ()}),
                today=date(2026, 11, 3),
                now=datetime(2026, 11, 3, 19, tzinfo=UTC),
                source="form",
                publish=True,
            )
        invalidate()


def test_a_group_is_made_put_in_and_published(keeper, builder, sign_in, web_engine, people):
    page = keeper.get(f"/{CITY}/question-groups")
    form = page.click("New group").forms["group"]
    form["name"] = "The owner of the animal"
    page = form.submit("submit").follow()
    group = f"/{CITY}/question-groups/the-owner-of-the-animal/questions"
    assert page.request.path == group
    add(keeper, group, "text", "Name")
    page = add(keeper, group, "phone", "Telephone", required=True).follow()
    assert asked(page) == ["Name", "Telephone"]
    assert "the-owner-of-the-animal" not in keeper.get(f"{builder}/add").text
    address = page.html.select_one("a[href*='version?number']")["href"]
    publish(sign_in("editor", CITY), address)
    invalidate()
    form = keeper.get(f"{builder}/add?kind=group").forms["question"]
    form["group"] = "the-owner-of-the-animal"
    form.fields["label"][0].value = "Whose dog is it?"
    page = form.submit("submit").follow()
    assert asked(page) == ["Whose dog is it?"]
    frame = page.html.select_one(".q-frame")
    assert [each["name"] for each in frame.select("input")] == [
        "answer-whose-dog-is-it-name",
        "answer-whose-dog-is-it-telephone",
    ]
    # a later question may depend on nothing of it: none of its questions offers answers
    assert "show_if" not in keeper.get(f"{builder}/add?kind=text").forms["question"].fields
    # a group is not put into itself
    form = keeper.get(f"{group}/name").forms["name"]
    form["name"] = "Somebody’s animal"
    assert "Somebody’s animal" in form.submit("submit").follow()
    form = keeper.get(f"{group}/translate?language=es").forms["words"]
    form["name"] = "El animal de alguien"
    form.submit("submit").follow()
    with open_session(web_engine, Scope(people.tenants[CITY])) as session:
        found = versions.opened(session, "question_group", "the-owner-of-the-animal")
        assert found.content["translation"] == [{"language": "es", "name": "El animal de alguien"}]


def test_what_is_not_there(keeper, builder):
    keeper.get(f"{builder}/edit?question=nothing", status=404)
    keeper.get(f"{builder}/name", status=404)
    keeper.get(f"/{CITY}/locations/nothing/questions", status=404)
    keeper.get(f"/{CITY}/services/nothing/questions", status=404)
    token = keeper.get(f"{builder}/add?kind=text").forms["question"]["csrf_token"].value
    for path in ("move", "remove", "undo", "edit?question=x", "add?kind=text"):
        keeper.post(f"{builder}/{path}", {"csrf_token": token}, status=404)


def test_statements_of_the_pages(keeper, builder, statements):
    build_a_branch(keeper, builder)
    for path in ("", "/add?kind=choice", "/edit?question=how-wide-is-it", "/translate?language=es"):
        keeper.get(f"{builder}{path}")
        statements.clear()
        keeper.get(f"{builder}{path}")
        assert len(statements) <= 10, (path, statements)
    keeper.get(f"/{CITY}/question-groups")
    statements.clear()
    keeper.get(f"/{CITY}/question-groups")
    assert len(statements) <= 8, statements
