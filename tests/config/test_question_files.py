"""Groups of questions as files: what is wrong is named, and files and database agree."""

import re
import tomllib

import pytest
from sqlalchemy import select

from regional311.catalog.checks import Known, question_faults
from regional311.catalog.content import Question, QuestionGroup
from regional311.catalog.forms import resolve
from regional311.catalog.models import FormVersion
from regional311.config.apply import apply_directories
from regional311.config.export import export
from regional311.config.plan import NOBODY, plan
from regional311.database.session import open_session
from regional311.referral.snapshot import Published
from regional311.strict import from_plain

from .conftest import NOW, ROOT
from .test_files import refused, replace

CITY = "tenants/city-of-portland"
GROUPS = """\
[[group]]
key = "person"
name = "A person"

[[group.question]]
key = "name"
label = "Name"
kind = "text"

[[group.translation]]
language = "es"
name = "Una persona"
"""
WITNESS = """\
[[service.question]]
key = "hit"
label = "Did it damage a vehicle?"
kind = "yes_no"

[[service.question]]
key = "driver"
label = "Whose vehicle?"
kind = "group"
group = "person"
show_if.question = "hit"
show_if.answers = ["yes"]
"""
HIT = """\
[[service.question]]
key = "hit"
label = "Did it damage a vehicle?"
kind = "yes_no"
"""


@pytest.fixture
def files(root):
    own = root / CITY / "questions.toml"
    own.write_text(f"{GROUPS}\n{own.read_text()}")
    replace(root / CITY / "services/pbot.toml", HIT, WITNESS)
    return root


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "services/pbot",
            'group = "person"',
            'group = "persn"',
            (
                "services/pbot.toml: service[pothole].question[driver].group: there is no group of "
                "questions persn; did you mean person?"
            ),
        ),
        (
            "services/pbot",
            'show_if.question = "hit"',
            'show_if.question = "driver-name"',
            (
                "services/pbot.toml: service[pothole].question[driver].show_if.question: "
                "a question cannot depend on itself"
            ),
        ),
        (
            "questions",
            'kind = "text"',
            'kind = "group"\ngroup = "person"',
            (
                "questions.toml: group[person].question[name].group: "
                "group person contains itself: person → person"
            ),
        ),
        (
            "questions",
            'kind = "text"',
            'kind = "words"',
            "questions.toml: group[person].question[name].kind: 'words' is not one of",
        ),
        (
            "questions",
            'language = "es"',
            'language = "de"',
            "questions.toml: group[person].translation[1].language: 'de' is not one of 'en', 'es'",
        ),
    ],
)
def test_bad_input_has_one_clear_message(files, file, old, new, message):
    replace(files / CITY / f"{file}.toml", old, new)
    assert any(each.startswith(f"{CITY}/{message}") for each in refused(files)), refused(files)


def test_groups_come_and_go_through_the_database(empty_engine, files, tmp_path):
    apply_directories(empty_engine, files / "tenants", files / "policies", now=NOW)
    assert str(plan(empty_engine, files, now=NOW)) == "No changes."
    export(empty_engine, tmp_path / "exported", now=NOW)
    written = (tmp_path / "exported" / CITY / "questions.toml").read_text()
    assert GROUPS.strip() in written
    replace(files / CITY / "questions.toml", 'label = "Name"', 'label = "Their name"')
    changed = str(plan(empty_engine, files, now=NOW))
    assert "~ question_group person\n      question[name].label: Name -> Their name" in changed
    with open_session(empty_engine, NOBODY) as session:
        before = Published.load(session)
    apply_directories(empty_engine, files / "tenants", files / "policies", now=NOW)
    with open_session(empty_engine, NOBODY) as session:
        after = Published.load(session)
        kept = set(session.execute(select(FormVersion.digest)).scalars())
    pothole = before.directory.find("city-of-portland/pothole")
    asked = [each.form(pothole) for each in (before, after)]
    assert [each.find("driver-name").label for each in asked] == ["Name", "Their name"]
    assert {each.digest for each in asked} <= kept
    assert asked[1].owner == "city-of-portland"


def test_what_the_guide_shows_can_be_read():
    guide = (ROOT / "docs/partners/questions.md").read_text(encoding="utf-8")
    group, question, several = (
        tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    )
    groups = [from_plain(QuestionGroup, each) for each in group["group"]]
    asked = [from_plain(Question, each) for each in question["service"]["question"]]
    known = {each.key: each for each in groups}
    assert list(question_faults(asked, Known(groups=known))) == []
    assert [each.key for each in resolve(asked, known).questions] == ["owner-name"]
    (width,) = (from_plain(Question, each) for each in several["service"]["question"])
    assert width.show_if is not None
    assert [(each.question, each.answers) for each in width.show_if.parts] == [
        ("size", ("large",)),
        ("deep", ("yes",)),
    ]
    assert width.show_if.match == "any"
