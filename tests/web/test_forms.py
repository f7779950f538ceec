"""Strict types, the mapping that refuses leftovers, and forms as screen readers get them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import colander
import deform
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request, apply_request_extensions
from pyramid.threadlocal import manager

from regional311.database.ids import public_id
from regional311.errors import InvalidInput
from regional311.web import forms as f


def read(kind, value):
    return f.SchemaNode(kind, name="field").deserialize(value)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (f.String(), "  Ünïcode  ", "Ünïcode"),
        (f.String(), "e\u0301", "é"),
        (f.String(50, multiline=True), "a\r\nb\rc\td", "a\nb\nc\td"),
        (f.Integer(), "-12", -12),
        (f.Integer(), " 7 ", 7),
        (f.Decimal(), "12.50", Decimal("12.50")),
        (f.Decimal(), "-0.000001", Decimal("-0.000001")),
        (f.Money(), "1,250.50", 125050),
        (f.Money(), "$ 3", 300),
        (f.Money(), "-0.01", -1),
        (f.Boolean(), "true", True),
        (f.Boolean(), "false", False),
        (f.Date(), "2028-02-29", dt.date(2028, 2, 29)),
        (f.Choice(["phone", "web"]), "web", "web"),
        (f.Choice([("phone", "Phone")]), "phone", "phone"),
        (f.Choices(["a", "b", "c"]), ["c", "a", "a"], ["a", "c"]),
        (f.Secret(), "  spaces stay  ", "  spaces stay  "),
    ],
)
def test_a_value_is_read(kind, text, value):
    assert read(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (f.String(), "bell\a"),
        (f.String(), "nul\0"),
        (f.String(), "two\nlines"),
        (f.String(), "\ue000"),
        (f.String(3), "four"),
        (f.String(), ["a"]),
        (f.String(), {"a": "b"}),
        (f.Integer(), "3.9"),
        (f.Integer(), "1e3"),
        (f.Integer(), "1_000"),
        (f.Integer(), "٣"),
        (f.Integer(), "9" * 19),
        (f.Decimal(), "NaN"),
        (f.Decimal(), "Infinity"),
        (f.Decimal(), "1e3"),
        (f.Decimal(), "1."),
        (f.Decimal(2), "1.001"),
        (f.Decimal(), "1,5"),
        (f.Money(), "1.005"),
        (f.Money(), "12,50.00"),
        (f.Money(), "NaN"),
        (f.Boolean(), "maybe"),
        (f.Boolean(), "on"),
        (f.Boolean(), ["true"]),
        (f.Date(), "2026-02-30"),
        (f.Date(), "20260228"),
        (f.Date(), "0001-01-01"),
        (f.Date(), "2200-01-01"),
        (f.Choice(["phone"]), "web"),
        (f.Choices(["a"]), ["z"]),
        (f.Choices(["a"]), "a"),
        (f.PublicId("R"), "R-00000-00001"),
        (f.Secret(5), "longer"),
        (f.Secret(), "nul\0"),
        (f.Secret(), ["x"]),
    ],
)
def test_anything_else_is_refused(kind, value):
    with pytest.raises(colander.Invalid):
        read(kind, value)


@pytest.mark.parametrize("kind", [f.String(), f.Integer(), f.Money(), f.Date(), f.Secret()])
@pytest.mark.parametrize("blank", ["", colander.null])
def test_blank_means_that_nothing_was_given(kind, blank):
    with pytest.raises(colander.Invalid):
        f.SchemaNode(kind).deserialize(blank)
    assert f.SchemaNode(kind, missing=None).deserialize(blank) is None


def test_blanks_only_is_nothing():
    assert f.SchemaNode(f.String(), missing=None).deserialize(" \t ") is None


@given(st.integers(-(10**12), 10**12))
def test_money_reads_what_it_writes(cents):
    kind = f.Money()
    assert kind.read(None, kind.write(cents)) == cents


@given(st.decimals(-(10**9), 10**9, places=6))
def test_numbers_read_what_they_write(number):
    kind = f.Decimal()
    assert kind.read(None, kind.write(number)) == number


@pytest.mark.parametrize("wrong", [1.5, True, "3"])
def test_money_writes_cents_only(wrong):
    with pytest.raises(TypeError):
        f.Money().write(wrong)


def test_a_public_number_may_be_typed_carelessly():
    number = public_id("R")
    assert read(f.PublicId("R"), number.lower().replace("-", " ")) == number


def test_types_write_what_a_page_shows():
    written = {
        "text": (f.String(), "a", "a"),
        "none": (f.String(), None, colander.null),
        "date": (f.Date(), dt.date(2026, 10, 1), "2026-10-01"),
        "yes": (f.Boolean(), True, "true"),
        "no": (f.Boolean(), False, "false"),
        "unset": (f.Boolean(), None, colander.null),
        "number": (f.Decimal(), Decimal("1E+2"), "100"),
        "many": (f.Choices(["a"]), ["a"], ["a"]),
        "none of many": (f.Choices(["a"]), None, colander.null),
        "secret": (f.Secret(), "x", colander.null),
    }
    for kind, value, shown in written.values():
        assert kind.serialize(None, value) == shown


class Address(f.Schema):
    street = f.SchemaNode(f.String(), title="Street")
    unit = f.SchemaNode(f.String(), title="Unit", missing=None)


class Everything(f.Schema):
    name = f.SchemaNode(f.String(), title="Name", description="As you sign.")
    note = f.SchemaNode(f.String(500, multiline=True), title="Note", missing=None)
    count = f.SchemaNode(f.Integer(), title="Count")
    price = f.SchemaNode(f.Money(), title="Price")
    starts_on = f.SchemaNode(f.Date(), title="Starts on")
    agreed = f.SchemaNode(f.Boolean(), title="I agree", missing=False)
    channel = f.SchemaNode(
        f.Choice(["phone", "web"]),
        title="Channel",
        widget=f.RadioWidget(values=[("phone", "Phone", "Any line"), ("web", "Web")]),
    )
    service = f.SchemaNode(
        f.Choice(["pothole", "graffiti"]),
        title="Service",
        widget=f.SelectWidget(
            values=[("Streets", [("pothole", "Pothole")]), ("graffiti", "Paint")]
        ),
    )
    tags = f.SchemaNode(
        f.Choices(["a", "b"]),
        title="Tags",
        missing=(),
        widget=f.CheckboxGroupWidget(values=[("a", "A", "First"), ("b", "B")]),
    )
    number = f.SchemaNode(f.PublicId("R"), title="Number", missing=None)
    secret = f.SchemaNode(f.Secret(), title="Secret", missing=None)
    version = f.SchemaNode(f.Integer(), title="Version", widget=f.HiddenWidget())
    address = Address(title="Address", description="Where it is.")


GOOD = [
    ("csrf_token", "x"),
    ("name", "Ada <b>"),
    ("note", ""),
    ("count", "3"),
    ("price", "1.50"),
    ("starts_on", "2026-10-01"),
    ("channel", "phone"),
    ("service", "pothole"),
    ("__start__", "tags:sequence"),
    ("tags", "b"),
    ("__end__", "tags:sequence"),
    ("number", ""),
    ("secret", ""),
    ("version", "4"),
    ("__start__", "address:mapping"),
    ("street", "Main"),
    ("unit", ""),
    ("__end__", "address:mapping"),
    ("submit", "submit"),
]


@pytest.fixture
def page(application):
    """A request as a view gets it."""
    request = Request.blank("/here")
    request.registry = application.registry
    request.found_identity = None
    apply_request_extensions(request)
    manager.push({"registry": application.registry, "request": request})
    yield request
    manager.pop()


def posted(page, controls=(), method="POST"):
    page.method = method
    page.content_type = "application/x-www-form-urlencoded"
    page.body = b"&".join(
        b"%s=%s" % (key.encode(), value.encode().replace(b"&", b"%26")) for key, value in controls
    )
    return page


def test_a_form_gives_typed_values(page):
    values = f.make_form(page, Everything()).validate(GOOD)
    assert values == {
        "name": "Ada <b>",
        "note": None,
        "count": 3,
        "price": 150,
        "starts_on": dt.date(2026, 10, 1),
        "agreed": False,
        "channel": "phone",
        "service": "pothole",
        "tags": ["b"],
        "number": None,
        "secret": None,
        "version": 4,
        "address": {"street": "Main", "unit": None},
    }


class LineForm(f.Schema):
    account = f.SchemaNode(f.String())


class LinesForm(f.Schema):
    title = f.SchemaNode(f.String())
    line = LineForm()


def test_a_schema_has_nodes_of_its_own():
    """What a request offers in a field is not what the next request, of somebody else, offers."""
    mine = LinesForm()
    mine["title"].description = "Only people who are cleared for it read this."
    mine["line"]["account"].typ = f.Choice(["ours"])
    mine["line"].children.append(f.SchemaNode(f.String(), name="more"))
    theirs = LinesForm()
    assert theirs["title"].description == ""
    assert isinstance(theirs["line"]["account"].typ, f.String)
    assert [each.name for each in theirs["line"].children] == ["account"]
    assert [each.name for each in mine.children] == ["title", "line"]


@pytest.mark.parametrize(
    "extra",
    [
        [("state", "approved")],
        [("__start__", "address:mapping"), ("city", "x"), ("__end__", "address:mapping")],
    ],
)
def test_a_field_that_the_form_does_not_have_is_refused(page, extra):
    form = f.make_form(page, Everything())
    with pytest.raises(deform.ValidationFailure):
        form.validate(GOOD + extra)
    assert "fields it does not have" in form.render()


def test_leftovers_are_named_beside_other_errors(page):
    form = f.make_form(page, Address())
    with pytest.raises(deform.ValidationFailure):
        form.validate([("street", "x"), ("unit", "y"), ("unit2", "z")])
    assert "unit2" in form.render()
    form = f.make_form(page, Address())
    with pytest.raises(deform.ValidationFailure):
        form.validate(
            [
                ("__start__", "street:sequence"),
                ("x", "y"),
                ("__end__", "street:sequence"),
                ("unit2", "z"),
            ]
        )
    assert "unit2" in form.render()


@pytest.mark.parametrize("name", ["name", "agreed", "channel", "tags", "address", "version"])
def test_a_structure_where_one_value_belongs_is_refused(page, name):
    kept = [control for control in GOOD if control[0] != name]
    wrong = [("__start__", f"{name}:mapping"), ("x", "y"), ("__end__", f"{name}:mapping")]
    form = f.make_form(page, Everything())
    if name == "address":
        kept, wrong = GOOD[:-5], [("address", "text")]
    with pytest.raises(deform.ValidationFailure):
        form.validate(kept + wrong)
    assert form.problems()
    form.render()


def test_unbalanced_groups_are_refused(page):
    form = f.make_form(page, Everything())
    with pytest.raises(deform.ValidationFailure):
        form.validate([("__end__", "x:mapping")])


def test_every_control_is_labelled_and_described(page):
    form = f.make_form(
        page,
        Everything(),
        values={"name": '"><script>', "tags": ["a"], "agreed": True, "note": "\nx", "other": 1},
        cancel_url="/back",
        buttons=(("preview", "Preview"),),
        once=True,
    )
    html = form.render()
    assert "<script>" not in html
    assert 'for="form-name"' in html
    assert 'aria-describedby="form-name-hint"' in html
    assert "style=" not in html
    assert " on" not in html.replace(" on<", "<")
    assert html.count("checked") == 2
    assert 'name="form_key"' in html
    assert 'name="preview"' in html
    assert "/back" in html
    assert "<optgroup" in html


def test_errors_are_tied_to_their_fields_and_summarised(page):
    form = f.make_form(page, Everything())
    with pytest.raises(deform.ValidationFailure):
        form.validate([("count", "3.9"), ("channel", "fax"), ("version", "x")])
    html = form.render()
    assert 'href="#form-count"' in html
    assert 'href="#form-address-street"' in html
    assert 'id="form-count-error"' in html
    assert 'aria-invalid="true"' in html
    assert 'value="3.9"' in html
    assert "Fill this in." in html
    assert any(target is None for target, _title, _message in form.problems())


def test_a_secret_is_never_written_back(page):
    form = f.make_form(page, Everything())
    with pytest.raises(deform.ValidationFailure):
        form.validate([("secret", "hunter2 hunter2")])
    assert "hunter2" not in form.render()


def test_a_submission_goes_on_or_comes_back(page):
    request = posted(page, GOOD)
    answer = f.handle_form_submission(
        request, f.make_form(request, Everything()), lambda values: values["count"], lambda: "no"
    )
    assert answer == 3
    request = posted(page, GOOD[:3])
    answer = f.handle_form_submission(
        request, f.make_form(request, Everything()), lambda values: "yes", lambda: "no"
    )
    assert answer == "no"
    assert request.response.status_int == 400


@pytest.mark.parametrize(
    ("field", "shown"), [("count", "#form-count"), ("street", "street"), (None, "")]
)
def test_a_broken_rule_is_shown_in_the_form(page, field, shown):
    request = posted(page, GOOD)
    form = f.make_form(request, Everything())

    def refuse(values):
        raise InvalidInput("Not on a Sunday.", field=field)

    assert f.handle_form_submission(request, form, refuse, form.render).count("Not on a Sunday.")
    assert shown in form.render()
    assert request.response.status_int == 400


def test_the_key_of_a_form_comes_back_with_it(page):
    key = f.make_form(posted(page, method="GET"), Everything(), once=True).form_key
    request = posted(page, [("form_key", key)])
    assert f.form_key(request) == key
    assert f.make_form(request, Everything(), once=True).form_key == key


def test_a_submission_without_its_key_is_refused(page):
    request = posted(page, [("form_key", "short")])
    with pytest.raises(HTTPBadRequest):
        f.form_key(request)
    assert f.make_form(request, Everything(), once=True).form_key != "short"


def test_a_field_of_an_unknown_type_needs_a_widget(page):
    class Odd(f.Schema):
        at = f.SchemaNode(colander.Time())

    with pytest.raises(TypeError, match="needs a widget"):
        f.make_form(page, Odd())
