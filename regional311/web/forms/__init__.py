"""Forms: strict Colander schemas, Deform's validation, our own accessible templates.

    class RateForm(Schema):
        price = SchemaNode(Money(), title=_("Price"), description=_("For one contact."))
        starts_on = SchemaNode(Date(), title=_("Starts on"))
        note = SchemaNode(String(500, multiline=True), title=_("Note"), missing=None)

    form = make_form(request, RateForm(), submit=_("Save"), once=True)
    return handle_form_submission(
        request, form, on_success=save, on_failure=lambda: {"form": form})   # POST
    ...  {{ form.render() }}                                                 # GET and failure

A node without a widget gets the one that suits its type; `SchemaNode(..., widget=RadioWidget(...))`
chooses another. `missing=None` makes a field optional.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import colander
import deform
from colander import SchemaNode
from markupsafe import Markup
from pyramid.csrf import get_csrf_token
from pyramid_jinja2 import IJinja2Environment

from regional311.database.ids import new_token
from regional311.errors import ComeAgain, DomainError, Forbidden, InvalidInput, NotFound, Stale
from regional311.web.forms.rows import RowsWidget, path_of, pressed, rows
from regional311.web.forms.types import (
    Boolean,
    Choice,
    Choices,
    Date,
    Decimal,
    Integer,
    Money,
    PublicId,
    Schema,
    Secret,
    String,
    complete,
)
from regional311.web.forms.widgets import (
    CheckboxGroupWidget,
    CheckboxWidget,
    DateTimeWidget,
    DateWidget,
    FileWidget,
    FormWidget,
    HiddenWidget,
    MappingWidget,
    MoneyWidget,
    NumberWidget,
    PasswordWidget,
    PicksWidget,
    RadioWidget,
    SelectWidget,
    TextAreaWidget,
    TextWidget,
    TrapWidget,
)
from regional311.web.i18n import _, translated

__all__ = [
    "Boolean",
    "CheckboxGroupWidget",
    "CheckboxWidget",
    "Choice",
    "Choices",
    "Date",
    "DateTimeWidget",
    "DateWidget",
    "Decimal",
    "FileWidget",
    "HiddenWidget",
    "Integer",
    "MappingWidget",
    "Money",
    "MoneyWidget",
    "NumberWidget",
    "PasswordWidget",
    "PicksWidget",
    "PublicId",
    "RadioWidget",
    "Schema",
    "SchemaNode",
    "Secret",
    "SelectWidget",
    "String",
    "TextAreaWidget",
    "TextWidget",
    "TrapWidget",
    "form_key",
    "handle_form_submission",
    "make_form",
    "pressed",
    "rows",
    "start_over",
]

_FORM_KEY = re.compile(r"[A-Za-z0-9_-]{20,64}", re.ASCII)


class FormRenderer:
    """Renders the templates of one form with what they need of its request."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.environment = request.registry.getUtility(IJinja2Environment, name=".jinja2")

    def __call__(self, template: str, **values: Any) -> Markup:
        found = self.environment.get_template(f"forms/{template}.jinja2")
        offered = {
            "request": self.request,
            "get_csrf_token": partial(get_csrf_token, self.request),
            "field_id": field_id,
            "path_of": path_of,
        }
        # the templates escape what they are given
        return Markup(found.render(values | offered))  # noqa: S704

    def translate(self, message: Any) -> str:
        return translated(self.request, message)


class Form(deform.Form):
    """A form of one request."""

    form_key: str | None = None
    cancel_url: str | None = None
    heading: Any = None
    problem: Any = None

    @property
    def files(self) -> list[str]:
        """Names of the fields in which a file may be sent."""
        return [each.name for each in self.children if getattr(each.widget, "sends_files", False)]

    def problems(self) -> list[tuple[str | None, Any, Any]]:
        """Return every error as (id of the control or None, title of the field, message)."""
        found: list[tuple[str | None, Any, Any]] = []
        if self.problem is not None:
            found.append((None, None, self.problem))
        _collect(self, found)
        return found

    def take_unfinished(self, sent: list[tuple[str, Any]]) -> None:
        """Show what was typed so far, without saying what is missing or wrong in it yet."""
        with suppress(deform.ValidationFailure):
            self.validate(sent)
        _forgive(self)

    @property
    def sections(self) -> list[tuple[str, Any]]:
        """The headings of the form as (id, words), for a list of what is on the page."""
        return [
            (f"{field_id(child)}-section", child.schema.section)
            for child in self.children
            if hasattr(child.schema, "section")
        ]

    @property
    def has_rows(self) -> bool:
        """Whether it has lists: pressing Enter must then not press one of their buttons."""
        return any(isinstance(child.widget, RowsWidget) for child in self.children)

    def refuse_at(self, path: Sequence[str | int], message: Any) -> None:
        """Show what is wrong with one value, given by names and places in lists."""
        here: Any = self
        title = None
        for part in path:
            if isinstance(here.widget, RowsWidget):
                sent = getattr(here, "sequence_fields", [])
                below = sent[part] if isinstance(part, int) and part < len(sent) else None
            else:
                below = next((each for each in here.children if each.name == part), None)
            if below is None:
                break
            here, title = below, below.title or title
        if here is self or here.children:
            self.problem = message if title is None else f"{self.translate(title)}: {message}"
        elif here.error is None:
            here.error = colander.Invalid(here.schema, message)

    def refuse(self, error: DomainError) -> None:
        """Show a broken rule in the form: at its field when it has one here, else on top."""
        field = _find(self, error.field) if error.field else None
        if field is None:
            self.problem = error.message
        else:
            field.error = colander.Invalid(field.schema, error.message)


def make_form(
    request: Any,
    schema: colander.SchemaNode,
    *,
    submit: Any = None,
    values: Mapping[str, Any] | None = None,
    name: str = "form",
    action: str = "",
    once: bool = False,
    cancel_url: str | None = None,
    buttons: tuple[tuple[str, Any], ...] = (),
) -> Form:
    """Return a form for this request, of a schema that was made for it.

    `values` fill the fields. `once=True` adds a key by which a form that is sent twice is
    recognised (`form_key(request)`). `buttons` holds (name, label) of further submit buttons;
    which one was pressed is in `request.POST`. `name` must differ between forms of one page: it
    opens the ids of all controls.
    """
    complete(schema, request)
    _choose_widgets(schema)
    schema.widget = FormWidget()
    form = Form(
        schema,
        action=action,
        formid=name,
        focus="off",
        renderer=FormRenderer(request),
        buttons=tuple(
            deform.Button(name=key, title=label)
            for key, label in (("submit", submit or _("Save")), *buttons)
        ),
    )
    form.cancel_url = cancel_url
    if values is not None:
        known = {child.name for child in schema.children}
        form.set_appstruct({key: _shown(each) for key, each in values.items() if key in known})
    if once:
        sent = request.POST.get("form_key", "") if request.method == "POST" else ""
        form.form_key = sent if _FORM_KEY.fullmatch(sent) else new_token()
    return form


def sent_version(request: Any) -> int:
    """Give the version of the record that a form was made for."""
    text = request.POST.get("version", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidInput(_("The form is incomplete: load the page again."), field="version")
    return int(text)


def form_key(request: Any) -> str:
    """Return the key of the submission: the same each time one rendered form is sent.

    Raises `pyramid.httpexceptions.HTTPBadRequest` when the form carries none.
    """
    from pyramid.httpexceptions import HTTPBadRequest

    key = str(request.POST.get("form_key", ""))
    if not _FORM_KEY.fullmatch(key):
        raise HTTPBadRequest(translated(request, _("The form's key is missing: open it again.")))
    return key


def handle_form_submission(
    request: Any,
    form: Form,
    on_success: Callable[[dict[str, Any]], Any],
    on_failure: Callable[[], Any],
) -> Any:
    """Validate what was sent, then call `on_success(values)`; otherwise `on_failure()`.

    Everything is rolled back before `on_failure` renders the form again, with status 400 and the
    errors in it. A rule broken in `on_success` (`DomainError`) is shown in the form too; a stale,
    missing or forbidden record goes on to its own error page, and what was done by the same form a
    moment ago is asked for again.
    """
    sent = list(request.POST.items())
    try:
        values = form.validate(sent)
        _refuse_twice(form, sent)
    except deform.ValidationFailure:
        request.response.status_int = 400
        return on_failure()
    except GivenTwice as error:
        form.refuse(error)
        request.response.status_int = 400
        return on_failure()
    try:
        return on_success(values)
    except (Stale, NotFound, Forbidden, ComeAgain):
        raise
    except DomainError as error:
        start_over(request)
        form.refuse(error)
        request.response.status_int = 400
        return on_failure()


class GivenTwice(InvalidInput):
    """A field that takes one value came with two: nobody can say which was meant."""


def _refuse_twice(form: Form, sent: Sequence[tuple[str, Any]]) -> None:
    """Raise `GivenTwice` for a field of the form that was sent twice; lists have their marks."""
    seen: set[str] = set()
    depth = 0
    for name, value in sent:
        if name == "__end__":
            depth -= 1
            continue
        field = str(value).partition(":")[0] if name == "__start__" else name
        if depth == 0 and field in form:
            if field in seen:
                raise GivenTwice(_("This was sent twice. Send one value."), field=field)
            seen.add(field)
        depth += name == "__start__"


def start_over(request: Any) -> None:
    """Give up what this request has written so far; what it still reads is a new transaction."""
    manager = request.environ.get("tm.manager")
    if manager is not None:
        manager.abort()
        manager.begin()
        manager.doom()


def _shown(value: Any) -> Any:
    return colander.null if value is None else value


def _choose_widgets(node: colander.SchemaNode) -> None:
    for child in node.children:
        if child.widget is None:
            child.widget = _widget_for(child)
        if "missing_msg" not in child.__dict__:
            grouped = getattr(child.widget, "grouped", False)
            child.missing_msg = _("Choose one.") if grouped else _("Fill this in.")
        _choose_widgets(child)


def _widget_for(node: colander.SchemaNode) -> Any:
    kind = node.typ
    if isinstance(kind, colander.Mapping):
        return MappingWidget()
    if isinstance(kind, String):
        if kind.multiline:
            return TextAreaWidget(maxlength=kind.max_length)
        return TextWidget(maxlength=kind.max_length)
    for known, chosen in (
        (Money, MoneyWidget),
        ((Integer, Decimal), NumberWidget),
        (Date, DateWidget),
        (Boolean, CheckboxWidget),
        (Secret, PasswordWidget),
        (PublicId, TextWidget),
    ):
        if isinstance(kind, known):
            return chosen()
    raise TypeError(f"field {node.name!r} needs a widget")


def field_id(field: Any) -> str:
    """Return the id of a field's control: the form's name and the field's path below it."""
    parts: list[str] = []
    while field is not None:
        parts.append(getattr(field, "formid", None) or field.name)
        field = field.parent
    return "-".join(reversed(parts))


def _collect(field: Any, found: list[tuple[str | None, Any, Any]], before: str = "") -> None:
    for child in field.children:
        if isinstance(child.widget, RowsWidget):
            if child.error is not None:
                found.extend((None, child.title, each) for each in child.error.messages())
            for number, row in enumerate(getattr(child, "sequence_fields", ()), 1):
                title = child.widget.row_title % {"number": number}
                _collect(row, found, f"{before}{field.translate(title)}, ")
        elif child.children:
            if child.errormsg:
                found.append((None, child.title, child.errormsg))
            _collect(child, found, before)
        elif child.error is not None:
            title = f"{before}{field.translate(child.title)}" if before else child.title
            for message in child.error.messages():
                target = None if getattr(child.widget, "hidden", False) else field_id(child)
                found.append((target, title, message))
    if field.parent is None and field.errormsg:
        found.append((None, None, field.errormsg))


def _forgive(field: Any) -> None:
    field.error = None
    for child in field.children:
        _forgive(child)


def _find(form: Any, name: str) -> Any:
    for child in form.children:
        if isinstance(child.widget, RowsWidget):
            continue
        if child.name == name and not getattr(child.widget, "hidden", False):
            return child
        if child.children and (found := _find(child, name)) is not None:
            return found
    return None
