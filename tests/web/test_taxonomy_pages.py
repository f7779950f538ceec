"""Trees of terms through HTTP: browsing, taking in, tying together, what is missing."""

from __future__ import annotations

import csv
import io

import pytest
from sqlalchemy import text
from webtest import Upload

from regional311.database.session import Scope, session_scope
from regional311.referral.snapshot import invalidate
from regional311.web.views import taxonomies

CITY, HELP = "city-of-portland", "211info"
TREE = "code,name,parent,name_es\nfood,Food,,Comida\nmeals,Hot meals,food,\nwater,Water,,\n"

pytestmark = pytest.mark.commits


@pytest.fixture(scope="module")
def sorted_service(web_engine, people):
    """The City's pothole is sorted by a term of the tree below, too."""
    with session_scope(web_engine, Scope(people.tenants[CITY])) as session:
        session.execute(
            text(
                "UPDATE services SET details = jsonb_set(details, '{taxonomy}',"
                " coalesce(details->'taxonomy', '[]') || '[\"our-tree:meals\"]')"
                " WHERE tenant_id = :me AND key = 'pothole'"
            ),
            {"me": people.tenants[CITY]},
        )
        session.execute(
            text(
                "UPDATE services SET details = details - 'taxonomy'"
                " WHERE tenant_id = :me AND key = 'graffiti'"
            ),
            {"me": people.tenants[CITY]},
        )
        session.execute(
            text("UPDATE tenants SET revision = revision + 1 WHERE id = :me"),
            {"me": people.tenants[CITY]},
        )
    invalidate()


@pytest.fixture
def editor(sign_in):
    return sign_in("editor", CITY)


def send(browser, sheet, **head):
    form = browser.get(f"/{CITY}/taxonomies/import").forms["import"]
    for name, value in {"key": "our-tree", **head}.items():
        form[name] = value
    form["file"] = Upload("tree.csv", sheet if isinstance(sheet, bytes) else sheet.encode())
    return form


def take(page):
    form = next(form for form in page.forms.values() if "take" in form.fields)
    return form.submit("take").follow()


@pytest.fixture
def taken(editor, sorted_service):
    """The tree is there."""
    page = send(editor, TREE, name="Our tree", description="Of our own.").submit()
    return take(page) if "Take it in" in page else editor.get(f"/{CITY}/taxonomies/our-tree")


def test_a_file_shows_what_it_would_change_before_it_does(editor, sorted_service):
    form = send(editor, TREE, key="first-tree", name="First", description="For trial.")
    page = form.submit()
    counts = {each.dt.text: each.dd.text for each in page.html.select("section dl.r-summary > div")}
    assert counts == {"New": "3", "Changed": "0", "Gone": "0", "As before": "0", "Broken": "0"}
    editor.get(f"/{CITY}/taxonomies/first-tree", status=404)
    shown = take(page)
    assert "Taken in: First." in shown
    assert "Hot meals" in shown
    assert "Nothing would change." in send(editor, TREE, key="first-tree").submit()


def test_broken_rows_are_listed_and_the_rest_may_be_taken(editor):
    bad = TREE + "tea,Tea,watr,\n=x,Formula,,\n"
    page = send(editor, bad, key="bad-tree", name="Bad", description="For trial.").submit()
    cells = [each.get_text(" ") for each in page.html.select("section table tbody tr")]
    assert cells == [
        "5 parent there is no term watr; did you mean water?",
        "6 code is a formula to a spreadsheet; write its value",
    ]
    assert "Take it in" not in page
    assert "Hot meals" in take(page)
    token = page.html.select_one("input[name=csrf_token]")["value"]
    sent = page.html.select_one("input[name=sent]")["value"]
    forced = {"csrf_token": token, "sent": sent, "key": "bad-tree", "take": "all"}
    editor.post(f"/{CITY}/taxonomies/import", forced, status=400)
    forced["sent"] = "not base64!"
    editor.post(f"/{CITY}/taxonomies/import", forced, status=400)


@pytest.mark.parametrize(
    ("sheet", "head", "told"),
    [
        (b"code,name\nf\xe9,x\n", {}, "Line 2 is not UTF-8"),
        (b"PK\x03\x04", {}, "is a workbook"),
        (TREE, {"key": "Our Tree"}, "lower case letters"),
        (TREE, {"key": "new-tree"}, "needs a name"),
        (TREE, {"key": "regional", "name": "x", "description": "y"}, "Another partner keeps"),
    ],
)
def test_what_cannot_be_taken_is_told_in_a_sentence(editor, sheet, head, told):
    assert told in send(editor, sheet, **head).submit(status=400)


def test_a_large_file_is_for_the_command(editor, monkeypatch):
    monkeypatch.setattr(taxonomies, "MOST_BYTES", 1000)
    told = send(editor, b"x" * 1001).submit(status=400)
    assert "larger than 1,000 bytes; take it in with the command" in told


def test_a_file_must_be_chosen(editor):
    form = editor.get(f"/{CITY}/taxonomies/import").forms["import"]
    form["key"] = "our-tree"
    assert "Choose a file." in form.submit(status=400)


def test_the_tree_is_browsed_with_counts(editor, taken):
    page = editor.get(f"/{CITY}/taxonomies/our-tree")
    assert "Of our own." in page
    tree = page.html.select_one(".d-tree").get_text(" ", strip=True)
    assert "Food 1 service, 1 of Portland" in tree
    assert "Water 0 services" in tree
    branch = editor.get(f"/{CITY}/taxonomies/our-tree?branch=food")
    assert "Pothole in a street" in branch
    assert branch.html.select_one("[lang=es]").text == "Comida"
    below = editor.get(f"/{CITY}/taxonomies/our-tree?branch=meals")
    assert "Pothole in a street" in below
    assert "No service is sorted here." in editor.get(f"/{CITY}/taxonomies/our-tree?branch=water")
    editor.get(f"/{CITY}/taxonomies/our-tree?branch=no-such", status=404)
    editor.get(f"/{CITY}/taxonomies/no-such", status=404)
    listed = editor.get(f"/{CITY}/taxonomies")
    assert {"Our tree", "Subjects of the region"} <= {
        each.text for each in listed.html.select(".r-card__title")
    } | {each.text.split(" (")[0] for each in listed.html.select(".r-card__title")}


def test_what_is_downloaded_can_be_taken_in_again(editor, taken):
    sheet = editor.get(f"/{CITY}/taxonomies/our-tree?format=csv")
    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    assert [row["code"] for row in rows] == ["food", "meals", "water"]
    assert "Nothing would change." in send(editor, sheet.body).submit()
    assert editor.get(f"/{CITY}/taxonomies/our-tree?format=json").json[0]["name_es"] == "Comida"


def test_terms_without_services_and_services_without_terms(editor, taken):
    page = editor.get(f"/{CITY}/taxonomies/our-tree/unused")
    assert [each.text for each in page.html.select("tbody th")] == ["Water"]
    assert "1 of 3 terms" in page
    page = editor.get(f"/{CITY}/taxonomies/unmapped")
    assert "Graffiti" in page.html.select_one("tbody").text
    assert "Pothole in a street" not in page
    page = editor.get(f"/{CITY}/taxonomies/unmapped?taxonomy=our-tree&format=csv")
    assert "graffiti," in page.text
    assert "pothole," not in page.text
    assert editor.get(f"/{CITY}/taxonomies/unmapped?bureau=no-such")


def test_terms_are_tied_followed_and_untied(editor, taken):
    url = f"/{CITY}/taxonomies/crosswalks"
    form = editor.get(url).forms["crosswalk"]
    form["term"], form["other"], form["relation"] = "our-tree:water", "regional:streets", "narrower"
    page = form.submit("submit").follow()
    row = page.html.select_one("tbody tr").get_text(" ", strip=True)
    assert row.startswith("Water Our tree is broader than Streets and traffic")
    branch = editor.get(f"/{CITY}/taxonomies/our-tree?branch=water")
    assert "is broader than" in branch
    assert "Pothole in a street" in branch
    turned = editor.get(f"/{CITY}/taxonomies/regional?branch=streets")
    assert "is narrower than" in turned
    form = editor.get(url).forms["crosswalk"]
    form["term"], form["other"] = "regional:streets", "our-tree:water"
    form["relation"] = "exact"
    assert "tied the other way round" in form.submit("submit", status=400)
    for term, other, told in (
        ("our-tree:watr", "regional:streets", "did you mean water?"),
        ("our-tree:water", "our-tree:food", "term of another taxonomy"),
        ("water", "regional:streets", "as taxonomy:code"),
        ("our-tree:water", "gone:streets", "no taxonomy gone"),
    ):
        form["term"], form["other"] = term, other
        assert told in form.submit("submit", status=400)
    untie = next(form for form in page.forms.values() if form.action.endswith("end-crosswalk"))
    assert "No terms are tied yet." in untie.submit().follow()
    token = page.html.select_one("input[name=csrf_token]")["value"]
    gone = {"csrf_token": token, "crosswalk": untie["crosswalk"].value}
    editor.post(f"/{CITY}/taxonomies/end-crosswalk", gone, status=404)
    editor.post(f"/{CITY}/taxonomies/end-crosswalk", {**gone, "crosswalk": "x"}, status=400)


def test_crosswalks_from_a_file_and_out_again(editor, taken):
    url = f"/{CITY}/taxonomies/crosswalks"
    form = editor.get(url).forms["crosswalk-sheet"]
    sheet = b"term,relation,other\nour-tree:food,exact,regional:streets\n"
    sheet += b"our-tree:fod,exact,regional:x\n"
    form["file"] = Upload("ties.csv", sheet)
    page = form.submit()
    assert "there is no term fod in our-tree; did you mean food?" in page
    page = take(page)
    assert "The crosswalks were taken in." in page
    out = editor.get(f"{url}?format=csv").text
    assert out == "term,relation,other,note\r\nour-tree:food,exact,regional:streets,\r\n"
    assert editor.get(f"{url}?taxonomy=our-tree").html.select("tbody tr")
    assert editor.get(f"{url}?format=json").json[0]["relation"] == "exact"
    untie = next(form for form in page.forms.values() if form.action.endswith("end-crosswalk"))
    untie.submit()


def test_others_read_and_do_not_change(sign_in, taken):
    specialist = sign_in("specialist", HELP)
    page = specialist.get(f"/{HELP}/taxonomies/our-tree")
    assert "City of Portland" in page
    assert "crosswalk" not in specialist.get(f"/{HELP}/taxonomies/crosswalks").forms
    specialist.get(f"/{HELP}/taxonomies/import", status=403)
    branch = specialist.get(f"/{HELP}/taxonomies/our-tree?branch=food")
    assert f"/services/{CITY}/pothole" in branch


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/unmapped",
        "/crosswalks",
        "/import",
        "/regional",
        "/regional?branch=streets",
        "/regional/unused",
    ],
)
def test_pages_run_few_statements(editor, statements, path):
    editor.get(f"/{CITY}/taxonomies{path}")
    statements.clear()
    editor.get(f"/{CITY}/taxonomies{path}")
    assert len(statements) <= 8, statements
